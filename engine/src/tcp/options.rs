//! The options of connections and listeners.

use core::time::Duration;

use thiserror::Error;

use super::congestion::Algorithm;
use crate::buffer::Budget;
use crate::wire::HopLimit;

/// When a silent peer is probed (RFC 9293 section 3.8.4, `TCP_KEEP*` of tcp(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// How long the peer must be silent before the first probe.
    pub idle: Duration,
    /// The time between probes.
    pub interval: Duration,
    /// The number of unanswered probes after which the connection fails.
    pub count: u32,
}

impl Default for KeepAlive {
    /// The values of tcp(7): two hours, 75 seconds, nine probes.
    fn default() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), count: 9 }
    }
}

impl KeepAlive {
    /// [`InvalidOption`] if a time is zero or no probe is allowed.
    pub const fn validate(&self) -> Result<(), InvalidOption> {
        if self.idle.is_zero() || self.interval.is_zero() || self.count == 0 { Err(InvalidOption) } else { Ok(()) }
    }

    /// The time from the peer's last segment until the connection fails.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.idle.saturating_add(self.interval.saturating_mul(self.count))
    }
}

/// Explicit congestion notification (RFC 3168).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EcnUse {
    /// ECN is not used, even if the peer requests it.
    Off,
    /// ECN is used if the peer requests it, as Linux does by default (`tcp_ecn` 2).
    #[default]
    Accept,
    /// ECN is requested on connections that this end opens, and used if the peer requests it.
    Request,
}

/// The options of a connection, or of the connections that a listener accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The receive buffer in bytes: how many bytes may wait to be read, and so the window that the peer is offered. Up
    /// to [`MOST_BUFFER`]. [`DEFAULT_BUFFER`] means that nobody has chosen a size: the buffer then grows by itself up
    /// to `window_limit` if the owner reads so fast that the window would limit the peer.
    pub receive_buffer: usize,
    /// The size in bytes up to which both buffers may grow by themselves, and to which `receive_buffer` may be set
    /// later. The window scale is chosen such that the window field can express it, since the SYN fixes the scale (RFC
    /// 7323 section 2.3). Up to [`MOST_BUFFER`]. If `receive_buffer` is larger, `window_limit` has no effect on it.
    pub window_limit: usize,
    /// The send buffer in bytes: how many bytes may wait to be sent or acknowledged. Up to [`MOST_BUFFER`].
    /// [`DEFAULT_BUFFER`] means that nobody has chosen a size: the buffer then grows by itself up to `window_limit` if
    /// the path would carry more.
    pub send_buffer: usize,
    /// The budget that the memory of both buffers is taken from, in addition to the budget of the interface; `None` for
    /// that of the interface alone.
    pub budget: Option<Budget>,
    /// Whether small segments are sent at once instead of waiting for an acknowledgement (`TCP_NODELAY`).
    pub no_delay: bool,
    /// Keep-alive probes; `None` for none.
    pub keep_alive: Option<KeepAlive>,
    /// The hop limit (IPv6) or time to live (IPv4) of the connection's packets.
    pub hop_limit: HopLimit,
    /// The traffic class (IPv6) or type of service (IPv4) of the connection's packets. The upper six bits are the
    /// differentiated services field (RFC 2474 section 3, `IP_TOS`); the lower two belong to ECN and are ignored.
    pub traffic_class: u8,
    /// How long data may stay unacknowledged before the connection fails (RFC 5482, `TCP_USER_TIMEOUT`); `None` for no
    /// limit.
    pub user_timeout: Option<Duration>,
    /// How long a connection may live after its owner has released it, to deliver what was written and to be closed by
    /// the peer. Values above [`LONGEST_LINGER`] are treated as that.
    pub linger: Duration,
    /// The congestion control (`TCP_CONGESTION`); `None` for [that of the interface](super::Config::congestion), or, if
    /// that is `None` too, for the default of the link: none on a link that loses nothing, else CUBIC.
    pub congestion: Option<Algorithm>,
    /// Explicit congestion notification.
    pub ecn: EcnUse,
    /// Whether timestamps are offered and accepted (RFC 7323 section 3).
    pub timestamps: bool,
    /// Whether windows are scaled (RFC 7323 section 2).
    pub window_scaling: bool,
    /// Whether selective acknowledgements are offered and accepted (RFC 2018).
    pub selective: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            receive_buffer: DEFAULT_BUFFER,
            window_limit: MOST_BUFFER,
            send_buffer: DEFAULT_BUFFER,
            budget: None,
            no_delay: true,
            keep_alive: None,
            hop_limit: HopLimit::DEFAULT,
            traffic_class: 0,
            user_timeout: Some(Duration::from_secs(120)),
            linger: Duration::from_secs(60),
            congestion: None,
            ecn: EcnUse::Accept,
            timestamps: true,
            window_scaling: true,
            selective: true,
        }
    }
}

