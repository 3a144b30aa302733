//! CUBIC (RFC 9438), with HyStart++ (RFC 9406) in the first slow start.
//!
//! All windows are in bytes, where the RFC counts segments, and times are in microseconds, where it counts seconds.
//! Only integers are used, because `core` has no cube root, and because integers give the same windows on every
//! platform. A window is at least a segment and at most [`MAXIMUM_WINDOW`], and a segment at most 65,535 bytes; larger
//! arguments are cut to that, so that nothing overflows.

use core::time::Duration;

use super::hystart::{Growth, HyStart};
use super::{Acknowledgement, CongestionControl, MAXIMUM_WINDOW, Rate, initial_window};
use crate::tcp::sequence::Sequence;
use crate::time::Instant;

/// The largest window, in bytes.
const MAXIMUM: u64 = MAXIMUM_WINDOW as u64;

/// The largest segment, in bytes: the option that announces it has 16 bits (RFC 9293 section 3.7.1).
const MAXIMUM_SEGMENT: usize = 65_535;

/// The fraction of the window that remains after congestion, in tenths (beta_cubic, RFC 9438 section 4.6).
const BETA: u64 = 7;

/// The growth of the Reno estimate, in seventeenths of a segment per round trip: 3 * (1 - beta) / (1 + beta), which is
/// 9/17 (alpha_cubic, RFC 9438 section 4.3).
const ALPHA: u64 = 9;
const ALPHA_DIVISOR: u64 = 17;

/// Windows of up to this many segments, and shorter round-trip times, are not paced: the timers of hosts are too coarse
/// for that.
const UNPACED_SEGMENTS: u64 = 64;
const UNPACED_RTT: Duration = Duration::from_millis(2);

/// The pacing rate in thousandths of one window per round trip. It is above 1000 so that the window can double in slow
/// start, and grow otherwise (Linux, `tcp_update_pacing_rate`).
const SLOW_START_PACE: u64 = 2000;
const AVOIDANCE_PACE: u64 = 1200;

/// C of RFC 9438 section 5.1, 0.4 segments per second cubed, is C_NUMERATOR / C_DENOMINATOR segments per microsecond
/// cubed.
const C_NUMERATOR: u128 = 4;
const C_DENOMINATOR: u128 = 10_000_000_000_000_000_000;

/// The time in microseconds after which the cubic function exceeds every possible window, even with segments of a byte.
/// Longer times are treated as this, so that the cube fits in 128 bits.
const LONGEST: u64 = 10_000_000_000;

/// CUBIC for one connection.
#[derive(Clone, Debug)]
pub struct Cubic {
    /// The bytes in a full segment (SMSS).
    segment: u64,
    state: State,
    /// The state before the latest loss or timeout, while that can be undone.
    undo: Option<State>,
    /// Set from a loss to the end of its recovery, unless the recovery is undone or times out.
    recovering: bool,
    /// Whether any data was acknowledged or lost. Until then the window is the initial window.
    begun: bool,
    hystart: HyStart,
    usage: Usage,
}

/// What an undo restores: the variables that RFC 9438 section 4.9.2 names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// The congestion window (cwnd).
    window: u64,
    /// The slow start threshold (ssthresh). `None` until the first slow start ends: every window is below it.
    threshold: Option<u64>,
    /// The window when the threshold was last set (cwnd_prior).
    prior: u64,
    /// The window at which congestion is expected (W_max). `None` before the first congestion and after a timeout: then
    /// congestion avoidance expects it at the window where it begins (RFC 9438 sections 4.8 and 4.10).
    saturation: Option<u64>,
    /// The current stage of congestion avoidance, if any. It begins with the first acknowledgement that may open the
    /// window, and ends with the next congestion or slow start.
    epoch: Option<Epoch>,
}

/// A stage of congestion avoidance (RFC 9438 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Epoch {
    /// When it began (t_epoch), moved forward by all the time in which the window was not the limit.
    start: Instant,
    /// The time up to which the stage's duration is accounted for.
    seen: Instant,
    /// The window around which the cubic function is flat (W_max).
    plateau: u64,
    /// Microseconds from the start to the plateau (K).
    to_plateau: u64,
    /// The remainder of a byte of window growth, as a numerator over the window.
    window_rest: u64,
    /// The estimate of Reno's window (W_est).
    reno: u64,
    /// The remainder of a byte of that estimate's growth, as a numerator over 17 windows.
    reno_rest: u64,
}

impl Cubic {
    /// The state at the start of a connection, with the initial window for segments of this many bytes.
    #[must_use]
    pub fn new(segment: usize) -> Self {
        let segment = segment.clamp(1, MAXIMUM_SEGMENT);
        let window = initial_window(segment) as u64;
        Self {
            segment: segment as u64,
            state: State { window, threshold: None, prior: window, saturation: None, epoch: None },
            undo: None,
            recovering: false,
            begun: false,
            hystart: HyStart::new(),
            usage: Usage::default(),
        }
    }

