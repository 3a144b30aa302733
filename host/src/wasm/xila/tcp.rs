//! `xila:network/tcp`.

use std::future::{self, Ready, poll_fn};
use std::iter;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};

use super::convert::{duration, nanoseconds, size};
use super::types::{NetworkError, get, push};
use crate::error::{Error, Result};
use crate::socket::{self, ConnectOptions, ListenOptions, TcpOptions, TcpState, TcpStream, receive_capacity};
use crate::stack::options::MOST_BUFFER;
use crate::wasm::bindings::tcp::{
    Host, HostTcpConnection, HostTcpConnectionWithStore, HostTcpListener, HostTcpListenerWithStore, KeepAlive, Options,
    State, Statistics,
};
use crate::wasm::bindings::types::{Duration, ErrorCode, SocketAddress};
use crate::wasm::outcome::{Outcome, outcome};
use crate::wasm::streams::{AcceptProducer, Connection, Listener, ReceiveProducer, SendConsumer};
use crate::wasm::{HasNetwork, NetworkCtxView};

/// What a `tcp-listener` handle leads to.
pub struct TcpListener(Arc<Listener>);

/// What a `tcp-connection` handle leads to.
pub struct TcpConnection {
    connection: Arc<Connection>,
    sending: bool,
    receiving: bool,
}

impl TcpConnection {
    pub(in crate::wasm) fn new(connection: Connection) -> Self {
        Self { connection: Arc::new(connection), sending: false, receiving: false }
    }

    /// The connection for its one `send`.
    fn take_send(&mut self) -> Option<Arc<Connection>> {
        (!std::mem::replace(&mut self.sending, true)).then(|| self.connection.clone())
    }

    /// The connection for its one `receive`.
    fn take_receive(&mut self) -> Option<Arc<Connection>> {
        (!std::mem::replace(&mut self.receiving, true)).then(|| self.connection.clone())
    }
}

impl NetworkCtxView<'_> {
    fn stream(&self, handle: &Resource<TcpConnection>) -> wasmtime::Result<&TcpStream> {
        Ok(&get(self.table, handle)?.connection.stream)
    }
}

impl Host for NetworkCtxView<'_> {}

impl<T: Send + 'static> HostTcpListenerWithStore<T> for HasNetwork {
    async fn accept(
        accessor: &Accessor<T, Self>,
        listener: Resource<TcpListener>,
    ) -> Result<Resource<TcpConnection>, NetworkError> {
        let listener = accessor.with(|mut access| get(access.get().table, &listener).map(|found| found.0.clone()))?;
        let connection = poll_fn(|cx| listener.poll_accept(cx)).await?;
        accessor.with(|mut access| push(access.get().table, TcpConnection::new(connection)))
    }

    fn connections(
        mut access: Access<'_, T, Self>,
        listener: Resource<TcpListener>,
    ) -> wasmtime::Result<(StreamReader<Resource<TcpConnection>>, FutureReader<Result<(), ErrorCode>>)> {
        let view = access.getter();
        let listener = get(access.get().table, &listener)?.0.clone();
        let (ended, end) = outcome();
        Ok((
            StreamReader::new(&mut access, AcceptProducer { listener, ended, view })?,
            FutureReader::new(&mut access, coded(end))?,
        ))
    }
}

