use core::net::{Ipv4Addr, Ipv6Addr};
use std::vec::Vec;

use super::*;

mod bounds;
mod table;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
/// The owner of the packets, where it does not matter.
const OWNER: Owner = Owner(1);
const ONE: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const OTHER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

fn neighbours(config: Config) -> Neighbours<u32> {
    Neighbours::new(config, &mut Random::new([7; 32]))
}

fn actions(neighbours: &mut Neighbours<u32>, now: Instant) -> Vec<Action<u32>> {
    core::iter::from_fn(|| neighbours.poll(now)).collect()
}

fn solicit(hop: IpAddr, to: Option<EthernetAddress>) -> Action<u32> {
    Action::Solicit { hop, to }
}

fn advertisement(hardware: Option<EthernetAddress>, is_solicited: bool, overrides: bool) -> Evidence {
    Evidence::Advertisement { hardware, is_solicited, overrides, is_router: false }
}

/// An answer of the neighbour, in either family.
fn answer(hop: IpAddr, hardware: EthernetAddress) -> Evidence {
    if hop.is_ipv4() { Evidence::ArpReply { hardware } } else { advertisement(Some(hardware), true, true) }
}

fn entry(neighbours: &Neighbours<u32>, hop: IpAddr, now: Instant) -> Option<Neighbour> {
    neighbours.entries(now).find(|entry| entry.hop == hop)
}

fn state(neighbours: &Neighbours<u32>, hop: IpAddr, now: Instant) -> Option<State> {
    entry(neighbours, hop, now).map(|entry| entry.state)
}

/// Resolves a neighbour, which answers.
fn reach(neighbours: &mut Neighbours<u32>, hop: IpAddr, now: Instant) {
    assert_eq!(neighbours.resolve(hop, OWNER, now), None);
    assert_eq!(actions(neighbours, now), [solicit(hop, None)]);
    assert_eq!(neighbours.hear(hop, answer(hop, ONE), now), Heard::Noted);
    assert_eq!(state(neighbours, hop, now), Some(State::Reachable));
}

#[test]
fn waiting_items_leave_in_order_once_the_neighbour_answers() {
    for hop in [V4, V6] {
        let mut neighbours = neighbours(Config::default());
        for number in 0..5 {
            assert_eq!(neighbours.resolve(hop, OWNER, at(0)), None);
            assert_eq!(neighbours.wait(hop, number, OWNER, at(0)), Ok(None));
        }
        assert_eq!(neighbours.next_timeout(), Some(at(0)));
        assert_eq!(actions(&mut neighbours, at(0)), [solicit(hop, None)], "one solicitation for all of them");
        assert_eq!(neighbours.reachability(hop), Reachability::Incomplete);
        assert_eq!(neighbours.first_waiting(hop), Some(&0));
        assert_eq!(neighbours.hear(hop, answer(hop, ONE), at(3)), Heard::Noted);
        assert_eq!(neighbours.next_timeout(), Some(Instant::ORIGIN));
        assert_eq!(neighbours.resolve(hop, OWNER, at(3)), Some(ONE));
        let released: Vec<_> = (0..5).map(|waiting| Action::Release { hop, waiting }).collect();
        assert_eq!(actions(&mut neighbours, at(3)), released);
        assert_eq!(actions(&mut neighbours, at(100_000)), []);
        assert_eq!((neighbours.waiting, neighbours.reachability(hop)), (0, Reachability::Probable));
    }
}

#[test]
fn an_item_for_a_neighbour_that_has_become_known_leaves_at_once() {
    let mut neighbours = neighbours(Config::default());
    reach(&mut neighbours, V4, at(0));
    assert_eq!(neighbours.wait(V4, 1, OWNER, at(1)), Ok(None));
    assert_eq!(actions(&mut neighbours, at(1)), [Action::Release { hop: V4, waiting: 1 }]);
}

#[test]
fn a_neighbour_that_does_not_answer_is_asked_three_times_a_second_apart_and_given_up() {
    for hop in [V4, V6] {
        let mut neighbours = neighbours(Config::default());
        assert_eq!(neighbours.wait(hop, 1, OWNER, at(500)), Ok(None));
        assert_eq!(neighbours.wait(hop, 2, OWNER, at(500)), Ok(None));
        for millis in [500, 1500, 2500] {
            assert_eq!(actions(&mut neighbours, at(millis - 1)), []);
            assert_eq!(actions(&mut neighbours, at(millis)), [solicit(hop, None)], "at {millis}");
        }
        assert_eq!(actions(&mut neighbours, at(3499)), []);
        assert_eq!(neighbours.next_timeout(), Some(at(3500)));
        let unreachable = [1, 2].map(|waiting| Action::Unreachable { hop, waiting });
        assert_eq!(actions(&mut neighbours, at(3500)), unreachable);
        assert_eq!(neighbours.reachability(hop), Reachability::Failed);
        assert_eq!(neighbours.resolve(hop, OWNER, at(3600)), None);
        assert_eq!(actions(&mut neighbours, at(3600)), [solicit(hop, None)], "the next packet asks anew at once");
        for millis in [4600, 5600, 6600, 36_599] {
            actions(&mut neighbours, at(millis));
        }
        assert_eq!(neighbours.reachability(hop), Reachability::Failed);
        assert_eq!(actions(&mut neighbours, at(36_600)), []);
        assert_eq!((neighbours.reachability(hop), neighbours.entries.len()), (Reachability::Unknown, 0));
    }
}

