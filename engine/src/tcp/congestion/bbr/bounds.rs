//! The bounds on rate and data in flight that BBR derives from losses (draft-ietf-ccwg-bbr section 5.5.10).
//!
//! The long-term bound is what a probe has found to be too much; it lasts until a later probe exceeds it. The
//! short-term bounds follow losses at other times, and last until the next probe.

use crate::tcp::congestion::{Rate, RateSample, SentState};

/// The fraction of the data in flight that may be lost, in thousandths (`LossThresh`).
const LOSS_THRESHOLD: u64 = 20;
/// The fraction of the short-term bounds that remains after a round trip with losses, in thousandths (`Beta`).
const BETA: u64 = 700;
/// A short-term bound counts as used if this fraction of it was delivered, in thousandths. It is below 1000 by the
/// margin of the pacing (10), by the losses that are tolerated (20), and because bursts make measurements imprecise.
const USED: u64 = 950;
/// The fraction of the long-term bound that is left to other flows, in thousandths (`Headroom`).
const HEADROOM: u64 = 150;
/// The number of round trips after which a probe no longer doubles its steps.
const MAX_DOUBLINGS: u32 = 30;

/// See the [module](self). `None` means that there is no bound.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    /// `inflight_longterm`.
    pub(super) long_term: Option<u64>,
    /// `bw_shortterm` and `inflight_shortterm`.
    pub(super) rate: Option<Rate>,
    pub(super) short_term: Option<u64>,
    /// `bw_latest` and `inflight_latest`: the maxima of the present round trip, which began with a loss.
    latest: (Rate, u64),
    /// Something was lost in that round trip. It ends when data is delivered that was sent when this many bytes had
    /// been delivered.
    pub(super) loss_in_round: bool,
    loss_round: u64,
    /// The present acknowledgement has ended that round trip.
    pub(super) round_started: bool,
    /// The number of acknowledgements in it that showed losses.
    pub(super) events: u32,
    probe: Steps,
}

/// The steps by which a probe raises the long-term bound: twice as large in each round trip.
#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    /// `bw_probe_up_rounds`.
    rounds: u32,
    /// The bytes delivered since the last step, and the bytes that raise the bound by one byte (`probe_up_cnt`).
    delivered: u64,
    each: u64,
}

/// Whether more of the data in flight was lost than is tolerated. If little is in flight, two in a hundred are one or
/// two segments, which links also lose by chance; by the draft, each such loss would limit the sender for seconds. So
/// the losses that chance explains are tolerated too: the standard deviation of the number of losses.
pub(super) const fn is_too_high(sent: &SentState, segment: u64) -> bool {
    sent.lost > borne(sent.in_flight, segment)
}

/// The bytes of a flight whose loss is tolerated.
const fn borne(flight: u64, segment: u64) -> u64 {
    let mean = thousandths(flight, LOSS_THRESHOLD);
    // In segments, the square of the standard deviation is the mean.
    mean + mean.saturating_mul(segment).isqrt()
}

/// The bytes in flight at which losses became too many, if the last `bytes` of them were the last to be lost
/// (`InflightAtLoss`).
pub(super) const fn flight_at_loss(sent: &SentState, bytes: u64) -> u64 {
    let (before, lost) = (sent.in_flight.saturating_sub(bytes), sent.lost.saturating_sub(bytes));
    let allowed = thousandths(before, LOSS_THRESHOLD).saturating_sub(lost);
    before + allowed * 1000 / (1000 - LOSS_THRESHOLD)
}

const fn thousandths(bytes: u64, count: u64) -> u64 {
    bytes.saturating_mul(count) / 1000
}

impl Bounds {
    /// Records a loss when `total` bytes had been delivered. The first loss begins a round trip.
    pub(super) const fn note_loss(&mut self, total: u64) {
        if !self.loss_in_round {
            self.loss_round = total;
        }
        self.loss_in_round = true;
    }

    /// Records the latest measurements (`BBRUpdateLatestDeliverySignals`).
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

    /// At the end of a round trip with losses, lowers the short-term bounds to what was delivered in it, and at most by
    /// a fraction (`BBRAdaptLowerBoundsFromCongestion`). If there were no bounds, they start at `rate` and `window`.
    /// `gain` is the smallest pacing gain of the sender in that time, in thousandths.
    ///
    /// Even on a free path, the delivered data is less than a bound: by the margin of the pacing, by the losses that
    /// are tolerated, and if the sender was slower on purpose. If the bound was used apart from that, it stays. The
    /// draft would lower it a little in each round trip, down to a fraction of it until the next probe.
    pub(super) fn lower(&mut self, rate: Rate, window: u64, gain: u64) {
        let (latest_rate, latest_flight) = self.latest;
        let used = USED * gain / 1000;
        let bound = self.rate.unwrap_or(rate);
        self.rate = Some(if latest_rate >= bound.scaled(used) { bound } else { latest_rate.max(bound.scaled(BETA)) });
        let bound = self.short_term.unwrap_or(window);
        let is_used = latest_flight >= thousandths(bound, used);
        self.short_term = Some(if is_used { bound } else { latest_flight.max(thousandths(bound, BETA)) });
    }

    /// Begins the measurements of the next round trip (`BBRAdvanceLatestDeliverySignals`).
    pub(super) fn end_round(&mut self, sample: &RateSample) {
        if self.round_started {
            self.latest = (sample.rate.unwrap_or_default(), sample.delivered);
            self.events = 0;
        }
    }

    /// Forgets the measurements (`BBRResetCongestionSignals`).
    pub(super) fn forget_signals(&mut self) {
        (self.loss_in_round, self.latest) = (false, (Rate::default(), 0));
    }

    /// Removes the short-term bounds (`BBRResetShortTermModel`).
    pub(super) const fn forget_short_term(&mut self) {
        (self.rate, self.short_term) = (None, None);
    }

    /// The most bytes that were delivered in a round-trip time.
    pub(super) const fn latest_flight(&self) -> u64 {
        self.latest.1
    }

    /// The long-term bound less the headroom for other flows (`BBRInflightWithHeadroom`), but at least `least`.
    pub(super) fn with_headroom(&self, segment: u64, least: u64) -> Option<u64> {
        self.long_term.map(|bound| {
            let headroom = thousandths(bound, HEADROOM).max(segment);
            bound.saturating_sub(headroom).max(least)
        })
    }

    /// Raises the long-term bound, because more was in flight without too many losses.
    pub(super) fn raise(&mut self, flight: u64) {
        self.long_term = self.long_term.map(|bound| bound.max(flight));
    }

    /// Sets the long-term bound, because losses were too many with `flight` bytes in flight. `target` is what the path
    /// should bear.
    pub(super) fn set_long_term(&mut self, flight: u64, target: u64) {
        self.long_term = Some(flight.max(thousandths(target, BETA)));
    }

    /// Prepares for a probe.
    pub(super) const fn begin_probe(&mut self) {
        (self.probe.rounds, self.probe.delivered) = (0, 0);
    }

    /// Doubles the next step of a probe (`BBRRaiseInflightLongtermSlope`).
    pub(super) fn steepen(&mut self, segment: u64, window: u64) {
        let growth = segment << self.probe.rounds;
        self.probe.rounds = (self.probe.rounds + 1).min(MAX_DOUBLINGS);
        self.probe.each = (window / growth.max(1)).max(1);
    }

    /// Raises the long-term bound for bytes that were delivered in a probe that uses all of it
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
        // In segments of 1000 bytes: 2, and the root of 2.
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
        // 1000 of 49,000 bytes could be lost when the last 1000 were sent and lost; 20 more would have met the
        // threshold.
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
