//! This host on one link: its addresses and routes, its neighbours, and the output of packets.
//!
//! [`Interface`] owns everything that a packet needs on its way to the link, whatever module sends it: a source
//! address, a next hop, the hardware address of the next hop, the path's MTU, and space on the device. A packet that
//! cannot leave yet waits here, in one queue per neighbour or in the queue for the device.
//!
//! | Module | Contents |
//! |---|---|
//! | this file | the configuration of the interface |
//! | `egress` | the output of packets of every kind |
//! | `way` | the output of TCP segments |
//! | `neighbourhood` | ARP and neighbour discovery: requests, answers, announcements |
//! | `ownership` | claims of addresses, and conflicts with other hosts |
//! | `learning` | router advertisements |
//! | `membership` | groups of the interface itself, and the reports about all groups |
//! | `errors` | ICMP errors that are sent about packets that were not accepted |

mod egress;
mod errors;
mod learning;
mod membership;
mod neighbourhood;
mod ownership;
#[cfg(test)]
mod tests;
mod way;

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
use crate::ports::Owner;
use crate::random::{Random, Secret};
use crate::slots::Key;
use crate::time::{Instant, earliest};
use crate::wire::HopLimit;

pub(crate) use egress::ETHERNET_HEADER;
pub use egress::{Joined, Outgoing, SendError};
pub use neighbourhood::Resolved;
pub use ownership::{Conflict, Verification};
pub use way::Way;

use crate::shares::Shares;
use egress::Backlog;
use ownership::Claims;

/// The properties of a link that the engine has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// This host's hardware address on an Ethernet link; `None` if the link carries bare IP packets.
    pub hardware: Option<EthernetAddress>,
    /// The IP MTU in bytes: 1280 to 65535.
    pub mtu: usize,
    /// Whether packets that are sent arrive here at once, and every address is this host's, as on Linux's `lo`.
    pub loops_back: bool,
    /// Whether the engine computes and verifies checksums.
    pub checksums: bool,
    /// The device completes the checksums of TCP and UDP.
    pub completes_checksums: bool,
    /// The longest IP packet in bytes with the data of several TCP segments that the device takes; 0 if it takes none.
    pub segmentation: usize,
    /// Whether such a packet may also carry several datagrams.
    pub datagram_segmentation: bool,
}

impl Link {
    /// Which part of the TCP and UDP checksums the engine computes, if the device can complete them.
    pub(crate) const fn offloaded_checksums(&self) -> Checksums {
        match (self.checksums, self.completes_checksums) {
            (true, true) => Checksums::Partial,
            (true, false) => Checksums::All,
            (false, _) => Checksums::None,
        }
    }
}

/// A change of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The host now has an address.
    AddressAdded(IpCidr),
    /// The host no longer has an address.
    AddressRemoved(IpCidr),
    /// Another host uses an address that this host has or tried to claim.
    AddressConflict(Conflict),
    /// A route was added.
    RouteAdded(Route),
    /// A route was removed.
    RouteRemoved(Route),
    /// The IP MTU has changed; the new one in bytes.
    Mtu(usize),
    /// A DNS server was added.
    ServerAdded(IpAddr),
    /// A DNS server was removed.
    ServerRemoved(IpAddr),
    /// The search domains have changed, or their order has.
    SearchDomains,
    /// DHCP found, renewed or lost a lease.
    Dhcp,
    /// Autoconfiguration was switched on or off, received its first advertisement or one with other DHCPv6 flags, or got
    /// no answer to its router solicitations.
    Autoconfiguration,
}

/// What waits for a neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A complete IP packet of an owner.
    Packet(Owner, Vec<u8>),
    /// A sender of an owner that makes its packets when they can leave.
    Sender(Owner, Key),
}

impl Waiting {
    /// The bytes of the packet; a sender has none.
    const fn bytes(&self) -> usize {
        match self {
            Self::Packet(_, packet) => packet.len(),
            Self::Sender(..) => 0,
        }
    }

    const fn owner(&self) -> Owner {
        match self {
            Self::Packet(owner, _) | Self::Sender(owner, _) => *owner,
        }
    }
}

/// Counters of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that were to be sent and were dropped: the neighbour did not answer, or too many packets waited.
    pub dropped: u64,
    /// ICMP errors that were not sent because of the rate limit.
    pub suppressed: u64,
}

