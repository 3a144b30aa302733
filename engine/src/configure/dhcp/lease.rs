//! Leases: parsing, and checking whether they can be used.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use smoltcp::wire::{IpCidr, Ipv4Cidr};
use thiserror::Error;

use super::message::{Kind, Reply};
use super::names;
use super::options::code;
use crate::random::Random;
use crate::time::Instant;

#[cfg(test)]
mod tests;

/// How many items of each list of a lease are kept: routers, routes, servers, names.
pub(super) const MOST: usize = 16;
/// The lease time that means "for ever" (RFC 2131 section 3.3).
const INFINITE: u32 = u32::MAX;
/// The lease time in seconds if the server does not send one although it must (RFC 2131 table 3).
const UNSAID: u32 = 120;
/// The minimum MTU (RFC 2132 section 5.1).
const NARROWEST: u16 = 68;

/// Why an offer, a lease or a refusal is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Nonsense {
    /// The source address of the datagram is not one that a host can have.
    #[error("it comes from an address that no server can have")]
    Source,
    /// There is no server identifier (option 54), or no host can have it. Without one nothing can be requested, renewed
    /// or released (RFC 2131 section 4.3.1).
    #[error("it names no server")]
    Server,
    /// A lease has no subnet mask (option 1). An offer does not need one.
    #[error("the mask is missing")]
    MaskMissing,
    /// The one bits of the subnet mask are not contiguous.
    #[error("the mask has holes")]
    MaskHoles,
    /// The subnet mask is 0.0.0.0.
    #[error("everything is on its link")]
    MaskEmpty,
    /// No host can have the address, or it is its network's own address, the broadcast address, or the server's own.
    #[error("no host can have the address")]
    Address,
    /// The first router (option 3) has an address that no router can have, or the leased address.
    #[error("no router can have the router's address")]
    Router,
    /// The lease time is zero.
    #[error("it is lent for no time")]
    Lifetime,
}

/// A route of a lease (RFC 3442).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticRoute {
    /// The prefix of the destinations.
    pub destination: IpCidr,
    /// The router, which may be outside the lease's network; `None` if the destinations are on-link.
    pub gateway: Option<Ipv4Addr>,
}

/// A lease.
///
/// Lists are in the server's order of preference, without duplicates and addresses that no host can have. At most 16
/// items of each list are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// The length of its network prefix, 1 to 32. With 32, routers are on-link although no prefix covers them.
    pub prefix: u8,
    /// The server identifier, which unicast messages to the server are sent to (RFC 2131 section 4.1).
    pub server: Ipv4Addr,
    /// The default routers (option 3). Empty if the server sends [routes](Self::routes) (RFC 3442: option 3 is ignored
    /// if there is option 121).
    pub routers: Vec<Ipv4Addr>,
    /// The routes (option 121), which may contain a default route.
    pub routes: Vec<StaticRoute>,
    /// Recursive DNS servers (option 6).
    pub dns_servers: Vec<Ipv4Addr>,
    /// The domain of this host (option 15), in lower case and without the final dot.
    pub domain: Option<String>,
    /// The search domains (option 119), in the same form.
    pub search: Vec<String>,
    /// The MTU of the link in bytes, at least 68 (option 26).
    pub mtu: Option<u16>,
    /// NTP servers (option 42).
    pub ntp_servers: Vec<Ipv4Addr>,
    /// When the lease was requested. The times below count from then (RFC 2131 section 4.4.1).
    pub since: Instant,
    /// The lease time; `None` for ever.
    pub lifetime: Option<Duration>,
    /// T1: when the server of the lease is asked to extend it; `None` for never.
    pub renewal: Option<Duration>,
    /// T2, after T1 and before the end: when any server is asked to extend it; `None` for never.
    pub rebinding: Option<Duration>,
}

impl Lease {
    /// The address with the length of its prefix.
    #[must_use]
    pub const fn cidr(&self) -> IpCidr {
        // The prefix is at most 32, because it was counted from a mask; the check avoids a panic.
        IpCidr::Ipv4(Ipv4Cidr::new(self.address, if self.prefix > 32 { 32 } else { self.prefix }))
    }