    fn initial_window(&self) -> u64 {
        initial_window(self.segment as usize) as u64
    }

    fn slow_start_threshold(&self) -> u64 {
        self.state.threshold.unwrap_or(MAXIMUM)
    }

    /// Slow start (RFC 9438 section 4.10). Only the first slow start uses HyStart++: later ones end at a threshold that
    /// is known (RFC 9406 section 4.3).
    ///
    /// The window grows by all acknowledged bytes, however few acknowledgements report them: L of RFC 9406 section 4.2
    /// is infinite, as in Linux, though small windows are not paced. Receivers that merge segments acknowledge dozens
    /// of them at once; with a limit of eight segments for each such acknowledgement, the window would grow by only a
    /// fifth in a round trip. The burst that follows is at most twice the data that has just left the path.
    fn slow_start(&mut self, acknowledgement: &Acknowledgement) {
        let Acknowledgement { unacknowledged, next, rtt, .. } = *acknowledgement;
        self.state.epoch = None;
        let growth = match self.state.threshold {
            None => self.hystart.on_acknowledgement(unacknowledged, next, rtt),
            Some(_) => Growth::Full,
        };
        if acknowledgement.limited {
            let bytes = bounded(acknowledgement.bytes);
            self.state.window = (self.state.window + growth.share(bytes)).min(self.slow_start_threshold());
        }
        if growth == Growth::Over {
            self.state.threshold = Some(self.state.window);
            self.state.prior = self.state.window;
            self.state.saturation = None;
        }
    }

    /// Congestion avoidance (RFC 9438 sections 4.2 to 4.5).
    fn avoid_congestion(&mut self, acknowledgement: &Acknowledgement) {
        let Acknowledgement { now, limited, rtt, smoothed_rtt, .. } = *acknowledgement;
        if !limited {
            // RFC 9438 section 5.8: a window that is not used does not grow, and the stage's time is paused.
            if let Some(epoch) = &mut self.state.epoch {
                epoch.pause(now);
            }
            return;
        }
        let mut epoch = match self.state.epoch {
            Some(epoch) => epoch,
            None => self.begin_epoch(now),
        };
        epoch.go_on(now, rtt.or(smoothed_rtt));
        let State { window, prior, .. } = self.state;
        let bytes = bounded(acknowledgement.bytes).min(window);
        epoch.grow_reno(bytes, window, prior, self.segment);
        let elapsed = microseconds(now - epoch.start);
        self.state.window = if epoch.reno > window && epoch.cubic(elapsed, self.segment) < epoch.reno {
            // RFC 9438 section 4.3: the Reno-friendly region.
            epoch.reno
        } else {
            // RFC 9438 sections 4.4 and 4.5: the concave and the convex region.
            let round_trip = microseconds(smoothed_rtt.or(rtt).unwrap_or_default());
            let target = epoch.cubic(elapsed + round_trip, self.segment).clamp(window, window + window / 2);
            epoch.grow(bytes, window, target)
        };
        self.state.epoch = Some(epoch);
    }

    fn begin_epoch(&mut self, now: Instant) -> Epoch {
        let window = self.state.window;
        // If no congestion is expected above the window, the function begins at its plateau (RFC 9438 sections 4.8 and
        // 4.10).
        let plateau = self.state.saturation.map_or(window, |saturation| saturation.max(window));
        self.state.saturation = Some(plateau);
        Epoch {
            start: now,
            seen: now,
            plateau,
            to_plateau: time_to_gain(plateau - window, self.segment),
            window_rest: 0,
            reno: window,
            reno_rest: 0,
        }
    }

    /// The window after congestion, before any minimum is applied. RFC 9438 section 4.6 computes it from the bytes in
    /// flight. These are too few if an application has paused just then, while the window is too large if it has long
    /// not been used. So it is computed from the most that was used recently, as in RFC 7661 section 4.4.1.
    fn reduced(&self, in_flight: usize) -> u64 {
        let proven = self.usage.most().max(bounded(in_flight)).min(self.state.window);
        proven * BETA / 10
    }

    /// Records the window at which congestion is expected: where it was found, or below if that is less than was
    /// expected, to make room for newer flows (fast convergence, RFC 9438 section 4.7).
    fn expect_congestion(&mut self) {
        let window = self.state.window;
        self.state.saturation = Some(match self.state.saturation {
            Some(saturation) if window < saturation => window * (10 + BETA) / 20,
            _ => window,
        });
    }

