//! A route: its destinations, its target, and its rank among routes with the same prefix.

use core::cmp::Reverse;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use smoltcp::wire::IpCidr;
use thiserror::Error;

use crate::ip::addresses::{Origin, is_v4_mapped};
use crate::ip::entries::Entry;
use crate::time::Instant;

/// The target of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The destination itself: its prefix is on-link.
    Link,
    /// A router.
    Gateway {
        /// The router's address.
        address: IpAddr,
        /// Whether it is on-link although no prefix covers it, as with `onlink` of Linux's `ip route`. The router of a
        /// lease with the mask 255.255.255.255 is an example.
        onlink: bool,
    },
    /// Nowhere: packets are discarded silently.
    Blackhole,
    /// Nowhere: the sender is told that the host is unreachable.
    Unreachable,
    /// Nowhere: the sender is told that the destination is prohibited.
    Prohibit,
}

/// The preference of a router (RFC 4191 section 2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preference {
    /// Below the other routers.
    Low,
    /// The default.
    #[default]
    Medium,
    /// Above the other routers.
    High,
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The prefix of the destinations. The bits after the prefix are ignored.
    pub destination: IpCidr,
    /// Where it leads.
    pub target: Target,
    /// The source address for packets of senders that have none, if this host has this address.
    pub source: Option<IpAddr>,
    /// Lower metrics are preferred.
    pub metric: u32,
    /// Decides between routes with equal metrics.
    pub preference: Preference,
    /// Where it comes from.
    pub origin: Origin,
    /// When it expires; `None` for never.
    pub valid_until: Option<Instant>,
    /// Its lifetime when it was added or last renewed, for listings; `None` if it does not expire.
    pub lifetime: Option<Duration>,
}

impl Entry for Route {
    fn origin(&self) -> Origin {
        self.origin
    }

    fn valid_until(&self) -> Option<Instant> {
        self.valid_until
    }
}

impl Route {
    /// A static route with metric 0 that does not expire.
    #[must_use]
    pub const fn new(destination: IpCidr, target: Target) -> Self {
        Self {
            destination,
            target,
            source: None,
            metric: 0,
            preference: Preference::Medium,
            origin: Origin::Static,
            valid_until: None,
            lifetime: None,
        }
    }

    /// The same route with a lifetime from `now` on; `None` for a route that does not expire.
    #[must_use]
    pub fn lasting(self, lifetime: Option<Duration>, now: Instant) -> Self {
        Self { lifetime, valid_until: lifetime.map(|lifetime| now + lifetime), ..self }
    }

    /// The router's address, if the target is a router.
    #[must_use]
    pub const fn gateway(&self) -> Option<IpAddr> {
        match self.target {
            Target::Gateway { address, onlink: _ } => Some(address),
            Target::Link | Target::Blackhole | Target::Unreachable | Target::Prohibit => None,
        }
    }

    /// Whether both are the same route, perhaps with changed properties: they have the same target, destinations,
    /// metric and origin.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let is_same_way = match (self.target, other.target) {
            (Target::Gateway { address: one, .. }, Target::Gateway { address: other, .. }) => one == other,
            (one, other) => one == other,
        };
        is_same_way && self.is_rival(other)
    }

    /// Whether both have the same destinations, metric and origin.
    pub(super) fn is_rival(&self, other: &Self) -> bool {
        (self.destination, self.metric, self.origin) == (other.destination, other.metric, other.origin)
    }

    /// The route as it is stored: without the bits after its prefix.
    pub(crate) fn masked(self) -> Self {
        let destination = match self.destination {
            IpCidr::Ipv4(cidr) => IpCidr::Ipv4(cidr.network()),
            IpCidr::Ipv6(cidr) => {
                let host = u128::MAX.checked_shr(cidr.prefix_len().into()).unwrap_or(0);
                let network = Ipv6Addr::from_bits(cidr.address().to_bits() & !host);
                IpCidr::new(network.into(), cidr.prefix_len())
            }
        };
        Self { destination, ..self }
    }

    /// The order of routes with the same prefix, before reachability is considered. The least is the best.
    pub(super) const fn rank(&self) -> (u32, Reverse<Preference>) {
        (self.metric, Reverse(self.preference))
    }

    pub(super) fn check(&self) -> Result<(), AddRouteError> {
        let destination = IpAddr::from(self.destination.address());
        let is_other_family = |address: IpAddr| address.is_ipv4() != destination.is_ipv4();
        let is_host = |address: IpAddr| {
            !address.is_unspecified()
                && !address.is_multicast()
                && !address.is_loopback()
                && !is_v4_mapped(address)
                && address != IpAddr::V4(Ipv4Addr::BROADCAST)
        };
        if is_v4_mapped(destination) && self.destination.prefix_len() >= 96 {
            return Err(AddRouteError::InvalidDestination);
        }
        if self.gateway().is_some_and(|gateway| is_other_family(gateway) || !is_host(gateway)) {
            return Err(AddRouteError::InvalidGateway);
        }
        if self.source.is_some_and(|source| is_other_family(source) || source.is_unspecified() || source.is_multicast())
        {
            return Err(AddRouteError::InvalidSource);
        }
        Ok(())
    }
}

/// Why a route was not added. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddRouteError {
    /// The destinations are IPv4-mapped IPv6 addresses, which are never on the wire.
    #[error("no packet has these destinations")]
    InvalidDestination,
    /// The gateway is of the other family, or not the address of a single host.
    #[error("no router can have this address")]
    InvalidGateway,
    /// The source is of the other family, or not the address of a single host.
    #[error("packets for these destinations cannot be sent from this address")]
    InvalidSource,
    /// The limit is reached: the one for all routes, or the one for routes that routers advertise.
    #[error("the interface has as many routes as it may have")]
    Full,
}
