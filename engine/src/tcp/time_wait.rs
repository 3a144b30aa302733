//! Connections in TIME-WAIT (RFC 9293 section 3.6.1).
//!
//! A connection that both ends have closed becomes a record of 72 bytes: enough to acknowledge a repeated FIN, to
//! protect a new connection of the same ends from old segments, and to let a newer SYN begin one (RFC 6191).

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

/// The time after which a tuple whose connection had timestamps may be used again, since the timestamps of the new
/// connection are greater by then. Linux waits a second too (`tcp_tw_reuse`), and it is more than one tick of the
/// coarsest clock allowed (RFC 7323 section 5.4).
const REUSABLE: Duration = Duration::from_secs(1);
/// How far the initial sequence number of a new connection lies beyond the old numbers: further than an unscaled
/// window.
const BEYOND: usize = 1 << 16;
/// The capacity for records doubles when it is used up, but grows by at least `MIN_GROWTH` and at most `MAX_GROWTH`
/// records.
const MIN_GROWTH: usize = 16;
const MAX_GROWTH: usize = 4096;
/// A capacity of up to this many records is never given back.
const SMALL: usize = 256;
/// A flag: the connection had timestamps, so `offset` and `recent` are valid.
const TIMED: u8 = 1;
/// A flag: a SYN was answered with an acknowledgement.
const QUESTIONED: u8 = 2;
/// The index that means no record.
const NONE: u32 = u32::MAX;

/// What is remembered of a connection in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remnant {
    /// SND.NXT: the sequence number of acknowledgements.
    pub next: Sequence,
    /// RCV.NXT: the number after the peer's FIN.
    pub expected: Sequence,
    /// The window field of acknowledgements, scaled already.
    pub window: u16,
    /// The hop limit of the connection's packets.
    pub hop_limit: HopLimit,
    /// The traffic class of the connection's packets.
    pub traffic_class: u8,
    /// The timestamps, if the connection used them.
    pub timestamp: Option<RemnantClock>,
}

/// The timestamps of a connection that has ended (RFC 7323 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemnantClock {
    /// The offset that is added to the millisecond clock to get TSval.
    pub offset: u32,
    /// TS.Recent: the peer's latest timestamp, which TSecr echoes.
    pub recent: u32,
}

/// The parts of a segment that matter to a connection in TIME-WAIT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The SYN flag.
    pub syn: bool,
    /// If the segment were a SYN for a connection that is not known, a listener would accept it.
    pub is_acceptable: bool,
    /// The ACK flag.
    pub ack: bool,
    /// The RST flag.
    pub rst: bool,
    /// The FIN flag.
    pub fin: bool,
    /// The sequence number.
    pub sequence: Sequence,
    /// The length of the payload in bytes; SYN and FIN do not count.
    pub length: usize,
    /// TSval, if the segment has timestamps.
    pub timestamp: Option<u32>,
}

/// What to do about a segment for a connection in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Do nothing: the segment is an acceptable acknowledgement, or a reset (RFC 1337).
    Ignore,
    /// Send an acknowledgement, within the rate limit: the segment is itself an acknowledgement that is old or
    /// unacceptable (RFC 9293 section 3.10.7.4, first step). Without the limit, two ends that disagree would never stop
    /// acknowledging each other.
    Challenge(Remnant),
    /// Send an acknowledgement: the peer has not received the last one, or the segment is an old one.
    Acknowledge(Remnant),
    /// The peer opens a new connection, and the record was removed.
    Renew {
        /// The new connection's initial sequence number must not come before this one (RFC 9293 section 3.6.1).
        after: Sequence,
    },
}

/// The records of one interface. All wait for the same time, so they expire in the order in which their waits began or
/// were restarted. If there are too many, the oldest is dropped.
#[derive(Debug)]
pub struct TimeWait {
    lifetime: Duration,
    most: usize,
    secret: Secret,
    /// The records, without gaps: if one is removed, the last takes its place.
    records: Vec<Record>,
    /// The index of each record, by its key.
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
    /// When the wait began or was restarted, in milliseconds since the origin of time.
    since: u64,
    /// The indices of the previous and the next record in the order of expiry.
    before: u32,
    after: u32,
    window: u16,
    hop_limit: HopLimit,
    /// The traffic class, with [`TIMED`] and [`QUESTIONED`] in the two lowest bits, which belong to ECN.
    flags: u8,
}

/// A tuple in as few bytes as possible. IPv4 addresses are stored as IPv4-mapped addresses, which no IPv6 host has.
/// Scopes are left out, since there is only one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    local: [u8; 16],
    remote: [u8; 16],
    local_port: u16,
    remote_port: u16,
}

impl TimeWait {
    /// A table without records. Each record will wait for `lifetime`, twice the maximum segment lifetime; there will be
    /// at most `most` records. The secret prevents peers from choosing addresses and ports that collide in the table.
    #[must_use]
    pub fn new(lifetime: Duration, most: usize, secret: Secret) -> Self {
        // The index `NONE` must not be that of a record.
        let most = most.min(NONE as usize);
        Self { lifetime, most, secret, records: Vec::new(), table: HashTable::new(), oldest: NONE, newest: NONE }
    }

    /// Begins the wait of a tuple. An existing record of the tuple is replaced; if there are too many records, the
    /// oldest is dropped.
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
            let growth = self.records.len().clamp(MIN_GROWTH, MAX_GROWTH).min(self.most - self.records.len());
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

    /// Whether a tuple has a record.
    #[must_use]
    pub fn holds(&self, tuple: &Tuple) -> bool {
        self.find(&Key::from(tuple)).is_some()
    }

