//! The estimate of a path's round-trip time, and the retransmission timeout that follows from it (RFC 6298).

use core::time::Duration;

use crate::time::{Instant, Span};

/// The timeout before the first measurement (RFC 6298 section 2.1).
const INITIAL: Duration = Duration::from_secs(1);
/// The timeout after a SYN that had to be repeated (RFC 6298 section 5.7).
const DISTRUSTED: Duration = Duration::from_secs(3);
/// The minimum of the variance term of the timeout, in place of the clock granularity G: on a steady path the variance
/// approaches zero, and a peer may delay an acknowledgement for this long. RFC 6298 section 2.4 requires a timeout of
/// at least a second in total, which no current host implements; this is the value of Linux.
const FLOOR: Duration = Duration::from_millis(200);
/// The longest timeout (RFC 6298 section 2.5: at least 60 seconds).
pub(super) const CEILING: Duration = Duration::from_secs(60);
/// The time after which a smallest round-trip time is no longer used, since the path may have changed (RFC 8985 section
/// 6.2, step 1).
const MEMORY: Duration = Duration::from_secs(300);
/// A limit on the number of doublings that is large enough to reach the longest timeout.
const MAX_DOUBLINGS: u32 = 16;

/// The estimate of the round-trip time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundTrip {
    /// SRTT and RTTVAR, once there was a measurement.
    estimate: Option<(Span, Span)>,
    minimum: Option<(Span, Instant)>,
    /// The timeout that follows from the other fields; `None` means the initial one.
    timeout: Option<Span>,
    /// How often the timer has expired since the last measurement.
    doublings: u32,
    /// The SYN had to be repeated, and there was no measurement since.
    distrusted: bool,
}

impl RoundTrip {
    /// Raises the timeout because the SYN had to be repeated. Until data is measured, the timeout suits slow paths,
    /// since a slow path may be the only reason for the repetition (RFC 6298 section 5.7). What the handshake measured
    /// stays.
    pub(super) fn distrust(&mut self) {
        self.distrusted = true;
        self.update_timeout();
    }

    /// Adds a measurement, one of about `each_trip` in a round-trip time (RFC 7323 appendix G: many measurements must
    /// not make the estimate forget faster).
    pub(super) fn measure(&mut self, sample: Duration, each_trip: u32, now: Instant) {
        self.measure_between(sample, sample, each_trip, now);
    }

    /// Like [`measure`](Self::measure), for an acknowledgement that covers several segments: the `shortest` time, of
    /// the last segment, shows how long the path is; the `longest`, of the first segment, shows how long the peer may
    /// delay its answer.
    pub(super) fn measure_between(&mut self, shortest: Duration, longest: Duration, each_trip: u32, now: Instant) {
        let shortest = shortest.max(Duration::from_micros(1));
        let (sample, each_trip) = (longest.max(shortest), each_trip.clamp(1, 1 << 16));
        // A measurement ends the exponential backoff (RFC 6298 section 5, last paragraph).
        (self.doublings, self.distrusted) = (0, false);
        if self.minimum.is_none_or(|(least, at)| shortest <= least.into() || now - at > MEMORY) {
            self.minimum = Some((shortest.into(), now));
        }
        let (smoothed, variance) = match (self.smoothed(), self.variance()) {
            (Some(smoothed), Some(variance)) => {
                let difference = smoothed.abs_diff(sample);
                // RTTVAR <- (1 - beta') RTTVAR + beta' |SRTT - R'|, beta' = 1/4 by the number of samples.
                (blend(smoothed, sample, 8 * each_trip), blend(variance, difference, 4 * each_trip))
            }
            _ => (sample, sample / 2),
        };
        self.estimate = Some((smoothed.into(), variance.into()));
        self.update_timeout();
    }

