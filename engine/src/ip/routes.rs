//! The routes of an interface: who on the link is given a packet for a destination.
//!
//! The longest prefix that holds the destination wins, whether an address of the interface or a route has it: a route
//! with a longer prefix inside the link's own network leads out of it. With the same prefix, an address goes before
//! routes; of routes, the lower metric wins, then the higher preference (RFC 4191 section 2.1), then a router that is
//! known to be reachable (RFC 4861 section 6.3.6). A router that is known to be unreachable is passed over for the next
//! best route, also for one with a shorter prefix (RFC 4191 section 3.2; RFC 1122 section 3.3.1.4): where that must not
//! happen, a blackhole route with the same prefix and a higher metric ends the search.
//!
//! A gateway is a neighbour, so gateways of gateways are not followed: a route is *dormant*, as if it were not there,
//! while its gateway is not on the link by a prefix of an address or by a route without a gateway, or is this host
//! itself. That is looked at whenever addresses or routes change, so they may be configured in any order; Linux would
//! refuse such a route. `onlink` says that the gateway is on the link although no prefix says so.

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

/// How many routes an interface has at most where nothing else is said.
pub const DEFAULT_LIMIT: usize = 256;

/// What is known about whether a router can be reached, from its neighbour cache entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// It can be, or probably so: any state but INCOMPLETE (RFC 4861 section 6.3.6).
    Reachable,
    /// There is no entry, or it is being looked for. It is taken as reachable (RFC 4191 section 3.2), but behind those
    /// that are known to be.
    Unknown,
    /// It has not answered.
    Unreachable,
}

/// To whom a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The neighbour: the destination itself, or a router.
    pub hop: IpAddr,
    /// Whether the destination is on the link.
    pub on_link: bool,
    /// The length of the prefix that held the destination; 0 where none did and none was needed.
    pub prefix_length: u8,
    /// The metric of the route; 0 for the prefix of an address.
    pub metric: u32,
    /// The address that the route prefers to send from. This host has it.
    pub source: Option<IpAddr>,
    /// A better router that was passed over because it does not answer. It is to be asked with one solicitation, at
    /// most once a minute, so that it is used again when it comes back (RFC 4191 section 3.5). Of several, it is each
    /// in turn.
    pub avoided: Option<IpAddr>,
}

/// Why a packet goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoRoute {
    /// No route leads there.
    #[error("no route leads to the destination")]
    Missing,
    /// A route says that packets vanish.
    #[error("packets for the destination are discarded")]
    Blackhole,
    /// A route says that the host is unreachable.
    #[error("a route says that the destination is unreachable")]
    Unreachable,
    /// A route says that it is prohibited.
    #[error("a route says that the destination is prohibited")]
    Prohibited,
}

/// The routes of one interface, no more than its limit.
///
/// A lookup costs a search among the prefixes of each length that occurs, and a look at each gateway of the prefix that
/// wins. It allocates nothing. What is searched is made anew at the first lookup after routes or addresses have
/// changed.
#[derive(Debug)]
pub struct Routes {
    list: Entries<Route>,
    table: Prefixes<Node>,
    /// The revision of the addresses that the table was made with; `None` where it is to be made anew.
    made_with: Option<u64>,
    /// Whose turn it is of routers between which nothing decides.
    turn: usize,
}

/// What leads to the destinations of one prefix.
#[derive(Debug, Default)]
struct Node {
    /// An address of the interface has the prefix.
    is_connected: bool,
    /// The routes that are not dormant, the best first.
    routes: SmallVec<[Route; 1]>,
}

/// Gateways that nothing but chance decides between, and those that were passed over before them.
type Gateways<'a> = SmallVec<[(u8, &'a Route); 4]>;

impl Default for Routes {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl Routes {
    /// No routes; `limit` at most. Half of them at most are from routers, so that whoever sends advertisements cannot
    /// keep the other origins out.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { list: Entries::new(limit, limit / 2), table: Prefixes::default(), made_with: None, turn: 0 }
    }

