//! When a host stays silent: about which packets no error is sent, and which sources are not believed.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::IpProtocol;

use super::write::Reason;
use super::{Carried, at, carried, types};
use crate::ip::headers::{Problem, upper_header};
use crate::wire::{IPV4_HEADER, IPV6_HEADER};

/// How a packet came, beside what it says itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Its frame was for many: to a multicast or broadcast hardware address.
    pub to_many: bool,
    /// This host sent it to itself.
    pub from_loopback: bool,
}

/// Why no error is sent about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// It has no whole header of a known version.
    #[error("it is no packet")]
    Malformed,
    /// It is an ICMP error or a redirect itself, or what may be one, as behind too many extension headers: two hosts would otherwise never stop.
    #[error("it is an error itself")]
    AboutError,
    /// It was for many, who would all answer.
    #[error("it was for many")]
    ToMany,
    /// It is a fragment other than the first. Its sender would be told once for each.
    #[error("it is a later fragment")]
    LaterFragment,
    /// Its source is not one host that could be told.
    #[error("its source is not one host")]
    Source,
}

/// Whether this host may send an error about a packet, which is given as it came, from its IP header on (RFC 1122
/// section 3.2.2, RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 (e)). Whether one more may leave now is told by the
/// [limiter](crate::ip::limiter).
///
/// `is_broadcast` tells the broadcast addresses of the networks that this host is in.
///
/// A later fragment over IPv6 may be told of as far as RFC 8200 section 4.5 asks for it: by a parameter problem, for
/// a length that is no multiple of 8 or that goes beyond 65,535 bytes.
///
/// # Errors
/// Why it may not: see [`Silence`].
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
        // Of a type that is not known nobody can say that it is no error.
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
    // The exceptions of RFC 4443 section 2.4 (e.3): path MTU discovery works for groups as well, and so do new
    // options.
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
    // Extension headers that go on further than anybody looks may hide an error.
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

/// Whether no honest wire brings a packet with these addresses: it is to be dropped before anything else is done with
/// it.
///
/// Not believed are, as sources, this host's own addresses, unless this host sent the packet itself, and what stands
/// for no one host: groups, broadcast, what is reserved, 0.0.0.0 and `::` but for what a host sends that has no
/// address yet; and, as either, loopback addresses from outside and IPv4 addresses mapped into IPv6 (RFC 1122 section
/// 3.2.1.3, RFC 4291 sections 2.5 and 2.7, RFC 6890 sections 2.2.2 and 2.2.3).
///
/// `own` tells this host's addresses, and those that stand for broadcast in its networks. `protocol` is what the
/// packet carries after its extension headers.
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

/// What a host sends before it has an address: DHCP (RFC 2131 section 4.1), and reports and queries of groups (RFC
/// 3376 section 4.2.13, RFC 4541 section 2.1.1).
fn is_beginning_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: IpProtocol) -> bool {
    source.is_unspecified()
        && match protocol {
            IpProtocol::Udp => destination.is_broadcast(),
            IpProtocol::Igmp => destination.is_multicast(),
            _ => false,
        }
}

/// The same over IPv6: duplicate address detection, solicitations of routers, and reports of groups, all to groups of
/// the link (RFC 4861 sections 4.1 and 4.3, RFC 3590 section 4).
fn is_beginning_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: IpProtocol) -> bool {
    let [first, second, ..] = destination.octets();
    source.is_unspecified() && protocol == IpProtocol::Icmpv6 && first == 0xff && second & 0x0f == 2
}

/// Groups of the interface alone come from no link, and those of scope 0 from nowhere (RFC 4291 section 2.7).
fn is_out_of_scope(destination: Ipv6Addr, from_loopback: bool) -> bool {
    let [first, second, ..] = destination.octets();
    first == 0xff && (second & 0x0f == 0 || (second & 0x0f == 1 && !from_loopback))
}

/// Whether an address may stand for one host.
const fn is_host_v4(address: Ipv4Addr) -> bool {
    address.octets()[0] != 0 && !address.is_multicast() && !is_class_e(address)
}

const fn is_host_v6(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && address.to_ipv4_mapped().is_none()
}

/// 240.0.0.0/4, with the limited broadcast.
const fn is_class_e(address: Ipv4Addr) -> bool {
    address.octets()[0] >= 240
}

/// The types that ask or answer: echo, router discovery, timestamp, information, address mask, extended echo (RFC
/// 792, RFC 950, RFC 1256, RFC 8335).
const fn is_query_v4(number: u8) -> bool {
    matches!(number, 0 | 8..=10 | 13..=18 | 42 | 43)
}
