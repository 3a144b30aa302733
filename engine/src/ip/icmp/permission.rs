//! When a host must not send an ICMP error, and which source and destination addresses cannot be genuine (martians).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::IpProtocol;

use super::write::Reason;
use super::{Carried, at, carried, types};
use crate::ip::headers::{Problem, upper_header};
use crate::wire::{IPV4_HEADER, IPV6_HEADER};

/// How a packet arrived, beside what its own headers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Whether its frame was sent to a multicast or broadcast hardware address.
    pub to_many: bool,
    /// Whether this host sent the packet to itself.
    pub from_loopback: bool,
}

/// Why no error is sent about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// It has no complete header of a known version.
    #[error("it is no packet")]
    Malformed,
    /// It is an ICMP error or a redirect, or may be one, for example after too many extension headers. Otherwise two
    /// hosts might answer each other's errors for ever.
    #[error("it is an error itself")]
    AboutError,
    /// It was sent to many hosts, which would all answer.
    #[error("it was for many")]
    ToMany,
    /// It is a fragment other than the first. The sender would get an error for every fragment.
    #[error("it is a later fragment")]
    LaterFragment,
    /// Its source address does not identify a single host.
    #[error("its source is not one host")]
    Source,
}

/// Whether this host may send an error about a packet, given as it arrived, from its IP header on (RFC 1122 section
/// 3.2.2, RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 (e)). The [limiter](crate::ip::limiter) decides separately
/// about the rate.
///
/// `is_broadcast` returns whether an address is a directed broadcast address of a network of this host.
///
/// An error about a later IPv6 fragment is allowed if RFC 8200 section 4.5 asks for it: a parameter problem because its
/// length is not a multiple of 8, or because the packet would exceed 65,535 bytes.
///
/// # Errors
/// See [`Silence`].
pub fn may_report(
    packet: &[u8],
    reason: Reason,
    arrival: Arrival,
    is_broadcast: impl Fn(Ipv4Addr) -> bool,
) -> Result<(), Silence> {
    match packet.first().map(|first| first >> 4) {
        Some(4) => may_report_v4(packet, arrival, is_broadcast),
        Some(6) => may_report_v6(packet, reason, arrival),
        _ => Err(Silence::Malformed),
    }
}

fn may_report_v4(packet: &[u8], arrival: Arrival, is_broadcast: impl Fn(Ipv4Addr) -> bool) -> Result<(), Silence> {
    let header: [u8; IPV4_HEADER] = at(packet, 0).ok_or(Silence::Malformed)?;
    let address = |offset| at::<4>(&header, offset).map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from);
    let (source, destination) = (address(12), address(16));
    if arrival.to_many || destination.is_multicast() || destination.is_broadcast() || is_broadcast(destination) {
        return Err(Silence::ToMany);
    }
    let is_one = is_host_v4(source) && !is_broadcast(source) && (!source.is_loopback() || arrival.from_loopback);
    if !is_one {
        return Err(Silence::Source);
    }
    if u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0 {
        return Err(Silence::LaterFragment);
    }
    if IpProtocol::from(header[9]) == IpProtocol::Icmp {
        let length = usize::from(header[0] & 0x0f) * 4;
        // An ICMP message of unknown type may be an error.
        if !packet.get(length..).and_then(<[u8]>::first).copied().is_some_and(is_query_v4) {
            return Err(Silence::AboutError);
        }
    }
    Ok(())
}

fn may_report_v6(packet: &[u8], reason: Reason, arrival: Arrival) -> Result<(), Silence> {
    let header: [u8; IPV6_HEADER] = at(packet, 0).ok_or(Silence::Malformed)?;
    let address = |offset| at::<16>(&header, offset).map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from);
    let (source, destination) = (address(8), address(24));
    // The exceptions of RFC 4443 section 2.4 (e.3): path MTU discovery and unknown options are reported for multicast
    // packets as well.
    let is_exception = match reason {
        Reason::TooBig { mtu: _ } => true,
        Reason::Parameter { problem, pointer: _ } => problem == Problem::Option,
        Reason::NoRoute
        | Reason::AddressUnreachable
        | Reason::ProtocolUnreachable { pointer: _ }
        | Reason::PortUnreachable
        | Reason::Prohibited
        | Reason::BeyondScope
        | Reason::SourcePolicy
        | Reason::RejectRoute
        | Reason::SourceRouteFailed
        | Reason::HopLimitExceeded
        | Reason::ReassemblyTimeExceeded => false,
    };
    if !is_exception && (arrival.to_many || destination.is_multicast()) {
        return Err(Silence::ToMany);
    }
    let is_one = is_host_v6(source) && (!source.is_loopback() || arrival.from_loopback);
    if !is_one {
        return Err(Silence::Source);
    }
    let Carried { protocol, transport, is_first } = carried(header[6], packet.get(IPV6_HEADER..).unwrap_or_default());
    if !is_first {
        let is_asked_for = matches!(reason, Reason::Parameter { problem: Problem::Field, pointer: _ });
        return if is_asked_for { Ok(()) } else { Err(Silence::LaterFragment) };
    }
    // Extension headers beyond the limit may hide an ICMP error.
    if upper_header(protocol).is_none() && !transport.is_empty() {
        return Err(Silence::AboutError);
    }
    if protocol == IpProtocol::Icmpv6
        && !transport.first().is_some_and(|number| *number >= 128 && *number != types::REDIRECT_V6)
    {
        return Err(Silence::AboutError);
    }
    Ok(())
}

