//! Ephemeral ports: which are free, and how many of them one owner may have.
//!
//! Every free port is as likely to be chosen as the others, whatever is taken around it, which RFC 6056 section 3.3.1
//! misses in a search that starts at a random port: whoever takes a long run of ports knows which one comes next. The
//! choice is a count over a bitmap, and takes the same few steps when one port is left as when all are.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use hashbrown::HashMap;
use thiserror::Error;

use crate::random::{Random, Secret};

/// Whose a socket is: the host, or one guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(pub u64);

impl Owner {
    /// The host itself, its resolver included. No share binds it.
    pub const HOST: Self = Self(0);
}

/// How the ephemeral ports of each address family are shared out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortLimits {
    /// The ports that are handed out where none is asked for. A range as large as possible makes them hard to guess
    /// (RFC 6056 section 3.2).
    pub range: RangeInclusive<u16>,
    /// How many sockets one owner may have on ports of the range, asked for or not. The host may have any number.
    pub share: u32,
    /// How many ports of the range only the host gets: its resolver needs some whatever the guests do.
    pub reserve: u32,
}

impl Default for PortLimits {
    /// The upper half of all ports, a quarter of them for one owner, and 256 kept for the host.
    fn default() -> Self {
        Self { range: 32_768..=65_535, share: 8192, reserve: 256 }
    }
}

/// Why an owner does not get a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PortError {
    /// No port is free but those that are kept for the host.
    #[error("no port is free")]
    NoPort,
    /// The owner has as many sockets on ephemeral ports as it may.
    #[error("the owner has its share of the ephemeral ports")]
    ShareExhausted,
}

/// The ephemeral ports of one address family, and who has them.
#[derive(Debug)]
pub struct Ports {
    limits: PortLimits,
    free: FreePorts,
    /// How many sockets a port has, where it has any: those of several addresses may have the same one.
    taken: HashMap<u16, u32, Secret>,
    /// How many sockets an owner has on ports of the range; those of the host are not counted.
    shares: HashMap<Owner, u32, Secret>,
}

impl Ports {
    /// All ports are free.
    #[must_use]
    pub fn new(limits: PortLimits, secret: &Secret) -> Self {
        let free = FreePorts::new(limits.range.clone());
        let (taken, shares) = (HashMap::with_hasher(secret.clone()), HashMap::with_hasher(secret.clone()));
        Self { limits, free, taken, shares }
    }

    /// A free port for an owner, which is not [taken](Self::take) yet.
    ///
    /// # Errors
    /// See [`PortError`].
    pub fn choose(&self, owner: Owner, random: &mut Random) -> Result<u16, PortError> {
        self.check_share(owner)?;
        if !self.leaves_reserve(owner) {
            return Err(PortError::NoPort);
        }
        self.free.choose(random).ok_or(PortError::NoPort)
    }

    /// Counts a socket of an owner on a port. Whether the socket's address is free there is the caller's to know.
    ///
    /// # Errors
    /// See [`PortError`]. Ports outside of the range are always given.
    pub fn take(&mut self, port: u16, owner: Owner) -> Result<(), PortError> {
        if self.limits.range.contains(&port) {
            self.check_share(owner)?;
            if self.free.contains(port) && !self.leaves_reserve(owner) {
                return Err(PortError::NoPort);
            }
            if owner != Owner::HOST {
                *self.shares.entry(owner).or_default() += 1;
            }
        }
        *self.taken.entry(port).or_default() += 1;
        self.free.remove(port);
        Ok(())
    }

    /// Counts a socket of an owner less. It was [taken](Self::take) before.
    pub fn give_back(&mut self, port: u16, owner: Owner) {
        if !decrement(&mut self.taken, &port) {
            return;
        }
        if !self.is_taken(port) {
            self.free.insert(port);
        }
        if self.limits.range.contains(&port) {
            decrement(&mut self.shares, &owner);
        }
    }

    /// Whether any socket has the port.
    #[must_use]
    pub fn is_taken(&self, port: u16) -> bool {
        self.taken.contains_key(&port)
    }

    /// The free ports of the range. A socket that several interfaces serve needs one that is free on
    /// [all](FreePorts::intersect).
    #[must_use]
    pub const fn free(&self) -> &FreePorts {
        &self.free
    }

    /// # Errors
    /// [`PortError::ShareExhausted`].
    fn check_share(&self, owner: Owner) -> Result<(), PortError> {
        // The host is never in this map.
        let has = self.shares.get(&owner).copied().unwrap_or_default();
        if owner != Owner::HOST && has >= self.limits.share { Err(PortError::ShareExhausted) } else { Ok(()) }
    }

    fn leaves_reserve(&self, owner: Owner) -> bool {
        owner == Owner::HOST || self.free.len() > self.limits.reserve
    }
}

/// Counts one less and forgets what comes to nothing. Whether there was one.
pub(super) fn decrement<K: core::hash::Hash + Eq>(counts: &mut HashMap<K, u32, Secret>, key: &K) -> bool {
    let Some(count) = counts.get_mut(key) else { return false };
    *count = count.saturating_sub(1);
    if *count == 0 {
        counts.remove(key);
    }
    true
}

