//! The states of BBR, given samples that the tests make by hand.

use super::states::{PROBE_RTT_DURATION, ProbeRtt};
use super::*;

const SEGMENT: u64 = 1000;
/// 10 MB/s and 10 ms: 100 segments.
const RATE: Rate = Rate(10_000_000);
const RTT: Duration = Duration::from_millis(10);
const PRODUCT: u64 = 100_000;

/// A path that delivers at given rates, in round trips.
struct Path {
    bbr: Bbr,
    now: Instant,
    total: u64,
    in_flight: u64,
    rtt: Duration,
    limited: bool,
    application_limited: bool,
}

impl Path {
    fn new(seed: u64) -> Self {
        Self {
            bbr: Bbr::new(SEGMENT as usize, seed),
            now: Instant::ORIGIN,
            total: 0,
            in_flight: PRODUCT,
            rtt: RTT,
            limited: false,
            application_limited: false,
        }
    }

    fn sample(&self, delivered: u64, rate: Rate) -> RateSample {
        RateSample {
            now: self.now,
            total: self.total,
            prior: self.total - delivered,
            delivered,
            rate: Some(rate),
            sent: SentState { in_flight: self.in_flight, lost: 0, application_limited: self.application_limited },
            newly_delivered: delivered,
            newly_lost: 0,
            rtt: Some(self.rtt),
            in_flight: self.in_flight,
            limited: self.limited,
            recovering: false,
        }
    }

    /// A round trip at this rate, which one acknowledgement reports.
    fn round(&mut self, rate: Rate) -> State {
        self.round_with(rate, |_| ())
    }

    fn round_with(&mut self, rate: Rate, change: impl FnOnce(&mut RateSample)) -> State {
        self.now += self.rtt;
        let delivered = rate.bytes_in(self.rtt);
        self.total += delivered;
        let mut sample = self.sample(delivered, rate);
        change(&mut sample);
        self.bbr.on_sample(&sample);
        self.bbr.state
    }

    /// Records a loss with `in_flight` bytes in flight, of which `lost` were lost.
    fn lose(&mut self, in_flight: u64, lost: u64) {
        self.bbr.on_lost(self.now, SEGMENT, &SentState { in_flight, lost, application_limited: false });
    }

    /// Runs round trips at the path's rate until a state is reached. Returns how many round trips that took.
    fn reach(&mut self, is_it: impl Fn(State) -> bool) -> u32 {
        for count in 1..1000 {
            if is_it(self.round(RATE)) {
                return count;
            }
        }
        panic!("{:?} is not left", self.bbr.state);
    }

    fn cruising() -> Self {
        let mut path = Self::new(0);
        path.reach(|state| state == State::ProbeBandwidth(Phase::Cruise));
        path
    }

    fn probing() -> Self {
        let mut path = Self::cruising();
        path.in_flight = 3 * PRODUCT / 2;
        path.reach(|state| state == State::ProbeBandwidth(Phase::Up));
        path
    }
}

/// Sections 5.3.1 and 5.3.2.
#[test]
fn startup_doubles_until_the_rate_does_not_grow_and_drain_empties_the_queue() {
    let mut path = Path::new(0);
    let first = path.bbr.pacing_rate(Some(RTT)).unwrap_or_default();
    assert_eq!(first, Rate(1_000_000).scaled(2773), "the initial window in a round trip");
    for rate in [1_000_000, 2_000_000, 4_000_000, 8_000_000, 10_000_000] {
        assert_eq!(path.round(Rate(rate)), State::Startup);
    }
    assert_eq!(path.bbr.pacing_rate(Some(RTT)), Some(RATE.scaled(2773).scaled(990)));
    path.in_flight = 3 * PRODUCT;
    assert_eq!([path.round(RATE), path.round(RATE)], [State::Startup; 2]);
    let State::Drain { .. } = path.round(RATE) else { panic!("three rounds without growth") };
    assert_eq!(path.bbr.pacing_rate(Some(RTT)), Some(RATE.scaled(500).scaled(990)));
    path.in_flight = PRODUCT + SEGMENT;
    assert!(matches!(path.round(RATE), State::Drain { .. }));
    path.in_flight = PRODUCT;
    assert!(matches!(path.round(RATE), State::ProbeBandwidth(_)));
}

#[test]
fn drain_ends_in_time_even_if_the_queue_is_not_gone() {
    let mut path = Path::new(0);
    path.in_flight = 3 * PRODUCT;
    path.reach(|state| matches!(state, State::Drain { .. }));
    assert_eq!(path.reach(|state| !matches!(state, State::Drain { .. })), 4);
}

