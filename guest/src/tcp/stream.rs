//! [`TcpStream`]: connecting, and both halves of a connection in one type.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::attempts::{attempt_timeout, more_informative};
use super::{CongestionControl, ConnectOptions, Connection, KeepAlive, ReadHalf, TcpState, TcpStatistics, WriteHalf};
use crate::address::{Family, duration_from_wit, duration_to_wit, from_wit, to_wit};
use crate::bindings::tcp::TcpConnection;
use crate::target::{ToSocketAddrs, target};
use crate::{Error, Result};

/// A TCP connection.
///
/// Two tasks may use its two directions at once: [`split`](Self::split) borrows the halves,
/// [`into_split`](Self::into_split) returns them as owned values. Dropping the stream sends a FIN after the written
/// bytes; but if bytes have arrived that were never read, the peer gets a reset.
#[derive(Debug)]
pub struct TcpStream {
    pub(super) read: ReadHalf,
    pub(super) write: WriteHalf,
}

impl TcpStream {
    /// Connects to a peer, given by an address or by a name, such as `"example.org:80"`. If the future is dropped, the
    /// attempt is given up.
    ///
    /// The addresses of a name are tried one after another, in the order in which [`dns::resolve`](crate::dns::resolve)
    /// returns them. All but the last are tried for five seconds each, or for an equal share of the time if that is
    /// less. If no address answers, the most informative error is returned: a refusal rather than a timeout, and a
    /// timeout rather than a missing route.
    ///
    /// # Errors
    /// [`ConnectionRefused`](Error::ConnectionRefused), [`TimedOut`](Error::TimedOut) after 30 seconds,
    /// [`RemoteUnreachable`](Error::RemoteUnreachable) and the other errors of `connect` in the WIT package; for a name
    /// also those of name resolution, such as [`NameNotFound`](Error::NameNotFound) and
    /// [`ServersUnreachable`](Error::ServersUnreachable), and [`InvalidArgument`](Error::InvalidArgument) if the text
    /// is not a host and a port.
    pub async fn connect(peer: impl ToSocketAddrs) -> Result<Self> {
        Self::connect_with(peer, &ConnectOptions::default()).await
    }

    /// Connects to a peer with these options.
    pub async fn connect_with(peer: impl ToSocketAddrs, options: &ConnectOptions) -> Result<Self> {
        let family = options.local.map(|local| Family::of(local.ip()));
        let peers = target(&peer)?.resolve(family).await?;
        let begin = Instant::now();
        let mut problem = None;
        for (index, peer) in peers.iter().enumerate() {
            let more = peers.len() - 1 - index;
            let Some(timeout) = attempt_timeout(options.timeout, begin.elapsed(), index == 0, more) else { break };
            match Self::attempt(*peer, timeout, options).await {
                Ok(stream) => return Ok(stream),
                Err(error) => problem = Some(problem.map_or(error, |before| more_informative(before, error))),
            }
        }
        Err(problem.unwrap_or(Error::TimedOut))
    }

    async fn attempt(peer: SocketAddr, timeout: Option<Duration>, options: &ConnectOptions) -> Result<Self> {
        let connection = TcpConnection::connect(
            to_wit(peer),
            options.local.map(to_wit),
            options.interface.clone(),
            timeout.map(duration_to_wit),
            options.tcp.to_wit(),
        )
        .await?;
        Ok(Self::new(connection))
    }

    pub(super) fn new(connection: TcpConnection) -> Self {
        let connection = Arc::new(connection);
        Self { read: ReadHalf::new(Arc::clone(&connection)), write: WriteHalf::new(connection) }
    }

    /// Borrows the two halves, for use at the same time.
    pub fn split(&mut self) -> (&mut ReadHalf, &mut WriteHalf) {
        (&mut self.read, &mut self.write)
    }

