//! TCP for one interface (RFC 9293, and the RFCs that each module names where it follows them).
//!
//! [`Tcp`] owns all parts and is the only one that knows all of them. The engine passes packets to it, and the sockets
//! of the host call it through the engine:
//!
//! | Module | Contents |
//! |---|---|
//! | `sequence`, `segment`, `tuple` | sequence numbers; headers and options; the two ends of a connection |
//! | `config`, `error` | the configuration and counters; why sockets cannot be opened |
//! | `options`, `state` | the options of a connection; its state, cause of failure and statistics |
//! | `connection` | one connection: segments that arrive, segments that leave, timeouts |
//! | `send`, `receive` | the sending half and the receiving half of a connection |
//! | `scoreboard`, `recovery` | which data was sent; loss recovery |
//! | `rtt`, `congestion` | round-trip time and retransmission timeout; congestion control |
//! | `handshake`, `clock` | what the two SYNs of a connection agree on; timestamps |
//! | `flows`, `listener` | connections and handshakes by their ends; listeners |
//! | `destinations` | the ephemeral ports of connections, divided among owners |
//! | `half_open`, `cookies` | handshakes under way; SYN cookies |
//! | `time_wait` | connections in TIME-WAIT |
//! | `limiter` | rate limits for resets and challenge acknowledgements |
//! | `operations`, `ingress`, `egress` | calls of the owners of sockets; packets that arrive; packets that leave |
//!
//! A connection that has something to send is *pending*. The driver of the engine takes pending connections in an order
//! of its own ([`Tcp::next_pending`], [`Tcp::transmit_one`]), or lets [`Tcp::transmit`] serve them in turn.

pub mod congestion;
pub mod options;
pub mod segment;
pub mod sequence;
pub mod state;
pub mod time_wait;

mod clock;
mod config;
mod connection;
mod cookies;
mod destinations;
mod egress;
mod error;
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
use core::time::Duration;

use crate::buffer::{Budget, Memory, in_32_bits};
use crate::event::{Event, Events};
use crate::ports::Owner;
use crate::random::{Random, Secret};
use crate::shares::Shares;
use crate::slots::{Key, Slots};
use crate::time::{Instant, earliest};
use crate::timers::Timers;
use crate::wire::HopLimit;
use connection::Connection;
use cookies::Cookies;
use destinations::Destinations;
use flows::{Flow, Flows};
use half_open::HalfOpens;
use listener::Listeners;
use time_wait::TimeWait;

pub use config::{Config, Counters};
pub use congestion::Algorithm;
pub use connection::{Link, ReadError, WriteError};
pub use egress::{Progress, Transmitted};
pub use error::{BindError, ConnectError};
pub use limiter::Limiter;
pub use listener::{Filter, Places};
pub use options::{EcnUse, InvalidOption, KeepAlive, Options};
pub use recovery::RecoveryState;
pub use state::{Cause, Info, TcpState};
pub(crate) use tuple::End;
pub use tuple::Tuple;

/// The key of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub Key);

/// The key of a listener or of a bound socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub Key);

/// The number of connections that keep empty lists allocated for further use: those that were active last.
const MAX_AWAKE: usize = 64;

/// A connection to be [opened](Tcp::connect).
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Whose connection it will be.
    pub owner: Owner,
    /// The local address and port. Port 0 asks for an ephemeral port.
    pub local: SocketAddr,
    /// The remote address and port.
    pub remote: SocketAddr,
    /// The socket that the caller has bound to `local` before, if any.
    pub bound: Option<ListenerId>,
    /// The time within which the handshake must be complete.
    pub timeout: Duration,
}

impl Attempt {
    /// Without a bound socket.
    #[must_use]
    pub const fn new(owner: Owner, local: SocketAddr, remote: SocketAddr, timeout: Duration) -> Self {
        Self { owner, local, remote, bound: None, timeout }
    }
}

/// A connection that a listener has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The key of the connection.
    pub id: ConnectionId,
    /// The local address and port.
    pub local: SocketAddr,
    /// The remote address and port.
    pub remote: SocketAddr,
}

