//! Limits: what strangers and guests can make the cache hold, and which entries of others they can displace.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn host(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

fn peer(number: u16) -> IpAddr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, number).into()
}

/// The addresses that are being resolved.
fn resolving(neighbours: &Neighbours<u32>) -> BTreeSet<IpAddr> {
    neighbours.entries(at(0)).filter(|known| known.state == State::Incomplete).map(|known| known.hop).collect()
}

#[test]
fn an_owner_who_resolves_very_many_displaces_its_own() {
    let mut neighbours = neighbours(Config::default());
    let (greedy, other) = (Owner(1), Owner(2));
    let mut solicited = 0;
    for number in 0..10_000 {
        let now = at(u64::from(number) / 5);
        let is_first = number < 255;
        // From a second on, the first neighbours have not answered in time and give way.
        let is_late = number >= 5000;
        let asked = neighbours.wait(host(number), number, greedy, now);
        assert!(asked.is_ok() || !is_first, "{number}");
        solicited += u32::from(asked.is_ok() && !is_late);
        if number % 1000 == 0 {
            let hop = host(20_000 + number);
            assert!(neighbours.may_ask(hop, other));
            assert!(neighbours.wait(hop, 20_000 + number, other, now).is_ok());
        }
        while let Some(action) = neighbours.poll(now) {
            assert!(!matches!(action, Action::Displaced { waiting, .. } if waiting >= 20_000));
        }
    }
    assert_eq!(solicited, 256 - 1, "no more in a second than may be resolved at once, with the other's first");
    let resolving = resolving(&neighbours);
    assert_eq!(resolving.len(), 256);
    assert!((0..10).all(|number| resolving.contains(&host(20_000 + 1000 * number))));
    assert!(resolving.range(host(5000)..host(10_000)).count() > 200, "the oldest have given way");
    assert!(!neighbours.may_ask(host(1), greedy) && neighbours.may_ask(host(1), other));
}

#[test]
fn owners_who_resolve_very_many_get_as_many_each() {
    let mut neighbours = neighbours(Config::default());
    for owner in 0..4 {
        for number in 0..1000 {
            let _refused = neighbours.wait(host(1000 * owner + number), number, Owner(owner.into()), at(0));
        }
    }
    let resolving = resolving(&neighbours);
    for owner in 0..4 {
        let count = resolving.range(host(1000 * owner)..host(1000 * owner + 1000)).count();
        assert!((63..=65).contains(&count), "{count} for {owner}");
    }
}

#[test]
fn a_neighbour_that_two_owners_wait_for_is_not_displaced_because_of_one_of_them() {
    let mut neighbours = neighbours(Config::default());
    let (greedy, other) = (Owner(1), Owner(2));
    assert!(neighbours.wait(V4, 1, greedy, at(0)).is_ok());
    (0..200).for_each(|number| assert!(neighbours.wait(host(number), 2, greedy, at(0)).is_ok()));
    assert!(neighbours.wait(V4, 3, other, at(0)).is_ok());
    assert_eq!(actions(&mut neighbours, at(0)).len(), 201);
    assert_eq!(actions(&mut neighbours, at(1000)).len(), 201, "again, since none has answered");
    for number in 200..1000 {
        let _refused = neighbours.wait(host(number), 2, greedy, at(1000));
    }
    let resolving = resolving(&neighbours);
    assert!(resolving.contains(&V4) && !resolving.contains(&host(0)));
}

#[test]
fn the_oldest_item_of_a_neighbour_is_displaced() {
    let mut neighbours = neighbours(Config { most_waiting: 3, ..Config::default() });
    let displaced: Vec<_> = (0..5).map(|number| neighbours.wait(V4, number, OWNER, at(0))).collect();
    assert_eq!(displaced, [Ok(None), Ok(None), Ok(None), Ok(Some(0)), Ok(Some(1))]);
    actions(&mut neighbours, at(0));
    let _ = neighbours.hear(V4, answer(V4, ONE), at(1));
    assert_eq!(actions(&mut neighbours, at(1)), [2, 3, 4].map(|waiting| Action::Release { hop: V4, waiting }));
}

#[test]
fn a_new_item_displaces_one_of_the_neighbour_that_has_been_resolving_for_the_longest() {
    let mut neighbours = neighbours(Config { most_waiting_total: 4, ..Config::default() });
    for number in 0..4 {
        assert_eq!(neighbours.wait(host(1 + number / 2), number, OWNER, at(0)), Ok(None));
    }
    assert_eq!(neighbours.wait(V6, 4, OWNER, at(1)), Ok(Some(0)));
    assert_eq!(neighbours.wait(host(2), 5, OWNER, at(1)), Ok(Some(2)), "who has something there pays itself");
    assert_eq!(neighbours.wait(V4, 6, OWNER, at(1)), Ok(Some(1)));
}

