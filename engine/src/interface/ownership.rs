//! Claims of addresses: verification, announcement, and conflicts with other hosts (RFC 5227, RFC 4862 section 5.4).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use smoltcp::wire::{EthernetAddress, IpCidr};

use super::{Change, Interface};
use crate::frame::Transmitter;
use crate::ip::addresses::{
    AddAddressError, Added, Address, Detection, Origin, StableIdentifier, solicited_node, stable_identifier,
};
use crate::link::claim::{Action, Claim, Defence, Outcome, State, Timing};
use crate::random::{Random, Secret};
use crate::time::Instant;

/// The minimum time between two announcements that defend an address, and between two reports of one conflict (RFC 5227
/// section 1.1, `DEFEND_INTERVAL`).
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// How many identifiers are tried before the interface goes without one of its addresses (RFC 7217 section 6,
/// `IDGEN_RETRIES`).
const MOST_RETRIES: u32 = 3;
/// How many nonces are remembered, to recognize own probes that are looped back.
const MOST_NONCES: usize = 16;

/// Whether an address is probed for before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// It is probed for first. For addresses that this host has formed itself, and for leased addresses.
    First,
    /// It is used and announced at once. For addresses that an administrator has set.
    None,
}

/// Another host uses an address that this host has or tried to claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub address: IpAddr,
    /// The hardware address of the other host.
    pub hardware: EthernetAddress,
    /// Whether this host has given up the address.
    pub is_lost: bool,
}

/// The claims of all addresses of an interface.
pub(super) struct Claims {
    list: Vec<Claimed>,
    /// The nonces of the last probes.
    nonces: [[u8; 6]; MOST_NONCES],
    next_nonce: usize,
    /// The key that interface identifiers are made with (RFC 7217).
    secret: Secret,
    /// How many link-local addresses turned out to be another host's.
    link_local_conflicts: u32,
    /// Whether the interface should have a link-local address.
    wants_link_local: bool,
}

struct Claimed {
    address: IpAddr,
    claim: Claim,
    /// When a conflict about it was last reported.
    told: Option<Instant>,
}

impl Claims {
    pub(super) const fn new(secret: Secret) -> Self {
        Self {
            list: Vec::new(),
            nonces: [[0; 6]; MOST_NONCES],
            next_nonce: 0,
            secret,
            link_local_conflicts: 0,
            wants_link_local: false,
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.list.iter().filter_map(|claimed| claimed.claim.next_timeout()).min()
    }

    /// Whether a recent probe had this nonce (RFC 7527 section 4.2).
    pub(super) fn has_sent(&self, nonce: [u8; 6]) -> bool {
        self.nonces.contains(&nonce)
    }

    fn nonce(&mut self, random: &mut Random) -> [u8; 6] {
        let [a, b, c, d, e, f, ..] = random.next_u64().to_be_bytes();
        let nonce = [a, b, c, d, e, f];
        self.next_nonce = (self.next_nonce + 1) % MOST_NONCES;
        self.nonces[self.next_nonce] = nonce;
        nonce
    }

    fn find(&mut self, address: IpAddr) -> Option<&mut Claimed> {
        self.list.iter_mut().find(|claimed| claimed.address == address)
    }
}

impl Interface {
    /// Adds an address, or updates the lifetimes of one with the same origin. On an Ethernet link it is announced (RFC
    /// 5227 section 2.3, RFC 4861 section 7.2.6), or probed for first.
    ///
    /// # Errors
    /// See [`AddAddressError`].
    pub fn add_address(
        &mut self,
        mut address: Address,
        verification: Verification,
        now: Instant,
    ) -> Result<Added, AddAddressError> {
        // Loopback addresses only belong on a loopback link (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3).
        if address.address().is_loopback() && !self.link.loops_back {
            return Err(AddAddressError::Invalid);
        }
        let is_claimed = self.link.hardware.is_some() && !address.address().is_loopback();
        address.detection = match verification {
            Verification::First if is_claimed => Detection::Running,
            Verification::First | Verification::None => Detection::Passed,
        };
        let added = self.addresses.add(address)?;
        if let Added::Updated(before) = added {
            if before.cidr != address.cidr {
                self.tell(Change::AddressRemoved(before.cidr));
                self.tell(Change::AddressAdded(address.cidr));
            }
            return Ok(added);
        }
        self.claim(&address, now);
        if address.detection == Detection::Passed {
            self.tell(Change::AddressAdded(address.cidr));
        }
        Ok(added)
    }

