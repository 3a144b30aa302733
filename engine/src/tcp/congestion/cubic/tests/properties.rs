//! What holds for every order of calls.

use proptest::prelude::*;

use super::*;

/// A call with arbitrary arguments.
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
        Call::Acknowledge { bytes, ends: (unacknowledged, next), in_flight, limited, rtts: [rtt, smoothed_rtt] } => {
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
