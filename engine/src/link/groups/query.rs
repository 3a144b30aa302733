//! Queries and reports that others send, read and checked: nothing is believed that has not come from this link.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use smoltcp::wire::{IpProtocol, checksum};

use super::Received;
use super::message::{
    ALL_NODES, ALL_SYSTEMS, IGMP_QUERY, IGMP_V1_REPORT, IGMP_V2_REPORT, MLD_QUERY, MLD_V1_REPORT, ROUTER_ALERT_V6,
};
use crate::wire::transport_checksum;

/// How long a query of IGMPv1, which does not say, leaves for its answers (RFC 2236 section 4).
const IGMP_V1_RESPONSE: Duration = Duration::from_secs(10);

/// What is below is a host, or no address at all; above are groups, what is reserved, and the broadcast address.
const ALL_GROUPS: [u8; 4] = [224, 0, 0, 0];

/// A message that a host looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A router asks for members.
    Query(Query),
    /// Another host is a member of this group. It said so in an older version: newer ones do not listen to each other.
    Report(IpAddr),
}

/// A question for the members of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// The group that is asked about; all where there is none.
    pub(super) group: Option<IpAddr>,
    /// In how long it is to be answered at the latest.
    pub(super) max_response: Duration,
    /// Who asks.
    pub(super) querier: Querier,
}

/// What a query says of its querier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Querier {
    /// It speaks IGMPv3 or MLDv2.
    Newest {
        /// The Querier's Robustness Variable, from 0 to 7.
        robustness: u8,
        /// The Querier's Query Interval.
        interval: Duration,
    },
    /// It speaks IGMPv2 or MLDv1.
    Older,
    /// It speaks IGMPv1.
    Oldest,
    /// A query of IGMPv2 about one group: only a general one makes hosts speak that version (RFC 3376 section 7.2.1).
    Unknown,
}

/// Reads a message of IGMP; `None` where a host ignores it.
///
/// It came from this link, which its time to live says, and from a host, or from a switch that has no address. A router
/// alert is not demanded: RFC 3376 section 9.1 recommends to, but there are queriers without it, and Linux answers
/// them.
pub(super) fn read_igmp(received: &Received<'_>) -> Option<Message> {
    let message = received.message;
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (received.source, received.destination) else { return None };
    let is_host = source.octets() < ALL_GROUPS && !source.is_loopback();
    if received.hop_limit != 1 || !is_host || (received.verify && !checksum::data(message) != 0) {
        return None;
    }
    let group = Ipv4Addr::from(*message.get(4..8)?.first_chunk::<4>()?);
    match *message.first()? {
        IGMP_QUERY => read_igmp_query(message, group, destination),
        // It is sent to its group (RFC 2236 section 3, RFC 1112 appendix I). Whoever has no address is not believed
        // (RFC 2236 section 10).
        IGMP_V1_REPORT | IGMP_V2_REPORT => {
            let fits = group.is_multicast() && destination == group && !source.is_unspecified();
            fits.then_some(Message::Report(group.into()))
        }
        _ => None,
    }
}

/// The version is told by the length, and by whether there is a time (RFC 3376 section 7.1).
fn read_igmp_query(message: &[u8], group: Ipv4Addr, destination: Ipv4Addr) -> Option<Message> {
    let code = *message.get(1)?;
    let mut asked = asked_group(group.into(), destination.into(), ALL_SYSTEMS.into())?;
    let (max_response, querier) = match (message.len(), code) {
        (8, 0) => {
            // It knows no other queries than of all groups (RFC 1112 appendix I).
            asked = None;
            (IGMP_V1_RESPONSE, Querier::Oldest)
        }
        (8, _) => {
            let querier = if asked.is_none() { Querier::Older } else { Querier::Unknown };
            (tenths(u32::from(code)), querier)
        }
        (12.., _) => {
            let querier = newest_querier(message.get(8..)?, size_of::<Ipv4Addr>())?;
            (tenths(floating_point(code)), querier)
        }
        _ => return None,
    };
    Some(Message::Query(Query { group: asked, max_response, querier }))
}