    /// Starts to claim an address that was added. It is probed for first if it is not verified yet.
    pub(super) fn claim(&mut self, address: &Address, now: Instant) {
        if let IpAddr::V6(own) = address.address() {
            // Solicitations for the address are sent to this group (RFC 4862 section 5.4.2). If there is no room for
            // the group, messages that switches flood are still received.
            let _is_first = self.groups.join(solicited_node(own).into(), now);
        }
        if self.link.hardware.is_some() && !address.address().is_loopback() {
            let verification =
                if address.detection == Detection::Running { Verification::First } else { Verification::None };
            let timing = timing(address.address(), address.origin, verification);
            let claim = Claim::new(timing, now, &mut self.random);
            self.claims.list.push(Claimed { address: address.address(), claim, told: None });
        }
    }

    pub(super) fn forget_claim(&mut self, address: IpAddr, now: Instant) {
        self.claims.list.retain(|claimed| claimed.address != address);
        if let IpAddr::V6(own) = address {
            let _was_last = self.groups.leave(solicited_node(own).into(), now);
        }
    }

    /// Removes an address; `None` if the interface does not have it.
    pub fn remove_address(&mut self, address: IpAddr, now: Instant) -> Option<Address> {
        let removed = self.addresses.remove(address)?;
        self.disown(&removed, now);
        Some(removed)
    }

    /// Removes the addresses of an origin.
    pub fn withdraw_addresses(&mut self, origin: Origin, now: Instant) {
        let gone = self.addresses.withdraw(origin);
        gone.into_iter().for_each(|address| self.disown(&address, now));
    }

    /// Removes everything that belongs to an address that was removed.
    pub(super) fn disown(&mut self, address: &Address, now: Instant) {
        self.forget_claim(address.address(), now);
        if address.detection == Detection::Passed {
            self.tell(Change::AddressRemoved(address.cidr));
        }
    }

    /// Sets whether the interface should have a link-local IPv6 address (RFC 4291 section 2.8), made by RFC 7217.
    pub fn set_link_local(&mut self, wanted: bool, now: Instant) {
        self.claims.wants_link_local = wanted;
        if wanted {
            self.ensure_link_local(now);
        } else {
            self.withdraw_addresses(Origin::LinkLocal, now);
        }
    }

    /// If a link-local address is wanted and there is none, starts with the first identifier.
    fn ensure_link_local(&mut self, now: Instant) {
        let is_there = self.addresses.iter().any(|known| known.origin == Origin::LinkLocal);
        if self.claims.wants_link_local && !is_there {
            self.claims.link_local_conflicts = 0;
            self.add_link_local(now);
        }
    }

    /// The function that makes the interface identifiers for /64 networks, after a number of conflicts (RFC 7217);
    /// `None` if the link has no hardware addresses.
    pub(super) fn identify(&self) -> Option<impl Fn(Ipv6Addr, u32) -> StableIdentifier + use<>> {
        let (secret, hardware) = (self.claims.secret.clone(), self.link.hardware?);
        Some(move |prefix, conflicts| stable_identifier(prefix, &secret, &hardware.0, &[], conflicts))
    }

    /// Sets the secret of the interface identifiers, for example the stored one, so that they stay the same.
    pub fn set_identifier_secret(&mut self, secret: Secret) {
        self.claims.secret = secret;
    }

    fn add_link_local(&mut self, now: Instant) {
        const PREFIX: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
        let Some(identify) = self.identify() else { return };
        let identifier = identify(PREFIX, self.claims.link_local_conflicts);
        let cidr = IpCidr::new(identifier.address_in(PREFIX).into(), 64);
        let address = Address::new(cidr, Origin::LinkLocal);
        // No other origin forms such addresses, and the limit is not reached at the start.
        let _added = self.add_address(address, Verification::First, now);
    }

