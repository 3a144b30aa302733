//! The reachable time and the retransmit time of neighbours.

use core::net::IpAddr;
use core::ops::RangeInclusive;
use core::time::Duration;

use crate::random::{Random, Secret};
use crate::time::Instant;

/// RFC 4861 section 6.3.2 asks for another random value "at least every few hours".
const RENEWAL: Duration = Duration::from_secs(2 * 3600);
/// The longest reachable time base that a router may set (RFC 4861 section 6.2.1, AdvReachableTime).
const LONGEST_REACHABLE: Duration = Duration::from_secs(3600);
/// The range of retransmit times that a router may set. The RFC has no limits. The lower limit is Linux's. With the
/// upper limit, a sender learns within minutes that its neighbour does not answer.
const RETRANSMIT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);

/// The times of both families. Routers advertise times only for IPv6.
#[derive(Debug)]
pub(super) struct Times {
    v4: Family,
    v6: Family,
}

#[derive(Debug)]
struct Family {
    reachable: ReachableTime,
    retransmit: Duration,
}

impl Times {
    pub(super) fn new(reachable: Duration, retransmit: Duration, random: &mut Random) -> Self {
        let mut family = || Family { reachable: ReachableTime::new(reachable, random), retransmit };
        Self { v4: family(), v6: family() }
    }

    /// Sets the times that a router has advertised (RFC 4861 section 6.3.4).
    pub(super) fn advertise(&mut self, reachable: Option<Duration>, retransmit: Option<Duration>) {
        if let Some(base) = reachable {
            self.v6.reachable.set_base(base.min(LONGEST_REACHABLE));
        }
        if let Some(retransmit) = retransmit {
            self.v6.retransmit = retransmit.clamp(*RETRANSMIT.start(), *RETRANSMIT.end());
        }
    }

    /// ReachableTime: until when a confirmation at `now` counts.
    pub(super) fn reachable_until(&mut self, hop: IpAddr, now: Instant) -> Instant {
        let family = if hop.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        now + family.reachable.at(now)
    }

    /// RetransTimer.
    pub(super) const fn retransmit(&self, hop: IpAddr) -> Duration {
        if hop.is_ipv4() { self.v4.retransmit } else { self.v6.retransmit }
    }
}

/// ReachableTime (RFC 4861 section 6.3.2): a random value between 0.5 and 1.5 times its base, drawn again every two
/// hours. The random part is a keyed hash of the time, so that it needs neither an alarm nor a generator.
#[derive(Debug)]
struct ReachableTime {
    base: Duration,
    secret: Secret,
    /// The two-hour period that `current` belongs to; `None` if it must be computed again.
    period: Option<u64>,
    current: Duration,
}

impl ReachableTime {
    fn new(base: Duration, random: &mut Random) -> Self {
        Self { base, secret: Secret::new(random), period: None, current: base }
    }

    fn set_base(&mut self, base: Duration) {
        // Routers repeat their advertisements; only a different base needs a new value.
        if self.base != base {
            (self.base, self.period) = (base, None);
        }
    }

    fn at(&mut self, now: Instant) -> Duration {
        let period = now.since_origin().as_secs() / RENEWAL.as_secs();
        if self.period != Some(period) {
            let part = u128::from(self.secret.hash(&period) >> 32);
            let random = (self.base.as_nanos().saturating_mul(part)) >> 32;
            let random = Duration::from_nanos(u64::try_from(random).unwrap_or(u64::MAX));
            (self.period, self.current) = (Some(period), (self.base / 2).saturating_add(random));
        }
        self.current
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const BASE: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn the_reachable_time_is_random_about_its_base_and_renewed_every_two_hours() {
        let mut time = ReachableTime::new(BASE, &mut Random::new([1; 32]));
        assert_eq!(time.at(at(1)), time.at(at(7199)));
        let mut drawn: Vec<Duration> = (0..1000).map(|period| time.at(at(period * 7200))).collect();
        assert!(drawn.iter().all(|time| (BASE / 2..BASE * 3 / 2).contains(time)));
        let mean = drawn.iter().sum::<Duration>() / 1000;
        assert!((BASE * 95 / 100..BASE * 105 / 100).contains(&mean), "{mean:?}");
        drawn.sort();
        drawn.dedup();
        assert!(drawn.len() > 990);
    }

    #[test]
    fn advertised_times_are_bounded_and_only_for_ipv6() {
        let mut times = Times::new(BASE, Duration::from_secs(1), &mut Random::new([1; 32]));
        let (v4, v6) = ([192, 0, 2, 1].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into());
        let before = times.reachable_until(v6, at(0));
        times.advertise(Some(BASE), None);
        assert_eq!(times.reachable_until(v6, at(0)), before, "the same base");
        times.advertise(Some(Duration::MAX), Some(Duration::MAX));
        let limits = at(1800)..at(5400);
        assert!(limits.contains(&times.reachable_until(v6, at(0))));
        assert_eq!((times.retransmit(v6), times.retransmit(v4)), (Duration::from_secs(60), Duration::from_secs(1)));
        assert!(times.reachable_until(v4, at(0)) < at(45));
        times.advertise(None, Some(Duration::ZERO));
        assert_eq!(times.retransmit(v6), Duration::from_millis(10));
    }
}
