//! The states of BBR and the transitions between them (draft-ietf-ccwg-bbr section 5.3).

use core::time::Duration;

use super::{Bbr, bounds};
use crate::tcp::congestion::{Rate, RateSample, SentState};
use crate::time::Instant;

/// How long ProbeRTT keeps little in flight (`ProbeRTTDuration`).
pub(super) const PROBE_RTT_DURATION: Duration = Duration::from_millis(200);
/// The time until the next probe for a higher rate: this time and a random number of milliseconds below the second
/// constant (section 5.3.3.5).
const PROBE_WAIT: Duration = Duration::from_secs(2);
const PROBE_WAIT_CHANCE: u64 = 1001;
/// A probe comes at the latest after the number of round trips in which Reno would grow by the bytes in flight, and
/// after this many.
const RENO_ROUNDS: u64 = 63;
/// The number of acknowledgements that show losses, in a round trip, that ends Startup (`BBRStartupFullLossCnt`).
const STARTUP_LOSSES: u32 = 6;
/// Drain ends after this many round trips, even if the queue is not gone.
const DRAIN_ROUNDS: u64 = 3;

// The gains of section 5.6.1, in thousandths.
const STARTUP_GAIN: u64 = 2773;
const DRAIN_GAIN: u64 = 500;
const DOWN_GAIN: u64 = 900;
const UP_GAIN: u64 = 1250;
const WINDOW_GAIN: u64 = 2000;
const UP_WINDOW_GAIN: u64 = 2250;
const PROBE_RTT_WINDOW_GAIN: u64 = 500;

/// The state of BBR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Searches for the rate of the path by doubling. Entered at the start, and again if the loss that ended it was
    /// spurious. Left for `Drain` when the rate does not grow any more, or after too many losses.
    Startup,
    /// Drains the queue that `Startup` has made. Left for `ProbeBandwidth` when no more is in flight than the path
    /// holds, or some rounds after the round `since`.
    Drain { since: u64 },
    /// Sends at the rate of the path, and probes for a higher one from time to time. Left for `ProbeRtt` if the
    /// shortest round-trip time has not been measured for a long time.
    ProbeBandwidth(Phase),
    /// Keeps little in flight, to measure the round-trip time without a queue. Left for `ProbeBandwidth`, or for
    /// `Startup` if that was not complete.
    ProbeRtt(ProbeRtt),
}

/// The phases of a probing cycle, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Sends more slowly than the path, until the queue is gone and there is headroom for other flows.
    Down,
    /// Sends as fast as the path, until it is time for a probe.
    Cruise,
    /// Sends as fast as the path for a round trip, with the maximum in flight.
    Refill,
    /// Sends faster than the path, until there are too many losses or the delivery rate does not follow.
    Up,
}

/// The progress of ProbeRTT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ProbeRtt {
    /// When it may end. Set once no more is in flight than intended.
    until: Option<Instant>,
    /// A round trip has passed since then.
    round_done: bool,
}

impl State {
    pub(super) const fn pacing_gain(self) -> u64 {
        match self {
            Self::Startup => STARTUP_GAIN,
            Self::Drain { .. } => DRAIN_GAIN,
            Self::ProbeBandwidth(Phase::Down) => DOWN_GAIN,
            Self::ProbeBandwidth(Phase::Up) => UP_GAIN,
            Self::ProbeBandwidth(Phase::Cruise | Phase::Refill) | Self::ProbeRtt(_) => 1000,
        }
    }

    pub(super) const fn window_gain(self) -> u64 {
        match self {
            Self::ProbeBandwidth(Phase::Up) => UP_WINDOW_GAIN,
            Self::ProbeRtt(_) => PROBE_RTT_WINDOW_GAIN,
            Self::Startup | Self::Drain { .. } | Self::ProbeBandwidth(_) => WINDOW_GAIN,
        }
    }

    pub(super) const fn is_probing_rtt(self) -> bool {
        matches!(self, Self::ProbeRtt(_))
    }

    const fn is_probe_bandwidth(self) -> bool {
        matches!(self, Self::ProbeBandwidth(_))
    }

    /// Whether the state probes for a higher rate: then losses are judged by their number.
    pub(super) const fn is_probing_rate(self) -> bool {
        matches!(self, Self::Startup | Self::ProbeBandwidth(Phase::Refill | Phase::Up))
    }
}

