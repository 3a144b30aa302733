//! Connections and listeners with their places in a guest's quota.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;

use crate::error::Result;
use crate::policy::{Charge, Quota};
use crate::socket::{ListenOptions, TcpListener, TcpOptions, TcpSocket, TcpStream};
use crate::stack::options::MOST_BUFFER;

/// A connection with its place in the guest's quota. The handle and both streams share it: it is closed when all of
/// them are gone.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) _charge: Charge,
}

/// A listener with its place in the guest's quota, and what each connection will take of it.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    quota: Quota,
    /// The bytes that one connection counts for, and those of them that one in the backlog may fill.
    connection_bytes: usize,
    waiting_bytes: usize,
    charge: Mutex<Charge>,
}

impl Listener {
    /// Makes a bound socket a listener. The `charge` for a socket grows by what may wait in the backlog, which is cut down
    /// to what the guest's limits allow.
    ///
    /// # Errors
    /// [`Error::LimitReached`](crate::error::Error::LimitReached); else as [`TcpSocket::listen`].
    pub(super) fn new(bound: TcpSocket, mut options: ListenOptions, quota: Quota, mut charge: Charge) -> Result<Self> {
        // What fills up before the guest accepts it is the guest's too.
        let waiting_bytes = options.tcp.receive_buffer.min(MOST_BUFFER);
        options.backlog = options.backlog.min(quota.limits().backlog(waiting_bytes));
        charge.resize(waiting_bytes.saturating_mul(options.backlog))?;
        let connection_bytes = buffer_bytes(&options.tcp);
        let socket = bound.listen(options)?;
        Ok(Self { socket, quota, connection_bytes, waiting_bytes, charge: Mutex::new(charge) })
    }

    /// Sets the backlog, cut down as in [`new`](Self::new).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::error::Error::InvalidArgument) for 0;
    /// [`Error::LimitReached`](crate::error::Error::LimitReached).
    pub(super) fn set_backlog(&self, backlog: usize) -> Result<()> {
        let backlog = backlog.min(self.quota.limits().backlog(self.waiting_bytes));
        // Connections that wait stay, and what they hold is not given back before the listener is.
        self.charge.lock().grow(self.waiting_bytes.saturating_mul(backlog))?;
        self.socket.set_backlog(backlog)
    }

    /// Takes a connection if the guest may hold one more; else it stays in the backlog.
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<Connection>> {
        self.accept_with(cx, self.quota.charge(self.connection_bytes)?)
    }

    /// As [`poll_accept`](Self::poll_accept), but waits until the guest may.
    pub(super) fn poll_accept_within_quota(&self, cx: &mut Context<'_>) -> Poll<Result<Connection>> {
        let charge = ready!(self.quota.poll_charge(cx, self.connection_bytes))?;
        self.accept_with(cx, charge)
    }

    /// Ready when [`poll_accept_within_quota`](Self::poll_accept_within_quota) would not wait, be it for an error.
    pub(super) fn poll_ready_within_quota(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // Only looked at: it is given back at once.
        drop(ready!(self.quota.poll_charge(cx, self.connection_bytes))?);
        self.socket.poll_accept_ready(cx).map(Ok)
    }

    /// Waiting holds nothing: a charge for a connection that is not there is given back.
    fn accept_with(&self, cx: &mut Context<'_>, charge: Charge) -> Poll<Result<Connection>> {
        self.socket
            .poll_accept(cx)
            .map_ok(|(stream, _): (TcpStream, SocketAddr)| Connection { stream, _charge: charge })
    }
}

/// The buffer bytes that one connection counts for.
pub(super) fn buffer_bytes(options: &TcpOptions) -> usize {
    options.receive_buffer.min(MOST_BUFFER) + options.send_buffer.min(MOST_BUFFER)
}

/// A handle to a connection, whose halves are each given out once.
pub(super) struct Halves {
    pub(super) connection: Arc<Connection>,
    sending: bool,
    receiving: bool,
}

impl Halves {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection: Arc::new(connection), sending: false, receiving: false }
    }

    /// The connection for its one sender.
    pub(super) fn take_send(&mut self) -> Option<Arc<Connection>> {
        (!std::mem::replace(&mut self.sending, true)).then(|| self.connection.clone())
    }

    /// The connection for its one receiver.
    pub(super) fn take_receive(&mut self) -> Option<Arc<Connection>> {
        (!std::mem::replace(&mut self.receiving, true)).then(|| self.connection.clone())
    }
}
