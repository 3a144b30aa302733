//! CUBIC (RFC 9438), with HyStart++ (RFC 9406) in the first slow start.
//!
//! All windows are bytes, where the RFC counts segments, and times are microseconds, where it counts seconds. There are
//! integers only: `core` has no cube root, and integers give the same windows on each platform. A window is at least a
//! segment and at most [`MAXIMUM_WINDOW`], a segment at most 65,535 bytes, and what an argument has beyond that is cut
//! off, so that nothing overflows.

use core::time::Duration;

use super::hystart::{Growth, HyStart};
use super::{Acknowledgement, CongestionControl, MAXIMUM_WINDOW, initial_window};
use crate::tcp::sequence::Sequence;
use crate::time::Instant;

/// The largest window, in bytes.
const MAXIMUM: u64 = MAXIMUM_WINDOW as u64;

/// The largest segment, in bytes: the option that announces it has 16 bits (RFC 9293 section 3.7.1).
const MAXIMUM_SEGMENT: usize = 65_535;

/// The segments by which one acknowledgement may open the window in slow start (L of RFC 9406 section 4.3, for senders
/// that do not pace): enough for delayed and stretched acknowledgements, too few for a burst.
const SLOW_START_LIMIT: u64 = 8;

/// What is left of a window after congestion, in tenths (beta_cubic of RFC 9438 section 4.6).
const BETA: u64 = 7;

/// The growth of Reno's estimate, in seventeenths of a segment per round trip: 3 * (1 - beta) / (1 + beta), which is
/// 9/17 (alpha_cubic of RFC 9438 section 4.3).
const ALPHA: u64 = 9;
const ALPHA_DIVISOR: u64 = 17;

/// C of RFC 9438 section 5.1, 0.4 segments per second cubed, is C_NUMERATOR / C_DENOMINATOR segments per microsecond
/// cubed.
const C_NUMERATOR: u128 = 4;
const C_DENOMINATOR: u128 = 10_000_000_000_000_000_000;

/// Microseconds after which the cubic function has left each possible window behind, even with segments of a byte. What
/// is longer counts as this long, so that its cube fits in 128 bits.
const LONGEST: u64 = 10_000_000_000;

/// CUBIC for one connection.
#[derive(Clone, Debug)]
pub struct Cubic {
    /// Bytes in a full segment (SMSS).
    segment: u64,
    state: State,
    /// The state before the latest loss or timeout, while that can be undone.
    undo: Option<State>,
    /// From a loss to the end of its recovery, unless it is undone or times out.
    recovering: bool,
    /// Whether anything has happened: until then the window is the initial window.
    begun: bool,
    hystart: HyStart,
    usage: Usage,
}

/// What an undo restores: the variables that RFC 9438 section 4.9.2 names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// The congestion window (cwnd).
    window: u64,
    /// The slow start threshold (ssthresh). None until the first slow start ends: any window is below it.
    threshold: Option<u64>,
    /// The window when the threshold was set last (cwnd_prior).
    prior: u64,
    /// The window at which congestion is to be expected (W_max). None before the first congestion and after a timeout:
    /// congestion avoidance then expects it where it begins (RFC 9438 sections 4.8 and 4.10).
    saturation: Option<u64>,
    /// The stage of congestion avoidance, while there is one. It begins with the first acknowledgement that may
    /// open the window, and ends with the next congestion or slow start.
    epoch: Option<Epoch>,
}

/// A stage of congestion avoidance (RFC 9438 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Epoch {
    /// When it began (t_epoch), moved on by all the time in which the window was not the limit.
    start: Instant,
    /// Until when its time is accounted for.
    seen: Instant,
    /// The window around which the cubic function is flat (W_max).
    plateau: u64,
    /// Microseconds from the start to the plateau (K).
    to_plateau: u64,
    /// What is left of a byte by which the window is to grow, in parts of the window.
    window_rest: u64,
    /// The window that Reno would have (W_est).
    reno: u64,
    /// What is left of a byte by which that is to grow, in parts of 17 windows.
    reno_rest: u64,
}

impl Cubic {
    /// A connection at its beginning, with the initial window for segments of this many bytes.
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

    /// RFC 9438 section 4.10. Only the first slow start has HyStart++: later ones end at a threshold that was found out
    /// (RFC 9406 section 4.3).
    fn slow_start(&mut self, acknowledgement: &Acknowledgement) {
        let Acknowledgement { unacknowledged, next, rtt, .. } = *acknowledgement;
        self.state.epoch = None;
        let growth = match self.state.threshold {
            None => self.hystart.on_acknowledgement(unacknowledged, next, rtt),
            Some(_) => Growth::Full,
        };
        if acknowledgement.limited {
            let bytes = bounded(acknowledgement.bytes).min(SLOW_START_LIMIT * self.segment);
            self.state.window = (self.state.window + growth.share(bytes)).min(self.slow_start_threshold());
        }
        if growth == Growth::Over {
            self.state.threshold = Some(self.state.window);
            self.state.prior = self.state.window;
            self.state.saturation = None;
        }
    }

