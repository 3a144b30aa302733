//! `wasi:sockets/tcp` and `wasi:sockets/tcp-create-socket` 0.2.

use std::future::poll_fn;
use std::net::Shutdown;
use std::task::{Context, Poll, Waker, ready};

use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use super::bindings::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use super::bindings::tcp::{Duration, Host, HostTcpSocket, ShutdownType};
use super::bindings::tcp_create_socket;
use super::network::{Network, SocketError};
use super::streams::{Ends, TcpInput, TcpOutput};
use crate::error::{Error, Result};
use crate::wasm::connections::Halves;
use crate::wasm::failure::{get, get_mut, push, push_both};
use crate::wasm::units::nanoseconds;
use crate::wasm::{NetworkCtxView, sockets};

/// The resource of a `tcp-socket` handle: a socket, and the operation in progress on it.
pub struct TcpSocket {
    inner: sockets::TcpSocket,
    begun: Option<Operation>,
    /// The ends of its connection, once its streams were returned.
    ends: Option<Ends>,
}

/// An operation that was started and is not finished.
enum Operation {
    /// The socket is bound; `finish-bind` was not called yet.
    Bind,
    /// The socket is connecting, with the result once a poll has returned it.
    Connect(Option<Result<()>>),
    /// The socket listens; `finish-listen` was not called yet.
    Listen,
}

impl TcpSocket {
    const fn new(inner: sockets::TcpSocket) -> Self {
        Self { inner, begun: None, ends: None }
    }

    /// # Errors
    /// `concurrency-conflict` while an operation is in progress.
    fn check_idle(&self) -> Result<(), SocketError> {
        if self.begun.is_some() { Err(SocketError::Code(ErrorCode::ConcurrencyConflict)) } else { Ok(()) }
    }

    /// Polls a connection attempt, and stores the result.
    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(Operation::Connect(outcome @ None)) = &mut self.begun {
            *outcome = Some(ready!(self.inner.poll_connected(cx)));
        }
        Poll::Ready(())
    }
}

#[wasmtime_wasi_io::async_trait]
impl Pollable for TcpSocket {
    async fn ready(&mut self) {
        poll_fn(|cx| match (&self.begun, self.inner.listener()) {
            (Some(Operation::Connect(_)), _) => self.poll_outcome(cx),
            (None, Some((listener, _))) => listener.socket.poll_accept_ready(cx),
            // No other operation waits.
            (Some(Operation::Bind | Operation::Listen) | None, _) => Poll::Ready(()),
        })
        .await;
    }
}

impl NetworkCtxView<'_> {
    fn tcp(&self, handle: &Resource<TcpSocket>) -> Result<&sockets::TcpSocket, SocketError> {
        Ok(&get(self.table, handle)?.inner)
    }

    fn tcp_mut(&mut self, handle: &Resource<TcpSocket>) -> Result<&mut TcpSocket, SocketError> {
        Ok(get_mut(self.table, handle)?)
    }

    fn push_streams(
        &mut self,
        ends: &Ends,
    ) -> Result<(Resource<DynInputStream>, Resource<DynOutputStream>), SocketError> {
        let input: DynInputStream = Box::new(TcpInput::new(ends));
        let output: DynOutputStream = Box::new(TcpOutput::new(ends));
        push_both(self.table, input, output)
    }
}

impl tcp_create_socket::Host for NetworkCtxView<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> Result<Resource<TcpSocket>, SocketError> {
        let socket = sockets::TcpSocket::create(self.ctx, family.into()).map_err(new_socket)?;
        push(self.table, TcpSocket::new(socket)).map_err(new_socket)
    }
}

impl Host for NetworkCtxView<'_> {}

