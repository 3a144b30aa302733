//! BBR, version 3 (draft-ietf-ccwg-bbr): sends at the rate at which the path delivers, with little more in flight than the
//! path itself holds.
//!
//! | Room | Holds |
//! |---|---|
//! | here | the rate and the window that follow from all (draft section 5.6), and what a sender tells |
//! | `filters` | what is known of the path: rate, round-trip time, aggregation (section 5.5) |
//! | `bounds` | what losses have taught (section 5.5.10) |
//! | `states` | from Startup to ProbeRTT, and what each does (section 5.3) |
//!
//! Rates are bytes per second, gains are thousandths. There are integers only, as in CUBIC.

mod bounds;
mod filters;
mod states;

use core::time::Duration;

use bounds::Bounds;
use filters::{Aggregation, FullPipe, MaxRate, MinRtt, Rounds};
use states::{Cycle, Phase, State};

use super::{Acknowledgement, CongestionControl, MAXIMUM_WINDOW, Rate, RateSample, SentState, initial_window};
use crate::time::Instant;

/// The rate is kept this many thousandths of the path's, so that queues drain (`PacingMarginPercent`).
const MARGIN: u64 = 990;
/// The least window, in segments: fewer do not keep a peer busy that acknowledges every other one (`MinPipeCwnd`).
const LEAST_SEGMENTS: u64 = 4;
/// The rate before anything was measured is that of the initial window in this time (section 5.6.2).
const FIRST_RTT: Duration = Duration::from_millis(1);
/// What leaves or is acknowledged in one go, as time: bursts of the sender's pacing (section 5.5.8).
const QUANTUM: Duration = Duration::from_millis(2);

/// BBR for one connection.
#[derive(Clone, Debug)]
pub struct Bbr {
    /// Bytes in a full segment (SMSS).
    segment: u64,
    state: State,
    cycle: Cycle,
    rounds: Rounds,
    highest: MaxRate,
    min_rtt: MinRtt,
    aggregation: Aggregation,
    full: FullPipe,
    bounds: Bounds,
    /// The congestion window (`C.cwnd`), and what it was before a recovery or ProbeRTT (`prior_cwnd`).
    window: u64,
    prior_window: u64,
    /// `C.pacing_rate`: none before anything was measured.
    pacing: Option<Rate>,
    /// The least gain of the rate in the round trip before, and in the present one.
    gains: [u64; 2],
    /// `C.delivered` and `C.inflight` as of the last acknowledgement.
    total: u64,
    in_flight: u64,
    /// Since a loss or a timeout, until the recovery is over.
    recovering: bool,
    /// Something was lost in this recovery, or for the next one.
    losing: bool,
    /// What is under way was sent after a silence (`idle_restart`).
    restarted: bool,
    /// What the first loss of a recovery has found, for when it was none.
    undo: Option<Undo>,
    /// The state of a generator for how long to wait between probes.
    chance: u64,
}

/// What is restored where a loss was none (section 5.5.11).
#[derive(Clone, Copy, Debug)]
struct Undo {
    state: State,
    reached: bool,
    rate: Option<Rate>,
    short_term: Option<u64>,
    long_term: Option<u64>,
}

impl Bbr {
    /// A connection at its beginning, with the initial window for segments of this many bytes. `seed` is for how long it
    /// waits between probes.
    #[must_use]
    pub fn new(segment: usize, seed: u64) -> Self {
        let segment = segment.clamp(1, MAXIMUM_WINDOW);
        Self {
            segment: segment as u64,
            state: State::Startup,
            cycle: Cycle::default(),
            rounds: Rounds::default(),
            highest: MaxRate::default(),
            min_rtt: MinRtt::default(),
            aggregation: Aggregation::default(),
            full: FullPipe::default(),
            bounds: Bounds::default(),
            window: initial_window(segment) as u64,
            prior_window: 0,
            pacing: None,
            gains: [1000; 2],
            total: 0,
            in_flight: 0,
            recovering: false,
            losing: false,
            restarted: false,
            undo: None,
            chance: seed,
        }
    }

    fn initial_window(&self) -> u64 {
        initial_window(usize::try_from(self.segment).unwrap_or(MAXIMUM_WINDOW)) as u64
    }

    const fn least_window(&self) -> u64 {
        LEAST_SEGMENTS * self.segment
    }

    /// `BBR.bw`: the highest rate, within what losses allow.
    fn rate(&self) -> Rate {
        let highest = self.highest.highest();
        self.bounds.rate.map_or(highest, |bound| bound.min(highest))
    }

    /// So many thousandths of what the path holds at a rate (`BBRBDPMultiple`).
    fn bandwidth_delay(&self, rate: Rate, gain: u64) -> u64 {
        match self.min_rtt.shortest() {
            Some(rtt) => rate.scaled(gain).bytes_in(rtt),
            None => self.initial_window(),
        }
    }

    /// What is added where bytes move in heaps, so that none of the ends is idle between them (`BBRQuantizationBudget`).
    fn quantized(&self, flight: u64) -> u64 {
        let heap = self.pacing.map_or(0, |rate| rate.bytes_in(QUANTUM)) + 2 * self.segment;
        let flight = flight.max(heap).max(self.least_window());
        if self.state == State::ProbeBandwidth(Phase::Up) { flight + 2 * self.segment } else { flight }
    }

