//! What owners of connections and listeners ask of the stack.

use core::net::SocketAddr;
use core::task::Waker;
use core::time::Duration;
use std::sync::Arc;

use xila_network_engine::tcp::{self as engine, Cause, Info, ListenerId, Options, Tuple};

use super::{Flow, FlowId, Operations, Table};
use crate::error::{BindError, ConnectError, InvalidOption, NetworkDown, ReadError, WriteError};
use crate::stack::backlog::Backlog;
use crate::stack::options::TcpOptions;
use crate::stack::owner::Owner;

/// What can be waited for.
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
            // Its interface had to begin anew.
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
        }
    }
}

impl From<engine::ConnectError> for ConnectError {
    fn from(error: engine::ConnectError) -> Self {
        match error {
            engine::ConnectError::AddressInUse => Self::AddressInUse,
            engine::ConnectError::InvalidAddress => Self::InvalidArgument,
            engine::ConnectError::LimitReached => Self::LimitReached,
        }
    }
}

impl Table {
    fn listener(&self, backlog: &Backlog) -> Option<ListenerId> {
        self.listeners.get(&backlog.number()).copied()
    }
}

impl Operations<'_> {
    /// Begins a connection from `local` (port 0: an ephemeral one) to `remote`. `bound` is the caller's own reservation of
    /// that port, if it has one.
    ///
    /// # Errors
    /// [`ConnectError::NetworkDown`]; [`ConnectError::AddressInUse`] where the pair of ends is taken, the port is somebody
    /// else's, or no port is left; [`ConnectError::InvalidArgument`]; [`ConnectError::LimitReached`].
    pub(crate) fn connect(
        &mut self,
        owner: Owner,
        local: SocketAddr,
        remote: SocketAddr,
        bound: Option<&Backlog>,
        timeout: Duration,
        options: TcpOptions,
    ) -> Result<FlowId, ConnectError> {
        self.interface.check_up()?;
        let bound = bound.and_then(|backlog| self.table.listener(backlog));
        let id = self.interface.engage(|engine, _, now| {
            engine.tcp_mut().connect(local, remote, bound, timeout, options, now).map_err(ConnectError::from)
        })?;
        self.table.flows.get_or_insert_with(id.0, || Flow::new(owner));
        Ok(id)
    }

    /// Whether `connect` is over: `None` while it is not.
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
    /// [`BindError::AddressInUse`]; [`BindError::NetworkDown`] where the interface is gone.
    pub(crate) fn bind(&mut self, local: SocketAddr, backlog: &Arc<Backlog>) -> Result<(), BindError> {
        let id = self
            .interface
            .engage(|engine, _, _| engine.tcp_mut().bind(local.ip(), local.port()).map_err(BindError::from))?;
        self.table.backlogs.insert(id, backlog.clone());
        self.table.listeners.insert(backlog.number(), id);
        self.listen(backlog);
        Ok(())
    }

    /// Lets connections come to what is bound.
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

    /// Changes the options of the connections to come to those of the backlog.
    pub(crate) fn configure_listener(&mut self, backlog: &Backlog) {
        if let (Some(id), Some(options)) = (self.table.listener(backlog), backlog.options()) {
            let changed = self
                .interface
                .tend(|engine, _| Some(engine.tcp_mut().configure_listener(id, |known| *known = options)));
            debug_assert!(changed.is_none_or(|changed| changed.is_ok()), "a backlog's options are valid");
        }
    }

    /// Ends a listener: connections that wait, and handshakes under way, are reset.
    pub(crate) fn unbind(&mut self, backlog: &Backlog) {
        if let Some(id) = self.table.listeners.remove(&backlog.number()) {
            self.interface.engage(|engine, port, now| engine.unbind_tcp(id, now, port));
            // The resets are sent in the turns of the listener's owner, whom the backlog tells.
            self.schedule();
            self.table.backlogs.remove(&id);
        }
        if let Some(stack) = self.notices.stack() {
            backlog.announce(&stack, false, &mut self.notices.wakes);
        }
    }

    /// This stack's oldest connection that waits for a listener; none where there is none, be it because its interface
    /// was unmounted. To take and to open are one step under the stack's lock: in between, the peer could end the
    /// connection.
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
        self.table.flows.get_or_insert_with(accepted.id.0, || Flow::new(backlog.owner()));
        Some((accepted.id, Tuple::new(accepted.local, accepted.remote)))
    }

    /// Whether a read, or a write, would not wait.
    ///
    /// # Errors
    /// [`NetworkDown`].
    pub(crate) fn ready(&mut self, id: FlowId, interest: Interest) -> Result<bool, NetworkDown> {
        self.interface.check_up()?;
        Ok(match interest {
            Interest::Read => self.interface.engage(|engine, _, _| engine.tcp_mut().is_readable(id)),
            Interest::Write => self.interface.engage(|engine, _, _| engine.tcp_mut().is_writable(id)),
        })
    }

    /// Whether everything written was acknowledged and, where `closed`, the end of the stream too. Where it was not, it is not
    /// held back, and `waker` is woken when it may be.
    ///
    /// # Errors
    /// Why the connection ended before.
    pub(crate) fn flushed(&mut self, id: FlowId, closed: bool, waker: &Waker) -> Result<bool, WriteError> {
        self.interface.check_up()?;
        let flushed = self.interface.engine().tcp().is_flushed(id, closed)?;
        if !flushed {
            self.interface.engage(|engine, _, now| engine.tcp_mut().flush(id, now));
            self.wait(id, Interest::Write, waker);
        }
        Ok(flushed)
    }

    /// Wakes `waker` at the next event in a direction.
    pub(crate) fn wait(&mut self, id: FlowId, interest: Interest, waker: &Waker) {
        if let Some(flow) = self.table.flows.get_mut(id.0) {
            match interest {
                Interest::Read => flow.readers.register(waker),
                Interest::Write => flow.writers.register(waker),
            }
        }
    }

    /// Ends the sending half: FIN follows what was written.
    ///
    /// # Errors
    /// Why the connection ended before.
    pub(crate) fn shutdown_write(&mut self, id: FlowId) -> Result<(), WriteError> {
        self.interface.tend(|engine, now| engine.tcp_mut().shutdown_write(id, now).map_err(WriteError::from))
    }

    /// Ends the receiving half: reads find the end of the stream from now on, and whatever arrives is thrown away.
    pub(crate) fn shutdown_read(&mut self, id: FlowId) {
        self.interface.tend(|engine, now| engine.tcp_mut().shutdown_read(id, now));
    }

    /// The owner lets go of a connection. Unread bytes mean a reset (RFC 2525 section 2.17); otherwise the stack sees
    /// the connection to its end, within the linger time.
    pub(crate) fn release(&mut self, id: FlowId) {
        let is_gone = self.interface.is_gone();
        self.interface.tend(|engine, now| match is_gone {
            true => engine.tcp_mut().forget(id),
            false => engine.tcp_mut().release(id, now),
        });
    }

    /// Ends a connection at once: the peer is sent a reset, whoever waits learns of it.
    pub(crate) fn abort(&mut self, id: FlowId) {
        self.interface.tend(|engine, now| engine.tcp_mut().abort(id, Cause::Aborted, now));
    }

    /// Applies options that may change while the connection lives.
    ///
    /// # Errors
    /// [`InvalidOption`], and nothing was changed.
    pub(crate) fn configure(&mut self, id: FlowId, change: impl FnOnce(&mut TcpOptions)) -> Result<(), InvalidOption> {
        let changed = self.interface.tend(|engine, now| Some(engine.tcp_mut().configure(id, change, now)));
        // Of an interface that is gone there is nothing to be set.
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

    /// The interface is unmounted: connections that nobody holds have nobody left to end them.
    pub(in crate::stack) fn end(&mut self) {
        let engine = self.interface.engine().tcp();
        let orphans: Vec<FlowId> = engine.connections().map(|(id, ..)| id).filter(|id| engine.is_orphan(*id)).collect();
        orphans.into_iter().for_each(|id| self.interface.tend(|engine, _| engine.tcp_mut().forget(id)));
    }
}
