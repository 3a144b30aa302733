//! Connections and listeners with their places in a guest's quota.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use xila_network_engine::buffer::RESERVED;

use crate::error::{Error, Result};
use crate::policy::{Charge, Quota};
use crate::socket::{ListenOptions, TcpListener, TcpSocket, TcpStream};

/// A connection of a guest's, with its place in the guest's quota. The handle and both streams share it: it is closed when all
/// of them are gone.
///
/// What its queues hold is charged by the stack to the [budget](crate::socket::TcpOptions::budget) that it was made with, until
/// it is over: that may be later.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) _charge: Charge,
}

/// What a connection has of its guest's memory for certain: its two queues.
const LEAST: usize = 2 * RESERVED;

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
    /// [`Error::LimitReached`] where the guest has no memory for a single connection; else as [`TcpSocket::listen`].
    pub(super) fn new(bound: TcpSocket, mut options: ListenOptions, quota: Quota, charge: Charge) -> Result<Self> {
        if quota.memory().left() < LEAST {
            return Err(Error::LimitReached);
        }
        options.tcp.budget = Some(quota.memory().clone());
        Ok(Self { socket: bound.listen(options)?, quota, _charge: charge })
    }

    /// Takes a connection if the guest may hold one more; else it stays in the backlog. Where none is there, and the guest has
    /// no memory for one, that is an error too.
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<Connection>> {
        let accepted = self.accept_with(cx, self.quota.charge(0)?);
        if accepted.is_pending() && self.quota.memory().left() < LEAST {
            return Poll::Ready(Err(Error::LimitReached));
        }
        accepted
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
        self.socket
            .poll_accept(cx)
            .map_ok(|(stream, _): (TcpStream, SocketAddr)| Connection { stream, _charge: charge })
            .map_err(Error::from)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Manager;
    use crate::platform::simulated::Simulation;
    use crate::policy::{Limits, Usage};
    use crate::socket::{ConnectOptions, TcpOptions};

    const BYTES: usize = 1 << 20;

    /// A guest that drops a connection whose peer does not read still holds what it wrote, until the stack has seen the
    /// connection to its end.
    #[test]
    fn a_connection_that_was_dropped_counts_until_it_is_over() {
        let simulation = Simulation::new(1);
        let manager = Manager::new(simulation.platform());
        let network = manager.network();
        let limits = Limits { sockets: 1, buffer_bytes: 3 << 20, ..Limits::default() };
        let quota = Quota::new(limits);
        let listener = TcpListener::bind(&network, "127.0.0.1:80".parse().unwrap(), ListenOptions::default()).unwrap();
        let tcp = TcpOptions {
            send_buffer: BYTES,
            linger: Duration::from_secs(20),
            budget: Some(quota.memory().clone()),
            ..TcpOptions::default()
        };
        let server = simulation.block_on(async {
            let connect = ConnectOptions { tcp, ..ConnectOptions::default() };
            let stream = TcpStream::connect_with(&network, "127.0.0.1:80".parse().unwrap(), connect).await.unwrap();
            let connection = Connection { stream, _charge: quota.charge(0).unwrap() };
            let (server, _) = listener.accept().await.unwrap();
            let written = connection.stream.write(&vec![7; 2 * BYTES]).await.unwrap();
            assert!(written >= BYTES / 2, "{written}");
            drop(connection);
            server
        });
        let held = quota.usage();
        assert!(held.sockets == 0 && held.buffer_bytes > BYTES / 2, "{held:?}");
        simulation.block_on(simulation.sleep(Duration::from_secs(21)));
        assert_eq!(quota.usage(), Usage::default(), "the linger time is over, and the peer was sent a reset");
        drop(server);
    }
}
