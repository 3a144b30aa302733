//! Tests of the window, given acknowledgements that the tests make by hand, and compared with the formula of the RFC.

mod properties;

use std::vec::Vec;

use super::*;

const SEGMENT: usize = 1000;

/// A path that loses nothing, and a sender whose window is always full.
struct Path {
    cubic: Cubic,
    now: Instant,
    unacknowledged: Sequence,
    rtt: Duration,
    /// The number of segments that each acknowledgement covers.
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

    /// Acknowledges a whole window over a round trip.
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

    /// The state that an undo must restore.
    fn state(&self) -> State {
        let mut state = self.cubic.state;
        if let Some(epoch) = &mut state.epoch {
            // The time up to which the duration is accounted for moves on with the clock.
            epoch.seen = Instant::ORIGIN;
        }
        state
    }
}

/// A sender in congestion avoidance with a window of this many segments, at which congestion is expected.
fn steady(segments: u64) -> Cubic {
    let mut cubic = Cubic::new(SEGMENT);
    let window = segments * SEGMENT as u64;
    cubic.state = State { window, threshold: Some(window), prior: window, saturation: Some(window), ..cubic.state };
    cubic.begun = true;
    cubic
}

/// RFC 9438, Figures 1 and 2, in segments and seconds.
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

    // By the cubic function: half a byte for each acknowledged byte.
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
fn the_reduction_after_a_loss_depends_on_how_much_of_the_window_was_used() {
    let mut path = Path::new(steady(100), 10);
    path.rounds(2);
    let window = path.cubic.window();
    assert_ne!(window % SEGMENT, 0);
    // The window was full until now: the present number of bytes in flight does not matter.
    path.cubic.on_congestion(path.now, SEGMENT);
    assert_eq!(path.cubic.window(), window * 7 / 10);

    let mut path = Path::new(steady(100), 10);
    path.round(true);
    for _ in 0..200 {
        path.acknowledge(SEGMENT, false);
    }
    // It has not been full for long: its size says nothing.
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

    // An undo is not repeated.
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

    // The rounds that had led to conservative slow start are forgotten.
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

/// Receivers that merge segments acknowledge dozens of them at once.
#[test]
fn slow_start_doubles_the_window_if_one_acknowledgement_covers_all_of_it() {
    let mut path = Path::new(Cubic::new(SEGMENT), 50);
    for segments in [20, 40, 80, 160] {
        path.now += path.rtt;
        path.acknowledge(path.cubic.window(), true);
        assert_eq!(path.cubic.window(), segments * SEGMENT);
    }
}

#[test]
fn slow_start_ends_without_a_loss_when_round_trip_times_rise() {
    let mut path = Path::new(Cubic::new(SEGMENT), 50);
    path.rounds(3);
    assert_eq!(path.cubic.window(), 80 * SEGMENT);
    path.rtt = Duration::from_millis(57);
    // Until the round that began before the rise is over, the window grows as before.
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
fn slow_start_continues_when_round_trip_times_fall_again() {
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
fn time_in_which_the_window_was_not_used_does_not_count() {
    // Ten seconds in three ways: acknowledgements of little data, nothing at all, and idleness that is reported.
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
    // Once data was delivered, the connection is no longer at its start.
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
    // The cubic function does not jump.
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

#[test]
fn competing_windows_converge() {
    // Two flows share a bottleneck of 400 segments: the newer one reaches its share.
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

/// Linux, `tcp_update_pacing_rate`.
#[test]
fn a_large_window_is_paced_where_the_round_trip_is_long_enough() {
    let mut cubic = Cubic::new(1000);
    let rtt = Duration::from_millis(10);
    cubic.state.window = 64_000;
    assert_eq!(cubic.pacing_rate(Some(rtt)), None, "a small window");
    cubic.state.window = 65_000;
    assert_eq!(cubic.pacing_rate(None), None);
    assert_eq!(cubic.pacing_rate(Some(Duration::from_micros(1999))), None, "a short path");
    assert_eq!(cubic.pacing_rate(Some(rtt)), Some(Rate(13_000_000)), "twice the window in slow start");
    cubic.state.threshold = Some(130_000);
    assert_eq!(cubic.pacing_rate(Some(rtt)), Some(Rate(7_800_000)), "from half of the threshold on it grows less");
    cubic.state.threshold = Some(130_002);
    assert_eq!(cubic.pacing_rate(Some(rtt)), Some(Rate(13_000_000)));
}
