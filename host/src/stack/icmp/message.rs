//! What an ICMP socket is bound to, and what it is told.

use core::net::{IpAddr, SocketAddr};

pub use xila_network_engine::icmp::Binding as IcmpBinding;
use xila_network_engine::ip::icmp::ErrorKind;

use crate::error::Error;

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

impl From<ErrorKind> for IcmpErrorKind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::PortUnreachable => Self::PortUnreachable,
            ErrorKind::Prohibited => Self::Prohibited,
            ErrorKind::TimeExceeded => Self::TimeExceeded,
            ErrorKind::PacketTooBig => Self::PacketTooBig,
            ErrorKind::ParameterProblem => Self::ParameterProblem,
            // What is not known is an error nevertheless (RFC 4443 section 2.4 a).
            ErrorKind::Unreachable | ErrorKind::Unknown => Self::Unreachable,
        }
    }
}

impl From<IcmpErrorKind> for Error {
    /// What it means to the operation that sent the packet.
    fn from(kind: IcmpErrorKind) -> Self {
        match kind {
            IcmpErrorKind::PortUnreachable => Self::ConnectionRefused,
            IcmpErrorKind::PacketTooBig => Self::PacketTooLarge,
            IcmpErrorKind::Unreachable
            | IcmpErrorKind::Prohibited
            | IcmpErrorKind::TimeExceeded
            | IcmpErrorKind::ParameterProblem => Self::RemoteUnreachable,
        }
    }
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
    /// Who reports it: a router on the way, or the destination. This host itself, where the next hop did not answer.
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