/// Section 5.3.1.3.
#[test]
fn six_losses_in_a_round_end_startup_and_fewer_do_not() {
    for (losses, ends) in [(5, false), (6, true)] {
        let mut path = Path::new(0);
        path.round(Rate(4_000_000));
        path.lose(40_000, 10_000);
        let delivered = 10_000;
        for _ in 0..losses {
            let sample = RateSample { prior: 0, newly_lost: SEGMENT, recovering: true, ..path.sample(delivered, RATE) };
            path.bbr.on_sample(&sample);
        }
        let high = SentState { in_flight: 40_000, lost: 10_000, application_limited: false };
        let state = path.round_with(Rate(8_000_000), |sample| (sample.sent, sample.recovering) = (high, true));
        assert_eq!(state != State::Startup, ends, "{losses} losses");
        assert_eq!(path.bbr.bounds.long_term.is_some(), ends);
    }
}

#[test]
fn an_application_that_sends_little_does_not_end_startup_nor_lower_the_rate() {
    let mut path = Path::new(0);
    path.application_limited = true;
    for _ in 0..20 {
        assert_eq!(path.round(Rate(1_000_000)), State::Startup);
    }
    let mut path = Path::cruising();
    path.application_limited = true;
    for _ in 0..400 {
        path.round(Rate(100_000));
    }
    assert_eq!(path.bbr.highest.highest(), RATE);
}

/// Sections 5.3.3 and 5.3.3.6.
#[test]
fn a_cycle_goes_down_cruises_refills_and_goes_up() {
    let mut path = Path::cruising();
    assert_eq!(path.bbr.pacing_rate(Some(RTT)), Some(RATE.scaled(990)));
    let rounds = path.reach(|state| state == State::ProbeBandwidth(Phase::Refill));
    assert!((60..=63).contains(&rounds), "as many rounds as Reno would need, and no more than 63: {rounds}");
    assert_eq!(path.round(RATE), State::ProbeBandwidth(Phase::Up));
    assert_eq!(path.bbr.pacing_rate(Some(RTT)), Some(RATE.scaled(1250).scaled(990)));
    path.in_flight = 2 * PRODUCT;
    assert_eq!([path.round(RATE), path.round(RATE)], [State::ProbeBandwidth(Phase::Up); 2]);
    assert_eq!(path.round(RATE), State::ProbeBandwidth(Phase::Down), "the rate does not follow");
    assert_eq!(path.bbr.pacing_rate(Some(RTT)), Some(RATE.scaled(900).scaled(990)));
    assert_eq!(path.round(RATE), State::ProbeBandwidth(Phase::Down), "there is a queue");
    path.in_flight = PRODUCT;
    assert_eq!(path.round(RATE), State::ProbeBandwidth(Phase::Cruise));
}

#[test]
fn on_a_long_path_a_probe_comes_after_two_to_three_seconds() {
    let mut waits = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let mut path = Path::new(seed);
        path.rtt = Duration::from_millis(100);
        path.in_flight = 1_000_000;
        path.reach(|state| state == State::ProbeBandwidth(Phase::Cruise));
        let rounds = path.reach(|state| state == State::ProbeBandwidth(Phase::Refill));
        assert!((19..=31).contains(&rounds), "{rounds}");
        waits.insert(rounds);
    }
    assert!(waits.len() > 5, "flows do not probe together: {waits:?}");
    let again = |seed| (0..20).scan(Bbr::new(1000, seed), |bbr, _| Some(bbr.below(1000))).collect::<std::vec::Vec<_>>();
    assert_eq!(again(7), again(7));
    assert_ne!(again(7), again(8));
}

#[test]
fn a_probe_finds_a_higher_rate_and_an_old_one_is_forgotten_after_two_cycles() {
    let mut path = Path::probing();
    path.round(Rate(12_500_000));
    assert_eq!(path.bbr.highest.highest(), Rate(12_500_000));
    for _ in 0..2 {
        path.in_flight = PRODUCT;
        path.reach(|state| state == State::ProbeBandwidth(Phase::Cruise));
        path.in_flight = 2 * PRODUCT;
        path.reach(|state| state == State::ProbeBandwidth(Phase::Up));
    }
    path.reach(|state| state == State::ProbeBandwidth(Phase::Down));
    path.round(RATE);
    assert_eq!(path.bbr.highest.highest(), RATE);
}