    /// The smoothed round-trip time (SRTT), once there is one.
    #[must_use]
    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.estimate.map(|(smoothed, _)| smoothed.into())
    }

    /// The variance of the round-trip time (RTTVAR), once there is one.
    #[must_use]
    pub(super) fn variance(&self) -> Option<Duration> {
        self.estimate.map(|(_, variance)| variance.into())
    }

    /// The smallest round-trip time that was measured within the last minutes.
    #[must_use]
    pub(super) fn minimum(&self) -> Option<Duration> {
        self.minimum.map(|(least, _)| least.into())
    }

    /// The retransmission timeout, doubled for each time that the timer has expired.
    #[must_use]
    pub(super) fn timeout(&self) -> Duration {
        self.timeout.map_or(INITIAL, Duration::from)
    }

    /// Computes the timeout. It is stored because it is read with every packet but changes only with a measurement or
    /// an expiry.
    fn update_timeout(&mut self) {
        let doubled = self.base().saturating_mul(1 << self.doublings.min(MAX_DOUBLINGS));
        self.timeout = Some(doubled.min(CEILING).into());
    }

    /// The retransmission timeout without the doublings.
    fn base(&self) -> Duration {
        let least = if self.distrusted { DISTRUSTED } else { Duration::ZERO };
        let timeout = self
            .estimate
            .map_or(INITIAL, |(smoothed, variance)| Duration::from(smoothed) + FLOOR.max(Duration::from(variance) * 4));
        timeout.clamp(least, CEILING)
    }

    /// Doubles the timeout because the timer has expired (RFC 6298 section 5.5).
    pub(super) fn back_off(&mut self) {
        self.doublings = self.doublings.saturating_add(1);
        self.update_timeout();
    }

    /// How often the timer has expired in a row.
    #[must_use]
    pub(super) const fn doublings(&self) -> u32 {
        self.doublings
    }
}

/// Moves `old` towards `new` by one `parts`-th of their difference.
fn blend(old: Duration, new: Duration, parts: u32) -> Duration {
    if new >= old { old + (new - old) / parts } else { old - (old - new) / parts }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn the_first_measurement_sets_the_estimate() {
        let mut rtt = RoundTrip::default();
        assert_eq!(rtt.timeout(), Duration::from_secs(1));
        rtt.measure(millis(400), 1, Instant::ORIGIN);
        assert_eq!((rtt.smoothed(), rtt.timeout()), (Some(millis(400)), millis(1200)));
        rtt.measure(millis(400), 1, Instant::ORIGIN);
        assert_eq!(rtt.timeout(), millis(1000));
        (0..100).for_each(|_| rtt.measure(millis(400), 1, Instant::ORIGIN));
        assert_eq!(rtt.timeout(), millis(600), "a steady path leaves room for a delayed acknowledgement");
    }

    #[test]
    fn the_timeout_has_a_floor_a_ceiling_and_doubles() {
        let mut rtt = RoundTrip::default();
        (0..100).for_each(|_| rtt.measure(millis(1), 1, Instant::ORIGIN));
        assert_eq!(rtt.timeout(), FLOOR + millis(1));
        rtt.back_off();
        rtt.back_off();
        assert_eq!(rtt.timeout(), 4 * (FLOOR + millis(1)));
        (0..1000).for_each(|_| rtt.back_off());
        assert_eq!(rtt.timeout(), CEILING);
        rtt.measure(millis(1), 1, Instant::ORIGIN);
        assert_eq!(rtt.timeout(), FLOOR + millis(1));
    }

    /// RFC 6298 section 5.7.
    #[test]
    fn after_a_repeated_syn_the_timeout_is_three_seconds_until_data_is_measured() {
        for known in [false, true] {
            let mut rtt = RoundTrip::default();
            if known {
                rtt.measure(millis(20), 1, Instant::ORIGIN);
            }
            rtt.distrust();
            assert_eq!((rtt.timeout(), rtt.smoothed()), (DISTRUSTED, known.then_some(millis(20))));
            rtt.back_off();
            assert_eq!(rtt.timeout(), 2 * DISTRUSTED);
            rtt.measure(millis(20), 1, Instant::ORIGIN);
            assert!(rtt.timeout() < millis(300));
        }
    }

    /// RFC 7323 appendix G.
    #[test]
    fn many_measurements_in_a_round_trip_weigh_as_one() {
        let (mut few, mut many) = (RoundTrip::default(), RoundTrip::default());
        few.measure(millis(100), 1, Instant::ORIGIN);
        many.measure(millis(100), 1, Instant::ORIGIN);
        few.measure(millis(200), 1, Instant::ORIGIN);
        (0..20).for_each(|_| many.measure(millis(200), 20, Instant::ORIGIN));
        let difference = few.smoothed().unwrap_or_default().abs_diff(many.smoothed().unwrap_or_default());
        assert!(difference < millis(1), "{difference:?}");
    }

    #[test]
    fn the_least_is_forgotten_after_minutes() {
        let mut rtt = RoundTrip::default();
        rtt.measure(millis(10), 1, Instant::ORIGIN);
        rtt.measure(millis(20), 1, Instant::ORIGIN + MEMORY);
        assert_eq!(rtt.minimum(), Some(millis(10)));
        rtt.measure(millis(20), 1, Instant::ORIGIN + MEMORY + millis(1));
        assert_eq!(rtt.minimum(), Some(millis(20)));
    }
}
