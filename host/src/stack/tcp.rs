//! The host's side of TCP: the tasks that wait for the engine's connections and listeners, and the owners of these.
//!
//! TCP itself is in [`xila_network_engine::tcp`]. Here its events wake the waiting tasks, and its connections with
//! something to send take their turns in the schedule, together with all other senders.
//!
//! | Module | Contents |
//! |---|---|
//! | `operations` | the operations that owners call on connections and listeners |
//! | `transfer` | reading from and writing to connections |

pub(crate) mod operations;
pub(crate) mod transfer;

use std::sync::Arc;

use hashbrown::HashMap;
use xila_network_commands::interface::Statistics;
use xila_network_engine::buffer::Memory;
use xila_network_engine::ip::output::Blocked;
use xila_network_engine::slots::Beside;
use xila_network_engine::tcp::{Cause, ConnectionId, ListenerId, Progress, Tcp, TcpState};

use super::attachment::{Attachment, OnLink};
use super::backlog::Backlog;
use super::drive::{Pace, Sender, Sending};
use super::notices::Notices;
use super::owner::Owner;
use crate::error::{ConnectError, ReadError, WriteError};
use crate::waiters::{Waiters, Wakes};

/// The key of a connection in its stack.
pub(crate) type FlowId = ConnectionId;

/// The connections and listeners of a stack, with the tasks that wait for them.
pub(super) struct Table {
    /// The memory that queued bytes are stored in.
    memory: Memory,
    flows: Beside<Flow>,
    backlogs: HashMap<ListenerId, Arc<Backlog>>,
    /// The listener of each backlog, by the backlog's number.
    listeners: HashMap<u64, ListenerId>,
    /// The connections that were removed while they were in the schedule, and are still there.
    stale: Vec<(Owner, FlowId)>,
}

/// The operations on TCP of a stack, with the parts of the core that they touch.
pub(crate) struct Operations<'a> {
    pub(super) table: &'a mut Table,
    pub(super) interface: &'a mut Attachment,
    pub(super) pace: &'a mut Pace,
    pub(super) notices: &'a mut Notices,
}

/// What the host knows of a connection, beside the engine.
struct Flow {
    owner: Owner,
    readers: Waiters,
    writers: Waiters,
    /// Whether the connection is in the schedule.
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
    pub(super) fn new(memory: Memory) -> Self {
        let (backlogs, listeners) = (HashMap::new(), HashMap::new());
        Self { memory, flows: Beside::default(), backlogs, listeners, stale: Vec::new() }
    }

    /// Wakes every task that waits for a connection or listener.
    pub(super) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.flows.values_mut().for_each(|flow| flow.wake_all(wakes));
        self.backlogs.values().for_each(|backlog| backlog.wake_all(wakes));
    }

    /// The memory that queued bytes are stored in.
    fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Forgets all connections and listeners, after the engine has panicked.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.memory.clone());
    }
}

/// Adds the engine's TCP counters, and the present numbers of connections and listeners, to `statistics`.
pub(super) fn count(engine: &Tcp, statistics: &mut Statistics) {
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

impl From<Cause> for ConnectError {
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

/// `Refused` and `Unreachable` only end a connection that is being made (RFC 5927 section 5.2), and nobody reads from
/// one: a stream is handed out once it is connected.
impl From<Cause> for ReadError {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Reset | Cause::Refused => Self::ConnectionReset,
            Cause::TimedOut => Self::TimedOut,
            Cause::Aborted | Cause::Unreachable => Self::ConnectionAborted,
            Cause::AddressGone => Self::AddressNotAvailable,
        }
    }
}

/// As for reads, above.
impl From<Cause> for WriteError {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Reset | Cause::Refused => Self::ConnectionReset,
            Cause::TimedOut => Self::TimedOut,
            Cause::Aborted | Cause::Unreachable => Self::ConnectionAborted,
            Cause::AddressGone => Self::AddressNotAvailable,
        }
    }
}

/// Events of the engine.
impl Table {
    /// Wakes the readers of a connection: data has arrived, or the receiving half has ended.
    pub(super) fn readable(&mut self, id: FlowId, wakes: &mut Wakes) {
        if let Some(flow) = self.flows.get_mut(id.0) {
            flow.readers.take(wakes);
        }
    }

    /// Wakes the writers of a connection: there is room, or something else that they wait for has happened.
    pub(super) fn writable(&mut self, id: FlowId, wakes: &mut Wakes) {
        if let Some(flow) = self.flows.get_mut(id.0) {
            flow.writers.take(wakes);
        }
    }

    /// Tells the backlog of a listener whether connections wait to be accepted (`waiting`).
    pub(super) fn acceptable(&mut self, id: ListenerId, waiting: bool, notices: &mut Notices) {
        if let (Some(backlog), Some(stack)) = (self.backlogs.get(&id), notices.stack()) {
            backlog.announce(&stack, waiting, &mut notices.wakes);
        }
    }

    /// Forgets a connection that the engine has removed, and wakes the tasks that wait for it.
    pub(super) fn removed(&mut self, id: FlowId, wakes: &mut Wakes) {
        if let Some(mut flow) = self.flows.remove(id.0) {
            flow.wake_all(wakes);
            if flow.scheduled {
                self.stale.push((flow.owner, id));
            }
        }
    }
}

