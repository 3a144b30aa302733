//! TCP for one interface (RFC 9293, and the RFCs that each room names where it follows them).
//!
//! [`Tcp`] owns the parts and alone knows all of them:
//!
//! | Room | Holds |
//! |---|---|
//! | `sequence`, `segment`, `tuple` | numbers, headers and options, a connection's two ends |
//! | `options`, `state` | what can be asked of a connection, and what it says |
//! | `connection` | one connection: what arrives, what leaves, what is due |
//! | `send`, `receive` | its two halves |
//! | `scoreboard`, `recovery`, `rtt` | what was sent, what of it was lost, how long to wait |
//! | `congestion` | how fast to send |
//! | `handshake`, `clock` | what two SYNs agree on; timestamps |
//! | `listener`, `half_open`, `cookies` | who waits for connections; handshakes under way; too many of those |
//! | `time_wait` | what is left of connections |
//! | `limiter` | how many answers strangers get |
//! | `operations`, `ingress`, `egress` | what owners ask; packets that arrive; packets that leave |
//!
//! A connection that has something to send is *pending*. Whoever drives the engine takes the pending ones in an order of
//! its own ([`Tcp::next_pending`], [`Tcp::transmit_one`]), or lets [`Tcp::transmit`] take them in turn.

pub mod congestion;
pub mod options;
pub mod segment;
pub mod sequence;
pub mod state;
pub mod time_wait;

mod clock;
mod connection;
mod cookies;
mod egress;
mod flows;
mod half_open;
mod handshake;
mod ingress;
mod limiter;
mod listener;
mod operations;
mod receive;
mod recovery;
mod rtt;
mod scoreboard;
mod send;
mod tuple;

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use core::net::SocketAddr;
use core::ops::RangeInclusive;
use core::time::Duration;

use flows::{Flow, Flows};
use thiserror::Error;

pub use congestion::Algorithm;
pub use connection::{Link, ReadError, WriteError};
pub use egress::{Progress, Transmitted};
pub use limiter::Limiter;
pub use listener::Places;
pub use options::{EcnUse, InvalidOption, KeepAlive, Options};
pub use recovery::RecoveryState;
pub use state::{Cause, Info, TcpState};
pub use tuple::Tuple;

use connection::Connection;
use cookies::Cookies;
use half_open::HalfOpens;
use listener::Listeners;
use time_wait::TimeWait;

use crate::buffer::{Budget, Memory, in_32_bits};
use crate::event::{Event, Events};
use crate::random::{Random, Secret};
use crate::slots::{Key, Slots};
use crate::time::Instant;
use crate::timers::Timers;
use crate::wire::HopLimit;

/// Which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub Key);

/// Which listener, or bound socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub Key);

/// So many connections keep memory for what they do next.
const MOST_AWAKE: usize = 64;

/// What TCP is set to on one interface.
#[derive(Clone, Debug)]
pub struct Config {
    /// The link.
    pub link: Link,
    /// What leaves arrives here again, and at once: nothing old can be under way, and TIME-WAIT keeps nobody waiting.
    pub loops_back: bool,
    /// The ports that are handed out where none is asked for (RFC 6335 section 6).
    pub ephemeral: RangeInclusive<u16>,
    /// Twice the maximum segment lifetime: how long TIME-WAIT lasts (RFC 9293 section 3.4.2).
    pub time_wait: Duration,
    /// The most records in TIME-WAIT.
    pub most_time_wait: usize,
    /// The most connections that nobody owns any more, and the bytes that they may hold; one beyond is reset when its owner
    /// lets go of it.
    pub most_orphans: usize,
    /// See [`most_orphans`](Self::most_orphans).
    pub most_orphan_bytes: usize,
    /// The most bytes of memory that the queues of all connections may hold together. When little of it is left, windows
    /// become small.
    pub most_bytes: usize,
    /// The most handshakes under way over all listeners; beyond, SYNs are answered with cookies.
    pub most_half_open: usize,
    /// Answers to strangers in a second, of each kind: resets, and challenges (RFC 5961 section 7).
    pub answers: u32,
    /// The congestion control of connections whose options leave it open; `None` for what suits the link.
    pub congestion: Option<Algorithm>,
    /// Where the memory of what waits comes from.
    pub memory: Memory,
}

/// 4 GiB, of which each connection has 8 KiB for certain; 1 GiB where addresses have 32 bits.
const MOST_BYTES: usize = if usize::BITS > 32 { 1 << (usize::BITS / 2) } else { 1 << 30 };