#[test]
fn a_late_answer_of_a_failed_neighbour_is_accepted() {
    let mut neighbours = neighbours(Config::default());
    neighbours.resolve(V4, OWNER, at(0));
    for millis in [0, 1000, 2000, 3000] {
        actions(&mut neighbours, at(millis));
    }
    assert_eq!(neighbours.reachability(V4), Reachability::Failed);
    let _ = neighbours.hear(V4, Evidence::ArpReply { hardware: ONE }, at(3100));
    assert_eq!(state(&neighbours, V4, at(3100)), Some(State::Stale), "but who was no longer asked confirms nothing");
    assert_eq!(actions(&mut neighbours, at(60_000)), []);
    assert_eq!(state(&neighbours, V4, at(60_000)), Some(State::Stale), "and it is not forgotten as a failure is");
}

#[test]
fn a_silent_neighbour_is_probed_and_then_lost() {
    for hop in [V4, V6] {
        let mut neighbours = neighbours(Config::default());
        reach(&mut neighbours, hop, at(0));
        assert_eq!(
            (neighbours.resolve(hop, OWNER, at(14_999)), state(&neighbours, hop, at(14_999))),
            (Some(ONE), Some(State::Reachable))
        );
        assert_eq!(neighbours.resolve(hop, OWNER, at(45_000)), Some(ONE), "packets go on");
        assert_eq!(state(&neighbours, hop, at(45_000)), Some(State::Delay));
        assert_eq!(neighbours.resolve(hop, OWNER, at(47_000)), Some(ONE), "which begins no new delay");
        assert_eq!(actions(&mut neighbours, at(49_999)), []);
        assert_eq!(neighbours.next_timeout(), Some(at(50_000)));
        for millis in [50_000, 51_000, 52_000] {
            assert_eq!(actions(&mut neighbours, at(millis - 1)), []);
            assert_eq!(actions(&mut neighbours, at(millis)), [solicit(hop, Some(ONE))]);
            assert_eq!(neighbours.resolve(hop, OWNER, at(millis)), Some(ONE));
        }
        assert_eq!(neighbours.reachability(hop), Reachability::Probable);
        assert_eq!(actions(&mut neighbours, at(53_000)), [Action::Lost { hop }]);
        assert_eq!(neighbours.reachability(hop), Reachability::Failed);
        assert_eq!(neighbours.resolve(hop, OWNER, at(53_000)), None);
        assert_eq!(actions(&mut neighbours, at(53_000)), [solicit(hop, None)]);
    }
}

#[test]
fn a_probe_that_is_answered_confirms() {
    for (hop, evidence) in [(V4, answer(V4, ONE)), (V6, advertisement(None, true, false))] {
        let mut neighbours = neighbours(Config::default());
        reach(&mut neighbours, hop, at(0));
        neighbours.resolve(hop, OWNER, at(45_000));
        assert_eq!(actions(&mut neighbours, at(50_000)), [solicit(hop, Some(ONE))]);
        let _ = neighbours.hear(hop, evidence, at(50_001));
        let known = entry(&neighbours, hop, at(50_011)).expect("it is known");
        assert_eq!((known.state, known.confirmed), (State::Reachable, Some(Duration::from_millis(10))));
        assert_eq!(actions(&mut neighbours, at(60_000)), []);
    }
}

#[test]
fn a_confirmation_by_upper_layers_avoids_the_probe() {
    let mut neighbours = neighbours(Config::default());
    neighbours.confirm(V6, at(0));
    assert_eq!(state(&neighbours, V6, at(0)), None, "it makes no entry");
    reach(&mut neighbours, V6, at(0));
    for second in (1..100).map(|turn| turn * 45_000) {
        neighbours.resolve(V6, OWNER, at(second));
        assert_eq!(state(&neighbours, V6, at(second)), Some(State::Delay));
        neighbours.confirm(V6, at(second + 4999));
        assert_eq!(state(&neighbours, V6, at(second + 4999)), Some(State::Reachable));
        assert_eq!(actions(&mut neighbours, at(second + 5000)), []);
    }
}

