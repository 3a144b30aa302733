//! Pacing: data is sent no faster than the congestion control's rate, in bursts that are long enough for the coarse
//! timers of hosts (draft-ietf-ccwg-bbr section 5.6.2).
//!
//! It is a token bucket, stored as one time: the time at which everything that was sent would have been sent at the
//! rate. Unused credit puts that time into the past; data that was sent in advance puts it into the future. So nothing
//! has to be computed while the sender is silent, and a new rate applies to what follows.

use core::time::Duration;

use crate::tcp::congestion::Rate;
use crate::time::Instant;

/// A burst is at most what the rate carries in this time: the timers of hosts expire up to a millisecond late.
const BURST: Duration = Duration::from_millis(2);
/// The minimum burst in segments, however slow the rate is.
const BURST_SEGMENTS: u32 = 2;
/// A sender that waits is woken when it has credit for this time or for a segment, whichever is more.
const SLEEP: Duration = Duration::from_millis(1);

/// The pacing state of one connection's sending half.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacing {
    /// When the rate will have carried all data that was sent.
    carried_at: Instant,
}

impl Pacing {
    pub(super) const fn new(now: Instant) -> Self {
        Self { carried_at: now }
    }

    /// When the next segment may be sent; `None` if it may be sent now.
    pub(super) fn held_until(&self, rate: Rate, segment: usize, now: Instant) -> Option<Instant> {
        let ahead = self.carried_at - now;
        // Avoids a division if nothing was sent in advance.
        if ahead.is_zero() {
            return None;
        }
        let one = rate.time_for(segment as u64);
        let burst = BURST.max(one.saturating_mul(BURST_SEGMENTS));
        let held = ahead > burst.saturating_sub(one);
        held.then(|| now + ahead.saturating_sub(burst.saturating_sub(SLEEP.max(one))))
    }

    /// Records that bytes of data were sent.
    pub(super) fn on_sent(&mut self, rate: Rate, bytes: usize, now: Instant) {
        self.carried_at = self.carried_at.max(now) + rate.time_for(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: usize = 1000;

    fn micros(count: u64) -> Instant {
        Instant::from_origin(Duration::from_micros(count))
    }

    /// Sends what may be sent at `now`. Returns how many segments were sent, and when the next may be.
    fn burst(pacing: &mut Pacing, rate: Rate, now: Instant) -> (usize, Instant) {
        let mut count = 0;
        loop {
            if let Some(at) = pacing.held_until(rate, SEGMENT, now) {
                return (count, at);
            }
            pacing.on_sent(rate, SEGMENT, now);
            count += 1;
        }
    }

    #[test]
    fn a_fast_rate_bursts_for_two_milliseconds_and_then_sleeps_for_one() {
        // A segment in 100 microseconds.
        let (rate, mut pacing) = (Rate(10_000_000), Pacing::new(micros(0)));
        assert_eq!(burst(&mut pacing, rate, micros(5000)), (20, micros(6000)));
        assert_eq!(burst(&mut pacing, rate, micros(6000)), (10, micros(7000)));
        assert_eq!(burst(&mut pacing, rate, micros(6099)), (0, micros(7000)));
        // A caller that comes earlier may use the credit that there is.
        assert_eq!(burst(&mut pacing, rate, micros(6100)), (1, micros(7100)));
    }

    #[test]
    fn a_slow_rate_sends_two_segments_and_then_one_at_a_time() {
        // A segment in 10 milliseconds.
        let (rate, mut pacing) = (Rate(100_000), Pacing::new(micros(0)));
        assert_eq!(burst(&mut pacing, rate, micros(0)), (2, micros(10_000)));
        assert_eq!(burst(&mut pacing, rate, micros(9999)), (0, micros(10_000)));
        assert_eq!(burst(&mut pacing, rate, micros(10_000)), (1, micros(20_000)));
        assert_eq!(burst(&mut pacing, rate, micros(21_000)), (1, micros(30_000)));
    }

    #[test]
    fn late_wake_ups_cost_no_goodput_and_silence_earns_no_more_than_a_burst() {
        let (rate, mut pacing, mut sent) = (Rate(10_000_000), Pacing::new(micros(0)), 0);
        let mut now = micros(0);
        while now < micros(1_000_000) {
            let (count, at) = burst(&mut pacing, rate, now);
            sent += count;
            // Up to a millisecond late.
            now = at + Duration::from_micros(u64::from(at.since_origin().subsec_micros()) % 1000);
        }
        assert!((10_000..=10_030).contains(&sent), "{sent} segments in a second");
        assert_eq!(burst(&mut pacing, rate, micros(9_000_000)).0, 20);
    }

    #[test]
    fn a_new_rate_holds_for_what_follows() {
        let mut pacing = Pacing::new(micros(0));
        burst(&mut pacing, Rate(10_000_000), micros(0));
        // Ten times as fast: the sender is still two milliseconds ahead, but the next segments take a tenth of the
        // time.
        assert_eq!(burst(&mut pacing, Rate(100_000_000), micros(10)).0, 1);
        let before = pacing.carried_at;
        pacing.on_sent(Rate(100_000_000), SEGMENT, micros(10));
        assert_eq!(pacing.carried_at - before, Duration::from_micros(10));
    }
}