    /// The search domains: the list of option 119, or, if there is none, the domain of this host (RFC 3397 section 2).
    pub fn search_domains(&self) -> impl Iterator<Item = &str> {
        let domain = self.domain.iter().filter(|_| self.search.is_empty());
        self.search.iter().chain(domain).map(String::as_str)
    }

    /// When the lease ends; `None` for never.
    #[must_use]
    pub fn expires(&self) -> Option<Instant> {
        self.lifetime.map(|lifetime| self.since + lifetime)
    }

    /// When T1 is; `None` for never.
    #[must_use]
    pub fn renews(&self) -> Option<Instant> {
        self.renewal.map(|renewal| self.since + renewal)
    }

    /// When T2 is; `None` for never.
    #[must_use]
    pub fn rebinds(&self) -> Option<Instant> {
        self.rebinding.map(|rebinding| self.since + rebinding)
    }
}

/// The server identifier of a message.
///
/// # Errors
/// [`Nonsense::Source`], [`Nonsense::Server`].
pub(super) fn server(reply: &Reply<'_>, source: Ipv4Addr) -> Result<Ipv4Addr, Nonsense> {
    if !is_host(source) {
        return Err(Nonsense::Source);
    }
    reply.fixed(code::SERVER).map(Ipv4Addr::from_octets).filter(|server| is_host(*server)).ok_or(Nonsense::Server)
}

/// Parses the lease in an offer or an acknowledgement, which was requested at `since`.
///
/// # Errors
/// See [`Nonsense`].
pub(super) fn read(
    reply: &Reply<'_>,
    source: Ipv4Addr,
    since: Instant,
    random: &mut Random,
) -> Result<Lease, Nonsense> {
    let (server, address) = (server(reply, source)?, reply.address);
    let prefix = prefix(reply)?;
    if address == server || !is_host_of(address, address, prefix) {
        return Err(Nonsense::Address);
    }
    let is_router = |router: Ipv4Addr| router != address && is_host_of(router, address, prefix);
    let routes = routes(&reply.joined(code::ROUTES), is_router);
    let routers = if routes.is_some() { Vec::new() } else { octets(&reply.joined(code::ROUTERS)) };
    if routers.first().is_some_and(|router| !is_router(*router)) {
        return Err(Nonsense::Router);
    }
    let time = |code| reply.fixed(code).map(u32::from_be_bytes);
    let lifetime = match time(code::LIFETIME).unwrap_or(UNSAID) {
        0 => return Err(Nonsense::Lifetime),
        INFINITE => None,
        seconds => Some(Duration::from_secs(seconds.into())),
    };
    let seconds = |code| time(code).map(|seconds| Duration::from_secs(seconds.into()));
    let times = lifetime.map(|lifetime| times(lifetime, seconds(code::RENEWAL), seconds(code::REBINDING), random));
    Ok(Lease {
        address,
        prefix,
        server,
        routers: bounded(routers.into_iter().filter(|router| is_router(*router))),
        routes: routes.unwrap_or_default(),
        dns_servers: hosts(reply, code::DNS_SERVERS),
        domain: names::domain(&reply.joined(code::DOMAIN)),
        search: names::search_list(&reply.joined(code::SEARCH)),
        mtu: reply.fixed(code::MTU).map(u16::from_be_bytes).filter(|mtu| *mtu >= NARROWEST),
        ntp_servers: hosts(reply, code::NTP_SERVERS),
        since,
        lifetime,
        renewal: times.map(|(renewal, _)| renewal),
        rebinding: times.map(|(_, rebinding)| rebinding),
    })
}

/// Whether a host on a link can have an address: not "this network", loopback, multicast or reserved addresses (RFC
/// 6890).
pub(super) const fn is_host(address: Ipv4Addr) -> bool {
    !matches!(address.octets()[0], 0 | 127 | 224..)
}

