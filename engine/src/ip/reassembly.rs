//! Reassembly of fragments of both families (RFC 791 section 3.2, RFC 1122 section 3.3.2, RFC 8200 section 4.5) in one
//! pool.
//!
//! Any host can send fragments of packets that never become complete. So the pool limits the bytes, the packets, the
//! share of one source, and the gaps of a packet. Only bytes that have arrived are counted: the length that a fragment
//! claims for its packet costs nothing. Only attacks on packet filters need overlapping fragments (RFC 1858, RFC 5722):
//! the packet is dropped with all its fragments, including those that arrive later.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use hashbrown::HashMap;
use smoltcp::wire::IpProtocol;

use super::headers::{FRAGMENT_HEADER, Fragment, Packet, Problem, Refusal};
use crate::random::Secret;
use crate::time::Instant;
use crate::wire::{IPV4_HEADER, IPV6_HEADER};
use collection::{Collection, Misfit};

mod collection;
#[cfg(test)]
mod tests;

/// The most memory that fragments hold in bytes, bookkeeping included (`ipfrag_high_thresh` of Linux).
const CAPACITY: usize = 4 << 20;
/// The most incomplete packets.
const PACKETS: usize = 256;
/// One source may hold this fraction of the bytes and of the packets, so that it cannot evict everything that others
/// have sent.
const SHARE: usize = 4;
/// The bytes that are counted for a packet beside its fragments: its record, and its entries in the tables.
const RECORD: usize = 512;

/// How long a packet may stay incomplete, from its first fragment on. RFC 8200 section 4.5 requires this value, and it
/// is the least that RFC 1122 section 3.3.2 recommends for IPv4: on today's links identifications of 16 bits are soon
/// reused (RFC 4963).
const LIFETIME: Duration = Duration::from_secs(60);

/// The largest value of the length fields of IP.
const LONGEST: usize = 65_535;

/// The result of adding a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored, or was there already. Other fragments are missing.
    Pending,
    /// It completed the packet. This is the original packet with its headers, to be [parsed](Packet::parse) like any
    /// other. It has no Fragment header, or in IPv4 only an identification in its fragmentation fields; its lengths and
    /// the IPv4 checksum are correct. It may be a fragment again, if the packet was fragmented twice. The caller must
    /// refuse messages that must not be fragmented, such as neighbour discovery (RFC 6980).
    Whole(Vec<u8>),
    /// It is dropped, and an error may be due to its source.
    Refused(Refusal),
    /// It is dropped silently.
    Dropped(Reason),
}

/// Why a fragment is dropped silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It carries no data, or is not the last one and its length is not a multiple of 8.
    Malformed,
    /// It extends beyond the longest IPv4 packet.
    TooLong,
    /// It is the first fragment of an IPv4 TCP packet and is too short to contain the TCP flags, so that filters do not
    /// see them, or it begins before the flags (RFC 1858 section 3, RFC 3128).
    Tiny,
    /// It overlaps another fragment, or contradicts one about the end of the packet. The packet is abandoned.
    Overlap,
    /// Its packet has too many gaps and is abandoned.
    Gaps,
    /// Its packet was abandoned before.
    Abandoned,
    /// It completed a packet that some router marked as congested, although another fragment says that the sender does
    /// not support ECN (RFC 3168 section 5.3).
    Congestion,
}

/// A packet that was not complete in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// The first fragment with its IP header, if it arrived. Then Time Exceeded, code 1, is due to the source, with as
    /// much of this fragment as an error may quote (RFC 792, RFC 1122 section 3.3.2, RFC 8200 section 4.5). Without it
    /// no error is due.
    pub first: Option<Vec<u8>>,
}

/// Counters, in packets if nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that became complete.
    pub reassembled: u64,
    /// Packets that were not complete in time.
    pub expired: u64,
    /// Packets that were evicted to make room for others.
    pub evicted: u64,
    /// Packets that were abandoned because of overlaps, gaps or ECN marks.
    pub abandoned: u64,
    /// Fragments that were dropped or refused, for any reason.
    pub dropped: u64,
}

/// The incomplete packets.
#[derive(Debug)]
pub struct Reassembly {
    partial: HashMap<Key, Partial, Secret>,
    /// Ordered by expiry, and among packets that expire at the same time by their begin.
    order: BTreeMap<Age, Key>,
    sources: HashMap<IpAddr, Holding, Secret>,
    total: Holding,
    /// How many packets have begun so far.
    begun: u64,
    counters: Counters,
}

/// The fields that all fragments of one packet share (RFC 791 section 3.2, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// IPv4 only.
    protocol: Option<u8>,
}

/// When a packet expires, and its sequence number.
type Age = (Instant, u64);

#[derive(Debug)]
struct Partial {
    age: Age,
    /// The bytes of memory that it is charged.
    cost: usize,
    /// `None` if the packet is abandoned. It is remembered until it expires, so that later fragments of it are dropped.
    collection: Option<Collection>,
}

