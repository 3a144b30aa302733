//! ICMP of both families (RFC 792, RFC 4443): parsing and emitting of messages, and when a host must not send an error.
//!
//! | Module | Contents |
//! |---|---|
//! | this file | messages that arrive |
//! | [`mod@write`] | echo and error messages that are sent |
//! | [`permission`] | which packets an error may be sent about, and which source addresses cannot be genuine |
//!
//! All fields are read at fixed offsets. The packet that an error quotes is usually truncated, so its length fields may
//! exceed the quoted bytes.

use core::net::IpAddr;

use smoltcp::wire::IpProtocol;

use crate::wire::{IPV4_HEADER, IPV6_HEADER, transport_checksum};

pub mod permission;
pub mod write;

#[cfg(test)]
mod tests;

/// Bytes of the fixed part of a message: type, code, checksum and one word.
pub(crate) const HEADER: usize = 8;
/// How many extension headers of a quoted packet are skipped. No honest packet has more (RFC 8504 section 5.3).
const MOST_EXTENSIONS: usize = 8;

/// The numbers of message types (RFC 792, RFC 4443 section 2.1).
mod types {
    pub(super) const ECHO_REPLY_V4: u8 = 0;
    pub(super) const UNREACHABLE_V4: u8 = 3;
    pub(super) const ECHO_REQUEST_V4: u8 = 8;
    pub(super) const TIME_EXCEEDED_V4: u8 = 11;
    pub(super) const PARAMETER_PROBLEM_V4: u8 = 12;
    pub(super) const UNREACHABLE_V6: u8 = 1;
    pub(super) const PACKET_TOO_BIG_V6: u8 = 2;
    pub(super) const TIME_EXCEEDED_V6: u8 = 3;
    pub(super) const PARAMETER_PROBLEM_V6: u8 = 4;
    pub(super) const ECHO_REQUEST_V6: u8 = 128;
    pub(super) const ECHO_REPLY_V6: u8 = 129;
    pub(super) const REDIRECT_V6: u8 = 137;
}

/// A message that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// An echo request: another host checks whether this host is reachable.
    EchoRequest(Echo<'a>),
    /// An answer to an echo request.
    EchoReply(Echo<'a>),
    /// An error: a packet did not reach its destination.
    Error(Report<'a>),
    /// Any other message: neighbour discovery, group membership, redirects, and unknown informational messages, which
    /// must be dropped silently (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (b)).
    Other {
        /// Its type.
        number: u8,
        /// Its code.
        code: u8,
    },
}

/// An echo request or reply (RFC 792, RFC 4443 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Identifies the sender of the request, usually a socket.
    pub identifier: u16,
    /// The sequence number of the request.
    pub sequence: u16,
    /// The data that a reply must return.
    pub payload: &'a [u8],
}

/// An error, and the packet that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<'a> {
    /// The kind of error.
    pub kind: ErrorKind,
    /// The message's type, whose meaning depends on the family.
    pub number: u8,
    /// Its code.
    pub code: u8,
    /// The MTU of the next link in bytes, if `kind` is [`ErrorKind::PacketTooBig`] (RFC 1191 section 4, RFC 8201). It
    /// is 0 from a router that implements only RFC 792.
    pub mtu: Option<u32>,
    /// The quoted packet.
    pub quoted: Quoted<'a>,
}

/// Why a packet did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// There is no route to its network or host.
    Unreachable,
    /// The host is reachable, but no socket or protocol of it takes the packet.
    PortUnreachable,
    /// A node on the path prohibits it by policy.
    Prohibited,
    /// The packet exceeded its hop limit, or its fragments did not all arrive in time.
    TimeExceeded,
    /// The packet is larger than the MTU of the next link.
    PacketTooBig,
    /// A node on the path cannot process a header field of the packet.
    ParameterProblem,
    /// An IPv6 error of unknown type. It must be passed to the upper layer as well (RFC 4443 section 2.4 (a)).
    Unknown,
}

/// The packet that an error is about, as far as the error quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted<'a> {
    /// The source address: this host's, if the error is genuine.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// The length of the packet in bytes by its own header, header included.
    pub length: usize,
    /// The protocol after the extension headers.
    pub protocol: IpProtocol,
    /// The first fields of the transport header.
    pub content: Content,
    /// The quoted bytes of the packet, from its IP header on.
    pub bytes: &'a [u8],
}

/// The first fields of a quoted transport header. Its first eight bytes are always quoted (RFC 792).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A TCP segment.
    Tcp {
        /// The source port.
        from: u16,
        /// The destination port.
        to: u16,
        /// The sequence number. It tells whether the segment is outstanding (RFC 5927 section 4).
        sequence: u32,
    },
    /// A UDP datagram.
    Udp {
        /// The source port.
        from: u16,
        /// The destination port.
        to: u16,
    },
    /// An echo request.
    Echo {
        /// The identifier.
        identifier: u16,
        /// The sequence number.
        sequence: u16,
    },
    /// Another protocol, a fragment other than the first, or fewer than eight bytes.
    Other,
}

