//! ICMP sockets for echo requests and replies, and for the errors that routers and hosts report (RFC 792, RFC 4443).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::address::{Family, duration_from_wit, duration_to_wit, from_wit, ip_from_wit, ip_to_wit};
use crate::bindings::icmp;
use crate::{Error, Result};

/// The messages that an ICMP socket receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpBinding {
    /// Echo replies with this identifier, and errors about echo requests with it. 0 takes a free identifier.
    Echo(u16),
    /// Errors about datagrams that the app's own sockets have sent from this local UDP port, while this socket was
    /// bound. At least the last 256 datagrams count.
    UdpPort(u16),
    /// Errors about segments that the app's own connections have sent from this local TCP port.
    TcpPort(u16),
}

/// Why a packet did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpErrorKind {
    /// There is no route to the destination's network or host.
    Unreachable,
    /// The host is reachable, but no socket uses the port, or the protocol is not supported.
    PortUnreachable,
    /// A router or host on the path forbids it.
    Prohibited,
    /// The packet's hop limit was exceeded.
    TimeExceeded,
    /// The packet is larger than the MTU of the next link.
    PacketTooBig,
    /// A router or host on the path found an invalid field in the packet's header.
    ParameterProblem,
}

/// A reply to an echo request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EchoReply {
    /// The host that answered.
    pub source: IpAddr,
    /// The sequence number of the request.
    pub sequence: u16,
    /// The payload of the reply, which repeats the payload of the request.
    pub data: Vec<u8>,
    /// The hop limit with which the reply arrived.
    pub hop_limit: u8,
}

/// An error about a packet that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpReport {
    /// The host that reports it: a router on the path, or the destination.
    pub source: IpAddr,
    /// The kind of error.
    pub kind: IcmpErrorKind,
    /// The destination of the packet. The port is 0 for an echo request.
    pub destination: SocketAddr,
    /// The sequence number, if the packet was an echo request.
    pub sequence: Option<u16>,
    /// With [`PacketTooBig`](IcmpErrorKind::PacketTooBig), the MTU of the link, if the message contains it.
    pub mtu: Option<u32>,
}

/// A message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IcmpMessage {
    /// A reply.
    EchoReply(EchoReply),
    /// An error.
    Error(IcmpReport),
}

/// An ICMP socket of one family.
///
/// All methods take `&self`: several tasks may send and receive at once, and each message goes to one of them.
pub struct IcmpSocket(icmp::IcmpSocket);

impl IcmpSocket {
    /// Makes a socket on every interface that the app may use.
    ///
    /// # Errors
    /// [`AddressInUse`](Error::AddressInUse) if another socket has that identifier or watches that port, and the other
    /// errors of `bind` in the WIT package.
    pub fn bind(family: Family, binding: IcmpBinding) -> Result<Self> {
        Self::on(family, binding, None)
    }

    /// Makes a socket on one interface.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound) if there is no interface of that name; otherwise as [`bind`](Self::bind).
    pub fn bind_on(interface: &str, family: Family, binding: IcmpBinding) -> Result<Self> {
        Self::on(family, binding, Some(interface))
    }

    fn on(family: Family, binding: IcmpBinding, interface: Option<&str>) -> Result<Self> {
        Ok(Self(icmp::IcmpSocket::bind(family.to_wit(), binding.to_wit(), interface)?))
    }

    /// Sends an echo request, with the identifier that the socket is bound to.
    ///
    /// # Errors
    /// [`InvalidState`](Error::InvalidState) if the socket watches a port, [`PacketTooLarge`](Error::PacketTooLarge),
    /// [`RemoteUnreachable`](Error::RemoteUnreachable) and the other errors of `send` in the WIT package.
    pub async fn send_to(&self, remote: IpAddr, sequence: u16, data: &[u8]) -> Result<()> {
        self.0.send(ip_to_wit(remote), sequence, data.to_vec()).await.map_err(Error::from)
    }

    /// Waits for a message without a limit.
    ///
    /// If the future is dropped at the moment when a message arrives, the message is lost.
    pub async fn recv(&self) -> Result<IcmpMessage> {
        Ok(IcmpMessage::from_wit(self.0.receive(None).await?))
    }

    /// Waits for a message for at most `timeout`. A message that has already arrived is returned even if `timeout` is
    /// 0.
    ///
    /// # Errors
    /// [`TimedOut`](Error::TimedOut) if no message came in time.
    pub async fn recv_timeout(&self, timeout: Duration) -> Result<IcmpMessage> {
        Ok(IcmpMessage::from_wit(self.0.receive(Some(duration_to_wit(timeout))).await?))
    }

