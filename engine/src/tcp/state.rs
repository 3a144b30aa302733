//! The states of a connection (RFC 9293 section 3.3.2), how it ends, and what it says of itself.

use core::time::Duration;

use thiserror::Error;

use super::congestion::Algorithm;
use super::recovery::RecoveryState;

/// The state of a connection (RFC 9293 section 3.3.2). LISTEN and SYN-RECEIVED of a listener are not connections yet, and
/// TIME-WAIT is one no more.
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

/// Why a connection ended that did not end in good order.
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
    /// This end gave the connection up (`ECONNABORTED`).
    #[error("the connection was aborted")]
    Aborted,
    /// No way leads to the peer (`EHOSTUNREACH`).
    #[error("the peer cannot be reached")]
    Unreachable,
    /// The connection's own address is not this host's any more (`EADDRNOTAVAIL`).
    #[error("the local address is gone")]
    AddressGone,
}

/// What a connection says of itself, by the names of `ss -i` (ss(8)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its state.
    pub state: TcpState,
    /// Bytes that were read by its owner.
    pub bytes_read: u64,
    /// Bytes that were written by its owner.
    pub bytes_written: u64,
    /// Bytes that wait to be read.
    pub receive_queue: usize,
    /// Bytes that wait to be sent or acknowledged.
    pub send_queue: usize,
    /// The smoothed round-trip time, once there is one.
    pub rtt: Option<Duration>,
    /// How much it varies.
    pub rtt_variance: Option<Duration>,
    /// The least of the last minutes.
    pub minimum_rtt: Option<Duration>,
    /// The retransmission timeout in force.
    pub timeout: Duration,
    /// How often it ran out in a row.
    pub backoff: u32,
    /// Bytes of data in a full segment.
    pub segment: usize,
    /// The congestion window in bytes.
    pub congestion_window: usize,
    /// The slow start threshold in bytes.
    pub threshold: usize,
    /// The peer's window in bytes.
    pub send_window: usize,
    /// The window that the peer is offered, in bytes.
    pub receive_window: usize,
    /// Bytes in flight.
    pub in_flight: usize,
    /// Bytes that the peer holds out of order.
    pub sacked: usize,
    /// Bytes taken for lost now.
    pub lost_now: usize,
    /// Bytes taken for lost so far.
    pub lost: u64,
    /// Segments sent again so far.
    pub retransmitted: u64,
    /// Where loss recovery stands.
    pub recovery: RecoveryState,
    /// The congestion control.
    pub congestion: Algorithm,
}

impl Info {
    /// Of a connection that has ended, or that nobody knows.
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
