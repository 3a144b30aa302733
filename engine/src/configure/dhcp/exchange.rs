//! When messages leave: again where nobody answers, and never faster than servers may be asked.

use core::time::Duration;

use crate::random::Random;
use crate::time::Instant;

/// Messages that may leave one after the other, and the time in which one more may. A server that refuses what it has
/// just offered, or lends for moments, would otherwise be asked as fast as it answers.
const BURST: u32 = 8;
const INTERVAL: Duration = Duration::from_secs(4);
/// RFC 2131 section 4.1: the first wait is four seconds, and each is twice as long as the one before, up to 64 seconds.
const FIRST_WAIT: Duration = Duration::from_secs(4);
const DOUBLINGS: u32 = 4;

/// One question, and the answer that is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    /// Drawn when it is asked for the first time. Nothing answers what was not asked.
    transaction: Option<u32>,
    /// When the client began to ask.
    begun: Instant,
    /// When the question that the transaction stands for was asked first: a lease counts from then.
    asked: Instant,
    /// Seconds from the begin to the last message.
    secs: u16,
    tries: u32,
    /// When it is to be asked, again, or given up.
    due: Instant,
}

impl Exchange {
    /// One that begins at a time.
    pub(super) const fn new(due: Instant) -> Self {
        Self { transaction: None, begun: due, asked: due, secs: 0, tries: 0, due }
    }

    /// The request that follows an offer. Relays hand it to the servers that have had the first message, by the
    /// transaction and the seconds of that one (RFC 2131 section 3.1 step 3).
    pub(super) const fn following(self, now: Instant) -> Self {
        Self { asked: now, tries: 0, due: now, ..self }
    }

    pub(super) const fn tries(&self) -> u32 {
        self.tries
    }

    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// See the field.
    pub(super) const fn asked(&self) -> Instant {
        self.asked
    }

    /// Whether a transaction is the one that is waited for.
    pub(super) fn awaits(&self, transaction: u32) -> bool {
        self.tries > 0 && self.transaction == Some(transaction)
    }

    /// Asks within the same transaction, and once more after a wait by the number of tries. The transaction and the
    /// seconds.
    pub(super) fn repeat(&mut self, now: Instant, random: &mut Random) -> (u32, u16) {
        self.ask(now, back_off(self.tries, random), random)
    }

    /// The request after an offer, whose seconds stay what they were.
    pub(super) fn request(&mut self, now: Instant, random: &mut Random) -> (u32, u16) {
        let secs = self.secs;
        let (transaction, _) = self.repeat(now, random);
        self.secs = secs;
        (transaction, secs)
    }

    /// As [`repeat`](Self::repeat), after four seconds each time.
    pub(super) fn insist(&mut self, now: Instant, random: &mut Random) -> (u32, u16) {
        self.ask(now, back_off(0, random), random)
    }

    /// Asks in a new transaction, and again half of the time until `end` later, but after no less than a minute (RFC
    /// 2131 section 4.4.5). What is answered so late answers the last question.
    pub(super) fn renew(&mut self, end: Instant, now: Instant, random: &mut Random) -> (u32, u16) {
        const LEAST: Duration = Duration::from_secs(60);
        self.transaction = None;
        self.ask(now, ((end - now) / 2).max(LEAST), random)
    }

    fn ask(&mut self, now: Instant, wait: Duration, random: &mut Random) -> (u32, u16) {
        let is_new = self.transaction.is_none();
        if is_new && self.tries == 0 {
            self.begun = now;
        }
        if is_new || self.tries == 0 {
            self.asked = now;
        }
        let transaction = *self.transaction.get_or_insert_with(|| random.next_u32());
        self.secs = u16::try_from((now - self.begun).as_secs()).unwrap_or(u16::MAX);
        self.tries = self.tries.saturating_add(1);
        self.due = now + wait;
        (transaction, self.secs)
    }
}

/// How long an answer is waited for after so many tries before: RFC 2131 section 4.1, with a second more or less by
/// chance.
fn back_off(tries: u32, random: &mut Random) -> Duration {
    let second = Duration::from_secs(1);
    FIRST_WAIT * (1 << tries.min(DOUBLINGS)) - second + Duration::from_millis(random.below(2001).into())
}

/// How often servers are asked, whatever they answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// When the messages that were sent would all have left, one each [`INTERVAL`].
    spent: Instant,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self { spent: now }
    }

    /// When the next message may leave.
    pub(super) fn next(&self) -> Instant {
        Instant::from_origin(self.spent.since_origin().saturating_sub(INTERVAL * (BURST - 1)))
    }

    /// Counts a message.
    pub(super) fn spend(&mut self, now: Instant) {
        self.spent = self.spent.max(now) + INTERVAL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_vary_by_a_second() {
        let mut random = Random::new([1; 32]);
        for (tries, wait) in
            [(0, 4000), (1, 8000), (2, 16_000), (3, 32_000), (4, 64_000), (5, 64_000), (u32::MAX, 64_000)]
        {
            let waits: std::vec::Vec<u128> = (0..500).map(|_| back_off(tries, &mut random).as_millis()).collect();
            let (least, greatest) = (*waits.iter().min().expect("some"), *waits.iter().max().expect("some"));
            assert!((wait - 1000..wait - 950).contains(&least), "{tries}: {least}");
            assert!((wait + 950..=wait + 1000).contains(&greatest), "{tries}: {greatest}");
        }
    }

    #[test]
    fn eight_messages_leave_at_once_and_then_one_in_four_seconds() {
        let at = |seconds| Instant::from_origin(Duration::from_secs(seconds));
        let mut pace = Pace::new(at(100));
        for _ in 0..8 {
            assert!(pace.next() <= at(100));
            pace.spend(at(100));
        }
        assert_eq!(pace.next(), at(104));
        pace.spend(at(104));
        assert_eq!(pace.next(), at(108));
        pace.spend(at(1000));
        assert!(pace.next() < at(1000), "time gives the burst back");
    }
}
