//! Emitting of ICMP messages.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::{HEADER, checksum, is_v6, types};
use crate::ip::headers::Problem;
use crate::wire::{IPV4_HEADER, IPV6_HEADER, IPV6_LEAST_MTU};

/// The longest IPv4 packet with an error in it, in bytes (RFC 1812 section 4.3.2.3).
const LONGEST_V4: usize = 576;
/// The longest IPv6 packet with an error in it: the minimum MTU (RFC 4443 section 3).
const LONGEST_V6: usize = IPV6_LEAST_MTU;

/// Why a packet is not accepted or not forwarded. Each reason is one type and code in each family.
///
/// If IPv4 has no such code, the one of RFC 7915 sections 4.2 and 5.2 is used, which translate between the families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no route to its destination.
    NoRoute,
    /// The destination's hardware address is not known, or something else is wrong with the link to it.
    AddressUnreachable,
    /// Its protocol is not supported. In IPv6 this is a parameter problem (RFC 8200 section 4).
    ProtocolUnreachable {
        /// The offset of the protocol number in the packet, in bytes. IPv4 does not report it.
        pointer: u32,
    },
    /// No socket has its port.
    PortUnreachable,
    /// It is longer than the MTU of the next link, and must not be fragmented.
    TooBig {
        /// The MTU of the link, in bytes.
        mtu: u32,
    },
    /// It is prohibited by policy.
    Prohibited,
    /// Its destination is beyond the scope of its source address.
    BeyondScope,
    /// Its source address fails the policy.
    SourcePolicy,
    /// The route to its destination is a reject route.
    RejectRoute,
    /// Its source route is not at its end, and this host does not follow it (RFC 1122 section 3.3.5). In IPv6 that case
    /// is a [`Parameter`](Self::Parameter) problem; this reason would become "address unreachable".
    SourceRouteFailed,
    /// Its hop limit is exceeded.
    HopLimitExceeded,
    /// Its other fragments did not arrive in time. The packet to quote is its first fragment.
    ReassemblyTimeExceeded,
    /// A header field is erroneous.
    Parameter {
        /// The kind of error. IPv4 does not report it.
        problem: Problem,
        /// The offset of the field in the packet, in bytes.
        pointer: u32,
    },
}

/// Appends an echo request.
///
/// `source` and `destination` are those of the packet that carries the message, as in all functions of this module.
/// Different families, which no packet has, are treated as IPv4.
pub fn echo_request(
    into: &mut Vec<u8>,
    source: IpAddr,
    destination: IpAddr,
    identifier: u16,
    sequence: u16,
    payload: &[u8],
) {
    let number = if is_v6(source, destination) { types::ECHO_REQUEST_V6 } else { types::ECHO_REQUEST_V4 };
    let word = echo_word(identifier, sequence);
    message(into, source, destination, [number, 0], word, payload);
}

/// Appends the reply to an echo request. It must return the whole payload (RFC 1122 section 3.2.2.6, RFC 4443 section
/// 4.2).
pub fn echo_reply(
    into: &mut Vec<u8>,
    source: IpAddr,
    destination: IpAddr,
    identifier: u16,
    sequence: u16,
    payload: &[u8],
) {
    let number = if is_v6(source, destination) { types::ECHO_REPLY_V6 } else { types::ECHO_REPLY_V4 };
    let word = echo_word(identifier, sequence);
    message(into, source, destination, [number, 0], word, payload);
}

/// Appends an error about `packet`, which must be given **exactly as it arrived**, from its IP header on, because its
/// sender identifies it by the bytes. As much of it is quoted as fits.
///
/// The caller checks [`permission`](super::permission) and the [limiter](crate::ip::limiter) first.
pub fn error(into: &mut Vec<u8>, source: IpAddr, destination: IpAddr, reason: Reason, packet: &[u8]) {
    let is_v6 = is_v6(source, destination);
    let room = if is_v6 { LONGEST_V6 - IPV6_HEADER - HEADER } else { LONGEST_V4 - IPV4_HEADER - HEADER };
    let quoted = packet.get(..room).unwrap_or(packet);
    let (kind, word) = if is_v6 { reason.v6() } else { reason.v4() };
    message(into, source, destination, kind, word, quoted);
}

