//! Numbers that sockets are bound to: ports and echo identifiers. Which are free, and how many one owner may have.
//!
//! Every free port is equally likely to be chosen, whatever other ports are taken. A search that starts at a random
//! port (RFC 6056 section 3.3.1) does not have this property: after a long run of taken ports the next port is easy to
//! guess. The choice counts over a bitmap, and takes few steps even if only one port is free.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use hashbrown::HashMap;
use thiserror::Error;

use crate::random::{Random, Secret};

/// The owner of a socket: the host, or one guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(pub u64);

impl Owner {
    /// The host itself, including its resolver. Its share is not limited.
    pub const HOST: Self = Self(0);

    /// No owner of sockets: the owner of packets that answer strangers. Apart from the host, so that strangers take
    /// nothing from it.
    pub const NOBODY: Self = Self(u64::MAX);
}

/// How the ephemeral ports of each address family are divided among owners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortLimits {
    /// The ports that are assigned to sockets which ask for none. The larger the range, the harder ports are to guess
    /// (RFC 6056 section 3.2).
    pub range: RangeInclusive<u16>,
    /// How many sockets one owner may have on ports of the range, whether it asked for the port or not. When ports get
    /// scarce, it may have fewer: a free port is given only to an owner who has fewer than are left for all owners. So
    /// some ports are left for an owner who has none yet. The host is not limited.
    pub share: u32,
    /// How many ports of the range are reserved for the host: its resolver needs some, whatever the guests do.
    pub reserve: u32,
}

impl PortLimits {
    /// A range, of which one owner may have 8192 ports. The host's reserve is a 64th of it, at most 256 ports.
    #[must_use]
    pub const fn new(range: RangeInclusive<u16>) -> Self {
        let reserve = size(&range) / 64;
        Self { range, share: 8192, reserve: if reserve < 256 { reserve } else { 256 } }
    }
}

impl Default for PortLimits {
    /// The upper half of all ports; a quarter of them per owner, and 256 reserved for the host.
    fn default() -> Self {
        Self::new(32_768..=65_535)
    }
}

/// The number of ports of a range.
pub(crate) const fn size(range: &RangeInclusive<u16>) -> u32 {
    (*range.end() as u32 + 1).saturating_sub(*range.start() as u32)
}

/// Why an owner does not get a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PortError {
    /// The only free ports are those reserved for the host.
    #[error("no port is free")]
    NoPort,
    /// The owner has as many sockets on ephemeral ports as it may have.
    #[error("the owner has its share of the ephemeral ports")]
    ShareExhausted,
}

/// The ephemeral ports of one address family, and their use.
#[derive(Debug)]
pub struct Ports {
    limits: PortLimits,
    free: FreePorts,
    /// How many sockets a port has, if it has any: sockets at different addresses may have the same port.
    taken: HashMap<u16, u32, Secret>,
    /// How many sockets an owner has on ports of the range. The host's are not counted.
    shares: HashMap<Owner, u32, Secret>,
}

impl Ports {
    /// All ports are free at first.
    #[must_use]
    pub fn new(limits: PortLimits, secret: &Secret) -> Self {
        let free = FreePorts::new(limits.range.clone());
        let (taken, shares) = (HashMap::with_hasher(secret.clone()), HashMap::with_hasher(secret.clone()));
        Self { limits, free, taken, shares }
    }

    /// Chooses a free port for an owner. It is not [taken](Self::take) yet.
    ///
    /// # Errors
    /// See [`PortError`].
    pub fn choose(&self, owner: Owner, random: &mut Random) -> Result<u16, PortError> {
        self.check(owner, true)?;
        self.free.choose(random).ok_or(PortError::NoPort)
    }

    /// Counts a socket of an owner on a port. The caller must check that no other socket has the same address and port.
    ///
    /// # Errors
    /// See [`PortError`]. Ports outside the range are never refused.
    pub fn take(&mut self, port: u16, owner: Owner) -> Result<(), PortError> {
        if self.limits.range.contains(&port) {
            self.check(owner, self.free.contains(port))?;
            if owner != Owner::HOST {
                *self.shares.entry(owner).or_default() += 1;
            }
        }
        *self.taken.entry(port).or_default() += 1;
        self.free.remove(port);
        Ok(())
    }

    /// Undoes [`take`](Self::take), for a socket that is gone.
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

    /// The free ports of the range. A socket that several interfaces serve needs one that is free on [all of
    /// them](FreePorts::intersect).
    #[must_use]
    pub const fn free(&self) -> &FreePorts {
        &self.free
    }

    /// Checks whether an owner may have one more socket on a port of the range. `is_free` says whether the socket is the
    /// first on its port.
    fn check(&self, owner: Owner, is_free: bool) -> Result<(), PortError> {
        if owner == Owner::HOST {
            return Ok(());
        }
        let left = self.free.len().saturating_sub(self.limits.reserve);
        if is_free && left == 0 {
            return Err(PortError::NoPort);
        }
        let most = if is_free { self.limits.share.min(left) } else { self.limits.share };
        let has = self.shares.get(&owner).copied().unwrap_or_default();
        if has >= most { Err(PortError::ShareExhausted) } else { Ok(()) }
    }
}