/// What the arriving acknowledgements report on (`ack_phase`): they lag behind the phases by a round trip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Feedback {
    /// Nothing in particular.
    #[default]
    None,
    Refilling,
    /// Still data that was sent before the probe.
    ProbeStarting,
    Probe,
    /// Still data of the probe, which has ended.
    ProbeStopping,
}

/// The progress of a probing cycle.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cycle {
    /// When it began (`cycle_stamp`), and how long it waits before it probes.
    began: Instant,
    wait: Duration,
    pub(super) rounds_since_probe: u64,
    feedback: Feedback,
    /// Whether losses are attributed to a probe (`bw_probe_samples`).
    pub(super) samples_probe: bool,
}

impl Bbr {
    /// The part of section 5.2.3 that changes the state.
    pub(super) fn update_state(&mut self, sample: &RateSample) {
        if self.rounds.started {
            self.full.update(sample);
        }
        self.check_startup(sample);
        self.check_drain(sample);
        self.update_cycle(sample);
        self.min_rtt.update(sample.rtt, sample.now);
        self.check_probe_rtt(sample);
    }

    /// Ends Startup when the pipe is full or losses are too many (sections 5.3.1.2 and 5.3.1.3).
    fn check_startup(&mut self, sample: &RateSample) {
        let losses = self.bounds.round_started && sample.recovering && self.bounds.events >= STARTUP_LOSSES;
        if !self.full.reached && losses && bounds::is_too_high(&sample.sent, self.segment) {
            self.end_startup_by_losses(sample.delivered);
        }
        if self.state == State::Startup && self.full.reached {
            self.state = State::Drain { since: self.rounds.count };
        }
    }

    /// Ends Startup because of losses: the path bears what was delivered in a round trip, and no more (section
    /// 5.3.1.3).
    pub(super) fn end_startup_by_losses(&mut self, delivered: u64) {
        let flight = self.bandwidth_delay(self.highest.highest(), 1000).max(self.bounds.latest_flight());
        self.bounds.long_term = Some(flight.max(delivered).max(self.least_window()));
        self.full.reached = true;
    }

    /// Ends Drain once the queue is gone (section 5.3.2).
    fn check_drain(&mut self, sample: &RateSample) {
        let State::Drain { since } = self.state else { return };
        if self.in_flight <= self.flight(1000) || self.rounds.count > since + DRAIN_ROUNDS {
            self.start_down(sample.now);
        }
    }

    /// Moves through the phases of a probing cycle (section 5.3.3.6).
    fn update_cycle(&mut self, sample: &RateSample) {
        if !self.full.reached {
            return;
        }
        // Evaluated before this acknowledgement raises the bound.
        let bounded = sample.limited && self.bounds.long_term.is_some_and(|bound| self.window >= bound);
        self.adapt_long_term(sample, bounded);
        let State::ProbeBandwidth(phase) = self.state else { return };
        match phase {
            Phase::Down | Phase::Cruise if self.is_time_to_probe(sample.now) => self.start_refill(),
            Phase::Down if self.is_time_to_cruise() => self.start_cruise(),
            Phase::Down | Phase::Cruise => {}
            Phase::Refill if self.rounds.started => {
                self.cycle.samples_probe = true;
                self.start_up(sample.now, sample.rate);
            }
            Phase::Refill => {}
            // The bound limits the rate, and it is being raised.
            Phase::Up if bounded => self.full.reset(sample.rate.unwrap_or_default()),
            Phase::Up if self.full.now => self.start_down(sample.now),
            Phase::Up => {}
        }
    }

    /// `BBRAdaptLongTermModel`. `bounded` says that the long-term bound limits the sender.
    fn adapt_long_term(&mut self, sample: &RateSample, bounded: bool) {
        match self.cycle.feedback {
            Feedback::ProbeStarting if self.rounds.started => self.cycle.feedback = Feedback::Probe,
            Feedback::ProbeStopping if self.rounds.started => {
                // Once in a cycle: later acknowledgements do not report on the probe.
                (self.cycle.feedback, self.cycle.samples_probe) = (Feedback::None, false);
                if self.state.is_probe_bandwidth() && !sample.sent.application_limited {
                    self.highest.advance();
                }
            }
            _ => {}
        }
        if self.bounds.long_term.is_none() || bounds::is_too_high(&sample.sent, self.segment) {
            return;
        }
        self.bounds.raise(sample.sent.in_flight);
        if self.state == State::ProbeBandwidth(Phase::Up) && bounded {
            self.bounds.climb(sample.newly_delivered);
            if self.rounds.started {
                self.bounds.steepen(self.segment, self.window);
            }
        }
    }

