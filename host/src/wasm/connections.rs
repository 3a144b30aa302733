//! Connections and listeners with their places in a guest's quota.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::error::Result;
use crate::policy::{Charge, Quota};
use crate::socket::{ListenOptions, TcpListener, TcpSocket, TcpStream};

/// A connection of a guest's, with its place in the guest's quota. The handle and both streams share it: it is closed when all
/// of them are gone.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
}

impl Connection {
    /// The connection keeps the charge until it is over, which may be later than that it is let go of.
    pub(super) fn new(stream: TcpStream, charge: Charge) -> Self {
        Self { stream: stream.charged(charge) }
    }
}

/// A listener with its place in the guest's quota.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    quota: Quota,
    _charge: Charge,
}

impl Listener {
    /// Makes a bound socket a listener, with the `charge` for a socket.
    ///
    /// # Errors
    /// As [`TcpSocket::listen`].
    pub(super) fn new(bound: TcpSocket, mut options: ListenOptions, quota: Quota, charge: Charge) -> Result<Self> {
        options.tcp.budget = Some(quota.memory().clone());
        Ok(Self { socket: bound.listen(options)?, quota, _charge: charge })
    }

    /// Takes a connection if the guest may hold one more; else it stays in the backlog.
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<Connection>> {
        self.accept_with(cx, self.quota.charge(0)?)
    }

    /// As [`poll_accept`](Self::poll_accept), but waits until the guest may.
    pub(super) fn poll_accept_within_quota(&self, cx: &mut Context<'_>) -> Poll<Result<Connection>> {
        let charge = ready!(self.quota.poll_charge(cx))?;
        self.accept_with(cx, charge)
    }

    /// Ready when [`poll_accept_within_quota`](Self::poll_accept_within_quota) would not wait, be it for an error.
    pub(super) fn poll_ready_within_quota(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // Only looked at: it is given back at once.
        drop(ready!(self.quota.poll_charge(cx))?);
        self.socket.poll_accept_ready(cx).map(Ok)
    }

    /// Waiting holds nothing: a charge for a connection that is not there is given back.
    fn accept_with(&self, cx: &mut Context<'_>, charge: Charge) -> Poll<Result<Connection>> {
        self.socket.poll_accept(cx).map_ok(|(stream, _): (TcpStream, SocketAddr)| Connection::new(stream, charge))
    }
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
