//! This host on one link: which addresses and routes it has, who its neighbours are, and the way out.
//!
//! [`Interface`] owns what a packet meets on its way to the link, whoever sends it: a source address, a next hop, the
//! next hop's hardware address, the path's MTU, room on the device. What cannot leave yet waits here, in one queue for
//! each neighbour and one for the device.
//!
//! | Room | Holds |
//! |---|---|
//! | this file | what the interface is set to |
//! | `egress` | the way out of packets of every kind |
//! | `neighbourhood` | ARP and neighbour discovery: asked, answered, announced |
//! | `ownership` | how addresses become this host's, and who else claims them |
//! | `learning` | what routers advertise |
//! | `membership` | groups of the interface itself, and the reports of all of them |
//! | `errors` | what other hosts are told of packets that were not taken |

mod egress;
mod errors;
mod learning;
mod membership;
mod neighbourhood;
mod ownership;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::wire::{EthernetAddress, IpCidr};

use crate::ip::Paths;
use crate::ip::addresses::{Addresses, Origin};
use crate::ip::fragmentation::Identifications;
use crate::ip::limiter::{self, Limiter};
use crate::ip::output::Checksums;
use crate::ip::routes::{AddRouteError, NextHop, NoRoute, Reachability, Route, Routes};
use crate::link::groups::{self, Groups};
use crate::link::neighbours::{self, Neighbour, Neighbours};
use crate::random::{Random, Secret};
use crate::slots::Key;
use crate::time::Instant;
use crate::wire::HopLimit;

pub(crate) use egress::ETHERNET_HEADER;
pub use egress::{Joined, Outgoing, SendError, Way};
pub use neighbourhood::Resolved;
pub use ownership::{Conflict, Verification};

use egress::Backlog;
use ownership::Claims;

/// What a link is, as far as the engine has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// This host's hardware address on an Ethernet; none where the link carries bare IP packets.
    pub hardware: Option<EthernetAddress>,
    /// The IP MTU in bytes: 1280 to 65535.
    pub mtu: usize,
    /// What leaves arrives here again, and at once; every address is this host's, as on Linux's `lo`.
    pub loops_back: bool,
    /// Checksums are computed and verified here.
    pub checksums: bool,
    /// The device completes the checksums of TCP and UDP.
    pub completes_checksums: bool,
    /// The longest IP packet in bytes, with the data of several TCP segments in it, that the device takes; 0 for none.
    pub segmentation: usize,
    /// Such a packet may have several datagrams in it too.
    pub datagram_segmentation: bool,
}

impl Link {
    /// What of the checksums of TCP and UDP is computed here, where the device may do the rest.
    pub(crate) const fn offloaded_checksums(&self) -> Checksums {
        match (self.checksums, self.completes_checksums) {
            (true, true) => Checksums::Partial,
            (true, false) => Checksums::All,
            (false, _) => Checksums::None,
        }
    }
}

/// What has changed about an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An address is this host's.
    AddressAdded(IpCidr),
    /// An address is this host's no more.
    AddressRemoved(IpCidr),
    /// Somebody else uses an address that this host has or wanted.
    AddressConflict(Conflict),
    /// A route is there.
    RouteAdded(Route),
    /// A route is gone.
    RouteRemoved(Route),
    /// The IP MTU is another, in bytes.
    Mtu(usize),
    /// A server of names is known.
    ServerAdded(IpAddr),
    /// A server of names is not known any more.
    ServerRemoved(IpAddr),
    /// The domains in which names are looked for are others, or in another order.
    SearchDomains,
    /// DHCP found, renewed or lost a lease.
    Dhcp,
    /// Autoconfiguration was switched on or off, heard its first advertisement, or one that says another thing of DHCPv6, or
    /// has asked for routers in vain.
    Autoconfiguration,
}

/// What waits for a neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A whole IP packet.
    Packet(Vec<u8>),
    /// Somebody who has packets, and makes them once they can leave.
    Sender(Key),
}

/// What has been counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that were to leave, and were dropped: their neighbour did not answer, or too many waited.
    pub dropped: u64,
    /// Errors that were not sent because there were too many.
    pub suppressed: u64,
}

/// Senders and packets that wait for one neighbour; of packets there are fewer.
const MOST_WAITING: usize = 1024;
/// Changes that were not asked for yet.
const MOST_CHANGES: usize = 1024;