/// Section 5.5.10.2.
#[test]
fn too_many_losses_end_a_probe_and_bound_what_is_in_flight() {
    let mut path = Path::probing();
    path.lose(120_000, 2000);
    assert_eq!(path.bbr.state, State::ProbeBandwidth(Phase::Up), "as many are borne");
    path.lose(120_000, 10_000);
    assert_eq!(path.bbr.state, State::ProbeBandwidth(Phase::Down));
    assert_eq!(path.bbr.bounds.long_term, Some(119_000), "what it was when losses became too many");
    path.lose(50_000, 50_000);
    assert_eq!(path.bbr.bounds.long_term, Some(119_000), "one probe, one bound");
    path.in_flight = 50_000;
    path.reach(|state| state == State::ProbeBandwidth(Phase::Cruise));
    assert_eq!(path.bbr.window, 119_000 - 119_000 * 15 / 100, "some is left to others");
}

#[test]
fn a_probe_that_fills_the_bound_without_losses_raises_it() {
    let mut path = Path::probing();
    path.lose(120_000, 10_000);
    path.in_flight = 50_000;
    path.reach(|state| state == State::ProbeBandwidth(Phase::Up));
    (path.in_flight, path.limited) = (119_000, true);
    let before = path.bbr.bounds.long_term.unwrap_or_default();
    for _ in 0..5 {
        assert_eq!(path.round(RATE), State::ProbeBandwidth(Phase::Up), "the bound is what limits the rate");
    }
    assert!(path.bbr.bounds.long_term.unwrap_or_default() > before + 10_000);
}

/// Section 5.5.10.3.
#[test]
fn losses_outside_of_probes_lower_the_bounds_to_what_is_delivered_until_the_next_probe() {
    let mut path = Path::cruising();
    for (rate, bound) in [(8_000_000, 8_000_000), (7_800_000, 8_000_000), (1_000_000, 5_600_000)] {
        path.round(Rate(rate));
        path.lose(PRODUCT, SEGMENT);
        path.round(Rate(rate));
        let lowered = path.bbr.bounds.rate.unwrap_or_default();
        assert_eq!(lowered, Rate(bound), "{rate}");
        assert_eq!(path.bbr.rate(), Rate(bound));
    }
    path.reach(|state| state == State::ProbeBandwidth(Phase::Refill));
    assert_eq!((path.bbr.bounds.rate, path.bbr.bounds.short_term), (None, None));
}

#[test]
fn tolerated_losses_in_a_probe_lower_nothing() {
    let mut path = Path::probing();
    path.lose(PRODUCT, SEGMENT);
    path.round(Rate(5_000_000));
    assert_eq!((path.bbr.bounds.rate, path.bbr.bounds.long_term), (None, None));
}

/// Section 5.3.4.
#[test]
fn after_five_seconds_the_round_trip_time_is_measured_with_little_in_flight() {
    let mut path = Path::cruising();
    // There is a queue.
    path.rtt = Duration::from_millis(12);
    let before = path.bbr.window;
    path.reach(State::is_probing_rtt);
    assert!((5000..5100).contains(&path.now.millis()), "{:?}", path.now);
    assert_eq!(path.bbr.window, PRODUCT / 2);
    assert!(path.bbr.holds_back());
    path.round(RATE);
    assert_eq!(path.bbr.state, State::ProbeRtt(ProbeRtt::default()), "too much is in flight yet");
    path.in_flight = PRODUCT / 2;
    path.rtt = RTT;
    path.round(Rate(5_000_000));
    let begun = path.now;
    path.reach(|state| !state.is_probing_rtt());
    assert!((path.now - begun) > PROBE_RTT_DURATION && path.now - begun <= PROBE_RTT_DURATION + 2 * RTT);
    assert_eq!(path.bbr.state, State::ProbeBandwidth(Phase::Cruise));
    assert!(path.bbr.window >= 2 * PRODUCT, "the window is what it was: {} of {before}", path.bbr.window);
    assert_eq!(path.bbr.min_rtt.shortest(), Some(RTT));
    // The next time is counted from the end of this one.
    let ended = path.now;
    path.rtt = Duration::from_millis(12);
    path.reach(State::is_probing_rtt);
    assert!(path.now - ended > Duration::from_secs(5), "{:?}", path.now - ended);
}

/// Section 5.4.1.
#[test]
fn after_an_idle_time_it_continues_at_the_known_rate() {
    let mut path = Path::cruising();
    path.now += Duration::from_secs(30);
    path.bbr.on_idle(path.now, Duration::from_secs(30), Duration::from_secs(1));
    path.bbr.on_restart(path.now);
    assert_eq!(path.bbr.pacing_rate(Some(RTT)), Some(RATE.scaled(990)));
    let window = path.bbr.window;
    assert!(!path.round(RATE).is_probing_rtt(), "the silence has let the queue go");
    assert!(path.bbr.window >= window);
}

