//! What a socket can be asked for.

use core::time::Duration;

use crate::error::{Error, Result};

/// When a silent peer is asked whether it is still there (RFC 9293 section 3.8.4, tcp(7) `TCP_KEEP*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// How long the connection is silent before the first probe.
    pub idle: Duration,
    /// The time between probes.
    pub interval: Duration,
    /// How many unanswered probes end the connection.
    pub count: u32,
}

impl Default for KeepAlive {
    /// The values of tcp(7): two hours, 75 seconds, nine probes.
    fn default() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), count: 9 }
    }
}

/// The options of a TCP connection, or of those that a listener accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Bytes that may wait to be read; the window that the peer is offered. At least what is asked for is provided, up
    /// to 4 MiB, and room for two segments in any case.
    pub receive_buffer: usize,
    /// Bytes that may wait to be sent and acknowledged; up to 4 MiB.
    pub send_buffer: usize,
    /// Whether small segments leave at once instead of waiting for an acknowledgement (`TCP_NODELAY`).
    pub no_delay: bool,
    /// Probing of a silent peer; `None` for none.
    pub keep_alive: Option<KeepAlive>,
    /// The hop limit (IPv6) or time to live (IPv4) of the connection's packets, 1 to 255.
    pub hop_limit: u8,
    /// How long data may stay unacknowledged before the connection fails (RFC 5482, `TCP_USER_TIMEOUT`); `None` for
    /// ever.
    pub user_timeout: Option<Duration>,
    /// How long a dropped connection may take to deliver what was written and to be closed by the peer.
    pub linger: Duration,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            receive_buffer: 128 * 1024,
            send_buffer: 128 * 1024,
            no_delay: true,
            keep_alive: None,
            hop_limit: 64,
            user_timeout: Some(Duration::from_secs(120)),
            linger: Duration::from_secs(60),
        }
    }
}

impl TcpOptions {
    /// # Errors
    /// [`Error::InvalidArgument`] for a hop limit or a user timeout of 0, an empty buffer, or a keep-alive without time
    /// or probes.
    pub(crate) fn validate(&self) -> Result<()> {
        let keep_alive = self.keep_alive.is_none_or(|keep| keep.validate().is_ok());
        let timeout = self.user_timeout.is_none_or(|timeout| !timeout.is_zero());
        if !timeout || self.hop_limit == 0 || self.receive_buffer == 0 || self.send_buffer == 0 || !keep_alive {
            return Err(Error::InvalidArgument);
        }
        Ok(())
    }
}

impl KeepAlive {
    /// # Errors
    /// [`Error::InvalidArgument`] where a time is zero or no probe is allowed.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.idle.is_zero() || self.interval.is_zero() || self.count == 0 {
            return Err(Error::InvalidArgument);
        }
        Ok(())
    }

    /// How long after the peer's last segment the connection is given up.
    pub(crate) fn patience(&self) -> Duration {
        self.idle.saturating_add(self.interval.saturating_mul(self.count))
    }
}

/// The options of a UDP socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// Bytes of datagrams that may wait to be received; what comes beyond is dropped and counted. Up to 4 MiB.
    pub receive_buffer: usize,
    /// Whether datagrams may be sent to broadcast addresses (`SO_BROADCAST`).
    pub broadcast: bool,
    /// The hop limit (IPv6) or time to live (IPv4) of the datagrams sent, 1 to 255.
    pub hop_limit: u8,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self { receive_buffer: 208 * 1024, broadcast: false, hop_limit: 64 }
    }
}

impl UdpOptions {
    /// # Errors
    /// [`Error::InvalidArgument`] for a hop limit of 0 or an empty buffer.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.hop_limit == 0 || self.receive_buffer == 0 { Err(Error::InvalidArgument) } else { Ok(()) }
    }
}

/// The most that any buffer holds, in bytes.
pub(crate) const MOST_BUFFER: usize = 4 << 20;

/// The capacity for a receive buffer that is asked to hold `requested` bytes.
///
/// smoltcp 0.14 offers a window of `65535 << scale`, which for a capacity such as 65536 or 131072 is more than the
/// buffer has room for, and panics when a peer uses all of it. So from 65535 on, capacities are exactly what a window
/// field can say: `65535 << s`. Below, no scaling happens and every capacity is safe.
#[must_use]
pub fn receive_capacity(requested: usize) -> usize {
    const WINDOW: usize = 65535;
    if requested < WINDOW {
        return requested.max(1);
    }
    let mut capacity = WINDOW;
    while capacity < requested && capacity << 1 <= MOST_BUFFER {
        capacity <<= 1;
    }
    capacity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities_are_what_a_window_field_can_say() {
        for requested in (0..9_000_000).step_by(997).chain([65534, 65535, 65536, 131_070, 131_072, 1 << 20, usize::MAX])
        {
            let capacity = receive_capacity(requested);
            assert!(capacity < 65535 || (0..=6).any(|scale| 65535 << scale == capacity), "{requested}: {capacity}");
            assert!(capacity >= requested.min(65535 << 6) && capacity > 0, "{requested}: {capacity}");
        }
    }
}
