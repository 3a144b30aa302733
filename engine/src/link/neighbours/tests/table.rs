//! The state table in appendix C of RFC 4861, row by row.

use super::*;

/// A cache with a neighbour in a state, at the hardware address `ONE` if that is known, and a time at which it has this
/// state.
fn neighbour_in(wanted: State) -> (Neighbours<u32>, Instant) {
    let mut neighbours = neighbours(Config::default());
    let now = match wanted {
        State::Incomplete => {
            assert_eq!(neighbours.wait(V6, 1, OWNER, at(0)), Ok(None));
            assert_eq!(actions(&mut neighbours, at(0)), [solicit(V6, None)]);
            at(10)
        }
        State::Reachable => {
            reach(&mut neighbours, V6, at(0));
            at(10)
        }
        State::Stale | State::Delay | State::Probe => {
            let _ = neighbours.hear(V6, Evidence::Solicitation { hardware: ONE }, at(0));
            if wanted != State::Stale {
                assert_eq!(neighbours.resolve(V6, OWNER, at(0)), Some(ONE));
            }
            if wanted == State::Probe {
                assert_eq!(actions(&mut neighbours, at(5000)), [solicit(V6, Some(ONE))]);
                at(5010)
            } else {
                at(10)
            }
        }
        State::Failed | State::Permanent => unreachable!("not of the table"),
    };
    assert_eq!(state(&neighbours, V6, now), Some(wanted));
    (neighbours, now)
}

const KNOWN: [State; 4] = [State::Reachable, State::Stale, State::Delay, State::Probe];

/// Checks the state and the hardware address of a neighbour in state `before` after this evidence.
#[track_caller]
fn row(before: State, evidence: Evidence, after: State, hardware: Option<EthernetAddress>) {
    let (mut neighbours, now) = neighbour_in(before);
    let timeout = neighbours.next_timeout();
    let _ = neighbours.hear(V6, evidence, now);
    let known = entry(&neighbours, V6, now).expect("it is known");
    assert_eq!((known.state, known.hardware), (after, hardware), "{before:?} {evidence:?}");
    let is_released = before == State::Incomplete && after != State::Incomplete;
    let expected: &[Action<u32>] = if is_released { &[Action::Release { hop: V6, waiting: 1 }] } else { &[] };
    assert_eq!(actions(&mut neighbours, now), expected, "{before:?} {evidence:?}");
    if before == after && before != State::Reachable {
        assert_eq!(neighbours.next_timeout(), timeout, "{before:?} {evidence:?}: the alarm is another one");
    }
}

#[test]
fn advertisements_for_a_neighbour_that_is_not_known_are_discarded() {
    for (is_solicited, overrides) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut neighbours = neighbours(Config::default());
        let _ = neighbours.hear(V6, advertisement(Some(ONE), is_solicited, overrides), at(0));
        assert!(neighbours.entries.is_empty());
    }
}

#[test]
fn advertisements_for_an_incomplete_entry() {
    for overrides in [false, true] {
        row(State::Incomplete, advertisement(Some(OTHER), false, overrides), State::Stale, Some(OTHER));
        row(State::Incomplete, advertisement(Some(OTHER), true, overrides), State::Reachable, Some(OTHER));
        for is_solicited in [false, true] {
            row(State::Incomplete, advertisement(None, is_solicited, overrides), State::Incomplete, None);
            let (mut neighbours, now) = neighbour_in(State::Incomplete);
            let router = Evidence::Advertisement { hardware: None, is_solicited, overrides, is_router: true };
            let _ = neighbours.hear(V6, router, now);
            assert!(neighbours.is_router(V6), "the flag is taken nevertheless");
        }
    }
}

#[test]
fn solicited_advertisements_of_the_known_address_confirm() {
    for (before, overrides) in KNOWN.into_iter().flat_map(|state| [(state, false), (state, true)]) {
        row(before, advertisement(Some(ONE), true, overrides), State::Reachable, Some(ONE));
        row(before, advertisement(None, true, overrides), State::Reachable, Some(ONE));
    }
}

#[test]
fn unsolicited_advertisements_of_the_known_address_change_nothing() {
    for (before, overrides) in KNOWN.into_iter().flat_map(|state| [(state, false), (state, true)]) {
        row(before, advertisement(Some(ONE), false, overrides), before, Some(ONE));
        row(before, advertisement(None, false, overrides), before, Some(ONE));
    }
}