#[test]
fn no_neighbour_is_solicited_more_often_than_once_a_second() {
    let mut neighbours = neighbours(Config::default());
    neighbours.resolve(V6, OWNER, at(0));
    assert_eq!(actions(&mut neighbours, at(0)), [solicit(V6, None)]);
    // It becomes known without an answer, and is used before the retransmit time, which is now longer, is over.
    let _ = neighbours.hear(V6, Evidence::Solicitation { hardware: ONE }, at(1));
    neighbours.set_advertised_times(None, Some(Duration::from_secs(20)));
    neighbours.resolve(V6, OWNER, at(2));
    assert_eq!(actions(&mut neighbours, at(19_999)), [], "the delay of five seconds is over, but it was asked");
    assert_eq!(actions(&mut neighbours, at(20_000)), [solicit(V6, Some(ONE))]);
    assert_eq!(actions(&mut neighbours, at(39_999)), []);
}

#[test]
fn arp_replies_that_nobody_asked_for_confirm_nothing() {
    let mut neighbours = neighbours(Config::default());
    let _ = neighbours.hear(V4, Evidence::ArpReply { hardware: ONE }, at(0));
    let _ = neighbours.hear(V4, Evidence::ArpAnnouncement { hardware: ONE }, at(0));
    assert_eq!(state(&neighbours, V4, at(0)), None, "nor make they an entry");
    reach(&mut neighbours, V4, at(0));
    let _ = neighbours.hear(V4, Evidence::ArpReply { hardware: OTHER }, at(1));
    assert_eq!(state(&neighbours, V4, at(1)), Some(State::Stale));
    assert_eq!(neighbours.resolve(V4, OWNER, at(2)), Some(OTHER));
    assert_eq!(actions(&mut neighbours, at(5002)), [solicit(V4, Some(OTHER))]);
    let _ = neighbours.hear(V4, Evidence::ArpAnnouncement { hardware: ONE }, at(5003));
    assert_eq!(
        (state(&neighbours, V4, at(5003)), neighbours.resolve(V4, OWNER, at(5003))),
        (Some(State::Stale), Some(ONE))
    );
}

#[test]
fn a_router_that_becomes_a_host_is_reported_once() {
    let mut neighbours = neighbours(Config::default());
    let _ = neighbours.hear(V6, Evidence::RouterAdvertisement { hardware: None }, at(0));
    assert_eq!(state(&neighbours, V6, at(0)), None);
    let _ = neighbours.hear(V6, Evidence::RouterAdvertisement { hardware: Some(ONE) }, at(0));
    assert!(neighbours.is_router(V6));
    let _ = neighbours.hear(V6, Evidence::Solicitation { hardware: OTHER }, at(0));
    assert!(neighbours.is_router(V6), "a solicitation does not say what its sender is");
    let doubtful = neighbours.hear(V6, advertisement(Some(ONE), false, false), at(0));
    assert_eq!((doubtful, neighbours.is_router(V6)), (Heard::Noted, true));
    assert_eq!(neighbours.hear(V6, advertisement(None, true, true), at(0)), Heard::NoLongerRouter);
    assert_eq!(neighbours.hear(V6, advertisement(None, true, true), at(0)), Heard::Noted);
    let _ = neighbours.hear(V6, Evidence::Redirect { hardware: Some(ONE), is_router: false }, at(0));
    assert!(!neighbours.is_router(V6));
    let _ = neighbours.hear(V6, Evidence::Redirect { hardware: None, is_router: true }, at(0));
    let _ = neighbours.hear(V6, Evidence::Redirect { hardware: None, is_router: false }, at(0));
    assert!(neighbours.is_router(V6));
}

#[test]
fn addresses_that_are_not_a_single_station_are_neither_resolved_nor_accepted() {
    let mut neighbours = neighbours(Config::default());
    let none = [[0, 0, 0, 0], [255, 255, 255, 255], [224, 0, 0, 1]].map(IpAddr::from);
    for hop in none.into_iter().chain([Ipv6Addr::UNSPECIFIED.into(), [0xff02, 0, 0, 0, 0, 0, 0, 1].into()]) {
        assert_eq!((neighbours.resolve(hop, OWNER, at(0)), neighbours.wait(hop, 1, OWNER, at(0))), (None, Err(1)));
        let _ = neighbours.hear(hop, Evidence::Solicitation { hardware: ONE }, at(0));
        assert_eq!(neighbours.set_static(hop, ONE, at(0)), Err(SetError::NotUnicast));
    }
    for hardware in [[0; 6], [255; 6], [1, 0, 0x5e, 0, 0, 1]].map(EthernetAddress) {
        let _ = neighbours.hear(V4, Evidence::Solicitation { hardware }, at(0));
        assert_eq!(neighbours.set_static(V4, hardware, at(0)), Err(SetError::NotUnicast));
    }
    assert_eq!((neighbours.entries.len(), neighbours.next_timeout()), (0, None));
}

