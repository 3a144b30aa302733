//! The limits of how much one guest may do in a second.

use core::time::Duration;

use crate::platform::Instant;

/// A rate: how many units may be used in a second in the long run, and how many at once after a pause.
///
/// It is a token bucket: `burst` tokens at most, to which `per_second` tokens are added each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Units per second. At 0 nothing is left once the burst is used.
    pub per_second: u64,
    /// Units that may be used at once, at least 1.
    pub burst: u64,
}

impl Rate {
    /// A rate whose burst is what a tenth of a second allows, at least 1.
    #[must_use]
    pub const fn per_second(per_second: u64) -> Self {
        let tenth = per_second / 10;
        Self { per_second, burst: if tenth == 0 { 1 } else { tenth } }
    }

    /// The same rate with another burst.
    #[must_use]
    pub const fn with_burst(self, burst: u64) -> Self {
        Self { burst, ..self }
    }
}

/// How much a guest may do in a second, over all of its interfaces, the loopback included. `None` stands for no limit.
///
/// Bytes and packets are those of the frames that the guest's sockets send: data, retransmitted data, and datagrams.
/// While the guest has used its rate, its sockets wait as they wait for a slow link: writes and sends wait for room,
/// and other guests take their turns meanwhile. Acknowledgements, and the answers that a stack gives by itself, are not
/// counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Connections that the guest opens. A connection beyond the rate fails with `limit-reached`.
    pub connections: Option<Rate>,
    /// Bytes that the guest sends, headers included.
    pub bytes: Option<Rate>,
    /// Packets that the guest sends. A segment or datagram that the device cuts out of a larger frame is one packet.
    pub packets: Option<Rate>,
}

impl Rates {
    /// No limits.
    pub const UNLIMITED: Self = Self { connections: None, bytes: None, packets: None };

    /// These limits, and where there is none, that of `others`.
    pub(crate) fn or(self, others: Self) -> Self {
        Self {
            connections: self.connections.or(others.connections),
            bytes: self.bytes.or(others.bytes),
            packets: self.packets.or(others.packets),
        }
    }

    /// Whether sending is limited.
    pub(crate) const fn limit_sending(&self) -> bool {
        self.bytes.is_some() || self.packets.is_some()
    }
}

/// The tokens of a [`Rate`]. Their number is negative after more was used than there was, because frames are not split.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    /// Tokens in billionths, so that the tokens of any number of nanoseconds are exact.
    tokens: i128,
    filled: Instant,
}

const BILLION: i128 = 1_000_000_000;

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: Self::most(rate), filled: now }
    }

    const fn most(rate: Rate) -> i128 {
        let burst = if rate.burst == 0 { 1 } else { rate.burst };
        burst as i128 * BILLION
    }

    /// The whole tokens that are there.
    pub(crate) fn left(&mut self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.filled);
        if !elapsed.is_zero() {
            self.filled = now;
            let elapsed = i128::try_from(elapsed.as_nanos()).unwrap_or(i128::MAX);
            let more = elapsed.saturating_mul(i128::from(self.rate.per_second));
            self.tokens = self.tokens.saturating_add(more).min(Self::most(self.rate));
        }
        u64::try_from(self.tokens / BILLION).unwrap_or(0)
    }

    /// The time at which at least one token is there, if none is used until then. At a rate of 0 that is the end of
    /// time.
    pub(crate) fn ready_at(&mut self, now: Instant) -> Instant {
        if self.left(now) > 0 {
            return now;
        }
        let missing = BILLION - self.tokens;
        let nanoseconds = match i128::from(self.rate.per_second) {
            0 => i128::MAX,
            rate => (missing + rate - 1) / rate,
        };
        now + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// Uses tokens, even more than there are.
    pub(crate) fn spend(&mut self, tokens: u64, now: Instant) {
        self.left(now);
        self.tokens -= i128::from(tokens) * BILLION;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(milliseconds))
    }

    /// Uses one token if it is there.
    fn take_one(bucket: &mut Bucket, now: Instant) -> bool {
        let is_there = bucket.left(now) > 0;
        bucket.spend(u64::from(is_there), now);
        is_there
    }

    #[test]
    fn a_burst_is_there_at_once_and_the_rest_comes_with_time() {
        let mut bucket = Bucket::new(Rate { per_second: 10, burst: 3 }, at(0));
        assert_eq!([0; 4].map(|_| take_one(&mut bucket, at(0))), [true, true, true, false]);
        assert_eq!(bucket.ready_at(at(0)), at(100));
        assert!(!take_one(&mut bucket, at(99)));
        assert!(take_one(&mut bucket, at(100)) && !take_one(&mut bucket, at(100)));
        assert_eq!(bucket.left(at(100_000)), 3, "no more than the burst");
    }

    #[test]
    fn what_was_used_beyond_the_tokens_is_waited_for() {
        let mut bucket = Bucket::new(Rate::per_second(1000), at(0));
        bucket.spend(1100, at(0));
        assert_eq!((bucket.ready_at(at(0)), bucket.left(at(999))), (at(1001), 0));
        assert_eq!(bucket.left(at(1001)), 1);
    }

    #[test]
    fn many_small_steps_of_time_lose_nothing() {
        let mut bucket = Bucket::new(Rate { per_second: 3, burst: 1000 }, at(0));
        bucket.spend(1000, at(0));
        let steps = (1..=10_000_000).step_by(7).map(|step| Instant::from_origin(Duration::from_micros(step)));
        let last = steps.map(|now| (now, bucket.left(now))).last();
        assert_eq!(last.map(|(_, left)| left), Some(29));
        assert_eq!(bucket.left(at(10_000)), 30);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let end = Instant::from_origin(Duration::MAX);
        let mut bucket = Bucket::new(Rate { per_second: u64::MAX, burst: u64::MAX }, at(0));
        bucket.spend(u64::MAX, at(0));
        bucket.spend(u64::MAX, at(0));
        assert_eq!(bucket.left(end), u64::MAX);
        let mut none = Bucket::new(Rate { per_second: 0, burst: 0 }, at(0));
        assert!(take_one(&mut none, at(0)) && !take_one(&mut none, end));
        assert_eq!(none.ready_at(at(0)), end);
    }
}