    /// The identifier or port that the socket is bound to; a chosen identifier in place of 0.
    pub fn binding(&self) -> IcmpBinding {
        IcmpBinding::from_wit(self.0.binding())
    }

    /// The time to live or hop limit of outgoing requests.
    pub fn hop_limit(&self) -> u8 {
        self.0.hop_limit()
    }

    /// Sets the time to live or hop limit of outgoing requests, 1 to 255.
    pub fn set_hop_limit(&self, value: u8) -> Result<()> {
        self.0.set_hop_limit(value).map_err(Error::from)
    }
}

impl fmt::Debug for IcmpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IcmpSocket").field(&self.0).finish()
    }
}

/// The options of an echo request. `None` selects the host's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PingOptions {
    /// The sequence number: 0 if `None`.
    pub sequence: Option<u16>,
    /// Bytes of payload: 56 if `None`.
    pub size: Option<u32>,
    /// How long to wait for the reply: one second if `None`.
    pub timeout: Option<Duration>,
    /// The time to live or hop limit, 1 to 255: 64 if `None`.
    pub hop_limit: Option<u8>,
    /// The name of the interface to send the request through. With `None`, the route to the host selects it.
    pub interface: Option<String>,
}

/// How an echo request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingReply {
    /// The host that answered.
    pub source: IpAddr,
    /// The sequence number.
    pub sequence: u16,
    /// The size of the reply's payload in bytes.
    pub size: u32,
    /// The hop limit with which the reply arrived.
    pub hop_limit: u8,
    /// The time between request and reply, as the host measured it.
    pub round_trip_time: Duration,
}

/// Sends one echo request and waits for its reply, for at most a second.
///
/// # Errors
/// [`TimedOut`](Error::TimedOut) if no reply came in time, [`RemoteUnreachable`](Error::RemoteUnreachable) if there is
/// no route to the host or a router reported an error about the request, and the other errors of `ping` in the WIT
/// package.
pub async fn ping(remote: IpAddr) -> Result<PingReply> {
    ping_with(remote, &PingOptions::default()).await
}

/// Sends one echo request with these options, and waits for its reply.
///
/// # Errors
/// As [`ping`].
pub async fn ping_with(remote: IpAddr, options: &PingOptions) -> Result<PingReply> {
    let PingOptions { sequence, size, timeout, hop_limit, interface } = options.clone();
    let options = icmp::PingOptions { sequence, size, timeout: timeout.map(duration_to_wit), hop_limit, interface };
    let icmp::PingReply { source, sequence, size, hop_limit, round_trip_time } =
        icmp::ping(ip_to_wit(remote), options).await?;
    let round_trip_time = duration_from_wit(round_trip_time);
    Ok(PingReply { source: ip_from_wit(source), sequence, size, hop_limit, round_trip_time })
}

impl IcmpBinding {
    fn to_wit(self) -> icmp::Binding {
        match self {
            Self::Echo(identifier) => icmp::Binding::Echo(identifier),
            Self::UdpPort(port) => icmp::Binding::UdpPort(port),
            Self::TcpPort(port) => icmp::Binding::TcpPort(port),
        }
    }

    fn from_wit(binding: icmp::Binding) -> Self {
        match binding {
            icmp::Binding::Echo(identifier) => Self::Echo(identifier),
            icmp::Binding::UdpPort(port) => Self::UdpPort(port),
            icmp::Binding::TcpPort(port) => Self::TcpPort(port),
        }
    }
}

impl IcmpErrorKind {
    fn from_wit(kind: icmp::ErrorKind) -> Self {
        match kind {
            icmp::ErrorKind::Unreachable => Self::Unreachable,
            icmp::ErrorKind::PortUnreachable => Self::PortUnreachable,
            icmp::ErrorKind::Prohibited => Self::Prohibited,
            icmp::ErrorKind::TimeExceeded => Self::TimeExceeded,
            icmp::ErrorKind::PacketTooBig => Self::PacketTooBig,
            icmp::ErrorKind::ParameterProblem => Self::ParameterProblem,
        }
    }
}

impl IcmpMessage {
    fn from_wit(message: icmp::Message) -> Self {
        match message {
            icmp::Message::EchoReply(icmp::EchoReply { source, sequence, data, hop_limit }) => {
                Self::EchoReply(EchoReply { source: ip_from_wit(source), sequence, data, hop_limit })
            }
            icmp::Message::Error(icmp::ErrorReport { source, kind, destination, sequence, mtu }) => {
                Self::Error(IcmpReport {
                    source: ip_from_wit(source),
                    kind: IcmpErrorKind::from_wit(kind),
                    destination: from_wit(destination),
                    sequence,
                    mtu,
                })
            }
        }
    }
}