/// How much is stored.
#[derive(Clone, Copy, Debug, Default)]
struct Holding {
    bytes: usize,
    packets: usize,
}

impl Reassembly {
    /// An empty pool. The secret prevents strangers from choosing addresses that collide in the hash tables.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self {
            partial: HashMap::with_hasher(secret.clone()),
            order: BTreeMap::new(),
            sources: HashMap::with_hasher(secret.clone()),
            total: Holding::default(),
            begun: 0,
            counters: Counters::default(),
        }
    }

    /// Adds a fragment. The caller has verified that it is for this host.
    pub fn add(&mut self, packet: &Packet<'_>, now: Instant) -> Outcome {
        let Some(fragment) = packet.fragment.filter(|_| packet.needs_reassembly()) else {
            return Outcome::Whole(packet.bytes.to_vec());
        };
        if let Some(outcome) = refuse(packet, &fragment) {
            self.counters.dropped += 1;
            return outcome;
        }
        let key = Key::of(packet, &fragment);
        let cost = Collection::cost(packet, &fragment) + if self.partial.contains_key(&key) { 0 } else { RECORD };
        self.make_room(&key, cost);
        let outcome = self.insert(key, packet, &fragment, cost, now);
        if let Outcome::Dropped(_) = outcome {
            self.counters.dropped += 1;
        }
        outcome
    }

    /// Removes one packet that has expired. Call it until it returns `None`.
    pub fn expire(&mut self, now: Instant) -> Option<Expired> {
        while let Some((&(expires, _), &key)) = self.order.first_key_value()
            && expires <= now
        {
            // No error is sent about an abandoned packet (RFC 8200 section 4.5).
            if let Some(collection) = self.remove(&key).and_then(|partial| partial.collection) {
                self.counters.expired += 1;
                let Key { source, destination, .. } = key;
                return Some(Expired { source, destination, first: collection.first_fragment() });
            }
        }
        None
    }

    /// When to call [`expire`](Self::expire) again.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.order.first_key_value().map(|((expires, _), _)| *expires)
    }

    /// The bytes of memory held.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.total.bytes
    }

    /// How many packets are incomplete, or remembered as abandoned.
    #[must_use]
    pub fn len(&self) -> usize {
        self.partial.len()
    }

    /// Whether there are no such packets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partial.is_empty()
    }

    /// The counters.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Stores a fragment. There is room for it.
    fn insert(&mut self, key: Key, packet: &Packet<'_>, fragment: &Fragment, cost: usize, now: Instant) -> Outcome {
        let Self { partial, order, begun, .. } = self;
        let is_new = !partial.contains_key(&key);
        let entry = partial.entry(key).or_insert_with(|| {
            *begun += 1;
            let age = (now + LIFETIME, *begun);
            order.insert(age, key);
            Partial { age, cost: 0, collection: Some(Collection::default()) }
        });
        let Some(collection) = &mut entry.collection else { return Outcome::Dropped(Reason::Abandoned) };
        let added = collection.add(packet, fragment);
        let is_whole = collection.is_whole();
        if added == Err(Misfit::Duplicate) {
            return Outcome::Pending;
        }
        entry.cost += cost;
        self.total.bytes += cost;
        self.total.packets += usize::from(is_new);
        let holding = self.sources.entry(key.origin()).or_default();
        holding.bytes += cost;
        holding.packets += usize::from(is_new);
        match added {
            Err(Misfit::Overlap) => self.abandon(&key, Reason::Overlap),
            Err(Misfit::Gaps) => self.abandon(&key, Reason::Gaps),
            Err(Misfit::Duplicate) => Outcome::Pending,
            Ok(()) if is_whole => self.complete(&key),
            Ok(()) => Outcome::Pending,
        }
    }

    /// Removes and reassembles a packet whose fragments are all there.
    fn complete(&mut self, key: &Key) -> Outcome {
        let Some(collection) = self.remove(key).and_then(|partial| partial.collection) else { return Outcome::Pending };
        let whole = match collection.ecn() {
            Some(ecn) => collection.join(ecn).map_or(Outcome::Dropped(Reason::TooLong), Outcome::Whole),
            None => Outcome::Dropped(Reason::Congestion),
        };
        match &whole {
            Outcome::Whole(_) => self.counters.reassembled += 1,
            Outcome::Pending | Outcome::Refused(_) | Outcome::Dropped(_) => self.counters.abandoned += 1,
        }
        whole
    }

    /// Drops the fragments of a packet, and remembers that later ones are to be dropped.
    fn abandon(&mut self, key: &Key, reason: Reason) -> Outcome {
        if let Some(partial) = self.partial.get_mut(key) {
            let freed = partial.cost.saturating_sub(RECORD);
            partial.collection = None;
            partial.cost -= freed;
            self.counters.abandoned += 1;
            self.release(key, freed, 0);
        }
        Outcome::Dropped(reason)
    }

    /// Evicts packets until there is room for a fragment of the packet `key`: packets of the same source if it would
    /// exceed its share, else packets of the source that holds most. The oldest packet of the source is evicted first.
    ///
    /// There are always other packets to evict, because no packet takes as much as a share.
    fn make_room(&mut self, key: &Key, cost: usize) {
        let packets = usize::from(!self.partial.contains_key(key));
        let origin = key.origin();
        let exceeds = |holding: Holding, share: usize| {
            holding.bytes + cost > CAPACITY / share || holding.packets + packets > PACKETS / share
        };
        while let own = self.sources.get(&origin).copied().unwrap_or_default()
            && exceeds(own, SHARE)
            && let Some(oldest) = self.order.values().copied().find(|other| other.origin() == origin && other != key)
        {
            self.evict(&oldest);
        }
        while exceeds(self.total, 1)
            && let Some(victim) = self.oldest_of_the_greediest(key)
        {
            self.evict(&victim);
        }
    }

    /// The oldest packet of the source that holds most, except the packet `except`. At most [`PACKETS`] packets are
    /// looked at.
    fn oldest_of_the_greediest(&self, except: &Key) -> Option<Key> {
        let greed = |key: &&Key| {
            let Holding { bytes, packets } = self.sources.get(&key.origin()).copied().unwrap_or_default();
            // Bytes and packets are compared as fractions of their limits.
            (bytes * PACKETS).max(packets * CAPACITY)
        };
        // `max_by_key` returns the last of equal packets, which is the oldest.
        self.order.values().rev().filter(|key| *key != except).max_by_key(greed).copied()
    }

    fn evict(&mut self, key: &Key) {
        self.remove(key);
        self.counters.evicted += 1;
    }

    fn remove(&mut self, key: &Key) -> Option<Partial> {
        let partial = self.partial.remove(key)?;
        self.order.remove(&partial.age);
        self.release(key, partial.cost, 1);
        Some(partial)
    }

    /// Subtracts what a packet no longer holds.
    fn release(&mut self, key: &Key, bytes: usize, packets: usize) {
        self.total.bytes = self.total.bytes.saturating_sub(bytes);
        self.total.packets = self.total.packets.saturating_sub(packets);
        let origin = key.origin();
        if let Some(holding) = self.sources.get_mut(&origin) {
            holding.bytes = holding.bytes.saturating_sub(bytes);
            holding.packets = holding.packets.saturating_sub(packets);
            if holding.packets == 0 {
                self.sources.remove(&origin);
            }
        }
    }
}