    /// `BBRInflight`: what is to be in flight for the highest rate.
    fn flight(&self, gain: u64) -> u64 {
        self.quantized(self.bandwidth_delay(self.highest.highest(), gain))
    }

    /// `BBRTargetInflight`.
    fn target_flight(&self) -> u64 {
        self.bandwidth_delay(self.rate(), 1000).min(self.window)
    }

    /// The rate before anything was measured but the round-trip time: the initial window in that.
    fn first_rate(&self, rtt: Option<Duration>) -> Rate {
        Rate::new(self.initial_window(), rtt.unwrap_or(FIRST_RTT)).scaled(State::Startup.pacing_gain())
    }

    /// Section 5.6.2. Until the pipe was full once, the rate only grows, from the first one on.
    fn set_pacing(&mut self, gain: u64) {
        let rate = self.rate().scaled(gain).scaled(MARGIN);
        let Some(rtt) = self.min_rtt.shortest() else { return };
        let least = if self.full.reached { Rate(1) } else { self.pacing.unwrap_or_else(|| self.first_rate(Some(rtt))) };
        self.pacing = Some(rate.max(least));
    }

    /// Section 5.6.4.6.
    fn set_window(&mut self, sample: &RateSample) {
        let most = self.bandwidth_delay(self.highest.highest(), self.state.window_gain());
        let most = self.quantized(most + self.aggregation.extra());
        let grown = self.window + sample.newly_delivered;
        if self.full.reached {
            self.window = grown.min(most);
        } else if self.window < most || self.total < self.initial_window() {
            self.window = grown;
        }
        self.window = self.window.max(self.least_window());
        if self.state.is_probing_rtt() {
            self.window = self.window.min(self.probe_rtt_window());
        }
        self.bound_window();
    }

    /// `BBRProbeRTTCwnd`.
    fn probe_rtt_window(&self) -> u64 {
        self.bandwidth_delay(self.rate(), self.state.window_gain()).max(self.least_window())
    }

    /// Section 5.6.4.7: no more than losses allow.
    fn bound_window(&mut self) {
        let headroom = || self.bounds.with_headroom(self.segment, self.least_window());
        let long_term = match self.state {
            State::Startup | State::Drain { .. } => None,
            State::ProbeBandwidth(Phase::Cruise) | State::ProbeRtt(_) => headroom(),
            State::ProbeBandwidth(Phase::Down | Phase::Refill | Phase::Up) => self.bounds.long_term,
        };
        for bound in [long_term, self.bounds.short_term, Some(MAXIMUM_WINDOW as u64)].into_iter().flatten() {
            self.window = self.window.min(bound.max(self.least_window()));
        }
    }

    /// `BBRSaveCwnd`: what the window is to be after a recovery or ProbeRTT.
    fn save_window(&mut self) {
        let lowered = self.recovering || self.state.is_probing_rtt();
        self.prior_window = if lowered { self.prior_window.max(self.window) } else { self.window };
    }

    fn restore_window(&mut self) {
        self.window = self.window.max(self.prior_window);
    }

    /// `BBRNoteLoss`. What the first loss of a recovery has found is remembered: by the time that all of them turn out to be
    /// none, the first may have ended a probe, and others have been noted in another state (section 5.5.11).
    fn note_loss(&mut self) {
        self.bounds.note_loss(self.total);
        if !self.losing {
            let Bounds { rate, short_term, long_term, .. } = self.bounds;
            self.undo = Some(Undo { state: self.state, reached: self.full.reached, rate, short_term, long_term });
        }
        self.losing = true;
    }

    /// What is measured now was sent in the round trip before.
    fn note_gain(&mut self) {
        let (gain, [before, present]) = (self.state.pacing_gain(), self.gains);
        self.gains = if self.rounds.started { [present, gain] } else { [before, present.min(gain)] };
    }

    /// Section 5.5.10.3: outside of probes, a round trip with losses lowers the short-term bounds.
    fn adapt_short_term(&mut self) {
        if !self.bounds.round_started {
            return;
        }
        if self.bounds.loss_in_round && !self.state.is_probing_rate() {
            let [before, present] = self.gains;
            self.bounds.lower(self.highest.highest(), self.window, before.min(present).min(1000));
        }
        self.bounds.loss_in_round = false;
    }

    /// A number below `bound`, each about as likely as the others (the generator "splitmix64" of G. Steele and others).
    fn below(&mut self, bound: u64) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(bound).unwrap_or(0)
    }
}

impl CongestionControl for Bbr {
    fn window(&self) -> usize {
        usize::try_from(self.window).unwrap_or(MAXIMUM_WINDOW).min(MAXIMUM_WINDOW)
    }

    /// There is none: no window leads to it.
    fn threshold(&self) -> usize {
        MAXIMUM_WINDOW
    }

