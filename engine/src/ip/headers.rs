//! One reading of an IP packet of either family: what its headers say, and which error is due where they are wrong.
//!
//! TCP's fast path has a shorter one of its own, [`wire::Ip`](crate::wire::Ip). This one walks options and extension
//! headers as a host has to, and stops at fragments, which [reassembly](super::reassembly) takes.

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

/// An IP packet whose headers make sense, and the places of what is in it. All places are offsets into
/// [`bytes`](Self::bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The packet, from the first octet of its IP header to its last octet: what the link added behind it is cut off.
    pub bytes: &'a [u8],
    /// Who says to have sent it. Whether that may be is for the caller to judge.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// What the payload is. Of an IPv6 fragment it is what the Fragment header names, which counts in the first
    /// fragment only: there it may be an extension header.
    pub protocol: IpProtocol,
    /// Where the octet is that names `protocol`: what an IPv6 Parameter Problem of code 1 points to if nobody here
    /// knows that protocol (RFC 8200 section 4).
    pub protocol_at: usize,
    /// The hop limit, or time to live. Any value is good in a packet that has arrived (RFC 1122 section 3.2.1.7).
    pub hop_limit: u8,
    /// The traffic class, or type of service: the whole octet, the two bits of `ecn` included.
    pub traffic_class: u8,
    /// What routers said of congestion.
    pub ecn: Ecn,
    /// Where the payload begins. It goes on to the end of `bytes`, save that behind "no next header" there is none.
    pub payload_at: usize,
    /// Which part of an original packet this is. Every IPv4 header says that; in IPv6 it is there where a Fragment
    /// header is, also one that stands before a whole packet (RFC 6946). Neighbour discovery must ignore messages that
    /// have one (RFC 6980 section 5).
    pub fragment: Option<Fragment>,
    /// The value of the router alert option, where there is one (RFC 2113 for IPv4; RFC 2711 for IPv6, where it is 0
    /// for MLD).
    pub router_alert: Option<u16>,
}

/// What the headers say of fragmentation (RFC 791 section 3.1, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Which packet it is a part of: 16 bits in IPv4, 32 bits in IPv6.
    pub identification: u32,
    /// Where the part begins in the fragmentable part of the original packet, in bytes: a multiple of 8.
    pub offset: usize,
    /// Whether more fragments follow behind this one.
    pub more: bool,
    /// Whether the sender forbids fragmentation. There is no such bit in IPv6, where routers never do it: true.
    pub dont_fragment: bool,
    /// Where the header with these fields begins: the Fragment header in IPv6, the IP header in IPv4.
    pub header_at: usize,
    /// Where the octet is that names the Fragment header, in IPv6. In IPv4 it is the protocol's.
    pub named_at: usize,
}

/// Why a packet is refused, and which error is due to its source. Whether one may be sent at all, and how often, is for
/// who sends errors (RFC 1122 section 3.2.2, RFC 4443 section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It is cut short, contradicts itself, has a wrong checksum, or asks to be dropped in silence.
    #[error("the packet is malformed")]
    Malformed,
    /// A field has a value that cannot be processed: Parameter Problem (RFC 4443 section 3.4, RFC 1122 section
    /// 3.2.2.5).
    #[error("octet {pointer} of the packet has a problem: {problem:?}")]
    Problem {
        /// The octet of the packet in which the error is.
        pointer: u32,
        /// What is wrong with it.
        problem: Problem,
    },
    /// It has a source route that leads on from here, which a host does not follow: Destination Unreachable, source
    /// route failed (RFC 1122 sections 3.2.1.8 and 3.3.5).
    #[error("the packet's source route leads on from here")]
    NotForEndHost,
}

/// The kinds of Parameter Problem (RFC 4443 section 3.4, RFC 7112).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Code 0: a header field is erroneous. The only one that IPv4 packets are refused for.
    Field,
    /// Code 1: the next header is none that may stand there.
    NextHeader,
    /// Code 2: an option is unknown, and asks for an error by its type. It is due for multicast packets too.
    Option,
    /// Code 3: the first fragment does not have all headers up to the upper layer's.
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
    /// Reads a packet, which begins with the IP header and is as long as the link says. `verify` says whether the
    /// checksum of an IPv4 header is verified here: a device may have done it.
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

    /// Whether it is a part of a packet, to be put together with others. A whole packet with a Fragment header is none
    /// (RFC 6946).
    #[must_use]
    pub fn needs_reassembly(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.more || fragment.offset != 0)
    }

    /// The payload: the upper layer's header and data, or the part of them that a fragment has.
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

/// Two octets of a packet, a number in network order.
fn pair(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}
