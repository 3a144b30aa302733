//! The addresses of an interface: where they come from, how long they last, and which of them to speak from.
//!
//! An address is *tentative* until duplicate address detection has found that nobody else has it (RFC 4862 section
//! 5.4), is *assigned* then, and is used less and less as its lifetimes end: *deprecated* after the preferred one, gone
//! after the valid one. Detection itself, and the messages that addresses are configured by, are other rooms'.
//!
//! Whether the prefix of an address is on the link is a property of its own (RFC 5942 section 3): a router may
//! advertise a prefix to form addresses from (flag A) whose other addresses are nevertheless reached through it (no
//! flag L). A prefix that is on the link without an address is a [route](super::routes::Route) without a gateway.

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

/// How many addresses an interface has at most where nothing else is said.
pub const DEFAULT_LIMIT: usize = 64;
/// How many routers are remembered as advertisers of one prefix; of more, the latest.
const MOST_ADVERTISERS: usize = 4;
/// RFC 4291 section 2.5.6, and RFC 4861 section 5.1: it is on the link without being advertised.
const LINK_LOCAL_V6: IpCidr = IpCidr::new(IpAddress::v6(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);
/// RFC 3927 section 2.6.2: no destination there is given to a router.
const LINK_LOCAL_V4: IpCidr = IpCidr::new(IpAddress::v4(169, 254, 0, 0), 16);

/// Where an address or a route comes from. What one origin brought is withdrawn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// An administrator, or the embedder.
    Static,
    /// A DHCP server's lease.
    Dhcp,
    /// A router's advertisement.
    Router,
    /// This host itself, for its link alone (RFC 3927, RFC 4862 section 5.3).
    LinkLocal,
}

/// How far duplicate address detection has come with an address (RFC 4862 section 5.4, RFC 5227).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection {
    /// It has not ended: nothing is sent from the address and nothing is accepted for it. Left by
    /// [`assign`](Addresses::assign) and [`mark_duplicated`](Addresses::mark_duplicated).
    Running,
    /// Nobody else has the address, or nobody was to be asked: it is assigned to the interface.
    Passed,
    /// Another has it: it is not used until somebody intervenes, or detection [starts
    /// anew](Addresses::restart_detection).
    Failed,
}

/// What an address may be used for (RFC 4862 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// For nothing yet: whether another has it is being found out.
    Tentative,
    /// For everything.
    Preferred,
    /// For what has begun from it. New communication begins from another where there is one.
    Deprecated,
    /// For nothing: another has it.
    Duplicated,
}

/// The routers that have advertised the prefix of an address, for rule 5.5 of RFC 6724. There are four at most; the
/// one that was heard first gives way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advertisers([Option<Ipv6Addr>; MOST_ADVERTISERS]);

impl Advertisers {
    /// Takes note of a router's advertisement.
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
    /// Whether its identifier is a random one, which is used for a time (RFC 8981).
    pub temporary: bool,
    /// Whether the other addresses of its prefix are on the link (flag L of RFC 4861 section 4.6.2; RFC 5942).
    pub on_link: bool,
    /// How far duplicate address detection has come.
    pub detection: Detection,
    /// From when on it is deprecated; `None` for never.
    pub preferred_until: Option<Instant>,
    /// From when on it is gone; `None` for never.
    pub valid_until: Option<Instant>,
    /// Which routers have advertised its prefix.
    pub advertisers: Advertisers,
}

impl Address {
    /// An address that lasts for ever, with its prefix on the link, and without detection.
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

    /// What it may be used for.
    #[must_use]
    pub fn state(&self, now: Instant) -> State {
        match self.detection {
            Detection::Running => State::Tentative,
            Detection::Failed => State::Duplicated,
            Detection::Passed if self.preferred_until.is_some_and(|until| until <= now) => State::Deprecated,
            Detection::Passed => State::Preferred,
        }
    }

