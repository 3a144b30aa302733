//! What can be chosen for a connection, and what can be asked of it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::address::{duration_from_wit, duration_to_wit};
use crate::bindings::tcp;

/// When a connection that carries nothing is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// How long nothing may arrive before the first probe. Not 0.
    pub idle: Duration,
    /// The time between two probes. Not 0.
    pub interval: Duration,
    /// How many probes may stay unanswered before the connection fails with `TimedOut`. Not 0.
    pub count: u32,
}

/// What can be chosen for a connection before its first segment. `None` leaves the host's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// The capacity of the receive buffer in bytes. Not 0.
    pub receive_buffer: Option<u64>,
    /// The capacity of the send buffer in bytes. Not 0.
    pub send_buffer: Option<u64>,
    /// Whether small segments leave at once instead of waiting for an acknowledgement.
    pub no_delay: Option<bool>,
    /// Probe the connection when it is idle.
    pub keep_alive: Option<KeepAlive>,
    /// The time to live (IPv4) or hop limit (IPv6) of outgoing packets, 1 to 255.
    pub hop_limit: Option<u8>,
    /// How long sent data may stay unacknowledged before the connection fails with `TimedOut`. Not 0.
    pub user_timeout: Option<Duration>,
    /// How long the host goes on delivering once the connection has been dropped. 0 resets it instead.
    pub linger: Option<Duration>,
    /// What keeps the connection from sending more than the path takes.
    pub congestion: Option<CongestionControl>,
}

/// What keeps a connection from sending more than the path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CongestionControl {
    /// CUBIC (RFC 9438) with HyStart++ (RFC 9406).
    Cubic,
    /// Nothing does, but the peer's window. For links that lose nothing.
    None,
    /// BBR, version 3 (draft-ietf-ccwg-bbr): for paths that lose without being full.
    Bbr,
}

/// Where a connection stands with what was lost, by the names of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecoveryState {
    /// Nothing points to a loss.
    Open,
    /// Acknowledgements point to a loss, or to segments that overtook others.
    Disorder,
    /// A router marked a packet instead of dropping it, and less is sent.
    Cwr,
    /// Something was lost and is being sent again.
    Recovery,
    /// The retransmission timer ran out: everything in flight is taken for lost.
    Loss,
}

/// How to connect. The default leaves everything to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// This side's address and port. An unspecified address or port 0 leaves that part to the host.
    pub local: Option<SocketAddr>,
    /// The name of the interface to use. Otherwise the route to the peer chooses one.
    pub interface: Option<String>,
    /// How long to wait for the peer, whatever the number of its addresses: 30 seconds if `None`. Not 0. Looking its
    /// name up is not part of it.
    pub timeout: Option<Duration>,
    /// The connection's own options.
    pub tcp: TcpOptions,
}

/// How to listen. The default leaves everything to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenOptions {
    /// How many connections may wait to be accepted: 128 if `None`. Not 0.
    pub backlog: Option<u32>,
    /// The name of the only interface to listen on.
    pub interface: Option<String>,
    /// The options of the connections that are accepted.
    pub tcp: TcpOptions,
}

/// The states of RFC 9293, section 3.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcpState {
    /// A SYN was sent and nothing has come back.
    SynSent,
    /// A SYN came in and was answered; the peer's acknowledgement is awaited.
    SynReceived,
    /// Data flows both ways.
    Established,
    /// This side's FIN was sent and awaits its acknowledgement; the peer may go on sending.
    FinWait1,
    /// This side's FIN was acknowledged; the peer may go on sending.
    FinWait2,
    /// The peer's FIN came in; this side may go on sending.
    CloseWait,
    /// Both FINs were sent, and this side's awaits its acknowledgement.
    Closing,
    /// The peer's FIN came first; this side's awaits its acknowledgement.
    LastAck,
    /// Both FINs were acknowledged; stray segments die out.
    TimeWait,
    /// There is no connection any more.
    Closed,
}