/// A connection in the table.
struct Entry {
    connection: Connection,
    holder: Holder,
    /// The connection at the other end, if it is on this interface too.
    peer: Option<ConnectionId>,
    /// Whether the connection is in `Tcp::pending`.
    pending: bool,
    /// Whether the connection is in `Tcp::awake`.
    awake: bool,
    /// Whether the connection is counted in `Tcp::destinations`, for its owner.
    has_share: bool,
    /// Whether the connection is counted among those that nobody owns any more.
    is_orphan: bool,
    /// The bytes that it held when it was counted. These are two fields, because together with the flags above they are
    /// then as small as one.
    orphan_bytes: u32,
}

impl Entry {
    const fn new(connection: Connection, holder: Holder) -> Self {
        let (pending, awake, has_share, is_orphan) = (false, false, false, false);
        Self { connection, holder, peer: None, pending, awake, has_share, is_orphan, orphan_bytes: 0 }
    }

    /// The owner for whom the connection is counted in `Tcp::destinations`.
    const fn sharer(&self) -> Option<Owner> {
        match self.holder {
            Holder::Owner(owner) if self.has_share => Some(owner),
            Holder::Owner(_) | Holder::Listener(_) => None,
        }
    }

    /// The listener whose accept queue the connection waits in.
    const fn listener(&self) -> Option<ListenerId> {
        match self.holder {
            Holder::Listener(listener) => Some(listener),
            Holder::Owner(_) => None,
        }
    }
}

/// Who has a connection.
#[derive(Clone, Copy, Debug)]
enum Holder {
    /// A listener: the connection waits in its accept queue. It leaves the queue when it is accepted, fails, or the
    /// listener is closed.
    Listener(ListenerId),
    /// The owner that has opened it, or whose listener has accepted it.
    Owner(Owner),
}

/// The keys of keyed hashes, one for each purpose.
struct Secrets {
    /// For initial sequence numbers (RFC 6528).
    sequence: Secret,
    /// For the offsets of timestamp clocks.
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
    destinations: Destinations,
    challenges: Limiter,
    resets: Limiter,
    pending: VecDeque<ConnectionId>,
    /// Connections that could not send at the last attempt, because there was no route or the neighbour was not
    /// resolved.
    stranded: BTreeSet<ConnectionId>,
    /// The connections that were active last, oldest first. They keep the little memory that they will need again.
    awake: VecDeque<ConnectionId>,
    /// The pairs of ends in TIME-WAIT whose acknowledgement is still to be sent.
    owed: VecDeque<Tuple>,
    /// The memory that all connections together may hold.
    budget: Budget,
    /// The options of the connection or listener that was made last.
    latest_options: Option<Arc<Options>>,
    /// The number of connections that nobody owns any more, and the bytes that they held when their owners released
    /// them.
    orphans: Shares,
    events: Events,
    counters: Counters,
    /// A peer has acknowledged new data since [`take_progress`](Self::take_progress) was last called.
    progressed: bool,
}

