//! The routing table of an interface: the next hop of a packet for a destination.
//!
//! The longest matching prefix wins, whether it belongs to an address of the interface or to a route: a route with a
//! longer prefix inside the link's own network leads out of it. With equal prefixes, an address goes before routes.
//! Among routes, the lower metric wins, then the higher preference (RFC 4191 section 2.1), then a router that is known
//! to be reachable (RFC 4861 section 6.3.6). A router that is known to be unreachable is skipped in favour of the next
//! best route, even one with a shorter prefix (RFC 4191 section 3.2; RFC 1122 section 3.3.1.4). To prevent that, add a
//! blackhole route with the same prefix and a higher metric.
//!
//! A gateway must be a neighbour, so gateways are not looked up recursively. A route is *dormant*, which means that it
//! is ignored, while its gateway is not on-link by the prefix of an address or by a route without a gateway, or while
//! its gateway is this host itself. This is recomputed whenever addresses or routes change, so they may be configured
//! in any order; Linux would refuse such a route. `onlink` declares that the gateway is on-link although no prefix
//! covers it.

use alloc::vec::Vec;
use core::net::IpAddr;

use smallvec::SmallVec;
use smoltcp::wire::IpAddress;
use thiserror::Error;

use self::prefixes::Prefixes;
use super::addresses::{Addresses, Origin, is_v4_mapped};
use super::entries::{Entries, Full};
use crate::time::Instant;

mod prefixes;
mod route;
#[cfg(test)]
mod tests;

pub use route::{AddRouteError, Preference, Route, Target};

/// How many routes an interface has at most by default.
pub const DEFAULT_LIMIT: usize = 256;

/// Whether a router is reachable, by its neighbour cache entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// It is reachable, or probably so: any state but INCOMPLETE (RFC 4861 section 6.3.6).
    Reachable,
    /// There is no entry, or address resolution is running. The router is assumed to be reachable (RFC 4191 section
    /// 3.2), but routers that are known to be reachable are preferred.
    Unknown,
    /// It has not answered.
    Unreachable,
}

/// The next hop of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The neighbour that the packet is sent to: the destination itself, or a router.
    pub hop: IpAddr,
    /// Whether the destination is on the link.
    pub on_link: bool,
    /// The length of the matching prefix; 0 if none matched and none was needed.
    pub prefix_length: u8,
    /// The metric of the route; 0 for the prefix of an address.
    pub metric: u32,
    /// The source address that the route prefers. It is an address of this host.
    pub source: Option<IpAddr>,
    /// A better router that was skipped because it does not answer. The caller should send it one solicitation, at most
    /// once a minute, so that it is used again when it comes back (RFC 4191 section 3.5). If there are several, they
    /// take turns.
    pub avoided: Option<IpAddr>,
}

/// Why there is no next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoRoute {
    /// There is no route to the destination.
    #[error("no route leads to the destination")]
    Missing,
    /// A blackhole route: packets are discarded silently.
    #[error("packets for the destination are discarded")]
    Blackhole,
    /// A route says that the destination is unreachable.
    #[error("a route says that the destination is unreachable")]
    Unreachable,
    /// A route says that the destination is prohibited.
    #[error("a route says that the destination is prohibited")]
    Prohibited,
}

/// The routes of one interface, up to a limit.
///
/// A lookup searches the prefixes of each length that occurs, and looks at each gateway of the winning prefix. It
/// allocates nothing. The search table is rebuilt at the first lookup after a change of routes or addresses.
#[derive(Debug)]
pub struct Routes {
    list: Entries<Route>,
    table: Prefixes<Node>,
    /// The revision of the addresses that the table was built with; `None` if the table must be rebuilt.
    made_with: Option<u64>,
    /// Counts round robin turns among equal routers.
    turn: usize,
}

