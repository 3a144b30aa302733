//! TCP's shell: the engine's connections and listeners, those who wait for them, and whose they are.
//!
//! What TCP itself does is [`xila_network_engine::tcp`]'s. Here its events become wakes, and its pending connections take
//! their turns with everybody else who sends.
//!
//! | Room | Holds |
//! |---|---|
//! | `operations` | what owners of connections and listeners ask |
//! | `transfer` | bytes into and out of connections |
//! | `way` | the way out: next hops, hardware addresses, room on the device |

pub(crate) mod operations;
pub(crate) mod transfer;
pub(super) mod way;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use hashbrown::HashMap;
use xila_network_commands::interface::Statistics;
use xila_network_engine::buffer::{Memory, Slice};
use xila_network_engine::event::Event;
use xila_network_engine::ip::output::Blocked;
use xila_network_engine::random::Random;
use xila_network_engine::slots::Beside;
use xila_network_engine::tcp::{
    Algorithm, Cause, Config, ConnectionId, Link, ListenerId, Progress, Tcp, TcpState, Transmitted,
};

use super::backlog::Backlog;
use super::drive::Sending;
use super::owner::Owner;
use super::schedule::Schedule;
use super::waiters::{Waiters, Wakes};
use super::{Core, Sender, Stack};
use crate::device::{Capabilities, Checksums};
use crate::error::Error;
use crate::platform::Instant;
use way::Way;

/// A connection's key in its stack.
pub(crate) type FlowId = ConnectionId;

/// How long what is left of a connection keeps its pair of ends: twice a maximum segment lifetime of 5 s, since the links of
/// these stacks are short.
const TIME_WAIT: Duration = Duration::from_secs(10);

/// The most handshakes under way on one stack, over all its listeners, before SYNs are answered with cookies.
const MOST_HALF_OPEN: usize = 256;

/// The TCP part of a stack.
pub(super) struct Table {
    engine: Tcp,
    /// What seeds an engine that has to be built anew.
    seed: [u8; 32],
    /// The congestion control of connections that ask for none.
    congestion: Option<Algorithm>,
    /// Where the memory of what waits comes from.
    memory: Memory,
    flows: Beside<Flow>,
    backlogs: HashMap<ListenerId, (SocketAddr, Arc<Backlog>)>,
    /// The listener of each backlog, by its number.
    listeners: HashMap<u64, ListenerId>,
}

/// What the shell knows of a connection.
struct Flow {
    owner: Owner,
    readers: Waiters,
    writers: Waiters,
    /// It has its place in the schedule.
    scheduled: bool,
}

impl Flow {
    fn new(owner: Owner) -> Self {
        Self { owner, readers: Waiters::default(), writers: Waiters::default(), scheduled: false }
    }

    fn wake_all(&mut self, wakes: &mut Wakes) {
        self.readers.take(wakes);
        self.writers.take(wakes);
    }
}

impl Table {
    pub(super) fn new(
        of: &Capabilities,
        loops_back: bool,
        ephemeral: core::ops::RangeInclusive<u16>,
        congestion: Option<Algorithm>,
        memory: Memory,
        seed: [u8; 32],
    ) -> Self {
        let link = Link { mtu: of.mtu, lossless: of.lossless, checksums: of.checksums == Checksums::Computed };
        let config = Config {
            loops_back,
            ephemeral,
            congestion,
            most_half_open: MOST_HALF_OPEN,
            time_wait: TIME_WAIT,
            memory: memory.clone(),
            ..Config::new(link)
        };
        let engine = Tcp::new(config, Random::new(seed));
        Self {
            engine,
            seed,
            congestion,
            memory,
            flows: Beside::default(),
            backlogs: HashMap::new(),
            listeners: HashMap::new(),
        }
    }

    /// The engine, to be asked.
    pub(super) const fn engine(&self) -> &Tcp {
        &self.engine
    }

    /// Whether a handshake waits for its answer.
    pub(super) fn owes_answers(&mut self) -> bool {
        self.engine.owes_answers()
    }

    /// Whether a connection is there that could send.
    pub(super) fn waits(&self, id: FlowId) -> bool {
        !matches!(self.engine.state(id), TcpState::Closed)
    }

