//! HyStart++ (RFC 9406): ends slow start when round-trip times rise, before a queue overflows.
//!
//! It has no window of its own. CUBIC passes it the acknowledgements of the first slow start, and it says how fast the
//! window may grow.

use core::time::Duration;

use crate::tcp::sequence::Sequence;

// The constants that RFC 9406 section 4.3 recommends.
const MIN_RTT_THRESH: Duration = Duration::from_millis(4);
const MAX_RTT_THRESH: Duration = Duration::from_millis(16);
const MIN_RTT_DIVISOR: u32 = 8;
const N_RTT_SAMPLE: u32 = 8;
const CSS_GROWTH_DIVISOR: u64 = 4;
const CSS_ROUNDS: u32 = 5;

/// How fast the window may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// By all acknowledged bytes: slow start.
    Full,
    /// By a fraction of the acknowledged bytes: conservative slow start (CSS).
    Conservative,
    /// Slow start is over: the threshold becomes the present window.
    Over,
}

impl Growth {
    /// The bytes by which the window grows for these acknowledged bytes (RFC 9406 section 4.2).
    pub(super) const fn share(self, bytes: u64) -> u64 {
        match self {
            Self::Full => bytes,
            Self::Conservative => bytes / CSS_GROWTH_DIVISOR,
            Self::Over => 0,
        }
    }
}

/// The phase of a slow start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Slow start. Entered at the start, and from `Conservative` if the rise was spurious. Left when round-trip times
    /// rise.
    Standard,
    /// Conservative slow start. Entered from `Standard` when round-trip times have risen. Left when they fall below
    /// `baseline`, or at the end of its last round.
    Conservative {
        /// The shortest round-trip time of the round in which it was entered (cssBaselineMinRtt).
        baseline: Duration,
        /// The rounds that have ended since, including the one in which it was entered.
        rounds: u32,
    },
}

/// HyStart++ for one slow start.
#[derive(Clone, Debug)]
pub(super) struct HyStart {
    phase: Phase,
    /// The round ends when this is acknowledged (windowEnd).
    round_end: Option<Sequence>,
    /// The shortest round-trip time of the previous round (lastRoundMinRTT); `None` means infinity.
    last_shortest: Option<Duration>,
    /// The shortest round-trip time of this round so far (currentRoundMinRTT); `None` means infinity.
    shortest: Option<Duration>,
    /// The number of round-trip times measured in this round (rttSampleCount).
    samples: u32,
}

impl HyStart {
    pub(super) const fn new() -> Self {
        Self { phase: Phase::Standard, round_end: None, last_shortest: None, shortest: None, samples: 0 }
    }

    /// Processes an acknowledgement up to `unacknowledged` while SND.NXT is `next`. Returns how the window may grow by
    /// it.
    pub(super) fn on_acknowledgement(
        &mut self,
        unacknowledged: Sequence,
        next: Sequence,
        rtt: Option<Duration>,
    ) -> Growth {
        if let Some(rtt) = rtt {
            self.measure(rtt);
        }
        // The sample belongs to the round that this acknowledgement may end, so it is evaluated before the round ends.
        let round_end = *self.round_end.get_or_insert(next);
        if unacknowledged.at_or_after(round_end) {
            self.begin_round(next);
        }
        match self.phase {
            Phase::Standard => Growth::Full,
            Phase::Conservative { rounds, .. } if rounds >= CSS_ROUNDS => Growth::Over,
            Phase::Conservative { .. } => Growth::Conservative,
        }
    }

    /// Records a round-trip time, and changes the phase once there are enough samples (RFC 9406 section 4.2).
    fn measure(&mut self, rtt: Duration) {
        let shortest = self.shortest.map_or(rtt, |shortest| shortest.min(rtt));
        self.shortest = Some(shortest);
        self.samples = self.samples.saturating_add(1);
        if self.samples < N_RTT_SAMPLE {
            return;
        }
        match self.phase {
            Phase::Standard => {
                if self.last_shortest.is_some_and(|last| shortest >= last.saturating_add(threshold(last))) {
                    self.phase = Phase::Conservative { baseline: shortest, rounds: 0 };
                }
            }
            // The rise was spurious: slow start continues, and HyStart++ with it.
            Phase::Conservative { baseline, .. } if shortest < baseline => self.phase = Phase::Standard,
            Phase::Conservative { .. } => {}
        }
    }