    /// RFC 9438 sections 4.2 to 4.5.
    fn avoid_congestion(&mut self, acknowledgement: &Acknowledgement) {
        let Acknowledgement { now, limited, rtt, smoothed_rtt, .. } = *acknowledgement;
        if !limited {
            // RFC 9438 section 5.8: a window that is not used does not grow, and its time stands still.
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
        // Where no congestion is to be expected above the window, the function begins at its plateau (RFC 9438 sections
        // 4.8 and 4.10).
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

    /// The window that congestion leaves, before any minimum. RFC 9438 section 4.6 takes it from what is in flight. That
    /// is too little where an application pauses just then, and the window is too much where it has long not been used:
    /// so it is the most that was used of late, as in RFC 7661 section 4.4.1.
    fn reduced(&self, in_flight: usize) -> u64 {
        let proven = self.usage.most().max(bounded(in_flight)).min(self.state.window);
        proven * BETA / 10
    }

    /// RFC 9438 section 4.7: expects congestion where it was found, or below where that is less than was expected, to
    /// make room for newer flows.
    fn expect_congestion(&mut self) {
        let window = self.state.window;
        self.state.saturation = Some(match self.state.saturation {
            Some(saturation) if window < saturation => window * (10 + BETA) / 20,
            _ => window,
        });
    }

    /// RFC 9438 section 4.6, Figure 5: lowers the threshold and remembers the window. Returns what the window is to be,
    /// before any minimum.
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
            // The cubic function is steeper with larger segments. It begins anew at the window, which would jump otherwise.
            self.state.epoch = None;
        } else {
            // RFC 5681 section 3.1: with smaller segments, fewer bytes. The window is in proportion to them.
            self.state.window = self.initial_window();
            self.state.prior = self.state.window;
        }
    }

    fn on_acknowledgement(&mut self, acknowledgement: &Acknowledgement) {
        self.begun = true;
        // RFC 9438 section 4.10 has slow start where the two are equal as well, but then each recovery and HyStart++ would
        // end in it. RFC 5681 section 3.1 leaves the choice.
        if self.state.window < self.slow_start_threshold() {
            self.slow_start(acknowledgement);
        } else {
            self.avoid_congestion(acknowledgement);
        }
        // After it grew: a sender that the window limits fills it at once.
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
        // RFC 4015 section 3.4: what was lost before may not have been, but the path is congested all the same.
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
        // RFC 9438 section 4.8: what comes after slow start begins at its plateau.
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
        // RFC 9438 section 4.9.2: long after the event, the window may have passed what it was.
        if self.state.window >= before.window {
            return;
        }
        self.state = before;
        self.state.window = before.window.max(self.segment);
        if let Some(epoch) = &mut self.state.epoch {
            // t_epoch is restored as it was: the function goes on as if nothing had been lost.
            epoch.seen = now;
        }
        // Should the first slow start go on, its rounds begin anew: those before the event are long over.
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
        // RFC 2861 section 3.1: the threshold remembers the window, to which slow start comes back soon.
        self.state.threshold = self.state.threshold.map(|threshold| threshold.max(window / 4 * 3));
        // The shift is below 64, and no window has more than 31 bits.
        self.state.window = (window >> timeouts.min(63)).max(restart);
        self.state.epoch = None;
    }
}

impl Epoch {
    /// Its time stands still until `now`.
    fn pause(&mut self, now: Instant) {
        self.start += now - self.seen;
        self.seen = now;
    }

    /// Its time goes on until `now`, when data was acknowledged that had been sent a round trip before. Whatever lies
    /// between the last acknowledgement and that moment was idle: with a full window, each acknowledgement has something
    /// sent at once (RFC 9438 section 5.8).
    fn go_on(&mut self, now: Instant, rtt: Option<Duration>) {
        if let Some(rtt) = rtt {
            self.start += (now - self.seen).saturating_sub(rtt);
        }
        self.seen = now;
    }

    /// W_cubic of RFC 9438 section 4.2, Figure 1: the window in bytes when the stage has lasted `elapsed` microseconds.
    fn cubic(&self, elapsed: u64, segment: u64) -> u64 {
        // No callers name more than twice LONGEST: the product is below 2^122 and the quotient below 2^58.
        let distance = u128::from(elapsed.abs_diff(self.to_plateau));
        let gain = (C_NUMERATOR * u128::from(segment) * distance * distance * distance / C_DENOMINATOR) as u64;
        if elapsed < self.to_plateau { self.plateau.saturating_sub(gain) } else { self.plateau + gain }
    }

