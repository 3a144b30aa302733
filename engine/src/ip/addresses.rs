//! The addresses of an interface: their origins, their lifetimes, and source address selection.
//!
//! An address is *tentative* until duplicate address detection has found that no other host has it (RFC 4862 section
//! 5.4). Then it is *assigned*. It is *deprecated* when its preferred lifetime ends, and removed when its valid
//! lifetime ends. Other modules run the detection and handle the messages that configure addresses.
//!
//! Whether the prefix of an address is on the link is a separate property (RFC 5942 section 3): a router may advertise
//! a prefix from which hosts form addresses (flag A) although the other addresses of the prefix are reached through the
//! router (no flag L). An on-link prefix without an address is a [route](super::routes::Route) without a gateway.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::{IpAddress, IpCidr};
use thiserror::Error;

use super::entries::{Entries, Entry, Full};
use crate::time::Instant;

mod preference;
mod stable;
#[cfg(test)]
mod tests;

pub use preference::{Scope, common_prefix, policy};
pub(crate) use stable::is_reserved;
pub use stable::{StableIdentifier, stable_identifier};

/// How many addresses an interface has at most by default.
pub const DEFAULT_LIMIT: usize = 64;
/// How many routers are remembered as advertisers of one prefix. If there are more, the latest are kept.
const MOST_ADVERTISERS: usize = 4;
/// The link-local prefix of IPv6 (RFC 4291 section 2.5.6). It is on-link without being advertised (RFC 4861 section
/// 5.1).
const LINK_LOCAL_V6: IpCidr = IpCidr::new(IpAddress::v6(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);
/// The link-local prefix of IPv4. Packets for it are never sent to a router (RFC 3927 section 2.6.2).
const LINK_LOCAL_V4: IpCidr = IpCidr::new(IpAddress::v4(169, 254, 0, 0), 16);

/// Where an address or a route comes from. Everything from one origin is withdrawn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// An administrator, or the embedder.
    Static,
    /// A DHCP server's lease.
    Dhcp,
    /// A router's advertisement.
    Router,
    /// This host itself, for use on its link only (RFC 3927, RFC 4862 section 5.3).
    LinkLocal,
}

/// The result of duplicate address detection for an address (RFC 4862 section 5.4, RFC 5227).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection {
    /// Detection has not ended: nothing is sent from the address, and packets for it are not accepted.
    /// [`assign`](Addresses::assign) and [`mark_duplicated`](Addresses::mark_duplicated) end this state.
    Running,
    /// No other host has the address, or detection was not needed. The address is assigned to the interface.
    Passed,
    /// Another host has the address. It is not used until an administrator intervenes, or detection [starts
    /// again](Addresses::restart_detection).
    Failed,
}

/// What an address may be used for (RFC 4862 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// For nothing yet: duplicate address detection is running.
    Tentative,
    /// For everything.
    Preferred,
    /// For existing communication. New communication uses another address if there is one.
    Deprecated,
    /// For nothing: another host has it.
    Duplicated,
}

/// The routers that have advertised the prefix of an address, for rule 5.5 of RFC 6724. At most four are kept, the most
/// recently added ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advertisers([Option<Ipv6Addr>; MOST_ADVERTISERS]);

impl Advertisers {
    /// Adds a router that has advertised the prefix.
    pub fn insert(&mut self, router: Ipv6Addr) {
        if !self.contains(router) {
            self.0.rotate_right(1);
            if let Some(first) = self.0.first_mut() {
                *first = Some(router);
            }
        }
    }

    /// Whether a router has advertised the prefix.
    #[must_use]
    pub fn contains(&self, router: Ipv6Addr) -> bool {
        self.0.contains(&Some(router))
    }

    /// Whether no router is known to have advertised the prefix.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address, with the length of its prefix.
    pub cidr: IpCidr,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether its identifier is a random one that is replaced after a time (RFC 8981).
    pub temporary: bool,
    /// Whether the other addresses of its prefix are on-link (flag L of RFC 4861 section 4.6.2; RFC 5942).
    pub on_link: bool,
    /// The result of duplicate address detection.
    pub detection: Detection,
    /// When it becomes deprecated; `None` for never.
    pub preferred_until: Option<Instant>,
    /// When it expires; `None` for never.
    pub valid_until: Option<Instant>,
    /// The routers that have advertised its prefix.
    pub advertisers: Advertisers,
}

