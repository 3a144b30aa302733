//! `xila:network/tcp`.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};

use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};

use super::types::NetworkError;
use crate::error::{Error, Result};
use crate::policy::SocketKind;
use crate::socket::{
    self, CongestionAlgorithm, ConnectOptions, ListenOptions, OnOutage, TcpOptions, TcpState, TcpStatistics, TcpStream,
};
use crate::wasm::bindings::tcp::{
    CongestionControl, Host, HostTcpConnection, HostTcpConnectionWithStore, HostTcpListener, HostTcpListenerWithStore,
    KeepAlive, Options, RecoveryState, State, Statistics,
};
use crate::wasm::bindings::types::{Duration, ErrorCode, SocketAddress};
use crate::wasm::connections::{Connection, Halves, Listener};
use crate::wasm::failure::{get, push};
use crate::wasm::outcome::outcome;
use crate::wasm::streams::AcceptProducer;
use crate::wasm::units::{duration, hop_limit, nanoseconds, size};
use crate::wasm::{HasNetwork, NetworkCtxView, streams};

/// The resource of a `tcp-listener` handle.
pub struct TcpListener(Arc<Listener>);

/// The resource of a `tcp-connection` handle.
pub struct TcpConnection(Halves);

impl TcpConnection {
    fn new(connection: Connection) -> Self {
        Self(Halves::new(connection))
    }
}

impl NetworkCtxView<'_> {
    fn stream(&self, handle: &Resource<TcpConnection>) -> wasmtime::Result<&TcpStream> {
        Ok(&get(self.table, handle)?.0.connection.stream)
    }
}

impl Host for NetworkCtxView<'_> {}