#[test]
fn another_address_without_override_only_makes_a_reachable_entry_stale() {
    for is_solicited in [false, true] {
        // Unsolicited ones too, by section 7.2.5, which is normative. A row of the appendix contradicts it.
        row(State::Reachable, advertisement(Some(OTHER), is_solicited, false), State::Stale, Some(ONE));
        for before in [State::Stale, State::Delay, State::Probe] {
            row(before, advertisement(Some(OTHER), is_solicited, false), before, Some(ONE));
        }
    }
}

#[test]
fn another_address_with_override_is_accepted() {
    for before in KNOWN {
        row(before, advertisement(Some(OTHER), true, true), State::Reachable, Some(OTHER));
        row(before, advertisement(Some(OTHER), false, true), State::Stale, Some(OTHER));
    }
}

#[test]
fn other_messages_with_an_address_create_or_change_an_entry() {
    let messages = |hardware| {
        [
            Evidence::Solicitation { hardware },
            Evidence::RouterAdvertisement { hardware: Some(hardware) },
            Evidence::Redirect { hardware: Some(hardware), is_router: false },
        ]
    };
    for evidence in messages(OTHER) {
        let mut neighbours = neighbours(Config::default());
        let _ = neighbours.hear(V6, evidence, at(0));
        let known = entry(&neighbours, V6, at(0)).expect("it is known");
        assert_eq!((known.state, known.hardware, known.confirmed), (State::Stale, Some(OTHER), None));
        row(State::Incomplete, evidence, State::Stale, Some(OTHER));
        KNOWN.into_iter().for_each(|before| row(before, evidence, State::Stale, Some(OTHER)));
    }
    for evidence in messages(ONE) {
        KNOWN.into_iter().for_each(|before| row(before, evidence, before, Some(ONE)));
    }
}

#[test]
fn other_messages_without_an_address_create_no_entry() {
    for evidence in
        [Evidence::RouterAdvertisement { hardware: None }, Evidence::Redirect { hardware: None, is_router: true }]
    {
        let mut neighbours = neighbours(Config::default());
        let _ = neighbours.hear(V6, evidence, at(0));
        assert!(neighbours.entries.is_empty());
        row(State::Incomplete, evidence, State::Incomplete, None);
        KNOWN.into_iter().for_each(|before| row(before, evidence, before, Some(ONE)));
    }
}

#[test]
fn confirmations_by_upper_layers_apply_to_all_but_incomplete_entries() {
    for before in KNOWN {
        let (mut neighbours, now) = neighbour_in(before);
        neighbours.confirm(V6, now);
        assert_eq!(state(&neighbours, V6, now), Some(State::Reachable));
        assert_eq!(actions(&mut neighbours, now + Duration::from_secs(3600)), []);
    }
    let (mut neighbours, now) = neighbour_in(State::Incomplete);
    neighbours.confirm(V6, now);
    assert_eq!(state(&neighbours, V6, now), Some(State::Incomplete));
}

#[test]
fn packets_and_time() {
    let (mut neighbours, _) = neighbour_in(State::Reachable);
    assert_eq!(state(&neighbours, V6, at(14_999)), Some(State::Reachable));
    assert_eq!(state(&neighbours, V6, at(45_000)), Some(State::Stale), "the reachable time is over");
    assert_eq!(actions(&mut neighbours, at(45_000)), [], "and while nothing is sent, nothing happens");
    let (mut neighbours, now) = neighbour_in(State::Stale);
    assert_eq!(neighbours.resolve(V6, OWNER, now), Some(ONE));
    assert_eq!(state(&neighbours, V6, now), Some(State::Delay));
    let (mut neighbours, _) = neighbour_in(State::Delay);
    assert_eq!(actions(&mut neighbours, at(5000)), [solicit(V6, Some(ONE))]);
    assert_eq!(state(&neighbours, V6, at(5000)), Some(State::Probe));
    let (mut neighbours, _) = neighbour_in(State::Probe);
    assert_eq!(actions(&mut neighbours, at(6000)), [solicit(V6, Some(ONE))]);
    assert_eq!(actions(&mut neighbours, at(7000)), [solicit(V6, Some(ONE))]);
    assert_eq!(actions(&mut neighbours, at(8000)), [Action::Lost { hop: V6 }]);
    let (mut neighbours, _) = neighbour_in(State::Incomplete);
    assert_eq!(actions(&mut neighbours, at(1000)), [solicit(V6, None)]);
    assert_eq!(actions(&mut neighbours, at(2000)), [solicit(V6, None)]);
    assert_eq!(actions(&mut neighbours, at(3000)), [Action::Unreachable { hop: V6, waiting: 1 }]);
}