    /// How far it means something.
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
    /// No host can have it: it is unspecified, of "this network" (0.0.0.0/8), multicast, a broadcast address, the IPv4
    /// address of a network itself (RFC 1122 section 3.2.1.3), or an IPv4 address written as an IPv6 one (RFC 4291
    /// section 2.5.5).
    #[error("no host can have this address")]
    Invalid,
    /// The interface has it from another origin.
    #[error("the interface has this address from elsewhere")]
    InUse,
    /// There are as many as there may be: of all, or of those that routers advertise.
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

/// What became of an address that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The interface has one more.
    New,
    /// The interface had it from this origin; so it was before.
    Updated(Address),
}

/// The addresses of one interface, no more than its limit. Looking for an address is a binary search.
#[derive(Debug)]
pub struct Addresses {
    /// In the order in which they were added, which decides between equals.
    list: Entries<Address>,
    /// Where each address is in the list; sorted.
    places: Vec<(IpAddr, usize)>,
    /// The directed broadcast addresses; sorted.
    broadcasts: Vec<Ipv4Addr>,
    revision: u64,
}

impl Default for Addresses {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl Addresses {
    /// No addresses; `limit` at most. A quarter of them at most are from routers, so that whoever sends advertisements
    /// cannot keep the other origins out.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        let list = Entries::new(limit, limit / 4);
        Self { list, places: Vec::new(), broadcasts: Vec::new(), revision: 0 }
    }

