//! Parsing of received queries and reports. Messages that may come from another link are ignored.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use smoltcp::wire::{IpProtocol, checksum};

use super::Received;
use super::message::{
    ALL_NODES, ALL_SYSTEMS, IGMP_QUERY, IGMP_V1_REPORT, IGMP_V2_REPORT, MLD_QUERY, MLD_V1_REPORT, ROUTER_ALERT_V6,
};
use crate::wire::transport_checksum;

/// The response time of an IGMPv1 query, which does not contain one (RFC 2236 section 4).
const IGMP_V1_RESPONSE: Duration = Duration::from_secs(10);

/// The first multicast address. Addresses from here on are groups, reserved addresses and the broadcast address; lower
/// ones are hosts or the unspecified address.
const ALL_GROUPS: [u8; 4] = [224, 0, 0, 0];

/// A message that a host processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A query: a router asks for members.
    Query(Query),
    /// A report of another host in an older version. Hosts of newer versions do not process each other's reports.
    Report(IpAddr),
}

/// A query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// The group that is asked about; `None` for all groups.
    pub(super) group: Option<IpAddr>,
    /// The time in which the query must be answered.
    pub(super) max_response: Duration,
    /// The version and parameters of the querier.
    pub(super) querier: Querier,
}

/// The version and parameters of a querier, as its query tells them.
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
    /// An IGMPv2 query about one group: only a general query changes the version that hosts speak (RFC 3376 section
    /// 7.2.1).
    Unknown,
}

/// Parses an IGMP message; `None` if a host ignores it.
///
/// The message must come from this link, by its time to live, and from a host, or from a switch without an address. A
/// router alert is not required: RFC 3376 section 9.1 recommends to require it, but some queriers do not send it, and
/// Linux answers them.
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
        // A report is sent to its group (RFC 2236 section 3, RFC 1112 appendix I). Reports from the unspecified address
        // are ignored (RFC 2236 section 10).
        IGMP_V1_REPORT | IGMP_V2_REPORT => {
            let fits = group.is_multicast() && destination == group && !source.is_unspecified();
            fits.then_some(Message::Report(group.into()))
        }
        _ => None,
    }
}

/// The length, and whether there is a response time, determine the version (RFC 3376 section 7.1).
fn read_igmp_query(message: &[u8], group: Ipv4Addr, destination: Ipv4Addr) -> Option<Message> {
    let code = *message.get(1)?;
    let mut asked = asked_group(group.into(), destination.into(), ALL_SYSTEMS.into())?;
    let (max_response, querier) = match (message.len(), code) {
        (8, 0) => {
            // IGMPv1 has only general queries (RFC 1112 appendix I).
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

/// Parses an MLD message; `None` if a host ignores it.
///
/// The message must come from this link, by its hop limit, its link-local source and the router alert (RFC 3810
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
        // A report is sent to its group (RFC 2710 section 3).
        MLD_V1_REPORT => (group.is_multicast() && destination == group).then_some(Message::Report(group.into())),
        _ => None,
    }
}

/// The length determines the version (RFC 3810 section 8.1).
fn read_mld_query(message: &[u8], group: Ipv6Addr, destination: Ipv6Addr) -> Option<Message> {
    let code = u16::from_be_bytes(*message.get(4..6)?.first_chunk()?);
    let group = asked_group(group.into(), destination.into(), ALL_NODES.into())?;
    let (max_response, querier) = match message.len() {
        24 => (u32::from(code), Querier::Older),
        28.. => {
            // A code with the highest bit set has three bits of exponent and twelve of mantissa (RFC 3810 section
            // 5.1.3).
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

/// The group that a query asks about: `Some(None)` for a general query, and `None` if the query is invalid. A general
/// query is sent to all hosts, a query about a group to all hosts or to the group (RFC 3376 section 4.1.12, RFC 3810
/// section 5.1.15). Queries to a unicast address, which those sections allow for debugging, are not accepted.
fn asked_group(group: IpAddr, destination: IpAddr, all: IpAddr) -> Option<Option<IpAddr>> {
    if group.is_unspecified() {
        return (destination == all).then_some(None);
    }
    (group.is_multicast() && (destination == all || destination == group)).then_some(Some(group))
}

/// Parses the fields after the group in a query of the newest version: flags and robustness, query interval, number of
/// sources, and sources (RFC 3376 section 4.1, RFC 3810 section 5.1). `None` if there are fewer sources than the number
/// says.
fn newest_querier(fields: &[u8], source_length: usize) -> Option<Querier> {
    let [flags, interval, sources @ ..] = *fields.first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes(sources)) * source_length;
    fields.get(4..)?.get(..length)?;
    let interval = Duration::from_secs(u64::from(floating_point(interval)));
    Some(Querier::Newest { robustness: flags & 0b111, interval })
}

/// The value of an octet code: with the highest bit set it has three bits of exponent and four of mantissa (RFC 3376
/// sections 4.1.1 and 4.1.7, RFC 3810 section 5.1.9).
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