/// See the [module](self).
pub struct Interface {
    link: Link,
    addresses: Addresses,
    routes: Routes,
    paths: Paths,
    neighbours: Neighbours<Waiting>,
    claims: Claims,
    groups: Groups,
    limiter: Limiter,
    identifications: Identifications,
    /// Frames that wait for the device.
    backlog: Backlog,
    /// Who waited for a neighbour and may try again, or learns that it does not answer.
    resolved: VecDeque<Resolved>,
    /// Bytes of packets that wait for neighbours.
    waiting_bytes: usize,
    changes: VecDeque<Change>,
    /// Somebody's hardware address became known.
    has_news: bool,
    /// Something waits less for a neighbour.
    has_room: bool,
    /// Somebody is to be asked at once.
    is_urgent: bool,
    /// The link carries frames.
    is_up: bool,
    /// That of IPv6 packets for which nobody says one (RFC 4861 section 6.3.2, `CurHopLimit`).
    v6_hop_limit: HopLimit,
    counters: Counters,
    random: Random,
}

impl Interface {
    /// An interface without addresses.
    #[must_use]
    pub fn new(link: Link, mut random: Random) -> Self {
        let mut groups = Groups::new(groups::DEFAULT_LIMIT, &mut random);
        if link.loops_back {
            // There are no routers to hear of them.
            groups.link_down(Instant::ORIGIN);
        }
        Self {
            link,
            addresses: Addresses::default(),
            routes: Routes::default(),
            paths: Paths::default(),
            neighbours: Neighbours::new(
                neighbours::Config {
                    most_waiting: MOST_WAITING,
                    most_waiting_total: 8 * MOST_WAITING,
                    ..neighbours::Config::default()
                },
                &mut random,
            ),
            claims: Claims::new(Secret::new(&mut random)),
            groups,
            limiter: Limiter::new(limiter::Config::default(), &mut random),
            identifications: Identifications::new(&mut random),
            backlog: Backlog::default(),
            resolved: VecDeque::new(),
            waiting_bytes: 0,
            changes: VecDeque::new(),
            has_news: false,
            has_room: false,
            is_urgent: false,
            is_up: true,
            v6_hop_limit: HopLimit::DEFAULT,
            counters: Counters::default(),
            random,
        }
    }

    /// The link.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// Sets the IP MTU.
    pub const fn set_mtu(&mut self, mtu: usize) {
        self.link.mtu = mtu;
    }

    /// The hop limit, or time to live, of packets to a destination for which nobody says one: over IPv6 what a router has
    /// advertised last (RFC 4861 section 6.3.4).
    #[must_use]
    pub const fn hop_limit(&self, destination: IpAddr) -> HopLimit {
        if destination.is_ipv6() { self.v6_hop_limit } else { HopLimit::DEFAULT }
    }

    /// Sets that of IPv6.
    pub(crate) const fn set_v6_hop_limit(&mut self, hop_limit: HopLimit) {
        self.v6_hop_limit = hop_limit;
    }

    /// What has been counted.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What has changed and was not asked for yet, oldest first.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// The addresses.
    #[must_use]
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The routes.
    #[must_use]
    pub const fn routes(&self) -> &Routes {
        &self.routes
    }

    /// The neighbours, in no order.
    pub fn neighbours(&self, now: Instant) -> impl Iterator<Item = Neighbour> {
        self.neighbours.entries(now)
    }

    /// Adds a route, or takes the place of one by the same way.
    ///
    /// # Errors
    /// See [`AddRouteError`].
    pub fn add_route(&mut self, route: Route) -> Result<(), AddRouteError> {
        if self.routes.add(route)?.is_none() {
            self.tell(Change::RouteAdded(route.masked()));
        }
        Ok(())
    }

    /// Adds a route in place of those with the same destinations, metric and origin.
    ///
    /// # Errors
    /// See [`AddRouteError`].
    pub fn replace_route(&mut self, route: Route) -> Result<(), AddRouteError> {
        let before = self.routes.replace(route)?;
        let repeated = before.iter().any(|known| known.target == route.target);
        before
            .into_iter()
            .filter(|known| known.target != route.target)
            .for_each(|known| self.tell(Change::RouteRemoved(known)));
        if !repeated {
            self.tell(Change::RouteAdded(route.masked()));
        }
        Ok(())
    }