#[test]
fn a_static_entry_does_not_change_until_it_is_removed() {
    let mut neighbours = neighbours(Config::default());
    assert_eq!(neighbours.wait(V6, 1, OWNER, at(0)), Ok(None));
    assert_eq!(neighbours.set_static(V6, ONE, at(0)), Ok(()));
    assert_eq!(actions(&mut neighbours, at(0)), [Action::Release { hop: V6, waiting: 1 }]);
    for evidence in [answer(V6, OTHER), Evidence::Solicitation { hardware: OTHER }] {
        let _ = neighbours.hear(V6, evidence, at(1));
    }
    neighbours.confirm(V6, at(2));
    neighbours.forget_all();
    assert_eq!(neighbours.resolve(V6, OWNER, at(100_000)), Some(ONE));
    assert_eq!(state(&neighbours, V6, at(100_000)), Some(State::Permanent));
    assert_eq!(actions(&mut neighbours, at(200_000)), []);
    assert_eq!((neighbours.forget(V6), neighbours.forget(V6)), (true, false));
    assert_eq!(neighbours.resolve(V6, OWNER, at(200_000)), None);
}

#[test]
fn items_that_wait_for_a_removed_neighbour_are_returned() {
    let mut neighbours = neighbours(Config::default());
    assert_eq!((neighbours.wait(V4, 1, OWNER, at(0)), neighbours.wait(V6, 2, OWNER, at(0))), (Ok(None), Ok(None)));
    assert!(neighbours.forget(V4));
    neighbours.forget_all();
    let displaced = [(V4, 1), (V6, 2)].map(|(hop, waiting)| Action::Displaced { hop, waiting });
    assert_eq!(actions(&mut neighbours, at(5000)), displaced);
    assert_eq!((neighbours.entries.len(), neighbours.keys.len(), neighbours.waiting), (0, 0, 0));
}

#[test]
fn cancelled_items_are_not_returned() {
    let mut neighbours = neighbours(Config::default());
    for number in 0..4 {
        assert_eq!(neighbours.wait(V4, number, OWNER, at(0)), Ok(None));
    }
    assert_eq!((neighbours.cancel(V4, |number| *number == 1), neighbours.cancel(V6, |_| true)), (1, 0));
    actions(&mut neighbours, at(0));
    let _ = neighbours.hear(V4, answer(V4, ONE), at(1));
    assert_eq!(neighbours.cancel(V4, |number| *number == 2), 1);
    assert_eq!(actions(&mut neighbours, at(1)), [0, 3].map(|waiting| Action::Release { hop: V4, waiting }));
    assert_eq!(neighbours.waiting, 0);
}

#[test]
fn neighbours_are_solicited_at_once_when_the_link_comes_back() {
    let mut neighbours = neighbours(Config::default());
    reach(&mut neighbours, V6, at(0));
    neighbours.resolve(V6, OWNER, at(45_000));
    let failed = [192, 0, 2, 9].into();
    neighbours.resolve(failed, OWNER, at(45_000));
    for millis in [45_000, 46_000, 47_000, 48_000] {
        actions(&mut neighbours, at(millis));
    }
    assert_eq!(neighbours.wait(V4, 1, OWNER, at(49_500)), Ok(None));
    assert_eq!(actions(&mut neighbours, at(49_500)), [solicit(V4, None)]);
    assert_eq!(actions(&mut neighbours, at(51_000)), [solicit(V6, Some(ONE)), solicit(V4, None)]);
    assert_eq!(neighbours.reachability(failed), Reachability::Failed);
    neighbours.retry_unresolved(at(51_001));
    assert_eq!(neighbours.reachability(failed), Reachability::Unknown);
    for millis in [51_001, 52_001, 53_001] {
        let mut solicited = actions(&mut neighbours, at(millis));
        solicited.sort_by_key(|action| matches!(action, Action::Solicit { to: Some(_), .. }));
        assert_eq!(solicited, [solicit(V4, None), solicit(V6, Some(ONE))], "at {millis}");
    }
    let mut ends = actions(&mut neighbours, at(54_001));
    ends.sort_by_key(|action| matches!(action, Action::Lost { .. }));
    assert_eq!(ends, [Action::Unreachable { hop: V4, waiting: 1 }, Action::Lost { hop: V6 }]);
}