impl Address {
    /// An address without an end of its lifetimes, with its prefix on-link, and without duplicate address detection.
    #[must_use]
    pub fn new(cidr: IpCidr, origin: Origin) -> Self {
        Self {
            cidr,
            origin,
            temporary: false,
            on_link: true,
            detection: Detection::Passed,
            preferred_until: None,
            valid_until: None,
            advertisers: Advertisers::default(),
        }
    }

    /// The address alone.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.cidr.address().into()
    }

    /// What the address may be used for.
    #[must_use]
    pub fn state(&self, now: Instant) -> State {
        match self.detection {
            Detection::Running => State::Tentative,
            Detection::Failed => State::Duplicated,
            Detection::Passed if self.preferred_until.is_some_and(|until| until <= now) => State::Deprecated,
            Detection::Passed => State::Preferred,
        }
    }

    /// The scope of the address.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::of(self.address())
    }

    fn is_assigned(&self) -> bool {
        self.detection == Detection::Passed
    }
}

/// Why an address was not added. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddAddressError {
    /// No host can have it: it is unspecified, of "this network" (0.0.0.0/8), multicast, a broadcast address, the
    /// address of an IPv4 network itself (RFC 1122 section 3.2.1.3), or an IPv4-mapped IPv6 address (RFC 4291 section
    /// 2.5.5).
    #[error("no host can have this address")]
    Invalid,
    /// The interface has it from another origin.
    #[error("the interface has this address from elsewhere")]
    InUse,
    /// The limit is reached: the one for all addresses, or the one for addresses that routers advertise.
    #[error("the interface has as many addresses as it may have")]
    Full,
}

impl Entry for Address {
    fn origin(&self) -> Origin {
        self.origin
    }

    fn valid_until(&self) -> Option<Instant> {
        self.valid_until
    }
}

/// The result of adding an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The address is new.
    New,
    /// The interface had the address from this origin already. This is its previous state.
    Updated(Address),
}

/// The addresses of one interface, up to a limit. Looking up an address is a binary search.
#[derive(Debug)]
pub struct Addresses {
    /// In the order in which they were added. Source address selection prefers the earlier of two equal addresses.
    list: Entries<Address>,
    /// The index of each address in the list, sorted by address.
    places: Vec<(IpAddr, usize)>,
    /// The directed broadcast addresses, sorted.
    broadcasts: Vec<Ipv4Addr>,
    revision: u64,
}

impl Default for Addresses {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl Addresses {
    /// An empty list for at most `limit` addresses. At most a quarter of them may come from routers, so that a host
    /// which sends advertisements cannot displace the other origins.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        let list = Entries::new(limit, limit / 4);
        Self { list, places: Vec::new(), broadcasts: Vec::new(), revision: 0 }
    }

    /// Adds an address. If the interface has it already from the same origin, its prefix, its lifetimes and its on-link
    /// flag are replaced, its advertisers are added, and the result of duplicate address detection is kept.
    ///
    /// # Errors
    /// See [`AddAddressError`].
    pub fn add(&mut self, address: Address) -> Result<Added, AddAddressError> {
        if !is_assignable(address.cidr) {
            return Err(AddAddressError::Invalid);
        }
        if let Some(before) = self.find(address.address()).copied() {
            if before.origin != address.origin {
                return Err(AddAddressError::InUse);
            }
            let mut known = Address { detection: before.detection, advertisers: before.advertisers, ..address };
            address.advertisers.0.into_iter().rev().flatten().for_each(|router| known.advertisers.insert(router));
            // A router repeats its advertisements all the time, and usually only the lifetimes change.
            let is_changed = (known.cidr, known.on_link) != (before.cidr, before.on_link);
            self.replace(known, is_changed);
            return Ok(Added::Updated(before));
        }
        self.list.push(address).map_err(|Full| AddAddressError::Full)?;
        self.update();
        Ok(Added::New)
    }

