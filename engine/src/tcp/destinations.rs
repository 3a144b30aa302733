//! How the ephemeral ports of connections are divided among owners.
//!
//! A connection is identified by both of its ends (RFC 9293 section 3.4.1), so a port may be used towards several
//! destinations at once. What owners compete for are the ports towards one destination. As with [bound
//! ports](crate::ports::Ports), an owner may open a further connection to a destination only if it has fewer than are
//! left for all owners. So some ports are left for an owner who has no connection to the destination yet.
//!
//! A connection in TIME-WAIT counts until its ends may be used again. If the peer restarts the wait by repeating its
//! FIN, this is not counted: a peer that wants no connections can refuse them anyway.

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;
use core::net::SocketAddr;

use hashbrown::HashMap;

use super::tuple::Tuple;
use crate::ports::{Owner, PortError, PortLimits, decrement, size};
use crate::random::Secret;
use crate::time::Instant;

/// The number of keyed hashes by which destinations are told apart. Those with the same hash share their ports. So the
/// number of counts of one owner is bounded, however many connections it opens.
const HASHES: u64 = 1 << 12;
/// Room for so many connections in TIME-WAIT is never given back.
const SMALL: usize = 64;

/// The connections from ephemeral ports that each owner has opened, by destination. The host's are not counted.
pub(super) struct Destinations {
    limits: PortLimits,
    /// How many connections to one destination all owners together may have.
    most: u32,
    secret: Secret,
    counts: HashMap<Share, u32, Secret>,
    /// The connections in TIME-WAIT, and until when they count.
    resting: BinaryHeap<Reverse<(Instant, Share)>>,
    most_resting: usize,
}

/// An owner's connections to a destination. [`Owner::NOBODY`] stands for all owners together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Share {
    destination: u16,
    owner: Owner,
}

impl Share {
    const fn of_all(self) -> Self {
        Self { owner: Owner::NOBODY, ..self }
    }
}

impl Destinations {
    /// No connections. The ports are those of `limits`, except the quarter to which [sockets are
    /// bound](super::listener::limits_of_bound). At most `most_resting` connections in TIME-WAIT count.
    pub(super) fn new(limits: &PortLimits, most_resting: usize, secret: Secret) -> Self {
        let size = size(&limits.range);
        Self {
            limits: limits.clone(),
            most: (size - size / 4).saturating_sub(limits.reserve),
            counts: HashMap::with_hasher(secret.clone()),
            secret,
            resting: BinaryHeap::new(),
            most_resting,
        }
    }

    /// Checks whether an owner may open a connection between two ends. Local port 0 stands for any ephemeral port.
    ///
    /// # Errors
    /// See [`PortError`].
    pub(super) fn check(&self, tuple: &Tuple, owner: Owner) -> Result<(), PortError> {
        let port = tuple.local().port();
        if owner == Owner::HOST || (port != 0 && !self.limits.range.contains(&port)) {
            return Ok(());
        }
        let share = self.share(tuple, owner);
        let left = self.most.saturating_sub(self.count(share.of_all()));
        match self.count(share) {
            _ if left == 0 => Err(PortError::NoPort),
            has if has >= left.min(self.limits.share) => Err(PortError::ShareExhausted),
            _ => Ok(()),
        }
    }

    /// Counts a connection that an owner has opened. Returns whether it has to be [given back](Self::give_back): those
    /// of the host, and those from other ports, are not counted.
    pub(super) fn take(&mut self, tuple: &Tuple, owner: Owner) -> bool {
        let is_counted = owner != Owner::HOST && self.limits.range.contains(&tuple.local().port());
        if is_counted {
            let share = self.share(tuple, owner);
            for share in [share, share.of_all()] {
                *self.counts.entry(share).or_default() += 1;
            }
        }
        is_counted
    }

    /// Undoes [`take`](Self::take), for a connection that has ended.
    pub(super) fn give_back(&mut self, tuple: &Tuple, owner: Owner) {
        self.remove(self.share(tuple, owner));
    }

    /// Undoes [`take`](Self::take) at a later time, for a connection in TIME-WAIT.
    pub(super) fn give_back_at(&mut self, until: Instant, tuple: &Tuple, owner: Owner) {
        self.resting.push(Reverse((until, self.share(tuple, owner))));
        if self.resting.len() > self.most_resting {
            self.remove_next();
        }
    }

