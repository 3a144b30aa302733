//! The IPv4 header and its options.

use core::net::Ipv4Addr;

use smoltcp::wire::{IpProtocol, checksum};

use super::{Fragment, Packet, Problem, Refusal, octet, pair};
use crate::wire::{Ecn, IPV4_HEADER};

/// The offset of the protocol field.
const PROTOCOL: usize = 9;
/// The bits of the field with the flags and the fragment offset. The offset is in units of eight octets.
const DONT_FRAGMENT: u16 = 1 << 14;
const MORE_FRAGMENTS: u16 = 1 << 13;
const OFFSET: u16 = MORE_FRAGMENTS - 1;

/// Option types (RFC 791 section 3.1, RFC 2113).
const END_OF_LIST: u8 = 0;
const NO_OPERATION: u8 = 1;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;
/// The position of the first address in a source route option, counted from 1 as the option's pointer does.
const FIRST_ADDRESS: u8 = 4;

/// Parses a packet (RFC 791 section 3.1, RFC 1122 section 3.2.1).
pub(super) fn parse(packet: &[u8], verify: bool) -> Result<Packet<'_>, Refusal> {
    let fixed: &[u8; IPV4_HEADER] = packet.first_chunk().ok_or(Refusal::Malformed)?;
    let &[first, traffic_class, l0, l1, i0, i1, f0, f1, hop_limit, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
        fixed;
    let payload_at = usize::from(first & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes([l0, l1]));
    if payload_at < IPV4_HEADER || total < payload_at {
        return Err(Refusal::Malformed);
    }
    let bytes = packet.get(..total).ok_or(Refusal::Malformed)?;
    let header = bytes.get(..payload_at).ok_or(Refusal::Malformed)?;
    if verify && checksum::data(header) != u16::MAX {
        return Err(Refusal::Malformed);
    }
    let router_alert = parse_options(header)?;
    let flags = u16::from_be_bytes([f0, f1]);
    Ok(Packet {
        bytes,
        source: Ipv4Addr::new(s0, s1, s2, s3).into(),
        destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
        protocol: IpProtocol::from(protocol),
        protocol_at: PROTOCOL,
        hop_limit,
        traffic_class,
        ecn: Ecn::from_bits(traffic_class),
        payload_at,
        fragment: Some(Fragment {
            identification: u16::from_be_bytes([i0, i1]).into(),
            offset: usize::from(flags & OFFSET) * 8,
            more: flags & MORE_FRAGMENTS != 0,
            dont_fragment: flags & DONT_FRAGMENT != 0,
            header_at: 0,
            named_at: PROTOCOL,
        }),
        router_alert,
    })
}

/// Checks the options, and returns the value of a router alert. A host ignores options that it does not know (RFC 1122
/// section 3.2.1.8).
fn parse_options(header: &[u8]) -> Result<Option<u16>, Refusal> {
    let (mut at, mut router_alert) = (IPV4_HEADER, None);
    while let Some(kind) = octet(header, at) {
        match kind {
            END_OF_LIST => break,
            NO_OPERATION => at += 1,
            _ => {
                // If the header ends after the type octet, the error is at the type.
                let length = octet(header, at + 1).ok_or(Refusal::problem(at, Problem::Field))?;
                let end = at + usize::from(length);
                if length < 2 || end > header.len() {
                    return Err(Refusal::problem(at + 1, Problem::Field));
                }
                match kind {
                    LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => check_source_route(header, at, length)?,
                    ROUTER_ALERT if length == 4 => router_alert = pair(header, at + 2),
                    _ => {}
                }
                at = end;
            }
        }
    }
    Ok(router_alert)
}

/// Checks that a source route is at its end: then its pointer is greater than its length, and the packet is for this
/// host (RFC 1122 section 3.2.1.8 c).
fn check_source_route(header: &[u8], at: usize, length: u8) -> Result<(), Refusal> {
    if length < FIRST_ADDRESS - 1 {
        return Err(Refusal::problem(at + 1, Problem::Field));
    }
    match octet(header, at + 2) {
        Some(pointer) if pointer > length => Ok(()),
        Some(pointer) if pointer >= FIRST_ADDRESS => Err(Refusal::NotForEndHost),
        Some(_) | None => Err(Refusal::problem(at + 2, Problem::Field)),
    }
}
