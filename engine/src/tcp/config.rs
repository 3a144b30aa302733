//! The configuration and the counters of TCP on one interface.

use core::time::Duration;

use super::congestion::Algorithm;
use super::connection::Link;
use crate::buffer::Memory;
use crate::ports::PortLimits;

/// The configuration of TCP on one interface.
#[derive(Clone, Debug)]
pub struct Config {
    /// The link.
    pub link: Link,
    /// Packets that leave arrive at this host at once, as on a loopback: no old segment can be under way, so TIME-WAIT
    /// keeps no pair of ends from being used again.
    pub loops_back: bool,
    /// The ephemeral ports, which are used if a caller names no port (RFC 6335 section 6), and how they are divided
    /// among owners.
    ///
    /// To a quarter of them sockets of guests may be bound, as [`PortLimits`] says. The other ports but the host's
    /// reserve are for connections that guests open: a port may be used towards several destinations at once, so an
    /// owner has its share of the ports towards each destination.
    pub ports: PortLimits,
    /// The duration of TIME-WAIT: twice the maximum segment lifetime (RFC 9293 section 3.4.2).
    pub time_wait: Duration,
    /// The maximum number of records in TIME-WAIT.
    pub most_time_wait: usize,
    /// The maximum number of connections that nobody owns any more. They are divided among those who have released
    /// them: a connection that exceeds its owner's share of this or of `most_orphan_bytes` is reset when it is released.
    pub most_orphans: usize,
    /// The maximum number of bytes that the connections that nobody owns may hold. See
    /// [`most_orphans`](Self::most_orphans).
    pub most_orphan_bytes: usize,
    /// The maximum number of bytes of memory that the queues of all connections may hold together. When little of it is
    /// left, windows become small.
    pub most_bytes: usize,
    /// The maximum number of handshakes under way over all listeners. If there are more, SYNs are answered with
    /// cookies.
    pub most_half_open: usize,
    /// The rate limit, per second, for each kind of answer to hosts that may not be the peer of a connection: resets,
    /// and challenge acknowledgements (RFC 5961 section 7).
    pub answers: u32,
    /// The congestion control of connections whose options do not choose one; `None` for the default of the link.
    pub congestion: Option<Algorithm>,
    /// The source of the memory of the queues.
    pub memory: Memory,
}

/// The default of [`Config::most_bytes`]: 4 GiB, or 1 GiB if addresses have 32 bits. Each connection has 8 KiB of it
/// reserved.
const MAX_BYTES: usize = if usize::BITS > 32 { 1 << (usize::BITS / 2) } else { 1 << 30 };

impl Config {
    /// The default configuration for a link.
    #[must_use]
    pub const fn new(link: Link) -> Self {
        Self {
            link,
            loops_back: false,
            ports: PortLimits::new(49152..=65535),
            time_wait: Duration::from_secs(60),
            most_time_wait: 100_000,
            most_orphans: 4096,
            most_orphan_bytes: 64 << 20,
            most_bytes: MAX_BYTES,
            most_half_open: 1024,
            answers: 1000,
            congestion: None,
            memory: Memory::HEAP,
        }
    }
}

/// Counters of TCP on one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments that were retransmitted.
    pub retransmitted: u64,
    /// Connections that their peers reset.
    pub resets: u64,
    /// Connections whose peers did not answer in time.
    pub timeouts: u64,
    /// SYNs and final acknowledgements of handshakes that were dropped because the backlog was full or memory was
    /// short.
    pub backlog_drops: u64,
    /// Resets and challenge acknowledgements that the rate limit suppressed.
    pub suppressed: u64,
    /// Segments that were malformed or had a wrong checksum.
    pub malformed: u64,
    /// Segments for no connection and no listener that were dropped without an answer.
    pub dropped: u64,
    /// SYNs that were answered with cookies.
    pub cookies: u64,
}
