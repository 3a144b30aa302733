//! What is left of connections that have ended: TIME-WAIT (RFC 9293 section 3.6.1).
//!
//! A connection that has nothing more to say becomes a record of 72 bytes: enough to acknowledge a repeated FIN, to keep
//! old segments from a new connection of the same ends, and to let a newer SYN begin one (RFC 6191).

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use hashbrown::HashTable;

use super::sequence::Sequence;
use super::tuple::Tuple;
use crate::random::Secret;
use crate::time::Instant;
use crate::wire::HopLimit;

#[cfg(test)]
mod tests;

/// After so long a tuple whose connection had timestamps may be used again: the new ones are greater by then. A second
/// is what Linux asks for (`tcp_tw_reuse`), and it is more than the coarsest clock allowed takes for one tick (RFC 7323
/// section 5.4).
const REUSABLE: Duration = Duration::from_secs(1);
/// How far a new connection's sequence numbers begin beyond the old ones: further than a window that was not scaled.
const BEYOND: usize = 1 << 16;
/// Room for records grows by as many as there are, but by no less and no more than these.
const LEAST_GROWTH: usize = 16;
const MOST_GROWTH: usize = 4096;
/// Room for that many records is kept.
const SMALL: usize = 256;
/// The connection had timestamps: `offset` and `recent` mean something.
const TIMED: u8 = 1;
/// A SYN was answered with an acknowledgement.
const QUESTIONED: u8 = 2;
/// No record.
const NONE: u32 = u32::MAX;

/// What a connection leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remnant {
    /// SND.NXT, which acknowledgements carry as their sequence number.
    pub next: Sequence,
    /// RCV.NXT, behind the peer's FIN.
    pub expected: Sequence,
    /// The window as acknowledgements carry it: scaled already.
    pub window: u16,
    /// The hop limit of its packets.
    pub hop_limit: HopLimit,
    /// Their traffic class.
    pub traffic_class: u8,
    /// Present where the connection used timestamps.
    pub timestamp: Option<RemnantClock>,
}

/// The timestamps of a connection that has ended (RFC 7323 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemnantClock {
    /// What to add to the millisecond clock for TSval.
    pub offset: u32,
    /// TS.Recent: the peer's latest, for TSecr.
    pub recent: u32,
}

/// What matters of a segment for a connection that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The SYN flag.
    pub syn: bool,
    /// The ACK flag.
    pub ack: bool,
    /// The RST flag.
    pub rst: bool,
    /// The FIN flag.
    pub fin: bool,
    /// The sequence number.
    pub sequence: Sequence,
    /// The bytes of the payload; SYN and FIN do not count.
    pub length: usize,
    /// TSval, where the segment has the option.
    pub timestamp: Option<u32>,
}

/// What to do with a segment for a connection that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is the acknowledgement that is expected, or a reset (RFC 1337).
    Ignore,
    /// Send an acknowledgement of this, within a rate: the segment is an acknowledgement itself, which is old or lies
    /// elsewhere (RFC 9293 section 3.10.7.4, first step). Two ends that disagree would otherwise never stop.
    Challenge(Remnant),
    /// Send an acknowledgement of this: the peer has not heard the last one, or the segment is an old one.
    Acknowledge(Remnant),
    /// The peer begins a new connection, and the record is gone.
    Renew {
        /// The new connection's initial sequence number must not come before this one (RFC 9293 section 3.6.1).
        after: Sequence,
    },
}

/// The records of one interface. They all wait for the same time, so they expire in the order in which they, or their
/// waits, began; the oldest gives way when there are too many.
#[derive(Debug)]
pub struct TimeWait {
    lifetime: Duration,
    most: usize,
    secret: Secret,
    /// Without gaps: the last record fills the place of one that goes.
    records: Vec<Record>,
    /// Where each record lies, by its key.
    table: HashTable<u32>,
    oldest: u32,
    newest: u32,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    key: Key,
    next: Sequence,
    expected: Sequence,
    offset: u32,
    recent: u32,
    /// When the wait began, or began anew: milliseconds since the origin of time.
    since: u64,
    /// The neighbours in the order of expiry.
    before: u32,
    after: u32,
    window: u16,
    hop_limit: HopLimit,
    /// [`TIMED`] and [`QUESTIONED`], in the bits of the traffic class that are not its own.
    flags: u8,
}

/// A tuple as short as it can be. IPv4 addresses are kept as IPv4-mapped ones, which no other address is. Flow label
/// and zone are left out: there is one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    local: [u8; 16],
    remote: [u8; 16],
    local_port: u16,
    remote_port: u16,
}

impl TimeWait {
    /// No records. Each will wait for `lifetime`, twice the maximum segment lifetime, and there will be `most` of them
    /// at most. The secret keeps peers from choosing addresses and ports that meet in one place of the table.
    #[must_use]
    pub fn new(lifetime: Duration, most: usize, secret: Secret) -> Self {
        // The number beyond the last one means none.
        let most = most.min(NONE as usize);
        Self { lifetime, most, secret, records: Vec::new(), table: HashTable::new(), oldest: NONE, newest: NONE }
    }