    /// Removes an address; `None` if there is no such address.
    pub fn remove(&mut self, address: IpAddr) -> Option<Address> {
        self.left(|list| list.take(|known| known.address() == address)).pop()
    }

    /// Removes and returns the addresses of an origin.
    pub fn withdraw(&mut self, origin: Origin) -> Vec<Address> {
        self.left(|list| list.withdraw(origin))
    }

    /// Removes the addresses whose valid lifetime is over (RFC 4862 section 5.5.4), and returns them.
    pub fn expire(&mut self, now: Instant) -> Vec<Address> {
        self.left(|list| list.expire(now))
    }

    /// When to call [`expire`](Self::expire) again. An address becomes deprecated without a call.
    #[must_use]
    pub const fn next_timeout(&self) -> Option<Instant> {
        self.list.next_timeout()
    }

    /// Assigns a tentative address, because duplicate address detection has found no other host that has it. Returns
    /// whether the address was tentative.
    pub fn assign(&mut self, address: IpAddr) -> bool {
        self.move_on(address, Detection::Running, Detection::Passed)
    }

    /// Marks a tentative address as duplicated, because another host has it (RFC 4862 section 5.4.5). Returns whether
    /// the address was tentative. An assigned address is not lost just because another host claims it. To give it up
    /// after all (RFC 5227 section 2.4), remove it.
    pub fn mark_duplicated(&mut self, address: IpAddr) -> bool {
        self.move_on(address, Detection::Running, Detection::Failed)
    }

    /// Makes an address tentative again, for example because the link was down and another host may have taken the
    /// address. Returns whether the interface has the address.
    pub fn restart_detection(&mut self, address: IpAddr) -> bool {
        let Some(known) = self.find(address).copied() else { return false };
        self.replace(Address { detection: Detection::Running, ..known }, true);
        true
    }