impl Options {
    /// # Errors
    /// [`InvalidOption`] for a user timeout of 0, an empty buffer, or a keep-alive without time or probes.
    pub fn validate(&self) -> Result<(), InvalidOption> {
        let timeout = self.user_timeout.is_none_or(|timeout| !timeout.is_zero());
        if !timeout || self.receive_buffer == 0 || self.send_buffer == 0 {
            return Err(InvalidOption);
        }
        self.keep_alive.map_or(Ok(()), |keep| keep.validate())
    }

    /// The effective receive buffer.
    pub(super) const fn receive_limit(&self) -> usize {
        if self.receive_buffer > MOST_BUFFER { MOST_BUFFER } else { self.receive_buffer }
    }

    /// The effective send buffer.
    pub(super) const fn send_limit(&self) -> usize {
        if self.send_buffer > MOST_BUFFER { MOST_BUFFER } else { self.send_buffer }
    }

    /// The size up to which the receive buffer may grow.
    pub(super) fn max_receive_buffer(&self) -> usize {
        Self::most(self.receive_buffer, self.window_limit)
    }

    /// The size up to which the send buffer may grow.
    pub(super) fn max_send_buffer(&self) -> usize {
        Self::most(self.send_buffer, self.window_limit)
    }

    fn most(size: usize, limit: usize) -> usize {
        if size == DEFAULT_BUFFER { size.max(limit.min(MOST_BUFFER)) } else { size.min(MOST_BUFFER) }
    }

    /// The effective linger time.
    pub(super) fn linger_time(&self) -> Duration {
        self.linger.min(LONGEST_LINGER)
    }
}

/// The initial size of a buffer in bytes if nobody has chosen one.
pub const DEFAULT_BUFFER: usize = 128 * 1024;

/// The maximum size of a buffer in bytes.
pub const MOST_BUFFER: usize = 4 << 20;

/// The longest time that a connection may outlive its owner. Nobody is charged for it then, so the owner cannot choose
/// a longer time.
pub const LONGEST_LINGER: Duration = Duration::from_secs(900);

/// An option has an invalid value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an option has a value that makes no sense")]
pub struct InvalidOption;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_make_no_sense_are_refused() {
        let bad = [
            Options { receive_buffer: 0, ..Options::default() },
            Options { send_buffer: 0, ..Options::default() },
            Options { user_timeout: Some(Duration::ZERO), ..Options::default() },
            Options { keep_alive: Some(KeepAlive { count: 0, ..KeepAlive::default() }), ..Options::default() },
            Options {
                keep_alive: Some(KeepAlive { idle: Duration::ZERO, ..KeepAlive::default() }),
                ..Options::default()
            },
        ];
        for options in bad {
            assert_eq!(options.validate(), Err(InvalidOption), "{options:?}");
        }
        assert_eq!(Options { user_timeout: None, ..Options::default() }.validate(), Ok(()));
    }

    #[test]
    fn patience_does_not_overflow() {
        let keep = KeepAlive { idle: Duration::MAX, interval: Duration::MAX, count: u32::MAX };
        assert_eq!(keep.patience(), Duration::MAX);
    }
}
