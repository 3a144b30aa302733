//! The states of a connection (RFC 9293 section 3.3.2), the causes of its failure, and its statistics.

use core::time::Duration;

use thiserror::Error;

use super::congestion::Algorithm;
use super::recovery::RecoveryState;

/// The state of a connection (RFC 9293 section 3.3.2). A handshake of a listener (SYN-RECEIVED) is not a connection
/// yet, and a record in TIME-WAIT is no longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum TcpState {
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

/// Why a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Cause {
    /// The peer answered the SYN with a reset (`ECONNREFUSED`).
    #[error("the peer refused the connection")]
    Refused,
    /// The peer reset the connection (`ECONNRESET`).
    #[error("the peer reset the connection")]
    Reset,
    /// The peer did not answer in time (`ETIMEDOUT`).
    #[error("the peer did not answer in time")]
    TimedOut,
    /// This end aborted the connection (`ECONNABORTED`).
    #[error("the connection was aborted")]
    Aborted,
    /// There is no route to the peer, or it cannot be reached (`EHOSTUNREACH`).
    #[error("the peer cannot be reached")]
    Unreachable,
    /// The local address of the connection was removed from this host (`EADDRNOTAVAIL`).
    #[error("the local address is gone")]
    AddressGone,
}

/// The state and statistics of a connection, under the names of `ss -i` (ss(8)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// The state.
    pub state: TcpState,
    /// Bytes that the owner has read.
    pub bytes_read: u64,
    /// Bytes that the owner has written.
    pub bytes_written: u64,
    /// Bytes that wait to be read.
    pub receive_queue: usize,
    /// Bytes that wait to be sent or acknowledged.
    pub send_queue: usize,
    /// The smoothed round-trip time, once it was measured.
    pub rtt: Option<Duration>,
    /// The variance of the round-trip time, once it was measured.
    pub rtt_variance: Option<Duration>,
    /// The smallest round-trip time of the last minutes.
    pub minimum_rtt: Option<Duration>,
    /// The current retransmission timeout.
    pub timeout: Duration,
    /// How often the retransmission timer has expired in a row.
    pub backoff: u32,
    /// The bytes of data in a full segment.
    pub segment: usize,
    /// The congestion window in bytes.
    pub congestion_window: usize,
    /// The slow start threshold in bytes.
    pub threshold: usize,
    /// The peer's window in bytes.
    pub send_window: usize,
    /// The window offered to the peer, in bytes.
    pub receive_window: usize,
    /// Bytes in flight.
    pub in_flight: usize,
    /// Bytes that the peer has reported by selective acknowledgements.
    pub sacked: usize,
    /// Bytes that are considered lost at present.
    pub lost_now: usize,
    /// Bytes that were considered lost so far.
    pub lost: u64,
    /// Segments retransmitted so far.
    pub retransmitted: u64,
    /// The state of loss recovery.
    pub recovery: RecoveryState,
    /// The congestion control.
    pub congestion: Algorithm,
}

impl Info {
    /// The values for a connection that has ended or does not exist.
    pub(super) const CLOSED: Self = Self {
        state: TcpState::Closed,
        bytes_read: 0,
        bytes_written: 0,
        receive_queue: 0,
        send_queue: 0,
        rtt: None,
        rtt_variance: None,
        minimum_rtt: None,
        timeout: Duration::from_secs(1),
        backoff: 0,
        segment: 0,
        congestion_window: 0,
        threshold: 0,
        send_window: 0,
        receive_window: 0,
        in_flight: 0,
        sacked: 0,
        lost_now: 0,
        lost: 0,
        retransmitted: 0,
        recovery: RecoveryState::Open,
        congestion: Algorithm::None,
    };
}