impl Reason {
    /// The type, the code, and the word after the checksum for IPv4 (RFC 792, RFC 1191 section 4, RFC 1812 section
    /// 5.2.7.1).
    fn v4(self) -> ([u8; 2], [u8; 4]) {
        let unreachable = |code| ([types::UNREACHABLE_V4, code], [0; 4]);
        match self {
            Self::NoRoute => unreachable(0),
            Self::AddressUnreachable | Self::BeyondScope => unreachable(1),
            Self::ProtocolUnreachable { pointer: _ } => unreachable(2),
            Self::PortUnreachable => unreachable(3),
            Self::TooBig { mtu } => {
                // The length of an IPv4 packet has 16 bits.
                let [high, low] = u16::try_from(mtu).unwrap_or(u16::MAX).to_be_bytes();
                ([types::UNREACHABLE_V4, 4], [0, 0, high, low])
            }
            Self::Prohibited | Self::SourcePolicy | Self::RejectRoute => unreachable(13),
            Self::SourceRouteFailed => unreachable(5),
            Self::HopLimitExceeded => ([types::TIME_EXCEEDED_V4, 0], [0; 4]),
            Self::ReassemblyTimeExceeded => ([types::TIME_EXCEEDED_V4, 1], [0; 4]),
            Self::Parameter { problem: _, pointer } => {
                // The pointer fits an octet, because an IPv4 header has at most 60 bytes.
                ([types::PARAMETER_PROBLEM_V4, 0], [u8::try_from(pointer).unwrap_or(u8::MAX), 0, 0, 0])
            }
        }
    }

    /// The same for IPv6 (RFC 4443 section 3).
    const fn v6(self) -> ([u8; 2], [u8; 4]) {
        let (kind, word) = match self {
            Self::NoRoute => ([types::UNREACHABLE_V6, 0], 0),
            Self::Prohibited => ([types::UNREACHABLE_V6, 1], 0),
            Self::BeyondScope => ([types::UNREACHABLE_V6, 2], 0),
            Self::AddressUnreachable | Self::SourceRouteFailed => ([types::UNREACHABLE_V6, 3], 0),
            Self::PortUnreachable => ([types::UNREACHABLE_V6, 4], 0),
            Self::SourcePolicy => ([types::UNREACHABLE_V6, 5], 0),
            Self::RejectRoute => ([types::UNREACHABLE_V6, 6], 0),
            Self::TooBig { mtu } => ([types::PACKET_TOO_BIG_V6, 0], mtu),
            Self::HopLimitExceeded => ([types::TIME_EXCEEDED_V6, 0], 0),
            Self::ReassemblyTimeExceeded => ([types::TIME_EXCEEDED_V6, 1], 0),
            Self::ProtocolUnreachable { pointer } => ([types::PARAMETER_PROBLEM_V6, 1], pointer),
            Self::Parameter { problem, pointer } => ([types::PARAMETER_PROBLEM_V6, problem.code()], pointer),
        };
        (kind, word.to_be_bytes())
    }
}

const fn echo_word(identifier: u16, sequence: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (identifier.to_be_bytes(), sequence.to_be_bytes());
    [a, b, c, d]
}

/// Appends a message with its checksum.
pub(crate) fn message(
    into: &mut Vec<u8>,
    source: IpAddr,
    destination: IpAddr,
    [number, code]: [u8; 2],
    word: [u8; 4],
    rest: &[u8],
) {
    let start = into.len();
    into.reserve(HEADER + rest.len());
    into.extend([number, code, 0, 0]);
    into.extend(word);
    into.extend_from_slice(rest);
    if let Some(written) = into.get_mut(start..) {
        let sum = checksum(source, destination, written).to_be_bytes();
        if let Some(field) = written.get_mut(2..4) {
            field.copy_from_slice(&sum);
        }
    }
}