#[test]
fn limits_of_zero_admit_nothing() {
    for config in [
        Config { most_waiting_total: 0, ..Config::default() },
        Config { most_waiting: 0, ..Config::default() },
        Config { most_unresolved: 0, ..Config::default() },
        Config { most: 0, ..Config::default() },
    ] {
        assert_eq!(neighbours(config).wait(V4, 1, OWNER, at(0)), Err(1));
    }
    let mut none = neighbours(Config { most: 0, ..Config::default() });
    assert_eq!(none.resolve(V4, OWNER, at(0)), None);
    assert_eq!(none.set_static(V4, ONE, at(0)), Err(SetError::Full));
    let _ = none.hear(V4, Evidence::Solicitation { hardware: ONE }, at(0));
    assert!(none.entries.is_empty());
}

#[test]
fn a_scan_of_unused_addresses_does_not_displace_neighbours_that_answer() {
    let mut neighbours = neighbours(Config::default());
    let live: Vec<IpAddr> = (0..700).map(peer).collect();
    live.iter().for_each(|hop| reach(&mut neighbours, *hop, at(0)));
    let mut solicited = 0;
    for number in 0..100_000 {
        let now = at(u64::from(number / 100));
        let owner = Owner(number.into());
        assert_eq!(neighbours.resolve(host(number), owner, now), None);
        assert!(neighbours.wait(host(number), number, owner, now).is_ok());
        for action in actions(&mut neighbours, now) {
            match action {
                Action::Solicit { to, .. } => {
                    assert_eq!(to, None);
                    solicited += 1;
                }
                Action::Displaced { waiting, .. } => assert_eq!(waiting, number - 256, "the oldest gives way"),
                Action::Release { .. } | Action::Unreachable { .. } | Action::Lost { .. } => panic!("{action:?}"),
            }
        }
    }
    assert_eq!((solicited, neighbours.waiting, neighbours.entries.len()), (100_000, 256, 1024));
    assert!(live.iter().all(|hop| neighbours.resolve(*hop, OWNER, at(1000)) == Some(ONE)));
    // A neighbour that answers is still found during the scan.
    assert_eq!(neighbours.resolve(V4, OWNER, at(1000)), None);
    let found = [Action::Displaced { hop: host(99_744), waiting: 99_744 }, solicit(V4, None)];
    assert_eq!(actions(&mut neighbours, at(1000))[..2], found);
    let _ = neighbours.hear(V4, answer(V4, ONE), at(1000));
    assert_eq!(neighbours.resolve(V4, OWNER, at(1000)), Some(ONE));
    assert!(neighbours.held() < 1 << 20, "{}", neighbours.held());
}

#[test]
fn a_displaced_entry_remembers_when_it_was_solicited() {
    let mut neighbours = neighbours(Config::default());
    let mut solicited = 0;
    for number in 0..30_000 {
        let now = at(u64::from(number / 30));
        neighbours.resolve(host(number % 300), Owner(u64::from(number % 300)), now);
        solicited += actions(&mut neighbours, now).len();
    }
    assert_eq!(solicited, 300, "within a second, each is solicited once, though 256 are asked for at once");
}

#[test]
fn strangers_that_announce_themselves_displace_only_other_strangers() {
    let mut neighbours = neighbours(Config::default());
    let live: Vec<IpAddr> = (0..500).map(peer).collect();
    live.iter().for_each(|hop| reach(&mut neighbours, *hop, at(0)));
    assert_eq!(neighbours.wait(V4, 1, OWNER, at(0)), Ok(None));
    for number in 0..100_000 {
        let _ = neighbours.hear(host(number), Evidence::Solicitation { hardware: OTHER }, at(1));
    }
    assert_eq!(neighbours.entries.len(), 768 + 1);
    assert_eq!(neighbours.reachability(V4), Reachability::Incomplete);
    assert!(live.iter().all(|hop| neighbours.resolve(*hop, OWNER, at(1)) == Some(ONE)));
    assert_eq!(neighbours.resolve(host(99_999), OWNER, at(1)), Some(OTHER), "the last to come is known");
    assert_eq!(neighbours.reachability(host(0)), Reachability::Unknown);
    // The same holds if they are sent packets, and so must be probed.
    for number in 0..10_000 {
        let _ = neighbours.hear(host(number), Evidence::Solicitation { hardware: OTHER }, at(2));
        neighbours.resolve(host(number), OWNER, at(2));
    }
    assert!(live.iter().all(|hop| neighbours.resolve(*hop, OWNER, at(2)) == Some(ONE)));
    assert!(neighbours.entries.len() <= 1024);
}