/// Why bytes are not a valid message. It is dropped silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is shorter than its header.
    #[error("the message is cut short")]
    Truncated,
    /// Its checksum is wrong.
    #[error("the checksum is wrong")]
    Checksum,
    /// It is an error, but the quoted bytes are not a packet of its family, or end within the IP header.
    #[error("what the error quotes is no packet")]
    Quotation,
}

impl<'a> Message<'a> {
    /// Parses the payload of an IP packet from `source` to `destination`, beginning with the ICMP type. The checksum is
    /// verified if `verify` is set.
    ///
    /// Both addresses must be of the same family. Different families, which no packet has, are treated as IPv4.
    ///
    /// # Errors
    /// See [`Malformed`].
    pub fn read(source: IpAddr, destination: IpAddr, bytes: &'a [u8], verify: bool) -> Result<Self, Malformed> {
        let [number, code, _, _, word @ ..] = at::<HEADER>(bytes, 0).ok_or(Malformed::Truncated)?;
        if verify && checksum(source, destination, bytes) != 0 {
            return Err(Malformed::Checksum);
        }
        let rest = bytes.get(HEADER..).unwrap_or_default();
        let [a, b, c, d] = word;
        let (first, second) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let echo = Echo { identifier: first, sequence: second, payload: rest };
        let is_v6 = is_v6(source, destination);
        Ok(match (is_v6, number, code) {
            (false, types::ECHO_REQUEST_V4, 0) | (true, types::ECHO_REQUEST_V6, 0) => Self::EchoRequest(echo),
            (false, types::ECHO_REPLY_V4, 0) | (true, types::ECHO_REPLY_V6, 0) => Self::EchoReply(echo),
            _ => {
                let kind = if is_v6 { kind_v6(number, code) } else { kind_v4(number, code) };
                let Some(kind) = kind else { return Ok(Self::Other { number, code }) };
                let mtu = (kind == ErrorKind::PacketTooBig).then_some(if is_v6 {
                    u32::from_be_bytes(word)
                } else {
                    u32::from(second)
                });
                let quoted = original(is_v6, number, word, rest);
                let quoted = if is_v6 { quoted_v6(quoted) } else { quoted_v4(quoted) };
                Self::Error(Report { kind, number, code, mtu, quoted: quoted.ok_or(Malformed::Quotation)? })
            }
        })
    }
}

impl<'a> Quoted<'a> {
    /// Parses a packet of this host, or its first bytes.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => quoted_v4(bytes),
            6 => quoted_v6(bytes),
            _ => None,
        }
    }
}

/// The checksum of a message: 0 if its checksum field is correct, and the value for the field if the field is 0. In
/// IPv6 it covers the pseudo-header too (RFC 4443 section 2.3).
pub(crate) fn checksum(source: IpAddr, destination: IpAddr, message: &[u8]) -> u16 {
    if is_v6(source, destination) {
        transport_checksum(source, destination, IpProtocol::Icmpv6, message.len(), core::iter::once(message))
    } else {
        !smoltcp::wire::checksum::data(message)
    }
}

/// A field of fixed length, if the bytes are long enough.
pub(crate) fn at<const LENGTH: usize>(bytes: &[u8], offset: usize) -> Option<[u8; LENGTH]> {
    bytes.get(offset..)?.first_chunk().copied()
}

const fn is_v6(source: IpAddr, destination: IpAddr) -> bool {
    source.is_ipv6() && destination.is_ipv6()
}

/// The kind of an IPv4 error (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1). Source Quench is obsolete
/// (RFC 6633).
const fn kind_v4(number: u8, code: u8) -> Option<ErrorKind> {
    Some(match (number, code) {
        (types::UNREACHABLE_V4, 2 | 3) => ErrorKind::PortUnreachable,
        (types::UNREACHABLE_V4, 4) => ErrorKind::PacketTooBig,
        (types::UNREACHABLE_V4, 9 | 10 | 13..=15) => ErrorKind::Prohibited,
        (types::UNREACHABLE_V4, _) => ErrorKind::Unreachable,
        (types::TIME_EXCEEDED_V4, _) => ErrorKind::TimeExceeded,
        (types::PARAMETER_PROBLEM_V4, _) => ErrorKind::ParameterProblem,
        _ => return None,
    })
}