impl Config {
    /// What suits a link.
    #[must_use]
    pub const fn new(link: Link) -> Self {
        Self {
            link,
            loops_back: false,
            ephemeral: 49152..=65535,
            time_wait: Duration::from_secs(60),
            most_time_wait: 100_000,
            most_orphans: 4096,
            most_orphan_bytes: 64 << 20,
            most_bytes: MOST_BYTES,
            most_half_open: 1024,
            answers: 1000,
            congestion: None,
            memory: Memory::HEAP,
        }
    }
}

/// What has been counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments sent again.
    pub retransmitted: u64,
    /// Connections that their peers reset.
    pub resets: u64,
    /// Connections whose peers did not answer in time.
    pub timeouts: u64,
    /// SYNs and acknowledgements of handshakes that a full backlog kept out.
    pub backlog_drops: u64,
    /// Answers to strangers that were left out because there were too many.
    pub suppressed: u64,
    /// Segments that could not be read, or whose checksum was wrong.
    pub malformed: u64,
    /// Segments that were for nobody, and were dropped without an answer.
    pub dropped: u64,
    /// SYNs that were answered with cookies.
    pub cookies: u64,
}

/// Why no connection was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// The two ends are in use, or the local port is somebody else's, or no port is free (`EADDRINUSE`).
    #[error("the address is in use")]
    AddressInUse,
    /// There is no memory for one more connection (`ENOBUFS`).
    #[error("the limit of memory is reached")]
    LimitReached,
    /// The two ends are of different families, or one of them is no host's.
    #[error("an address is no host's")]
    InvalidAddress,
}

/// Why an address was not bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BindError {
    /// A socket that is bound or listens has it (`EADDRINUSE`).
    #[error("the address is in use")]
    AddressInUse,
}

/// A connection that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its key.
    pub id: ConnectionId,
    /// This end.
    pub local: SocketAddr,
    /// The peer.
    pub remote: SocketAddr,
}

/// A connection in the table.
struct Entry {
    connection: Connection,
    /// The other end, where it is on this interface too.
    peer: Option<ConnectionId>,
    /// The listener in whose queue it waits.
    listener: Option<ListenerId>,
    /// It is among the pending.
    pending: bool,
    /// It is among those who are awake.
    awake: bool,
    /// What it held when its owner let go of it.
    orphan: Option<u32>,
}

impl Entry {
    const fn new(connection: Connection, listener: Option<ListenerId>) -> Self {
        Self { connection, peer: None, listener, pending: false, awake: false, orphan: None }
    }
}

/// Secrets, one for each purpose.
struct Secrets {
    /// RFC 6528.
    sequence: Secret,
    clock: Secret,
}

/// See the [module](self).
pub struct Tcp {
    config: Config,
    /// That of IPv6 packets which are no connection's.
    v6_hop_limit: HopLimit,
    random: Random,
    secrets: Secrets,
    flows: Flows,
    connections: Slots<Entry>,
    timers: Timers,
    listeners: Listeners,
    half_open: HalfOpens,
    cookies: Cookies,
    time_wait: TimeWait,
    challenges: Limiter,
    resets: Limiter,
    pending: VecDeque<ConnectionId>,
    /// Those that could not send the last time, for want of a way or of a neighbour.
    stranded: BTreeSet<ConnectionId>,
    /// Those that did something last: they keep the little memory that they will need again when they do more.
    awake: VecDeque<ConnectionId>,
    /// Whose acknowledgement from TIME-WAIT is to leave.
    owed: VecDeque<Tuple>,
    /// What all connections together may hold.
    budget: Budget,
    /// The options that were asked for last.
    latest_options: Option<Arc<Options>>,
    /// How many connections nobody owns any more, and what they held when that began.
    orphans: (usize, usize),
    events: Events,
    counters: Counters,
    /// A peer has acknowledged something new.
    progressed: bool,
}