/// The most senders and packets that wait for neighbours.
const MOST_WAITING: usize = 8192;
/// The most bytes of packets that wait for neighbours.
const MOST_WAITING_BYTES: usize = 4 << 20;
/// The most changes that wait to be polled.
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
    /// Frames that wait for space on the device.
    backlog: Backlog,
    /// Senders that waited for a neighbour: they may try again, or learn that the neighbour does not answer.
    resolved: VecDeque<Resolved>,
    /// What waits for neighbours, by owner.
    waiting: Shares,
    changes: VecDeque<Change>,
    /// The hardware address of a neighbour became known.
    has_news: bool,
    /// The queue of a neighbour has become shorter.
    has_room: bool,
    /// A neighbour must be asked at once.
    is_urgent: bool,
    /// Whether the link carries frames.
    is_up: bool,
    /// Whether every address is this host's: it is a router that answers in the place of all hosts.
    has_every_address: bool,
    /// Whether neighbours are told that this host is a router.
    is_router: bool,
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
            // A loopback link has no routers that need reports.
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
                    most_waiting_total: MOST_WAITING,
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
            waiting: Shares::new(MOST_WAITING, MOST_WAITING_BYTES),
            changes: VecDeque::new(),
            has_news: false,
            has_room: false,
            is_urgent: false,
            is_up: true,
            has_every_address: false,
            is_router: false,
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

    /// The hop limit or time to live of packets that do not set their own: for IPv6, the one that a router advertised last
    /// (RFC 4861 section 6.3.4).
    #[must_use]
    pub const fn hop_limit(&self, destination: IpAddr) -> HopLimit {
        if destination.is_ipv6() { self.v6_hop_limit } else { HopLimit::DEFAULT }
    }

    /// Sets the default hop limit of IPv6.
    pub(crate) const fn set_v6_hop_limit(&mut self, hop_limit: HopLimit) {
        self.v6_hop_limit = hop_limit;
    }

    /// The counters.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The next change that was not polled yet, oldest first.
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

    /// Adds a route, or replaces the one with the same target.
    ///
    /// # Errors
    /// See [`AddRouteError`].
    pub fn add_route(&mut self, route: Route) -> Result<(), AddRouteError> {
        if self.routes.add(route)?.is_none() {
            self.tell(Change::RouteAdded(route.masked()));
        }
        Ok(())
    }

    /// Adds a route, and removes other routes with the same destination, metric and origin.
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

    /// Removes a route, whatever its lifetime; `None` if there is no such route.
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

    /// The next hop of packets for a destination.
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

    /// The source address for a destination: the one that the route names, or else the one by RFC 6724 section 5.
    pub fn source_for(&mut self, destination: IpAddr, now: Instant) -> Option<IpAddr> {
        let next_hop = self.next_hop(destination).ok();
        let said = next_hop.and_then(|next_hop| next_hop.source);
        let hop = next_hop.map_or(destination, |next_hop| next_hop.hop);
        said.or_else(|| self.addresses.select(destination, hop, now))
    }

    /// Sets whether this host takes packets for every address of a single host as its own, and sends from every address:
    /// it is a router that answers in the place of the hosts behind it (Linux's `IP_TRANSPARENT`). It still answers ARP
    /// and neighbour solicitations only for the addresses that it has.
    pub const fn set_every_address(&mut self, every: bool) {
        self.has_every_address = every;
    }

    /// Sets whether this host is a router, as its neighbour advertisements say (RFC 4861 section 7.2.4). Hosts do not use
    /// the router advertisements of one that is not (section 7.2.5).
    pub const fn set_router(&mut self, router: bool) {
        self.is_router = router;
    }

    /// Whether a packet for an address is for this host alone.
    #[must_use]
    pub fn is_local(&self, address: IpAddr) -> bool {
        if self.link.loops_back || self.has_every_address {
            return !address.is_multicast() && !self.addresses.is_broadcast(address);
        }
        self.addresses.is_local(address)
    }

    /// Whether this host accepts packets for an address: its own, a broadcast address, or a group that it is a member
    /// of.
    #[must_use]
    pub fn takes(&self, destination: IpAddr) -> bool {
        self.is_local(destination)
            || self.addresses.is_broadcast(destination)
            || (destination.is_multicast() && self.groups.is_member(destination))
    }

    /// The path MTU as far as this host knows it: the largest IP packet in bytes that reaches a destination
    /// unfragmented.
    #[must_use]
    pub fn mtu_to(&self, destination: IpAddr, now: Instant) -> usize {
        self.paths.mtu(destination, now).map_or(self.link.mtu, |known| known.min(self.link.mtu))
    }

    /// Lowers the MTU of a path: a router has dropped a packet of `length` bytes of this host, because its next link
    /// takes only `mtu`. The caller has decided that the router's message can be believed.
    pub fn narrow_path(&mut self, destination: IpAddr, mtu: u32, length: usize, now: Instant) {
        // This host sends no packet longer than the link's MTU, and nothing is dropped on a loopback link.
        if length <= self.link.mtu && !self.link.loops_back {
            self.paths.learn(destination, usize::try_from(mtu).unwrap_or(usize::MAX), length, now);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) again. Nothing may be due yet at that time.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        earliest([
            self.neighbours.next_timeout(),
            self.claims.next_timeout().filter(|_| self.is_up),
            self.groups.next_timeout(),
            self.addresses.next_timeout(),
            self.routes.next_timeout(),
            self.paths.next(),
        ])
    }

    /// Whether the link carries frames, as far as the engine was told.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.is_up
    }

    /// Whether a neighbour must be [asked](Self::handle_timeout) at once. Clears the flag.
    pub const fn take_urgency(&mut self) -> bool {
        core::mem::replace(&mut self.is_urgent, false)
    }

    /// The memory held, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.neighbours.held() + self.waiting.bytes() + self.groups.held() + self.limiter.held() + self.backlog.held()
    }

    /// Queues a change behind the earlier ones.
    pub(crate) fn tell(&mut self, change: Change) {
        // A shell that does not poll changes does not need them.
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
