//! The operations on connections and listeners that the [sockets](crate::socket) call.

use core::net::SocketAddr;
use core::task::Waker;
use core::time::Duration;
use std::sync::Arc;

use xila_network_engine::tcp::{self as engine, Attempt, Cause, Info, ListenerId, Options, Tuple};

use super::{Flow, FlowId, Operations, Table};
use crate::error::{BindError, ConnectError, InvalidOption, NetworkDown, ReadError, WriteError};
use crate::stack::backlog::Backlog;
use crate::stack::options::{OnOutage, TcpOptions};
use crate::stack::owner::Owner;

/// The direction of a connection that a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
}

impl From<engine::ReadError> for ReadError {
    fn from(error: engine::ReadError) -> Self {
        match error {
            engine::ReadError::WouldBlock => Self::WouldBlock,
            engine::ReadError::Ended(cause) => cause.into(),
            // The engine was replaced after it had panicked.
            engine::ReadError::Unknown => Self::ConnectionAborted,
        }
    }
}

impl From<engine::WriteError> for WriteError {
    fn from(error: engine::WriteError) -> Self {
        match error {
            engine::WriteError::WouldBlock => Self::WouldBlock,
            engine::WriteError::Finished => Self::BrokenPipe,
            engine::WriteError::Ended(cause) => cause.into(),
            engine::WriteError::Unknown => Self::ConnectionAborted,
        }
    }
}

impl From<engine::BindError> for BindError {
    fn from(error: engine::BindError) -> Self {
        match error {
            engine::BindError::AddressInUse => Self::AddressInUse,
            // If the guests have all ports that they may have, another port is refused as this one is.
            engine::BindError::NoPort | engine::BindError::ShareExhausted => Self::LimitReached,
        }
    }
}

impl From<engine::ConnectError> for ConnectError {
    fn from(error: engine::ConnectError) -> Self {
        match error {
            engine::ConnectError::AddressInUse => Self::AddressInUse,
            engine::ConnectError::InvalidAddress => Self::InvalidArgument,
            engine::ConnectError::LimitReached | engine::ConnectError::ShareExhausted => Self::LimitReached,
        }
    }
}

impl Table {
    fn listener(&self, backlog: &Backlog) -> Option<ListenerId> {
        self.listeners.get(&backlog.number()).copied()
    }
}

