//! BBR, version 3 (draft-ietf-ccwg-bbr): sends at the rate at which the path delivers, and keeps only a little more in
//! flight than the path itself holds.
//!
//! | Module | Contents |
//! |---|---|
//! | this file | the pacing rate and the window (draft section 5.6), and the calls of the sender |
//! | `filters` | what was measured of the path: rate, round-trip time, aggregation (section 5.5) |
//! | `bounds` | the bounds that follow from losses (section 5.5.10) |
//! | `states` | the states from Startup to ProbeRTT, and their transitions (section 5.3) |
//!
//! Rates are in bytes per second, gains in thousandths. Only integers are used, as in CUBIC.

mod bounds;
mod filters;
mod states;

use core::time::Duration;

use super::{Acknowledgement, CongestionControl, MAXIMUM_WINDOW, Rate, RateSample, SentState, initial_window};
use crate::time::Instant;
use bounds::Bounds;
use filters::{Aggregation, FullPipe, MaxRate, MinRtt, Rounds};
use states::{Cycle, Phase, State};

/// The pacing rate in thousandths of the path's rate, below 1000 so that queues drain (`PacingMarginPercent`).
const MARGIN: u64 = 990;
/// The minimum window in segments: with fewer, a peer that acknowledges every other segment would be idle
/// (`MinPipeCwnd`).
const MIN_SEGMENTS: u64 = 4;
/// The round-trip time that is assumed for the first pacing rate, before anything was measured (section 5.6.2).
const FIRST_RTT: Duration = Duration::from_millis(1);
/// The length of the bursts in which data is sent or acknowledged, due to the sender's pacing (section 5.5.8).
const QUANTUM: Duration = Duration::from_millis(2);

/// BBR for one connection.
#[derive(Clone, Debug)]
pub struct Bbr {
    /// The bytes in a full segment (SMSS).
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
    /// `C.pacing_rate`: `None` before anything was measured.
    pacing: Option<Rate>,
    /// The smallest pacing gain of the previous round trip, and of the present one.
    gains: [u64; 2],
    /// `C.delivered` and `C.inflight` as of the last acknowledgement.
    total: u64,
    in_flight: u64,
    /// Set from a loss or a timeout until the recovery is over.
    recovering: bool,
    /// Something was lost in this recovery, or will count for the next one.
    losing: bool,
    /// The data in flight was sent after an idle time (`idle_restart`).
    restarted: bool,
    /// The state at the first loss of a recovery, in case the loss is spurious.
    undo: Option<Undo>,
    /// The state of the random generator for the time between probes.
    chance: u64,
}

/// The state that is restored if a loss was spurious (section 5.5.11).
#[derive(Clone, Copy, Debug)]
struct Undo {
    state: State,
    reached: bool,
    rate: Option<Rate>,
    short_term: Option<u64>,
    long_term: Option<u64>,
}