    fn begin_round(&mut self, next: Sequence) {
        self.round_end = Some(next);
        self.last_shortest = self.shortest.take();
        self.samples = 0;
        // RFC 9406 section 4.2: the round in which the phase was entered counts as well.
        if let Phase::Conservative { rounds, .. } = &mut self.phase {
            *rounds = rounds.saturating_add(1);
        }
    }
}

/// The rise over the previous round that ends slow start (RttThresh): an eighth of that round's time, between 4 and 16
/// ms.
fn threshold(last: Duration) -> Duration {
    (last / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: usize = 10_000;

    /// A round of ten acknowledgements that all measure `millis`. Returns the answer to the last one.
    fn round(hystart: &mut HyStart, start: &mut Sequence, millis: u64) -> Growth {
        let (rtt, end) = (Some(Duration::from_millis(millis)), *start + WINDOW);
        for _ in 0..9 {
            *start += WINDOW / 10;
            hystart.on_acknowledgement(*start, end, rtt);
        }
        *start = end;
        hystart.on_acknowledgement(end, end + WINDOW, rtt)
    }

    #[test]
    fn the_rise_that_ends_slow_start_is_an_eighth_from_4_to_16_ms() {
        for (last, rise) in [(0, 4), (8, 4), (32, 4), (80, 10), (128, 16), (4000, 16)] {
            assert_eq!(threshold(Duration::from_millis(last)), Duration::from_millis(rise));
        }
    }

    #[test]
    fn slow_start_goes_on_while_round_trip_times_stay() {
        let (mut hystart, mut start) = (HyStart::new(), Sequence(u32::MAX - 5000));
        for millis in [20, 23, 26, 29, 32] {
            assert_eq!(round(&mut hystart, &mut start, millis), Growth::Full, "a rise of 3 ms is too small");
        }
    }

    #[test]
    fn a_rise_makes_it_conservative_and_five_rounds_later_it_is_over() {
        let (mut hystart, mut start) = (HyStart::new(), Sequence(7));
        assert_eq!(round(&mut hystart, &mut start, 20), Growth::Full);
        for _ in 0..4 {
            assert_eq!(round(&mut hystart, &mut start, 24), Growth::Conservative);
        }
        assert_eq!(round(&mut hystart, &mut start, 24), Growth::Over);
    }

    #[test]
    fn seven_samples_of_a_round_tell_nothing() {
        let (mut hystart, mut start) = (HyStart::new(), Sequence(0));
        round(&mut hystart, &mut start, 20);
        let (end, rtt) = (start + WINDOW, Some(Duration::from_millis(90)));
        for _ in 0..7 {
            start += 100;
            assert_eq!(hystart.on_acknowledgement(start, end, rtt), Growth::Full);
            assert_eq!(hystart.on_acknowledgement(start, end, None), Growth::Full, "no sample");
        }
        assert_eq!(hystart.on_acknowledgement(start + 100, end, rtt), Growth::Conservative);
    }

    #[test]
    fn conservative_slow_start_is_left_when_the_rise_was_spurious() {
        let (mut hystart, mut start) = (HyStart::new(), Sequence(0));
        for (millis, growth) in [
            (20, Growth::Full),
            (30, Growth::Conservative),
            (30, Growth::Conservative),
            (29, Growth::Full),
            // The count of rounds starts again.
            (40, Growth::Conservative),
            (40, Growth::Conservative),
            (40, Growth::Conservative),
            (40, Growth::Conservative),
            (40, Growth::Over),
        ] {
            assert_eq!(round(&mut hystart, &mut start, millis), growth);
        }
    }

    #[test]
    fn a_round_without_a_sample_leaves_nothing_to_compare_with() {
        let (mut hystart, mut start) = (HyStart::new(), Sequence(0));
        round(&mut hystart, &mut start, 20);
        start += WINDOW;
        assert_eq!(hystart.on_acknowledgement(start, start + WINDOW, None), Growth::Full);
        assert_eq!(round(&mut hystart, &mut start, 90), Growth::Full);
    }

    #[test]
    fn the_conservative_window_grows_by_a_quarter() {
        assert_eq!(
            (Growth::Full.share(1000), Growth::Conservative.share(1000), Growth::Over.share(1000)),
            (1000, 250, 0)
        );
    }
}
