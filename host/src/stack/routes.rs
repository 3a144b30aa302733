//! Routes of an interface.

use core::cmp::Reverse;
use core::net::IpAddr;

use xila_network_commands::event::Change;
use xila_network_commands::interface::{Origin, RouteInfo};

use super::Core;
use super::addresses::Address;
use crate::address::{Route, is_v4_mapped, to_wire};
use crate::error::{Error, Result};
use crate::platform::Instant;

/// The most routes of an interface, as many as smoltcp is built with.
const MOST_ROUTES: usize = 64;

/// A route, and until when it is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) route: Route,
    pub(super) origin: Origin,
    pub(super) valid: Option<Instant>,
}

/// How well an interface leads somewhere: by a longer prefix, or else a lower metric, better.
pub(crate) type Reach = (u8, Reverse<u32>);

impl Core {
    pub(crate) fn routes(&self) -> Vec<Route> {
        self.routes.iter().map(|entry| entry.route).collect()
    }

    /// The routes with all that is known of them.
    pub(crate) fn route_list(&self) -> Vec<RouteInfo> {
        let info = |&Entry { route, origin, valid }: &Entry| RouteInfo {
            route,
            origin,
            valid: valid.map(|until| until - self.now),
        };
        self.routes.iter().map(info).collect()
    }

    /// Adds a route; one to the same network with the same metric is replaced.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for IPv4-mapped addresses; [`Error::NoFreeSlot`] where the table is full. It is as it was
    /// then.
    pub(crate) fn add_route(&mut self, route: Route) -> Result<()> {
        self.put_route(route, Origin::Static)
    }

    /// Adds a route from somewhere, or sets anew until when it is valid.
    ///
    /// # Errors
    /// As [`add_route`](Self::add_route).
    pub(super) fn put_route(&mut self, route: Route, origin: Origin) -> Result<()> {
        if is_v4_mapped(route.gateway()) || is_v4_mapped(route.destination().address()) {
            return Err(Error::InvalidArgument);
        }
        let entry = Entry { route, origin, valid: route.lifetime().map(|lifetime| self.now + lifetime) };
        let rivals =
            |known: &Entry| (known.route.destination(), known.route.metric()) == (route.destination(), route.metric());
        match self.routes.iter().position(rivals) {
            Some(known) => {
                let before = core::mem::replace(&mut self.routes[known], entry);
                self.settle_lifetimes();
                if before.route.is_same(&route) {
                    return Ok(());
                }
                self.announce(Change::RouteRemoved(before.route));
            }
            None if self.routes.len() >= MOST_ROUTES => return Err(Error::NoFreeSlot),
            None => self.routes.push(entry),
        }
        self.settle_routes();
        self.announce(Change::RouteAdded(route));
        Ok(())
    }

    /// Removes a route, whatever its lifetime.
    ///
    /// # Errors
    /// [`Error::RemoteUnreachable`] where there is no such route (`ip route del`: "No such process").
    pub(crate) fn remove_route(&mut self, route: Route) -> Result<()> {
        let index = self.routes.iter().position(|known| known.route.is_same(&route)).ok_or(Error::RemoteUnreachable)?;
        let removed = self.routes.remove(index);
        self.settle_routes();
        self.announce(Change::RouteRemoved(removed.route));
        Ok(())
    }

    /// Gives smoltcp, whose table knows no metric, the best route to each network.
    pub(super) fn settle_routes(&mut self) {
        let mut best: Vec<Route> = Vec::with_capacity(self.routes.len());
        for Entry { route, .. } in &self.routes {
            match best.iter_mut().find(|known| known.destination() == route.destination()) {
                Some(known) if known.metric() <= route.metric() => {}
                Some(known) => *known = *route,
                None => best.push(*route),
            }
        }
        self.settle_lifetimes();
        self.tcp_resume_all();
        self.iface.routes_mut().update(|table| {
            table.clear();
            for route in best {
                // No more than there are routes, for which there is room.
                let pushed = table.push(smoltcp::iface::Route {
                    cidr: to_wire(route.destination()),
                    via_router: route.gateway().into(),
                    preferred_until: None,
                    expires_at: None,
                });
                debug_assert!(pushed.is_ok(), "the table has room for every route");
            }
        });
    }

    /// The host on the link that packets for `destination` are given to.
    pub(super) fn next_hop(&self, destination: IpAddr) -> Option<IpAddr> {
        next_hop(&self.addresses, &self.routes, destination)
    }

    /// How well this interface leads to `destination`, by its networks and routes; `None` where nothing matches.
    pub(crate) fn reach(&self, destination: IpAddr) -> Option<Reach> {
        let networks = self.addresses.iter().map(|known| (known.cidr, 0));
        let routes = self.routes.iter().map(|entry| (entry.route.destination(), entry.route.metric()));
        networks
            .chain(routes)
            .filter(|(cidr, _)| cidr.contains(destination))
            .map(|(cidr, metric)| (cidr.prefix(), Reverse(metric)))
            .max()
    }

    /// Finds out when the first address or route runs out. Asked for with every packet, it is kept.
    pub(super) fn settle_lifetimes(&mut self) {
        let addresses = self.addresses.iter().filter_map(|known| known.valid);
        self.lifetimes_next = addresses.chain(self.routes.iter().filter_map(|entry| entry.valid)).min();
    }

    /// Removes the addresses and routes whose time is over.
    pub(super) fn lifetimes_expire(&mut self) {
        let over = |valid: Option<Instant>, now: Instant| valid.is_some_and(|until| until <= now);
        let routes: Vec<Route> =
            self.routes.iter().filter(|entry| over(entry.valid, self.now)).map(|entry| entry.route).collect();
        let addresses: Vec<_> =
            self.addresses.iter().filter(|known| over(known.valid, self.now)).map(|known| known.cidr).collect();
        // They were there a moment ago.
        routes.into_iter().for_each(|route| self.remove_route(route).unwrap_or_default());
        addresses.into_iter().for_each(|cidr| self.remove_address(cidr).unwrap_or_default());
    }

    /// Removes what a protocol brought: its routes, DNS servers and addresses.
    pub(super) fn withdraw(&mut self, origin: Origin) {
        let routes: Vec<Route> =
            self.routes.iter().filter(|entry| entry.origin == origin).map(|entry| entry.route).collect();
        let addresses: Vec<_> =
            self.addresses.iter().filter(|known| known.origin == origin).map(|known| known.cidr).collect();
        routes.into_iter().for_each(|route| self.remove_route(route).unwrap_or_default());
        self.put_dns_servers(origin, &[]);
        addresses.into_iter().for_each(|cidr| self.remove_address(cidr).unwrap_or_default());
    }
}

/// The host on the link that packets for `destination` are given to, by an interface's networks and routes.
pub(super) fn next_hop(addresses: &[Address], routes: &[Entry], destination: IpAddr) -> Option<IpAddr> {
    if addresses.iter().any(|known| known.cidr.contains(destination)) {
        return Some(destination);
    }
    let routes = routes.iter().map(|entry| entry.route).filter(|route| route.destination().contains(destination));
    routes.max_by_key(|route| (route.destination().prefix(), Reverse(route.metric()))).map(|route| route.gateway())
}
