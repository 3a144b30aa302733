//! Echo requests, and the errors that the path reports (RFC 792, RFC 4443).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::address::{Family, duration_from_wit, duration_to_wit, from_wit, ip_from_wit, ip_to_wit};
use crate::bindings::icmp;
use crate::{Error, Result};

/// What an ICMP socket is told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpBinding {
    /// Echo replies that carry this identifier, and errors about echo requests that carried it. 0 takes a free one.
    Echo(u16),
    /// Errors about datagrams that were sent from this local UDP port.
    UdpPort(u16),
    /// Errors about segments that were sent from this local TCP port.
    TcpPort(u16),
}

/// Why a packet did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpErrorKind {
    /// No route leads on to its network or host.
    Unreachable,
    /// The host is there, but nothing takes the port or protocol.
    PortUnreachable,
    /// Somebody on the way forbids it.
    Prohibited,
    /// The packet passed through as many routers as it may.
    TimeExceeded,
    /// The packet is larger than the next link takes.
    PacketTooBig,
    /// A field of the packet's header makes no sense to somebody on the way.
    ParameterProblem,
}

/// A reply to an echo request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EchoReply {
    /// Who answered.
    pub source: IpAddr,
    /// The sequence number of the request.
    pub sequence: u16,
    /// The payload of the request, as it came back.
    pub data: Vec<u8>,
    /// The hop limit that the reply arrived with.
    pub hop_limit: u8,
}

/// An error about a packet that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpReport {
    /// Who reports it: a router on the way, or the destination.
    pub source: IpAddr,
    /// What is reported.
    pub kind: IcmpErrorKind,
    /// Where the packet was going. The port is 0 for an echo request.
    pub destination: SocketAddr,
    /// The sequence number, where the packet was an echo request.
    pub sequence: Option<u16>,
    /// The MTU of the link that was too narrow, where the reporter names it.
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
    /// [`AddressInUse`](Error::AddressInUse) where another socket has that identifier or watches that port, and what
    /// `bind` of the WIT package names.
    pub fn bind(family: Family, binding: IcmpBinding) -> Result<Self> {
        Self::on(family, binding, None)
    }

    /// Makes a socket on one interface.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound) where there is none of that name; else as [`bind`](Self::bind).
    pub fn bind_on(interface: &str, family: Family, binding: IcmpBinding) -> Result<Self> {
        Self::on(family, binding, Some(interface))
    }

    fn on(family: Family, binding: IcmpBinding, interface: Option<&str>) -> Result<Self> {
        Ok(Self(icmp::IcmpSocket::bind(family.to_wit(), binding.to_wit(), interface)?))
    }

    /// Sends an echo request, with the identifier that the socket is bound to.
    ///
    /// # Errors
    /// [`InvalidState`](Error::InvalidState) where the socket watches a port,
    /// [`PacketTooLarge`](Error::PacketTooLarge), [`RemoteUnreachable`](Error::RemoteUnreachable) and what `send` of
    /// the WIT package names.
    pub async fn send_to(&self, remote: IpAddr, sequence: u16, data: &[u8]) -> Result<()> {
        self.0.send(ip_to_wit(remote), sequence, data.to_vec()).await.map_err(Error::from)
    }

    /// Waits for a message, for as long as it takes.
    ///
    /// Dropping the future in the moment in which a message arrives loses it.
    pub async fn recv(&self) -> Result<IcmpMessage> {
        Ok(IcmpMessage::from_wit(self.0.receive(None).await?))
    }

    /// Waits for a message, and no longer than `timeout`. One that is there already is taken even if that is 0.
    ///
    /// # Errors
    /// [`TimedOut`](Error::TimedOut) where none came in time.
    pub async fn recv_timeout(&self, timeout: Duration) -> Result<IcmpMessage> {
        Ok(IcmpMessage::from_wit(self.0.receive(Some(duration_to_wit(timeout))).await?))
    }

    /// What the socket is bound to, with the identifier that was chosen.
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

/// How to ask for an echo. `None` leaves the host's default.
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
    /// The name of the interface to ask through. Otherwise the route to the host chooses one.
    pub interface: Option<String>,
}

/// How an echo request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingReply {
    /// Who answered.
    pub source: IpAddr,
    /// The sequence number.
    pub sequence: u16,
    /// Bytes of payload that came back.
    pub size: u32,
    /// The hop limit that the reply arrived with.
    pub hop_limit: u8,
    /// The time between request and reply, as the host measured it.
    pub round_trip_time: Duration,
}

/// Sends one echo request and waits for its reply, for a second.
///
/// # Errors
/// [`TimedOut`](Error::TimedOut) where none came in time, [`RemoteUnreachable`](Error::RemoteUnreachable) where no
/// route leads there or somebody on the way said so, and what `ping` of the WIT package names.
pub async fn ping(remote: IpAddr) -> Result<PingReply> {
    ping_with(remote, &PingOptions::default()).await
}

/// Sends one echo request as `options` say, and waits for its reply.
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
