//! A route: which destinations, by which way, and how good it is beside others.

use core::cmp::Reverse;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use smoltcp::wire::IpCidr;
use thiserror::Error;

use crate::ip::addresses::{Origin, is_v4_mapped};
use crate::ip::entries::Entry;
use crate::time::Instant;

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To the destination itself: its prefix is on the link.
    Link,
    /// To a router.
    Gateway {
        /// The router's address.
        address: IpAddr,
        /// Whether it is on the link although no prefix says so, as `onlink` of Linux's `ip route`: the router of a
        /// lease with the mask 255.255.255.255 is.
        onlink: bool,
    },
    /// Nowhere, without a word.
    Blackhole,
    /// Nowhere: the sender is told that the host is unreachable.
    Unreachable,
    /// Nowhere: the sender is told that it is prohibited.
    Prohibit,
}

/// What a router says of itself beside others (RFC 4191 section 2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preference {
    /// Behind the others.
    Low,
    /// As most.
    #[default]
    Medium,
    /// Before the others.
    High,
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The prefix of the destinations; the bits behind it do not count.
    pub destination: IpCidr,
    /// Where it leads.
    pub target: Target,
    /// The address to send from, where the sender has none and this host has this one.
    pub source: Option<IpAddr>,
    /// The lower, the better.
    pub metric: u32,
    /// Decides between equal metrics.
    pub preference: Preference,
    /// Where it comes from.
    pub origin: Origin,
    /// From when on it is gone; `None` for never.
    pub valid_until: Option<Instant>,
    /// How long it was to last when it was added or last renewed, for whoever lists it; `None` for ever.
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
    /// A static route with metric 0 that lasts for ever.
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

    /// The same for `lifetime` from `now` on; for ever where there is none.
    #[must_use]
    pub fn lasting(self, lifetime: Option<Duration>, now: Instant) -> Self {
        Self { lifetime, valid_until: lifetime.map(|lifetime| now + lifetime), ..self }
    }

    /// The router, where it leads to one.
    #[must_use]
    pub const fn gateway(&self) -> Option<IpAddr> {
        match self.target {
            Target::Gateway { address, onlink: _ } => Some(address),
            Target::Link | Target::Blackhole | Target::Unreachable | Target::Prohibit => None,
        }
    }

    /// Whether two are one route, which may have changed: they lead by the same way to the same destinations, with the
    /// same metric and from the same origin.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let is_same_way = match (self.target, other.target) {
            (Target::Gateway { address: one, .. }, Target::Gateway { address: other, .. }) => one == other,
            (one, other) => one == other,
        };
        is_same_way && self.is_rival(other)
    }

    /// Whether they have the same destinations, metric and origin.
    pub(super) fn is_rival(&self, other: &Self) -> bool {
        (self.destination, self.metric, self.origin) == (other.destination, other.metric, other.origin)
    }

    /// As it is kept: without bits behind its prefix.
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

    /// What decides between routes with the same prefix, before reachability does; the least is the best.
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
    /// The destinations are IPv4 addresses written as IPv6 ones, which are on no wire.
    #[error("no packet has these destinations")]
    InvalidDestination,
    /// The gateway is of the other family, or no single host's address.
    #[error("no router can have this address")]
    InvalidGateway,
    /// The source is of the other family, or no single host's address.
    #[error("packets for these destinations cannot be sent from this address")]
    InvalidSource,
    /// There are as many as there may be: of all, or of those that routers advertise.
    #[error("the interface has as many routes as it may have")]
    Full,
}