    /// Adds an address. Where the interface has it already from the same origin, its prefix, its lifetimes and whether
    /// it is on the link become the new ones, its advertisers are added, and what duplicate address detection has found
    /// stays.
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
            // A router repeats itself all the time, and only the lifetimes change.
            let is_changed = (known.cidr, known.on_link) != (before.cidr, before.on_link);
            self.replace(known, is_changed);
            return Ok(Added::Updated(before));
        }
        self.list.push(address).map_err(|Full| AddAddressError::Full)?;
        self.update();
        Ok(Added::New)
    }

    /// Removes an address; `None` where there is no such.
    pub fn remove(&mut self, address: IpAddr) -> Option<Address> {
        self.left(|list| list.take(|known| known.address() == address)).pop()
    }

    /// Removes what an origin brought, and returns it.
    pub fn withdraw(&mut self, origin: Origin) -> Vec<Address> {
        self.left(|list| list.withdraw(origin))
    }

    /// Removes the addresses whose valid lifetime is over (RFC 4862 section 5.5.4), and returns them.
    pub fn expire(&mut self, now: Instant) -> Vec<Address> {
        self.left(|list| list.expire(now))
    }

    /// When to call [`expire`](Self::expire) again. That an address becomes deprecated needs no call.
    #[must_use]
    pub const fn next_timeout(&self) -> Option<Instant> {
        self.list.next_timeout()
    }

    /// Assigns an address: duplicate address detection has found nobody who has it. Whether it was tentative.
    pub fn assign(&mut self, address: IpAddr) -> bool {
        self.move_on(address, Detection::Running, Detection::Passed)
    }

    /// Takes an address out of use, because another has it: one that was tentative (RFC 4862 section 5.4.5). Whether it
    /// was. An assigned one is not taken away by whoever claims it; to give it up after all (RFC 5227 section 2.4),
    /// remove it.
    pub fn mark_duplicated(&mut self, address: IpAddr) -> bool {
        self.move_on(address, Detection::Running, Detection::Failed)
    }

    /// Makes an address tentative again, as when the link was gone, and others may have taken the address meanwhile.
    /// Whether the interface has it.
    pub fn restart_detection(&mut self, address: IpAddr) -> bool {
        let Some(known) = self.find(address).copied() else { return false };
        self.replace(Address { detection: Detection::Running, ..known }, true);
        true
    }

    /// An address of the interface with all that is known of it, whatever its state.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<&Address> {
        self.list.get(self.place(address)?)
    }

    /// All of them, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Address> {
        self.list.iter()
    }

    /// How many there are, in whatever state.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether packets for an address are for this host: it is assigned. Packets for a tentative address are not (RFC
    /// 4862 section 5.4); which messages of neighbour discovery are heard nevertheless, is for [`find`](Self::find) to
    /// tell.
    #[must_use]
    pub fn is_local(&self, address: IpAddr) -> bool {
        self.find(address).is_some_and(Address::is_assigned)
    }

    /// Whether an address is that of all hosts of the link: 255.255.255.255, or the directed broadcast address of a
    /// network that an assigned address is of (RFC 1122 section 3.2.1.3). Networks of 31 bits and more have none (RFC
    /// 3021 section 2.2).
    #[must_use]
    pub fn is_broadcast(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => address.is_broadcast() || self.broadcasts.binary_search(&address).is_ok(),
            IpAddr::V6(_) => false,
        }
    }

    /// Whether an address is the one by which 4.2BSD meant all hosts of a network: zeros for the host (RFC 1122 section
    /// 3.3.6). Packets for it are to be treated as broadcast ones, so nothing answers them and no error is sent about
    /// them, and none is sent there.
    #[must_use]
    pub fn is_old_broadcast(&self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address else { return false };
        let is_network = |known: &Address| v4_network(known.cidr).is_some_and(|(network, _)| network == address);
        self.list.iter().any(|known| known.is_assigned() && is_network(known))
    }

    /// Whether an address is on the link by the prefix of an address of this interface, or because it is link-local.
    /// What is on the link by a route is [`Routes::is_on_link`](super::routes::Routes::is_on_link)'s to say as well.
    #[must_use]
    pub fn is_connected(&self, address: IpAddr) -> bool {
        let address = IpAddress::from(address);
        self.connected().any(|prefix| prefix.contains_addr(&address))
    }

    /// The prefixes that are on the link by the addresses of this interface; some may be repeated. An address that
    /// another has says nothing about the link. A prefix is on the link while detection runs: it is only not spoken
    /// from then.
    ///
    /// The link-local prefixes are among them where there is an address of their family that is not a loopback one: on
    /// such an interface there is a link.
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

    /// Another number after each change of what this host has, or of what is on its link; not of lifetimes.
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

    /// Changes what is known of an address; `is_changed` where it is more than lifetimes.
    fn replace(&mut self, known: Address, is_changed: bool) {
        if let Some(place) = self.place(known.address()) {
            self.list.replace(place, known);
        }
        if is_changed {
            self.update();
        }
    }

    /// Those that leave the list.
    fn left(&mut self, leave: impl FnOnce(&mut Entries<Address>) -> Vec<Address>) -> Vec<Address> {
        let left = leave(&mut self.list);
        if !left.is_empty() {
            self.update();
        }
        left
    }

    /// Finds anew what is kept besides the list, of which more than lifetimes has changed. There are few addresses, and
    /// they seldom change.
    fn update(&mut self) {
        self.places = self.list.iter().enumerate().map(|(place, address)| (address.address(), place)).collect();
        self.places.sort_unstable();
        let assigned = self.list.iter().filter(|address| address.is_assigned());
        self.broadcasts = assigned.filter_map(|address| v4_network(address.cidr)).map(|(_, last)| last).collect();
        self.broadcasts.sort_unstable();
        self.revision = self.revision.wrapping_add(1);
    }
}

/// The multicast group that whoever looks for the neighbour with this address asks (RFC 4291 section 2.7.1).
#[must_use]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high & 0xff, low)
}

/// Whether an address is an IPv4 one that is written as an IPv6 one, which is never on a wire (RFC 4291 section 2.5.5).
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
    // What is reserved (240.0.0.0/4, RFC 1112 section 4) is taken, as Linux does: there are networks that use it.
    let is_this_network = address.octets()[0] == 0;
    !is_this_network && !address.is_broadcast() && !is_of_all
}

/// The first and the last address of an IPv4 network, where they stand for the network and for all of its hosts.
fn v4_network(cidr: IpCidr) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let IpCidr::Ipv4(cidr) = cidr else { return None };
    let host = u32::MAX.checked_shr(cidr.prefix_len().into()).filter(|host| *host > 1)?;
    let bits = cidr.address().to_bits();
    Some((Ipv4Addr::from_bits(bits & !host), Ipv4Addr::from_bits(bits | host)))
}
