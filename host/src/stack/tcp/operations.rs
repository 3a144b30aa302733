//! What owners of connections and listeners ask of the stack.

use core::net::SocketAddr;
use core::task::Waker;
use core::time::Duration;
use std::sync::Arc;

use xila_network_engine::tcp::{self as engine, Cause, Info, ListenerId, Options, Tuple};

use super::{Flow, FlowId, Table};
use crate::error::{BindError, ConnectError, InvalidOption, NetworkDown, ReadError, WriteError};
use crate::stack::Core;
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

impl Core {
    /// Begins a connection from `local` (port 0: an ephemeral one) to `remote`. `bound` is the caller's own reservation of
    /// that port, if it has one.
    ///
    /// # Errors
    /// [`ConnectError::NetworkDown`]; [`ConnectError::AddressInUse`] where the pair of ends is taken, the port is somebody
    /// else's, or no port is left; [`ConnectError::InvalidArgument`]; [`ConnectError::LimitReached`].
    pub(crate) fn tcp_connect(
        &mut self,
        owner: Owner,
        local: SocketAddr,
        remote: SocketAddr,
        bound: Option<&Backlog>,
        timeout: Duration,
        options: TcpOptions,
    ) -> Result<FlowId, ConnectError> {
        self.check_up()?;
        let bound = bound.and_then(|backlog| self.tcp.listener(backlog));
        let id = self.engage(|engine, _, now| {
            engine.tcp_mut().connect(local, remote, bound, timeout, options, now).map_err(ConnectError::from)
        })?;
        self.tcp.flows.get_or_insert_with(id.0, || Flow::new(owner));
        self.tell();
        Ok(id)
    }

    /// Whether `connect` is over: `None` while it is not.
    pub(crate) fn tcp_connected(&mut self, id: FlowId, waker: &Waker) -> Option<Result<(), ConnectError>> {
        if let Err(error) = self.check_up() {
            return Some(Err(error.into()));
        }
        let connected = self.engine.tcp_mut().is_connected(id);
        if connected.is_none() {
            self.tcp_wait(id, Interest::Write, waker);
        }
        connected.map(|connected| connected.map_err(ConnectError::from))
    }

    /// # Errors
    /// [`BindError::AddressInUse`]; [`BindError::NetworkDown`] where the interface is gone.
    pub(crate) fn tcp_bind(&mut self, local: SocketAddr, backlog: &Arc<Backlog>) -> Result<(), BindError> {
        let id =
            self.engage(|engine, _, _| engine.tcp_mut().bind(local.ip(), local.port()).map_err(BindError::from))?;
        self.tcp.backlogs.insert(id, backlog.clone());
        self.tcp.listeners.insert(backlog.number(), id);
        self.tcp_listen(backlog);
        Ok(())
    }

    /// Lets connections come to what is bound.
    pub(crate) fn tcp_listen(&mut self, backlog: &Backlog) {
        if let (Some(id), Some(options)) = (self.tcp.listener(backlog), backlog.options())
            && self.engine.tcp().listener_options(id).is_none()
        {
            self.engine.tcp_mut().listen(id, backlog.places().clone(), options);
        }
    }

    /// Changes the options of the connections to come to those of the backlog.
    pub(crate) fn tcp_configure_listener(&mut self, backlog: &Backlog) {
        if let (Some(id), Some(options)) = (self.tcp.listener(backlog), backlog.options()) {
            let changed = self.engine.tcp_mut().configure_listener(id, |known| *known = options);
            debug_assert!(changed.is_ok(), "a backlog's options are valid");
        }
    }

    /// Ends a listener: connections that wait, and handshakes under way, are reset.
    pub(crate) fn tcp_unbind(&mut self, backlog: &Backlog) {
        if let Some(id) = self.tcp.listeners.remove(&backlog.number()) {
            self.engage(|engine, port, now| engine.unbind_tcp(id, now, port));
            self.tell();
            self.tcp.backlogs.remove(&id);
        }
        if let Some(stack) = self.handle() {
            backlog.announce(&stack, false, &mut self.wakes);
        }
    }

