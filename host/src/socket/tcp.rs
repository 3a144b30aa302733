//! TCP connections.

mod connecting;
mod options;

use core::fmt;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::{Context, Poll};
use std::net::Shutdown;

use tracing::Level;
#[cfg(feature = "gateway")]
use xila_network_engine::buffer::Slices;
use xila_network_engine::tcp as engine;

pub use self::connecting::{ConnectOptions, Connecting};
pub use self::options::TcpState;
use super::bound::TcpSocket;
use super::network::Network;
use crate::address::{is_unicast, is_v4_mapped};
use crate::error::{ConnectError, InvalidOption, MayBlock, NetworkDown, ReadError, WriteError};
#[cfg(feature = "gateway")]
use crate::platform::Clock;
use crate::policy::Operation;
use crate::stack::Stack;
use crate::stack::backlog::Backlog;
use crate::stack::options::OnOutage;
use crate::stack::owner::{Flow, Owner};
use crate::stack::tcp::FlowId;
use crate::stack::tcp::Operations;
use crate::stack::tcp::operations::Interest;
use crate::stack::tcp::transfer::{gather, share};

/// One TCP connection.
///
/// Every method takes `&self`: two tasks may read and write at once, and several may wait for one direction. Dropping
/// the stream with unread bytes resets the connection; otherwise the stack delivers the written data, within the linger
/// time, and closes the connection gracefully.
pub struct TcpStream {
    stack: Stack,
    flow: FlowId,
    ends: engine::Tuple,
    on_outage: OnOutage,
}

impl TcpStream {
    pub(super) fn new(stack: Stack, flow: FlowId, local: SocketAddr, peer: SocketAddr) -> Self {
        Self { stack, flow, ends: engine::Tuple::new(local, peer), on_outage: OnOutage::default() }
    }

    /// Logs an event of the connection.
    pub(super) fn log(&self, owner: &Owner, event: &'static str) {
        let (local, remote) = (self.ends.local(), Some(self.ends.remote()));
        owner.log(&Flow { protocol: "tcp", interface: Some(self.stack.name()), local, remote }, event);
    }

    /// Connects to `remote` with default options.
    ///
    /// # Errors
    /// As for [`connect_with`](Self::connect_with).
    pub async fn connect(network: &Network, remote: SocketAddr) -> Result<Self, ConnectError> {
        Self::connect_with(network, remote, ConnectOptions::default()).await
    }

