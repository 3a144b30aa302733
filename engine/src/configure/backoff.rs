//! Retransmission timeouts with exponential backoff, for DHCPv6 requests (RFC 8415 section 15) and router solicitations
//! (RFC 7559, which takes them from RFC 3315).

use core::time::Duration;

use crate::random::Random;

/// RAND, from -0.1 to 0.1, in units of a millionth.
const TENTH: u32 = 100_000;
const UNIT: u32 = 1_000_000;

/// Waiting times that start with `initial` and double up to `longest`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    /// The initial retransmission time (IRT).
    pub(super) initial: Duration,
    /// The maximum retransmission time (MRT).
    pub(super) longest: Duration,
}

impl Backoff {
    /// The time to wait after the previous one (`None` for the first), with up to a tenth more or less at random.
    pub(super) fn next(self, before: Option<Duration>, random: &mut Random) -> Duration {
        let rand = random.below(2 * TENTH + 1);
        // `multiple * time + RAND * time`.
        let varied = |time: Duration, multiple: u32| (time * (multiple * UNIT - TENTH + rand)) / UNIT;
        let next = before.map_or_else(|| varied(self.initial, 1), |before| varied(before, 2));
        if next > self.longest { varied(self.longest, 1) } else { next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_vary_by_a_tenth() {
        let backoff = Backoff { initial: Duration::from_secs(1), longest: Duration::from_secs(20) };
        let mut random = Random::new([1; 32]);
        for _ in 0..200 {
            let mut before = None;
            for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0] {
                let wait = backoff.next(before, &mut random);
                let base = before.map_or(expected, |before: Duration| (before.as_secs_f64() * 2.0).min(20.0));
                let ratio = wait.as_secs_f64() / base;
                assert!((0.89..=1.11).contains(&ratio), "{wait:?} after {before:?}");
                before = Some(wait);
            }
        }
    }
}
