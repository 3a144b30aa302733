use std::vec::Vec;

use super::*;

fn random(seed: u8) -> Random {
    Random::new([seed; 32])
}

fn start() -> Instant {
    Instant::from_origin(Duration::from_secs(1000))
}

/// Runs a claim for some seconds. Returns its actions with their times in milliseconds since the start.
fn run(claim: &mut Claim, seconds: u64, random: &mut Random) -> Vec<(Action, u64)> {
    let mut done = Vec::new();
    while let Some(due) = claim.next_timeout().filter(|due| *due <= start() + Duration::from_secs(seconds)) {
        let due = due.max(start());
        let before = Instant::from_origin(due.since_origin() - Duration::from_nanos(1));
        assert_eq!(claim.poll(before, random), None, "not before its time");
        while let Some(action) = claim.poll(due, random) {
            done.push((action, (due - start()).as_millis() as u64));
        }
    }
    done
}

#[test]
fn an_ipv4_address_is_probed_for_three_times_and_announced_twice() {
    let mut firsts = Vec::new();
    for seed in 0..50 {
        let mut random = random(seed);
        let mut claim = Claim::new(Timing::ARP, start(), &mut random);
        assert_eq!(claim.state(), State::Probing);
        let done = run(&mut claim, 60, &mut random);
        let [(Action::Probe, a), (Action::Probe, b), (Action::Probe, c), ref rest @ ..] = done[..] else {
            panic!("{done:?}");
        };
        assert!(a <= 1000, "PROBE_WAIT");
        assert!((1000..=2001).contains(&(b - a)) && (1000..=2001).contains(&(c - b)), "PROBE_MIN to PROBE_MAX");
        let held = c + 2000;
        assert_eq!(
            rest,
            [(Action::Acquired, held), (Action::Announce, held), (Action::Announce, held + 2000)],
            "ANNOUNCE_WAIT, ANNOUNCE_NUM, ANNOUNCE_INTERVAL"
        );
        assert_eq!((claim.state(), claim.next_timeout()), (State::Held, None));
        firsts.push(a);
    }
    firsts.sort_unstable();
    assert!(firsts[0] < 300 && firsts[49] > 700, "hosts that begin together do not speak at once: {firsts:?}");
}

#[test]
fn an_ipv6_address_is_probed_for_once_and_advertised_three_times() {
    let mut random = random(1);
    let mut claim = Claim::new(Timing::NDP, start(), &mut random);
    let done = run(&mut claim, 60, &mut random);
    let (_, first) = done[0];
    assert!(first <= 1000, "MAX_RTR_SOLICITATION_DELAY");
    let held = first + 1000;
    assert_eq!(
        done,
        [
            (Action::Probe, first),
            (Action::Acquired, held),
            (Action::Announce, held),
            (Action::Announce, held + 1000),
            (Action::Announce, held + 2000),
        ]
    );
}

#[test]
fn without_probes_an_address_is_held_and_announced_at_once() {
    let mut random = random(1);
    let mut claim = Claim::new(Timing::ARP.without_probes(), start(), &mut random);
    let done = run(&mut claim, 60, &mut random);
    assert_eq!(done, [(Action::Acquired, 0), (Action::Announce, 0), (Action::Announce, 2000)]);
}

#[test]
fn a_conflict_while_probing_loses_the_address() {
    for timing in [Timing::ARP, Timing::NDP, Timing::ARP.with_defence(Defence::Always(Duration::ZERO))] {
        let mut random = random(1);
        let mut claim = Claim::new(timing, start(), &mut random);
        assert_eq!(claim.conflict(start()), Outcome::Lost);
        assert_eq!((claim.state(), claim.next_timeout()), (State::Lost, None));
        claim.announce(start());
        assert_eq!(run(&mut claim, 60, &mut random), [], "nothing more is said about it");
        claim.restart(start(), &mut random);
        assert_eq!(claim.state(), State::Probing);
    }
}

fn held(defence: Defence) -> (Claim, Random) {
    let mut random = random(1);
    let mut claim = Claim::new(Timing::ARP.without_probes().with_defence(defence), start(), &mut random);
    run(&mut claim, 60, &mut random);
    (claim, random)
}

fn after(seconds: u64) -> Instant {
    start() + Duration::from_secs(seconds)
}

const INTERVAL: Duration = Duration::from_secs(10);

#[test]
fn an_address_is_defended_once_and_given_up_after_another_conflict_within_the_interval() {
    let (mut claim, mut random) = held(Timing::ARP.defence);
    assert_eq!(claim.conflict(after(100)), Outcome::Kept);
    assert_eq!(claim.poll(after(100), &mut random), Some(Action::Announce));
    assert_eq!((claim.poll(after(109), &mut random), claim.next_timeout()), (None, None), "one announcement");
    assert_eq!(claim.conflict(after(110)), Outcome::Kept, "DEFEND_INTERVAL is over");
    assert_eq!(claim.poll(after(110), &mut random), Some(Action::Announce));
    assert_eq!(claim.conflict(after(119)), Outcome::Lost);
    assert_eq!((claim.state(), claim.poll(after(200), &mut random)), (State::Lost, None));
}

#[test]
fn an_address_that_is_never_given_up_is_defended_no_more_often_than_allowed() {
    let (mut claim, mut random) = held(Defence::Always(INTERVAL));
    let mut announcements = 0;
    for second in 100..200 {
        assert_eq!(claim.conflict(after(second)), Outcome::Kept);
        announcements += u32::from(claim.poll(after(second), &mut random).is_some());
    }
    assert_eq!(announcements, 10);
}

#[test]
fn the_other_defences_give_up_at_once_or_only_report() {
    let (mut claim, _) = held(Defence::GiveUp);
    assert_eq!(claim.conflict(after(100)), Outcome::Lost);
    let (mut claim, mut random) = held(Defence::None);
    assert_eq!((claim.conflict(after(100)), claim.poll(after(100), &mut random)), (Outcome::Kept, None));
}

#[test]
fn a_new_hardware_address_is_announced_at_once_even_right_after_an_announcement() {
    let (mut claim, mut random) = held(Timing::ARP.defence);
    for second in [100, 101] {
        claim.announce(after(second));
        assert_eq!(claim.poll(after(second), &mut random), Some(Action::Announce), "at once");
    }
    assert_eq!(claim.next_timeout(), Some(after(103)));
    assert_eq!(claim.poll(after(103), &mut random), Some(Action::Announce));
    assert_eq!(claim.next_timeout(), None);
}