#[test]
fn a_neighbour_that_answers_displaces_the_least_recently_used_entry() {
    let mut neighbours = neighbours(Config { most: 4, most_unresolved: 1, ..Config::default() });
    (0..3).for_each(|number| reach(&mut neighbours, peer(number), at(0)));
    neighbours.resolve(peer(0), OWNER, at(1));
    let _ = neighbours.hear(host(1), Evidence::Solicitation { hardware: OTHER }, at(1));
    assert_eq!(neighbours.reachability(host(1)), Reachability::Unknown, "a stranger finds no place");
    reach(&mut neighbours, V4, at(1));
    let left = [peer(0), peer(1), peer(2), V4].map(|hop| neighbours.resolve(hop, OWNER, at(1)).is_some());
    assert_eq!(left, [true, false, true, true]);
    for number in 0..3 {
        assert_eq!(neighbours.set_static(host(number), ONE, at(2)), Ok(()));
    }
    assert_eq!(neighbours.set_static(host(3), ONE, at(2)), Err(SetError::Full));
    assert_eq!(neighbours.set_static(host(2), OTHER, at(2)), Ok(()), "one that is there may be changed");
}

#[test]
fn a_neighbour_that_answers_displaces_a_stale_entry_before_one_in_use() {
    let mut neighbours = neighbours(Config { most: 4, most_unresolved: 1, ..Config::default() });
    reach(&mut neighbours, peer(0), at(0));
    let (said_so, used) = (host(1), host(2));
    for hop in [used, said_so] {
        let _ = neighbours.hear(hop, Evidence::Solicitation { hardware: OTHER }, at(1));
    }
    assert_eq!(neighbours.resolve(used, OWNER, at(1)), Some(OTHER));
    for (hop, gone) in [(peer(1), said_so), (peer(2), used), (peer(3), peer(0))] {
        assert_eq!(neighbours.reachability(gone), Reachability::Probable);
        reach(&mut neighbours, hop, at(2));
        assert_eq!(neighbours.reachability(gone), Reachability::Unknown);
    }
}

#[test]
fn an_answer_releases_only_items_that_wait_for_its_sender() {
    let mut neighbours = neighbours(Config::default());
    for number in 0..1000 {
        assert_eq!(neighbours.wait(host(number % 200), number, OWNER, at(0)), Ok(None));
    }
    assert_eq!(actions(&mut neighbours, at(0)).len(), 200);
    let _ = neighbours.hear(V4, Evidence::ArpAnnouncement { hardware: ONE }, at(1));
    let _ = neighbours.hear(V4, Evidence::Solicitation { hardware: ONE }, at(1));
    assert_eq!((neighbours.poll(at(1)), neighbours.waiting), (None, 1000));
    let _ = neighbours.hear(host(7), answer(host(7), ONE), at(1));
    let released = [7, 207, 407, 607, 807].map(|waiting| Action::Release { hop: host(7), waiting });
    assert_eq!(actions(&mut neighbours, at(1)), released);
}

/// The expected content of the cache beside random calls.
#[derive(Default)]
struct Model {
    waiting: BTreeSet<u32>,
    next: u32,
    /// When each neighbour was last solicited; removed when the cache removes the entry.
    solicited: BTreeMap<IpAddr, Instant>,
}

impl Model {
    fn returned(&mut self, waiting: u32) {
        assert!(self.waiting.remove(&waiting), "{waiting} comes back twice, or never waited");
    }

    fn poll(&mut self, neighbours: &mut Neighbours<u32>, now: Instant) {
        while let Some(action) = neighbours.poll(now) {
            match action {
                Action::Solicit { hop, .. } => {
                    let before = self.solicited.insert(hop, now);
                    assert!(before.is_none_or(|before| now - before >= Duration::from_secs(1)), "{hop} again");
                }
                Action::Release { waiting, .. }
                | Action::Unreachable { waiting, .. }
                | Action::Displaced { waiting, .. } => self.returned(waiting),
                Action::Lost { hop } => assert_eq!(neighbours.reachability(hop), Reachability::Failed),
            }
        }
        assert!(neighbours.next_timeout().is_none_or(|next| next > now));
    }