    /// Gives back the connections in TIME-WAIT whose time has come.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.resting.peek().is_some_and(|Reverse((until, _))| *until <= now) {
            self.remove_next();
        }
        if self.resting.is_empty() {
            self.resting.shrink_to(SMALL);
        }
    }

    /// The bytes of memory held.
    pub(super) fn held(&self) -> usize {
        self.counts.allocation_size() + self.resting.capacity() * size_of::<Reverse<(Instant, Share)>>()
    }

    /// The number of connections that are counted.
    #[cfg(test)]
    pub(super) fn counted(&self) -> u32 {
        self.counts.values().sum::<u32>() / 2
    }

    fn share(&self, tuple: &Tuple, owner: Owner) -> Share {
        let any_port = SocketAddr::new(tuple.local().ip(), 0);
        let hash = self.secret.hash(&Tuple::new(any_port, tuple.remote()));
        Share { destination: (hash % HASHES) as u16, owner }
    }

    fn count(&self, share: Share) -> u32 {
        self.counts.get(&share).copied().unwrap_or_default()
    }

    fn remove_next(&mut self) {
        if let Some(Reverse((_, share))) = self.resting.pop() {
            self.remove(share);
        }
    }

    fn remove(&mut self, share: Share) {
        for share in [share, share.of_all()] {
            decrement(&mut self.counts, &share);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::random::Random;

    const GUEST: Owner = Owner(1);
    const OTHER: Owner = Owner(2);

    fn destinations(most_resting: usize) -> Destinations {
        let limits = PortLimits { share: 500, reserve: 50, ..PortLimits::new(1000..=1999) };
        Destinations::new(&limits, most_resting, Secret::new(&mut Random::new([3; 32])))
    }

    fn to(host: u8, port: u16) -> Tuple {
        Tuple::new(([10, 0, 0, 1], port).into(), ([10, 0, 0, host], 80).into())
    }

    /// Opens connections until one is refused. Returns how many.
    fn fill(destinations: &mut Destinations, host: u8, owner: Owner) -> (u16, PortError) {
        for count in 0..1000 {
            if let Err(error) = destinations.check(&to(host, 0), owner) {
                return (count, error);
            }
            assert!(destinations.take(&to(host, 1000 + count), owner));
        }
        panic!("the ports are bounded");
    }

    #[test]
    fn some_ports_are_left_for_whoever_has_no_connection_to_the_destination() {
        let mut destinations = destinations(0);
        let fill = |owner| fill(&mut destinations, 2, Owner(owner));
        let exhausted = PortError::ShareExhausted;
        // 1000 ports, without a quarter and the host's 50.
        assert_eq!([1, 2, 3].map(fill), [(350, exhausted), (175, exhausted), (88, exhausted)]);
        assert_eq!(destinations.check(&to(2, 0), OTHER), Err(exhausted));
        assert_eq!(destinations.check(&to(2, 1500), OTHER), Err(exhausted), "not even by name");
        assert_eq!(destinations.check(&to(2, 999), OTHER), Ok(()), "other ports are not divided");
        assert!(!destinations.take(&to(2, 999), OTHER) && !destinations.take(&to(2, 1000), Owner::HOST));
        assert_eq!(destinations.check(&to(2, 0), Owner::HOST), Ok(()));
        (4..)
            .map_while(|owner| Some(self::fill(&mut destinations, 2, Owner(owner)).0).filter(|count| *count > 0))
            .count();
        assert_eq!(destinations.check(&to(2, 0), Owner(99)), Err(PortError::NoPort));
        assert_eq!(destinations.check(&to(3, 0), GUEST), Ok(()), "another destination");
    }

    #[test]
    fn a_connection_in_time_wait_counts_until_its_ends_may_be_used_again() {
        let at = |seconds| Instant::from_origin(Duration::from_secs(seconds));
        let mut destinations = destinations(100);
        fill(&mut destinations, 2, GUEST);
        (0..250).for_each(|port| destinations.give_back(&to(2, 1000 + port), GUEST));
        for port in 250..350 {
            // In no order.
            destinations.give_back_at(at(u64::from(10 + port % 2)), &to(2, 1000 + port), GUEST);
        }
        assert!(destinations.take(&to(2, 1000), GUEST));
        destinations.give_back_at(at(11), &to(2, 1000), GUEST);
        assert_eq!(destinations.counted(), 100, "not more than the records of TIME-WAIT");
        for (now, counted) in [(9, 100), (10, 51), (11, 0)] {
            destinations.expire(at(now));
            assert_eq!(destinations.counted(), counted, "after {now} s");
        }
        assert!(destinations.counts.is_empty() && destinations.resting.is_empty());
    }

    #[test]
    fn an_owner_has_few_counts_however_many_destinations_it_has() {
        let mut destinations = destinations(0);
        for number in 0..100_000_u32 {
            let remote = SocketAddr::new(core::net::Ipv4Addr::from_bits(number).into(), 80);
            assert!(destinations.take(&Tuple::new(([10, 0, 0, 1], 1000).into(), remote), GUEST));
        }
        assert!(destinations.counts.len() <= 2 * 4096);
        assert!(destinations.counts.values().all(|count| *count < 100), "they are spread evenly");
    }
}