    /// RFC 9438 section 4.3, Figure 4: Reno's estimate grows by alpha segments per window.
    fn grow_reno(&mut self, bytes: u64, window: u64, prior: u64, segment: u64) {
        // Above the window that met congestion it is as fast as Reno, whose alpha is 1.
        let alpha = if self.reno >= prior { ALPHA_DIVISOR } else { ALPHA };
        let (grown, divisor) = (alpha * segment * bytes + self.reno_rest, ALPHA_DIVISOR * window);
        self.reno = (self.reno + grown / divisor).min(MAXIMUM);
        self.reno_rest = grown % divisor;
    }

    /// RFC 9438 sections 4.4 and 4.5: the way to the target is gone while a whole window is acknowledged. Counted in
    /// bytes, so that it does not matter how many segments an acknowledgement is for.
    fn grow(&mut self, bytes: u64, window: u64, target: u64) -> u64 {
        let grown = (target - window) * bytes + self.window_rest;
        self.window_rest = grown % window;
        (window + grown / window).min(MAXIMUM)
    }
}

/// How much of the window was used of late: the most in two rounds, told apart by SND.NXT at their start. It stands for
/// pipeACK of RFC 7661 section 4.2.
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

/// Bytes of an argument, no more than the largest window.
fn bounded(bytes: usize) -> u64 {
    bytes.min(MAXIMUM_WINDOW) as u64
}

/// Whole microseconds, no more than [`LONGEST`].
fn microseconds(duration: Duration) -> u64 {
    duration.as_micros().min(u128::from(LONGEST)) as u64
}

/// K of RFC 9438 section 4.2, Figure 2: the microseconds in which the cubic function gains this many bytes up to its
/// plateau.
fn time_to_gain(bytes: u64, segment: u64) -> u64 {
    // 2^30 bytes at most, by 10^19: below 2^94.
    cube_root(u128::from(bytes) * C_DENOMINATOR / (C_NUMERATOR * u128::from(segment)))
}