    /// Removes a route, whatever its lifetime; `None` where there is no such.
    pub fn remove_route(&mut self, route: &Route) -> Option<Route> {
        let removed = self.routes.remove(route)?;
        self.tell(Change::RouteRemoved(removed));
        Some(removed)
    }

    /// Removes the routes of an origin.
    pub fn withdraw_routes(&mut self, origin: Origin) {
        let gone = self.routes.withdraw(origin);
        gone.into_iter().for_each(|route| self.tell(Change::RouteRemoved(route)));
    }

    /// To whom packets for a destination are given.
    ///
    /// # Errors
    /// See [`NoRoute`].
    pub fn next_hop(&mut self, destination: IpAddr) -> Result<NextHop, NoRoute> {
        let neighbours = &self.neighbours;
        self.routes.lookup(destination, &self.addresses, |router| match neighbours.reachability(router) {
            neighbours::Reachability::Probable => Reachability::Reachable,
            neighbours::Reachability::Unknown | neighbours::Reachability::Incomplete => Reachability::Unknown,
            neighbours::Reachability::Failed => Reachability::Unreachable,
        })
    }

    /// The address to speak to a destination from (RFC 6724 section 5); that of the route, where it says one.
    pub fn source_for(&mut self, destination: IpAddr, now: Instant) -> Option<IpAddr> {
        let next_hop = self.next_hop(destination).ok();
        let said = next_hop.and_then(|next_hop| next_hop.source);
        let hop = next_hop.map_or(destination, |next_hop| next_hop.hop);
        said.or_else(|| self.addresses.select(destination, hop, now))
    }

    /// Whether a packet for an address is for this host alone.
    #[must_use]
    pub fn is_local(&self, address: IpAddr) -> bool {
        if self.link.loops_back {
            return !address.is_multicast() && !self.addresses.is_broadcast(address);
        }
        self.addresses.is_local(address)
    }

    /// Whether a packet for an address is for this host, be it among others.
    #[must_use]
    pub fn takes(&self, destination: IpAddr) -> bool {
        self.is_local(destination)
            || self.addresses.is_broadcast(destination)
            || (destination.is_multicast() && self.groups.is_member(destination))
    }

    /// The largest IP packet in bytes that goes to a destination whole, as far as this host knows.
    #[must_use]
    pub fn mtu_to(&self, destination: IpAddr, now: Instant) -> usize {
        self.paths.mtu(destination, now).map_or(self.link.mtu, |known| known.min(self.link.mtu))
    }

    /// A router has dropped a packet of this host of `length` bytes because its next link takes only `mtu`. Whether that
    /// may be believed is the caller's to have decided.
    pub fn narrow_path(&mut self, destination: IpAddr, mtu: u32, length: usize, now: Instant) {
        // This host sends nothing longer, and nothing is dropped between itself and itself.
        if length <= self.link.mtu && !self.link.loops_back {
            self.paths.learn(destination, usize::try_from(mtu).unwrap_or(usize::MAX), length, now);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) again; it may be too early.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        [
            self.neighbours.next_timeout(),
            self.claims.next_timeout().filter(|_| self.is_up),
            self.groups.next_timeout(),
            self.addresses.next_timeout(),
            self.routes.next_timeout(),
            self.paths.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether the link carries frames, as far as the engine was told.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.is_up
    }

    /// Whether somebody is to be [asked](Self::handle_timeout) at once, since this was last looked at.
    pub const fn take_urgency(&mut self) -> bool {
        core::mem::replace(&mut self.is_urgent, false)
    }

    /// The memory held, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.neighbours.held() + self.waiting_bytes + self.groups.held() + self.limiter.held() + self.backlog.held()
    }

    /// Notes a change, behind those that came before it.
    pub(crate) fn tell(&mut self, change: Change) {
        // Who does not ask for so many has no use for them.
        if self.changes.len() < MOST_CHANGES {
            self.changes.push_back(change);
        }
    }

    fn expire(&mut self, now: Instant) {
        if self.routes.next_timeout().is_some_and(|at| at <= now) {
            let gone = self.routes.expire(now);
            gone.into_iter().for_each(|route| self.tell(Change::RouteRemoved(route)));
        }
        if self.addresses.next_timeout().is_some_and(|at| at <= now) {
            let gone = self.addresses.expire(now);
            gone.into_iter().for_each(|address| self.disown(&address, now));
        }
        if self.paths.next().is_some_and(|at| at <= now) {
            self.paths.expire(now);
        }
    }
}