impl Tcp {
    /// TCP with no connection. `random` is seeded by the platform; whatever others see of it tells nothing of it.
    #[must_use]
    pub fn new(config: Config, mut random: Random) -> Self {
        let table = Secret::new(&mut random);
        let time_wait = TimeWait::new(config.time_wait, config.most_time_wait, Secret::new(&mut random));
        Self {
            v6_hop_limit: HopLimit::DEFAULT,
            secrets: Secrets { sequence: Secret::new(&mut random), clock: Secret::new(&mut random) },
            flows: Flows::new(table.clone()),
            connections: Slots::default(),
            timers: Timers::new(),
            listeners: Listeners::new(&table),
            half_open: HalfOpens::default(),
            cookies: Cookies::new(&mut random),
            time_wait,
            challenges: Limiter::new(config.answers, Secret::new(&mut random)),
            resets: Limiter::new(config.answers, Secret::new(&mut random)),
            pending: VecDeque::new(),
            stranded: BTreeSet::new(),
            awake: VecDeque::new(),
            owed: VecDeque::new(),
            budget: Budget::new(config.most_bytes),
            latest_options: None,
            orphans: (0, 0),
            events: Events::default(),
            counters: Counters::default(),
            progressed: false,
            random,
            config,
        }
    }

    /// What happened since this was last asked, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.poll()
    }

    /// Whether a peer has acknowledged something new since this was last asked: packets reach it (RFC 4861 section 7.3.1).
    pub const fn take_progress(&mut self) -> bool {
        core::mem::replace(&mut self.progressed, false)
    }

    /// What has been counted so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sets the hop limit of what is sent over IPv6 to who has no connection. Connections have their own.
    pub const fn set_v6_hop_limit(&mut self, hop_limit: HopLimit) {
        self.v6_hop_limit = hop_limit;
    }

    /// Changes the link's MTU: connections send no longer packets from now on. What peers were told they may send stays.
    pub fn set_mtu(&mut self, mtu: usize) {
        self.config.link.mtu = mtu;
        let all: alloc::vec::Vec<ConnectionId> = self.connections().map(|(id, ..)| id).collect();
        for id in all {
            if let Some(entry) = self.connections.get_mut(id.0) {
                entry.connection.set_link_mtu(mtu);
                self.mark(id);
            }
        }
    }

    /// Where the memory of what waits comes from.
    #[must_use]
    pub const fn memory(&self) -> &Memory {
        &self.config.memory
    }

    /// What the queues of all connections hold, and may hold.
    #[must_use]
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The link, as TCP was told of it.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.config.link
    }

    /// When something is due, if nothing happens before. It may be earlier than anything is.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        [self.timers.next(), self.half_open.next_timeout(), self.time_wait.next()].into_iter().flatten().min()
    }

    /// Acts on what is due; what that leaves to send is pending.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(index) = self.timers.pop(now) {
            let Some(id) = self.connections.key_at(index).map(ConnectionId) else { continue };
            let Some(entry) = self.connections.get_mut(id.0) else { continue };
            let effects = entry.connection.handle_timeout(now);
            self.settle(id, effects, now);
        }
        self.half_open.handle_timeout(now, |key, record| {
            self.flows.remove(&record.tuple, Flow::HalfOpen(key));
            if let Some(listening) = self.listeners.listening_mut(record.listener) {
                listening.end();
            }
        });
        self.time_wait.expire(now);
    }

    /// What a pair of ends stands for.
    fn flow(&self, tuple: &Tuple) -> Option<Flow> {
        self.flows.find(tuple, |flow| match flow {
            Flow::Connection(id) => self.connections.get(id.0).is_some_and(|entry| entry.connection.tuple() == tuple),
            Flow::HalfOpen(key) => self.half_open.get(key).is_some_and(|record| record.tuple == *tuple),
        })
    }

    /// Connections, TIME-WAIT not among them.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, &Tuple, TcpState)> {
        self.connections
            .iter()
            .map(|(key, entry)| (ConnectionId(key), entry.connection.tuple(), entry.connection.state()))
    }

    /// How many connections there are, TIME-WAIT not among them.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// How many handshakes listeners have under way.
    #[must_use]
    pub fn half_open_count(&self) -> usize {
        self.half_open.len()
    }

    /// How many records are in TIME-WAIT.
    #[must_use]
    pub const fn time_wait_count(&self) -> usize {
        self.time_wait.len()
    }

    /// How many listeners there are.
    #[must_use]
    pub fn listener_count(&self) -> usize {
        self.listeners.count()
    }

    /// Bytes of memory that connections' queues hold, records of TIME-WAIT, and lists of what is to leave.
    #[must_use]
    pub fn held(&self) -> usize {
        let lists = self.pending.capacity() * size_of::<ConnectionId>() + self.half_open.held();
        self.connections.iter().map(|(_, entry)| entry.connection.held()).sum::<usize>() + self.time_wait.held() + lists
    }

    /// The initial sequence number of a connection (RFC 6528 section 3): a clock of 4 microseconds and a keyed hash.
    #[expect(clippy::cast_possible_truncation, reason = "sequence numbers count modulo 2^32")]
    fn initial_sequence(&self, tuple: &Tuple, now: Instant) -> sequence::Sequence {
        let clock = (now.since_origin().as_micros() / 4) as u32;
        sequence::Sequence(clock.wrapping_add(self.secrets.sequence.hash(tuple) as u32))
    }

    /// What is added to the clock of a connection's timestamps (RFC 7323 section 7.1).
    #[expect(clippy::cast_possible_truncation, reason = "clocks count modulo 2^32")]
    fn clock_offset(&self, tuple: &Tuple) -> u32 {
        self.secrets.clock.hash(tuple) as u32
    }

    /// The options of a new connection or listener, with what TCP is set to where they leave something open. Most connections
    /// have the options of the one before, and share them.
    fn share_options(&mut self, mut options: Options) -> Arc<Options> {
        options.congestion = options.congestion.or(self.config.congestion);
        match &self.latest_options {
            Some(latest) if **latest == options => latest.clone(),
            _ => self.latest_options.insert(Arc::new(options)).clone(),
        }
    }

    /// Puts a connection among the pending, where it has something to send.
    fn mark(&mut self, id: ConnectionId) {
        if let Some(entry) = self.connections.get_mut(id.0)
            && !entry.pending
        {
            entry.pending = true;
            self.pending.push_back(id);
            if self.pending.len() > 2 * self.connections.len() + 64 {
                // Where the outlet has no room for long, connections come and go.
                let connections = &self.connections;
                self.pending.retain(|id| connections.get(id.0).is_some_and(|entry| entry.pending));
            }
        }
    }

    /// Lets a connection's send buffer grow where its path carries more than that holds.
    fn grow(&mut self, id: ConnectionId) {
        if self.connections.get_mut(id.0).is_some_and(|entry| entry.connection.grow()) {
            self.events.tell(Event::Writable(id));
        }
    }

    /// A connection has nobody any more; where there are too many such, it is reset.
    fn adopt(&mut self, id: ConnectionId, now: Instant) {
        let Some(entry) = self.connections.get_mut(id.0) else { return };
        if entry.orphan.is_some() || entry.connection.is_closed() {
            return;
        }
        let bytes = entry.connection.held();
        let (count, held) = self.orphans;
        if count >= self.config.most_orphans || held + bytes > self.config.most_orphan_bytes {
            entry.connection.abort(Cause::Aborted, now);
            return;
        }
        let counted = in_32_bits(bytes);
        entry.orphan = Some(counted);
        self.orphans = (count + 1, held + counted as usize);
    }

    /// Takes an entry out for good.
    fn remove(&mut self, id: ConnectionId) -> Option<Entry> {
        let entry = self.connections.remove(id.0)?;
        self.timers.remove(id.0.index());
        self.stranded.remove(&id);
        if let Some(bytes) = entry.orphan {
            self.orphans = (self.orphans.0 - 1, self.orphans.1 - bytes as usize);
        }
        self.events.tell(Event::Removed(id));
        Some(entry)
    }

    /// Tells a connection to this very interface how far its reader is, before it decides what to send: while who reads has not
    /// looked at what is there, small pieces had better wait and leave together.
    fn look_at_reader(&mut self, id: ConnectionId) {
        let Some(peer) = self.connections.get(id.0).and_then(|entry| entry.peer) else { return };
        let is_behind = self.connections.get(peer.0).is_some_and(|peer| peer.connection.has_news());
        if let Some(entry) = self.connections.get_mut(id.0) {
            entry.connection.set_reader_is_behind(is_behind);
        }
    }

    /// A connection has done something: sets its alarm, and puts the one to sleep that has done nothing for longest.
    fn arm(&mut self, id: ConnectionId) {
        let Some(entry) = self.connections.get_mut(id.0) else { return };
        self.timers.set(id.0.index(), entry.connection.next_timeout());
        if core::mem::replace(&mut entry.awake, true) {
            return;
        }
        self.awake.push_back(id);
        if self.awake.len() > MOST_AWAKE
            && let Some(oldest) = self.awake.pop_front()
            && let Some(entry) = self.connections.get_mut(oldest.0)
        {
            entry.awake = false;
            entry.connection.sleep();
        }
    }
}

#[cfg(test)]
mod tests;