    /// Begins a tuple's wait. One that it has begun already is replaced; the oldest gives way when there are too many.
    pub fn insert(&mut self, tuple: Tuple, remnant: Remnant, now: Instant) {
        let key = Key::from(&tuple);
        if let Some(index) = self.find(&key) {
            self.remove(index);
        }
        if self.records.len() >= self.most {
            self.remove(self.oldest);
        }
        let Ok(index) = u32::try_from(self.records.len()) else { return };
        if self.records.len() >= self.most {
            return;
        }
        if self.records.len() == self.records.capacity() {
            let growth = self.records.len().clamp(LEAST_GROWTH, MOST_GROWTH).min(self.most - self.records.len());
            self.records.reserve_exact(growth);
        }
        self.records.push(Record::new(key, remnant, now));
        let Self { records, table, secret, .. } = self;
        table.insert_unique(secret.hash(&key), index, |index| hash_of(secret, records, *index));
        self.append(index);
    }

    /// How many records there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether a record keeps the tuple from being used again.
    #[must_use]
    pub fn holds(&self, tuple: &Tuple) -> bool {
        self.find(&Key::from(tuple)).is_some()
    }

    /// What is remembered of a tuple's connection.
    #[must_use]
    pub fn remnant(&self, tuple: &Tuple) -> Option<Remnant> {
        self.find(&Key::from(tuple)).and_then(|index| self.record(index)).map(Record::remnant)
    }

    /// Whether this host may use a tuple for a new connection, in need, after it has [taken](Self::take) the record.
    ///
    /// It may where nothing waits; where the connection had timestamps, a second after the wait began or began anew,
    /// since the timestamps of the new connection will be greater, and the peer tells old segments by them (RFC 6191;
    /// `tcp_tw_reuse` of Linux); else after half of the wait, one maximum segment lifetime, since what the peer had sent
    /// by the begin of the wait is no longer on its way then.
    #[must_use]
    pub fn reusable(&self, tuple: &Tuple, now: Instant) -> bool {
        let Some(record) = self.find(&Key::from(tuple)).and_then(|index| self.record(index)) else { return true };
        let wait = if record.has(TIMED) { REUSABLE.min(self.lifetime) } else { self.lifetime / 2 };
        now - record.since() >= wait
    }

    /// Ends a tuple's wait. A new connection's sequence numbers and timestamps are to begin beyond what is returned.
    pub fn take(&mut self, tuple: &Tuple) -> Option<Remnant> {
        let index = self.find(&Key::from(tuple))?;
        self.remove(index).map(|record| record.remnant())
    }

    /// The verdict over a segment from the peer, where its tuple waits (RFC 9293 section 3.10.7.4).
    pub fn receive(&mut self, tuple: &Tuple, arrival: &Arrival, now: Instant) -> Option<Verdict> {
        let index = self.find(&Key::from(tuple))?;
        let record = self.records.get_mut(index as usize)?;
        if arrival.rst {
            // The answer to our acknowledgement of a SYN: its sender knows nothing of the old connection and will repeat
            // the SYN. Any other reset may be an old one (RFC 1337).
            if record.has(QUESTIONED) && arrival.sequence == record.expected {
                self.remove(index);
            }
            return Some(Verdict::Ignore);
        }
        if arrival.syn && !arrival.ack {
            if record.is_renewed_by(arrival) {
                let after = record.next + BEYOND;
                self.remove(index);
                return Some(Verdict::Renew { after });
            }
            record.flags |= QUESTIONED;
        } else if !arrival.syn && !arrival.fin && arrival.length == 0 {
            if !record.is_expected(arrival) {
                return Some(Verdict::Challenge(record.remnant()));
            }
            record.hear(arrival);
            return Some(Verdict::Ignore);
        } else if record.is_repeated_by(arrival) {
            let remnant = record.remnant();
            self.restart(index, now);
            return Some(Verdict::Acknowledge(remnant));
        }
        // Every other segment is an old one, by its timestamp (RFC 7323 section 5.3) or by where it lies, or says more
        // after the peer had said that it was done.
        Some(Verdict::Acknowledge(record.remnant()))
    }

    /// Drops what has waited long enough.
    pub fn expire(&mut self, now: Instant) {
        while self.next().is_some_and(|due| due <= now) {
            self.remove(self.oldest);
        }
    }