impl Tcp {
    /// TCP without connections. `random` is seeded by the platform; nothing that peers can see of its output reveals
    /// its state.
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
            listeners: Listeners::new(&config.ports, &table),
            half_open: HalfOpens::default(),
            cookies: Cookies::new(&mut random),
            time_wait,
            destinations: Destinations::new(&config.ports, config.most_time_wait, table),
            challenges: Limiter::new(config.answers, Secret::new(&mut random)),
            resets: Limiter::new(config.answers, Secret::new(&mut random)),
            pending: VecDeque::new(),
            stranded: BTreeSet::new(),
            awake: VecDeque::new(),
            owed: VecDeque::new(),
            budget: Budget::new(config.most_bytes),
            latest_options: None,
            orphans: Shares::new(config.most_orphans, config.most_orphan_bytes),
            events: Events::default(),
            counters: Counters::default(),
            progressed: false,
            random,
            config,
        }
    }

    /// The next event that the caller has not seen yet, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.poll()
    }

    /// Whether a peer has acknowledged something new since the last call, which proves that packets reach it (RFC 4861
    /// section 7.3.1).
    pub const fn take_progress(&mut self) -> bool {
        core::mem::replace(&mut self.progressed, false)
    }

    /// The counters.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sets the hop limit of IPv6 packets that belong to no connection. Each connection has its own.
    pub const fn set_v6_hop_limit(&mut self, hop_limit: HopLimit) {
        self.v6_hop_limit = hop_limit;
    }

    /// Changes the MTU of the link: from now on, connections send no longer packets. The MSS that was announced to
    /// peers stays.
    pub fn set_mtu(&mut self, mtu: usize) {
        self.config.link.mtu = mtu;
        let all: alloc::vec::Vec<ConnectionId> = self.connections().map(|(id, ..)| id).collect();
        for id in all {
            if let Some(entry) = self.connections.get_mut(id.0) {
                entry.connection.set_link_mtu(mtu);
                self.mark_pending(id);
            }
        }
    }

    /// The source of the memory of the queues.
    #[must_use]
    pub const fn memory(&self) -> &Memory {
        &self.config.memory
    }

    /// The budget of the queues of all connections.
    #[must_use]
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The properties of the link that TCP was configured with.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.config.link
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if nothing happens before. This may be earlier
    /// than the first real deadline.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        earliest([self.timers.next(), self.half_open.next_timeout(), self.time_wait.next()])
    }

    /// Handles all timers that have expired. Connections that have something to send afterwards are pending.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(index) = self.timers.pop(now) {
            let Some(id) = self.connections.key_at(index).map(ConnectionId) else { continue };
            let Some(entry) = self.connections.get_mut(id.0) else { continue };
            let effects = entry.connection.handle_timeout(now);
            self.apply_effects(id, effects, now);
        }
        self.half_open.handle_timeout(now, |key, record| {
            self.flows.remove(&record.tuple, Flow::HalfOpen(key));
            if let Some(listening) = self.listeners.listening_mut(record.listener) {
                listening.end();
            }
        });
        self.time_wait.expire(now);
        self.destinations.expire(now);
    }

    /// The connection or handshake that a pair of ends belongs to.
    fn flow(&self, tuple: &Tuple) -> Option<Flow> {
        self.flows.find(tuple, |flow| match flow {
            Flow::Connection(id) => self.connections.get(id.0).is_some_and(|entry| entry.connection.tuple() == tuple),
            Flow::HalfOpen(key) => self.half_open.get(key).is_some_and(|record| record.tuple == *tuple),
        })
    }

    /// All connections, except those in TIME-WAIT.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, &Tuple, TcpState)> {
        self.connections
            .iter()
            .map(|(key, entry)| (ConnectionId(key), entry.connection.tuple(), entry.connection.state()))
    }

    /// The number of connections, except those in TIME-WAIT.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// The number of handshakes that listeners have under way.
    #[must_use]
    pub fn half_open_count(&self) -> usize {
        self.half_open.len()
    }

    /// The number of connections in TIME-WAIT.
    #[must_use]
    pub const fn time_wait_count(&self) -> usize {
        self.time_wait.len()
    }

    /// The number of sockets that listen.
    #[must_use]
    pub fn listener_count(&self) -> usize {
        self.listeners.count()
    }

    /// The bytes of memory that are held by the queues of connections, the records of TIME-WAIT, the counts of ports,
    /// and the lists of connections and handshakes with something to send.
    #[must_use]
    pub fn held(&self) -> usize {
        let lists = self.pending.capacity() * size_of::<ConnectionId>() + self.half_open.held();
        let queues = self.connections.iter().map(|(_, entry)| entry.connection.held()).sum::<usize>();
        queues + self.time_wait.held() + self.destinations.held() + lists
    }

    /// The initial sequence number of a connection (RFC 6528 section 3): a clock with ticks of 4 microseconds, plus a
    /// keyed hash of the ends.
    #[expect(clippy::cast_possible_truncation, reason = "sequence numbers count modulo 2^32")]
    fn initial_sequence(&self, tuple: &Tuple, now: Instant) -> sequence::Sequence {
        let clock = (now.since_origin().as_micros() / 4) as u32;
        sequence::Sequence(clock.wrapping_add(self.secrets.sequence.hash(tuple) as u32))
    }

    /// The offset of the timestamp clock of a connection (RFC 7323 section 7.1).
    #[expect(clippy::cast_possible_truncation, reason = "clocks count modulo 2^32")]
    fn clock_offset(&self, tuple: &Tuple) -> u32 {
        self.secrets.clock.hash(tuple) as u32
    }

    /// The options of a new connection or listener, completed by those of the configuration. Most connections have the
    /// same options as the one before, so they share one copy.
    fn share_options(&mut self, mut options: Options) -> Arc<Options> {
        options.congestion = options.congestion.or(self.config.congestion);
        match &self.latest_options {
            Some(latest) if **latest == options => latest.clone(),
            _ => self.latest_options.insert(Arc::new(options)).clone(),
        }
    }

    /// Makes a connection pending: the driver will let it send.
    fn mark_pending(&mut self, id: ConnectionId) {
        if let Some(entry) = self.connections.get_mut(id.0)
            && !entry.pending
        {
            entry.pending = true;
            self.pending.push_back(id);
            if self.pending.len() > 2 * self.connections.len() + 64 {
                // If the outlet has no room for a long time, connections come and go, and their entries must not
                // accumulate.
                let connections = &self.connections;
                self.pending.retain(|id| connections.get(id.0).is_some_and(|entry| entry.pending));
            }
        }
    }

    /// Lets the send buffer of a connection grow if its path carries more than the buffer holds.
    fn grow(&mut self, id: ConnectionId) {
        if self.connections.get_mut(id.0).is_some_and(|entry| entry.connection.grow()) {
            self.events.tell(Event::Writable(id));
        }
    }

    /// Counts a connection that nobody owns any more, for the owner who has released it. If too many of them are that
    /// owner's, the connection is reset instead.
    fn count_orphan(&mut self, id: ConnectionId, now: Instant) {
        let Some(entry) = self.connections.get_mut(id.0) else { return };
        if entry.is_orphan || entry.connection.is_closed() {
            return;
        }
        // Nobody releases a connection that was not accepted.
        let Holder::Owner(owner) = entry.holder else { return };
        let counted = in_32_bits(entry.connection.held());
        if self.orphans.admits(owner, counted as usize) {
            self.orphans.take(owner, counted as usize);
            (entry.is_orphan, entry.orphan_bytes) = (true, counted);
        } else {
            entry.connection.abort(Cause::Aborted, now);
        }
    }

    /// Removes a connection from the flows, so that others may use its ends. `sharer` is the one of its entry. Returns
    /// whether it was there.
    fn vacate(&mut self, id: ConnectionId, tuple: &Tuple, sharer: Option<Owner>) -> bool {
        let was_there = self.flows.remove(tuple, Flow::Connection(id));
        if let Some(owner) = sharer.filter(|_| was_there) {
            self.destinations.give_back(tuple, owner);
        }
        was_there
    }

    /// Removes a connection from the table.
    fn remove(&mut self, id: ConnectionId) -> Option<Entry> {
        let entry = self.connections.remove(id.0)?;
        self.timers.remove(id.0.index());
        self.stranded.remove(&id);
        if let Holder::Owner(owner) = entry.holder
            && entry.is_orphan
        {
            self.orphans.give_back(owner, entry.orphan_bytes as usize);
        }
        self.events.tell(Event::Removed(id));
        Some(entry)
    }

    /// Tells a connection whose peer is on this interface too whether the reader of that peer is behind. While the
    /// reader has not looked at what has arrived, small pieces of data had better wait and leave together.
    fn look_at_reader(&mut self, id: ConnectionId) {
        let Some(peer) = self.connections.get(id.0).and_then(|entry| entry.peer) else { return };
        let is_behind = self.connections.get(peer.0).is_some_and(|peer| peer.connection.has_news());
        if let Some(entry) = self.connections.get_mut(id.0) {
            entry.connection.set_reader_is_behind(is_behind);
        }
    }

    /// Sets the alarm of a connection after it was active. If too many connections keep memory allocated, the one that
    /// has been inactive longest releases its memory.
    fn arm(&mut self, id: ConnectionId) {
        let Some(entry) = self.connections.get_mut(id.0) else { return };
        self.timers.set(id.0.index(), entry.connection.next_timeout());
        if core::mem::replace(&mut entry.awake, true) {
            return;
        }
        self.awake.push_back(id);
        if self.awake.len() > MAX_AWAKE
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