impl<T: Send + 'static> HostTcpListenerWithStore<T> for HasNetwork {
    async fn accept(
        accessor: &Accessor<T, Self>,
        listener: Resource<TcpListener>,
    ) -> Result<Resource<TcpConnection>, NetworkError> {
        let listener = accessor.with(|mut access| get(access.get().table, &listener).map(|found| found.0.clone()))?;
        poll_fn(|cx| {
            accessor.with(|mut access| {
                let table = access.get().table;
                let connection = ready!(listener.poll_accept(cx, table, 1))?;
                Poll::Ready(Ok(push(table, TcpConnection::new(connection))?))
            })
        })
        .await
    }

    fn connections(
        mut access: Access<'_, T, Self>,
        listener: Resource<TcpListener>,
    ) -> wasmtime::Result<(StreamReader<Resource<TcpConnection>>, FutureReader<Result<(), ErrorCode>>)> {
        let view = access.getter();
        let context = access.get();
        let (listener, clock) = (get(context.table, &listener)?.0.clone(), context.ctx.clock()?);
        let (ended, end) = outcome();
        let accepting = AcceptProducer::new(listener, ended, clock, view, TcpConnection::new);
        Ok((StreamReader::new(&mut access, accepting)?, FutureReader::new(&mut access, streams::coded(end))?))
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
        let mut charge = quota.charge(SocketKind::Tcp, 0)?;
        charge.add_port()?;
        let mut listen = ListenOptions { tcp: tcp_options(options)?, ..ListenOptions::default() };
        listen.backlog = backlog.map_or(listen.backlog, |backlog| size(backlog.into()));
        let bound = socket::TcpSocket::bind(&network, local.into())?;
        let listener =
            Listener::new(bound, listen, OnOutage::WaitWhileDown, quota, charge).map_err(|refused| refused.error)?;
        Ok(push(self.table, TcpListener(Arc::new(listener)))?)
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
            ConnectOptions { local: local.map(Into::into), tcp: tcp_options(options)?, ..ConnectOptions::default() };
        if let Some(timeout) = timeout {
            connect.timeout = duration(timeout);
        }
        let (network, quota, charge) = accessor.with(|mut access| {
            let view = access.get();
            let quota = view.ctx.quota().clone();
            connect.tcp.budget = Some(quota.memory().clone());
            let mut charge = quota.charge(SocketKind::Tcp, 0)?;
            if connect.local.is_some_and(|local| local.port() != 0) {
                charge.add_port()?;
            }
            Ok::<_, Error>((view.ctx.network(interface.as_deref())?, quota, charge))
        })?;
        let stream = quota.count(TcpStream::connect_with(&network, remote.into(), connect).await)?;
        let connection = TcpConnection::new(Connection { stream, _charge: charge });
        accessor.with(|mut access| Ok(push(access.get().table, connection)?))
    }

    fn send(
        mut access: Access<'_, T, Self>,
        connection: Resource<TcpConnection>,
        data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Result<(), ErrorCode>>> {
        let half = access.get().table.get(&connection)?.0.take_send();
        streams::send(access, half, data)
    }

    fn receive(
        mut access: Access<'_, T, Self>,
        connection: Resource<TcpConnection>,
    ) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Result<(), ErrorCode>>)> {
        let half = access.get().table.get(&connection)?.0.take_receive();
        streams::receive(access, half)
    }
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
        self.stream(&connection)?.set_no_delay(value);
        Ok(())
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
        Ok(self.stream(&connection)?.hop_limit().octet())
    }

    fn set_hop_limit(&mut self, connection: Resource<TcpConnection>, value: u8) -> Result<(), NetworkError> {
        self.stream(&connection)?.set_hop_limit(hop_limit(value)?);
        Ok(())
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
        self.stream(&connection)?.set_linger(duration(value));
        Ok(())
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
        Ok(self.stream(&connection)?.statistics().into())
    }

    fn drop(&mut self, connection: Resource<TcpConnection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

/// # Errors
/// [`Error::InvalidArgument`] for a hop limit of 0.
fn tcp_options(options: Options) -> Result<TcpOptions> {
    let Options {
        receive_buffer,
        send_buffer,
        no_delay,
        keep_alive,
        hop_limit: hops,
        user_timeout,
        linger,
        congestion,
    } = options;
    let default = TcpOptions::default();
    Ok(TcpOptions {
        receive_buffer: receive_buffer.map_or(default.receive_buffer, size),
        send_buffer: send_buffer.map_or(default.send_buffer, size),
        no_delay: no_delay.unwrap_or(default.no_delay),
        keep_alive: keep_alive.map(Into::into).or(default.keep_alive),
        hop_limit: hops.map_or(Ok(default.hop_limit), hop_limit)?,
        user_timeout: user_timeout.map(duration).or(default.user_timeout),
        linger: linger.map_or(default.linger, duration),
        congestion: congestion.map(Into::into).or(default.congestion),
        ..default
    })
}

impl From<CongestionControl> for CongestionAlgorithm {
    fn from(value: CongestionControl) -> Self {
        match value {
            CongestionControl::Cubic => Self::Cubic,
            CongestionControl::Bbr => Self::Bbr,
            CongestionControl::None => Self::None,
        }
    }
}

impl From<CongestionAlgorithm> for CongestionControl {
    fn from(value: CongestionAlgorithm) -> Self {
        match value {
            CongestionAlgorithm::Cubic => Self::Cubic,
            CongestionAlgorithm::Bbr => Self::Bbr,
            CongestionAlgorithm::None => Self::None,
        }
    }
}

impl From<socket::RecoveryState> for RecoveryState {
    fn from(value: socket::RecoveryState) -> Self {
        match value {
            socket::RecoveryState::Open => Self::Open,
            socket::RecoveryState::Disorder => Self::Disorder,
            socket::RecoveryState::Cwr => Self::Cwr,
            socket::RecoveryState::Recovery => Self::Recovery,
            socket::RecoveryState::Loss => Self::Loss,
        }
    }
}

impl From<TcpStatistics> for Statistics {
    fn from(statistics: TcpStatistics) -> Self {
        // The queues are returned by separate functions.
        let TcpStatistics {
            bytes_received,
            bytes_sent,
            receive_queue: _,
            send_queue: _,
            round_trip_time,
            round_trip_variation,
            minimum_round_trip_time,
            retransmission_timeout,
            segment_size,
            congestion_window,
            slow_start_threshold,
            send_window,
            receive_window,
            in_flight,
            retransmitted,
            lost,
            recovery,
            congestion,
        } = statistics;
        Self {
            bytes_sent,
            bytes_received,
            round_trip_time: round_trip_time.map(nanoseconds),
            round_trip_variation: round_trip_variation.map(nanoseconds),
            minimum_round_trip_time: minimum_round_trip_time.map(nanoseconds),
            retransmission_timeout: nanoseconds(retransmission_timeout),
            segment_size: segment_size as u64,
            congestion_window: congestion_window as u64,
            slow_start_threshold: slow_start_threshold as u64,
            send_window: send_window as u64,
            receive_window: receive_window as u64,
            in_flight: in_flight as u64,
            retransmitted,
            lost,
            recovery: recovery.into(),
            congestion: congestion.into(),
        }
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
            // The state of a listener, which no connection has.
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