/// As [`is_host`], but the network is known too: the address must be neither the network's own nor its broadcast
/// address. A network of two addresses has neither (RFC 3021).
fn is_host_of(address: Ipv4Addr, of: Ipv4Addr, prefix: u8) -> bool {
    let host_bits = !mask(prefix);
    let is_within = (address.to_bits() ^ of.to_bits()) & !host_bits == 0;
    let host = address.to_bits() & host_bits;
    is_host(address) && (prefix >= 31 || !is_within || (host != 0 && host != host_bits))
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32u32.saturating_sub(prefix.into())).unwrap_or(0)
}

fn prefix(reply: &Reply<'_>) -> Result<u8, Nonsense> {
    match reply.fixed(code::MASK).map(u32::from_be_bytes) {
        Some(0) => Err(Nonsense::MaskEmpty),
        Some(mask) if mask.leading_ones() == mask.count_ones() => Ok(mask.leading_ones() as u8),
        Some(_) => Err(Nonsense::MaskHoles),
        // An offer need not contain everything that the lease will contain.
        None if reply.kind() == Some(Kind::Offer) => Ok(32),
        None => Err(Nonsense::MaskMissing),
    }
}

/// T1 and T2. The server's values are used if they are in order between zero and the lease time. Otherwise they are
/// half and seven eighths of the lease time, minus a random part of up to a sixteenth: clients that started together,
/// for example after a power failure, should not renew together (RFC 2131 section 4.4.5).
fn times(
    lifetime: Duration,
    renewal: Option<Duration>,
    rebinding: Option<Duration>,
    random: &mut Random,
) -> (Duration, Duration) {
    let mut fuzz = |time: Duration| time - time / 16 * random.below(1 << 16) / (1 << 16);
    let between = |time: &Duration, end: Duration| !time.is_zero() && *time < end;
    let rebinding = rebinding.filter(|time| between(time, lifetime)).unwrap_or_else(|| fuzz(lifetime - lifetime / 8));
    let renewal = renewal.filter(|time| between(time, rebinding)).unwrap_or_else(|| fuzz(lifetime / 2));
    // The server's T2 may be before half of the lease time.
    (if renewal < rebinding { renewal } else { rebinding / 2 }, rebinding)
}

/// The routes of option 121 (RFC 3442), without those through an invalid router. `None` if the option is missing or
/// malformed, so that option 3 is used.
fn routes(mut data: &[u8], is_router: impl Fn(Ipv4Addr) -> bool) -> Option<Vec<StaticRoute>> {
    let mut routes = Vec::new();
    if data.is_empty() {
        return None;
    }
    while let Some((prefix, rest)) = data.split_first() {
        let significant = usize::from(prefix.div_ceil(8));
        if *prefix > 32 {
            return None;
        }
        let (number, rest) = rest.split_at_checked(significant)?;
        let (gateway, rest) = rest.split_first_chunk::<4>()?;
        let mut octets = [0; 4];
        octets.iter_mut().zip(number).for_each(|(octet, number)| *octet = *number);
        // Bits after the mask are ignored.
        let destination = Ipv4Addr::from_bits(u32::from_be_bytes(octets) & mask(*prefix));
        let gateway = Some(Ipv4Addr::from_octets(*gateway)).filter(|gateway| !gateway.is_unspecified());
        let is_possible = *prefix == 0 || !matches!(destination.octets()[0], 127 | 224..);
        if is_possible && gateway.is_none_or(&is_router) {
            routes.push(StaticRoute { destination: IpCidr::Ipv4(Ipv4Cidr::new(destination, *prefix)), gateway });
        }
        data = rest;
    }
    Some(bounded(routes.into_iter()))
}

/// The addresses in an option, without those that no host can have.
fn hosts(reply: &Reply<'_>, code: u8) -> Vec<Ipv4Addr> {
    bounded(octets(&reply.joined(code)).into_iter().filter(|address| is_host(*address)))
}

fn octets(data: &[u8]) -> Vec<Ipv4Addr> {
    data.as_chunks().0.iter().copied().map(Ipv4Addr::from_octets).collect()
}

/// The first [`MOST`] distinct items.
fn bounded<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    for item in items {
        if kept.len() >= MOST {
            break;
        }
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}