impl Operations<'_> {
    /// Starts to connect from `local` (port 0: an ephemeral port) to `remote`. `bound` is the caller's own reservation
    /// of the local port, if it has one.
    ///
    /// # Errors
    /// [`ConnectError::NetworkDown`]; [`ConnectError::AddressInUse`] where a connection with the same addresses and
    /// ports exists, another socket has the local port, or no ephemeral port is left;
    /// [`ConnectError::InvalidArgument`]; [`ConnectError::LimitReached`] where there is no memory, or the owner has used
    /// its share of the ephemeral ports towards `remote`.
    pub(crate) fn connect(
        &mut self,
        owner: &Owner,
        local: SocketAddr,
        remote: SocketAddr,
        bound: Option<&Backlog>,
        timeout: Duration,
        options: TcpOptions,
    ) -> Result<FlowId, ConnectError> {
        self.interface.check_up()?;
        if !owner.may_connect(self.interface.now()) {
            return Err(ConnectError::LimitReached);
        }
        let bound = bound.and_then(|backlog| self.table.listener(backlog));
        let attempt = Attempt { owner: owner.in_engine(), local, remote, bound, timeout };
        let id = self
            .interface
            .engage(|engine, _, now| engine.tcp_mut().connect(&attempt, options, now).map_err(ConnectError::from))?;
        owner.connects(self.interface.now());
        self.table.flows.get_or_insert_with(id.0, || Flow::new(owner.clone()));
        Ok(id)
    }

    /// The result of `connect`; `None` while it is under way, and `waker` is woken when it ends.
    pub(crate) fn connected(&mut self, id: FlowId, waker: &Waker) -> Option<Result<(), ConnectError>> {
        if let Err(error) = self.interface.check_up() {
            return Some(Err(error.into()));
        }
        let connected = self.interface.engine().tcp().is_connected(id);
        if connected.is_none() {
            self.wait(id, Interest::Write, waker);
        }
        connected.map(|connected| connected.map_err(ConnectError::from))
    }

    /// # Errors
    /// [`BindError::AddressInUse`]; [`BindError::LimitReached`] where the owner, or all guests together, have used their
    /// share of the ephemeral ports; [`BindError::NetworkDown`] where the interface is gone.
    pub(crate) fn bind(&mut self, local: SocketAddr, backlog: &Arc<Backlog>) -> Result<(), BindError> {
        let owner = backlog.owner().in_engine();
        let id = self
            .interface
            .engage(|engine, _, _| engine.tcp_mut().bind(local.ip(), local.port(), owner).map_err(BindError::from))?;
        self.table.backlogs.insert(id, backlog.clone());
        self.table.listeners.insert(backlog.number(), id);
        self.listen(backlog);
        Ok(())
    }

    /// Starts to listen, if the backlog is open.
    pub(crate) fn listen(&mut self, backlog: &Backlog) {
        if let (Some(id), Some(options)) = (self.table.listener(backlog), backlog.options())
            && self.interface.engine().tcp().listener_options(id).is_none()
        {
            let filter = self.notices.name().and_then(|interface| backlog.filter(interface));
            self.interface.tend(|engine, _| {
                engine.tcp_mut().listen(id, backlog.places().clone(), options);
                engine.tcp_mut().set_listener_filter(id, filter);
            });
        }
    }

    /// Sets the options of future connections to those of the backlog.
    pub(crate) fn configure_listener(&mut self, backlog: &Backlog) {
        if let (Some(id), Some(options)) = (self.table.listener(backlog), backlog.options()) {
            let changed = self
                .interface
                .tend(|engine, _| Some(engine.tcp_mut().configure_listener(id, |known| *known = options)));
            debug_assert!(changed.is_none_or(|changed| changed.is_ok()), "a backlog's options are valid");
        }
    }

    /// Ends a listener. Connections that wait to be accepted, and half-open ones, are reset.
    pub(crate) fn unbind(&mut self, backlog: &Backlog) {
        if let Some(id) = self.table.listeners.remove(&backlog.number()) {
            self.interface.engage(|engine, port, now| engine.unbind_tcp(id, now, port));
            // The resets are sent in the turns of the listener's owner, which is looked up in the backlog: so schedule
            // them before the backlog is removed.
            self.schedule();
            self.table.backlogs.remove(&id);
        }
        if let Some(stack) = self.notices.stack() {
            backlog.announce(&stack, false, &mut self.notices.wakes);
        }
    }

    /// Takes this stack's oldest connection that waits to be accepted. `None` if there is none or the interface was
    /// unmounted. Taking and opening the connection are one step under the stack's lock, because in between the peer
    /// could end it.
    pub(crate) fn accept(&mut self, backlog: &Backlog) -> Option<(FlowId, Tuple)> {
        let id = self.table.listener(backlog)?;
        let accepted = self.interface.tend(|engine, _| engine.tcp_mut().accept(id));
        let more = !self.interface.is_gone() && self.interface.engine().tcp().is_acceptable(id);
        if let Some(stack) = self.notices.stack() {
            backlog.announce(&stack, more, &mut self.notices.wakes);
        }
        let accepted = accepted?;
        if self.interface.is_gone() {
            self.interface.tend(|engine, _| engine.tcp_mut().forget(accepted.id));
            return None;
        }
        self.table.flows.get_or_insert_with(accepted.id.0, || Flow::new(backlog.owner().clone()));
        if let Some(counters) = backlog.owner().counters() {
            counters.accepted.add(1);
        }
        Some((accepted.id, Tuple::new(accepted.local, accepted.remote)))
    }

    /// Checks whether an operation on a connection may go on. The operations below do not check this themselves.
    ///
    /// # Errors
    /// [`NetworkDown`] where the interface is gone, or is down and the connection's owner does not wait for it.
    pub(crate) fn check_usable(&self, on_outage: OnOutage) -> Result<(), NetworkDown> {
        self.interface.check_usable(on_outage)
    }

    /// Whether a read or a write would succeed or fail without waiting.
    pub(crate) fn ready(&mut self, id: FlowId, interest: Interest) -> bool {
        match interest {
            Interest::Read => self.interface.engage(|engine, _, _| engine.tcp_mut().is_readable(id)),
            Interest::Write => self.interface.engage(|engine, _, _| engine.tcp_mut().is_writable(id)),
        }
    }

    /// Whether all written data was acknowledged, and if `closed` the FIN too. If not, data that is held back is sent
    /// now, and `waker` is woken when it may be acknowledged.
    ///
    /// # Errors
    /// The cause, if the connection ended before.
    pub(crate) fn flushed(&mut self, id: FlowId, closed: bool, waker: &Waker) -> Result<bool, WriteError> {
        let flushed = self.interface.engine().tcp().is_flushed(id, closed)?;
        if !flushed {
            self.interface.engage(|engine, _, now| engine.tcp_mut().flush(id, now));
            self.wait(id, Interest::Write, waker);
        }
        Ok(flushed)
    }

    /// The cause why a connection has failed, or the reason why it is not usable.
    #[cfg(feature = "gateway")]
    pub(crate) fn failure(&self, id: FlowId, on_outage: OnOutage) -> Option<WriteError> {
        if let Err(error) = self.check_usable(on_outage) {
            return Some(error.into());
        }
        // The engine was replaced after it had panicked.
        if self.tuple_of(id).is_none() {
            return Some(WriteError::ConnectionAborted);
        }
        self.interface.engine().tcp().is_flushed(id, false).err().map(WriteError::from)
    }

    /// Registers `waker`, to be woken at the next event in a direction.
    pub(crate) fn wait(&mut self, id: FlowId, interest: Interest, waker: &Waker) {
        if let Some(flow) = self.table.flows.get_mut(id.0) {
            match interest {
                Interest::Read => flow.readers.register(waker),
                Interest::Write => flow.writers.register(waker),
            }
        }
    }

    /// Ends the sending half: a FIN follows the written data.
    ///
    /// # Errors
    /// The cause, if the connection ended before.
    pub(crate) fn shutdown_write(&mut self, id: FlowId) -> Result<(), WriteError> {
        self.interface.tend(|engine, now| engine.tcp_mut().shutdown_write(id, now).map_err(WriteError::from))
    }

    /// Ends the receiving half: reads return the end of the stream from now on, and data that arrives is discarded.
    pub(crate) fn shutdown_read(&mut self, id: FlowId) {
        self.interface.tend(|engine, now| engine.tcp_mut().shutdown_read(id, now));
    }

    /// The owner of a connection; `None` once the connection has ended.
    pub(crate) fn owner_of(&mut self, id: FlowId) -> Option<Owner> {
        self.table.flows.get_mut(id.0).map(|flow| flow.owner.clone())
    }

    /// Called when the owner drops a connection. If there are unread bytes the connection is reset (RFC 2525 section
    /// 2.17); otherwise the stack closes it in the background, within the linger time.
    pub(crate) fn release(&mut self, id: FlowId) {
        let is_gone = self.interface.is_gone();
        self.interface.tend(|engine, now| match is_gone {
            true => engine.tcp_mut().forget(id),
            false => engine.tcp_mut().release(id, now),
        });
    }

    /// Aborts a connection: the peer is sent a reset, and waiting tasks are woken with the error.
    pub(crate) fn abort(&mut self, id: FlowId) {
        self.interface.tend(|engine, now| engine.tcp_mut().abort(id, Cause::Aborted, now));
    }

    /// Changes options of a connection that may change while it lives.
    ///
    /// # Errors
    /// [`InvalidOption`] for invalid options. Nothing is changed then.
    pub(crate) fn configure(&mut self, id: FlowId, change: impl FnOnce(&mut TcpOptions)) -> Result<(), InvalidOption> {
        let changed = self.interface.tend(|engine, now| Some(engine.tcp_mut().configure(id, change, now)));
        // If the interface is gone there is nothing to set.
        Ok(changed.unwrap_or(Ok(()))?)
    }

    pub(crate) fn options(&self, id: FlowId) -> Option<&Options> {
        self.interface.engine().tcp().options(id)
    }

    pub(crate) fn info(&self, id: FlowId) -> Info {
        self.interface.engine().tcp().info(id)
    }

    pub(crate) fn tuple_of(&self, id: FlowId) -> Option<Tuple> {
        self.interface.engine().tcp().tuple(id)
    }

    /// Whether there is a connection between two ends.
    #[cfg(feature = "gateway")]
    pub(crate) fn has_connection(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        self.interface.engine().tcp().find(&Tuple::new(local, peer)).is_some()
    }

    /// Removes the connections that have no owner, when the interface is unmounted: nothing else would remove them.
    pub(in crate::stack) fn end(&mut self) {
        let engine = self.interface.engine().tcp();
        let orphans: Vec<FlowId> = engine.connections().map(|(id, ..)| id).filter(|id| engine.is_orphan(*id)).collect();
        orphans.into_iter().for_each(|id| self.interface.tend(|engine, _| engine.tcp_mut().forget(id)));
    }
}
