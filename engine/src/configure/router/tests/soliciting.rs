//! Tests of the times at which router solicitations are sent.

use super::*;

/// The times at which solicitations are sent, in milliseconds after the start at 100 seconds.
fn sent(interface: &mut Interface, seconds: u64) -> Vec<u64> {
    let mut times = Vec::new();
    while let Some(due) = interface.discovery.next_timeout().filter(|due| *due <= at(100 + seconds)) {
        let before = Instant::from_origin(due.since_origin() - Duration::from_nanos(1));
        assert_eq!(interface.discovery.poll(before, &mut interface.random), None, "not before its time");
        match interface.discovery.poll(due, &mut interface.random) {
            Some(Effect::Solicit) => times.push((due - at(100)).as_millis() as u64),
            Some(Effect::Unanswered) => assert_eq!(times.len(), 3),
            other => panic!("{other:?}"),
        }
        assert_eq!(interface.discovery.poll(due, &mut interface.random), None);
    }
    times
}

#[test]
fn after_three_solicitations_and_a_second_it_is_known_that_nobody_answers() {
    let mut interface = Interface::new();
    assert_eq!(interface.discovery.next_timeout(), None, "there is no address to ask from");
    for _ in 0..2 {
        interface.discovery.solicit(at(100));
        assert!(!interface.discovery.is_unanswered(), "the link is back");
        let third = sent(&mut interface, 14)[2];
        assert!((10_800..=13_200).contains(&third));
        assert_eq!((sent(&mut interface, 16).len(), interface.discovery.is_unanswered()), (0, true));
    }
    interface.receive(ROUTER, 200, router(0), &[]);
    assert!(!interface.discovery.is_unanswered(), "somebody is there");
}

#[test]
fn routers_are_asked_for_more_and_more_seldom_until_one_answers() {
    let mut firsts = Vec::new();
    for seed in 0..20 {
        let mut interface = Interface::new();
        interface.random = Random::new([seed; 32]);
        interface.discovery.solicit(at(100));
        let times = sent(&mut interface, 40_000);
        let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(times[0], 0);
        assert!((3600..=4400).contains(&gaps[0]), "IRT: {gaps:?}");
        for pair in gaps.windows(2) {
            let (before, next) = (pair[0], pair[1]);
            let is_doubled = (before * 19 / 10 - 1..=before * 21 / 10 + 1).contains(&next) && next <= 3_600_000;
            // MRT, if twice the previous interval may exceed it.
            let is_longest = before * 21 / 10 >= 3_600_000 && (3_240_000..=3_960_000).contains(&next);
            assert!(is_doubled || is_longest, "{gaps:?}");
        }
        assert!(gaps.last().is_some_and(|gap| *gap >= 3_240_000), "{gaps:?}");
        firsts.push(gaps[0]);
        interface.receive(ROUTER, 40_100, router(0), &[prefix("2001:db8:1::/64", ON_LINK, 60, 60)]);
        assert!(interface.discovery.next_timeout().is_some(), "that is no default router (RFC 7559 section 2.1)");
        interface.receive(ROUTER, 40_100, router(1800), &[]);
        assert_eq!(interface.discovery.next_timeout(), None);
    }
    firsts.sort_unstable();
    assert!(firsts[0] < 3800 && firsts[19] > 4200, "hosts that begin together do not go on together: {firsts:?}");
}

#[test]
fn one_solicitation_is_sent_although_a_router_was_heard_before() {
    let mut interface = Interface::new();
    interface.receive(ROUTER, 99, router(1800), &[]);
    interface.discovery.solicit(at(100));
    interface.receive(ROUTER, 100, router(1800), &[]);
    assert_eq!(sent(&mut interface, 100), [0]);
}

#[test]
fn a_link_that_is_down_is_not_asked() {
    let mut interface = Interface::new();
    interface.discovery.solicit(at(100));
    assert_eq!(interface.discovery.poll(at(100), &mut interface.random), Some(Effect::Solicit));
    interface.discovery.stop_soliciting();
    assert_eq!(interface.discovery.next_timeout(), None);
    assert_eq!(interface.discovery.poll(at(200), &mut interface.random), None);
}