    /// Lowers the threshold and records the window (RFC 9438 section 4.6, Figure 5). Returns the new window, before any
    /// minimum is applied.
    fn lower_threshold(&mut self, in_flight: usize) -> u64 {
        let reduced = self.reduced(in_flight);
        self.begun = true;
        self.state.prior = self.state.window;
        self.state.threshold = Some(reduced.max(2 * self.segment));
        self.state.epoch = None;
        reduced
    }
}

impl CongestionControl for Cubic {
    fn window(&self) -> usize {
        self.state.window as usize
    }

    fn threshold(&self) -> usize {
        self.slow_start_threshold() as usize
    }

    fn set_segment_size(&mut self, bytes: usize) {
        let segment = bytes.clamp(1, MAXIMUM_SEGMENT) as u64;
        if segment == self.segment {
            return;
        }
        self.segment = segment;
        if self.begun {
            self.state.window = self.state.window.max(segment);
            // The cubic function is steeper with larger segments. It restarts at the present window, which would jump
            // otherwise.
            self.state.epoch = None;
        } else {
            // RFC 5681 section 3.1: the initial window depends on the size of segments.
            self.state.window = self.initial_window();
            self.state.prior = self.state.window;
        }
    }

    fn on_acknowledgement(&mut self, acknowledgement: &Acknowledgement) {
        self.begun = true;
        // RFC 9438 section 4.10 uses slow start also if the two are equal, but then each recovery and HyStart++ would
        // end in it. RFC 5681 section 3.1 leaves the choice.
        if self.state.window < self.slow_start_threshold() {
            self.slow_start(acknowledgement);
        } else {
            self.avoid_congestion(acknowledgement);
        }
        // Called after the window has grown: a sender that the window limits fills it at once.
        self.usage.note(acknowledgement, self.state.window);
    }

    fn on_congestion(&mut self, _now: Instant, in_flight: usize) {
        self.undo = Some(self.state);
        self.expect_congestion();
        self.lower_threshold(in_flight);
        self.state.window = self.slow_start_threshold();
        self.recovering = true;
    }

    fn on_mark(&mut self, _now: Instant, in_flight: usize) {
        // RFC 4015 section 3.4: earlier losses may have been spurious, but the path is congested in any case.
        self.undo = None;
        self.expect_congestion();
        // RFC 9438 section 4.6: marks lower the window down to a single segment.
        self.state.window = self.lower_threshold(in_flight).max(self.segment);
    }

    fn on_timeout(&mut self, _now: Instant, in_flight: usize, first: bool) {
        if first {
            self.undo = Some(self.state);
            self.lower_threshold(in_flight);
        }
        self.begun = true;
        self.recovering = false;
        // RFC 9438 section 4.8: congestion avoidance after slow start begins at its plateau.
        self.state.saturation = None;
        self.state.epoch = None;
        // RFC 5681 section 3.1: the loss window.
        self.state.window = self.segment;
    }

    fn on_recovered(&mut self, _now: Instant) {
        if self.recovering {
            self.recovering = false;
            self.state.window = self.state.window.min(self.slow_start_threshold()).max(self.segment);
        }
    }

    fn undo(&mut self, now: Instant) {
        let Some(before) = self.undo.take() else {
            return;
        };
        self.recovering = false;
        // RFC 9438 section 4.9.2: long after the event, the window may have grown beyond the old one.
        if self.state.window >= before.window {
            return;
        }
        self.state = before;
        self.state.window = before.window.max(self.segment);
        if let Some(epoch) = &mut self.state.epoch {
            // t_epoch is restored as it was: the function continues as if nothing had been lost.
            epoch.seen = now;
        }
        // If the first slow start continues, its rounds start again: those before the event are long over.
        self.hystart = HyStart::new();
    }

    fn on_idle(&mut self, now: Instant, idle: Duration, timeout: Duration) {
        let timeouts = idle.as_nanos() / timeout.as_nanos().max(1);
        let window = self.state.window;
        // RFC 5681 section 4.1: the restart window.
        let restart = self.initial_window().min(window);
        if let Some(epoch) = &mut self.state.epoch {
            epoch.pause(now);
        }
        if timeouts == 0 || window == restart {
            return;
        }
        self.begun = true;
        // RFC 2861 section 3.1: the threshold preserves the size of the window, to which slow start soon returns.
        self.state.threshold = self.state.threshold.map(|threshold| threshold.max(window / 4 * 3));
        // The shift is below 64, and a window has at most 31 bits.
        self.state.window = (window >> timeouts.min(63)).max(restart);
        self.state.epoch = None;
    }

    fn pacing_rate(&self, smoothed_rtt: Option<Duration>) -> Option<Rate> {
        let window = self.state.window;
        let rtt = smoothed_rtt.filter(|rtt| *rtt >= UNPACED_RTT && window > UNPACED_SEGMENTS * self.segment)?;
        let pace = if window < self.slow_start_threshold() / 2 { SLOW_START_PACE } else { AVOIDANCE_PACE };
        Some(Rate::new(window, rtt).scaled(pace))
    }