/// Section 5.6.4.4.
#[test]
fn a_timeout_leaves_one_segment_and_the_window_comes_back_with_the_end_of_the_recovery() {
    let mut path = Path::cruising();
    let window = path.bbr.window;
    path.bbr.on_timeout(path.now, path.in_flight as usize, true);
    assert_eq!(path.bbr.window(), SEGMENT as usize);
    path.bbr.on_timeout(path.now, 0, false);
    let small = |sample: &mut RateSample| {
        (sample.newly_delivered, sample.delivered, sample.rate, sample.recovering) = (SEGMENT, 0, None, true);
    };
    path.round_with(RATE, small);
    assert_eq!(path.bbr.window, 4 * SEGMENT, "the least window");
    path.round_with(RATE, small);
    assert_eq!(path.bbr.window, 5 * SEGMENT);
    path.round(RATE);
    assert!(path.bbr.window >= window);
}

#[test]
fn a_recovery_does_not_lower_the_window_by_itself() {
    let mut path = Path::cruising();
    let window = path.bbr.window();
    path.bbr.on_congestion(path.now, path.in_flight as usize);
    assert_eq!((path.bbr.window(), path.bbr.threshold()), (window, MAXIMUM_WINDOW));
    path.bbr.on_recovered(path.now);
    assert_eq!(path.bbr.window(), window);
}

/// Section 5.5.11.
#[test]
fn the_effects_of_spurious_losses_are_undone() {
    let mut path = Path::probing();
    path.lose(120_000, 10_000);
    path.bbr.on_congestion(path.now, 120_000);
    assert_eq!(path.bbr.state, State::ProbeBandwidth(Phase::Down));
    path.bbr.undo(path.now);
    assert_eq!((path.bbr.state, path.bbr.bounds.long_term), (State::ProbeBandwidth(Phase::Up), None));
    // A spurious timeout leaves nothing behind either.
    let window = path.bbr.window;
    path.bbr.on_timeout(path.now, 120_000, true);
    path.lose(120_000, 100_000);
    path.bbr.undo(path.now);
    assert_eq!((path.bbr.window, path.bbr.bounds.long_term), (window, None));
}

#[test]
fn startup_continues_if_the_losses_that_ended_it_were_spurious() {
    let mut path = Path::new(0);
    path.round(Rate(4_000_000));
    path.bbr.on_mark(path.now, 40_000);
    assert!(path.bbr.full.reached);
    path.round(Rate(4_000_000));
    path.bbr.undo(path.now);
    assert!(!path.bbr.full.reached && path.bbr.state == State::Startup);
    assert_eq!(path.round(Rate(8_000_000)), State::Startup);
}

/// RFC 3168: a mark is congestion, like a loss.
#[test]
fn marks_end_a_probe_and_lower_the_bounds_as_losses_do() {
    let mut path = Path::probing();
    path.bbr.on_mark(path.now, 130_000);
    assert_eq!(path.bbr.state, State::ProbeBandwidth(Phase::Down));
    assert_eq!(path.bbr.bounds.long_term, Some(130_000));
    let mut path = Path::cruising();
    path.bbr.on_mark(path.now, 100_000);
    assert!(path.bbr.bounds.loss_in_round);
}

#[test]
fn a_small_first_request_does_not_slow_down_the_next() {
    let mut path = Path::new(0);
    path.application_limited = true;
    path.round(Rate(10_000));
    assert_eq!(
        path.bbr.pacing_rate(Some(RTT)),
        Some(Rate(1_000_000).scaled(2773)),
        "the initial window in a round trip"
    );
}

#[test]
fn the_rate_never_falls_below_a_segment_in_a_round_trip() {
    let mut path = Path::new(0);
    path.reach(|state| state == State::ProbeBandwidth(Phase::Cruise));
    path.bbr.pacing = Some(Rate(1));
    assert_eq!(path.bbr.pacing_rate(Some(RTT)), Some(Rate(100_000)));
    assert_eq!(path.bbr.pacing_rate(None), Some(Rate(1)));
}

#[test]
fn another_segment_size_changes_the_window_before_anything_was_delivered_alone() {
    let mut bbr = Bbr::new(1000, 0);
    bbr.set_segment_size(500);
    assert_eq!(bbr.window(), initial_window(500));
    let mut path = Path::cruising();
    let window = path.bbr.window();
    path.bbr.set_segment_size(500);
    assert_eq!(path.bbr.window(), window);
}
