//! The timing of messages: retransmission, and a rate limit.

use core::time::Duration;

use crate::random::Random;
use crate::time::Instant;

/// The rate limit: a burst of messages, and the interval after which one more may be sent. Without it, a server that
/// refuses what it has just offered, or grants leases of a few seconds, would be asked as fast as it answers.
const BURST: u32 = 8;
const INTERVAL: Duration = Duration::from_secs(4);
/// RFC 2131 section 4.1: the first wait is four seconds, and each wait is twice the one before, up to 64 seconds.
const FIRST_WAIT: Duration = Duration::from_secs(4);
const DOUBLINGS: u32 = 4;

/// A message that is sent until it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    /// The transaction identifier, drawn when the message is first sent. Before that no answer matches.
    transaction: Option<u32>,
    /// When the client began to ask.
    begun: Instant,
    /// When the message with this transaction identifier was first sent. A lease counts from then.
    asked: Instant,
    /// The seconds from the begin to the last message.
    secs: u16,
    tries: u32,
    /// When the message is sent, sent again, or given up.
    due: Instant,
}

impl Exchange {
    /// An exchange that begins at a time.
    pub(super) const fn new(due: Instant) -> Self {
        Self { transaction: None, begun: due, asked: due, secs: 0, tries: 0, due }
    }

    /// The request that follows an offer. It keeps the transaction identifier and the seconds of the first message, so
    /// that relays forward it to the same servers (RFC 2131 section 3.1 step 3).
    pub(super) const fn following(self, now: Instant) -> Self {
        Self { asked: now, tries: 0, due: now, ..self }
    }

    pub(super) const fn tries(&self) -> u32 {
        self.tries
    }

    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// When the message with the current transaction identifier was first sent.
    pub(super) const fn asked(&self) -> Instant {
        self.asked
    }

    /// Whether an answer with this transaction identifier is expected.
    pub(super) fn awaits(&self, transaction: u32) -> bool {
        self.tries > 0 && self.transaction == Some(transaction)
    }

    /// Sends the message in the same transaction. The wait until the next time depends on the number of tries. Returns
    /// the transaction identifier and the seconds.
    pub(super) fn repeat(&mut self, now: Instant, random: &mut Random) -> (u32, u16) {
        self.ask(now, back_off(self.tries, random), random)
    }

    /// The request after an offer, which keeps the seconds.
    pub(super) fn request(&mut self, now: Instant, random: &mut Random) -> (u32, u16) {
        let secs = self.secs;
        let (transaction, _) = self.repeat(now, random);
        self.secs = secs;
        (transaction, secs)
    }

    /// As [`repeat`](Self::repeat), but always waits for four seconds.
    pub(super) fn insist(&mut self, now: Instant, random: &mut Random) -> (u32, u16) {
        self.ask(now, back_off(0, random), random)
    }

    /// Sends the message in a new transaction. The next time is after half of the remaining time until `end`, but at
    /// least a minute (RFC 2131 section 4.4.5). A late answer belongs to the last message.
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

/// How long to wait for an answer after this many earlier tries: RFC 2131 section 4.1, randomized by a second more or
/// less.
fn back_off(tries: u32, random: &mut Random) -> Duration {
    let second = Duration::from_secs(1);
    FIRST_WAIT * (1 << tries.min(DOUBLINGS)) - second + Duration::from_millis(random.below(2001).into())
}

/// The rate limit for messages to servers, whatever they answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// When all messages that were sent would have left at one per [`INTERVAL`].
    spent: Instant,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self { spent: now }
    }

    /// When the next message may be sent.
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