    fn spreads_window(&self) -> bool {
        true
    }
}

impl Epoch {
    /// Pauses the stage's time until `now`.
    fn pause(&mut self, now: Instant) {
        self.start += now - self.seen;
        self.seen = now;
    }

    /// Continues the stage's time until `now`, when data was acknowledged that had been sent a round trip before. The
    /// time between the last acknowledgement and the sending of that data was idle: with a full window, each
    /// acknowledgement lets something be sent at once (RFC 9438 section 5.8).
    fn go_on(&mut self, now: Instant, rtt: Option<Duration>) {
        if let Some(rtt) = rtt {
            self.start += (now - self.seen).saturating_sub(rtt);
        }
        self.seen = now;
    }

    /// W_cubic of RFC 9438 section 4.2, Figure 1: the window in bytes after `elapsed` microseconds of the stage.
    fn cubic(&self, elapsed: u64, segment: u64) -> u64 {
        // Callers pass at most twice LONGEST, so the product is below 2^122 and the quotient below 2^58.
        let distance = u128::from(elapsed.abs_diff(self.to_plateau));
        let gain = (C_NUMERATOR * u128::from(segment) * distance * distance * distance / C_DENOMINATOR) as u64;
        if elapsed < self.to_plateau { self.plateau.saturating_sub(gain) } else { self.plateau + gain }
    }

    /// Lets the Reno estimate grow by alpha segments per window (RFC 9438 section 4.3, Figure 4).
    fn grow_reno(&mut self, bytes: u64, window: u64, prior: u64, segment: u64) {
        // Above the window that met congestion, the estimate grows as fast as Reno, whose alpha is 1.
        let alpha = if self.reno >= prior { ALPHA_DIVISOR } else { ALPHA };
        let (grown, divisor) = (alpha * segment * bytes + self.reno_rest, ALPHA_DIVISOR * window);
        self.reno = (self.reno + grown / divisor).min(MAXIMUM);
        self.reno_rest = grown % divisor;
    }

    /// Lets the window grow such that it reaches the target while a whole window is acknowledged (RFC 9438 sections 4.4
    /// and 4.5). Bytes are counted, so it does not matter how many segments an acknowledgement covers.
    fn grow(&mut self, bytes: u64, window: u64, target: u64) -> u64 {
        let grown = (target - window) * bytes + self.window_rest;
        self.window_rest = grown % window;
        (window + grown / window).min(MAXIMUM)
    }
}

/// How much of the window was used recently: the maximum over two rounds, which are delimited by SND.NXT at their
/// start. It takes the place of pipeACK of RFC 7661 section 4.2.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    round_end: Option<Sequence>,
    last: u64,
    current: u64,
}

impl Usage {
    fn note(&mut self, acknowledgement: &Acknowledgement, window: u64) {
        let used = if acknowledgement.limited { window } else { bounded(acknowledgement.in_flight) };
        self.current = self.current.max(used);
        let round_end = *self.round_end.get_or_insert(acknowledgement.next);
        if acknowledgement.unacknowledged.at_or_after(round_end) {
            *self = Self { round_end: Some(acknowledgement.next), last: self.current, current: 0 };
        }
    }

    fn most(&self) -> u64 {
        self.last.max(self.current)
    }
}

/// Limits a number of bytes to the largest window.
fn bounded(bytes: usize) -> u64 {
    bytes.min(MAXIMUM_WINDOW) as u64
}

/// A duration in whole microseconds, at most [`LONGEST`].
fn microseconds(duration: Duration) -> u64 {
    duration.as_micros().min(u128::from(LONGEST)) as u64
}

/// K of RFC 9438 section 4.2, Figure 2: the time in microseconds in which the cubic function gains this many bytes up
/// to its plateau.
fn time_to_gain(bytes: u64, segment: u64) -> u64 {
    // At most 2^30 bytes times 10^19: below 2^94.
    cube_root(u128::from(bytes) * C_DENOMINATOR / (C_NUMERATOR * u128::from(segment)))
}

/// The largest number whose cube is at most `cube`; it is below 2^43 for every 128-bit number. It is computed digit by
/// digit, in base 2.
const fn cube_root(mut cube: u128) -> u64 {
    let mut root: u128 = 0;
    let mut shift = 126;
    loop {
        root *= 2;
        // The growth of the cube if the digit is one: (root + 1)^3 - root^3.
        let growth = 3 * root * (root + 1) + 1;
        if cube >> shift >= growth {
            cube -= growth << shift;
            root += 1;
        }
        if shift == 0 {
            return root as u64;
        }
        shift -= 3;
    }
}

#[cfg(test)]
mod tests;
