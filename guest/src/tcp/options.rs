//! The options, states and statistics of TCP connections, and their conversions from and to the WIT package's.

use std::net::SocketAddr;
use std::time::Duration;

use crate::address::{duration_from_wit, duration_to_wit};
use crate::bindings::tcp;

/// When an idle connection is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// The time without received segments after which the first probe is sent. Not 0.
    pub idle: Duration,
    /// The time between two probes. Not 0.
    pub interval: Duration,
    /// How many probes may stay unanswered before the connection fails with `TimedOut`. Not 0.
    pub count: u32,
}

/// The options that can be chosen for a connection before its first segment is sent. `None` selects the host's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// The capacity of the receive buffer in bytes. Not 0.
    pub receive_buffer: Option<u64>,
    /// The capacity of the send buffer in bytes. Not 0.
    pub send_buffer: Option<u64>,
    /// Whether small segments are sent at once instead of waiting for an acknowledgement.
    pub no_delay: Option<bool>,
    /// Whether and when the connection is probed while it is idle.
    pub keep_alive: Option<KeepAlive>,
    /// The time to live (IPv4) or hop limit (IPv6) of outgoing packets, 1 to 255.
    pub hop_limit: Option<u8>,
    /// How long sent data may stay unacknowledged before the connection fails with `TimedOut`. Not 0.
    pub user_timeout: Option<Duration>,
    /// How long the host continues to deliver data after the connection has been dropped. With 0 the connection is
    /// reset instead.
    pub linger: Option<Duration>,
    /// The congestion control algorithm.
    pub congestion: Option<CongestionControl>,
}

/// The algorithms that keep a connection from sending more than the path can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CongestionControl {
    /// CUBIC (RFC 9438) with HyStart++ (RFC 9406).
    Cubic,
    /// No congestion control: only the peer's window limits the data in flight. For links that lose nothing.
    None,
    /// BBR, version 3 (draft-ietf-ccwg-bbr): for paths that lose segments without congestion.
    Bbr,
}

/// The state of a connection's loss recovery, with the names of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecoveryState {
    /// There is no sign of a loss.
    Open,
    /// Acknowledgements indicate a loss or a reordering.
    Disorder,
    /// A router marked a packet instead of dropping it, and the connection sends less.
    Cwr,
    /// Segments were lost and are being retransmitted.
    Recovery,
    /// The retransmission timer expired: everything in flight is considered lost.
    Loss,
}

/// The options of a connect. The defaults leave everything to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// This side's address and port. The host chooses an unspecified address and port 0.
    pub local: Option<SocketAddr>,
    /// The name of the interface to use. With `None`, the route to the peer selects it.
    pub interface: Option<String>,
    /// How long to wait for the peer, over all of its addresses: 30 seconds if `None`. Not 0. The time to resolve its
    /// name is not included.
    pub timeout: Option<Duration>,
    /// The connection's own options.
    pub tcp: TcpOptions,
}

/// The options of a listener. The defaults leave everything to the host.
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
    /// A SYN was received and answered; the peer's acknowledgement is awaited.
    SynReceived,
    /// Data flows both ways.
    Established,
    /// This side's FIN was sent and is not acknowledged yet; the peer may continue to send.
    FinWait1,
    /// This side's FIN was acknowledged; the peer may continue to send.
    FinWait2,
    /// The peer's FIN was received; this side may continue to send.
    CloseWait,
    /// Both FINs were sent, and this side's is not acknowledged yet.
    Closing,
    /// The peer's FIN came first; this side's was sent and is not acknowledged yet.
    LastAck,
    /// Both FINs were acknowledged; the connection waits until old segments have left the network.
    TimeWait,
    /// There is no connection any more.
    Closed,
}

/// What a connection has carried since it was opened, and the current state of its sender: the values that `ss -i`
/// shows.
///
/// Windows and sizes are in bytes. For a connection that has ended, only the totals are meaningful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpStatistics {
    /// Bytes taken from the app for sending.
    pub bytes_sent: u64,
    /// Bytes delivered to the app.
    pub bytes_received: u64,
    /// The smoothed round-trip time; `None` before the first measurement.
    pub round_trip_time: Option<Duration>,
    /// The variation of the round-trip time.
    pub round_trip_variation: Option<Duration>,
    /// The minimum round-trip time of the last minutes.
    pub minimum_round_trip_time: Option<Duration>,
    /// How long the sender waits for an acknowledgement before it retransmits.
    pub retransmission_timeout: Duration,
    /// Bytes of data in a full segment.
    pub segment_size: u64,
    /// How many bytes the congestion control allows in flight: 2^30 for [`CongestionControl::None`].
    pub congestion_window: u64,
    /// The congestion window above which the window grows slowly: 2^30 before the first loss.
    pub slow_start_threshold: u64,
    /// How many bytes the peer allows in flight.
    pub send_window: u64,
    /// How many bytes the peer may have in flight.
    pub receive_window: u64,
    /// Bytes that were sent and are neither acknowledged nor considered lost.
    pub in_flight: u64,
    /// How many segments were retransmitted so far.
    pub retransmitted: u64,
    /// How many bytes were considered lost so far.
    pub lost: u64,
    /// The state of the loss recovery.
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
