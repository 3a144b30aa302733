//! Connections and listeners that are charged to a guest's quota.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use wasmtime::component::ResourceTable;
use xila_network_engine::buffer::RESERVED;

use super::failure::has_room;
use crate::error::{Error, Result};
use crate::policy::{Charge, Quota, SocketKind};
use crate::socket::{ListenOptions, OnOutage, TcpListener, TcpSocket, TcpStream};

/// A connection of a guest, with its charge to the guest's quota. The handle and both streams share it, and it is
/// closed when all of them are dropped.
///
/// The stack charges the contents of its queues to the [budget](crate::socket::TcpOptions::budget) that the connection
/// was made with until the connection has ended, which may be later.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) _charge: Charge,
}

/// The memory that is reserved for a connection, in bytes: that of its two queues.
const LEAST: usize = 2 * RESERVED;

/// A listener with its charge to the guest's quota.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    quota: Quota,
    _charge: Charge,
}

/// A bound socket that could not be made a listener.
pub(super) struct Refused {
    pub(super) error: Error,
    pub(super) bound: TcpSocket,
    pub(super) charge: Charge,
}

impl Listener {
    /// Makes a bound socket a listener. `on_outage` says what accepting does while no connection can arrive. `charge` is
    /// the charge for the socket.
    ///
    /// # Errors
    /// [`Error::LimitReached`] if the guest has no memory for a single connection, or may have no more listeners; else
    /// as for [`TcpSocket::listen`]. The socket and its charge are returned with the error.
    pub(super) fn new(
        bound: TcpSocket,
        mut options: ListenOptions,
        on_outage: OnOutage,
        quota: Quota,
        mut charge: Charge,
    ) -> Result<Self, Box<Refused>> {
        if quota.memory().left() < LEAST {
            return Err(Box::new(Refused { error: quota.refuse(), bound, charge }));
        }
        if let Err(error) = charge.add_listener() {
            return Err(Box::new(Refused { error, bound, charge }));
        }
        options.backlog = options.backlog.min(most_waiting(&quota));
        options.tcp.budget = Some(quota.memory().clone());
        let mut socket = match bound.try_listen(options) {
            Ok(socket) => socket,
            Err((error, bound)) => {
                charge.remove_listener();
                return Err(Box::new(Refused { error: error.into(), bound, charge }));
            }
        };
        socket.set_on_outage(on_outage);
        Ok(Self { socket, quota, _charge: charge })
    }

    /// Changes the size of the backlog, within the guest's limits.
    ///
    /// # Errors
    /// As for [`TcpListener::set_backlog`].
    pub(super) fn set_backlog(&self, backlog: usize) -> Result<()> {
        Ok(self.socket.set_backlog(backlog.min(most_waiting(&self.quota)))?)
    }

    /// Accepts a connection. If one waits, and the guest may hold no more, or its table has no room for `resources` more,
    /// that is an error, and the connection stays in the backlog. If none waits and the guest has no memory for one, that
    /// is an error too, because none can come.
    pub(super) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
        table: &mut ResourceTable,
        resources: usize,
    ) -> Poll<Result<Connection>> {
        if self.socket.poll_accept_ready(cx).is_ready() {
            let charge = self.quota.charge(SocketKind::Tcp, 0)?;
            if !has_room(table, resources) {
                return Poll::Ready(Err(Error::LimitReached));
            }
            return self.accept_with(cx, charge);
        }
        if self.quota.memory().left() < LEAST { Poll::Ready(Err(self.quota.refuse())) } else { Poll::Pending }
    }

    /// Like [`poll_accept`](Self::poll_accept), but waits until the guest may hold one more connection.
    pub(super) fn poll_accept_within_quota(&self, cx: &mut Context<'_>) -> Poll<Result<Connection>> {
        let charge = ready!(self.quota.poll_charge(SocketKind::Tcp, cx))?;
        self.accept_with(cx, charge)
    }

    /// Ready when [`poll_accept_within_quota`](Self::poll_accept_within_quota) would succeed or fail without waiting.
    pub(super) fn poll_ready_within_quota(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // This only checks the quota, so the charge is released at once.
        drop(ready!(self.quota.poll_charge(SocketKind::Tcp, cx))?);
        self.socket.poll_accept_ready(cx).map(Ok)
    }

    /// Accepts with a charge. If no connection waits, the charge is released by dropping it.
    fn accept_with(&self, cx: &mut Context<'_>, charge: Charge) -> Poll<Result<Connection>> {
        self.socket
            .poll_accept(cx)
            .map_ok(|(stream, _): (TcpStream, SocketAddr)| Connection { stream, _charge: charge })
            .map_err(Error::from)
    }
}

/// The largest backlog of the guest's listeners. A listener needs a backlog of one.
fn most_waiting(quota: &Quota) -> usize {
    quota.limits().backlog.max(1)
}

/// A handle to a connection. Each half can be taken once, and again after it was given back.
pub(super) struct Halves {
    pub(super) connection: Arc<Connection>,
    sending: Arc<AtomicBool>,
    receiving: Arc<AtomicBool>,
}

impl Halves {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection: Arc::new(connection), sending: Arc::default(), receiving: Arc::default() }
    }

    /// The connection for its one sender.
    pub(super) fn take_send(&self) -> Option<Half> {
        self.take(&self.sending)
    }

    /// The connection for its one receiver.
    pub(super) fn take_receive(&self) -> Option<Half> {
        self.take(&self.receiving)
    }

    fn take(&self, taken: &Arc<AtomicBool>) -> Option<Half> {
        let is_free = !taken.swap(true, Ordering::Relaxed);
        is_free.then(|| Half { connection: self.connection.clone(), taken: taken.clone() })
    }
}

/// A half of a connection that was taken.
pub(super) struct Half {
    pub(super) connection: Arc<Connection>,
    taken: Arc<AtomicBool>,
}

impl Half {
    /// Lets the half be taken again, because its stream ends and the connection does not.
    pub(super) fn give_back(&self) {
        self.taken.store(false, Ordering::Relaxed);
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

    /// If a guest drops a connection whose peer does not read, the written data is charged until the stack has closed
    /// the connection.
    #[test]
    fn a_dropped_connection_is_charged_until_it_has_ended() {
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
            let connection = Connection { stream, _charge: quota.charge(SocketKind::Tcp, 0).unwrap() };
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
