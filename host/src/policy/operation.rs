//! The operations that rules allow or deny, and their words in the text form.

use core::fmt;

use super::request::Endpoint;

/// The protocol of an operation, as the text of a rule names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and ICMPv6.
    Icmp,
    /// Name resolution.
    Dns,
    /// The control of interfaces.
    Control,
}

impl Protocol {
    pub(super) const ALL: [Self; 5] = [Self::Tcp, Self::Udp, Self::Icmp, Self::Dns, Self::Control];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Dns => "dns",
            Self::Control => "control",
        }
    }

    /// The operations of the protocol, in the order of [`Operation::ALL`].
    pub(super) fn operations(self) -> impl Iterator<Item = Operation> {
        Operation::ALL.into_iter().filter(move |operation| operation.protocol() == self)
    }
}

/// An operation that a guest asks for, or the arrival of a packet for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `tcp connect`: opens a connection to the remote address.
    TcpConnect,
    /// `tcp bind`: binds a socket to the local address, in order to connect from it.
    TcpBind,
    /// `tcp listen`: listens for connections at the local address.
    TcpListen,
    /// `tcp accept`: a connection arrives from the remote address at the local one.
    TcpAccept,
    /// `udp bind`: binds a socket to the local address.
    UdpBind,
    /// `udp send`: sends a datagram to one host, or connects a socket to it.
    UdpSend,
    /// `udp receive`: a datagram arrives from the remote address at the local one.
    UdpReceive,
    /// `udp multicast`: sends to a multicast group, or joins one.
    UdpMulticast,
    /// `udp broadcast`: sends to a broadcast address, that is to all hosts of a network.
    UdpBroadcast,
    /// `icmp ping`: sends an echo request.
    Ping,
    /// `dns resolve`: resolves a name.
    Resolve,
    /// `control read`: reads the state of an interface.
    ControlRead,
    /// `control write`: changes an interface.
    ControlWrite,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 13] = [
        Self::TcpConnect,
        Self::TcpBind,
        Self::TcpListen,
        Self::TcpAccept,
        Self::UdpBind,
        Self::UdpSend,
        Self::UdpReceive,
        Self::UdpMulticast,
        Self::UdpBroadcast,
        Self::Ping,
        Self::Resolve,
        Self::ControlRead,
        Self::ControlWrite,
    ];

    /// The operation's protocol.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::TcpConnect | Self::TcpBind | Self::TcpListen | Self::TcpAccept => Protocol::Tcp,
            Self::UdpBind | Self::UdpSend | Self::UdpReceive | Self::UdpMulticast | Self::UdpBroadcast => Protocol::Udp,
            Self::Ping => Protocol::Icmp,
            Self::Resolve => Protocol::Dns,
            Self::ControlRead | Self::ControlWrite => Protocol::Control,
        }
    }

    /// The word for the operation in the text of a rule, which follows the word for its protocol.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::TcpConnect => "connect",
            Self::TcpBind | Self::UdpBind => "bind",
            Self::TcpListen => "listen",
            Self::TcpAccept => "accept",
            Self::UdpSend => "send",
            Self::UdpReceive => "receive",
            Self::UdpMulticast => "multicast",
            Self::UdpBroadcast => "broadcast",
            Self::Ping => "ping",
            Self::Resolve => "resolve",
            Self::ControlRead => "read",
            Self::ControlWrite => "write",
        }
    }

    /// The endpoint, local or remote, that a rule's target is compared with; `None` if the operation has none.
    pub(super) const fn endpoint(self) -> Option<Endpoint> {
        match self {
            Self::TcpConnect
            | Self::TcpAccept
            | Self::UdpSend
            | Self::UdpReceive
            | Self::UdpMulticast
            | Self::UdpBroadcast
            | Self::Ping => Some(Endpoint::Remote),
            Self::TcpBind | Self::TcpListen | Self::UdpBind => Some(Endpoint::Local),
            Self::Resolve | Self::ControlRead | Self::ControlWrite => None,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Operation {
    /// The two words of a rule's text, such as `tcp connect`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.protocol().word(), self.word())
    }
}

/// A set of operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Operations(u16);

impl Operations {
    pub(super) fn all() -> Self {
        Operation::ALL.into_iter().collect()
    }

    pub(super) const fn contains(self, operation: Operation) -> bool {
        self.0 & operation.bit() != 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::ALL.into_iter().filter(move |operation| self.contains(*operation))
    }
}

impl FromIterator<Operation> for Operations {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Self {
        Self(operations.into_iter().fold(0, |bits, operation| bits | operation.bit()))
    }
}

impl fmt::Display for Operations {
    /// Writes the set as in the text of a rule. A set has operations of one protocol, or all operations. A word for the
    /// operations is always written, because the target that follows may be such a word: a host may be named `connect`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::all() {
            return formatter.write_str("any");
        }
        for protocol in Protocol::ALL {
            let named: Vec<&str> = self.iter().filter(|one| one.protocol() == protocol).map(Operation::word).collect();
            if named.is_empty() {
                continue;
            }
            let is_all = named.len() > 1 && named.len() == protocol.operations().count();
            let operations = if is_all { "any".to_owned() } else { named.join(",") };
            write!(formatter, "{} {operations}", protocol.word())?;
        }
        Ok(())
    }
}
