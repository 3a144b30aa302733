use core::cell::RefCell;
use core::time::Duration;
use std::rc::Rc;

use super::*;
use crate::policy::{Bucket, Rate};

/// A turn of an owner without limits.
const fn whole(key: char, bytes: usize) -> Turn<char> {
    Turn { key, bytes, packets: usize::MAX }
}

/// Owners without limits.
macro_rules! unlimited {
    ($($owner:ty),+) => {
        $(impl Limited for $owner {
            fn may_send(&self, _now: Instant) -> Result<Allowed, Instant> {
                Ok(Allowed::EVERYTHING)
            }

            fn delayed(&self) {
                panic!("an owner without limits rests")
            }
        })+
    };
}

unlimited!(u8, i32);

/// An owner with a rate.
#[derive(Clone)]
struct Shaped(u8, Rc<RefCell<Bucket>>);

impl PartialEq for Shaped {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Shaped {}

impl Hash for Shaped {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Limited for Shaped {
    fn may_send(&self, now: Instant) -> Result<Allowed, Instant> {
        let mut bucket = self.1.borrow_mut();
        match bucket.ready_at(now) {
            at if at > now => Err(at),
            _ => Ok(Allowed { bytes: usize::try_from(bucket.left(now)).expect("few"), ..Allowed::EVERYTHING }),
        }
    }

