//! What a server lends, and whether it can be used.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use smoltcp::wire::{IpCidr, Ipv4Cidr};
use thiserror::Error;

use super::message::{Kind, Reply, code};
use super::names;
use crate::random::Random;
use crate::time::Instant;

#[cfg(test)]
mod tests;

/// How many of each are taken from a lease: routers, routes, servers, names.
pub(super) const MOST: usize = 16;
/// RFC 2131 section 3.3: for ever.
const INFINITE: u32 = u32::MAX;
/// For how long a lease is that does not say so although it must (RFC 2131 table 3).
const UNSAID: u32 = 120;
/// RFC 2132 section 5.1.
const NARROWEST: u16 = 68;

/// Why an offer, a lease or a refusal of a server is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Nonsense {
    /// The datagram's source is no address that a host can have.
    #[error("it comes from an address that no server can have")]
    Source,
    /// There is no server identifier (option 54), or no host can have it. Without one nothing can be requested,
    /// renewed or released (RFC 2131 section 4.3.1).
    #[error("it names no server")]
    Server,
    /// A lease has no subnet mask (option 1). An offer need not have one.
    #[error("the mask is missing")]
    MaskMissing,
    /// The ones of the subnet mask are not all in front.
    #[error("the mask has holes")]
    MaskHoles,
    /// The subnet mask is 0.0.0.0.
    #[error("everything is on its link")]
    MaskEmpty,
    /// No host can have the address, or it is that of its network, the broadcast address or the server's own.
    #[error("no host can have the address")]
    Address,
    /// No router can have the address of the first router (option 3), or it is the address that is lent.
    #[error("no router can have the router's address")]
    Router,
    /// It is lent for no time.
    #[error("it is lent for no time")]
    Lifetime,
}

/// A route of a lease (RFC 3442).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticRoute {
    /// The destinations, by the address of their network.
    pub destination: IpCidr,
    /// The router, which the lease's own network need not hold; `None` where the destinations are on the link.
    pub gateway: Option<Ipv4Addr>,
}

/// What a server lends, and until when.
///
/// Lists are in the server's order of preference, without what no host can have and without what they hold already.
/// Of each, the first 16 are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// The length of its network's prefix, 1 to 32. With 32, routers are on the link although no prefix says so.
    pub prefix: u8,
    /// The server, by the identifier that unicast messages to it go to (RFC 2131 section 4.1).
    pub server: Ipv4Addr,
    /// Routers for everything else (option 3). Empty where the server says which [routes](Self::routes) there are (RFC
    /// 3442: option 3 is ignored beside 121).
    pub routers: Vec<Ipv4Addr>,
    /// Routes (option 121), a default route among them where there is one.
    pub routes: Vec<StaticRoute>,
    /// Recursive DNS servers (option 6).
    pub dns_servers: Vec<Ipv4Addr>,
    /// The domain of this host (option 15), in lower case and without the root's dot.
    pub domain: Option<String>,
    /// Domains in which names are looked for (option 119), written alike.
    pub search: Vec<String>,
    /// The MTU of the link in bytes, at least 68 (option 26).
    pub mtu: Option<u16>,
    /// NTP servers (option 42).
    pub ntp_servers: Vec<Ipv4Addr>,
    /// When the lease was asked for, which is when the times below begin (RFC 2131 section 4.4.1).
    pub since: Instant,
    /// For how long it is lent; `None` for ever.
    pub lifetime: Option<Duration>,
    /// T1: after so long its server is asked to extend it; `None` for never.
    pub renewal: Option<Duration>,
    /// T2, later than T1 and before the end: after so long any server is; `None` for never.
    pub rebinding: Option<Duration>,
}

impl Lease {
    /// The address with the length of its prefix.
    #[must_use]
    pub const fn cidr(&self) -> IpCidr {
        // A prefix that a mask was counted from is none that panics.
        IpCidr::Ipv4(Ipv4Cidr::new(self.address, if self.prefix > 32 { 32 } else { self.prefix }))
    }

    /// The domains in which names are looked for: the list of option 119, or where there is none the domain of this host
    /// (RFC 3397 section 2).
    pub fn search_domains(&self) -> impl Iterator<Item = &str> {
        let domain = self.domain.iter().filter(|_| self.search.is_empty());
        self.search.iter().chain(domain).map(String::as_str)
    }

    /// When it is over; `None` for never.
    #[must_use]
    pub fn expires(&self) -> Option<Instant> {
        self.lifetime.map(|lifetime| self.since + lifetime)
    }

    /// When T1 is.
    #[must_use]
    pub fn renews(&self) -> Option<Instant> {
        self.renewal.map(|renewal| self.since + renewal)
    }

    /// When T2 is.
    #[must_use]
    pub fn rebinds(&self) -> Option<Instant> {
        self.rebinding.map(|rebinding| self.since + rebinding)
    }
}

/// The server that a message names.
///
/// # Errors
/// [`Nonsense::Source`], [`Nonsense::Server`].
pub(super) fn server(reply: &Reply<'_>, source: Ipv4Addr) -> Result<Ipv4Addr, Nonsense> {
    if !is_host(source) {
        return Err(Nonsense::Source);
    }
    reply.fixed(code::SERVER).map(Ipv4Addr::from_octets).filter(|server| is_host(*server)).ok_or(Nonsense::Server)
}

/// What an offer or a lease lends, asked for at `since`.
///
/// # Errors
/// What is wrong with it.
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

/// Whether a host on a link can have an address: not "this network", nor this host, nor a group, nor what is reserved
/// (RFC 6890).
pub(super) const fn is_host(address: Ipv4Addr) -> bool {
    !matches!(address.octets()[0], 0 | 127 | 224..)
}

/// As [`is_host`], with the network known: neither its own address nor its broadcast address. A network of two has
/// neither (RFC 3021).
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
        // An offer need not say all that will be lent.
        None if reply.kind() == Some(Kind::Offer) => Ok(32),
        None => Err(Nonsense::MaskMissing),
    }
}

/// T1 and T2. A server's are taken where they lie in their order between the begin and the end; else they are half and
/// seven eighths of the time, less up to a sixteenth of that by chance: clients that began together, after a power
/// failure for instance, do not come together again (RFC 2131 section 4.4.5).
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
    // A server's T2 may come before the half.
    (if renewal < rebinding { renewal } else { rebinding / 2 }, rebinding)
}

/// The routes of option 121 (RFC 3442), but for those whose router cannot be one; `None` where the option is missing or
/// malformed, so that option 3 counts.
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
        // Bits behind the mask do not count.
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

/// The addresses of an option that hosts can have.
fn hosts(reply: &Reply<'_>, code: u8) -> Vec<Ipv4Addr> {
    bounded(octets(&reply.joined(code)).into_iter().filter(|address| is_host(*address)))
}

fn octets(data: &[u8]) -> Vec<Ipv4Addr> {
    data.as_chunks().0.iter().copied().map(Ipv4Addr::from_octets).collect()
}

/// The first [`MOST`] that differ.
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