/// What a connection has carried since it began, and how it sends at the moment: what `ss -i` shows.
///
/// Windows and sizes are in bytes. Of a connection that has ended, only the bytes that it carried say something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpStatistics {
    /// Bytes taken from the app for sending.
    pub bytes_sent: u64,
    /// Bytes handed to the app.
    pub bytes_received: u64,
    /// The round-trip time, smoothed; `None` before it was first measured.
    pub round_trip_time: Option<Duration>,
    /// How much the round-trip time varies.
    pub round_trip_variation: Option<Duration>,
    /// The least round-trip time of the last minutes.
    pub minimum_round_trip_time: Option<Duration>,
    /// How long an acknowledgement is waited for before something is sent again.
    pub retransmission_timeout: Duration,
    /// Bytes of data in a full segment.
    pub segment_size: u64,
    /// How many bytes the congestion control lets be in flight: 2^30 where it is [`CongestionControl::None`].
    pub congestion_window: u64,
    /// The congestion window above which it grows slowly: 2^30 before anything was lost.
    pub slow_start_threshold: u64,
    /// How many bytes the peer lets be in flight.
    pub send_window: u64,
    /// How many bytes the peer may have in flight.
    pub receive_window: u64,
    /// Bytes that were sent and neither acknowledged nor taken for lost.
    pub in_flight: u64,
    /// How many segments were sent again so far.
    pub retransmitted: u64,
    /// How many bytes were taken for lost so far.
    pub lost: u64,
    /// Where the connection stands with what was lost.
    pub recovery: RecoveryState,
    /// The congestion control in force.
    pub congestion: CongestionControl,
}

impl TcpOptions {
    pub(super) fn to_wit(&self) -> tcp::Options {
        tcp::Options {
            receive_buffer: self.receive_buffer,
            send_buffer: self.send_buffer,
            no_delay: self.no_delay,
            keep_alive: self.keep_alive.map(KeepAlive::to_wit),
            hop_limit: self.hop_limit,
            user_timeout: self.user_timeout.map(duration_to_wit),
            linger: self.linger.map(duration_to_wit),
            congestion: self.congestion.map(CongestionControl::to_wit),
        }
    }
}

impl CongestionControl {
    const fn to_wit(self) -> tcp::CongestionControl {
        match self {
            Self::Cubic => tcp::CongestionControl::Cubic,
            Self::None => tcp::CongestionControl::None,
            Self::Bbr => tcp::CongestionControl::Bbr,
        }
    }

    const fn from_wit(congestion: tcp::CongestionControl) -> Self {
        match congestion {
            tcp::CongestionControl::Cubic => Self::Cubic,
            tcp::CongestionControl::None => Self::None,
            tcp::CongestionControl::Bbr => Self::Bbr,
        }
    }
}

impl RecoveryState {
    const fn from_wit(recovery: tcp::RecoveryState) -> Self {
        match recovery {
            tcp::RecoveryState::Open => Self::Open,
            tcp::RecoveryState::Disorder => Self::Disorder,
            tcp::RecoveryState::Cwr => Self::Cwr,
            tcp::RecoveryState::Recovery => Self::Recovery,
            tcp::RecoveryState::Loss => Self::Loss,
        }
    }
}

impl TcpStatistics {
    pub(super) fn from_wit(statistics: tcp::Statistics) -> Self {
        let tcp::Statistics {
            bytes_sent,
            bytes_received,
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
            round_trip_time: round_trip_time.map(duration_from_wit),
            round_trip_variation: round_trip_variation.map(duration_from_wit),
            minimum_round_trip_time: minimum_round_trip_time.map(duration_from_wit),
            retransmission_timeout: duration_from_wit(retransmission_timeout),
            segment_size,
            congestion_window,
            slow_start_threshold,
            send_window,
            receive_window,
            in_flight,
            retransmitted,
            lost,
            recovery: RecoveryState::from_wit(recovery),
            congestion: CongestionControl::from_wit(congestion),
        }
    }
}

impl KeepAlive {
    pub(super) fn to_wit(self) -> tcp::KeepAlive {
        tcp::KeepAlive { idle: duration_to_wit(self.idle), interval: duration_to_wit(self.interval), count: self.count }
    }

    pub(super) fn from_wit(keep_alive: tcp::KeepAlive) -> Self {
        Self {
            idle: duration_from_wit(keep_alive.idle),
            interval: duration_from_wit(keep_alive.interval),
            count: keep_alive.count,
        }
    }
}

impl TcpState {
    pub(super) fn from_wit(state: tcp::State) -> Self {
        match state {
            tcp::State::SynSent => Self::SynSent,
            tcp::State::SynReceived => Self::SynReceived,
            tcp::State::Established => Self::Established,
            tcp::State::FinWait1 => Self::FinWait1,
            tcp::State::FinWait2 => Self::FinWait2,
            tcp::State::CloseWait => Self::CloseWait,
            tcp::State::Closing => Self::Closing,
            tcp::State::LastAck => Self::LastAck,
            tcp::State::TimeWait => Self::TimeWait,
            tcp::State::Closed => Self::Closed,
        }
    }
}