/// All ways to the destinations of one prefix.
#[derive(Debug, Default)]
struct Node {
    /// Whether an address of the interface has the prefix.
    is_connected: bool,
    /// The routes that are not dormant, best first.
    routes: SmallVec<[Route; 1]>,
}

/// Routes through gateways, with the length of the prefix that matched.
type Gateways<'a> = SmallVec<[(u8, &'a Route); 4]>;

impl Default for Routes {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl Routes {
    /// An empty table for at most `limit` routes. At most half of them may come from routers, so that a host which
    /// sends advertisements cannot displace the other origins.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { list: Entries::new(limit, limit / 2), table: Prefixes::default(), made_with: None, turn: 0 }
    }

    /// Adds a route. It replaces a route with the same target, destination, metric and origin, which is returned. Other
    /// routes stay. The new route may be dormant.
    ///
    /// # Errors
    /// See [`AddRouteError`].
    pub fn add(&mut self, route: Route) -> Result<Option<Route>, AddRouteError> {
        route.check()?;
        let route = route.masked();
        if let Some(place) = self.place(&route) {
            let before = self.list.replace(place, route);
            // A router repeats its advertisements all the time, and usually only the lifetime changes, which the table
            // does not contain.
            if before.is_some_and(|before| {
                Route { valid_until: route.valid_until, lifetime: route.lifetime, ..before } != route
            }) {
                self.made_with = None;
            }
            return Ok(before);
        }
        self.list.push(route).map_err(|Full| AddRouteError::Full)?;
        self.made_with = None;
        Ok(None)
    }

    /// Adds a route and removes all others with the same destination, metric and origin. Returns the replaced routes.
    ///
    /// # Errors
    /// See [`AddRouteError`].
    pub fn replace(&mut self, route: Route) -> Result<Vec<Route>, AddRouteError> {
        route.check()?;
        let route = route.masked();
        let mut before = self.left(|list| list.take(|known| known.is_rival(&route) && !known.is_same(&route)));
        // This cannot fail if a route was removed.
        before.extend(self.add(route)?);
        Ok(before)
    }

    /// Removes a route, whatever its source address, MTU, preference and lifetime; `None` if there is no such route.
    pub fn remove(&mut self, route: &Route) -> Option<Route> {
        let route = route.masked();
        self.left(|list| list.take(|known| known.is_same(&route))).pop()
    }

    /// Removes and returns the routes of an origin.
    pub fn withdraw(&mut self, origin: Origin) -> Vec<Route> {
        self.left(|list| list.withdraw(origin))
    }

    /// Removes and returns the routes whose lifetime has ended.
    pub fn expire(&mut self, now: Instant) -> Vec<Route> {
        self.left(|list| list.expire(now))
    }

    /// When to call [`expire`](Self::expire) again.
    #[must_use]
    pub const fn next_timeout(&self) -> Option<Instant> {
        self.list.next_timeout()
    }

