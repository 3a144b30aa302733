//! The statistics of a TCP connection.

use core::time::Duration;

use xila_network_engine::tcp::Info;
pub use xila_network_engine::tcp::{Algorithm as CongestionAlgorithm, RecoveryState};

/// The statistics of a TCP connection, with the names of `ss -i` (ss(8)). Windows and queues are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpStatistics {
    /// Bytes that were read from the connection.
    pub bytes_received: u64,
    /// Bytes that were written to the connection.
    pub bytes_sent: u64,
    /// Bytes that wait to be read.
    pub receive_queue: usize,
    /// Bytes that wait to be sent or acknowledged.
    pub send_queue: usize,
    /// The smoothed round-trip time (RFC 6298), once there is one: `rtt`.
    pub round_trip_time: Option<Duration>,
    /// The variation of the round-trip time: `rttvar`.
    pub round_trip_variation: Option<Duration>,
    /// The minimum round-trip time of the last minutes: `minrtt`.
    pub minimum_round_trip_time: Option<Duration>,
    /// The present retransmission timeout: `rto`.
    pub retransmission_timeout: Duration,
    /// Bytes of data in a full segment: `mss`.
    pub segment_size: usize,
    /// The congestion window: `cwnd`.
    pub congestion_window: usize,
    /// The slow start threshold: `ssthresh`.
    pub slow_start_threshold: usize,
    /// The window that the peer offers: `snd_wnd`.
    pub send_window: usize,
    /// The window that is offered to the peer: `rcv_wnd`.
    pub receive_window: usize,
    /// Bytes sent that are neither acknowledged nor considered lost: `unacked`.
    pub in_flight: usize,
    /// Segments retransmitted so far: `retrans`.
    pub retransmitted: u64,
    /// Bytes considered lost so far: `lost`.
    pub lost: u64,
    /// The state of loss recovery.
    pub recovery: RecoveryState,
    /// The congestion control algorithm.
    pub congestion: CongestionAlgorithm,
}

impl From<Info> for TcpStatistics {
    fn from(info: Info) -> Self {
        Self {
            bytes_received: info.bytes_read,
            bytes_sent: info.bytes_written,
            receive_queue: info.receive_queue,
            send_queue: info.send_queue,
            round_trip_time: info.rtt,
            round_trip_variation: info.rtt_variance,
            minimum_round_trip_time: info.minimum_rtt,
            retransmission_timeout: info.timeout,
            segment_size: info.segment,
            congestion_window: info.congestion_window,
            slow_start_threshold: info.threshold,
            send_window: info.send_window,
            receive_window: info.receive_window,
            in_flight: info.in_flight,
            retransmitted: info.retransmitted,
            lost: info.lost,
            recovery: info.recovery,
            congestion: info.congestion,
        }
    }
}