/// Bits of a word of the bitmap, and words of a group, whose free ports are counted together.
const WORD: usize = u64::BITS as usize;
const GROUP: usize = 64;

/// Ports that are free, among those of a range: a bit for each port there is, and how many are set in each group of
/// 4096.
#[derive(Clone, Debug)]
pub struct FreePorts {
    range: RangeInclusive<u16>,
    words: Vec<u64>,
    groups: [u16; (1 << 16) / WORD / GROUP],
    count: u32,
}

impl FreePorts {
    /// All ports of a range. Port 0 is none.
    #[must_use]
    pub fn new(range: RangeInclusive<u16>) -> Self {
        let range = (*range.start()).max(1)..=*range.end();
        let mut ports = Self { range: range.clone(), words: vec![0; (1 << 16) / WORD], groups: [0; _], count: 0 };
        range.for_each(|port| ports.insert(port));
        ports
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether a port is among them.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        let (word, bit) = place(port);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Adds a port, if it is of the range.
    pub fn insert(&mut self, port: u16) {
        if self.range.contains(&port) && !self.contains(port) {
            self.flip(port);
            self.count += 1;
            self.count_group(port, 1);
        }
    }

    /// Takes a port out.
    pub fn remove(&mut self, port: u16) {
        if self.contains(port) {
            self.flip(port);
            self.count -= 1;
            self.count_group(port, u16::MAX);
        }
    }

    /// Leaves those that are also among `other`.
    pub fn intersect(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(bits, others)| *bits &= others);
        for (count, words) in self.groups.iter_mut().zip(self.words.chunks(GROUP)) {
            *count = words.iter().map(|bits| bits.count_ones() as u16).sum();
        }
        self.count = self.groups.iter().map(|count| u32::from(*count)).sum();
    }

    /// One of them, each as likely as the others: what RFC 6056 section 3.3.2 (algorithm 2) comes to, without its
    /// repeated draws.
    #[must_use]
    pub fn choose(&self, random: &mut Random) -> Option<u16> {
        if self.is_empty() {
            return None;
        }
        self.nth(random.below(self.count), || ())
    }

    /// The one that `rank` others come before. `step` is called for each group, word and bit that is looked at: no more
    /// than 16 and 64 and 64.
    fn nth(&self, rank: u32, mut step: impl FnMut()) -> Option<u16> {
        let mut rank = rank;
        let group = find(self.groups.iter().map(|count| u32::from(*count)), &mut rank, &mut step)?;
        let words = self.words.get(group * GROUP..(group + 1) * GROUP)?;
        let word = find(words.iter().map(|bits| bits.count_ones()), &mut rank, &mut step)?;
        let bits = words.get(word)?;
        let bit = find((0..WORD).map(|bit| u32::from(bits >> bit & 1 == 1)), &mut rank, &mut step)?;
        u16::try_from((group * GROUP + word) * WORD + bit).ok()
    }

    fn flip(&mut self, port: u16) {
        let (word, bit) = place(port);
        if let Some(bits) = self.words.get_mut(word) {
            *bits ^= bit;
        }
    }

    /// Adds to the count of a port's group, modulo 2^16.
    fn count_group(&mut self, port: u16, by: u16) {
        if let Some(count) = self.groups.get_mut(usize::from(port) / WORD / GROUP) {
            *count = count.wrapping_add(by);
        }
    }
}

/// Where the one is that `rank` others come before, among so many in each place; `rank` becomes what is left within the
/// place.
fn find(mut counts: impl Iterator<Item = u32>, rank: &mut u32, step: &mut impl FnMut()) -> Option<usize> {
    counts.position(|count| {
        step();
        let is_here = *rank < count;
        if !is_here {
            *rank -= count;
        }
        is_here
    })
}