    /// All routes, including dormant ones, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.list.iter()
    }

    /// The number of routes, including dormant ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are no routes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a route's gateway cannot be a neighbour at the moment; see the [module](self).
    #[must_use]
    pub fn is_dormant(&self, route: &Route, addresses: &Addresses) -> bool {
        is_dormant(route, addresses, |gateway| {
            let wire = IpAddress::from(gateway);
            let holds = |known: &Route| known.target == Target::Link && known.destination.contains_addr(&wire);
            addresses.is_connected(gateway) || self.list.iter().any(holds)
        })
    }

    /// Whether a destination is on-link, by the longest matching prefix. Redirects are not considered.
    pub fn is_on_link(&mut self, destination: IpAddr, addresses: &Addresses) -> bool {
        self.lookup(destination, addresses, |_| Reachability::Unknown).is_ok_and(|next_hop| next_hop.on_link)
    }

    /// The next hop for a destination. `addresses` must always be those of the same interface. `reachability` returns
    /// what is known about a router.
    ///
    /// Multicast groups and broadcast addresses are on-link without a route (RFC 4861 section 5.2; RFC 1122 section
    /// 3.3.1.1), even if the interface has no address yet. Only routes whose prefix consists of groups apply to groups.
    /// Loopback addresses are on-link only on a loopback interface (RFC 1122 section 3.2.1.3). The caller must check
    /// first whether the destination is an address of this host.
    ///
    /// Equal routers of which nothing is known take turns, so that all of them are tried (RFC 4861 section 6.3.6). If
    /// no router answers, the best ones take turns (RFC 4191 section 3.6).
    ///
    /// # Errors
    /// See [`NoRoute`].
    pub fn lookup(
        &mut self,
        destination: IpAddr,
        addresses: &Addresses,
        reachability: impl Fn(IpAddr) -> Reachability,
    ) -> Result<NextHop, NoRoute> {
        self.refresh(addresses);
        let is_no_destination = destination.is_unspecified() || is_v4_mapped(destination);
        if is_no_destination || (destination.is_loopback() && !addresses.is_connected(destination)) {
            return Err(NoRoute::Missing);
        }
        if addresses.is_broadcast(destination) {
            return Ok(NextHop::on_link(destination, 0));
        }
        if destination.is_multicast() {
            return self.multicast(destination, addresses);
        }
        let turn = self.turn;
        let mut suspects = Gateways::new();
        for (length, node) in self.table.matches(destination) {
            if node.is_connected {
                // A route for the same prefix may carry more, such as a source address.
                let same = node.routes.iter().find(|route| route.target == Target::Link && route.metric == 0);
                return same.map_or(Ok(NextHop::on_link(destination, length)), |route| {
                    NextHop::without_gateway(route, destination, addresses)
                });
            }
            for equals in node.routes.chunk_by(|one, other| one.rank() == other.rank()) {
                if let Some(route) = equals.iter().find(|route| route.gateway().is_none()) {
                    return NextHop::without_gateway(route, destination, addresses);
                }
                let mut unknown = Gateways::new();
                let mut reachable = None;
                for (route, gateway) in equals.iter().filter_map(|route| Some((route, route.gateway()?))) {
                    match reachability(gateway) {
                        Reachability::Reachable => {
                            reachable = Some(route);
                            break;
                        }
                        Reachability::Unknown => unknown.push((length, route)),
                        Reachability::Unreachable => suspects.push((length, route)),
                    }
                }
                let chosen = reachable.or_else(|| in_turn(&unknown, turn).map(|(_, route)| route));
                if let Some(route) = chosen {
                    let avoided = in_turn(&suspects, turn).and_then(|(_, route)| route.gateway());
                    let is_turn_used = (reachable.is_none() && unknown.len() > 1) || suspects.len() > 1;
                    let next_hop = NextHop { avoided, ..NextHop::by_way_of(route, length, addresses) };
                    self.turn = turn.wrapping_add(is_turn_used.into());
                    return Ok(next_hop);
                }
            }
        }
        let (first_length, first) = *suspects.first().ok_or(NoRoute::Missing)?;
        let is_best = |(length, route): &&(u8, &Route)| *length == first_length && route.rank() == first.rank();
        let best: Gateways<'_> = suspects.iter().take_while(is_best).copied().collect();
        let (length, route) = in_turn(&best, turn).unwrap_or((first_length, first));
        let others: Gateways<'_> =
            suspects.iter().filter(|(_, other)| other.gateway() != route.gateway()).copied().collect();
        let avoided = in_turn(&others, turn).and_then(|(_, route)| route.gateway());
        let next_hop = NextHop { avoided, ..NextHop::by_way_of(route, length, addresses) };
        self.turn = turn.wrapping_add(1);
        Ok(next_hop)
    }

    /// The next hop for a multicast group: the group itself.
    fn multicast(&self, group: IpAddr, addresses: &Addresses) -> Result<NextHop, NoRoute> {
        let of_groups = self.table.matches(group).flat_map(|(_, node)| &node.routes);
        let mut of_groups = of_groups.filter(|route| {
            let least = if group.is_ipv4() { 4 } else { 8 };
            route.destination.prefix_len() >= least && route.gateway().is_none()
        });
        match of_groups.next() {
            Some(route) => NextHop::without_gateway(route, group, addresses),
            None => Ok(NextHop::on_link(group, 0)),
        }
    }

    fn place(&self, route: &Route) -> Option<usize> {
        self.list.iter().position(|known| known.is_same(route))
    }

    /// Removes routes from the list by `leave` and returns them.
    fn left(&mut self, leave: impl FnOnce(&mut Entries<Route>) -> Vec<Route>) -> Vec<Route> {
        let left = leave(&mut self.list);
        if !left.is_empty() {
            self.made_with = None;
        }
        left
    }

    /// Rebuilds the table if routes or addresses have changed.
    fn refresh(&mut self, addresses: &Addresses) {
        if self.made_with == Some(addresses.revision()) {
            return;
        }
        let mut table = Prefixes::<Node>::default();
        for prefix in addresses.connected() {
            table.entry(prefix).is_connected = true;
        }
        let (gateways, others): (Vec<&Route>, Vec<_>) = self.list.iter().partition(|route| route.gateway().is_some());
        others.into_iter().for_each(|route| table.entry(route.destination).routes.push(*route));
        let is_neighbour = |table: &Prefixes<Node>, gateway| {
            let is_link = |node: &Node| node.routes.iter().any(|route| route.target == Target::Link);
            table.matches(gateway).any(|(_, node)| node.is_connected || is_link(node))
        };
        for route in gateways {
            if !is_dormant(route, addresses, |gateway| is_neighbour(&table, gateway)) {
                table.entry(route.destination).routes.push(*route);
            }
        }
        // Sorting is stable: of equal routes, the one added first stays first.
        table.values_mut().for_each(|node| node.routes.sort_by_key(Route::rank));
        self.table = table;
        self.made_with = Some(addresses.revision());
    }
}