    /// When the next record expires.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.record(self.oldest).map(|record| record.since() + self.lifetime)
    }

    /// The bytes of memory held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.records.capacity() * size_of::<Record>() + self.table.allocation_size()
    }

    fn record(&self, index: u32) -> Option<&Record> {
        self.records.get(index as usize)
    }

    fn find(&self, key: &Key) -> Option<u32> {
        if self.records.is_empty() {
            return None;
        }
        let matches = |index: &u32| self.record(*index).is_some_and(|record| record.key == *key);
        self.table.find(self.secret.hash(key), matches).copied()
    }

    fn remove(&mut self, index: u32) -> Option<Record> {
        let record = *self.record(index)?;
        if let Ok(entry) = self.table.find_entry(self.secret.hash(&record.key), |other| *other == index) {
            entry.remove();
        }
        self.join(record.before, record.after);
        self.records.swap_remove(index as usize);
        if let Some(moved) = self.record(index).copied() {
            let from = u32::try_from(self.records.len()).unwrap_or(NONE);
            if let Some(place) = self.table.find_mut(self.secret.hash(&moved.key), |other| *other == from) {
                *place = index;
            }
            self.join(moved.before, index);
            self.join(index, moved.after);
        }
        self.shrink();
        Some(record)
    }

    /// Begins a record's wait anew: it becomes the last to expire.
    fn restart(&mut self, index: u32, now: Instant) {
        let Some(record) = self.records.get_mut(index as usize) else { return };
        record.since = now.millis();
        let (before, after) = (record.before, record.after);
        self.join(before, after);
        self.append(index);
    }

    /// Makes a record that is in no order the last to expire.
    fn append(&mut self, index: u32) {
        self.join(self.newest, index);
        self.join(index, NONE);
    }

    /// Makes two records neighbours in the order of expiry; none stands for its ends.
    fn join(&mut self, before: u32, after: u32) {
        match self.records.get_mut(before as usize) {
            Some(record) => record.after = after,
            None => self.oldest = after,
        }
        match self.records.get_mut(after as usize) {
            Some(record) => record.before = before,
            None => self.newest = before,
        }
    }

    /// Gives memory back when three quarters of it are unused; half is kept, so that it does not come and go.
    fn shrink(&mut self) {
        let Self { records, table, secret, .. } = self;
        if records.capacity() > SMALL && records.len() < records.capacity() / 4 {
            records.shrink_to(records.len() * 2);
            table.shrink_to(records.len() * 2, |index| hash_of(secret, records, *index));
        }
    }
}

/// The hash that a record is found by. All that are in the table have one.
fn hash_of(secret: &Secret, records: &[Record], index: u32) -> u64 {
    records.get(index as usize).map_or(0, |record| secret.hash(&record.key))
}

impl Record {
    fn new(key: Key, remnant: Remnant, now: Instant) -> Self {
        let Remnant { next, expected, window, hop_limit, traffic_class, timestamp } = remnant;
        let RemnantClock { offset, recent } = timestamp.unwrap_or(RemnantClock { offset: 0, recent: 0 });
        Self {
            key,
            next,
            expected,
            offset,
            recent,
            since: now.millis(),
            before: NONE,
            after: NONE,
            window,
            hop_limit,
            flags: (traffic_class & !(TIMED | QUESTIONED)) | if timestamp.is_some() { TIMED } else { 0 },
        }
    }

    fn remnant(&self) -> Remnant {
        let clock = RemnantClock { offset: self.offset, recent: self.recent };
        Remnant {
            next: self.next,
            expected: self.expected,
            window: self.window,
            hop_limit: self.hop_limit,
            traffic_class: self.flags & !(TIMED | QUESTIONED),
            timestamp: self.has(TIMED).then_some(clock),
        }
    }

    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn since(&self) -> Instant {
        Instant::from_origin(Duration::from_millis(self.since))
    }

    /// By how much a segment's timestamp is greater than the latest one, where both ends use them.
    fn ahead(&self, arrival: &Arrival) -> Option<i32> {
        let timestamp = arrival.timestamp.filter(|_| self.has(TIMED))?;
        Some(timestamp.wrapping_sub(self.recent).cast_signed())
    }

    /// Whether a SYN is newer than all of the old connection (RFC 6191 section 2).
    fn is_renewed_by(&self, syn: &Arrival) -> bool {
        let beyond = syn.sequence.after(self.expected);
        match self.ahead(syn) {
            Some(1..) => true,
            Some(0) | None => beyond,
            Some(_) => false,
        }
    }

    /// Whether a segment is an old one by its timestamp (RFC 7323 section 5.3).
    fn is_old(&self, arrival: &Arrival) -> bool {
        self.ahead(arrival).is_some_and(|ahead| ahead < 0)
    }

    /// Whether an acknowledgement is acceptable. Behind the peer's FIN there is nothing: its window is the next number alone.
    fn is_expected(&self, arrival: &Arrival) -> bool {
        arrival.sequence == self.expected && !self.is_old(arrival)
    }

    /// Whether a segment repeats the peer's FIN, the number before the one expected, with a timestamp that is not old.
    fn is_repeated_by(&self, arrival: &Arrival) -> bool {
        arrival.fin && !arrival.syn && !self.is_old(arrival) && arrival.sequence + arrival.length + 1 == self.expected
    }

    /// Takes note of the timestamp of a segment that lies where the next is expected (RFC 7323 section 4.3).
    fn hear(&mut self, arrival: &Arrival) {
        if let Some(timestamp) = arrival.timestamp
            && self.ahead(arrival).is_some_and(|ahead| ahead > 0)
        {
            self.recent = timestamp;
        }
    }
}

impl From<&Tuple> for Key {
    fn from(tuple: &Tuple) -> Self {
        let octets = |end: SocketAddr| match end.ip() {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        };
        Self {
            local: octets(tuple.local()),
            remote: octets(tuple.remote()),
            local_port: tuple.local().port(),
            remote_port: tuple.remote().port(),
        }
    }
}
