//! The state and the options of connections.

use core::net::SocketAddr;
use core::time::Duration;

use xila_network_engine::tcp as engine;

use super::TcpStream;
use crate::error::InvalidOption;
use crate::socket::statistics::{CongestionAlgorithm, TcpStatistics};
use crate::stack::options::{HopLimit, KeepAlive, TcpOptions};

/// The state of a connection (RFC 9293 section 3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum TcpState {
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
}

impl From<engine::TcpState> for TcpState {
    fn from(state: engine::TcpState) -> Self {
        match state {
            engine::TcpState::SynSent => Self::SynSent,
            engine::TcpState::SynReceived => Self::SynReceived,
            engine::TcpState::Established => Self::Established,
            engine::TcpState::FinWait1 => Self::FinWait1,
            engine::TcpState::FinWait2 => Self::FinWait2,
            engine::TcpState::CloseWait => Self::CloseWait,
            engine::TcpState::Closing => Self::Closing,
            engine::TcpState::LastAck => Self::LastAck,
            engine::TcpState::TimeWait => Self::TimeWait,
            engine::TcpState::Closed => Self::Closed,
        }
    }
}

/// The state and the options of a connection. After a connection has ended, setting an option changes nothing and is no
/// error.
impl TcpStream {
    /// The local address.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.ends.local()
    }

    /// The peer's address.
    #[must_use]
    pub const fn peer_addr(&self) -> SocketAddr {
        self.ends.remote()
    }

    /// The name of the interface that carries the connection.
    #[must_use]
    pub fn interface(&self) -> String {
        self.stack.name().to_string()
    }

    /// The connection's state.
    #[must_use]
    pub fn state(&self) -> TcpState {
        self.stack.ask(|core| core.tcp().info(self.flow)).state.into()
    }

    /// The statistics of the connection.
    #[must_use]
    pub fn statistics(&self) -> TcpStatistics {
        self.stack.ask(|core| core.tcp().info(self.flow)).into()
    }

    /// The present options, with the buffer sizes that were requested.
    #[must_use]
    pub fn options(&self) -> TcpOptions {
        self.stack.ask(|core| core.tcp().options(self.flow).cloned()).unwrap_or_default()
    }

    /// Whether small segments are sent at once.
    #[must_use]
    pub fn no_delay(&self) -> bool {
        self.options().no_delay
    }

    /// The present keep-alive.
    #[must_use]
    pub fn keep_alive(&self) -> Option<KeepAlive> {
        self.options().keep_alive
    }

    /// The hop limit of the packets sent.
    #[must_use]
    pub fn hop_limit(&self) -> HopLimit {
        self.options().hop_limit
    }

    /// The traffic class (IPv6) or type of service (IPv4) of the packets sent.
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        self.options().traffic_class
    }

    /// How long data may stay unacknowledged.
    #[must_use]
    pub fn user_timeout(&self) -> Option<Duration> {
        self.options().user_timeout
    }

    /// How long the connection may continue after this value is dropped.
    #[must_use]
    pub fn linger(&self) -> Duration {
        self.options().linger
    }

    /// The requested receive buffer in bytes.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.options().receive_buffer
    }

    /// The requested send buffer in bytes.
    #[must_use]
    pub fn send_buffer(&self) -> usize {
        self.options().send_buffer
    }

    /// The present congestion control: the one requested in [`TcpOptions::congestion`], else that of the interface
    /// ([`InterfaceConfig::congestion`](crate::InterfaceConfig)).
    #[must_use]
    pub fn congestion(&self) -> CongestionAlgorithm {
        self.statistics().congestion
    }

    /// Sets whether small segments are sent at once.
    pub fn set_no_delay(&self, no_delay: bool) {
        self.set(|options| options.no_delay = no_delay);
    }

    /// Sets or disables keep-alive.
    ///
    /// # Errors
    /// [`InvalidOption`] for times of zero or no probes.
    pub fn set_keep_alive(&self, keep_alive: Option<KeepAlive>) -> Result<(), InvalidOption> {
        self.configure(|options| options.keep_alive = keep_alive)
    }

    /// Sets the hop limit of the packets sent.
    pub fn set_hop_limit(&self, hop_limit: HopLimit) {
        self.set(|options| options.hop_limit = hop_limit);
    }

    /// Sets the traffic class (IPv6) or type of service (IPv4) of the packets sent. The upper six bits are the
    /// differentiated services field (RFC 2474, `IP_TOS`). The lower two bits belong to ECN and are ignored.
    pub fn set_traffic_class(&self, traffic_class: u8) {
        self.set(|options| options.traffic_class = traffic_class);
    }

    /// Sets how long data may stay unacknowledged.
    ///
    /// # Errors
    /// [`InvalidOption`] for 0.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> Result<(), InvalidOption> {
        self.configure(|options| options.user_timeout = timeout)
    }

    /// Sets how long the connection may continue after this value is dropped. Zero means that dropping it resets the
    /// connection.
    pub fn set_linger(&self, linger: Duration) {
        self.set(|options| options.linger = linger);
    }

    /// Sets the receive buffer in bytes: it limits the data that waits to be read and the window that is offered to the
    /// peer. A window that was offered already is honoured.
    ///
    /// # Errors
    /// [`InvalidOption`] for 0.
    pub fn set_receive_buffer(&self, bytes: usize) -> Result<(), InvalidOption> {
        self.configure(|options| options.receive_buffer = bytes)
    }

    /// Sets the send buffer in bytes: it limits the data that waits to be sent or acknowledged.
    ///
    /// # Errors
    /// [`InvalidOption`] for 0.
    pub fn set_send_buffer(&self, bytes: usize) -> Result<(), InvalidOption> {
        self.configure(|options| options.send_buffer = bytes)
    }

    /// Sets an option for which every value of its type is valid.
    fn set(&self, set: impl FnOnce(&mut TcpOptions)) {
        let changed = self.configure(set);
        debug_assert!(changed.is_ok(), "the other options are valid, and every value of this one is");
    }

    fn configure(&self, change: impl FnOnce(&mut TcpOptions)) -> Result<(), InvalidOption> {
        self.stack.with_mut(|core| core.tcp().configure(self.flow, change))
    }
}
