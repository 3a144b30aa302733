//! The routes that a router advertisement adds, changes or removes: default routers, more specific routes through
//! routers, and on-link prefixes.

use alloc::vec::Vec;
use core::net::Ipv6Addr;
use core::time::Duration;

use smoltcp::wire::IpCidr;

use super::{Effect, Limits, finite};
use crate::ip::addresses::Origin;
use crate::ip::routes::{self, AddRouteError, Routes, Target};
use crate::link::ndp::options::{Prefix, Route};
use crate::link::ndp::{NdpOption, Preference, RouterAdvertisement};
use crate::time::Instant;

/// The metric of routes through routers, as in Linux (`IP6_RT_PRIO_USER`).
const METRIC: u32 = 1024;
/// The metric of on-link prefixes, as in Linux (`IP6_RT_PRIO_ADDRCONF`).
const LINK_METRIC: u32 = 256;

/// Applies one advertisement to the table of routes.
pub(super) struct Routing<'a> {
    pub(super) routes: &'a mut Routes,
    /// The source of the advertisement.
    pub(super) router: Ipv6Addr,
    pub(super) now: Instant,
    pub(super) limits: Limits,
    pub(super) effects: &'a mut Vec<Effect>,
    /// The number of entries that were left out because a limit was reached.
    pub(super) left_out: &'a mut u64,
}

/// The kinds of routes from routers; each has a limit of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Default,
    Specific,
    Prefix,
}

impl Routing<'_> {
    /// Updates the sender's entry among the default routers, as the header says, unless a Route Information option is
    /// about the default route (RFC 4191 section 3.1). Returns whether the sender is a default router now.
    pub(super) fn default_router(&mut self, advertisement: &RouterAdvertisement<'_>) -> bool {
        let route = |option| if let NdpOption::Route(route) = option { Some(route) } else { None };
        let same = advertisement.options.filter_map(route).filter(|route| route.length == 0).last();
        let (lifetime, preference) =
            same.map_or((advertisement.lifetime, advertisement.preference), |same| (same.lifetime, same.preference));
        self.through_router(Ipv6Addr::UNSPECIFIED, 0, lifetime, preference)
    }

    /// Applies a route that is more specific than the default one (RFC 4191 section 2.3). Routes to multicast,
    /// link-local, unspecified and loopback destinations are ignored: routers have no say in them.
    pub(super) fn route(&mut self, route: &Route) {
        let Route { prefix, length, preference, lifetime } = *route;
        let is_none =
            prefix.is_multicast() || prefix.is_unicast_link_local() || (length == 128 && prefix.to_bits() <= 1);
        if length > 0 && !is_none {
            self.through_router(prefix, length, lifetime, preference);
        }
    }

    /// Applies a prefix that is on the link if the flag L is set; without the flag, the option says nothing about that.
    /// The prefix ends as soon as its router says so: the two-hour rule for addresses does not apply here (RFC 4861
    /// section 6.3.4).
    pub(super) fn prefix(&mut self, prefix: &Prefix) {
        if prefix.on_link && is_advertisable(prefix.prefix) {
            let destination = IpCidr::new(prefix.prefix.into(), prefix.length);
            let route = routes::Route { metric: LINK_METRIC, ..routes::Route::new(destination, Target::Link) };
            self.set(route, prefix.valid);
        }
    }

    fn through_router(&mut self, prefix: Ipv6Addr, length: u8, lifetime: Duration, preference: Preference) -> bool {
        // The router's address is link-local, and that prefix is on every link (RFC 4861 section 5.1).
        let target = Target::Gateway { address: self.router.into(), onlink: false };
        let preference = match preference {
            Preference::Low => routes::Preference::Low,
            Preference::Medium => routes::Preference::Medium,
            Preference::High => routes::Preference::High,
        };
        let route = routes::Route::new(IpCidr::new(prefix.into(), length), target);
        self.set(routes::Route { metric: METRIC, preference, ..route }, lifetime)
    }

    /// Adds or changes a route, or removes it if its lifetime is zero. Returns whether the route exists now.
    fn set(&mut self, route: routes::Route, lifetime: Duration) -> bool {
        if lifetime.is_zero() {
            let route = routes::Route { origin: Origin::Router, ..route };
            self.effects.extend(self.routes.remove(&route).map(Effect::RouteRemoved));
            return false;
        }
        let route = routes::Route { origin: Origin::Router, ..route }.lasting(finite(lifetime), self.now);
        if !self.routes.iter().any(|known| known.is_same(&route)) && self.is_full(Kind::of(&route)) {
            *self.left_out = self.left_out.saturating_add(1);
            return false;
        }
        match self.routes.add(route) {
            Ok(None) => self.effects.push(Effect::RouteAdded(route)),
            Ok(Some(before)) if before.preference != route.preference => self.effects.push(Effect::RouteChanged(route)),
            Ok(Some(_)) => {}
            Err(AddRouteError::Full) => {
                *self.left_out = self.left_out.saturating_add(1);
                return false;
            }
            Err(AddRouteError::InvalidDestination | AddRouteError::InvalidGateway | AddRouteError::InvalidSource) => {
                return false;
            }
        }
        true
    }

    fn is_full(&self, kind: Kind) -> bool {
        let limit = match kind {
            Kind::Default => self.limits.routers,
            Kind::Specific => self.limits.routes,
            Kind::Prefix => self.limits.prefixes,
        };
        let from_routers = self.routes.iter().filter(|known| known.origin == Origin::Router);
        from_routers.filter(|known| Kind::of(known) == kind).count() >= limit
    }
}

impl Kind {
    const fn of(route: &routes::Route) -> Self {
        match route.gateway() {
            None => Self::Prefix,
            Some(_) if route.destination.prefix_len() == 0 => Self::Default,
            Some(_) => Self::Specific,
        }
    }
}

/// Whether a prefix may be used as an on-link prefix or for addresses: not link-local, not multicast, and not reserved
/// (its first eight bits are zero, RFC 4291 section 2.4).
pub(super) fn is_advertisable(prefix: Ipv6Addr) -> bool {
    !prefix.is_unicast_link_local() && !prefix.is_multicast() && prefix.octets().first() != Some(&0)
}
