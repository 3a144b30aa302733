//! The settings of a socket and of its host that `sysctl` and `setsockopt` change.

use std::time::Duration;

use xila_network_engine::wire::HopLimit;

/// The settings of a socket, including those that its connection inherits.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) receive_buffer: usize,
    pub(crate) send_buffer: usize,
    /// TCP_NODELAY.
    pub(crate) no_delay: bool,
    /// TCP_CORK, TCP_NOPUSH.
    pub(crate) cork: bool,
    pub(crate) keep_alive: bool,
    pub(crate) keep_idle: Duration,
    pub(crate) keep_interval: Duration,
    pub(crate) keep_count: u32,
    /// The time limit of a handshake (TCP_KEEPINIT).
    pub(crate) connect_timeout: Duration,
    /// TCP_USER_TIMEOUT.
    pub(crate) user_timeout: Option<Duration>,
    /// TCP_MAXSEG.
    pub(crate) maximum_segment: Option<u16>,
    /// Whether SYNs have no options (TCP_NOOPT).
    pub(crate) no_options: bool,
    /// SO_LINGER.
    pub(crate) linger: Option<Duration>,
    pub(crate) hop_limit: Option<HopLimit>,
    pub(crate) traffic_class: u8,
    pub(crate) reuse_address: bool,
    pub(crate) congestion: String,
}

/// The settings that apply to all sockets.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) mtu: usize,
    /// The largest size that a receive buffer may grow to. It determines the window scale.
    pub(crate) receive_limit: usize,
    /// The largest size that a send buffer may grow to.
    pub(crate) send_limit: usize,
    pub(crate) timestamps: bool,
    pub(crate) window_scale: bool,
    pub(crate) sack: bool,
    /// As on FreeBSD and Linux: 0 never, 1 always, 2 only if the peer asks for it.
    pub(crate) ecn: u8,
    pub(crate) time_wait: Duration,
    /// The number of half-open connections from which on cookies are used.
    pub(crate) half_open: usize,
    /// The settings of new sockets.
    pub(crate) socket: Settings,
}

impl Host {
    /// The engine's own defaults, for our scripts.
    pub(crate) fn ours() -> Self {
        Self {
            mtu: 1500,
            receive_limit: 4 * 1024 * 1024,
            send_limit: 4 * 1024 * 1024,
            timestamps: true,
            window_scale: true,
            sack: true,
            ecn: 2,
            time_wait: Duration::from_secs(60),
            half_open: 256,
            socket: Settings {
                receive_buffer: 65_536,
                send_buffer: 1_048_576,
                no_delay: false,
                cork: false,
                keep_alive: false,
                keep_idle: Duration::from_secs(7200),
                keep_interval: Duration::from_secs(75),
                keep_count: 9,
                connect_timeout: Duration::from_secs(75),
                user_timeout: None,
                maximum_segment: None,
                no_options: false,
                linger: None,
                hop_limit: None,
                traffic_class: 0,
                reuse_address: false,
                congestion: "cubic".to_owned(),
            },
        }
    }

    /// FreeBSD's defaults, for its scripts.
    pub(crate) fn freebsd() -> Self {
        let ours = Self::ours();
        // On FreeBSD `net.inet.tcp.always_keepalive` is set.
        let socket = Settings { send_buffer: 32_768, keep_alive: true, keep_count: 8, ..ours.socket };
        Self { receive_limit: 2_097_152, send_limit: 2_097_152, socket, ..ours }
    }
}