    /// `BBRIsTimeToProbeBW`: by the clock, or by the number of round trips that Reno would need to grow by as much.
    fn is_time_to_probe(&self, now: Instant) -> bool {
        let rounds = (self.target_flight() / self.segment.max(1)).min(RENO_ROUNDS);
        now - self.cycle.began > self.cycle.wait || self.cycle.rounds_since_probe >= rounds
    }

    /// `BBRIsTimeToCruise`: whether the queue is gone and there is headroom for other flows.
    fn is_time_to_cruise(&self) -> bool {
        let headroom = self.bounds.with_headroom(self.segment, self.least_window());
        headroom.is_none_or(|bound| self.in_flight <= bound) && self.in_flight <= self.flight(1000)
    }

    pub(super) fn start_down(&mut self, now: Instant) {
        self.bounds.forget_signals();
        self.cycle.began = now;
        // Flows that share a queue must not probe at the same time.
        self.cycle.rounds_since_probe = self.below(2);
        self.cycle.wait = PROBE_WAIT + Duration::from_millis(self.below(PROBE_WAIT_CHANCE));
        self.cycle.feedback = Feedback::ProbeStopping;
        self.rounds.restart(self.total);
        self.state = State::ProbeBandwidth(Phase::Down);
    }

    fn start_cruise(&mut self) {
        self.state = State::ProbeBandwidth(Phase::Cruise);
    }

    fn start_refill(&mut self) {
        self.bounds.forget_short_term();
        self.bounds.begin_probe();
        self.cycle.feedback = Feedback::Refilling;
        self.rounds.restart(self.total);
        self.state = State::ProbeBandwidth(Phase::Refill);
    }

    pub(super) fn start_up(&mut self, now: Instant, rate: Option<Rate>) {
        self.cycle.feedback = Feedback::ProbeStarting;
        self.cycle.began = now;
        self.rounds.restart(self.total);
        self.full.reset(rate.unwrap_or_default());
        self.bounds.steepen(self.segment, self.window);
        self.state = State::ProbeBandwidth(Phase::Up);
    }

    /// Handles a probe that was too much (section 5.5.10.2).
    pub(super) fn handle_flight_too_high(&mut self, sent: &SentState, now: Instant) {
        self.cycle.samples_probe = false;
        if !sent.application_limited {
            self.bounds.set_long_term(sent.in_flight, self.target_flight());
        }
        if self.state == State::ProbeBandwidth(Phase::Up) {
            self.start_down(now);
        }
    }

    /// Enters ProbeRTT when the round-trip time is to be measured again (section 5.3.4.3).
    fn check_probe_rtt(&mut self, sample: &RateSample) {
        if self.min_rtt.expired && !self.state.is_probing_rtt() && !self.restarted {
            self.save_window();
            self.state = State::ProbeRtt(ProbeRtt::default());
            self.cycle.feedback = Feedback::ProbeStopping;
            self.rounds.restart(self.total);
        }
        self.handle_probe_rtt(sample);
        if sample.delivered > 0 {
            self.restarted = false;
        }
    }

    fn handle_probe_rtt(&mut self, sample: &RateSample) {
        let State::ProbeRtt(ProbeRtt { until, round_done }) = self.state else { return };
        if until.is_none() {
            if self.in_flight <= self.probe_rtt_window() {
                let until = Some(sample.now + PROBE_RTT_DURATION);
                self.state = State::ProbeRtt(ProbeRtt { until, round_done: false });
                self.rounds.restart(self.total);
            }
            return;
        }
        self.state = State::ProbeRtt(ProbeRtt { until, round_done: round_done || self.rounds.started });
        if round_done || self.rounds.started {
            self.end_probe_rtt(sample.now);
        }
    }

    /// Ends ProbeRTT if its time is over (section 5.3.4.4).
    pub(super) fn end_probe_rtt(&mut self, now: Instant) {
        let State::ProbeRtt(ProbeRtt { until: Some(until), .. }) = self.state else { return };
        if now <= until {
            return;
        }
        self.min_rtt.renew(now);
        self.restore_window();
        self.bounds.forget_short_term();
        if self.full.reached {
            self.start_down(now);
            self.start_cruise();
        } else {
            self.state = State::Startup;
        }
    }
}
