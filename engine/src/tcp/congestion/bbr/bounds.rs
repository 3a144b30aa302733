//! What BBR has learnt from losses: bounds on rate and flight (draft-ietf-ccwg-bbr section 5.5.10).
//!
//! The long-term bound is what a probe has found to be too much; it lasts until a later probe goes beyond. The short-term
//! bounds follow losses at other times, and last until the next probe.

use crate::tcp::congestion::{Rate, RateSample, SentState};

/// What of the flight may be lost, in thousandths (`LossThresh`).
const LOSS_THRESHOLD: u64 = 20;
/// What a round trip with losses leaves of the short-term bounds, in thousandths (`Beta`).
const BETA: u64 = 700;
/// A short-term bound counts as used where this much of it was delivered, in thousandths: less by the margin of the pacing
/// (10), by the losses that are borne (20), and because bursts make measurements coarse.
const USED: u64 = 950;
/// What of the long-term bound is left to others, in thousandths (`Headroom`).
const HEADROOM: u64 = 150;
/// Round trips after which a probe does not double its steps any more.
const MOST_DOUBLINGS: u32 = 30;

/// See the [module](self). Where a bound is `None`, there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    /// `inflight_longterm`.
    pub(super) long_term: Option<u64>,
    /// `bw_shortterm` and `inflight_shortterm`.
    pub(super) rate: Option<Rate>,
    pub(super) short_term: Option<u64>,
    /// `bw_latest` and `inflight_latest`: the most of a round trip that a loss has begun.
    latest: (Rate, u64),
    /// Something was lost in that round trip, which ends when something arrives that was sent when this much had.
    pub(super) loss_in_round: bool,
    loss_round: u64,
    /// The present acknowledgement has ended it.
    pub(super) round_started: bool,
    /// Acknowledgements that showed losses in it.
    pub(super) events: u32,
    probe: Steps,
}

/// How a probe raises the long-term bound: by twice as much in each round trip.
#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    /// `bw_probe_up_rounds`.
    rounds: u32,
    /// Bytes delivered since the last step, and those that make a step of a byte (`probe_up_cnt`).
    delivered: u64,
    each: u64,
}

/// Whether more of what was in flight was lost than is to be borne. In a small flight two in a hundred are one or two
/// segments, which links lose by chance too; the draft would have each such flight bound what is sent for seconds. So as
/// much more is borne as chance explains: the standard deviation of the number of losses.
pub(super) const fn is_too_high(sent: &SentState, segment: u64) -> bool {
    sent.lost > borne(sent.in_flight, segment)
}

/// Bytes of a flight whose loss is to be borne.
const fn borne(flight: u64, segment: u64) -> u64 {
    let mean = thousandths(flight, LOSS_THRESHOLD);
    // In segments, the square of the standard deviation is the mean.
    mean + mean.saturating_mul(segment).isqrt()
}

/// How much was in flight when losses became too many, where `bytes` of it were the last to be lost (`InflightAtLoss`).
pub(super) const fn flight_at_loss(sent: &SentState, bytes: u64) -> u64 {
    let (before, lost) = (sent.in_flight.saturating_sub(bytes), sent.lost.saturating_sub(bytes));
    let allowed = thousandths(before, LOSS_THRESHOLD).saturating_sub(lost);
    before + allowed * 1000 / (1000 - LOSS_THRESHOLD)
}

const fn thousandths(bytes: u64, count: u64) -> u64 {
    bytes.saturating_mul(count) / 1000
}

impl Bounds {
    /// Something was lost when `total` bytes had arrived: with the first loss, a round trip begins.
    pub(super) const fn note_loss(&mut self, total: u64) {
        if !self.loss_in_round {
            self.loss_round = total;
        }
        self.loss_in_round = true;
    }

    /// Takes the latest measurements (`BBRUpdateLatestDeliverySignals`).
    pub(super) fn update_latest(&mut self, sample: &RateSample) {
        let (rate, flight) = self.latest;
        self.latest = (rate.max(sample.rate.unwrap_or_default()), flight.max(sample.delivered));
        self.round_started = sample.delivered > 0 && sample.prior >= self.loss_round;
        if self.round_started {
            self.loss_round = sample.total;
        }
        if sample.newly_lost > 0 {
            self.events = self.events.saturating_add(1);
        }
    }