/// Reads a message of MLD; `None` where a host ignores it.
///
/// It came from this link, which its hop limit, its link-local source and the router alert say (RFC 3810
/// sections 5.1.14 and 6.2; RFC 2710 section 4).
pub(super) fn read_mld(received: &Received<'_>) -> Option<Message> {
    let message = received.message;
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (received.source, received.destination) else { return None };
    if received.hop_limit != 1 || !source.is_unicast_link_local() || !alerts_routers(received.hop_by_hop) {
        return None;
    }
    let parts = core::iter::once(message);
    if received.verify
        && transport_checksum(source.into(), destination.into(), IpProtocol::Icmpv6, message.len(), parts) != 0
    {
        return None;
    }
    let group = Ipv6Addr::from(*message.get(8..24)?.first_chunk::<16>()?);
    match *message.first()? {
        MLD_QUERY => read_mld_query(message, group, destination),
        // It is sent to its group (RFC 2710 section 3).
        MLD_V1_REPORT => (group.is_multicast() && destination == group).then_some(Message::Report(group.into())),
        _ => None,
    }
}

/// The version is told by the length (RFC 3810 section 8.1).
fn read_mld_query(message: &[u8], group: Ipv6Addr, destination: Ipv6Addr) -> Option<Message> {
    let code = u16::from_be_bytes(*message.get(4..6)?.first_chunk()?);
    let group = asked_group(group.into(), destination.into(), ALL_NODES.into())?;
    let (max_response, querier) = match message.len() {
        24 => (u32::from(code), Querier::Older),
        28.. => {
            // One bit, three of an exponent and twelve of a mantissa (RFC 3810 section 5.1.3).
            let response = if code < 0x8000 {
                u32::from(code)
            } else {
                (u32::from(code & 0x0fff) | 0x1000) << (((code >> 12) & 0b111) + 3)
            };
            (response, newest_querier(message.get(24..)?, size_of::<Ipv6Addr>())?)
        }
        _ => return None,
    };
    Some(Message::Query(Query { group, max_response: Duration::from_millis(u64::from(max_response)), querier }))
}

/// The group that a query is about, if it is about one. One about all is sent to all hosts, one about a group to that
/// or to all; nothing but a group can be asked about (RFC 3376 section 4.1.12, RFC 3810 section 5.1.15). Queries sent
/// to a unicast address, which those sections have for finding faults, are not taken.
fn asked_group(group: IpAddr, destination: IpAddr, all: IpAddr) -> Option<Option<IpAddr>> {
    if group.is_unspecified() {
        return (destination == all).then_some(None);
    }
    (group.is_multicast() && (destination == all || destination == group)).then_some(Some(group))
}

/// What follows the group in a query of the newest version: flags and robustness, the interval, the number of sources,
/// and those (RFC 3376 section 4.1, RFC 3810 section 5.1). `None` where there are fewer sources than it says.
fn newest_querier(fields: &[u8], source_length: usize) -> Option<Querier> {
    let [flags, interval, sources @ ..] = *fields.first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes(sources)) * source_length;
    fields.get(4..)?.get(..length)?;
    let interval = Duration::from_secs(u64::from(floating_point(interval)));
    Some(Querier::Newest { robustness: flags & 0b111, interval })
}

/// One bit, three of an exponent and four of a mantissa (RFC 3376 sections 4.1.1 and 4.1.7, RFC 3810 section 5.1.9).
const fn floating_point(code: u8) -> u32 {
    if code < 0x80 { code as u32 } else { ((code & 0x0f) as u32 | 0x10) << (((code >> 4) & 0b111) + 3) }
}

fn tenths(count: u32) -> Duration {
    Duration::from_millis(u64::from(count) * 100)
}

/// Whether hop-by-hop options contain a router alert for MLD (RFC 2711 section 2.1).
fn alerts_routers(mut options: &[u8]) -> bool {
    const PAD1: u8 = 0;
    while let Some((kind, rest)) = options.split_first() {
        if *kind == PAD1 {
            options = rest;
            continue;
        }
        let Some((length, rest)) = rest.split_first() else { return false };
        let Some((value, rest)) = rest.split_at_checked(usize::from(*length)) else { return false };
        if *kind == ROUTER_ALERT_V6 && value == [0, 0] {
            return true;
        }
        options = rest;
    }
    false
}