    fn step(&mut self, neighbours: &mut Neighbours<u32>, random: &mut Random, now: Instant) {
        let hop = if random.below(2) == 0 { host(random.below(30)) } else { peer(random.range(0..=10)) };
        match random.below(88) {
            0..30 => {
                let resolved = neighbours.resolve(hop, OWNER, now);
                assert_eq!(resolved.is_some(), neighbours.reachability(hop) == Reachability::Probable);
            }
            30..60 => {
                self.waiting.insert(self.next);
                match neighbours.wait(hop, self.next, OWNER, now) {
                    Ok(displaced) => displaced.into_iter().for_each(|waiting| self.returned(waiting)),
                    Err(waiting) => self.returned(waiting),
                }
                self.next += 1;
            }
            60..75 => {
                let _ = neighbours.hear(hop, evidence(random), now);
            }
            75..80 => neighbours.confirm(hop, now),
            80..84 => {
                let cancelled = RefCell::new(Vec::new());
                let count = neighbours.cancel(hop, |waiting| {
                    let matches = waiting % 2 == 0;
                    matches.then(|| cancelled.borrow_mut().push(*waiting));
                    matches
                });
                let cancelled = cancelled.into_inner();
                assert_eq!(cancelled.len(), count);
                cancelled.into_iter().for_each(|waiting| self.returned(waiting));
            }
            84 => {
                neighbours.forget(hop);
            }
            85 if random.below(10) == 0 => neighbours.forget_all(),
            86 if random.below(5) == 0 => {
                let _ = neighbours.set_static(hop, ONE, now);
            }
            _ => {}
        }
    }

    fn check(&mut self, neighbours: &Neighbours<u32>, config: Config) {
        let unresolved = neighbours.entries.iter().filter(|(_, entry)| entry.is_incomplete()).count();
        assert!(unresolved <= config.most_unresolved && neighbours.entries.len() <= config.most);
        assert_eq!(neighbours.waiting, self.waiting.len());
        assert!(neighbours.waiting <= config.most_waiting_total);
        assert_eq!(neighbours.keys.len(), neighbours.entries.len());
        let mut waiting = 0;
        for (key, entry) in neighbours.entries.iter() {
            assert_eq!(neighbours.keys.get(&entry.hop), Some(&key));
            assert_eq!(neighbours.ranks.rank(key.index()), Some(entry.rank()));
            assert!(entry.waiting.len() <= config.most_waiting);
            assert!(entry.is_incomplete() || entry.waiting.is_empty());
            waiting += entry.waiting.len();
        }
        assert_eq!(waiting < neighbours.waiting, !neighbours.leaving.is_empty());
        let ranks = [Rank::Dead, Rank::Stale, Rank::Suspect, Rank::Confirmed, Rank::Fixed, Rank::Asked, Rank::Awaited];
        assert_eq!(neighbours.ranks.count(&ranks), neighbours.entries.len());
        self.solicited.retain(|hop, _| neighbours.find(*hop).is_some());
    }
}

fn evidence(random: &mut Random) -> Evidence {
    let hardware = if random.below(2) == 0 { ONE } else { OTHER };
    let flags = random.next_u32();
    let (is_solicited, overrides, is_router) = (flags & 1 > 0, flags & 2 > 0, flags & 4 > 0);
    let perhaps = (flags & 8 > 0).then_some(hardware);
    match random.below(6) {
        0 => Evidence::Solicitation { hardware },
        1 => Evidence::RouterAdvertisement { hardware: perhaps },
        2 => Evidence::Redirect { hardware: perhaps, is_router },
        3 => Evidence::Advertisement { hardware: perhaps, is_solicited, overrides, is_router },
        4 => Evidence::ArpReply { hardware },
        _ => Evidence::ArpAnnouncement { hardware },
    }
}

#[test]
fn limits_hold_and_every_waiting_item_is_returned_once() {
    for seed in 0..40 {
        let mut random = Random::new([seed; 32]);
        let most = 8 + random.below(40) as usize;
        let config = Config {
            most,
            most_unresolved: 1 + random.below(most as u32 / 2) as usize,
            most_waiting: 1 + random.below(5) as usize,
            most_waiting_total: 1 + random.below(20) as usize,
            ..Config::default()
        };
        let mut neighbours = neighbours(config);
        let (mut model, mut now) = (Model::default(), at(0));
        for _ in 0..5000 {
            model.step(&mut neighbours, &mut random, now);
            model.check(&neighbours, config);
            if random.below(6) == 0 {
                now += Duration::from_millis(random.below(1500).into());
            }
            if random.below(3) > 0 {
                model.poll(&mut neighbours, now);
                model.check(&neighbours, config);
            }
        }
        for _ in 0..60 {
            now += Duration::from_secs(1);
            model.poll(&mut neighbours, now);
        }
        assert_eq!((model.waiting.len(), neighbours.waiting), (0, 0));
    }
}