impl Key {
    fn of(packet: &Packet<'_>, fragment: &Fragment) -> Self {
        let Packet { source, destination, protocol, .. } = *packet;
        let protocol = source.is_ipv4().then_some(protocol.into());
        Self { source, destination, identification: fragment.identification, protocol }
    }

    /// The source that a packet is charged to. An IPv6 host has all addresses of its /64.
    fn origin(&self) -> IpAddr {
        match self.source {
            IpAddr::V4(_) => self.source,
            IpAddr::V6(source) => Ipv6Addr::from_bits(source.to_bits() >> 64 << 64).into(),
        }
    }
}

/// Checks a fragment by itself: whether it is refused or dropped, whatever other fragments there are.
fn refuse(packet: &Packet<'_>, fragment: &Fragment) -> Option<Outcome> {
    /// Where the payload length is in an IPv6 header, and the offset in a Fragment header.
    const PAYLOAD_LENGTH: usize = 4;
    const FRAGMENT_OFFSET: usize = 2;
    /// A first fragment of TCP has its flags in it (RFC 1858 section 3.2.1), and none begins in the middle of the
    /// header before them (section 3.2.2, RFC 3128).
    const SHORTEST_TCP: usize = 16;
    const SECOND: usize = 8;

    let length = packet.bytes.len().saturating_sub(packet.payload_at);
    let is_uneven = fragment.more && !length.is_multiple_of(8);
    let end = fragment.offset + length;
    match packet.source {
        IpAddr::V4(_) => {
            let is_tiny = fragment.offset == 0 && length < SHORTEST_TCP || fragment.offset == SECOND;
            let reason = if is_uneven || length == 0 {
                Reason::Malformed
            } else if packet.payload_at.max(IPV4_HEADER) + end > LONGEST {
                Reason::TooLong
            } else if packet.protocol == IpProtocol::Tcp && is_tiny {
                Reason::Tiny
            } else {
                return None;
            };
            Some(Outcome::Dropped(reason))
        }
        IpAddr::V6(_) if is_uneven => Some(Outcome::Refused(Refusal::problem(PAYLOAD_LENGTH, Problem::Field))),
        IpAddr::V6(_) if packet.payload_at.saturating_sub(IPV6_HEADER + FRAGMENT_HEADER) + end > LONGEST => {
            Some(Outcome::Refused(Refusal::problem(fragment.header_at + FRAGMENT_OFFSET, Problem::Field)))
        }
        IpAddr::V6(_) => (length == 0).then_some(Outcome::Dropped(Reason::Malformed)),
    }
}