    /// Adds a route, and returns the one that it takes the place of: one by the same way to the same destinations, with
    /// the same metric and from the same origin. Others stay beside it. It may be dormant.
    ///
    /// # Errors
    /// See [`AddRouteError`].
    pub fn add(&mut self, route: Route) -> Result<Option<Route>, AddRouteError> {
        route.check()?;
        let route = route.masked();
        if let Some(place) = self.place(&route) {
            let before = self.list.replace(place, route);
            // A router repeats itself all the time, and only the lifetime changes, which the table does not know.
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

    /// Adds a route in place of all with the same destinations and metric and from the same origin, which it returns.
    ///
    /// # Errors
    /// See [`AddRouteError`].
    pub fn replace(&mut self, route: Route) -> Result<Vec<Route>, AddRouteError> {
        route.check()?;
        let route = route.masked();
        let mut before = self.left(|list| list.take(|known| known.is_rival(&route) && !known.is_same(&route)));
        // It cannot fail where one has left.
        before.extend(self.add(route)?);
        Ok(before)
    }

    /// Removes a route, whatever it says of sources, MTU, preference and lifetime; `None` where there is no such.
    pub fn remove(&mut self, route: &Route) -> Option<Route> {
        let route = route.masked();
        self.left(|list| list.take(|known| known.is_same(&route))).pop()
    }

    /// Removes what an origin brought, and returns it.
    pub fn withdraw(&mut self, origin: Origin) -> Vec<Route> {
        self.left(|list| list.withdraw(origin))
    }

    /// Removes the routes whose lifetime is over, and returns them.
    pub fn expire(&mut self, now: Instant) -> Vec<Route> {
        self.left(|list| list.expire(now))
    }

    /// When to call [`expire`](Self::expire) again.
    #[must_use]
    pub const fn next_timeout(&self) -> Option<Instant> {
        self.list.next_timeout()
    }

    /// All of them, dormant ones too, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.list.iter()
    }

    /// How many there are, dormant ones too.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a route's gateway cannot be a neighbour as things are; see the [module](self).
    #[must_use]
    pub fn is_dormant(&self, route: &Route, addresses: &Addresses) -> bool {
        is_dormant(route, addresses, |gateway| {
            let wire = IpAddress::from(gateway);
            let holds = |known: &Route| known.target == Target::Link && known.destination.contains_addr(&wire);
            addresses.is_connected(gateway) || self.list.iter().any(holds)
        })
    }

    /// Whether a destination is on the link, by the longest prefix that holds it. What neighbours say of each other, as
    /// redirects do, is not asked.
    pub fn is_on_link(&mut self, destination: IpAddr, addresses: &Addresses) -> bool {
        self.lookup(destination, addresses, |_| Reachability::Unknown).is_ok_and(|next_hop| next_hop.on_link)
    }

    /// To whom a packet goes. `addresses` are those of the same interface, always of the same one; `reachability` tells
    /// what is known of a router.
    ///
    /// Multicast groups and broadcast addresses are on the link without a route (RFC 4861 section 5.2; RFC 1122 section
    /// 3.3.1.1), also before there is an address. Routes are asked about groups only where their prefix is one of
    /// groups. Loopback addresses are on no link but their own (RFC 1122 section 3.2.1.3). Whether a destination is an
    /// address of this host is the caller's to ask before.
    ///
    /// Where nothing is known about several equal routers, each is returned in turn, so that all are tried (RFC 4861
    /// section 6.3.6). Where none of all routers answers, it is one of the best ones, likewise in turn (RFC 4191
    /// section 3.6).
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
                // A route that says the same may say more.
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

    /// To whom a packet for a multicast group goes: the group.
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

    /// Those that leave the list.
    fn left(&mut self, leave: impl FnOnce(&mut Entries<Route>) -> Vec<Route>) -> Vec<Route> {
        let left = leave(&mut self.list);
        if !left.is_empty() {
            self.made_with = None;
        }
        left
    }

    /// Makes the table anew where routes or addresses have changed.
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
        // Of equals, the first one added stays first.
        table.values_mut().for_each(|node| node.routes.sort_by_key(Route::rank));
        self.table = table;
        self.made_with = Some(addresses.revision());
    }
}

/// See [`Routes::is_dormant`]; `is_neighbour` tells whether a prefix puts an address on the link.
fn is_dormant(route: &Route, addresses: &Addresses, is_neighbour: impl Fn(IpAddr) -> bool) -> bool {
    let Target::Gateway { address, onlink } = route.target else { return false };
    let is_no_router = addresses.is_local(address) || addresses.is_broadcast(address);
    is_no_router || (!onlink && !is_neighbour(address))
}

/// One of several, as the turn says.
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
