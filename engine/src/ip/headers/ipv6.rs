//! The IPv6 header and the chain of extension headers after it.

use core::net::Ipv6Addr;
use core::ops::Range;

use smoltcp::wire::IpProtocol;

use super::{FRAGMENT_HEADER, Fragment, Packet, Problem, Refusal, octet, pair};
use crate::wire::{Ecn, IPV6_HEADER};

/// The most extension headers before the upper-layer header. A host may set such a limit (RFC 8504 section 5.3). No
/// honest packet has more, and a packet with more is dropped silently.
pub(crate) const EXTENSIONS: usize = 8;

/// The offset of the next header field in the IPv6 header.
const NEXT_HEADER: usize = 6;
const DESTINATION: usize = 24;

/// Option types (RFC 8200 section 4.2, RFC 2711).
const PAD_1: u8 = 0;
const ROUTER_ALERT: u8 = 5;

/// A position in the chain of headers.
#[derive(Clone, Copy)]
struct Chain<'a> {
    bytes: &'a [u8],
    /// The protocol of the header that begins at `at`, and the offset of the octet that names it.
    protocol: IpProtocol,
    named_at: usize,
    at: usize,
}

/// Parses a packet (RFC 8200 sections 3 and 4).
pub(super) fn parse(packet: &[u8]) -> Result<Packet<'_>, Refusal> {
    let &[v0, v1, _, _, l0, l1, next, hop_limit] = packet.first_chunk().ok_or(Refusal::Malformed)?;
    let length = IPV6_HEADER + usize::from(u16::from_be_bytes([l0, l1]));
    let bytes = packet.get(..length).ok_or(Refusal::Malformed)?;
    let destination = address(bytes, DESTINATION)?;
    let traffic_class = v0 << 4 | v1 >> 4;
    let mut packet = Packet {
        bytes,
        source: address(bytes, DESTINATION - 16)?.into(),
        destination: destination.into(),
        protocol: IpProtocol::from(next),
        protocol_at: NEXT_HEADER,
        hop_limit,
        traffic_class,
        ecn: Ecn::from_bits(traffic_class),
        payload_at: IPV6_HEADER,
        fragment: None,
        router_alert: None,
    };
    let mut chain = Chain { bytes, protocol: packet.protocol, named_at: NEXT_HEADER, at: IPV6_HEADER };
    for _ in 0..=EXTENSIONS {
        match chain.protocol {
            // It may only come first (RFC 8200 section 4.1). Elsewhere it counts as an unrecognized next header.
            IpProtocol::HopByHop if chain.named_at != NEXT_HEADER => {
                return Err(Refusal::problem(chain.named_at, Problem::NextHeader));
            }
            IpProtocol::HopByHop | IpProtocol::Ipv6Opts => {
                let is_hop_by_hop = chain.protocol == IpProtocol::HopByHop;
                let alert = parse_options(bytes, chain.at + 2..chain.end()?, destination.is_multicast())?;
                packet.router_alert = packet.router_alert.or(alert.filter(|_| is_hop_by_hop));
            }
            IpProtocol::Ipv6Route => {
                chain.end()?;
                // No routing type is supported, so a routing header with segments left is refused, including type 0
                // (RFC 8200 section 4.4, RFC 5095 section 3).
                if octet(bytes, chain.at + 3) != Some(0) {
                    return Err(Refusal::problem(chain.at + 2, Problem::Field));
                }
            }
            IpProtocol::Ipv6Frag => {
                let fragment = chain.fragment()?;
                packet.fragment = Some(fragment);
                if fragment.offset != 0 || fragment.more {
                    chain = chain.next()?;
                    if fragment.offset == 0 && !chain.is_complete() {
                        return Err(Refusal::problem(0, Problem::IncompleteChain));
                    }
                    return Ok(chain.finish(packet));
                }
            }
            _ => return Ok(chain.finish(packet)),
        }
        chain = chain.next()?;
    }
    Err(Refusal::Malformed)
}

impl<'a> Chain<'a> {
    /// The end of the current extension header. If it extends beyond the packet, its length field is wrong (RFC 4443
    /// section 3.4).
    fn end(&self) -> Result<usize, Refusal> {
        let end = match self.protocol {
            IpProtocol::Ipv6Frag => self.at + FRAGMENT_HEADER,
            _ => self.at + (usize::from(octet(self.bytes, self.at + 1).ok_or(Refusal::Malformed)?) + 1) * 8,
        };
        match self.bytes.get(self.at..end) {
            Some(_) => Ok(end),
            None if self.protocol == IpProtocol::Ipv6Frag => Err(Refusal::Malformed),
            None => Err(Refusal::problem(self.at + 1, Problem::Field)),
        }
    }

