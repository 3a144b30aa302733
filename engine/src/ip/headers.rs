//! Parsing of the headers of an IPv4 or IPv6 packet, and which ICMP error is due if they are wrong.
//!
//! The TCP fast path has a shorter parser of its own, [`wire::Ip`](crate::wire::Ip). This parser processes options and
//! extension headers as a host must, and stops at fragments, which [reassembly](super::reassembly) takes.

use core::net::IpAddr;

use smoltcp::wire::IpProtocol;
use thiserror::Error;

use crate::wire::Ecn;

mod ipv4;
mod ipv6;
#[cfg(test)]
pub(crate) mod tests;

pub(super) use ipv6::{EXTENSIONS, upper_header};

/// Bytes of an IPv6 Fragment header (RFC 8200 section 4.5).
pub(super) const FRAGMENT_HEADER: usize = 8;

/// An IP packet with valid headers, and the positions of its parts. All positions are offsets into
/// [`bytes`](Self::bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The packet, from the first octet of its IP header to its last octet, without padding of the link.
    pub bytes: &'a [u8],
    /// The source address. The caller must check whether it is plausible.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// The protocol of the payload. In an IPv6 fragment it is the protocol that the Fragment header names, which counts
    /// only in the first fragment, and may be an extension header there.
    pub protocol: IpProtocol,
    /// The position of the octet that names `protocol`. An IPv6 Parameter Problem of code 1 points to it if this host
    /// does not support the protocol (RFC 8200 section 4).
    pub protocol_at: usize,
    /// The hop limit, or time to live. A received packet may have any value (RFC 1122 section 3.2.1.7).
    pub hop_limit: u8,
    /// The traffic class, or type of service: the whole octet, the two bits of `ecn` included.
    pub traffic_class: u8,
    /// The ECN codepoint.
    pub ecn: Ecn,
    /// Where the payload begins. It extends to the end of `bytes`, but there is no payload after "no next header".
    pub payload_at: usize,
    /// The fragmentation fields. Every IPv4 packet has them. An IPv6 packet has them if it has a Fragment header, even
    /// before a complete packet (RFC 6946). Neighbour discovery must ignore messages that have one (RFC 6980 section
    /// 5).
    pub fragment: Option<Fragment>,
    /// The value of the router alert option, if there is one (RFC 2113 for IPv4; RFC 2711 for IPv6, where 0 stands for
    /// MLD).
    pub router_alert: Option<u16>,
}

/// The fragmentation fields of the headers (RFC 791 section 3.1, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The identification of the original packet: 16 bits in IPv4, 32 bits in IPv6.
    pub identification: u32,
    /// The offset of the fragment in the fragmentable part of the original packet, in bytes: a multiple of 8.
    pub offset: usize,
    /// Whether more fragments follow this one.
    pub more: bool,
    /// Whether the sender forbids fragmentation. IPv6 has no such bit, because routers never fragment there: always
    /// true.
    pub dont_fragment: bool,
    /// Where the header with these fields begins: the Fragment header in IPv6, the IP header in IPv4.
    pub header_at: usize,
    /// The position of the octet that names the Fragment header in IPv6. In IPv4 it is the position of the protocol
    /// field.
    pub named_at: usize,
}

/// Why a packet is refused, and which error is due to its source. The sender of errors decides whether and how often
/// one may be sent (RFC 1122 section 3.2.2, RFC 4443 section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It is truncated, inconsistent, has a wrong checksum, or must be dropped silently.
    #[error("the packet is malformed")]
    Malformed,
    /// A field has a value that cannot be processed: Parameter Problem (RFC 4443 section 3.4, RFC 1122 section
    /// 3.2.2.5).
    #[error("octet {pointer} of the packet has a problem: {problem:?}")]
    Problem {
        /// The offset of the erroneous octet in the packet.
        pointer: u32,
        /// The kind of error.
        problem: Problem,
    },
    /// It has a source route that is not at its end. A host does not forward it: Destination Unreachable, source route
    /// failed (RFC 1122 sections 3.2.1.8 and 3.3.5).
    #[error("the packet's source route leads on from here")]
    NotForEndHost,
}

/// The kinds of Parameter Problem (RFC 4443 section 3.4, RFC 7112).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Code 0: a header field is erroneous. IPv4 packets are refused only for this.
    Field,
    /// Code 1: the next header is not recognized, or not allowed at this place.
    NextHeader,
    /// Code 2: an option is unknown, and its type asks for an error. It is sent for multicast packets too.
    Option,
    /// Code 3: the first fragment does not have all headers up to the upper-layer header.
    IncompleteChain,
}

impl Problem {
    /// The code in the ICMP message.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Field => 0,
            Self::NextHeader => 1,
            Self::Option => 2,
            Self::IncompleteChain => 3,
        }
    }
}

impl Refusal {
    /// A Parameter Problem that points to an octet of the packet.
    pub(super) fn problem(at: usize, problem: Problem) -> Self {
        Self::Problem { pointer: u32::try_from(at).unwrap_or(u32::MAX), problem }
    }
}

impl<'a> Packet<'a> {
    /// Parses a packet that begins with the IP header and has the length that the link reports. `verify` says whether
    /// to verify the checksum of an IPv4 header: the device may have done it already.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn parse(packet: &'a [u8], verify: bool) -> Result<Self, Refusal> {
        match packet.first().map(|octet| octet >> 4) {
            Some(4) => ipv4::parse(packet, verify),
            Some(6) => ipv6::parse(packet),
            Some(_) | None => Err(Refusal::Malformed),
        }
    }

    /// Whether the packet is a fragment that must be reassembled with others. A complete packet with a Fragment header
    /// is not (RFC 6946).
    #[must_use]
    pub fn needs_reassembly(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.more || fragment.offset != 0)
    }

    /// The payload: the upper-layer header and data, or the part of them that a fragment carries.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        match self.protocol {
            IpProtocol::Ipv6NoNxt if self.source.is_ipv6() && !self.needs_reassembly() => &[],
            _ => self.bytes.get(self.payload_at..).unwrap_or_default(),
        }
    }
}

/// An octet of a packet.
fn octet(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

/// Two octets of a packet, as a big-endian number.
fn pair(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}