    /// A round trip ends in which something was lost: the short-term bounds are lowered to what was delivered in it, and by
    /// no more than a part (`BBRAdaptLowerBoundsFromCongestion`). Without bounds, they begin at `rate` and `window`. `gain` is
    /// with how much of its rate the sender was content, in thousandths.
    ///
    /// However free the path is, what is delivered lies below a bound by the margin of the pacing, by the losses that are
    /// borne, and where the sender was slower on purpose. A bound that is used as far as that stays, where the draft would
    /// lower it a little in each round trip, down to a fraction until the next probe.
    pub(super) fn lower(&mut self, rate: Rate, window: u64, gain: u64) {
        let (latest_rate, latest_flight) = self.latest;
        let used = USED * gain / 1000;
        let bound = self.rate.unwrap_or(rate);
        self.rate = Some(if latest_rate >= bound.scaled(used) { bound } else { latest_rate.max(bound.scaled(BETA)) });
        let bound = self.short_term.unwrap_or(window);
        let is_used = latest_flight >= thousandths(bound, used);
        self.short_term = Some(if is_used { bound } else { latest_flight.max(thousandths(bound, BETA)) });
    }

    /// The measurements of the next round trip begin (`BBRAdvanceLatestDeliverySignals`).
    pub(super) fn end_round(&mut self, sample: &RateSample) {
        if self.round_started {
            self.latest = (sample.rate.unwrap_or_default(), sample.delivered);
            self.events = 0;
        }
    }

    /// What was measured does not count for what comes (`BBRResetCongestionSignals`).
    pub(super) fn forget_signals(&mut self) {
        (self.loss_in_round, self.latest) = (false, (Rate::default(), 0));
    }

    /// `BBRResetShortTermModel`.
    pub(super) const fn forget_short_term(&mut self) {
        (self.rate, self.short_term) = (None, None);
    }

    /// The most bytes that were delivered in the time of a round trip.
    pub(super) const fn latest_flight(&self) -> u64 {
        self.latest.1
    }

    /// The long-term bound less what is left to others (`BBRInflightWithHeadroom`), and no less than `least`.
    pub(super) fn with_headroom(&self, segment: u64, least: u64) -> Option<u64> {
        self.long_term.map(|bound| {
            let headroom = thousandths(bound, HEADROOM).max(segment);
            bound.saturating_sub(headroom).max(least)
        })
    }

    /// More than the bound was in flight without too many losses.
    pub(super) fn raise(&mut self, flight: u64) {
        self.long_term = self.long_term.map(|bound| bound.max(flight));
    }

    /// Losses were too many with `flight` bytes under way; `target` is what the path should bear.
    pub(super) fn set_long_term(&mut self, flight: u64, target: u64) {
        self.long_term = Some(flight.max(thousandths(target, BETA)));
    }

    /// A probe is to begin.
    pub(super) const fn begin_probe(&mut self) {
        (self.probe.rounds, self.probe.delivered) = (0, 0);
    }

    /// The next step of a probe is twice as large (`BBRRaiseInflightLongtermSlope`).
    pub(super) fn steepen(&mut self, segment: u64, window: u64) {
        let growth = segment << self.probe.rounds;
        self.probe.rounds = (self.probe.rounds + 1).min(MOST_DOUBLINGS);
        self.probe.each = (window / growth.max(1)).max(1);
    }