/// The largest number whose cube is no more than `cube`: below 2^43 for each 128-bit number. Digit by digit, in base 2.
const fn cube_root(mut cube: u128) -> u64 {
    let mut root: u128 = 0;
    let mut shift = 126;
    loop {
        root *= 2;
        // By this much the cube grows with the digit: (root + 1)^3 - root^3.
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
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const SEGMENT: usize = 1000;

    /// A path that loses nothing, and a sender whose window is always full.
    struct Path {
        cubic: Cubic,
        now: Instant,
        unacknowledged: Sequence,
        rtt: Duration,
        /// Segments that each acknowledgement is for.
        stretch: usize,
    }

    impl Path {
        fn new(cubic: Cubic, rtt_millis: u64) -> Self {
            let now = Instant::ORIGIN + Duration::from_secs(1);
            Self { cubic, now, unacknowledged: Sequence(0), rtt: Duration::from_millis(rtt_millis), stretch: 1 }
        }

        fn acknowledge(&mut self, bytes: usize, limited: bool) {
            self.unacknowledged += bytes;
            let window = self.cubic.window();
            self.cubic.on_acknowledgement(&Acknowledgement {
                now: self.now,
                bytes,
                unacknowledged: self.unacknowledged,
                next: self.unacknowledged + (window - bytes.min(window)),
                in_flight: if limited { window / SEGMENT * SEGMENT } else { bytes },
                limited,
                rtt: Some(self.rtt),
                smoothed_rtt: Some(self.rtt),
            });
        }

        /// All of a window is acknowledged, over a round trip.
        fn round(&mut self, limited: bool) {
            let bytes = self.stretch * SEGMENT;
            let acknowledgements = (self.cubic.window() / bytes).max(1);
            for _ in 0..acknowledgements {
                self.now += self.rtt / acknowledgements as u32;
                self.acknowledge(bytes, limited);
            }
        }

        fn rounds(&mut self, count: usize) {
            for _ in 0..count {
                self.round(true);
            }
        }

        fn lose(&mut self) {
            let window = self.cubic.window();
            self.cubic.on_congestion(self.now, window);
            self.cubic.on_recovered(self.now);
        }

        /// What an undo is to restore.
        fn state(&self) -> State {
            let mut state = self.cubic.state;
            if let Some(epoch) = &mut state.epoch {
                // Until when time is accounted for goes on with the clock.
                epoch.seen = Instant::ORIGIN;
            }
            state
        }
    }

    /// A sender in congestion avoidance at this many segments, which are where congestion is to be expected.
    fn steady(segments: u64) -> Cubic {
        let mut cubic = Cubic::new(SEGMENT);
        let window = segments * SEGMENT as u64;
        cubic.state = State { window, threshold: Some(window), prior: window, saturation: Some(window), ..cubic.state };
        cubic.begun = true;
        cubic
    }

    /// RFC 9438, Figure 1 and 2, in segments and seconds.
    fn formula(plateau: f64, start: f64, elapsed: f64) -> f64 {
        let to_plateau = ((plateau - start) / 0.4).cbrt();
        0.4 * (elapsed - to_plateau).powi(3) + plateau
    }

    #[test]
    fn cube_roots_are_rounded_down() {
        for root in [0, 1, 2, 3, 10, 1000, 46_340, 2_642_245, 6_981_463_658_331] {
            let cube = u128::from(root) * u128::from(root) * u128::from(root);
            assert_eq!(cube_root(cube), root);
            assert_eq!(cube_root(cube.saturating_sub(1)), root.saturating_sub(1));
            assert!(root == 0 || cube_root(cube + 1) == root);
        }
        assert_eq!(cube_root(u128::MAX), 6_981_463_658_331);
    }

    #[test]
    fn the_cubic_function_is_the_formula() {
        for (segment, window, plateau) in [(1000, 700, 1000), (1460, 7, 10), (9000, 3000, 100_000), (536, 50, 50)] {
            let mut cubic = Cubic::new(segment);
            let bytes = segment as u64;
            cubic.state = State { window: window * bytes, saturation: Some(plateau * bytes), ..cubic.state };
            let epoch = cubic.begin_epoch(Instant::ORIGIN);
            for millis in [0, 1, 10, 500, 1000, 5000, 9086, 20_000, 60_000] {
                let expected = formula(plateau as f64, window as f64, millis as f64 / 1000.0) * segment as f64;
                let computed = epoch.cubic(millis * 1000, bytes) as f64;
                assert!((computed - expected).abs() <= 1.0 + expected * 1e-6, "{computed} for {expected}");
            }
        }
    }

    #[test]
    fn the_window_follows_the_cubic_function_to_its_plateau_and_beyond() {
        for stretch in [1, 2, 10] {
            let mut path = Path::new(steady(1000), 100);
            path.stretch = stretch;
            path.lose();
            assert_eq!(path.cubic.window(), 700 * SEGMENT);
            let start = path.now;
            for seconds in [2.0, 5.0, 9.0, 12.0] {
                while (path.now - start).as_secs_f64() < seconds {
                    path.round(true);
                }
                let expected = formula(1000.0, 700.0, (path.now - start).as_secs_f64());
                let window = path.cubic.window() as f64 / SEGMENT as f64;
                assert!((window - expected).abs() < 0.003 * expected, "{window} for {expected} at {seconds} s");
            }
        }
    }

    #[test]
    fn the_window_grows_by_half_in_a_round_trip_at_most() {
        let mut path = Path::new(steady(100), 100);
        path.cubic.state.saturation = Some(100_000 * SEGMENT as u64);
        path.round(true);
        let window = path.cubic.window();
        path.now += Duration::from_millis(1);
        path.acknowledge(window, true);
        assert_eq!(path.cubic.window(), window + window / 2);
    }

    #[test]
    fn small_windows_grow_as_fast_as_reno() {
        let mut path = Path::new(steady(20), 10);
        path.lose();
        let window = path.cubic.window();
        path.rounds(10);
        // The cubic function would have grown by 0.01 segments; 9/17 of a segment each round is 5.3.
        let grown = path.cubic.window() - window;
        assert!((4 * SEGMENT..=11 * SEGMENT / 2).contains(&grown), "{grown}");
        // Beyond the window that met congestion, it is a segment each round.
        while path.cubic.window() < 20 * SEGMENT {
            path.round(true);
        }
        let window = path.cubic.window();
        path.rounds(10);
        let grown = path.cubic.window() - window;
        assert!((9 * SEGMENT..=10 * SEGMENT).contains(&grown), "{grown}");
    }

    #[test]
    fn growth_by_parts_of_a_byte_adds_up() {
        // As fast as Reno: 0.76 bytes for each acknowledgement.
        let mut path = Path::new(steady(1000), 1);
        path.lose();
        path.rounds(20);
        let grown = path.cubic.window() - 700 * SEGMENT;
        assert!((10 * SEGMENT..=11 * SEGMENT).contains(&grown), "{grown}");

        // By the cubic function: half a byte for each byte that is acknowledged.
        let mut path = Path::new(steady(10), 100);
        path.cubic.state.saturation = Some(100_000 * SEGMENT as u64);
        for _ in 0..10 * SEGMENT {
            path.acknowledge(1, true);
        }
        // Roundings of the window and its half cost a few bytes.
        assert!(path.cubic.window() >= 14_990, "{}", path.cubic.window());
    }

    #[test]
    fn a_loss_leaves_seven_tenths_and_no_less_than_two_segments() {
        let mut path = Path::new(steady(100), 10);
        path.cubic.on_congestion(path.now, 100 * SEGMENT);
        assert_eq!((path.cubic.window(), path.cubic.threshold()), (70 * SEGMENT, 70 * SEGMENT));
        for _ in 0..20 {
            path.lose();
        }
        assert_eq!((path.cubic.window(), path.cubic.threshold()), (2 * SEGMENT, 2 * SEGMENT));
    }

    #[test]
    fn marks_lower_the_window_to_a_segment() {
        let mut path = Path::new(steady(10), 10);
        path.cubic.on_mark(path.now, 10 * SEGMENT);
        assert_eq!((path.cubic.window(), path.cubic.threshold()), (7 * SEGMENT, 7 * SEGMENT));
        for _ in 0..10 {
            path.cubic.on_mark(path.now, path.cubic.window());
        }
        assert_eq!((path.cubic.window(), path.cubic.threshold()), (SEGMENT, 2 * SEGMENT));
    }

    #[test]
    fn a_loss_is_measured_by_what_was_used_of_the_window() {
        let mut path = Path::new(steady(100), 10);
        path.rounds(2);
        let window = path.cubic.window();
        assert_ne!(window % SEGMENT, 0);
        // The window was full until now: what happens to be in flight does not matter.
        path.cubic.on_congestion(path.now, SEGMENT);
        assert_eq!(path.cubic.window(), window * 7 / 10);

        let mut path = Path::new(steady(100), 10);
        path.round(true);
        for _ in 0..200 {
            path.acknowledge(SEGMENT, false);
        }
        // It has long not been full: then its size tells nothing.
        path.cubic.on_congestion(path.now, 10 * SEGMENT);
        assert_eq!(path.cubic.window(), 7 * SEGMENT);
    }

    #[test]
    fn a_loss_below_the_last_one_makes_room_for_others() {
        let mut path = Path::new(steady(100), 10);
        path.lose();
        assert_eq!(path.cubic.state.saturation, Some(100 * SEGMENT as u64));
        path.lose();
        // 70 * (1 + 0.7) / 2.
        assert_eq!(path.cubic.state.saturation, Some(59_500));
        assert_eq!(path.cubic.state.prior, 70 * SEGMENT as u64);
    }

    #[test]
    fn a_timeout_leaves_a_segment_and_slow_start_comes_back_to_the_threshold() {
        let mut path = Path::new(steady(100), 10);
        path.cubic.on_timeout(path.now, 100 * SEGMENT, true);
        path.cubic.on_timeout(path.now, SEGMENT, false);
        assert_eq!((path.cubic.window(), path.cubic.threshold()), (SEGMENT, 70 * SEGMENT));
        // The end of its recovery does not open the window.
        path.cubic.on_recovered(path.now);
        for window in [2, 4, 8, 16, 32, 64] {
            path.round(true);
            assert_eq!(path.cubic.window(), window * SEGMENT);
        }
        path.acknowledge(8 * SEGMENT, true);
        assert_eq!(path.cubic.window(), 70 * SEGMENT);
        path.round(true);
        let epoch = path.cubic.state.epoch.expect("congestion avoidance has begun");
        assert_eq!((epoch.to_plateau, epoch.plateau), (0, 70 * SEGMENT as u64));
    }

    #[test]
    fn a_timeout_without_a_first_leaves_the_threshold_unbounded() {
        let mut cubic = Cubic::new(SEGMENT);
        cubic.on_timeout(Instant::ORIGIN, 0, false);
        assert_eq!((cubic.window(), cubic.threshold()), (SEGMENT, MAXIMUM_WINDOW));
    }

    #[test]
    fn a_spurious_timeout_is_undone() {
        let mut path = Path::new(steady(100), 50);
        path.lose();
        path.rounds(20);
        let before = path.state();
        path.cubic.on_timeout(path.now, 80 * SEGMENT, true);
        path.cubic.on_timeout(path.now, 80 * SEGMENT, false);
        path.round(true);
        assert_ne!(path.state(), before);
        path.cubic.undo(path.now);
        assert_eq!(path.state(), before);
    }

    #[test]
    fn only_the_latest_of_two_reductions_is_undone() {
        let mut path = Path::new(steady(100), 50);
        path.rounds(2);
        path.cubic.on_congestion(path.now, 100 * SEGMENT);
        let between = path.state();
        path.cubic.on_timeout(path.now, 70 * SEGMENT, true);
        path.cubic.undo(path.now);
        assert_eq!(path.state(), between);
        path.cubic.undo(path.now);
        path.cubic.on_recovered(path.now);
        assert_eq!(path.state(), between);

        path.cubic.on_congestion(path.now, 70 * SEGMENT);
        path.cubic.on_recovered(path.now);
        path.cubic.undo(path.now);
        assert_eq!(path.state(), between);

        // What was undone is not undone again.
        path.cubic.on_idle(path.now, Duration::from_secs(60), Duration::from_secs(1));
        path.cubic.undo(path.now);
        assert_eq!(path.cubic.window(), 10 * SEGMENT);
    }

    #[test]
    fn the_end_of_a_recovery_that_was_undone_or_timed_out_changes_nothing() {
        let mut path = Path::new(steady(100), 50);
        path.lose();
        path.rounds(20);
        let before = path.state();
        path.cubic.on_congestion(path.now, 80 * SEGMENT);
        path.cubic.undo(path.now);
        path.cubic.on_recovered(path.now);
        assert_eq!(path.state(), before);

        path.cubic.on_congestion(path.now, 80 * SEGMENT);
        path.cubic.on_timeout(path.now, 80 * SEGMENT, true);
        path.rounds(20);
        let before = path.state();
        assert!(path.cubic.window() > path.cubic.threshold());
        path.cubic.on_recovered(path.now);
        assert_eq!(path.state(), before);
    }

    #[test]
    fn the_first_slow_start_goes_on_after_a_spurious_loss() {
        let mut path = Path::new(Cubic::new(SEGMENT), 50);
        path.rounds(2);
        let window = path.cubic.window();
        path.cubic.on_congestion(path.now, window);
        path.cubic.undo(path.now);
        path.round(true);
        assert_eq!((path.cubic.window(), path.cubic.threshold()), (2 * window, MAXIMUM_WINDOW));

        // The rounds that had made it conservative are forgotten.
        path.rtt *= 2;
        path.rounds(2);
        let window = path.cubic.window();
        path.cubic.on_timeout(path.now, window, true);
        path.cubic.undo(path.now);
        path.round(true);
        assert_eq!(path.cubic.window(), window + window / SEGMENT * SEGMENT);
    }

    #[test]
    fn a_mark_and_a_window_that_has_grown_since_are_not_undone() {
        let mut path = Path::new(steady(100), 50);
        path.lose();
        path.cubic.on_mark(path.now, 70 * SEGMENT);
        path.cubic.undo(path.now);
        assert_eq!(path.cubic.window(), 49 * SEGMENT);

        path.lose();
        while path.cubic.window() <= 50 * SEGMENT {
            path.round(true);
        }
        let before = path.state();
        path.cubic.undo(path.now);
        assert_eq!(path.state(), before);
    }

    #[test]
    fn slow_start_doubles_the_window_each_round() {
        for stretch in [1, 2, 5] {
            let mut path = Path::new(Cubic::new(SEGMENT), 50);
            path.stretch = stretch;
            assert_eq!(path.cubic.window(), 10 * SEGMENT);
            for window in [20, 40, 80, 160, 320] {
                path.round(true);
                assert_eq!(path.cubic.window(), window * SEGMENT, "acknowledgements for {stretch} segments");
            }
        }
    }

    #[test]
    fn an_acknowledgement_opens_the_window_by_eight_segments_at_most() {
        let mut path = Path::new(Cubic::new(SEGMENT), 50);
        path.acknowledge(9 * SEGMENT, true);
        assert_eq!(path.cubic.window(), 18 * SEGMENT);
    }

    #[test]
    fn slow_start_ends_without_a_loss_where_round_trip_times_rise() {
        let mut path = Path::new(Cubic::new(SEGMENT), 50);
        path.rounds(3);
        assert_eq!(path.cubic.window(), 80 * SEGMENT);
        path.rtt = Duration::from_millis(57);
        // Until the round is over that began before the rise, the window grows as before.
        path.round(true);
        let window = path.cubic.window();
        path.round(true);
        let grown = path.cubic.window() - window;
        assert!((window / 5..window / 3).contains(&grown), "{grown} after {window}");
        path.rounds(5);
        assert_eq!(path.cubic.threshold(), path.cubic.state.prior as usize);
        let epoch = path.cubic.state.epoch.expect("congestion avoidance has begun");
        assert_eq!((epoch.to_plateau, epoch.plateau as usize), (0, path.cubic.threshold()));
        assert!((window * 2..window * 4).contains(&path.cubic.window()), "five rounds at a quarter");
    }

    #[test]
    fn slow_start_goes_on_where_round_trip_times_fall_again() {
        let mut path = Path::new(Cubic::new(SEGMENT), 50);
        path.rounds(3);
        path.rtt = Duration::from_millis(57);
        path.rounds(2);
        path.rtt = Duration::from_millis(50);
        path.round(true);
        let window = path.cubic.window();
        path.round(true);
        assert_eq!(path.cubic.window(), window + window / SEGMENT * SEGMENT);
        assert_eq!(path.cubic.threshold(), MAXIMUM_WINDOW);
    }

    #[test]
    fn later_slow_starts_end_at_their_threshold_alone() {
        let mut path = Path::new(steady(400), 50);
        path.cubic.on_timeout(path.now, 400 * SEGMENT, true);
        for _ in 0..8 {
            path.round(true);
            path.rtt += Duration::from_millis(20);
        }
        assert_eq!(path.cubic.window(), 256 * SEGMENT);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut path = Path::new(Cubic::new(SEGMENT), 50);
        path.round(false);
        assert_eq!(path.cubic.window(), 10 * SEGMENT);

        let mut path = Path::new(steady(100), 50);
        for _ in 0..100 {
            path.round(false);
        }
        assert_eq!(path.cubic.window(), 100 * SEGMENT);
    }

    #[test]
    fn the_time_in_which_the_window_was_not_used_does_not_count() {
        // Ten seconds in three ways: acknowledgements of little data, nothing at all, and idleness that is told.
        let waits: [fn(&mut Path); 3] = [
            |path| {
                for _ in 0..100 {
                    path.now += Duration::from_millis(100);
                    path.acknowledge(SEGMENT, false);
                }
            },
            |path| path.now += Duration::from_secs(10),
            |path| {
                path.now += Duration::from_secs(10);
                path.cubic.on_idle(path.now, Duration::from_secs(10), Duration::from_secs(20));
            },
        ];
        for wait in waits {
            let mut path = Path::new(steady(1000), 100);
            path.lose();
            path.rounds(20);
            let mut unpaused = Path { cubic: path.cubic.clone(), ..path };
            wait(&mut path);
            path.rounds(10);
            unpaused.rounds(10);
            let (window, expected) = (path.cubic.window(), unpaused.cubic.window());
            assert!(window.abs_diff(expected) < 8 * SEGMENT, "{window} for {expected}");
        }
    }

    #[test]
    fn time_stands_still_without_round_trip_times_too() {
        let mut path = Path::new(steady(1000), 100);
        path.lose();
        path.rounds(20);
        let elapsed = |path: &Path| path.now - path.cubic.state.epoch.expect("congestion avoidance has begun").start;
        let before = elapsed(&path);
        path.now += Duration::from_secs(10);
        path.acknowledge(SEGMENT, false);
        assert_eq!(elapsed(&path), before);
        path.now += Duration::from_secs(10);
        path.cubic.on_idle(path.now, Duration::from_secs(10), Duration::from_secs(20));
        assert_eq!(elapsed(&path), before);
    }

    #[test]
    fn each_timeout_of_idleness_halves_the_window_down_to_the_initial_one() {
        let timeout = Duration::from_millis(300);
        for (millis, window, threshold) in
            [(299, 100, 50), (300, 50, 75), (899, 25, 75), (1200, 10, 75), (u64::MAX, 10, 75)]
        {
            let mut cubic = steady(100);
            cubic.state.threshold = Some(50 * SEGMENT as u64);
            cubic.on_idle(Instant::ORIGIN, Duration::from_millis(millis), timeout);
            let expected = (window * SEGMENT, threshold * SEGMENT);
            assert_eq!((cubic.window(), cubic.threshold()), expected, "after {millis} ms");
        }
    }

    #[test]
    fn idleness_does_not_open_a_window_nor_end_the_first_slow_start() {
        let (day, second) = (Duration::from_secs(86_400), Duration::from_secs(1));
        let mut cubic = steady(4);
        cubic.on_idle(Instant::ORIGIN + day, day, second);
        assert_eq!(cubic.window(), 4 * SEGMENT);

        let mut path = Path::new(Cubic::new(SEGMENT), 50);
        path.rounds(2);
        path.cubic.on_idle(path.now, day, second);
        assert_eq!((path.cubic.window(), path.cubic.threshold()), (10 * SEGMENT, MAXIMUM_WINDOW));
    }

    #[test]
    fn a_connection_begins_with_the_initial_window_of_the_size_that_was_agreed_on() {
        let mut cubic = Cubic::new(9000);
        assert_eq!(cubic.window(), 18_000);
        cubic.set_segment_size(1460);
        assert_eq!(cubic.window(), 14_600);
        cubic.set_segment_size(536);
        assert_eq!(cubic.window(), 5360);
        // Once data has arrived it is no longer the beginning.
        let mut path = Path::new(cubic, 50);
        path.acknowledge(536, false);
        path.cubic.set_segment_size(1460);
        assert_eq!(path.cubic.window(), 5360);
    }

    #[test]
    fn another_segment_size_keeps_the_bytes_of_the_window() {
        let mut path = Path::new(steady(100), 50);
        path.lose();
        path.rounds(20);
        let window = path.cubic.window();
        // The cubic function does not jump with it.
        path.cubic.set_segment_size(SEGMENT / 10);
        assert_eq!(path.cubic.window(), window);
        path.round(true);
        assert!((window..window + 2 * SEGMENT).contains(&path.cubic.window()));
        path.cubic.set_segment_size(9 * SEGMENT);
        path.cubic.on_timeout(path.now, window, true);
        assert_eq!(path.cubic.window(), 9 * SEGMENT);
        path.cubic.set_segment_size(10 * SEGMENT);
        assert_eq!(path.cubic.window(), 10 * SEGMENT);
    }

    /// A call with whatever arguments.
    #[derive(Clone, Debug)]
    enum Call {
        Segment(usize),
        Acknowledge { bytes: usize, ends: (u32, u32), in_flight: usize, limited: bool, rtts: [Option<Duration>; 2] },
        Congestion(usize),
        Mark(usize),
        Timeout(usize, bool),
        Recovered,
        Undo,
        Idle(Duration, Duration),
    }

    /// Numbers that are small, usual, or at the end of their range.
    fn bytes() -> impl Strategy<Value = usize> {
        prop_oneof![0..3_usize, 0..100_000_usize, (1_usize << 29)..(1 << 31), Just(usize::MAX), any::<usize>()]
    }

    fn duration() -> impl Strategy<Value = Duration> {
        let nanos = prop_oneof![0..1000_u64, 0..1_000_000_000_u64, 0..u64::MAX];
        prop_oneof![4 => nanos.prop_map(Duration::from_nanos), 1 => Just(Duration::MAX), 1 => Just(Duration::ZERO)]
    }

    fn call() -> impl Strategy<Value = Call> {
        let rtts = [proptest::option::of(duration()), proptest::option::of(duration())];
        let acknowledge = (bytes(), any::<(u32, u32)>(), bytes(), proptest::bool::weighted(0.8), rtts).prop_map(
            |(bytes, ends, in_flight, limited, rtts)| Call::Acknowledge { bytes, ends, in_flight, limited, rtts },
        );
        prop_oneof![
            12 => acknowledge,
            1 => bytes().prop_map(Call::Segment),
            2 => bytes().prop_map(Call::Congestion),
            1 => bytes().prop_map(Call::Mark),
            1 => (bytes(), any::<bool>()).prop_map(|(in_flight, first)| Call::Timeout(in_flight, first)),
            2 => Just(Call::Recovered),
            1 => Just(Call::Undo),
            1 => (duration(), duration()).prop_map(|(idle, timeout)| Call::Idle(idle, timeout)),
        ]
    }

    fn make(cubic: &mut Cubic, now: Instant, call: &Call) {
        match *call {
            Call::Segment(bytes) => cubic.set_segment_size(bytes),
            Call::Acknowledge {
                bytes,
                ends: (unacknowledged, next),
                in_flight,
                limited,
                rtts: [rtt, smoothed_rtt],
            } => {
                let (unacknowledged, next) = (Sequence(unacknowledged), Sequence(next));
                cubic.on_acknowledgement(&Acknowledgement {
                    now,
                    bytes,
                    unacknowledged,
                    next,
                    in_flight,
                    limited,
                    rtt,
                    smoothed_rtt,
                });
            }
            Call::Congestion(in_flight) => cubic.on_congestion(now, in_flight),
            Call::Mark(in_flight) => cubic.on_mark(now, in_flight),
            Call::Timeout(in_flight, first) => cubic.on_timeout(now, in_flight, first),
            Call::Recovered => cubic.on_recovered(now),
            Call::Undo => cubic.undo(now),
            Call::Idle(idle, timeout) => cubic.on_idle(now, idle, timeout),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_calls_overflow_or_leave_a_window_out_of_bounds(
            segment in bytes(),
            calls in proptest::collection::vec((duration(), any::<bool>(), call()), 0..60),
        ) {
            let mut cubic = Cubic::new(segment);
            let mut now = Instant::ORIGIN;
            for (passed, backwards, call) in calls {
                // A clock that goes back is wrong, but no reason to panic.
                now = if backwards { Instant::ORIGIN + (now - (Instant::ORIGIN + passed)) } else { now + passed };
                make(&mut cubic, now, &call);
                prop_assert!(cubic.window() as u64 >= cubic.segment);
                prop_assert!(cubic.window() <= MAXIMUM_WINDOW);
                prop_assert!(cubic.threshold() <= MAXIMUM_WINDOW);
            }
        }

        #[test]
        fn only_an_undo_or_an_acknowledgement_opens_the_window(
            calls in proptest::collection::vec((duration(), call()), 0..40),
        ) {
            let mut cubic = steady(1000);
            let mut now = Instant::ORIGIN;
            for (passed, call) in calls {
                now += passed;
                let (window, opens) = (cubic.window(), matches!(call, Call::Acknowledge { limited: true, .. } | Call::Undo));
                make(&mut cubic, now, &call);
                prop_assert!(opens || cubic.window() <= window.max(2 * cubic.segment as usize));
            }
        }

        #[test]
        fn cube_roots_of_all_numbers_are_rounded_down(cube: u128) {
            let root = u128::from(cube_root(cube));
            prop_assert!(root * root * root <= cube);
            let next = root + 1;
            prop_assert!(next.checked_pow(3).is_none_or(|above| above > cube));
        }
    }

    #[test]
    fn competing_windows_converge() {
        // Two flows over one bottleneck of 400 segments: the newer one comes to its share.
        let mut paths: Vec<Path> = [320, 10].map(|segments| Path::new(steady(segments), 50)).into();
        for _ in 0..4000 {
            if paths.iter().map(|path| path.cubic.window()).sum::<usize>() > 400 * SEGMENT {
                paths.iter_mut().for_each(Path::lose);
            }
            paths.iter_mut().for_each(|path| path.round(true));
        }
        let (older, newer) = (paths[0].cubic.window(), paths[1].cubic.window());
        assert!(newer * 10 > older * 8, "{newer} beside {older}");
    }
}