/// See [`Routes::is_dormant`]. `is_neighbour` returns whether a prefix makes an address on-link.
fn is_dormant(route: &Route, addresses: &Addresses, is_neighbour: impl Fn(IpAddr) -> bool) -> bool {
    let Target::Gateway { address, onlink } = route.target else { return false };
    let is_no_router = addresses.is_local(address) || addresses.is_broadcast(address);
    is_no_router || (!onlink && !is_neighbour(address))
}

/// The one of several gateways whose turn it is.
fn in_turn<'a>(gateways: &Gateways<'a>, turn: usize) -> Option<(u8, &'a Route)> {
    gateways.get(turn.checked_rem(gateways.len())?).copied()
}

impl NextHop {
    const fn on_link(destination: IpAddr, prefix_length: u8) -> Self {
        Self { hop: destination, on_link: true, prefix_length, metric: 0, source: None, avoided: None }
    }

    fn by_way_of(route: &Route, prefix_length: u8, addresses: &Addresses) -> Self {
        let &Route { destination, metric, source, .. } = route;
        let hop = route.gateway().unwrap_or(destination.address().into());
        let source = source.filter(|source| addresses.is_local(*source));
        Self { hop, on_link: false, prefix_length, metric, source, avoided: None }
    }

    fn without_gateway(route: &Route, destination: IpAddr, addresses: &Addresses) -> Result<Self, NoRoute> {
        let length = route.destination.prefix_len();
        match route.target {
            Target::Link => Ok(Self { hop: destination, on_link: true, ..Self::by_way_of(route, length, addresses) }),
            Target::Gateway { .. } => Ok(Self::by_way_of(route, length, addresses)),
            Target::Blackhole => Err(NoRoute::Blackhole),
            Target::Unreachable => Err(NoRoute::Unreachable),
            Target::Prohibit => Err(NoRoute::Prohibited),
        }
    }
}