    /// The chain after the current extension header.
    fn next(self) -> Result<Self, Refusal> {
        let protocol = octet(self.bytes, self.at).ok_or(Refusal::Malformed)?.into();
        Ok(Self { bytes: self.bytes, protocol, named_at: self.at, at: self.end()? })
    }

    /// The packet, with the current position as the begin of its payload.
    fn finish(self, packet: Packet<'a>) -> Packet<'a> {
        Packet { protocol: self.protocol, protocol_at: self.named_at, payload_at: self.at, ..packet }
    }

    /// The fields of the current Fragment header.
    fn fragment(&self) -> Result<Fragment, Refusal> {
        let header = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<FRAGMENT_HEADER>);
        let &[_, _, o0, o1, identification @ ..] = header.ok_or(Refusal::Malformed)?;
        let field = u16::from_be_bytes([o0, o1]);
        Ok(Fragment {
            identification: u32::from_be_bytes(identification),
            // The offset is the upper 13 bits of the field, in units of eight octets. With the other bits masked, the
            // field is the offset in octets.
            offset: usize::from(field & !0b111),
            more: field & 1 != 0,
            dont_fragment: true,
            header_at: self.at,
            named_at: self.named_at,
        })
    }

    /// Whether all headers up to the upper-layer header are complete, as a first fragment requires (RFC 7112 section
    /// 5). See [`upper_header`] for how much of the upper-layer header is required.
    fn is_complete(mut self) -> bool {
        for _ in 0..=EXTENSIONS {
            match (upper_header(self.protocol), self.next()) {
                (Some(length), _) => return self.bytes.len() >= self.at + length,
                (None, Ok(next)) => self = next,
                (None, Err(_)) => return false,
            }
        }
        false
    }
}

/// How many bytes of an upper-layer header must be in a first fragment; `None` for an extension header that another
/// header follows.
pub(crate) fn upper_header(protocol: IpProtocol) -> Option<usize> {
    match protocol {
        IpProtocol::HopByHop | IpProtocol::Ipv6Opts | IpProtocol::Ipv6Route | IpProtocol::Ipv6Frag => None,
        IpProtocol::Ipv6NoNxt => Some(0),
        IpProtocol::Tcp => Some(20),
        IpProtocol::Udp | IpProtocol::Icmpv6 => Some(8),
        _ => Some(1),
    }
}

/// Checks the options of a header, and returns the value of a router alert. The upper two bits of the type of an
/// unknown option determine what happens to the packet (RFC 8200 section 4.2). The jumbo payload option counts as
/// unknown: only nodes on links with an MTU above 65,575 octets must support it (RFC 2675 section 3).
fn parse_options(bytes: &[u8], range: Range<usize>, is_multicast: bool) -> Result<Option<u16>, Refusal> {
    let (options, mut at) = (bytes.get(..range.end).ok_or(Refusal::Malformed)?, range.start);
    let mut router_alert = None;
    while let Some(kind) = octet(options, at) {
        if kind == PAD_1 {
            at += 1;
            continue;
        }
        let length = octet(options, at + 1).ok_or(Refusal::problem(at, Problem::Field))?;
        let end = at + 2 + usize::from(length);
        if end > options.len() {
            return Err(Refusal::problem(at + 1, Problem::Field));
        }
        if kind == ROUTER_ALERT && length == 2 {
            router_alert = pair(options, at + 2);
        }
        // All options that may be skipped have types that begin with 00: padding, router alert, and unknown ones.
        match kind >> 6 {
            0b00 => at = end,
            0b10 => return Err(Refusal::problem(at, Problem::Option)),
            0b11 if !is_multicast => return Err(Refusal::problem(at, Problem::Option)),
            _ => return Err(Refusal::Malformed),
        }
    }
    Ok(router_alert)
}

fn address(bytes: &[u8], at: usize) -> Result<Ipv6Addr, Refusal> {
    let octets: Option<&[u8; 16]> = bytes.get(at..).and_then(<[u8]>::first_chunk);
    octets.copied().map(Ipv6Addr::from).ok_or(Refusal::Malformed)
}