    /// The record of an address, whatever its state.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<&Address> {
        self.list.get(self.place(address)?)
    }

    /// All addresses, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Address> {
        self.list.iter()
    }

    /// The number of addresses in any state.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are no addresses.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether packets for an address are for this host, because the address is assigned. Packets for a tentative
    /// address are not (RFC 4862 section 5.4). Use [`find`](Self::find) to decide which neighbour discovery messages
    /// for a tentative address are accepted.
    #[must_use]
    pub fn is_local(&self, address: IpAddr) -> bool {
        self.find(address).is_some_and(Address::is_assigned)
    }

    /// Whether an address is a broadcast address of the link: 255.255.255.255, or the directed broadcast address of the
    /// network of an assigned address (RFC 1122 section 3.2.1.3). Networks with a prefix of 31 or 32 bits have none
    /// (RFC 3021 section 2.2).
    #[must_use]
    pub fn is_broadcast(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => address.is_broadcast() || self.broadcasts.binary_search(&address).is_ok(),
            IpAddr::V6(_) => false,
        }
    }

    /// Whether an address is the broadcast address of 4.2BSD for a network: a host part of zeros (RFC 1122 section
    /// 3.3.6). Packets for it are treated as broadcast packets: nothing answers them, no error is sent about them, and
    /// no error is sent to the address.
    #[must_use]
    pub fn is_old_broadcast(&self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address else { return false };
        let is_network = |known: &Address| v4_network(known.cidr).is_some_and(|(network, _)| network == address);
        self.list.iter().any(|known| known.is_assigned() && is_network(known))
    }

    /// Whether an address is on-link by the prefix of an address of this interface, or because it is link-local. It may
    /// also be on-link by a route: see [`Routes::is_on_link`](super::routes::Routes::is_on_link).
    #[must_use]
    pub fn is_connected(&self, address: IpAddr) -> bool {
        let address = IpAddress::from(address);
        self.connected().any(|prefix| prefix.contains_addr(&address))
    }

    /// The prefixes that are on-link by the addresses of this interface. Some may be repeated. A duplicated address
    /// says nothing about the link. The prefix of a tentative address is on-link: only nothing is sent from the address
    /// yet.
    ///
    /// The link-local prefix of a family is included if there is an address of the family that is not a loopback
    /// address, because such an interface has a link.
    pub fn connected(&self) -> impl Iterator<Item = IpCidr> {
        let usable = |address: &&Address| address.detection != Detection::Failed;
        let own = self.list.iter().filter(usable).filter(|address| address.on_link).map(|address| address.cidr);
        let link_local = [LINK_LOCAL_V4, LINK_LOCAL_V6].into_iter().filter(move |prefix| {
            let has_family = |address: &Address| {
                address.cidr.address().version() == prefix.address().version() && !address.address().is_loopback()
            };
            self.list.iter().any(has_family)
        });
        own.chain(link_local)
    }

    /// A number that changes whenever the addresses of this host or the prefixes on its link change. A change of
    /// lifetimes does not count.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    fn place(&self, address: IpAddr) -> Option<usize> {
        let found = self.places.binary_search_by_key(&address, |(address, _)| *address).ok()?;
        self.places.get(found).map(|(_, place)| *place)
    }

    fn move_on(&mut self, address: IpAddr, from: Detection, to: Detection) -> bool {
        let Some(known) = self.find(address).filter(|known| known.detection == from).copied() else { return false };
        self.replace(Address { detection: to, ..known }, true);
        true
    }

    /// Replaces the record of an address. `is_changed` is set if more than the lifetimes changes.
    fn replace(&mut self, known: Address, is_changed: bool) {
        if let Some(place) = self.place(known.address()) {
            self.list.replace(place, known);
        }
        if is_changed {
            self.update();
        }
    }

    /// Removes addresses from the list by `leave` and returns them.
    fn left(&mut self, leave: impl FnOnce(&mut Entries<Address>) -> Vec<Address>) -> Vec<Address> {
        let left = leave(&mut self.list);
        if !left.is_empty() {
            self.update();
        }
        left
    }

    /// Recomputes the tables beside the list, after a change of more than lifetimes. There are few addresses, and they
    /// seldom change.
    fn update(&mut self) {
        self.places = self.list.iter().enumerate().map(|(place, address)| (address.address(), place)).collect();
        self.places.sort_unstable();
        let assigned = self.list.iter().filter(|address| address.is_assigned());
        self.broadcasts = assigned.filter_map(|address| v4_network(address.cidr)).map(|(_, last)| last).collect();
        self.broadcasts.sort_unstable();
        self.revision = self.revision.wrapping_add(1);
    }
}

/// The solicited-node multicast group of an address (RFC 4291 section 2.7.1): neighbour solicitations for it go there.
#[must_use]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high & 0xff, low)
}

/// Whether an address is an IPv4-mapped IPv6 address, which is never on the wire (RFC 4291 section 2.5.5).
pub(super) const fn is_v4_mapped(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
    }
}

fn is_assignable(cidr: IpCidr) -> bool {
    let address = IpAddr::from(cidr.address());
    if address.is_unspecified() || address.is_multicast() || is_v4_mapped(address) {
        return false;
    }
    let IpAddr::V4(address) = address else { return true };
    let is_of_all = v4_network(cidr).is_some_and(|(first, last)| address == first || address == last);
    // Reserved addresses (240.0.0.0/4, RFC 1112 section 4) are accepted, as on Linux, because some networks use them.
    let is_this_network = address.octets()[0] == 0;
    !is_this_network && !address.is_broadcast() && !is_of_all
}

/// The first and the last address of an IPv4 network: the network's own address and its directed broadcast address.
/// `None` if the network is too small to have them.
fn v4_network(cidr: IpCidr) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let IpCidr::Ipv4(cidr) = cidr else { return None };
    let host = u32::MAX.checked_shr(cidr.prefix_len().into()).filter(|host| *host > 1)?;
    let bits = cidr.address().to_bits();
    Some((Ipv4Addr::from_bits(bits & !host), Ipv4Addr::from_bits(bits | host)))
}