impl HostTcpSocket for NetworkCtxView<'_> {
    fn start_bind(
        &mut self,
        socket: Resource<TcpSocket>,
        network: Resource<Network>,
        local: IpSocketAddress,
    ) -> Result<(), SocketError> {
        self.check_network(&network)?;
        let socket = self.tcp_mut(&socket)?;
        socket.check_idle()?;
        socket.inner.bind(local.into())?;
        socket.begun = Some(Operation::Bind);
        Ok(())
    }

    fn finish_bind(&mut self, socket: Resource<TcpSocket>) -> Result<(), SocketError> {
        let socket = self.tcp_mut(&socket)?;
        socket.begun.take_if(|begun| matches!(begun, Operation::Bind)).ok_or(NOT_IN_PROGRESS)?;
        Ok(())
    }

    fn start_connect(
        &mut self,
        socket: Resource<TcpSocket>,
        network: Resource<Network>,
        remote: IpSocketAddress,
    ) -> Result<(), SocketError> {
        self.check_network(&network)?;
        let socket = self.tcp_mut(&socket)?;
        socket.check_idle()?;
        socket.inner.start_connect(remote.into())?;
        socket.begun = Some(Operation::Connect(None));
        Ok(())
    }

    fn finish_connect(
        &mut self,
        handle: Resource<TcpSocket>,
    ) -> Result<(Resource<DynInputStream>, Resource<DynOutputStream>), SocketError> {
        let socket = self.tcp_mut(&handle)?;
        let Some(Operation::Connect(_)) = socket.begun else { return Err(NOT_IN_PROGRESS) };
        if socket.poll_outcome(&mut Context::from_waker(Waker::noop())).is_pending() {
            return Err(SocketError::Code(ErrorCode::WouldBlock));
        }
        let Some(Operation::Connect(Some(outcome))) = socket.begun.take() else { return Err(NOT_IN_PROGRESS) };
        outcome?;
        let connection = &socket.inner.halves()?.connection;
        let ends = socket.ends.get_or_insert_with(|| Ends::new(connection.clone())).clone();
        let streams = self.push_streams(&ends);
        if streams.is_err() {
            // The table is full. The streams are not lost: the operation can be finished later.
            self.tcp_mut(&handle)?.begun = Some(Operation::Connect(Some(Ok(()))));
        }
        streams
    }

    fn start_listen(&mut self, socket: Resource<TcpSocket>) -> Result<(), SocketError> {
        let socket = self.tcp_mut(&socket)?;
        socket.check_idle()?;
        // WASI 0.3 binds an unbound socket here; 0.2 does not.
        if !socket.inner.is_bound() {
            return Err(Error::InvalidState.into());
        }
        socket.inner.listen()?;
        socket.begun = Some(Operation::Listen);
        Ok(())
    }

    fn finish_listen(&mut self, socket: Resource<TcpSocket>) -> Result<(), SocketError> {
        let socket = self.tcp_mut(&socket)?;
        socket.begun.take_if(|begun| matches!(begun, Operation::Listen)).ok_or(NOT_IN_PROGRESS)?;
        Ok(())
    }

    fn accept(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> Result<(Resource<TcpSocket>, Resource<DynInputStream>, Resource<DynOutputStream>), SocketError> {
        let listening = self.tcp_mut(&socket)?;
        let idle = listening.begun.is_none();
        let (listener, settings) = listening.inner.listener().filter(|_| idle).ok_or(Error::InvalidState)?;
        let (listener, settings) = (listener.clone(), settings.clone());
        // The resources are the socket and its two streams.
        let accepted = match listener.poll_accept(&mut Context::from_waker(Waker::noop()), self.table, 3) {
            Poll::Pending => return Err(SocketError::Code(ErrorCode::WouldBlock)),
            Poll::Ready(accepted) => accepted.map_err(new_socket)?,
        };
        let mut accepted = TcpSocket::new(sockets::TcpSocket::accepted(accepted, &settings));
        let ends = Ends::new(accepted.inner.halves()?.connection.clone());
        accepted.ends = Some(ends.clone());
        let socket = push(self.table, accepted)?;
        let (input, output) = self.push_streams(&ends)?;
        Ok((socket, input, output))
    }

    fn local_address(&mut self, socket: Resource<TcpSocket>) -> Result<IpSocketAddress, SocketError> {
        let socket = get(self.table, &socket)?;
        // The socket is bound, but `finish-bind` was not called yet.
        if matches!(socket.begun, Some(Operation::Bind)) {
            return Err(Error::InvalidState.into());
        }
        Ok(socket.inner.local_address()?.into())
    }

    fn remote_address(&mut self, socket: Resource<TcpSocket>) -> Result<IpSocketAddress, SocketError> {
        let socket = get(self.table, &socket)?;
        // The socket may be connected, but `finish-connect` was not called yet.
        if socket.begun.is_some() {
            return Err(Error::InvalidState.into());
        }
        Ok(socket.inner.remote_address()?.into())
    }

    fn is_listening(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        let socket = get(self.table, &socket)?;
        Ok(socket.begun.is_none() && socket.inner.listener().is_some())
    }

    fn address_family(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(get(self.table, &socket)?.inner.family().into())
    }

    fn set_listen_backlog_size(&mut self, socket: Resource<TcpSocket>, value: u64) -> Result<(), SocketError> {
        Ok(self.tcp_mut(&socket)?.inner.set_backlog(value)?)
    }

    fn keep_alive_enabled(&mut self, socket: Resource<TcpSocket>) -> Result<bool, SocketError> {
        Ok(self.tcp(&socket)?.keep_alive_enabled()?)
    }

    fn set_keep_alive_enabled(&mut self, socket: Resource<TcpSocket>, value: bool) -> Result<(), SocketError> {
        Ok(self.tcp(&socket)?.set_keep_alive_enabled(value)?)
    }

    fn keep_alive_idle_time(&mut self, socket: Resource<TcpSocket>) -> Result<Duration, SocketError> {
        Ok(nanoseconds(self.tcp(&socket)?.keep_alive()?.idle))
    }

    fn set_keep_alive_idle_time(&mut self, socket: Resource<TcpSocket>, value: Duration) -> Result<(), SocketError> {
        Ok(self.tcp(&socket)?.set_keep_alive_idle(value)?)
    }

    fn keep_alive_interval(&mut self, socket: Resource<TcpSocket>) -> Result<Duration, SocketError> {
        Ok(nanoseconds(self.tcp(&socket)?.keep_alive()?.interval))
    }

    fn set_keep_alive_interval(&mut self, socket: Resource<TcpSocket>, value: Duration) -> Result<(), SocketError> {
        Ok(self.tcp(&socket)?.set_keep_alive_interval(value)?)
    }

    fn keep_alive_count(&mut self, socket: Resource<TcpSocket>) -> Result<u32, SocketError> {
        Ok(self.tcp(&socket)?.keep_alive()?.count)
    }

    fn set_keep_alive_count(&mut self, socket: Resource<TcpSocket>, value: u32) -> Result<(), SocketError> {
        Ok(self.tcp(&socket)?.set_keep_alive_count(value)?)
    }

    fn hop_limit(&mut self, socket: Resource<TcpSocket>) -> Result<u8, SocketError> {
        Ok(self.tcp(&socket)?.hop_limit()?)
    }

    fn set_hop_limit(&mut self, socket: Resource<TcpSocket>, value: u8) -> Result<(), SocketError> {
        Ok(self.tcp(&socket)?.set_hop_limit(value)?)
    }

    fn receive_buffer_size(&mut self, socket: Resource<TcpSocket>) -> Result<u64, SocketError> {
        Ok(self.tcp(&socket)?.receive_buffer()?)
    }

    fn set_receive_buffer_size(&mut self, socket: Resource<TcpSocket>, value: u64) -> Result<(), SocketError> {
        Ok(self.tcp(&socket)?.set_receive_buffer(value)?)
    }

    fn send_buffer_size(&mut self, socket: Resource<TcpSocket>) -> Result<u64, SocketError> {
        Ok(self.tcp(&socket)?.send_buffer()?)
    }

    fn set_send_buffer_size(&mut self, socket: Resource<TcpSocket>, value: u64) -> Result<(), SocketError> {
        Ok(self.tcp(&socket)?.set_send_buffer(value)?)
    }

    fn subscribe(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, socket)
    }

    fn shutdown(&mut self, socket: Resource<TcpSocket>, how: ShutdownType) -> Result<(), SocketError> {
        let socket = self.tcp_mut(&socket)?;
        // As for `remote_address`.
        if socket.begun.is_some() {
            return Err(Error::InvalidState.into());
        }
        let Halves { connection, .. } = socket.inner.halves()?;
        // If the connection has failed there is nothing left to close, and its streams return the cause.
        let _ = connection.stream.shutdown(how.into());
        Ok(())
    }

    fn drop(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
        self.table.delete(socket)?;
        Ok(())
    }
}

const NOT_IN_PROGRESS: SocketError = SocketError::Code(ErrorCode::NotInProgress);

/// Converts the error of making a socket: a limit that is reached is reported as `new-socket-limit`.
pub(super) fn new_socket(error: Error) -> SocketError {
    SocketError::Code(match error {
        Error::LimitReached => ErrorCode::NewSocketLimit,
        other => other.into(),
    })
}

impl From<ShutdownType> for Shutdown {
    fn from(how: ShutdownType) -> Self {
        match how {
            ShutdownType::Receive => Self::Read,
            ShutdownType::Send => Self::Write,
            ShutdownType::Both => Self::Both,
        }
    }
}