/// Whether a packet cannot have come with these addresses from an honest sender. Such a packet is dropped before any
/// other processing.
///
/// Invalid sources are this host's own addresses, unless this host sent the packet itself, and addresses that do not
/// identify a single host: multicast, broadcast and reserved addresses, 0.0.0.0 and `::`, except in the messages that a
/// host sends before it has an address. Invalid as source and as destination are loopback addresses that arrive from a
/// link, and IPv4-mapped IPv6 addresses (RFC 1122 section 3.2.1.3, RFC 4291 sections 2.5 and 2.7, RFC 6890 sections
/// 2.2.2 and 2.2.3).
///
/// `own` returns whether an address is this host's, or a broadcast address of its networks. `protocol` is the protocol
/// after the extension headers.
#[must_use]
pub fn is_martian(
    source: IpAddr,
    destination: IpAddr,
    protocol: IpProtocol,
    from_loopback: bool,
    own: impl Fn(IpAddr) -> bool,
) -> bool {
    if !from_loopback && (source.is_loopback() || destination.is_loopback() || own(source)) {
        return true;
    }
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let is_reserved = destination.octets()[0] == 0 || (is_class_e(destination) && !destination.is_broadcast());
            is_reserved || !(is_host_v4(source) || is_beginning_v4(source, destination, protocol))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let is_reserved = destination.is_unspecified()
                || destination.to_ipv4_mapped().is_some()
                || is_out_of_scope(destination, from_loopback);
            is_reserved || !(is_host_v6(source) || is_beginning_v6(source, destination, protocol))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => true,
    }
}

/// The messages that a host sends before it has an IPv4 address: DHCP (RFC 2131 section 4.1), and IGMP reports and
/// queries (RFC 3376 section 4.2.13, RFC 4541 section 2.1.1).
fn is_beginning_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: IpProtocol) -> bool {
    source.is_unspecified()
        && match protocol {
            IpProtocol::Udp => destination.is_broadcast(),
            IpProtocol::Igmp => destination.is_multicast(),
            _ => false,
        }
}

/// The same for IPv6: duplicate address detection, router solicitations and MLD reports, all sent to link-local groups
/// (RFC 4861 sections 4.1 and 4.3, RFC 3590 section 4).
fn is_beginning_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: IpProtocol) -> bool {
    let [first, second, ..] = destination.octets();
    source.is_unspecified() && protocol == IpProtocol::Icmpv6 && first == 0xff && second & 0x0f == 2
}

/// Whether a destination is an interface-local group that arrives from a link, or a group of the reserved scope 0 (RFC
/// 4291 section 2.7).
fn is_out_of_scope(destination: Ipv6Addr, from_loopback: bool) -> bool {
    let [first, second, ..] = destination.octets();
    first == 0xff && (second & 0x0f == 0 || (second & 0x0f == 1 && !from_loopback))
}

/// Whether an address may identify a single host.
const fn is_host_v4(address: Ipv4Addr) -> bool {
    address.octets()[0] != 0 && !address.is_multicast() && !is_class_e(address)
}

const fn is_host_v6(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && address.to_ipv4_mapped().is_none()
}

/// Whether an address is in 240.0.0.0/4, which includes the limited broadcast address.
const fn is_class_e(address: Ipv4Addr) -> bool {
    address.octets()[0] >= 240
}

/// The ICMP types of queries and replies: echo, router discovery, timestamp, information, address mask, extended echo
/// (RFC 792, RFC 950, RFC 1256, RFC 8335).
const fn is_query_v4(number: u8) -> bool {
    matches!(number, 0 | 8..=10 | 13..=18 | 42 | 43)
}