    /// When something is due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.engine.next_timeout()
    }

    /// Wakes everyone who waits for anything.
    pub(super) fn rouse(&mut self, wakes: &mut Wakes) {
        self.flows.values_mut().for_each(|flow| flow.wake_all(wakes));
        self.rouse_listeners(wakes);
    }

    /// Wakes everyone who waits for connections.
    pub(super) fn rouse_listeners(&self, wakes: &mut Wakes) {
        self.backlogs.values().for_each(|(_, backlog)| backlog.rouse(wakes));
    }

    /// What happened becomes wakes, and who has something to send gets a place in the schedule.
    fn settle(&mut self, stack: impl Fn() -> Option<Stack>, schedule: &mut Schedule<Owner, Sender>, wakes: &mut Wakes) {
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Readable(id) => {
                    if let Some(flow) = self.flows.get_mut(id.0) {
                        flow.readers.take(wakes);
                    }
                }
                Event::Writable(id) => {
                    if let Some(flow) = self.flows.get_mut(id.0) {
                        flow.writers.take(wakes);
                    }
                }
                Event::Acceptable(id) => {
                    if let (Some((_, backlog)), Some(stack)) = (self.backlogs.get(&id), stack()) {
                        backlog.announce(&stack, self.engine.is_acceptable(id), wakes);
                    }
                }
                Event::Removed(id) => {
                    if let Some(mut flow) = self.flows.remove(id.0) {
                        flow.wake_all(wakes);
                    }
                }
            }
        }
        while let Some(id) = self.engine.next_pending() {
            let (engine, backlogs) = (&self.engine, &self.backlogs);
            let flow = self.flows.get_or_insert_with(id.0, || {
                let listener = engine.listener_of(id).and_then(|id| backlogs.get(&id));
                Flow::new(listener.map_or(Owner::HOST, |(_, backlog)| backlog.owner()))
            });
            if !flow.scheduled {
                flow.scheduled = true;
                schedule.push(flow.owner, Sender::Flow(id));
            }
        }
    }

    /// Counts what there is now, and what was counted so far.
    pub(super) fn count(&self, statistics: &mut Statistics) {
        let engine = &self.engine;
        let counters = engine.counters();
        statistics.tcp_retransmits += counters.retransmitted;
        statistics.tcp_resets += counters.resets;
        statistics.tcp_timeouts += counters.timeouts;
        statistics.backlog_drops += counters.backlog_drops;
        statistics.replies_suppressed += counters.suppressed;
        statistics.received.dropped += counters.dropped + counters.malformed;
        statistics.tcp_flows = (engine.connection_count() + engine.half_open_count()) as u64;
        statistics.time_wait = engine.time_wait_count() as u64;
        statistics.tcp_listeners = engine.listener_count() as u64;
        statistics.tcp_connecting = engine.half_open_count() as u64;
        for (_, _, state) in engine.connections() {
            match state {
                TcpState::SynSent | TcpState::SynReceived => statistics.tcp_connecting += 1,
                TcpState::Established => statistics.tcp_established += 1,
                TcpState::CloseWait
                | TcpState::FinWait1
                | TcpState::FinWait2
                | TcpState::Closing
                | TcpState::LastAck
                | TcpState::TimeWait => statistics.tcp_closing += 1,
                TcpState::Closed => {}
            }
        }
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Refused => Self::ConnectionRefused,
            Cause::Reset => Self::ConnectionReset,
            Cause::TimedOut => Self::TimedOut,
            Cause::Aborted => Self::ConnectionAborted,
            Cause::Unreachable => Self::RemoteUnreachable,
            Cause::AddressGone => Self::AddressNotAvailable,
        }
    }
}