    /// Splits the stream into two owned halves, for use in two tasks.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        (self.read, self.write)
    }

    /// See [`ReadHalf::read`].
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.read.read(buffer).await
    }

    /// See [`ReadHalf::read_exact`].
    pub async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.read.read_exact(buffer).await
    }

    /// See [`ReadHalf::read_to_end`].
    pub async fn read_to_end(&mut self, buffer: &mut Vec<u8>) -> Result<usize> {
        self.read.read_to_end(buffer).await
    }

    /// See [`ReadHalf::read_buf`].
    pub async fn read_buf(&mut self, buffer: Vec<u8>) -> (Result<usize>, Vec<u8>) {
        self.read.read_buf(buffer).await
    }

    /// See [`WriteHalf::write`].
    pub async fn write(&mut self, data: &[u8]) -> Result<usize> {
        self.write.write(data).await
    }

    /// See [`WriteHalf::write_all`].
    pub async fn write_all(&mut self, data: &[u8]) -> Result<()> {
        self.write.write_all(data).await
    }

    /// See [`WriteHalf::write_buf`].
    pub async fn write_buf(&mut self, data: Vec<u8>) -> (Result<()>, Vec<u8>) {
        self.write.write_buf(data).await
    }

    /// See [`ReadHalf::poll_read`].
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        self.read.poll_read(cx, buffer)
    }

    /// See [`WriteHalf::poll_write`].
    pub fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        self.write.poll_write(cx, data)
    }

    /// See [`WriteHalf::shutdown`].
    pub async fn shutdown(&mut self) -> Result<()> {
        self.write.shutdown().await
    }

    /// See [`WriteHalf::acknowledged`].
    pub async fn acknowledged(&mut self) -> Result<()> {
        self.write.acknowledged().await
    }

    /// Resets the connection: queued data is discarded, and the peer gets an RST. Reads and writes fail with
    /// [`Error::ConnectionAborted`] from then on.
    pub fn abort(&self) {
        self.connection().abort();
    }

    /// This side's address and port.
    pub fn local_addr(&self) -> SocketAddr {
        from_wit(self.connection().local_address())
    }

    /// The peer's address and port.
    pub fn peer_addr(&self) -> SocketAddr {
        from_wit(self.connection().remote_address())
    }

    /// The name of the interface that carries the connection.
    pub fn interface(&self) -> String {
        self.connection().interface()
    }

    /// The state of the connection.
    pub fn state(&self) -> TcpState {
        TcpState::from_wit(self.connection().state())
    }

    /// Whether small segments are sent at once instead of waiting for an acknowledgement.
    pub fn nodelay(&self) -> bool {
        self.connection().no_delay()
    }

    /// Sets whether small segments are sent at once.
    pub fn set_nodelay(&self, value: bool) -> Result<()> {
        self.connection().set_no_delay(value).map_err(Error::from)
    }

    /// When the connection is probed while it is idle; `None` if it is not probed.
    pub fn keep_alive(&self) -> Option<KeepAlive> {
        self.connection().keep_alive().map(KeepAlive::from_wit)
    }

    /// Sets when the connection is probed while it is idle; `None` turns the probes off.
    pub fn set_keep_alive(&self, value: Option<KeepAlive>) -> Result<()> {
        self.connection().set_keep_alive(value.map(KeepAlive::to_wit)).map_err(Error::from)
    }

    /// The time to live or hop limit of outgoing packets.
    pub fn hop_limit(&self) -> u8 {
        self.connection().hop_limit()
    }

    /// Sets the time to live or hop limit of outgoing packets, 1 to 255.
    pub fn set_hop_limit(&self, value: u8) -> Result<()> {
        self.connection().set_hop_limit(value).map_err(Error::from)
    }

    /// How long sent data may stay unacknowledged.
    pub fn user_timeout(&self) -> Option<Duration> {
        self.connection().user_timeout().map(duration_from_wit)
    }

    /// Sets how long sent data may stay unacknowledged before the connection fails with [`Error::TimedOut`].
    pub fn set_user_timeout(&self, value: Option<Duration>) -> Result<()> {
        self.connection().set_user_timeout(value.map(duration_to_wit)).map_err(Error::from)
    }

    /// How long the host continues to deliver data after the connection has been dropped.
    pub fn linger(&self) -> Duration {
        duration_from_wit(self.connection().linger())
    }

    /// Sets how long the host continues to deliver data after the connection has been dropped. With 0 the connection is
    /// reset instead.
    pub fn set_linger(&self, value: Duration) -> Result<()> {
        self.connection().set_linger(duration_to_wit(value)).map_err(Error::from)
    }

    /// The capacity of the receive buffer in bytes, as it was set.
    pub fn receive_buffer(&self) -> u64 {
        self.connection().receive_buffer()
    }

    /// The capacity of the send buffer in bytes, as it was set.
    pub fn send_buffer(&self) -> u64 {
        self.connection().send_buffer()
    }

    /// How many bytes have arrived at the host and are not fetched yet.
    pub fn receive_queue(&self) -> u64 {
        self.connection().receive_queue()
    }

    /// How many bytes the host has taken and the peer has not acknowledged yet.
    pub fn send_queue(&self) -> u64 {
        self.connection().send_queue()
    }

    /// The congestion control algorithm in force.
    pub fn congestion(&self) -> CongestionControl {
        self.statistics().congestion
    }

    /// What the connection has carried, and the state of its sender.
    pub fn statistics(&self) -> TcpStatistics {
        TcpStatistics::from_wit(self.connection().statistics())
    }

    fn connection(&self) -> &Connection {
        self.read.connection()
    }
}