    /// This stack's oldest connection that waits for a listener; none where there is none, be it because its interface
    /// was unmounted. To take and to open are one step under the stack's lock: in between, the peer could end the
    /// connection.
    pub(crate) fn tcp_accept(&mut self, backlog: &Backlog) -> Option<(FlowId, Tuple)> {
        let id = self.tcp.listener(backlog)?;
        let accepted = self.engine.tcp_mut().accept(id);
        let more = self.port.is_some() && self.engine.tcp_mut().is_acceptable(id);
        if let Some(stack) = self.handle() {
            backlog.announce(&stack, more, &mut self.wakes);
        }
        let accepted = accepted?;
        if self.port.is_none() {
            self.engine.tcp_mut().forget(accepted.id);
            self.tell();
            return None;
        }
        self.tcp.flows.get_or_insert_with(accepted.id.0, || Flow::new(backlog.owner()));
        Some((accepted.id, Tuple::new(accepted.local, accepted.remote)))
    }

    /// Whether a read, or a write, would not wait.
    ///
    /// # Errors
    /// [`NetworkDown`].
    pub(crate) fn tcp_ready(&mut self, id: FlowId, interest: Interest) -> Result<bool, NetworkDown> {
        self.check_up()?;
        Ok(match interest {
            Interest::Read => self.engine.tcp_mut().is_readable(id),
            Interest::Write => self.engine.tcp_mut().is_writable(id),
        })
    }

    /// Whether everything written was acknowledged and, where `closed`, the end of the stream too. Where it was not, it is not
    /// held back, and `waker` is woken when it may be.
    ///
    /// # Errors
    /// Why the connection ended before.
    pub(crate) fn tcp_flushed(&mut self, id: FlowId, closed: bool, waker: &Waker) -> Result<bool, WriteError> {
        self.check_up()?;
        let flushed = self.engine.tcp_mut().is_flushed(id, closed)?;
        if !flushed {
            self.engine.tcp_mut().flush(id, self.now);
            self.tell();
            self.tcp_wait(id, Interest::Write, waker);
        }
        Ok(flushed)
    }

    /// Wakes `waker` at the next event in a direction.
    pub(crate) fn tcp_wait(&mut self, id: FlowId, interest: Interest, waker: &Waker) {
        if let Some(flow) = self.tcp.flows.get_mut(id.0) {
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
    pub(crate) fn tcp_shutdown_write(&mut self, id: FlowId) -> Result<(), WriteError> {
        self.engine.tcp_mut().shutdown_write(id, self.now)?;
        self.tell();
        Ok(())
    }

    /// Ends the receiving half: reads find the end of the stream from now on, and whatever arrives is thrown away.
    pub(crate) fn tcp_shutdown_read(&mut self, id: FlowId) {
        self.engine.tcp_mut().shutdown_read(id, self.now);
        self.tell();
    }

    /// The owner lets go of a connection. Unread bytes mean a reset (RFC 2525 section 2.17); otherwise the stack sees
    /// the connection to its end, within the linger time.
    pub(crate) fn tcp_release(&mut self, id: FlowId) {
        if self.port.is_none() {
            self.engine.tcp_mut().forget(id);
        } else {
            self.engine.tcp_mut().release(id, self.now);
        }
        self.tell();
    }

    /// Ends a connection at once: the peer is sent a reset, whoever waits learns of it.
    pub(crate) fn tcp_abort(&mut self, id: FlowId) {
        self.engine.tcp_mut().abort(id, Cause::Aborted, self.now);
        self.tell();
    }

    /// Applies options that may change while the connection lives.
    ///
    /// # Errors
    /// [`InvalidOption`], and nothing was changed.
    pub(crate) fn tcp_configure(
        &mut self,
        id: FlowId,
        change: impl FnOnce(&mut TcpOptions),
    ) -> Result<(), InvalidOption> {
        let now = self.now;
        self.engine.tcp_mut().configure(id, change, now)?;
        self.tell();
        Ok(())
    }

    pub(crate) fn tcp_options(&self, id: FlowId) -> Option<&Options> {
        self.engine.tcp().options(id)
    }

    pub(crate) fn tcp_info(&self, id: FlowId) -> Info {
        self.engine.tcp().info(id)
    }

    pub(crate) fn tcp_tuple_of(&self, id: FlowId) -> Option<Tuple> {
        self.engine.tcp().tuple(id)
    }
}