    /// Connects to `remote`. Dropping the future cancels the attempt and leaves nothing behind.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect_with(
        network: &Network,
        remote: SocketAddr,
        options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        Self::start(network, remote, options)?.await
    }

    /// Like [`connect_with`](Self::connect_with), but returns when the SYN is sent or queued.
    ///
    /// # Errors
    /// Those of [`connect_with`](Self::connect_with) that do not depend on the peer's answer.
    pub fn start(network: &Network, remote: SocketAddr, options: ConnectOptions) -> Result<Connecting, ConnectError> {
        Self::check(remote, &options)?;
        if let Some(local) = options.local {
            if local.port() != 0 {
                // The same as for a socket that was bound before.
                return TcpSocket::bind(network, local)?.connect(remote, options);
            }
            if !local.ip().is_unspecified() {
                network.check_at(Operation::TcpBind, local)?;
            }
        }
        Ok(Connecting::new(Self::begin(network, remote, options, None)?, None))
    }

    fn check(remote: SocketAddr, options: &ConnectOptions) -> Result<(), ConnectError> {
        options.tcp.validate().map_err(InvalidOption::from)?;
        if options.timeout.is_zero() || remote.port() == 0 || !is_unicast(remote.ip()) || is_v4_mapped(remote.ip()) {
            return Err(ConnectError::InvalidArgument);
        }
        if options.local.is_some_and(|local| local.is_ipv4() != remote.is_ipv4() || is_v4_mapped(local.ip())) {
            return Err(ConnectError::InvalidArgument);
        }
        Ok(())
    }

    /// Starts a connection. If a local port is given, `bound` is the backlog by which the stacks know the socket that is
    /// bound to it.
    pub(super) fn begin(
        network: &Network,
        remote: SocketAddr,
        options: ConnectOptions,
        bound: Option<&Backlog>,
    ) -> Result<Self, ConnectError> {
        Self::check(remote, &options)?;
        let local = options.local.map(|local| local.ip()).filter(|ip| !ip.is_unspecified());
        let route = network.route(local, remote.ip());
        network.check_to(Operation::TcpConnect, route.as_ref().ok(), remote)?;
        let (stack, source) = route?;
        let local = SocketAddr::new(source, options.local.map_or(0, |local| local.port()));
        let begun = stack.with_mut(|core| {
            if core.interface.is_broadcast(remote.ip()) {
                return Err(ConnectError::InvalidArgument);
            }
            let flow = core.tcp().connect(network.owner(), local, remote, bound, options.timeout, options.tcp)?;
            Ok((flow, core.tcp().tuple_of(flow).map_or(local, |tuple| tuple.local())))
        });
        let (flow, local) = begun?;
        let stream = Self::new(stack, flow, local, remote);
        stream.log(network.owner(), "connecting");
        Ok(stream)
    }

    /// Reads into `buffer` and returns the number of bytes. 0 is the end of the stream: the peer has closed its half.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(&self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        poll_fn(|context| self.poll_read(context, buffer)).await
    }

    /// Like [`read`](Self::read), but leaves the bytes in the queue.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub async fn peek(&self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        poll_fn(|context| self.poll(context, Interest::Read, |tcp, flow| tcp.peek(flow, buffer))).await
    }

    /// Writes from `bytes` and returns how many were queued. They are sent at once as far as the peer's window allows.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn write(&self, bytes: &[u8]) -> Result<usize, WriteError> {
        poll_fn(|context| self.poll_write(context, bytes)).await
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// As for [`write`](Self::write); some of the bytes may have been queued.
    pub async fn write_all(&self, mut bytes: &[u8]) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            let count = self.write(bytes).await?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Like [`read`](Self::read), for use in another future.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize, ReadError>> {
        self.poll(context, Interest::Read, |tcp, flow| tcp.read(flow, buffer)).map_ok(|found| found.copy_to(buffer))
    }

    /// Like [`poll_read`](Self::poll_read), but takes at most `most` bytes by reference, without a copy. None are the end
    /// of the stream.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    #[cfg(feature = "gateway")]
    pub(crate) fn poll_read_slices(&self, context: &mut Context<'_>, most: usize) -> Poll<Result<Slices, ReadError>> {
        self.poll(context, Interest::Read, |tcp, flow| tcp.read_slices(flow, most))
    }

    /// Like [`write`](Self::write), for use in another future.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, WriteError>> {
        let shared = share(&self.stack, self.flow, bytes, self.on_outage);
        self.poll(context, Interest::Write, |tcp, flow| tcp.write(flow, bytes, shared.as_deref()))
    }

    /// Ready when a read would succeed or fail without waiting.
    ///
    /// # Errors
    /// [`ReadError::NetworkDown`] while the interface is down. If the connection has ended, the read returns the cause.
    pub fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), ReadError>> {
        self.poll_ready(context, Interest::Read).map_err(ReadError::from)
    }

    /// Ready when a write would succeed or fail without waiting.
    ///
    /// # Errors
    /// [`WriteError::NetworkDown`] while the interface is down. If the connection has ended, the write returns the
    /// cause.
    pub fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.poll_ready(context, Interest::Write).map_err(WriteError::from)
    }

    /// Waits until the peer has acknowledged all written data.
    ///
    /// # Errors
    /// See [`WriteError`]. A sending half that is shut down is not an error.
    pub async fn flush(&self) -> Result<(), WriteError> {
        poll_fn(|context| self.poll_flush(context)).await
    }

    /// Like [`flush`](Self::flush), for use in another future.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush).
    pub fn poll_flush(&self, context: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.poll_flushed(context, false, self.on_outage)
    }

    /// Waits until the peer has acknowledged the FIN, after a shutdown of the sending half.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush).
    pub async fn closed(&self) -> Result<(), WriteError> {
        poll_fn(|context| self.poll_closed(context)).await
    }

    /// Like [`closed`](Self::closed), for use in another future.
    ///
    /// # Errors
    /// As for [`closed`](Self::closed).
    pub fn poll_closed(&self, context: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.poll_flushed(context, true, self.on_outage)
    }

    /// Like [`read`](Self::read), without waiting.
    ///
    /// # Errors
    /// [`ReadError::WouldBlock`] if nothing has arrived; else as for [`read`](Self::read).
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        self.attempt(|tcp| tcp.read(self.flow, buffer)).map(|found| found.copy_to(buffer))
    }

    /// Like [`try_read`](Self::try_read), but leaves the bytes in the queue.
    ///
    /// # Errors
    /// As for [`try_read`](Self::try_read).
    pub fn try_peek(&self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        self.attempt(|tcp| tcp.peek(self.flow, buffer))
    }

    /// Like [`try_read`](Self::try_read), but returns at most `most` bytes in a vector.
    ///
    /// # Errors
    /// As for [`try_read`](Self::try_read).
    pub fn try_read_vec(&self, most: usize) -> Result<Vec<u8>, ReadError> {
        self.attempt(|tcp| tcp.read_slices(self.flow, most)).map(|slices| gather(&slices))
    }

    /// The number of bytes that a write would accept now.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn send_room(&self) -> Result<usize, WriteError> {
        self.promise(usize::MAX)
    }

    /// The number of bytes, up to `most`, that the next write is guaranteed to accept.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub(crate) fn promise(&self, most: usize) -> Result<usize, WriteError> {
        self.stack.ask(|core| {
            let mut tcp = core.tcp();
            tcp.check_usable(self.on_outage)?;
            tcp.promise(self.flow, most)
        })
    }

    /// Like [`write`](Self::write), without waiting.
    ///
    /// # Errors
    /// [`WriteError::WouldBlock`] if there is no room; else as for [`write`](Self::write).
    pub fn try_write(&self, bytes: &[u8]) -> Result<usize, WriteError> {
        let shared = share(&self.stack, self.flow, bytes, self.on_outage);
        self.attempt(|tcp| tcp.write(self.flow, bytes, shared.as_deref()))
    }

    /// Closes one half or both. A FIN follows the written data; reads return the end of the stream at once.
    ///
    /// # Errors
    /// The cause why the connection ended, if it has and the sending half was to be closed.
    pub fn shutdown(&self, how: Shutdown) -> Result<(), WriteError> {
        self.stack.with_mut(|core| {
            if matches!(how, Shutdown::Read | Shutdown::Both) {
                core.tcp().shutdown_read(self.flow);
            }
            if matches!(how, Shutdown::Write | Shutdown::Both) {
                core.tcp().shutdown_write(self.flow)?;
            }
            Ok(())
        })
    }

    /// Aborts the connection with a reset. Operations fail with `ConnectionAborted` from then on.
    pub fn abort(&self) {
        self.stack.with_mut(|core| core.tcp().abort(self.flow));
    }

    /// Ready with the cause once the connection has failed, whatever waits to be read. Else the task is woken at the next
    /// event in a direction, of which the failure is one.
    #[cfg(feature = "gateway")]
    pub(crate) fn poll_failed(&self, context: &mut Context<'_>, direction: Interest) -> Poll<WriteError> {
        self.stack.ask(|core| {
            let mut tcp = core.tcp();
            match tcp.failure(self.flow, self.on_outage) {
                Some(error) => Poll::Ready(error),
                None => {
                    tcp.wait(self.flow, direction, context.waker());
                    Poll::Pending
                }
            }
        })
    }

    /// The clock of the connection's stack.
    #[cfg(feature = "gateway")]
    pub(crate) fn clock(&self) -> &dyn Clock {
        self.stack.clock()
    }

    fn poll<T, E: MayBlock + From<NetworkDown>>(
        &self,
        context: &mut Context<'_>,
        interest: Interest,
        attempt: impl FnOnce(&mut Operations<'_>, FlowId) -> Result<T, E>,
    ) -> Poll<Result<T, E>> {
        let result = self.attempt(|tcp| {
            let result = attempt(tcp, self.flow);
            if result.as_ref().is_err_and(E::would_block) {
                tcp.wait(self.flow, interest, context.waker());
            }
            result
        });
        pending(result)
    }

    /// Attempts an operation, unless the interface is in a state in which operations of this connection fail.
    fn attempt<T, E: From<NetworkDown>>(
        &self,
        operation: impl FnOnce(&mut Operations<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.stack.attempt(|core| {
            let mut tcp = core.tcp();
            tcp.check_usable(self.on_outage)?;
            operation(&mut tcp)
        })
    }

    fn poll_flushed(
        &self,
        context: &mut Context<'_>,
        closed: bool,
        on_outage: OnOutage,
    ) -> Poll<Result<(), WriteError>> {
        let flushed = self.stack.attempt(|core| {
            let mut tcp = core.tcp();
            tcp.check_usable(on_outage)?;
            tcp.flushed(self.flow, closed, context.waker())
        });
        flushed.map_or_else(
            |error| Poll::Ready(Err(error)),
            |flushed| if flushed { Poll::Ready(Ok(())) } else { Poll::Pending },
        )
    }

    fn poll_ready(&self, context: &mut Context<'_>, interest: Interest) -> Poll<Result<(), NetworkDown>> {
        self.stack.ask(|core| {
            let mut tcp = core.tcp();
            tcp.check_usable(self.on_outage)?;
            if !tcp.ready(self.flow, interest) {
                tcp.wait(self.flow, interest, context.waker());
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        })
    }
}

/// Interfaces that are down.
impl TcpStream {
    /// What operations do while the interface of the connection is down. A connection that has lost its local address
    /// has ended, so [`OnOutage::WaitWhileDown`] and [`OnOutage::Wait`] mean the same.
    #[must_use]
    pub const fn on_outage(&self) -> OnOutage {
        self.on_outage
    }

    /// Sets what operations do while the interface of the connection is down. The connection itself is not affected by
    /// that: it continues when the interface is up again.
    pub const fn set_on_outage(&mut self, on_outage: OnOutage) {
        self.on_outage = on_outage;
    }

    /// Like [`poll_closed`](Self::poll_closed), but waits while the interface is down, whatever
    /// [`on_outage`](Self::on_outage) says.
    ///
    /// # Errors
    /// As for [`closed`](Self::closed); [`WriteError::NetworkDown`] only once the interface is unmounted.
    pub fn poll_closed_patiently(&self, context: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.poll_flushed(context, true, OnOutage::WaitWhileDown)
    }
}

/// Converts an error that would block to `Pending`.
pub(super) fn pending<T, E: MayBlock>(result: Result<T, E>) -> Poll<Result<T, E>> {
    match result {
        Err(error) if error.would_block() => Poll::Pending,
        result => Poll::Ready(result),
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        let is_logged = tracing::enabled!(Level::DEBUG);
        let owner = self.stack.with_mut(|core| {
            let owner = is_logged.then(|| core.tcp().owner_of(self.flow)).flatten();
            core.tcp().release(self.flow);
            owner
        });
        if let Some(owner) = owner {
            self.log(&owner, "dropped");
        }
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TcpStream")
            .field("local", &self.ends.local())
            .field("peer", &self.ends.remote())
            .finish_non_exhaustive()
    }
}