/// A port's word of the bitmap, and its bit.
const fn place(port: u16) -> (usize, u64) {
    (port as usize / WORD, 1 << (port as usize % WORD))
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    const GUEST: Owner = Owner(1);
    const OTHER: Owner = Owner(2);

    fn random(seed: u8) -> Random {
        Random::new([seed; 32])
    }

    fn ports(range: RangeInclusive<u16>, share: u32, reserve: u32) -> Ports {
        Ports::new(PortLimits { range, share, reserve }, &Secret::new(&mut random(9)))
    }

    #[test]
    fn every_port_comes_once() {
        let (mut ports, mut random) = (ports(1000..=5999, 5000, 0), random(1));
        let mut chosen = BTreeSet::new();
        while let Ok(port) = ports.choose(GUEST, &mut random) {
            assert!(chosen.insert(port), "{port} came twice");
            assert_eq!(ports.take(port, GUEST), Ok(()));
        }
        assert!(chosen.into_iter().eq(1000..=5999));
        assert_eq!(ports.choose(Owner::HOST, &mut random), Err(PortError::NoPort));
        ports.give_back(4321, GUEST);
        assert_eq!(ports.choose(GUEST, &mut random), Ok(4321));
    }

    #[test]
    fn the_whole_of_all_ports_is_a_range_without_port_0() {
        let free = FreePorts::new(0..=u16::MAX);
        assert_eq!((free.len(), free.contains(0), free.nth(0, || ())), (65_535, false, Some(1)));
        assert_eq!((free.nth(65_534, || ()), free.nth(65_535, || ())), (Some(65_535), None));
        #[expect(clippy::reversed_empty_ranges, reason = "what an empty range gives is the question")]
        let empty = FreePorts::new(9..=3);
        assert_eq!((empty.len(), empty.choose(&mut random(1))), (0, None));
    }

    #[test]
    fn the_choice_takes_as_few_steps_when_one_port_is_left() {
        let mut free = FreePorts::new(32_768..=65_535);
        let mut random = random(2);
        let mut most = 0;
        while !free.is_empty() {
            let mut steps = 0;
            let port = free.nth(random.below(free.len()), || steps += 1).expect("there is one");
            free.remove(port);
            most = most.max(steps);
        }
        assert!(most <= 16 + 64 + 64, "{most}");
    }

    #[test]
    fn a_port_behind_a_long_run_of_taken_ones_is_as_likely_as_the_others() {
        let mut free = FreePorts::new(0..=u16::MAX);
        (1..=65_519).for_each(|port| free.remove(port));
        let mut random = random(3);
        let mut counts = [0; 16];
        for _ in 0..16_000 {
            counts[usize::from(free.choose(&mut random).expect("16 are left") - 65_520)] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn two_seeds_choose_differently() {
        let chosen = |seed| {
            let free = FreePorts::new(32_768..=65_535);
            let mut random = random(seed);
            core::array::from_fn::<_, 8, _>(|_| free.choose(&mut random))
        };
        assert_eq!(chosen(1), chosen(1));
        assert_ne!(chosen(1), chosen(2));
    }

    #[test]
    fn an_owner_has_a_share_that_others_and_the_host_do_not_feel() {
        let (mut ports, mut random) = (ports(1..=100, 10, 0), random(4));
        for port in 1..=10 {
            assert_eq!(ports.take(port, GUEST), Ok(()), "ports that were asked for count too");
        }
        assert_eq!(ports.choose(GUEST, &mut random), Err(PortError::ShareExhausted));
        assert_eq!(ports.take(11, GUEST), Err(PortError::ShareExhausted));
        assert_eq!(ports.take(1, GUEST), Err(PortError::ShareExhausted), "so do those of a further address");
        assert_eq!(ports.take(101, GUEST), Ok(()), "what is outside of the range does not");
        for owner in [OTHER, Owner::HOST] {
            assert!(ports.choose(owner, &mut random).is_ok_and(|port| port > 10));
        }
        (0..11).for_each(|_| assert_eq!(ports.take(20, Owner::HOST), Ok(())));
        ports.give_back(101, GUEST);
        assert_eq!(ports.take(11, GUEST), Err(PortError::ShareExhausted));
        ports.give_back(1, GUEST);
        assert_eq!(ports.take(11, GUEST), Ok(()));
    }

    #[test]
    fn some_ports_are_kept_for_the_host() {
        let (mut ports, mut random) = (ports(1..=100, 100, 5), random(5));
        for port in 1..=95 {
            assert_eq!(ports.take(port, GUEST), Ok(()));
        }
        assert_eq!(ports.choose(OTHER, &mut random), Err(PortError::NoPort));
        assert_eq!(ports.take(96, OTHER), Err(PortError::NoPort), "not even by name");
        assert_eq!(ports.take(95, OTHER), Ok(()), "which takes none that was free");
        for _ in 0..5 {
            let port = ports.choose(Owner::HOST, &mut random).expect("five are kept");
            assert_eq!(ports.take(port, Owner::HOST), Ok(()));
        }
        assert_eq!(ports.choose(Owner::HOST, &mut random), Err(PortError::NoPort));
    }

    #[test]
    fn a_port_is_free_when_its_last_socket_is_gone() {
        let mut ports = ports(1..=100, 100, 0);
        (0..2).for_each(|_| assert_eq!(ports.take(7, GUEST), Ok(())));
        ports.give_back(7, GUEST);
        assert!(ports.is_taken(7) && !ports.free().contains(7));
        ports.give_back(7, GUEST);
        assert!(!ports.is_taken(7) && ports.free().contains(7));
        ports.give_back(7, GUEST);
        assert_eq!((ports.free().len(), ports.shares.len(), ports.taken.len()), (100, 0, 0));
    }

    #[test]
    fn what_is_free_on_several_interfaces_is_free_on_each() {
        let (mut one, mut other) = (FreePorts::new(100..=9000), FreePorts::new(8000..=10_000));
        (8000..=8990).for_each(|port| one.remove(port));
        (8995..=10_000).for_each(|port| other.remove(port));
        one.intersect(&other);
        let mut random = random(6);
        let chosen: BTreeSet<u16> = (0..200).filter_map(|_| one.choose(&mut random)).collect();
        assert!(chosen.into_iter().eq(8991..=8994));
        assert_eq!(one.len(), 4);
    }
}