impl Bbr {
    /// The state at the start of a connection, with the initial window for segments of this many bytes. `seed` is for
    /// the random time between probes.
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
        MIN_SEGMENTS * self.segment
    }

    /// `BBR.bw`: the highest rate, limited by the bound that follows from losses.
    fn rate(&self) -> Rate {
        let highest = self.highest.highest();
        self.bounds.rate.map_or(highest, |bound| bound.min(highest))
    }

    /// The bandwidth-delay product at a rate, times `gain` (`BBRBDPMultiple`).
    fn bandwidth_delay(&self, rate: Rate, gain: u64) -> u64 {
        match self.min_rtt.shortest() {
            Some(rtt) => rate.scaled(gain).bytes_in(rtt),
            None => self.initial_window(),
        }
    }

    /// Raises a number of bytes in flight so that neither end is idle between bursts (`BBRQuantizationBudget`).
    fn quantized(&self, flight: u64) -> u64 {
        let heap = self.pacing.map_or(0, |rate| rate.bytes_in(QUANTUM)) + 2 * self.segment;
        let flight = flight.max(heap).max(self.least_window());
        if self.state == State::ProbeBandwidth(Phase::Up) { flight + 2 * self.segment } else { flight }
    }

    /// `BBRInflight`: the intended bytes in flight for the highest rate.
    fn flight(&self, gain: u64) -> u64 {
        self.quantized(self.bandwidth_delay(self.highest.highest(), gain))
    }

    /// `BBRTargetInflight`: the bytes in flight that the path should bear.
    fn target_flight(&self) -> u64 {
        self.bandwidth_delay(self.rate(), 1000).min(self.window)
    }

    /// The first pacing rate, when at most the round-trip time was measured: the initial window per round trip.
    fn first_rate(&self, rtt: Option<Duration>) -> Rate {
        Rate::new(self.initial_window(), rtt.unwrap_or(FIRST_RTT)).scaled(State::Startup.pacing_gain())
    }

    /// Sets the pacing rate (section 5.6.2). Until the pipe was full once, the rate only grows.
    fn set_pacing(&mut self, gain: u64) {
        let rate = self.rate().scaled(gain).scaled(MARGIN);
        let Some(rtt) = self.min_rtt.shortest() else { return };
        let least = if self.full.reached { Rate(1) } else { self.pacing.unwrap_or_else(|| self.first_rate(Some(rtt))) };
        self.pacing = Some(rate.max(least));
    }

    /// Sets the window (section 5.6.4.6).
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

    /// `BBRProbeRTTCwnd`: the window in ProbeRTT.
    fn probe_rtt_window(&self) -> u64 {
        self.bandwidth_delay(self.rate(), self.state.window_gain()).max(self.least_window())
    }

    /// Limits the window by the bounds that follow from losses (section 5.6.4.7).
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

    /// `BBRSaveCwnd`: saves the window that is restored after a recovery or ProbeRTT.
    fn save_window(&mut self) {
        let lowered = self.recovering || self.state.is_probing_rtt();
        self.prior_window = if lowered { self.prior_window.max(self.window) } else { self.window };
    }

    fn restore_window(&mut self) {
        self.window = self.window.max(self.prior_window);
    }

    /// `BBRNoteLoss`. The state at the first loss of a recovery is saved: by the time all losses turn out to be
    /// spurious, the first may have ended a probe, and others have been noted in another state (section 5.5.11).
    fn note_loss(&mut self) {
        self.bounds.note_loss(self.total);
        if !self.losing {
            let Bounds { rate, short_term, long_term, .. } = self.bounds;
            self.undo = Some(Undo { state: self.state, reached: self.full.reached, rate, short_term, long_term });
        }
        self.losing = true;
    }

    /// Records the pacing gain, because what is measured now was sent in the previous round trip.
    fn note_gain(&mut self) {
        let (gain, [before, present]) = (self.state.pacing_gain(), self.gains);
        self.gains = if self.rounds.started { [present, gain] } else { [before, present.min(gain)] };
    }

    /// Outside of probes, a round trip with losses lowers the short-term bounds (section 5.5.10.3).
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

    /// A random number below `bound`, nearly uniform (the generator "splitmix64" of G. Steele and others).
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

    /// BBR has no threshold.
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

    /// BBR learns only from samples.
    fn on_acknowledgement(&mut self, _acknowledgement: &Acknowledgement) {}

    /// The window stays: losses lower only the bounds, once in a round trip (sections 5.5.10 and 5.6.4.4).
    fn on_congestion(&mut self, _now: Instant, _in_flight: usize) {
        self.save_window();
        self.note_loss();
        self.recovering = true;
    }

    /// The draft does not say how to react to marks of RFC 3168. They are treated as too many losses if a probe or
    /// Startup has filled the queue.
    fn on_mark(&mut self, now: Instant, in_flight: usize) {
        self.note_loss();
        let sent = SentState { in_flight: in_flight as u64, ..SentState::default() };
        if self.state == State::Startup {
            self.end_startup_by_losses(0);
        } else if self.cycle.samples_probe {
            self.handle_flight_too_high(&sent, now);
        }
    }

    /// The window becomes one segment, and grows as in Startup (section 5.6.4.4).
    fn on_timeout(&mut self, _now: Instant, _in_flight: usize, first: bool) {
        if first {
            self.save_window();
        }
        self.recovering = true;
        self.window = self.segment;
    }

    fn on_recovered(&mut self, _now: Instant) {}

    /// Restores what spurious losses have changed (section 5.5.11.2).
    fn undo(&mut self, now: Instant) {
        self.restore_window();
        self.recovering = false;
        self.losing = false;
        let Some(undo) = self.undo.take() else { return };
        self.bounds.loss_in_round = false;
        self.full.reset(Rate::default());
        // If there was no bound before, there is none again.
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

    /// An idle time leaves the model as it was: samples are marked as limited by the application, and
    /// [`on_restart`](Self::on_restart) does the rest.
    fn on_idle(&mut self, _now: Instant, _idle: Duration, _timeout: Duration) {}

    fn pacing_rate(&self, smoothed_rtt: Option<Duration>) -> Option<Rate> {
        let rate = self.pacing.unwrap_or_else(|| self.first_rate(smoothed_rtt));
        // However low the measured rate is, a segment is sent in each round-trip time; otherwise nothing would be
        // measured.
        let least = smoothed_rtt.map_or(Rate(1), |rtt| Rate::new(self.segment, rtt));
        Some(rate.max(least))
    }

    fn rules_recovery(&self) -> bool {
        true
    }

    fn wants_samples(&self) -> bool {
        true
    }

    /// Updates the model, the state, the pacing rate and the window for an acknowledgement (section 5.2.3).
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

    /// Ends a probe if its losses are too many (section 5.5.10.2).
    fn on_lost(&mut self, now: Instant, bytes: u64, sent: &SentState) {
        self.note_loss();
        if self.cycle.samples_probe && bounds::is_too_high(sent, self.segment) {
            let in_flight = bounds::flight_at_loss(sent, bytes);
            self.handle_flight_too_high(&SentState { in_flight, ..*sent }, now);
        }
    }

    /// Restarts from idle (section 5.4.1).
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