impl Core {
    /// Lets the engine do something that may send, with the way out at hand; then tells whom it concerns.
    ///
    /// A panic of the engine is contained to its interface: its connections end, its listeners go on.
    pub(super) fn tcp_with<R: Default>(&mut self, act: impl FnOnce(&mut Tcp, &mut Way<'_>, Instant) -> R) -> R {
        let result = self.tcp_let(act);
        self.tcp_settle();
        result
    }

    /// As [`tcp_with`](Self::tcp_with), where the caller [tells](Self::tcp_settle) once of several such steps.
    fn tcp_let<R: Default>(&mut self, act: impl FnOnce(&mut Tcp, &mut Way<'_>, Instant) -> R) -> R {
        let now = self.now;
        let Self { tcp, port, addresses, routes, neighbours, capabilities, hardware_address, .. } = self;
        let Some(port) = port else { return R::default() };
        let mut way = Way {
            port,
            addresses,
            routes,
            neighbours,
            mtu: capabilities.mtu,
            hardware: *hardware_address,
            wanted: None,
            now,
        };
        let done = catch_unwind(AssertUnwindSafe(|| act(&mut tcp.engine, &mut way, now)));
        let wanted = way.wanted;
        let result = done.unwrap_or_else(|_| {
            self.tcp_rebuild();
            R::default()
        });
        if let Some(hop) = wanted {
            self.solicit_hop(hop);
        }
        result
    }

    /// Tells whom it concerns of what the engine did.
    pub(super) fn tcp_settle(&mut self) {
        let Self { tcp, me, schedule, wakes, .. } = self;
        tcp.settle(|| me.upgrade().map(Stack), schedule, wakes);
    }

    /// Builds the engine anew after a panic. Its connections are gone; listeners stay.
    fn tcp_rebuild(&mut self) {
        let interface = self.me.upgrade().map(|me| me.name.clone()).unwrap_or_default();
        tracing::error!(%interface, "TCP has panicked and is built anew; its connections are lost");
        self.stir();
        let mut seed = self.tcp.seed;
        seed[..8].copy_from_slice(&self.random.to_ne_bytes());
        let (ephemeral, memory) = (self.ephemeral.clone(), self.tcp.memory.clone());
        let mut table = Table::new(&self.capabilities, self.loops_back(), ephemeral, self.tcp.congestion, memory, seed);
        for (local, backlog) in self.tcp.backlogs.values() {
            // It was bound before, and the new engine has nobody else.
            let bound = table.bind(*local, backlog);
            debug_assert!(bound.is_ok(), "an address is free in a new engine");
        }
        let mut old = core::mem::replace(&mut self.tcp, table);
        old.rouse(&mut self.wakes);
    }

    /// A packet with a segment in it has arrived. Whom it concerns is told when all that has arrived was looked at.
    pub(super) fn tcp_ingress(&mut self, packet: &[u8], apart: &[Slice], is_verified: bool) {
        self.tcp_let(|engine, way, now| engine.receive_parts(now, packet, apart, is_verified, way));
    }

    /// Acts on what is due.
    pub(super) fn tcp_expire(&mut self) {
        if self.tcp.next_timeout().is_some_and(|at| at <= self.now) {
            self.tcp_with(|engine, _, now| engine.handle_timeout(now));
        }
    }

    /// Answers SYNs that are to be answered again; false where the device takes nothing more.
    pub(super) fn tcp_answer(&mut self) -> bool {
        !self.tcp.engine.owes_answers() || !self.tcp_with(|engine, way, now| engine.transmit_answers(now, way))
    }

    /// A connection's turn to send.
    pub(super) fn tcp_turn(&mut self, id: FlowId, bytes: usize, budget: &mut usize) -> Sending {
        let before = self.sent_packets();
        let bytes = bytes.min(budget.saturating_mul(self.capabilities.mtu));
        let sent = self.tcp_with(|engine, way, now| Some((engine.transmit_one(id, bytes, now, way), way.wanted)));
        *budget = budget.saturating_sub(usize::try_from(self.sent_packets() - before).unwrap_or(usize::MAX));
        let sending = match sent {
            Some((Transmitted { progress: Progress::More, .. }, _)) => Sending::More,
            Some((Transmitted { progress: Progress::Blocked(Blocked::Full), .. }, _)) => Sending::Full,
            Some((Transmitted { progress: Progress::Blocked(Blocked::Unresolved), .. }, Some(hop))) => {
                self.wait_for(hop, id);
                Sending::Done
            }
            Some((Transmitted { progress: Progress::Blocked(Blocked::Unreachable), .. }, _)) => {
                self.tcp_fail_connecting(id, Cause::Unreachable);
                Sending::Done
            }
            Some(_) | None => Sending::Done,
        };
        if sending == Sending::Done
            && let Some(flow) = self.tcp.flows.get_mut(id.0)
        {
            flow.scheduled = false;
        }
        sending
    }

    pub(super) fn sent_packets(&self) -> u64 {
        self.port.as_ref().map_or(0, |port| port.sent.packets)
    }

    /// Ends a connection that is being made; an established one is not concerned.
    pub(super) fn tcp_fail_connecting(&mut self, id: FlowId, cause: Cause) {
        self.tcp_with(|engine, _, now| engine.fail_connecting(id, cause, now));
    }

    /// A next hop was found: answers to SYNs may wait for it.
    pub(super) fn tcp_resume_answers(&mut self) {
        self.tcp.engine.resume_answers();
    }

    /// What kept a connection back may be over.
    pub(super) fn tcp_resume(&mut self, ids: impl IntoIterator<Item = FlowId>) {
        ids.into_iter().for_each(|id| self.tcp.engine.resume(id));
        self.tcp_settle();
    }

    /// Addresses, routes or the link have changed: what could not leave may now.
    pub(super) fn tcp_resume_all(&mut self) {
        let all: Vec<FlowId> = self.tcp.engine.connections().map(|(id, ..)| id).collect();
        self.tcp_resume(all);
    }

    /// The interface is up again, and peers could not be heard meanwhile.
    pub(super) fn tcp_restart(&mut self) {
        self.tcp_with(|engine, _, now| engine.restart_timers(now));
    }

    /// A local address is gone.
    pub(super) fn tcp_address_removed(&mut self, address: IpAddr) {
        self.tcp_with(|engine, _, now| engine.remove_address(address, now));
    }

    /// The interface's MTU has changed.
    pub(super) fn tcp_set_mtu(&mut self, mtu: usize) {
        self.tcp.engine.set_mtu(mtu);
        self.tcp_settle();
    }

    /// The path to a peer has become narrower.
    pub(super) fn tcp_path_narrowed(&mut self, remote: IpAddr, mtu: usize) {
        self.tcp_with(|engine, _, now| engine.set_path_mtu(remote, mtu, now));
    }

    /// The interface is unmounted: connections that nobody holds have nobody left to end them.
    pub(super) fn tcp_end(&mut self) {
        let engine = &mut self.tcp.engine;
        let orphans: Vec<FlowId> = engine.connections().map(|(id, ..)| id).filter(|id| engine.is_orphan(*id)).collect();
        orphans.into_iter().for_each(|id| engine.forget(id));
        self.tcp_settle();
    }
}