/// Decrements a count and removes it when it becomes 0. Returns whether there was one.
pub(crate) fn decrement<K: core::hash::Hash + Eq>(counts: &mut HashMap<K, u32, Secret>, key: &K) -> bool {
    let Some(count) = counts.get_mut(key) else { return false };
    *count = count.saturating_sub(1);
    if *count == 0 {
        counts.remove(key);
    }
    true
}

/// Bits per word of the bitmap, and words per group. Free ports are counted per group.
const WORD: usize = u64::BITS as usize;
const GROUP: usize = 64;

/// The free ports of a range: a bitmap of all ports, and the number of free ports in each group of 4096.
#[derive(Clone, Debug)]
pub struct FreePorts {
    range: RangeInclusive<u16>,
    words: Vec<u64>,
    groups: [u16; (1 << 16) / WORD / GROUP],
    count: u32,
}

impl FreePorts {
    /// All ports of a range, except port 0.
    #[must_use]
    pub fn new(range: RangeInclusive<u16>) -> Self {
        let range = (*range.start()).max(1)..=*range.end();
        let mut ports = Self { range: range.clone(), words: vec![0; (1 << 16) / WORD], groups: [0; _], count: 0 };
        range.for_each(|port| ports.insert(port));
        ports
    }

    /// The number of free ports.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether no port is free.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether a port is free.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        let (word, bit) = place(port);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Adds a port, if it is in the range.
    pub fn insert(&mut self, port: u16) {
        if self.range.contains(&port) && !self.contains(port) {
            self.flip(port);
            self.count += 1;
            self.count_group(port, 1);
        }
    }

    /// Removes a port.
    pub fn remove(&mut self, port: u16) {
        if self.contains(port) {
            self.flip(port);
            self.count -= 1;
            self.count_group(port, u16::MAX);
        }
    }

    /// Keeps only the ports that are also free in `other`.
    pub fn intersect(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(bits, others)| *bits &= others);
        for (count, words) in self.groups.iter_mut().zip(self.words.chunks(GROUP)) {
            *count = words.iter().map(|bits| bits.count_ones() as u16).sum();
        }
        self.count = self.groups.iter().map(|count| u32::from(*count)).sum();
    }

    /// A uniformly chosen free port: the distribution of RFC 6056 section 3.3.2 (algorithm 2), without its repeated
    /// draws.
    #[must_use]
    pub fn choose(&self, random: &mut Random) -> Option<u16> {
        if self.is_empty() {
            return None;
        }
        self.nth(random.below(self.count), || ())
    }

    /// The free port that has `rank` free ports before it. `step` is called for each group, word and bit that is looked
    /// at: at most 16, 64 and 64.
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

/// The index of the element with the item that has `rank` items before it; `counts` has the number of items of each
/// element. `rank` becomes the rank within the element.
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

/// The index of a port's word in the bitmap, and its bit.
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
    fn every_port_is_chosen_once() {
        let (mut ports, mut random) = (ports(1000..=5999, 5000, 0), random(1));
        let mut chosen = BTreeSet::new();
        while let Ok(port) = ports.choose(Owner::HOST, &mut random) {
            assert!(chosen.insert(port), "{port} came twice");
            assert_eq!(ports.take(port, Owner::HOST), Ok(()));
        }
        assert!(chosen.into_iter().eq(1000..=5999));
        assert_eq!(ports.choose(Owner::HOST, &mut random), Err(PortError::NoPort));
        ports.give_back(4321, Owner::HOST);
        assert_eq!(ports.choose(GUEST, &mut random), Ok(4321));
    }

    #[test]
    fn the_range_of_all_ports_excludes_port_0() {
        let free = FreePorts::new(0..=u16::MAX);
        assert_eq!((free.len(), free.contains(0), free.nth(0, || ())), (65_535, false, Some(1)));
        assert_eq!((free.nth(65_534, || ()), free.nth(65_535, || ())), (Some(65_535), None));
        #[expect(clippy::reversed_empty_ranges, reason = "what an empty range gives is the question")]
        let empty = FreePorts::new(9..=3);
        assert_eq!((empty.len(), empty.choose(&mut random(1))), (0, None));
    }

    #[test]
    fn the_choice_takes_few_steps_even_if_one_port_is_left() {
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
    fn a_port_after_a_long_run_of_taken_ports_is_as_likely_as_the_others() {
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
    fn the_share_of_an_owner_does_not_limit_others_or_the_host() {
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
    fn some_ports_are_reserved_for_the_host() {
        let (mut ports, mut random) = (ports(1..=100, 100, 5), random(5));
        for port in 1..=95 {
            assert_eq!(ports.take(port, Owner(1000 + u64::from(port))), Ok(()));
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
    fn some_ports_are_left_for_whoever_has_none_yet() {
        let (mut ports, mut random) = (ports(1..=1000, 1000, 0), random(6));
        let mut fill = |owner| {
            let mut count = 0;
            while let Ok(port) = ports.choose(owner, &mut random) {
                assert_eq!(ports.take(port, owner), Ok(()));
                count += 1;
            }
            count
        };
        assert_eq!([1, 2, 3, 4].map(|owner| fill(Owner(owner))), [500, 250, 125, 63]);
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
    fn ports_free_on_several_interfaces_are_the_intersection() {
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