    fn delayed(&self) {}
}

const QUANTUM: usize = 10_000;

/// Sends `total` bytes and returns how many each sender has sent. Every sender always has packets, of its own size.
fn run(schedule: &mut Schedule<u8, (u8, u8)>, size: impl Fn((u8, u8)) -> u64, total: u64) -> HashMap<(u8, u8), u64> {
    let mut sent = HashMap::new();
    let mut whole = 0;
    while whole < total {
        let turn = schedule.next(Instant::ORIGIN).expect("there are senders");
        let mut bytes = 0;
        while bytes < turn.bytes as u64 {
            bytes += size(turn.key);
        }
        schedule.spend(bytes);
        *sent.entry(turn.key).or_default() += bytes;
        whole += bytes;
    }
    sent
}

fn of_owner(sent: &HashMap<(u8, u8), u64>, owner: u8) -> u64 {
    sent.iter().filter(|((of, _), _)| *of == owner).map(|(_, bytes)| bytes).sum()
}

#[test]
fn owners_get_the_same_however_many_senders_they_have_and_whatever_they_send() {
    let mut schedule = Schedule::new(QUANTUM);
    let senders = [(1, 1), (2, 32), (3, 5)];
    for (owner, count) in senders {
        (0..count).for_each(|sender| schedule.push(&owner, (owner, sender)));
    }
    // Small packets, packets of Ethernet size, and packets that are longer than a turn.
    let size = |(owner, sender): (u8, u8)| [60, 1514, 65_535][usize::from(owner - 1)] - u64::from(sender);
    let sent = run(&mut schedule, size, 100_000_000);
    for (owner, count) in senders {
        let bytes = of_owner(&sent, owner);
        assert!(bytes.abs_diff(33_333_333) < 200_000, "owner {owner}: {bytes}");
        for sender in 0..count {
            let bytes = sent[&(owner, sender)];
            assert!(bytes.abs_diff(33_333_333 / u64::from(count)) < 200_000, "{owner} {sender}: {bytes}");
        }
    }
}

#[test]
fn a_new_owner_waits_for_one_turn_of_each_owner() {
    let mut schedule = Schedule::new(QUANTUM);
    for owner in 0..4 {
        (0..50).for_each(|sender| schedule.push(&owner, (owner, sender)));
    }
    run(&mut schedule, |_| 1500, 1_000_000);
    schedule.push(&9, (9, 0));
    let mut before = 0;
    while schedule.next(Instant::ORIGIN).expect("there are senders").key != (9, 0) {
        schedule.spend(1500);
        before += 1500;
    }
    assert!(before <= 4 * (QUANTUM + 1500), "{before} bytes");
}

#[test]
fn a_sender_of_an_owner_with_many_waits_for_one_turn_of_each() {
    let mut schedule = Schedule::new(QUANTUM);
    (0..10).for_each(|sender| schedule.push(&0, (0, sender)));
    run(&mut schedule, |_| 1500, 1_000_000);
    schedule.push(&0, (0, 99));
    let mut before = 0;
    while schedule.next(Instant::ORIGIN).expect("there are senders").key != (0, 99) {
        schedule.spend(1500);
        before += 1500;
    }
    assert!(before <= 10 * (QUANTUM + 1500), "{before} bytes");
}

#[test]
fn a_sender_that_finds_the_link_full_keeps_the_rest_of_its_turn_and_no_more() {
    let mut schedule = Schedule::new(QUANTUM);
    schedule.push(&1, 'a');
    schedule.push(&2, 'b');
    assert_eq!(schedule.next(Instant::ORIGIN), Some(whole('a', QUANTUM)));
    schedule.spend(9000);
    // The link is full several times; other senders come meanwhile.
    for _ in 0..3 {
        assert_eq!(schedule.next(Instant::ORIGIN), Some(whole('a', 1000)));
        schedule.push(&3, 'c');
        schedule.spend(0);
    }
    schedule.spend(1500);
    assert_eq!(schedule.next(Instant::ORIGIN).map(|turn| turn.key), Some('b'));
    schedule.finish();
    assert_eq!(schedule.next(Instant::ORIGIN).map(|turn| turn.key), Some('c'));
    schedule.spend(20_000);
    assert_eq!(schedule.next(Instant::ORIGIN), Some(whole('a', QUANTUM - 500)), "what was too much is missing now");
}

#[test]
fn a_finished_sender_is_removed_and_may_be_added_again() {
    let mut schedule = Schedule::new(QUANTUM);
    assert_eq!(schedule.next(Instant::ORIGIN), None::<Turn<char>>);
    schedule.push(&1, 'a');
    schedule.push(&1, 'b');
    schedule.next(Instant::ORIGIN);
    schedule.finish();
    assert_eq!(schedule.next(Instant::ORIGIN).map(|turn| turn.key), Some('b'));
    schedule.push(&1, 'a');
    schedule.finish();
    assert_eq!(schedule.next(Instant::ORIGIN).map(|turn| turn.key), Some('a'));
    schedule.finish();
    assert_eq!(schedule.next(Instant::ORIGIN), None);
    assert!(schedule.is_idle());
    for owner in 0..1000 {
        schedule.push(&owner, 'c');
        schedule.finish();
    }
    assert!(schedule.is_idle() && schedule.shares.len() <= KEPT + 1, "little is kept of owners without senders");
    // Without a sender these calls do nothing.
    schedule.finish();
    schedule.spend(1);
    assert!(schedule.is_idle());
}

/// Senders that add one packet and finish, as datagram sockets do, are served between the turns of one that always has
/// more, and get no more than their share.
#[test]
fn a_sender_that_comes_and_goes_gets_no_more_than_one_that_stays() {
    let mut schedule = Schedule::new(QUANTUM);
    schedule.push(&1, 'a');
    schedule.push(&2, 'b');
    let mut sent = [0u64; 2];
    while sent[0] + sent[1] < 10_000_000 {
        let turn = schedule.next(Instant::ORIGIN).expect("both are there");
        match turn.key {
            'a' => {
                schedule.spend(1500);
                sent[0] += 1500;
            }
            _ => {
                schedule.spend(1500);
                sent[1] += 1500;
                schedule.finish();
                schedule.push(&2, 'b');
            }
        }
    }
    assert!(sent[1] >= 1_000_000 && sent[1] <= sent[0], "{sent:?}");
}

/// One sender has one packet at a time, which is longer than a turn; the other always has more.
#[test]
fn a_sender_that_comes_and_goes_gets_no_more_by_long_packets() {
    for length in [15_000, 65_507] {
        let mut schedule = Schedule::new(QUANTUM);
        (0..100).for_each(|owner| schedule.push(&owner, 'a'));
        schedule.push(&100, 'b');
        let mut sent = [0u64; 2];
        while sent[0] + sent[1] < 200_000_000 {
            let turn = schedule.next(Instant::ORIGIN).expect("all are there");
            let (index, bytes) = if turn.key == 'a' { (0, 1500) } else { (1, length) };
            schedule.spend(bytes);
            sent[index] += bytes;
            if turn.key == 'b' {
                schedule.finish();
                schedule.push(&100, 'b');
            }
        }
        let fair = (sent[0] + sent[1]) / 101;
        assert!(sent[1].abs_diff(fair) < fair / 10, "{length}: {sent:?}");
    }
}

#[test]
fn a_debt_is_paid_by_turns_of_others_and_forgotten_where_nobody_waits() {
    let mut schedule = Schedule::new(QUANTUM);
    let key = |schedule: &mut Schedule<u8, char>| schedule.next(Instant::ORIGIN).map(|turn| turn.key);
    schedule.push(&1, 'a');
    assert_eq!(key(&mut schedule), Some('a'));
    schedule.spend(10 * QUANTUM as u64);
    schedule.finish();
    assert!(schedule.is_idle() && schedule.is_clear_for(&1), "nobody has waited");

    schedule.push(&1, 'a');
    schedule.push(&2, 'b');
    assert_eq!(key(&mut schedule), Some('a'));
    schedule.spend(3 * QUANTUM as u64);
    schedule.finish();
    schedule.push(&1, 'a');
    let mut turns = String::new();
    for _ in 0..5 {
        let next = key(&mut schedule).expect("both are there");
        turns.push(next);
        schedule.spend(if next == 'b' { QUANTUM as u64 } else { 1 });
    }
    assert_eq!(turns, "bbbaa");
    schedule.spend(3 * QUANTUM as u64);
    schedule.remove(&1, 'a');
    assert!(!schedule.is_idle(), "the other waits");
    assert_eq!(key(&mut schedule), Some('b'));
    schedule.finish();
    assert!(schedule.is_idle());
}

#[test]
fn a_sender_is_removed_wherever_it_stands() {
    let mut schedule = Schedule::new(QUANTUM);
    schedule.push(&1, 'a');
    schedule.push(&1, 'b');
    schedule.push(&2, 'c');
    schedule.remove(&1, 'b');
    schedule.remove(&1, 'x');
    schedule.remove(&3, 'a');
    assert_eq!(schedule.next(Instant::ORIGIN), Some(whole('a', QUANTUM)));
    schedule.remove(&1, 'a');
    assert_eq!(schedule.next(Instant::ORIGIN), Some(whole('c', QUANTUM)));
    schedule.remove(&2, 'c');
    assert!(schedule.is_idle() && schedule.next(Instant::ORIGIN).is_none());

    let bucket = Bucket::new(Rate { per_second: 10, burst: 1 }, Instant::ORIGIN);
    let owner = Shaped(1, Rc::new(RefCell::new(bucket)));
    owner.1.borrow_mut().spend(2, Instant::ORIGIN);
    let mut schedule = Schedule::new(QUANTUM);
    schedule.push(&owner, 'a');
    schedule.push(&owner, 'b');
    assert_eq!(schedule.next(Instant::ORIGIN), None);
    schedule.remove(&owner, 'a');
    assert!(schedule.next_timeout().is_some() && !schedule.is_clear_for(&owner));
    schedule.remove(&owner, 'b');
    assert!(schedule.next_timeout().is_none() && schedule.is_clear_for(&owner), "it does not rest for nothing");
}

/// Two owners always have something to send; one of them may send only 1000 bytes in a second.
#[test]
fn an_owner_that_has_used_its_rate_rests_and_the_others_have_the_link() {
    let shaped = |number, rate| Shaped(number, Rc::new(RefCell::new(Bucket::new(rate, Instant::ORIGIN))));
    let slow = shaped(1, Rate::per_second(1000));
    let fast = shaped(2, Rate { per_second: u64::MAX, burst: u64::MAX });
    let mut schedule = Schedule::new(QUANTUM);
    schedule.push(&slow, 's');
    schedule.push(&fast, 'f');
    assert!(!schedule.is_clear_for(&slow) && !schedule.is_clear_for(&fast));
    let mut sent = [0u64; 2];
    let mut now = Instant::ORIGIN;
    for _ in 0..10_000 {
        let turn = schedule.next(now).expect("one of them may always send");
        // The fast one uses its whole turn, so that the slow one need not wait for several of its packets.
        let (owner, bytes) = if turn.key == 's' { (&slow, 60) } else { (&fast, QUANTUM as u64) };
        owner.1.borrow_mut().spend(bytes, now);
        sent[usize::from(owner.0) - 1] += bytes;
        schedule.spend(bytes);
        now += Duration::from_millis(1);
    }
    // Ten seconds, the burst, and one packet beyond it.
    assert!((10_000..=10_160).contains(&sent[0]), "{sent:?}");
    assert!(sent[1] > 9_800 * QUANTUM as u64, "{sent:?}");
}

#[test]
fn a_resting_owner_keeps_its_senders_and_says_when_it_goes_on() {
    let bucket = Bucket::new(Rate { per_second: 10, burst: 1 }, Instant::ORIGIN);
    let owner = Shaped(1, Rc::new(RefCell::new(bucket)));
    let other = Shaped(2, owner.1.clone());
    let mut schedule = Schedule::new(QUANTUM);
    schedule.push(&owner, 'a');
    schedule.push(&owner, 'b');
    owner.1.borrow_mut().spend(2, Instant::ORIGIN);
    assert_eq!(schedule.next(Instant::ORIGIN), None);
    assert!(schedule.is_idle() && !schedule.is_clear_for(&owner) && schedule.is_clear_for(&other));
    let again = Instant::from_origin(Duration::from_millis(200));
    assert_eq!(schedule.next_timeout(), Some(again));
    schedule.push(&owner, 'c');
    assert_eq!(schedule.next(Instant::from_origin(Duration::from_millis(199))), None);
    let mut turns = String::new();
    while let Some(turn) = schedule.next(again) {
        assert_eq!(turn.bytes, 1, "as much as the owner may send");
        turns.push(turn.key);
        schedule.finish();
    }
    assert_eq!((turns.as_str(), schedule.next_timeout()), ("abc", None));
}
