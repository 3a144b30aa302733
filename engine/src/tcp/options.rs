//! What a connection can be asked for.

use core::time::Duration;

use thiserror::Error;

use super::congestion::Algorithm;
use crate::buffer::Budget;
use crate::wire::HopLimit;

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

impl KeepAlive {
    /// # Errors
    /// [`InvalidOption`] where a time is zero or no probe is allowed.
    pub const fn validate(&self) -> Result<(), InvalidOption> {
        if self.idle.is_zero() || self.interval.is_zero() || self.count == 0 { Err(InvalidOption) } else { Ok(()) }
    }

    /// How long after the peer's last segment the connection is given up.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.idle.saturating_add(self.interval.saturating_mul(self.count))
    }
}

/// Explicit congestion notification (RFC 3168).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EcnUse {
    /// Not even where the peer asks for it.
    Off,
    /// Where the peer asks for it, as Linux does (`tcp_ecn` 2).
    #[default]
    Accept,
    /// Asked for.
    Request,
}

/// The options of a connection, or of those that a listener accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes that may wait to be read; the window that the peer is offered. Up to [`MOST_BUFFER`]. [`DEFAULT_BUFFER`], which
    /// is what nobody has chosen, grows by itself up to `window_limit` where the owner reads so fast that the window would
    /// hold the peer up.
    pub receive_buffer: usize,
    /// What either buffer may grow to by itself, and what `receive_buffer` may be set to later: windows are scaled so that
    /// they can say it (RFC 7323 section 2.3: the scale is settled by the SYN). Up to [`MOST_BUFFER`]; no more than
    /// `receive_buffer` where that is larger.
    pub window_limit: usize,
    /// Bytes that may wait to be sent and acknowledged; up to [`MOST_BUFFER`]. [`DEFAULT_BUFFER`], which is what nobody has
    /// chosen, grows by itself up to `window_limit` where the path would carry more.
    pub send_buffer: usize,
    /// What the memory of both is taken of, beside that of the interface; `None` for that of the interface alone.
    pub budget: Option<Budget>,
    /// Whether small segments leave at once instead of waiting for an acknowledgement (`TCP_NODELAY`).
    pub no_delay: bool,
    /// Probing of a silent peer; `None` for none.
    pub keep_alive: Option<KeepAlive>,
    /// The hop limit (IPv6) or time to live (IPv4) of the connection's packets.
    pub hop_limit: HopLimit,
    /// The traffic class (IPv6) or type of service (IPv4) of the connection's packets: the differentiated services field is
    /// its upper six bits, and the lower two are ECN's, and ignored (RFC 2474 section 3, `IP_TOS`).
    pub traffic_class: u8,
    /// How long data may stay unacknowledged before the connection fails (RFC 5482, `TCP_USER_TIMEOUT`); `None` for
    /// ever.
    pub user_timeout: Option<Duration>,
    /// How long a dropped connection may take to deliver what was written and to be closed by the peer. More than
    /// [`LONGEST_LINGER`] is taken for that.
    pub linger: Duration,
    /// The congestion control (`TCP_CONGESTION`); `None` for [that of the interface](super::Config::congestion), or else
    /// for what suits the link: none where it loses nothing, else CUBIC.
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

    /// The receive buffer in force.
    pub(super) const fn receive_limit(&self) -> usize {
        if self.receive_buffer > MOST_BUFFER { MOST_BUFFER } else { self.receive_buffer }
    }

    /// The send buffer in force.
    pub(super) const fn send_limit(&self) -> usize {
        if self.send_buffer > MOST_BUFFER { MOST_BUFFER } else { self.send_buffer }
    }

    /// What the receive buffer may grow to.
    pub(super) fn most_received(&self) -> usize {
        Self::most(self.receive_buffer, self.window_limit)
    }

    /// What the send buffer may grow to.
    pub(super) fn most_sent(&self) -> usize {
        Self::most(self.send_buffer, self.window_limit)
    }

    fn most(size: usize, limit: usize) -> usize {
        if size == DEFAULT_BUFFER { size.max(limit.min(MOST_BUFFER)) } else { size.min(MOST_BUFFER) }
    }

    /// The linger time in force.
    pub(super) fn linger_time(&self) -> Duration {
        self.linger.min(LONGEST_LINGER)
    }
}

/// What a buffer holds at first where nobody has said how much, in bytes.
pub const DEFAULT_BUFFER: usize = 128 * 1024;

/// The most that any buffer holds, in bytes.
pub const MOST_BUFFER: usize = 4 << 20;

/// The longest that a connection may outlive its owner. Nobody is charged for it then, so its owner cannot say more.
pub const LONGEST_LINGER: Duration = Duration::from_secs(900);

/// An option has a value that makes no sense.
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
