//! What an ICMP socket can be bound to, and the messages that it receives.

use core::net::{IpAddr, SocketAddr};

pub use xila_network_engine::icmp::Binding as IcmpBinding;
use xila_network_engine::ip::icmp::ErrorKind;

use crate::error::Error;

/// The kind of an ICMP error: the cause why a packet did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpErrorKind {
    /// A router has no route to the destination network or host.
    Unreachable,
    /// The destination host has no receiver for the port or protocol.
    PortUnreachable,
    /// A router or the destination prohibits the communication.
    Prohibited,
    /// The hop limit or time to live has run out, or the time to reassemble fragments.
    TimeExceeded,
    /// The packet is larger than the MTU of the next link.
    PacketTooBig,
    /// A router or the destination cannot process a field of the packet's header.
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
            // An error of unknown type must be passed on too (RFC 4443 section 2.4 a).
            ErrorKind::Unreachable | ErrorKind::Unknown => Self::Unreachable,
        }
    }
}

impl From<IcmpErrorKind> for Error {
    /// The error of the operation that sent the packet.
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
    /// The host that answered.
    pub source: IpAddr,
    /// The sequence number of the request.
    pub sequence: u16,
    /// The payload of the request, as it came back.
    pub data: Vec<u8>,
    /// The hop limit of the reply when it arrived.
    pub hop_limit: u8,
}

/// An error about a packet that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpReport {
    /// The host that reports it: a router on the path, or the destination. It is this host itself if the next hop did
    /// not answer.
    pub source: IpAddr,
    /// The kind of the error.
    pub kind: IcmpErrorKind,
    /// The destination of the packet. The port is 0 for an echo request.
    pub destination: SocketAddr,
    /// The sequence number, if the packet was an echo request.
    pub sequence: Option<u16>,
    /// The MTU of the link that was too narrow, if the report has it.
    pub mtu: Option<u32>,
}

/// A message that an ICMP socket receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IcmpMessage {
    /// A reply to an echo request.
    EchoReply(EchoReply),
    /// An error about a packet that was sent.
    Error(IcmpReport),
}