    /// Changes the hardware address. Neighbours are told (RFC 4861 section 7.2.6), and the link-local address is
    /// replaced, because it is derived from the hardware address.
    pub fn set_hardware(&mut self, hardware: EthernetAddress, now: Instant) {
        self.link.hardware = Some(hardware);
        self.withdraw_addresses(Origin::LinkLocal, now);
        self.claims.list.iter_mut().for_each(|claimed| claimed.claim.announce(now));
        self.ensure_link_local(now);
    }

    /// The link is up again, and may be another one: addresses are verified and announced again, neighbours are
    /// solicited at once, and groups are reported. If other hosts had all link-local addresses that this host tried, it
    /// tries again.
    pub fn link_up(&mut self, now: Instant) {
        self.is_up = true;
        let (claims, random) = (&mut self.claims.list, &mut self.random);
        claims.iter_mut().for_each(|claimed| claimed.claim.restart(now, random));
        self.ensure_link_local(now);
        self.neighbours.retry_unresolved(now);
        if !self.link.loops_back {
            self.groups.link_up(now);
        }
    }

    /// The link is down.
    pub fn link_down(&mut self, now: Instant) {
        self.is_up = false;
        self.groups.link_down(now);
    }

    /// Sends the probes and announcements that are due.
    pub(super) fn claim_addresses(&mut self, now: Instant, device: &mut dyn Transmitter) {
        let mut at = if self.is_up { 0 } else { self.claims.list.len() };
        while let Some(claimed) = self.claims.list.get_mut(at) {
            let address = claimed.address;
            match claimed.claim.poll(now, &mut self.random) {
                None => at += 1,
                Some(Action::Probe) => {
                    let nonce = self.claims.nonce(&mut self.random);
                    self.probe(address, nonce, device);
                }
                Some(Action::Announce) => self.announce(address, now, device),
                Some(Action::Acquired) => {
                    if self.addresses.assign(address)
                        && let Some(known) = self.addresses.find(address)
                    {
                        let cidr = known.cidr;
                        self.tell(Change::AddressAdded(cidr));
                    }
                }
            }
        }
    }

    /// A message was received that only another user of an address sends. A claim that is still probing is lost if the
    /// message `contests` its address.
    pub(super) fn contest(&mut self, now: Instant, by: EthernetAddress, contests: impl Fn(IpAddr) -> bool) {
        let is_lost = |claimed: &&Claimed| claimed.claim.state() == State::Probing && contests(claimed.address);
        let Some(address) = self.claims.list.iter().find(is_lost).map(|claimed| claimed.address) else { return };
        self.conflict(address, by, now);
    }

    /// Another host uses an address that this host has or tried to claim.
    pub(super) fn conflict(&mut self, address: IpAddr, by: EthernetAddress, now: Instant) {
        let Some(claimed) = self.claims.find(address) else { return };
        let is_lost = claimed.claim.conflict(now) == Outcome::Lost;
        let is_news = claimed.told.is_none_or(|told| now - told >= DEFEND_INTERVAL);
        if is_news || is_lost {
            claimed.told = Some(now);
            self.tell(Change::AddressConflict(Conflict { address, hardware: by, is_lost }));
        }
        if !is_lost {
            return;
        }
        let known = self.addresses.find(address);
        if known.is_some_and(|known| known.origin == Origin::Router) {
            // Router discovery forms another address from the prefix.
            return;
        }
        let origin = known.map(|known| known.origin);
        self.remove_address(address, now);
        if origin == Some(Origin::LinkLocal) && self.claims.link_local_conflicts < MOST_RETRIES {
            self.claims.link_local_conflicts += 1;
            self.add_link_local(now);
        }
    }
}

/// How an address is claimed. An IPv4 address that an administrator has set is defended and never given up.
const fn timing(address: IpAddr, origin: Origin, verification: Verification) -> Timing {
    let timing = match address {
        IpAddr::V4(_) => match origin {
            Origin::Static => Timing::ARP.with_defence(Defence::Always(DEFEND_INTERVAL)),
            Origin::Dhcp => Timing::LEASE,
            Origin::Router | Origin::LinkLocal => Timing::ARP,
        },
        IpAddr::V6(_) => Timing::NDP,
    };
    match verification {
        Verification::First => timing,
        Verification::None => timing.without_probes(),
    }
}