/// Turns to send.
impl Operations<'_> {
    /// Puts connections that have something to send into the schedule, and takes those out of it that were removed. If
    /// these stayed until their turn, an owner that rests could add to them without end.
    pub(super) fn schedule(&mut self) {
        let Table { flows, backlogs, stale, .. } = &mut *self.table;
        for (owner, id) in stale.drain(..) {
            self.pace.schedule.remove(&owner, Sender::Flow(id));
        }
        while self.interface.engine().tcp().may_have_pending()
            && let Some(id) = self.interface.tend(|engine, _| engine.tcp_mut().next_pending())
        {
            let flow = flows.get_or_insert_with(id.0, || {
                let listener = self.interface.engine().tcp().listener_of(id).and_then(|id| backlogs.get(&id));
                Flow::new(listener.map_or(Owner::HOST, |backlog| backlog.owner().clone()))
            });
            if !flow.scheduled {
                flow.scheduled = true;
                self.pace.schedule.push(&flow.owner, Sender::Flow(id));
            }
        }
    }

    /// A connection's turn to send, at most `bytes` bytes and `budget` frames. Returns also how many bytes it has sent.
    pub(super) fn turn(&mut self, id: FlowId, bytes: usize, budget: &mut usize) -> (Sending, u64) {
        let before = self.interface.sent_packets();
        let on_link = self.interface.on_link();
        let bytes = bytes.min(budget.saturating_mul(self.interface.capabilities.mtu));
        let sent = self.interface.engage(|engine, port, now| Some(engine.transmit_connection(id, bytes, now, port)));
        let OnLink { bytes, packets } = self.interface.on_link_since(on_link);
        if let Some(flow) = self.table.flows.get_mut(id.0) {
            flow.owner.sent(bytes, packets, self.interface.now());
        }
        let packets = self.interface.sent_packets().saturating_sub(before);
        *budget = budget.saturating_sub(usize::try_from(packets).unwrap_or(usize::MAX));
        let sending = match sent.map(|sent| sent.progress) {
            Some(Progress::More) => Sending::More,
            Some(Progress::Blocked(Blocked::Full)) => Sending::Full,
            Some(Progress::Done | Progress::Blocked(Blocked::Unresolved | Blocked::Unreachable)) | None => {
                Sending::Done
            }
        };
        if sending == Sending::Done
            && let Some(flow) = self.table.flows.get_mut(id.0)
        {
            flow.scheduled = false;
        }
        (sending, bytes)
    }
}

#[cfg(test)]
mod tests {
    use xila_network_engine::tcp as engine;

    use super::*;
    use crate::error::BindError;

    #[test]
    fn the_cause_of_a_connection_s_end_is_the_error_of_connects_reads_and_writes() {
        for (cause, connecting, reading, writing) in [
            (Cause::Refused, ConnectError::ConnectionRefused, ReadError::ConnectionReset, WriteError::ConnectionReset),
            (Cause::Reset, ConnectError::ConnectionReset, ReadError::ConnectionReset, WriteError::ConnectionReset),
            (Cause::TimedOut, ConnectError::TimedOut, ReadError::TimedOut, WriteError::TimedOut),
            (
                Cause::Aborted,
                ConnectError::ConnectionAborted,
                ReadError::ConnectionAborted,
                WriteError::ConnectionAborted,
            ),
            (
                Cause::Unreachable,
                ConnectError::RemoteUnreachable,
                ReadError::ConnectionAborted,
                WriteError::ConnectionAborted,
            ),
            (
                Cause::AddressGone,
                ConnectError::AddressNotAvailable,
                ReadError::AddressNotAvailable,
                WriteError::AddressNotAvailable,
            ),
        ] {
            assert_eq!(ConnectError::from(cause), connecting);
            assert_eq!(ReadError::from(engine::ReadError::Ended(cause)), reading);
            assert_eq!(WriteError::from(engine::WriteError::Ended(cause)), writing);
        }
    }

    #[test]
    fn each_error_of_the_engine_becomes_the_matching_error_of_the_socket() {
        assert_eq!(ReadError::from(engine::ReadError::WouldBlock), ReadError::WouldBlock);
        assert_eq!(ReadError::from(engine::ReadError::Unknown), ReadError::ConnectionAborted);
        assert_eq!(WriteError::from(engine::WriteError::WouldBlock), WriteError::WouldBlock);
        assert_eq!(WriteError::from(engine::WriteError::Finished), WriteError::BrokenPipe);
        assert_eq!(WriteError::from(engine::WriteError::Unknown), WriteError::ConnectionAborted);
        assert_eq!(BindError::from(engine::BindError::AddressInUse), BindError::AddressInUse);
        assert_eq!(BindError::from(engine::BindError::NoPort), BindError::LimitReached);
        assert_eq!(BindError::from(engine::BindError::ShareExhausted), BindError::LimitReached);
        assert_eq!(ConnectError::from(engine::ConnectError::AddressInUse), ConnectError::AddressInUse);
        assert_eq!(ConnectError::from(engine::ConnectError::InvalidAddress), ConnectError::InvalidArgument);
        assert_eq!(ConnectError::from(engine::ConnectError::LimitReached), ConnectError::LimitReached);
        assert_eq!(ConnectError::from(engine::ConnectError::ShareExhausted), ConnectError::LimitReached);
    }
}
