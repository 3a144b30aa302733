//! The routes of an interface, and how well it reaches a destination.

use core::cmp::Reverse;
use core::net::IpAddr;

use xila_network_commands::interface::RouteInfo;
use xila_network_engine::ip::routes::{self, AddRouteError, Target};

use super::origin;
use crate::address::{Route, from_wire, to_wire};
use crate::error::ConfigureError;
use crate::stack::attachment::Attachment;

/// How well an interface reaches a destination, for comparison: a longer prefix is better, and among equal prefixes a
/// lower metric.
pub(crate) type Reach = (u8, Reverse<u32>);

/// What [`Network`](crate::socket::Network) must know of an interface to route packets from one address to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlook {
    pub(crate) is_up: bool,
    pub(crate) loops_back: bool,
    /// Sockets may have the local address because of the interface.
    pub(crate) has_local: bool,
    /// The interface has the remote address.
    pub(crate) has_remote: bool,
    /// How well the interface reaches the remote address.
    pub(crate) reach: Option<Reach>,
}

impl Attachment {
    pub(crate) fn routes(&self) -> Vec<Route> {
        self.engine().interface().routes().iter().filter_map(as_route).collect()
    }

    /// The routes with their origins and remaining lifetimes.
    pub(crate) fn route_list(&self) -> Vec<RouteInfo> {
        let info = |known: &routes::Route| {
            let valid = known.valid_until.map(|until| until - self.now());
            Some(RouteInfo { route: as_route(known)?, origin: origin(known.origin), valid })
        };
        self.engine().interface().routes().iter().filter_map(info).collect()
    }

    /// Adds a route, or replaces the one to the same network with the same metric. Its gateway is taken for a neighbour
    /// on the link, whatever the interface's networks are (`onlink` of `ip route`).
    ///
    /// # Errors
    /// [`ConfigureError::InvalidArgument`] for IPv4-mapped addresses; [`ConfigureError::NoFreeSlot`] if the table is
    /// full. Nothing is changed then.
    pub(crate) fn add_route(&mut self, route: Route) -> Result<(), ConfigureError> {
        let target = Target::Gateway { address: route.gateway(), onlink: true };
        let known =
            routes::Route { metric: route.metric(), ..routes::Route::new(to_wire(route.destination()), target) };
        let known = known.lasting(route.lifetime(), self.now());
        self.engage(|engine, _, _| engine.interface_mut().replace_route(known).map_err(ConfigureError::from))?;
        self.act();
        Ok(())
    }

    /// Removes a route, whatever its lifetime.
    ///
    /// # Errors
    /// [`ConfigureError::RemoteUnreachable`] where there is no such route (`ip route del`: "No such process").
    pub(crate) fn remove_route(&mut self, wanted: Route) -> Result<(), ConfigureError> {
        let is_it = |known: &&routes::Route| as_route(known).is_some_and(|known| known.is_same(&wanted));
        let known =
            self.engine().interface().routes().iter().find(is_it).copied().ok_or(ConfigureError::RemoteUnreachable)?;
        self.engage(|engine, _, _| engine.interface_mut().remove_route(&known).map(|_| ()));
        self.act();
        Ok(())
    }

    /// The outlook of this interface for packets to `remote`, from `local` if it is given.
    pub(crate) fn outlook(&mut self, local: Option<IpAddr>, remote: IpAddr) -> Outlook {
        Outlook {
            is_up: self.is_up(),
            loops_back: self.loops_back(),
            has_local: local.is_some_and(|local| self.is_home_of(local)),
            has_remote: self.has_address(remote),
            reach: self.reach(remote),
        }
    }

    /// Whether this interface can reach an address.
    pub(crate) fn leads_to(&mut self, to: IpAddr) -> bool {
        self.loops_back() || self.engage(|engine, _, _| engine.interface_mut().next_hop(to).is_ok())
    }

    /// How well this interface reaches `destination` by its networks and routes; `None` if none matches.
    pub(crate) fn reach(&mut self, destination: IpAddr) -> Option<Reach> {
        let next_hop = self.engage(|engine, _, _| engine.interface_mut().next_hop(destination).ok())?;
        // A multicast or broadcast address that no prefix covers is on every link, and so is no reason to prefer this
        // one.
        let is_for_many = destination.is_multicast() || matches!(destination, IpAddr::V4(to) if to.is_broadcast());
        let says_something = !is_for_many || next_hop.prefix_length > 0;
        says_something.then_some((next_hop.prefix_length, Reverse(next_hop.metric)))
    }
}

/// Converts a route of the engine. The lifetime is the one that it was added with. `None` for on-link routes, which are
/// the interface's own networks.
pub(in crate::stack) fn as_route(known: &routes::Route) -> Option<Route> {
    let Target::Gateway { address, onlink: _ } = known.target else { return None };
    let route = Route::new(from_wire(known.destination)?, address).ok()?.with_metric(known.metric);
    Some(known.lifetime.map_or(route, |lifetime| route.with_lifetime(lifetime)))
}

impl From<AddRouteError> for ConfigureError {
    fn from(error: AddRouteError) -> Self {
        match error {
            AddRouteError::InvalidDestination | AddRouteError::InvalidGateway | AddRouteError::InvalidSource => {
                Self::InvalidArgument
            }
            AddRouteError::Full => Self::NoFreeSlot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_the_engine_becomes_the_matching_error() {
        assert_eq!(ConfigureError::from(AddRouteError::InvalidDestination), ConfigureError::InvalidArgument);
        assert_eq!(ConfigureError::from(AddRouteError::InvalidGateway), ConfigureError::InvalidArgument);
        assert_eq!(ConfigureError::from(AddRouteError::InvalidSource), ConfigureError::InvalidArgument);
        assert_eq!(ConfigureError::from(AddRouteError::Full), ConfigureError::NoFreeSlot);
    }
}