impl HostTcpListener for NetworkCtxView<'_> {
    fn bind(
        &mut self,
        local: SocketAddress,
        backlog: Option<u32>,
        interface: Option<String>,
        options: Options,
    ) -> Result<Resource<TcpListener>, NetworkError> {
        let network = self.ctx.network(interface.as_deref())?;
        let quota = self.ctx.quota().clone();
        let mut listen = ListenOptions { tcp: tcp_options(options), ..ListenOptions::default() };
        // What fills up before the guest accepts it is the guest's too.
        let waiting_bytes = receive_bytes(&listen.tcp);
        listen.backlog = backlog.map_or(listen.backlog, |backlog| size(backlog.into()));
        listen.backlog = listen.backlog.min(quota.limits().backlog(waiting_bytes));
        let charge = quota.charge(waiting_bytes * listen.backlog)?;
        let connection_bytes = buffer_bytes(&listen.tcp);
        let socket = socket::TcpListener::bind(&network, local.into(), listen)?;
        push(self.table, TcpListener(Arc::new(Listener { socket, quota, connection_bytes, _charge: charge })))
    }

    fn local_address(&mut self, listener: Resource<TcpListener>) -> wasmtime::Result<SocketAddress> {
        Ok(get(self.table, &listener)?.0.socket.local_addr().into())
    }

    fn backlog(&mut self, listener: Resource<TcpListener>) -> wasmtime::Result<u32> {
        Ok(u32::try_from(get(self.table, &listener)?.0.socket.backlog()).unwrap_or(u32::MAX))
    }

    fn drop(&mut self, listener: Resource<TcpListener>) -> wasmtime::Result<()> {
        self.table.delete(listener)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostTcpConnectionWithStore<T> for HasNetwork {
    async fn connect(
        accessor: &Accessor<T, Self>,
        remote: SocketAddress,
        local: Option<SocketAddress>,
        interface: Option<String>,
        timeout: Option<Duration>,
        options: Options,
    ) -> Result<Resource<TcpConnection>, NetworkError> {
        let mut connect =
            ConnectOptions { local: local.map(Into::into), tcp: tcp_options(options), ..ConnectOptions::default() };
        if let Some(timeout) = timeout {
            connect.timeout = duration(timeout);
        }
        let (network, charge) = accessor.with(|mut access| {
            let view = access.get();
            Ok::<_, Error>((
                view.ctx.network(interface.as_deref())?,
                view.ctx.quota().charge(buffer_bytes(&connect.tcp))?,
            ))
        })?;
        let stream = TcpStream::connect_with(&network, remote.into(), connect).await?;
        let connection = TcpConnection::new(Connection { stream, _charge: charge });
        accessor.with(|mut access| push(access.get().table, connection))
    }

    fn send(
        mut access: Access<'_, T, Self>,
        connection: Resource<TcpConnection>,
        mut data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Result<(), ErrorCode>>> {
        match access.get().table.get_mut(&connection)?.take_send() {
            Some(connection) => {
                let (resolver, queued) = outcome();
                data.pipe(&mut access, SendConsumer::new(connection.clone(), resolver))?;
                FutureReader::new(&mut access, delivered(queued, connection))
            }
            None => {
                data.close(&mut access)?;
                FutureReader::new(&mut access, taken_before())
            }
        }
    }

    fn receive(
        mut access: Access<'_, T, Self>,
        connection: Resource<TcpConnection>,
    ) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Result<(), ErrorCode>>)> {
        match access.get().table.get_mut(&connection)?.take_receive() {
            Some(connection) => {
                let (resolver, end) = outcome();
                Ok((
                    StreamReader::new(&mut access, ReceiveProducer::new(connection, resolver))?,
                    FutureReader::new(&mut access, coded(end))?,
                ))
            }
            None => {
                Ok((StreamReader::new(&mut access, iter::empty())?, FutureReader::new(&mut access, taken_before())?))
            }
        }
    }
}

/// The end of a half that another call set up.
fn taken_before() -> Ready<wasmtime::Result<Result<(), ErrorCode>>> {
    future::ready(Ok(Err(ErrorCode::InvalidState)))
}

/// How a stream ended, for the guest.
async fn coded(end: Outcome) -> wasmtime::Result<Result<(), ErrorCode>> {
    Ok(end.await.map_err(ErrorCode::from))
}

/// The end of `send`: the peer's acknowledgement of the FIN, or the first failure, be it of a write or of the connection
/// while nothing was written.
async fn delivered(mut queued: Outcome, connection: Arc<Connection>) -> wasmtime::Result<Result<(), ErrorCode>> {
    let result = poll_fn(|cx| match Pin::new(&mut queued).poll(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Ready(Ok(())) | Poll::Pending => connection.stream.poll_closed(cx),
    });
    Ok(result.await.map_err(ErrorCode::from))
}

impl HostTcpConnection for NetworkCtxView<'_> {
    fn abort(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<()> {
        self.stream(&connection)?.abort();
        Ok(())
    }

    fn local_address(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<SocketAddress> {
        Ok(self.stream(&connection)?.local_addr().into())
    }

    fn remote_address(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<SocketAddress> {
        Ok(self.stream(&connection)?.peer_addr().into())
    }

    fn interface(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<String> {
        Ok(self.stream(&connection)?.interface())
    }

    fn state(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<State> {
        Ok(self.stream(&connection)?.state().into())
    }

    fn no_delay(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<bool> {
        Ok(self.stream(&connection)?.no_delay())
    }

    fn set_no_delay(&mut self, connection: Resource<TcpConnection>, value: bool) -> Result<(), NetworkError> {
        Ok(self.stream(&connection)?.set_no_delay(value)?)
    }

    fn keep_alive(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<Option<KeepAlive>> {
        Ok(self.stream(&connection)?.keep_alive().map(Into::into))
    }

    fn set_keep_alive(
        &mut self,
        connection: Resource<TcpConnection>,
        value: Option<KeepAlive>,
    ) -> Result<(), NetworkError> {
        Ok(self.stream(&connection)?.set_keep_alive(value.map(Into::into))?)
    }

    fn hop_limit(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<u8> {
        Ok(self.stream(&connection)?.hop_limit())
    }

    fn set_hop_limit(&mut self, connection: Resource<TcpConnection>, value: u8) -> Result<(), NetworkError> {
        Ok(self.stream(&connection)?.set_hop_limit(value)?)
    }

    fn user_timeout(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<Option<Duration>> {
        Ok(self.stream(&connection)?.user_timeout().map(nanoseconds))
    }

    fn set_user_timeout(
        &mut self,
        connection: Resource<TcpConnection>,
        value: Option<Duration>,
    ) -> Result<(), NetworkError> {
        Ok(self.stream(&connection)?.set_user_timeout(value.map(duration))?)
    }

    fn linger(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<Duration> {
        Ok(nanoseconds(self.stream(&connection)?.linger()))
    }

    fn set_linger(&mut self, connection: Resource<TcpConnection>, value: Duration) -> Result<(), NetworkError> {
        Ok(self.stream(&connection)?.set_linger(duration(value))?)
    }

    fn receive_buffer(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<u64> {
        Ok(self.stream(&connection)?.receive_buffer() as u64)
    }

    fn send_buffer(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<u64> {
        Ok(self.stream(&connection)?.send_buffer() as u64)
    }

    fn receive_queue(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<u64> {
        Ok(self.stream(&connection)?.statistics().receive_queue as u64)
    }

    fn send_queue(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<u64> {
        Ok(self.stream(&connection)?.statistics().send_queue as u64)
    }

    fn statistics(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<Statistics> {
        let statistics = self.stream(&connection)?.statistics();
        Ok(Statistics { bytes_sent: statistics.bytes_sent, bytes_received: statistics.bytes_received })
    }

    fn drop(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

/// The buffer bytes that one connection counts for.
fn buffer_bytes(options: &TcpOptions) -> usize {
    receive_bytes(options) + options.send_buffer.min(MOST_BUFFER)
}

/// The bytes of a receive buffer. It holds two packets of its link at least, whatever is asked for; which link that will
/// be is not known yet, and those of `lo` are the largest.
fn receive_bytes(options: &TcpOptions) -> usize {
    receive_capacity(options.receive_buffer.max(2 * usize::from(u16::MAX)))
}

fn tcp_options(options: Options) -> TcpOptions {
    let Options { receive_buffer, send_buffer, no_delay, keep_alive, hop_limit, user_timeout, linger } = options;
    let default = TcpOptions::default();
    TcpOptions {
        receive_buffer: receive_buffer.map_or(default.receive_buffer, size),
        send_buffer: send_buffer.map_or(default.send_buffer, size),
        no_delay: no_delay.unwrap_or(default.no_delay),
        keep_alive: keep_alive.map(Into::into).or(default.keep_alive),
        hop_limit: hop_limit.unwrap_or(default.hop_limit),
        user_timeout: user_timeout.map(duration).or(default.user_timeout),
        linger: linger.map_or(default.linger, duration),
    }
}

impl From<KeepAlive> for socket::KeepAlive {
    fn from(value: KeepAlive) -> Self {
        Self { idle: duration(value.idle), interval: duration(value.interval), count: value.count }
    }
}

impl From<socket::KeepAlive> for KeepAlive {
    fn from(value: socket::KeepAlive) -> Self {
        Self { idle: nanoseconds(value.idle), interval: nanoseconds(value.interval), count: value.count }
    }
}

impl From<TcpState> for State {
    fn from(state: TcpState) -> Self {
        match state {
            // A listener's state; no connection has it.
            TcpState::Listen => Self::Closed,
            TcpState::SynSent => Self::SynSent,
            TcpState::SynReceived => Self::SynReceived,
            TcpState::Established => Self::Established,
            TcpState::FinWait1 => Self::FinWait1,
            TcpState::FinWait2 => Self::FinWait2,
            TcpState::CloseWait => Self::CloseWait,
            TcpState::Closing => Self::Closing,
            TcpState::LastAck => Self::LastAck,
            TcpState::TimeWait => Self::TimeWait,
            TcpState::Closed => Self::Closed,
        }
    }
}
