//! A rate limit for answers to hosts that may not be the peer of a connection: resets, and challenge acknowledgements
//! (RFC 5961 section 7).

use crate::random::Secret;
use crate::time::Instant;

/// A limit of about `rate` answers per second. The limit of each second is drawn anew, by a secret, between half and
/// one and a half of the rate. An attacker could count an exact limit from outside, which reveals what happens behind
/// it (CVE-2016-5696, RFC 5961 section 7).
#[derive(Clone)]
pub struct Limiter {
    secret: Secret,
    rate: u32,
    second: u64,
    left: u32,
}

impl Limiter {
    /// A limit of about `rate` answers per second.
    #[must_use]
    pub const fn new(rate: u32, secret: Secret) -> Self {
        Self { secret, rate, second: u64::MAX, left: 0 }
    }

    /// Whether one more answer may leave; counts it.
    pub fn allows(&mut self, now: Instant) -> bool {
        let second = now.millis() / 1000;
        if second != self.second {
            let spread = self.secret.hash(&second) % (u64::from(self.rate) + 1);
            // The sum is at most one and a half times a rate of 32 bits.
            self.left = u32::try_from(u64::from(self.rate / 2) + spread).unwrap_or(u32::MAX);
            self.second = second;
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::vec::Vec;

    use super::*;
    use crate::random::Random;

    #[test]
    fn each_second_has_a_limit_of_its_own() {
        let mut limiter = Limiter::new(100, Secret::new(&mut Random::new([7; 32])));
        let counts: Vec<usize> = (0..100)
            .map(|second| {
                let now = Instant::from_origin(Duration::from_secs(second));
                (0..1000).filter(|_| limiter.allows(now)).count()
            })
            .collect();
        assert!(counts.iter().all(|count| (50..=150).contains(count)), "{counts:?}");
        assert!(counts.iter().any(|count| *count != counts[0]));
    }
}
