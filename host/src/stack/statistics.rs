//! What an interface has counted since it was mounted.

/// Packets of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames.
    pub packets: u64,
    /// Bytes of those frames, link headers included.
    pub bytes: u64,
    /// Failures of the device.
    pub errors: u64,
    /// Frames that the stack discarded: malformed, not for this host, over a limit, or arriving while down.
    pub dropped: u64,
}

/// The counts of one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames from the device.
    pub received: Counters,
    /// Frames to the device.
    pub sent: Counters,
    /// Connections that ended by the peer's reset.
    pub tcp_resets: u64,
    /// Connections that ended because the peer did not answer in time.
    pub tcp_timeouts: u64,
    /// Connection requests that were dropped because a backlog was full.
    pub backlog_drops: u64,
    /// Datagrams that were dropped because a receive queue was full.
    pub datagram_drops: u64,
    /// Replies to packets that no socket took (resets, port unreachable) which the rate limit held back.
    pub replies_suppressed: u64,
    /// TCP flows now: connecting, open, lingering and waiting to be accepted.
    pub tcp_flows: usize,
    /// Compact TIME-WAIT records now.
    pub time_wait: usize,
    /// TCP listeners now.
    pub tcp_listeners: usize,
    /// Bound UDP sockets now.
    pub udp_sockets: usize,
}
