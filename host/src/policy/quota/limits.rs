//! The limits of one guest, and what it holds.

use crate::policy::Rates;

/// The limits of what one guest may hold at once, and of how much it may do in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sockets of any kind: listeners, connections, datagram sockets. A connection in a listener's backlog counts from
    /// the time when it is accepted, until the guest drops it.
    pub sockets: usize,
    /// TCP sockets, listeners included.
    pub tcp_sockets: usize,
    /// TCP sockets that listen.
    pub listeners: usize,
    /// Connections of one listener that are being established or wait to be accepted. A listener that asks for a larger
    /// backlog gets this one.
    pub backlog: usize,
    /// UDP sockets.
    pub udp_sockets: usize,
    /// ICMP sockets, and pings that wait for their reply.
    pub icmp_sockets: usize,
    /// Local ports that the guest's sockets reserve: those of bound UDP sockets and of TCP sockets that were bound,
    /// whether to a port of the guest's choice or not. A connection that was opened by an unbound socket reserves none,
    /// because the same port may be used towards other peers.
    pub ports: usize,
    /// Bytes of memory that the guest may hold. It counts: the contents of the queues of each connection, at least 4096
    /// bytes for each of its two queues, also while the connection is in a backlog or after the guest has dropped it;
    /// the receive buffer of each datagram socket, at least 2304 bytes, which is all that its queue ever holds; the
    /// payloads of datagrams that wait to be sent in a call; and the cached answers of name servers by their size in
    /// memory. While little is left, connections offer small windows
    /// and accept little data at once.
    pub buffer_bytes: usize,
    /// Name queries under way. The resources that the host needs for a query, a few sockets and the servers' answers,
    /// are not counted elsewhere.
    pub queries: usize,
    /// Watches on interfaces, each with a queue of events.
    pub watches: usize,
    /// Open device files.
    pub files: usize,
    /// What the guest may do in a second. No limits by default.
    pub rates: Rates,
}

impl Limits {
    /// The limits of a guest for which the host sets none.
    pub const DEFAULT: Self = Self {
        sockets: 16_384,
        tcp_sockets: 16_384,
        listeners: 1024,
        backlog: 4096,
        udp_sockets: 8192,
        icmp_sockets: 1024,
        ports: 8192,
        buffer_bytes: 1 << 30,
        queries: 64,
        watches: 16,
        files: 64,
        rates: Rates::UNLIMITED,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a guest holds at present, counted as in [`Limits`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sockets of any kind.
    pub sockets: usize,
    /// TCP sockets, listeners included.
    pub tcp_sockets: usize,
    /// TCP sockets that listen.
    pub listeners: usize,
    /// UDP sockets.
    pub udp_sockets: usize,
    /// ICMP sockets, and pings that wait for their reply.
    pub icmp_sockets: usize,
    /// Local ports that sockets reserve.
    pub ports: usize,
    /// Bytes of memory.
    pub buffer_bytes: usize,
    /// Name queries under way.
    pub queries: usize,
    /// Watches on interfaces.
    pub watches: usize,
    /// Open device files.
    pub files: usize,
}

/// The kinds of sockets that are counted separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    /// A TCP socket: bound, connected or listening.
    Tcp,
    /// A UDP socket.
    Udp,
    /// An ICMP socket, or a ping.
    Icmp,
}

impl Usage {
    /// One socket of a kind.
    pub(super) fn socket(kind: SocketKind) -> Self {
        let one = Self { sockets: 1, ..Self::default() };
        match kind {
            SocketKind::Tcp => Self { tcp_sockets: 1, ..one },
            SocketKind::Udp => Self { udp_sockets: 1, ..one },
            SocketKind::Icmp => Self { icmp_sockets: 1, ..one },
        }
    }

    /// The sum of both, or `None` if it exceeds the limits.
    pub(super) fn plus(self, more: Self, limits: &Limits) -> Option<Self> {
        let within = |held: usize, more: usize, most: usize| held.checked_add(more).filter(|sum| *sum <= most);
        Some(Self {
            sockets: within(self.sockets, more.sockets, limits.sockets)?,
            tcp_sockets: within(self.tcp_sockets, more.tcp_sockets, limits.tcp_sockets)?,
            listeners: within(self.listeners, more.listeners, limits.listeners)?,
            udp_sockets: within(self.udp_sockets, more.udp_sockets, limits.udp_sockets)?,
            icmp_sockets: within(self.icmp_sockets, more.icmp_sockets, limits.icmp_sockets)?,
            ports: within(self.ports, more.ports, limits.ports)?,
            // The budget checks the limit of the bytes, because the stacks take bytes from it too.
            buffer_bytes: self.buffer_bytes.saturating_add(more.buffer_bytes),
            queries: within(self.queries, more.queries, limits.queries)?,
            watches: within(self.watches, more.watches, limits.watches)?,
            files: within(self.files, more.files, limits.files)?,
        })
    }

    /// The difference. `less` must be a part of it.
    pub(super) fn minus(self, less: Self) -> Self {
        Self {
            sockets: self.sockets - less.sockets,
            tcp_sockets: self.tcp_sockets - less.tcp_sockets,
            listeners: self.listeners - less.listeners,
            udp_sockets: self.udp_sockets - less.udp_sockets,
            icmp_sockets: self.icmp_sockets - less.icmp_sockets,
            ports: self.ports - less.ports,
            buffer_bytes: self.buffer_bytes - less.buffer_bytes,
            queries: self.queries - less.queries,
            watches: self.watches - less.watches,
            files: self.files - less.files,
        }
    }
}