/// The kind of an IPv6 error (RFC 4443 section 3).
const fn kind_v6(number: u8, code: u8) -> Option<ErrorKind> {
    Some(match (number, code) {
        (types::UNREACHABLE_V6, 4) => ErrorKind::PortUnreachable,
        (types::UNREACHABLE_V6, 1 | 5 | 6) => ErrorKind::Prohibited,
        (types::UNREACHABLE_V6, _) => ErrorKind::Unreachable,
        (types::PACKET_TOO_BIG_V6, _) => ErrorKind::PacketTooBig,
        (types::TIME_EXCEEDED_V6, _) => ErrorKind::TimeExceeded,
        (types::PARAMETER_PROBLEM_V6, _) => ErrorKind::ParameterProblem,
        (0..128, _) => ErrorKind::Unknown,
        _ => return None,
    })
}

/// The quoted packet, without padding and extensions that some routers append (RFC 4884 section 4).
fn original(is_v6: bool, number: u8, word: [u8; 4], rest: &[u8]) -> &[u8] {
    let length = match (is_v6, number) {
        (false, _) => usize::from(word[1]) * 4,
        (true, types::UNREACHABLE_V6 | types::TIME_EXCEEDED_V6) => usize::from(word[0]) * 8,
        (true, _) => 0,
    };
    if length == 0 { rest } else { rest.get(..length).unwrap_or(rest) }
}

fn quoted_v4(bytes: &[u8]) -> Option<Quoted<'_>> {
    let first = *bytes.first()?;
    let header = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || header < IPV4_HEADER {
        return None;
    }
    let protocol = IpProtocol::from(*bytes.get(9)?);
    // Only the first fragment contains the ports.
    let is_first = u16::from_be_bytes(at(bytes, 6)?) & 0x1fff == 0;
    let transport = bytes.get(header..).filter(|_| is_first).unwrap_or_default();
    Some(Quoted {
        source: IpAddr::from(at::<4>(bytes, 12)?),
        destination: IpAddr::from(at::<4>(bytes, 16)?),
        length: usize::from(u16::from_be_bytes(at(bytes, 2)?)),
        protocol,
        content: content(protocol, transport),
        bytes,
    })
}

fn quoted_v6(bytes: &[u8]) -> Option<Quoted<'_>> {
    if bytes.first()? >> 4 != 6 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes(at(bytes, 4)?)) + IPV6_HEADER;
    let (source, destination) = (at::<16>(bytes, 8)?, at::<16>(bytes, 24)?);
    let Carried { protocol, transport, is_first } = carried(*bytes.get(6)?, bytes.get(IPV6_HEADER..)?);
    Some(Quoted {
        source: source.into(),
        destination: destination.into(),
        length,
        protocol,
        content: if is_first { content(protocol, transport) } else { Content::Other },
        bytes,
    })
}

/// The content of an IPv6 packet after its extension headers. The packet may be truncated.
struct Carried<'a> {
    protocol: IpProtocol,
    transport: &'a [u8],
    /// Whether the packet is not fragmented, or is the first fragment.
    is_first: bool,
}

/// Skips extension headers (RFC 8200 section 4) as far as they are quoted. A routing header is skipped however many
/// segments are left, because this host may have sent the packet.
fn carried(first: u8, mut rest: &[u8]) -> Carried<'_> {
    let mut protocol = IpProtocol::from(first);
    for _ in 0..MOST_EXTENSIONS {
        let length = match protocol {
            IpProtocol::HopByHop | IpProtocol::Ipv6Opts | IpProtocol::Ipv6Route => {
                rest.get(1).map(|length| (usize::from(*length) + 1) * 8)
            }
            IpProtocol::Ipv6Frag => Some(8),
            _ => break,
        };
        let later = protocol == IpProtocol::Ipv6Frag
            && at::<2>(rest, 2).is_some_and(|offset| u16::from_be_bytes(offset) & 0xfff8 != 0);
        let (Some(next), Some(behind)) = (rest.first(), length.and_then(|length| rest.get(length..))) else {
            return Carried { protocol, transport: &[], is_first: !later };
        };
        (protocol, rest) = (IpProtocol::from(*next), behind);
        if later {
            return Carried { protocol, transport: &[], is_first: false };
        }
    }
    Carried { protocol, transport: rest, is_first: true }
}

fn content(protocol: IpProtocol, transport: &[u8]) -> Content {
    let Some([a, b, c, d, sequence @ ..]) = at::<8>(transport, 0) else { return Content::Other };
    let (from, to) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let [e, f, g, h] = sequence;
    match (protocol, a) {
        (IpProtocol::Tcp, _) => Content::Tcp { from, to, sequence: u32::from_be_bytes(sequence) },
        (IpProtocol::Udp, _) => Content::Udp { from, to },
        (IpProtocol::Icmp, types::ECHO_REQUEST_V4) | (IpProtocol::Icmpv6, types::ECHO_REQUEST_V6) => {
            Content::Echo { identifier: u16::from_be_bytes([e, f]), sequence: u16::from_be_bytes([g, h]) }
        }
        _ => Content::Other,
    }
}