    /// The record of a tuple.
    #[must_use]
    pub fn remnant(&self, tuple: &Tuple) -> Option<Remnant> {
        self.find(&Key::from(tuple)).and_then(|index| self.record(index)).map(Record::remnant)
    }

    /// Whether this host may use a tuple for a new connection if it needs to, after it has [taken](Self::take) the
    /// record.
    ///
    /// A tuple without a record may be used. If the connection had timestamps, the tuple may be used a second after the
    /// wait began or was restarted: the timestamps of the new connection will be greater, and the peer detects old
    /// segments by them (RFC 6191; `tcp_tw_reuse` of Linux). Otherwise it may be used after half of the wait, one
    /// maximum segment lifetime: what the peer had sent before the wait began is then no longer on its way.
    #[must_use]
    pub fn reusable(&self, tuple: &Tuple, now: Instant) -> bool {
        let Some(record) = self.find(&Key::from(tuple)).and_then(|index| self.record(index)) else { return true };
        now - record.since() >= self.rest(record.has(TIMED))
    }

    /// How long a wait keeps this host from using the tuple again; see [`reusable`](Self::reusable). `has_timestamps`
    /// says whether the connection had them.
    #[must_use]
    pub fn rest(&self, has_timestamps: bool) -> Duration {
        if has_timestamps { REUSABLE.min(self.lifetime) } else { self.lifetime / 2 }
    }

    /// Removes the record of a tuple. The sequence numbers and timestamps of a new connection must begin beyond those
    /// that are returned.
    pub fn take(&mut self, tuple: &Tuple) -> Option<Remnant> {
        let index = self.find(&Key::from(tuple))?;
        self.remove(index).map(|record| record.remnant())
    }

    /// Decides what to do about a segment from the peer, if the tuple has a record (RFC 9293 section 3.10.7.4).
    pub fn receive(&mut self, tuple: &Tuple, arrival: &Arrival, now: Instant) -> Option<Verdict> {
        let index = self.find(&Key::from(tuple))?;
        let record = self.records.get_mut(index as usize)?;
        if arrival.rst {
            // A reset at the expected number is the answer to our acknowledgement of a SYN: the peer knows nothing of
            // the old connection, and will repeat its SYN. Any other reset may be an old one (RFC 1337).
            if record.has(QUESTIONED) && arrival.sequence == record.expected {
                self.remove(index);
            }
            return Some(Verdict::Ignore);
        }
        if arrival.syn && !arrival.ack {
            // Only a SYN that opens a connection ends the wait (RFC 9293 section 3.6.1, MUST-13).
            if arrival.is_acceptable && record.is_renewed_by(arrival) {
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
        // Every other segment is old, by its timestamp (RFC 7323 section 5.3) or its sequence number, or carries data
        // after the peer's FIN.
        Some(Verdict::Acknowledge(record.remnant()))
    }

    /// Removes the records whose wait is over.
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

    /// Restarts the wait of a record, which becomes the last to expire.
    fn restart(&mut self, index: u32, now: Instant) {
        let Some(record) = self.records.get_mut(index as usize) else { return };
        record.since = now.millis();
        let (before, after) = (record.before, record.after);
        self.join(before, after);
        self.append(index);
    }

    /// Adds a record to the end of the order of expiry.
    fn append(&mut self, index: u32) {
        self.join(self.newest, index);
        self.join(index, NONE);
    }

    /// Links two records in the order of expiry; `NONE` stands for either end of it.
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

    /// Frees memory when three quarters of it are unused. Twice what is needed is kept, so that memory is not freed and
    /// allocated again all the time.
    fn shrink(&mut self) {
        let Self { records, table, secret, .. } = self;
        if records.capacity() > SMALL && records.len() < records.capacity() / 4 {
            records.shrink_to(records.len() * 2);
            table.shrink_to(records.len() * 2, |index| hash_of(secret, records, *index));
        }
    }
}

/// The hash of a record's key.
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

    /// How far the timestamp of a segment is ahead of the peer's latest one, if both the segment and the connection
    /// have timestamps.
    fn ahead(&self, arrival: &Arrival) -> Option<i32> {
        let timestamp = arrival.timestamp.filter(|_| self.has(TIMED))?;
        Some(timestamp.wrapping_sub(self.recent).cast_signed())
    }

    /// Whether a SYN is newer than every segment of the old connection (RFC 6191 section 2).
    fn is_renewed_by(&self, syn: &Arrival) -> bool {
        let beyond = syn.sequence.after(self.expected);
        match self.ahead(syn) {
            Some(1..) => true,
            Some(0) | None => beyond,
            Some(_) => false,
        }
    }

    /// Whether a segment is old by its timestamp (RFC 7323 section 5.3).
    fn is_old(&self, arrival: &Arrival) -> bool {
        self.ahead(arrival).is_some_and(|ahead| ahead < 0)
    }

    /// Whether the sequence number of an acknowledgement is acceptable. Nothing follows the peer's FIN, so only the
    /// next number is.
    fn is_expected(&self, arrival: &Arrival) -> bool {
        arrival.sequence == self.expected && !self.is_old(arrival)
    }

    /// Whether a segment repeats the peer's FIN, whose number is the one before the expected one, with a timestamp that
    /// is not old.
    fn is_repeated_by(&self, arrival: &Arrival) -> bool {
        arrival.fin && !arrival.syn && !self.is_old(arrival) && arrival.sequence + arrival.length + 1 == self.expected
    }

    /// Records the timestamp of a segment at the expected number (RFC 7323 section 4.3).
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
