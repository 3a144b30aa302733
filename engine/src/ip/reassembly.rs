//! Putting fragments together (RFC 791 section 3.2, RFC 1122 section 3.3.2, RFC 8200 section 4.5), of both families, in
//! one pool.
//!
//! Whoever can send a packet can begin packets here that never become whole, so the pool is bounded: in bytes, in
//! packets, in what the packets of one source hold, and in the gaps of a packet. Bytes are counted as they come: what a
//! fragment says about the length of its packet costs nothing. Fragments that overlap serve nobody but who wants to
//! deceive a filter (RFC 1858, RFC 5722): the packet is dropped with all its fragments, also those that come later.

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

/// Bytes of memory that fragments hold at most, what is needed to keep them in order included (`ipfrag_high_thresh` of
/// Linux).
const CAPACITY: usize = 4 << 20;
/// Packets of which some fragments have come, at most.
const PACKETS: usize = 256;
/// One source has this part of the bytes and of the packets at most, so that it cannot flush out what others have sent.
const SHARE: usize = 4;
/// What a packet takes beside its fragments: its record, and its places in the tables.
const RECORD: usize = 512;

/// How long the fragments of a packet may take to come, from the first that comes on. RFC 8200 section 4.5 says so, and
/// for IPv4 it is the least that RFC 1122 section 3.3.2 recommends: identifications of 16 bits come again soon on links
/// of today (RFC 4963).
const LIFETIME: Duration = Duration::from_secs(60);

/// The most that the length fields of IP hold.
const LONGEST: usize = 65_535;

/// What has become of a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is kept, or was there already; others are missing.
    Pending,
    /// It was the last one missing. This is the original packet, with its headers, to be [read](Packet::parse) as any
    /// other: it has no Fragment header, or in IPv4 nothing in its fields of fragments but the identification; lengths
    /// and the IPv4 checksum are its own. It may be a fragment again, of a packet that was cut twice. What must not
    /// come in fragments, such as neighbour discovery (RFC 6980), is for the caller to refuse.
    Whole(Vec<u8>),
    /// It is dropped, and an error may be due to its source.
    Refused(Refusal),
    /// It is dropped in silence.
    Dropped(Reason),
}

/// Why a fragment is dropped in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It carries nothing, or is not the last and has a length that none but the last may have.
    Malformed,
    /// It lies beyond the end of the longest IPv4 packet.
    TooLong,
    /// It is the first of an IPv4 packet and hides TCP's flags from filters, or begins where those would be (RFC 1858
    /// section 3, RFC 3128).
    Tiny,
    /// It overlaps with another one, or contradicts it about the packet's end; its packet is abandoned.
    Overlap,
    /// Its packet has too many gaps, and is abandoned.
    Gaps,
    /// Its packet has been abandoned.
    Abandoned,
    /// It was the last one missing of a packet on which some router has marked congestion, whose sender does not take
    /// part in that, as another fragment says (RFC 3168 section 5.3).
    Congestion,
}

/// A packet that did not become whole in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Who has sent it.
    pub source: IpAddr,
    /// Whom it was for.
    pub destination: IpAddr,
    /// Its first fragment as it came, IP header included, if it came: then Time Exceeded, code 1, is due to the source,
    /// with as much of this as goes into one (RFC 792, RFC 1122 section 3.3.2, RFC 8200 section 4.5). Else nothing is.
    pub first: Option<Vec<u8>>,
}

/// What has happened, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// They became whole.
    pub reassembled: u64,
    /// They did not in time.
    pub expired: u64,
    /// They made room for others.
    pub evicted: u64,
    /// They were abandoned, by overlaps or gaps, or for what routers said.
    pub abandoned: u64,
    /// Fragments that were dropped or refused, for any reason.
    pub dropped: u64,
}

/// The packets of which some fragments have come.
#[derive(Debug)]
pub struct Reassembly {
    partial: HashMap<Key, Partial, Secret>,
    /// In the order in which they expire, and of those that do at the same time, in which they began.
    order: BTreeMap<Age, Key>,
    sources: HashMap<IpAddr, Holding, Secret>,
    total: Holding,
    /// How many packets have begun.
    begun: u64,
    counters: Counters,
}

/// What fragments of one packet have in common (RFC 791 section 3.2, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// In IPv4 only.
    protocol: Option<u8>,
}

/// When a packet expires, and the number with which it began.
type Age = (Instant, u64);

#[derive(Debug)]
struct Partial {
    age: Age,
    /// Bytes of memory.
    cost: usize,
    /// `None` for one that is abandoned: it is remembered for its time, for the sake of fragments to come.
    collection: Option<Collection>,
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default)]
struct Holding {
    bytes: usize,
    packets: usize,
}

impl Reassembly {
    /// No fragments. The secret keeps strangers from choosing addresses that meet in one place of the tables.
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

    /// Takes a fragment. The caller has made sure that it is for this host.
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

    /// Gives up a packet whose time is up, one at a time: to be called until there is none.
    pub fn expire(&mut self, now: Instant) -> Option<Expired> {
        while let Some((&(expires, _), &key)) = self.order.first_key_value()
            && expires <= now
        {
            // One that was abandoned has been told of by no error, and is not (RFC 8200 section 4.5).
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

    /// How many packets some fragments are held of, or remembered to be abandoned.
    #[must_use]
    pub fn len(&self) -> usize {
        self.partial.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partial.is_empty()
    }

    /// What has happened so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Takes a fragment for which there is room.
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

    /// Takes out a packet of which all fragments are there.
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

    /// Drops the fragments of a packet, and remembers that those to come are to be dropped.
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

    /// Evicts others until there is room for a fragment of a packet: those of its own source where that would have more
    /// than its share, else those of the source that has most. Of each, the oldest goes first.
    ///
    /// There are always others: with all its fragments, no packet takes as much as a share.
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

    /// The oldest packet, save one, of the source that has most. There are [`PACKETS`] to look at, at most.
    fn oldest_of_the_greediest(&self, except: &Key) -> Option<Key> {
        let greed = |key: &&Key| {
            let Holding { bytes, packets } = self.sources.get(&key.origin()).copied().unwrap_or_default();
            // Each as a part of what there is to be had.
            (bytes * PACKETS).max(packets * CAPACITY)
        };
        // Of those that have the same, the last counts, which is the oldest.
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

    /// Counts what a packet no longer holds.
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

    /// Who is behind a packet: an IPv6 host has all addresses of its network.
    fn origin(&self) -> IpAddr {
        match self.source {
            IpAddr::V4(_) => self.source,
            IpAddr::V6(source) => Ipv6Addr::from_bits(source.to_bits() >> 64 << 64).into(),
        }
    }
}

/// What is wrong with a fragment, whatever others there are.
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
