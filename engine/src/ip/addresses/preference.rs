//! Source address selection (RFC 6724 section 5), and its default policy table.

use core::cmp::Ordering;
use core::net::{IpAddr, Ipv6Addr};

use smoltcp::wire::IpAddress;

use super::{Address, Addresses, State, is_v4_mapped};
use crate::time::Instant;

/// The scope of an address, with the values of the scope field of multicast addresses (RFC 6724 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(u8);

impl Scope {
    /// One link. Loopback addresses have this scope too (RFC 6724 sections 3.2 and 3.4).
    pub const LINK_LOCAL: Self = Self(0x2);
    /// One site. Such addresses are deprecated (RFC 3879).
    pub const SITE_LOCAL: Self = Self(0x5);
    /// Global. All IPv4 addresses but link-local and loopback ones have this scope, including private ones (RFC 6724
    /// section 3.2).
    pub const GLOBAL: Self = Self(0xe);

    /// The scope of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) if address.is_loopback() || address.is_link_local() => Self::LINK_LOCAL,
            IpAddr::V4(_) => Self::GLOBAL,
            IpAddr::V6(address) => match address.octets() {
                [0xff, second, ..] => Self(second & 0xf),
                _ if address.is_loopback() || address.is_unicast_link_local() => Self::LINK_LOCAL,
                [0xfe, second, ..] if second & 0xc0 == 0xc0 => Self::SITE_LOCAL,
                _ => Self::GLOBAL,
            },
        }
    }
}

impl Addresses {
    /// The source address for `destination` (RFC 6724 section 5); `None` if there is none. `next_hop` is the
    /// destination itself if that is on-link. Of equal addresses, the one added first is chosen.
    ///
    /// Tentative and duplicated addresses are never chosen. Rule 4 (home addresses) does not apply here, nor does rule 5,
    /// because there is only one interface. A socket that is bound to an address needs no selection, because the RFC does
    /// not override applications: the caller only checks whether this host still [has](Self::is_local) the address.
    #[must_use]
    pub fn select(&self, destination: IpAddr, next_hop: IpAddr, now: Instant) -> Option<IpAddr> {
        self.select_among(destination, next_hop, now, |_| true)
    }

    /// As [`select`](Self::select), among the addresses for which `permits` is true.
    #[must_use]
    pub fn select_among(
        &self,
        destination: IpAddr,
        next_hop: IpAddr,
        now: Instant,
        permits: impl Fn(&Address) -> bool,
    ) -> Option<IpAddr> {
        if destination.is_unspecified() || is_v4_mapped(destination) {
            return None;
        }
        let candidates = self.iter().filter(|known| known.address().is_ipv4() == destination.is_ipv4());
        let candidates = candidates.filter(|known| permits(known)).filter_map(|known| {
            let is_deprecated = match known.state(now) {
                State::Preferred => false,
                State::Deprecated => true,
                State::Tentative | State::Duplicated => return None,
            };
            Some(Candidate::new(known, is_deprecated, destination, next_hop))
        });
        let better = |best: Candidate, next: Candidate| if next.compare(&best).is_gt() { next } else { best };
        candidates.reduce(better).map(|candidate| candidate.address)
    }
}

/// The properties of a source address that the rules compare, for one destination.
struct Candidate {
    address: IpAddr,
    /// Rule 1.
    is_destination: bool,
    /// Rule 2: its scope, and whether the scope is smaller than the destination's.
    scope: Scope,
    is_too_near: bool,
    /// Rule 3.
    is_deprecated: bool,
    /// Rule 5.5.
    suits_next_hop: bool,
    /// Rule 6.
    is_labelled_alike: bool,
    /// Rule 7.
    is_temporary: bool,
    /// Rule 8.
    common_prefix: u32,
}

impl Candidate {
    fn new(known: &Address, is_deprecated: bool, destination: IpAddr, next_hop: IpAddr) -> Self {
        let (address, scope) = (known.address(), known.scope());
        Self {
            address,
            is_destination: address == destination,
            scope,
            is_too_near: scope < Scope::of(destination),
            is_deprecated,
            suits_next_hop: suits(known, next_hop),
            is_labelled_alike: label(address) == label(destination),
            is_temporary: known.temporary,
            common_prefix: common_prefix(address, destination).min(known.cidr.prefix_len().into()),
        }
    }

    /// The greater candidate is the better one.
    fn compare(&self, other: &Self) -> Ordering {
        self.is_destination
            .cmp(&other.is_destination)
            .then_with(|| other.is_too_near.cmp(&self.is_too_near))
            // If both scopes are large enough, the smaller one is better; if neither is, the larger one is.
            .then_with(|| {
                let larger = self.scope.cmp(&other.scope);
                if self.is_too_near { larger } else { larger.reverse() }
            })
            .then_with(|| other.is_deprecated.cmp(&self.is_deprecated))
            .then_with(|| self.suits_next_hop.cmp(&other.suits_next_hop))
            .then_with(|| self.is_labelled_alike.cmp(&other.is_labelled_alike))
            .then_with(|| self.is_temporary.cmp(&other.is_temporary))
            .then_with(|| self.common_prefix.cmp(&other.common_prefix))
    }
}

/// Rule 5.5: whether the next hop forwards packets from an address, because the address's prefix contains the next hop,
/// or because the next hop advertised the prefix. IPv6 routers have link-local addresses, which say nothing about
/// prefixes that no router advertised: addresses of an administrator suit every router.
fn suits(known: &Address, next_hop: IpAddr) -> bool {
    if known.cidr.contains_addr(&IpAddress::from(next_hop)) {
        return true;
    }
    match next_hop {
        IpAddr::V4(_) => false,
        IpAddr::V6(router) if known.advertisers.is_empty() => router.is_unicast_link_local(),
        IpAddr::V6(router) => known.advertisers.contains(router),
    }
}

/// The entry of the default policy table for an address (RFC 6724 section 2.1): its precedence as a destination, and
/// its label.
#[must_use]
pub fn policy(address: IpAddr) -> (u8, u8) {
    let IpAddr::V6(address) = address else { return (35, 4) };
    match address.segments() {
        _ if address == Ipv6Addr::LOCALHOST => (50, 0),
        [0, 0, 0, 0, 0, 0xffff, ..] => (35, 4),
        [0, 0, 0, 0, 0, 0, ..] => (1, 3),
        [0x2001, 0, ..] => (5, 5),
        [0x2002, ..] => (30, 2),
        [0x3ffe, ..] => (1, 12),
        [first, ..] if first & 0xfe00 == 0xfc00 => (3, 13),
        [first, ..] if first & 0xffc0 == 0xfec0 => (1, 11),
        _ => (40, 1),
    }
}

fn label(address: IpAddr) -> u8 {
    policy(address).1
}

/// The number of leading bits that two addresses of one family share.
#[must_use]
pub fn common_prefix(one: IpAddr, other: IpAddr) -> u32 {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => 0,
    }
}