    fn set_segment_size(&mut self, bytes: usize) {
        let segment = bytes.clamp(1, MAXIMUM_WINDOW) as u64;
        if segment == self.segment {
            return;
        }
        self.segment = segment;
        let begun = self.total > 0 || self.recovering;
        self.window = if begun { self.window.max(segment) } else { self.initial_window() };
    }

    /// Everything is learnt from samples.
    fn on_acknowledgement(&mut self, _acknowledgement: &Acknowledgement) {}

    /// The window stays: losses lower the bounds, once in a round trip (sections 5.5.10 and 5.6.4.4).
    fn on_congestion(&mut self, _now: Instant, _in_flight: usize) {
        self.save_window();
        self.note_loss();
        self.recovering = true;
    }

    /// The draft leaves marks by RFC 3168 open. They are taken for losses: more than are borne, where a probe or Startup
    /// has filled the queue.
    fn on_mark(&mut self, now: Instant, in_flight: usize) {
        self.note_loss();
        let sent = SentState { in_flight: in_flight as u64, ..SentState::default() };
        if self.state == State::Startup {
            self.end_startup_by_losses(0);
        } else if self.cycle.samples_probe {
            self.handle_flight_too_high(&sent, now);
        }
    }

    /// Section 5.6.4.4: one segment, and from there as in Startup.
    fn on_timeout(&mut self, _now: Instant, _in_flight: usize, first: bool) {
        if first {
            self.save_window();
        }
        self.recovering = true;
        self.window = self.segment;
    }

    fn on_recovered(&mut self, _now: Instant) {}

    /// Section 5.5.11.2.
    fn undo(&mut self, now: Instant) {
        self.restore_window();
        self.recovering = false;
        self.losing = false;
        let Some(undo) = self.undo.take() else { return };
        self.bounds.loss_in_round = false;
        self.full.reset(Rate::default());
        // Where there was no bound, there is none again.
        self.bounds.rate = self.bounds.rate.zip(undo.rate).map(|(bound, saved)| bound.max(saved));
        for (bound, saved) in
            [(&mut self.bounds.short_term, undo.short_term), (&mut self.bounds.long_term, undo.long_term)]
        {
            *bound = bound.zip(saved).map(|(bound, saved)| bound.max(saved));
        }
        if self.state.is_probing_rtt() || self.state == undo.state {
            return;
        }
        match undo.state {
            State::Startup => {
                self.full.reached = undo.reached;
                self.state = State::Startup;
            }
            State::ProbeBandwidth(Phase::Up) => self.start_up(now, None),
            State::Drain { .. } | State::ProbeBandwidth(_) | State::ProbeRtt(_) => {}
        }
    }

    /// A silence leaves the model as it was: samples are marked, and [`on_restart`](Self::on_restart) does the rest.
    fn on_idle(&mut self, _now: Instant, _idle: Duration, _timeout: Duration) {}

    fn pacing_rate(&self, smoothed_rtt: Option<Duration>) -> Option<Rate> {
        let rate = self.pacing.unwrap_or_else(|| self.first_rate(smoothed_rtt));
        // However low the rate that was measured, a segment leaves in a round-trip time: else nothing would be measured.
        let least = smoothed_rtt.map_or(Rate(1), |rtt| Rate::new(self.segment, rtt));
        Some(rate.max(least))
    }

    fn rules_recovery(&self) -> bool {
        true
    }

    fn wants_samples(&self) -> bool {
        true
    }

    /// Section 5.2.3.
    fn on_sample(&mut self, sample: &RateSample) {
        (self.total, self.in_flight) = (sample.total, sample.in_flight);
        if self.recovering && !sample.recovering {
            self.restore_window();
        }
        self.recovering = sample.recovering;
        self.losing &= sample.recovering;
        self.bounds.update_latest(sample);
        self.rounds.update(sample);
        self.note_gain();
        self.cycle.rounds_since_probe += u64::from(self.rounds.started);
        if let Some(rate) = sample.rate.filter(|rate| *rate > Rate(0)) {
            self.highest.update(rate, sample.sent.application_limited);
        }
        self.adapt_short_term();
        self.aggregation.update(sample, self.rate(), self.window, self.rounds.count, self.full.reached);
        self.update_state(sample);
        self.bounds.end_round(sample);
        self.set_pacing(self.state.pacing_gain());
        self.set_window(sample);
    }

    /// Section 5.5.10.2.
    fn on_lost(&mut self, now: Instant, bytes: u64, sent: &SentState) {
        self.note_loss();
        if self.cycle.samples_probe && bounds::is_too_high(sent, self.segment) {
            let in_flight = bounds::flight_at_loss(sent, bytes);
            self.handle_flight_too_high(&SentState { in_flight, ..*sent }, now);
        }
    }

    /// Section 5.4.1.
    fn on_restart(&mut self, now: Instant) {
        self.restarted = true;
        self.aggregation.restart(now);
        match self.state {
            State::ProbeBandwidth(_) => self.set_pacing(1000),
            State::ProbeRtt(_) => self.end_probe_rtt(now),
            State::Startup | State::Drain { .. } => {}
        }
    }

    fn holds_back(&self) -> bool {
        self.state.is_probing_rtt()
    }
}

#[cfg(test)]
mod tests;