    /// Raises the long-term bound for what was delivered in a probe that uses all of it
    /// (`BBRProbeInflightLongtermUpward`).
    pub(super) fn climb(&mut self, delivered: u64) {
        self.probe.delivered += delivered;
        let steps = self.probe.delivered / self.probe.each.max(1);
        self.probe.delivered -= steps * self.probe.each;
        self.long_term = self.long_term.map(|bound| bound + steps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn sent(in_flight: u64, lost: u64) -> SentState {
        SentState { in_flight, lost, application_limited: false }
    }

    #[test]
    fn two_in_a_hundred_are_borne_and_what_chance_adds_to_a_small_flight() {
        // In segments of 1000: 2, and the root of 2.
        assert!(!is_too_high(&sent(100_000, 3414), 1000));
        assert!(is_too_high(&sent(100_000, 3415), 1000));
        // 200, and the root of 200.
        assert!(!is_too_high(&sent(10_000_000, 214_142), 1000));
        assert!(is_too_high(&sent(10_000_000, 214_143), 1000));
        assert!(is_too_high(&sent(10_000, 1000), 1000));
        assert!(!is_too_high(&sent(0, 0), 1000));
    }

    #[test]
    fn the_flight_at_the_loss_is_where_losses_became_two_in_a_hundred() {
        // 1000 of 49,000 were borne when the last 1000 were sent and lost; 20 more would have been of the threshold.
        assert_eq!(flight_at_loss(&sent(50_000, 1000), 1000), 49_000 + 1000);
        assert_eq!(flight_at_loss(&sent(50_000, 5000), 1000), 49_000, "there were too many before");
        assert_eq!(flight_at_loss(&sent(100_000, 2000), 1000), 99_000 + 1000);
        assert_eq!(flight_at_loss(&sent(500, 2000), 1000), 0);
    }

    #[test]
    fn a_round_with_losses_lowers_to_what_was_delivered_and_by_no_more_than_three_tenths() {
        let mut bounds = Bounds::default();
        bounds.note_loss(10_000);
        bounds.note_loss(11_000);
        let sample = |prior, total, rate| RateSample {
            prior,
            total,
            delivered: total - prior,
            rate: Some(Rate(rate)),
            newly_lost: 1,
            ..RateSample::default()
        };
        bounds.update_latest(&sample(4000, 12_000, 900));
        assert!(!bounds.round_started);
        bounds.update_latest(&sample(10_000, 16_000, 500));
        assert!(bounds.round_started);
        bounds.lower(Rate(1000), 20_000, 1000);
        assert_eq!((bounds.rate, bounds.short_term), (Some(Rate(900)), Some(14_000)));
        bounds.end_round(&sample(10_000, 16_000, 500));
        bounds.lower(Rate(1000), 20_000, 1000);
        assert_eq!((bounds.rate, bounds.short_term), (Some(Rate(630)), Some(9800)));
        assert_eq!(bounds.events, 0);
        bounds.forget_short_term();
        assert_eq!((bounds.rate, bounds.short_term), (None, None));
    }

    #[test]
    fn a_bound_that_is_used_as_far_as_the_sender_meant_to_stays() {
        let latest = |rate, flight| Bounds { latest: (Rate(rate), flight), ..Bounds::default() };
        for (rate, gain, lowered) in [(950, 1000, false), (949, 1000, true), (855, 900, false), (854, 900, true)] {
            let mut bounds = latest(rate, 10 * rate);
            bounds.lower(Rate(1000), 10_000, gain);
            let (kept, less) = ((Some(Rate(1000)), Some(10_000)), (Some(Rate(rate)), Some(10 * rate)));
            assert_eq!((bounds.rate, bounds.short_term), if lowered { less } else { kept }, "{rate}");
        }
    }

    #[test]
    fn headroom_is_left_to_others() {
        let mut bounds = Bounds::default();
        assert_eq!(bounds.with_headroom(1000, 4000), None);
        bounds.set_long_term(100_000, 100_000);
        assert_eq!(bounds.with_headroom(1000, 4000), Some(85_000));
        bounds.set_long_term(4500, 0);
        assert_eq!(bounds.with_headroom(1000, 4000), Some(4000));
        bounds.set_long_term(10_000, 100_000);
        assert_eq!(bounds.long_term, Some(70_000), "no less than a part of what the path should bear");
        bounds.raise(60_000);
        bounds.raise(80_000);
        assert_eq!(bounds.long_term, Some(80_000));
    }

    #[test]
    fn a_probe_goes_up_by_twice_as_much_in_each_round() {
        let mut bounds = Bounds::default();
        bounds.set_long_term(20_000, 0);
        bounds.begin_probe();
        let grown: std::vec::Vec<u64> = (0..4)
            .map(|_| {
                let before = bounds.long_term.unwrap_or_default();
                bounds.steepen(1000, 20_000);
                (0..20).for_each(|_| bounds.climb(1000));
                bounds.long_term.unwrap_or_default() - before
            })
            .collect();
        assert_eq!(grown, [1000, 2000, 4000, 10_000]);
    }
}
