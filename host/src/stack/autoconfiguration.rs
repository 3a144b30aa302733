//! IPv6 addresses and routes from the link: RFC 4862, and the router advertisements of RFC 4861.
//!
//! smoltcp's own is not used: it knows one prefix and no DNS server, and its timer never rests. An address is asked for
//! on the link for a second before it is used (RFC 4862 section 5.4); the engine does not know it until then. The stack
//! takes the network of an address as on its link, so a prefix without the flag L is treated as one with it, and one
//! with L alone changes nothing: its hosts are reached through the router.

mod advertisement;

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Repr, NdiscRepr};
use xila_network_commands::interface::{Link, Origin};

use super::Core;
use super::neighbours::{RETRANSMIT, discovery, solicited_node};
use crate::address::{Cidr, MacAddress, Route, is_unicast, is_v4_mapped};
use crate::device::Medium;
use crate::error::{Error, Result};
use crate::platform::Instant;
use advertisement::{Advertisement, Prefix, two_hours_rule};

/// The most addresses that the link may bring, the link-local one among them: half of what an interface has room for.
const MOST_ADDRESSES: usize = 4;
/// The most routers that are kept as defaults, each with a metric of its own.
const MOST_ROUTERS: u32 = 4;
/// The most DNS servers that routers may bring.
const MOST_DNS_SERVERS: usize = 4;
/// The metric of a router's default route, as Linux has it; the next router has the next.
const METRIC: u32 = 1024;
/// How often and how far apart routers are asked for (RFC 4861 section 10).
const MAX_RTR_SOLICITATIONS: u8 = 3;
/// See [`MAX_RTR_SOLICITATIONS`].
const RTR_SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// The autoconfiguration of an interface, while it is switched on.
#[derive(Default)]
pub(super) struct Autoconfiguration {
    tentative: Vec<Tentative>,
    /// Solicitations for routers that are left, and when the next is due.
    solicitations: u8,
    solicit: Option<Instant>,
    /// DNS servers, and until when they are there.
    dns_servers: Vec<(Ipv6Addr, Option<Instant>)>,
    /// The MTU before a router set another.
    mtu: Option<u32>,
}

/// An address that nobody has been heard to have yet.
#[derive(Clone, Copy)]
struct Tentative {
    cidr: Cidr,
    preferred: Option<Instant>,
    valid: Option<Instant>,
    /// The link was asked for it, which a full device may prevent.
    asked: bool,
    /// When it is taken as nobody's, or asked for again.
    free: Instant,
}

impl Core {
    pub(crate) const fn autoconfiguration(&self) -> bool {
        self.autoconfiguration.is_some()
    }

    /// # Errors
    /// [`Error::NotSupported`] where the medium is not Ethernet.
    pub(crate) fn set_autoconfiguration(&mut self, enabled: bool) -> Result<()> {
        if enabled && self.capabilities.medium != Medium::Ethernet {
            return Err(Error::NotSupported);
        }
        if enabled && self.autoconfiguration.is_none() {
            self.autoconfiguration_begin();
        } else if !enabled && self.autoconfiguration.is_some() {
            self.autoconfiguration_withdraw();
            self.autoconfiguration = None;
        }
        Ok(())
    }

    /// Begins anew: the hardware address is another, and with it every address that is made of it; or the cable was out,
    /// and may lead to another network.
    pub(super) fn autoconfiguration_restart(&mut self) {
        if self.autoconfiguration.is_some() {
            self.autoconfiguration_withdraw();
            self.autoconfiguration_begin();
        }
    }

    /// Asks for routers again, and for the addresses that were not settled: the interface was down.
    pub(super) fn autoconfiguration_ask(&mut self) {
        let now = self.now;
        let Some(state) = &mut self.autoconfiguration else { return };
        (state.solicitations, state.solicit) = (MAX_RTR_SOLICITATIONS, Some(now));
        let mut tentative = core::mem::take(&mut state.tentative);
        for each in &mut tentative {
            each.free = now + RETRANSMIT;
            each.asked = self.solicit_tentative(each.cidr.address());
        }
        if let Some(state) = &mut self.autoconfiguration {
            state.tentative = tentative;
        }
    }

    fn autoconfiguration_begin(&mut self) {
        self.autoconfiguration = Some(Autoconfiguration::default());
        if let Some(cidr) = self.link_local() {
            self.propose(cidr, None, None);
        }
        if let Some(state) = &mut self.autoconfiguration {
            (state.solicitations, state.solicit) = (MAX_RTR_SOLICITATIONS, Some(self.now));
        }
    }

    fn autoconfiguration_withdraw(&mut self) {
        self.withdraw(Origin::Autoconfigured);
        if let Some(mtu) = self.autoconfiguration.as_mut().and_then(|state| state.mtu.take())
            && let Err(error) = self.apply_mtu(mtu)
        {
            tracing::debug!(%error, "the MTU stays as the router set it");
        }
    }

    /// Somebody has set the MTU: it is no router's any more, and no router widens it.
    pub(super) const fn autoconfiguration_keep_mtu(&mut self) {
        if let Some(state) = &mut self.autoconfiguration {
            state.mtu = None;
        }
    }

    /// When something is due.
    pub(super) fn autoconfiguration_next(&self) -> Option<Instant> {
        let state = self.autoconfiguration.as_ref()?;
        let asking = (self.known_link == Link::Up).then(|| {
            let settled = state.tentative.iter().map(|tentative| tentative.free).min();
            // Routers are asked from the link-local address, once it is there.
            settled.or(state.solicit)
        });
        let servers = state.dns_servers.iter().filter_map(|(_, until)| *until).min();
        [asking.flatten(), servers].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn autoconfiguration_expire(&mut self) {
        let now = self.now;
        let Some(state) = &mut self.autoconfiguration else { return };
        if self.known_link == Link::Up {
            let free;
            (free, state.tentative) = core::mem::take(&mut state.tentative).into_iter().partition(|it| it.free <= now);
            let settled = state.tentative.is_empty();
            let due = settled && state.solicit.is_some_and(|at| at <= now);
            if due {
                state.solicitations -= 1;
                state.solicit = (state.solicitations > 0).then(|| now + RTR_SOLICITATION_INTERVAL);
            }
            let free: Vec<Tentative> = free;
            for tentative in free {
                let left = |until: Option<Instant>| until.map(|until| until - now);
                let Tentative { cidr, preferred, valid, asked, .. } = tentative;
                if asked {
                    self.settle(cidr, left(preferred), left(valid));
                } else {
                    self.ask_for(Tentative { free: now + RETRANSMIT, ..tentative });
                }
            }
            if due {
                self.solicit_router();
            }
        }
        self.expire_dns_servers();
    }

    /// Asks the link whether an address is anybody's; where the interface has it from elsewhere, it is left alone.
    fn propose(&mut self, cidr: Cidr, preferred: Option<Duration>, valid: Option<Duration>) {
        let until = |left: Option<Duration>| left.map(|left| self.now + left);
        let (preferred, valid, free) = (until(preferred), until(valid), self.now + RETRANSMIT);
        let ours = self.addresses.iter().filter(|known| known.origin == Origin::Autoconfigured).count();
        let known = self.has_address(cidr.address());
        let Some(state) = &mut self.autoconfiguration else { return };
        if let Some(tentative) = state.tentative.iter_mut().find(|tentative| tentative.cidr == cidr) {
            (tentative.preferred, tentative.valid) = (preferred, valid);
        } else if !known && ours + state.tentative.len() < MOST_ADDRESSES {
            self.ask_for(Tentative { cidr, preferred, valid, asked: false, free });
        }
    }

    fn ask_for(&mut self, tentative: Tentative) {
        let asked = self.solicit_tentative(tentative.cidr.address());
        if let Some(state) = &mut self.autoconfiguration {
            state.tentative.push(Tentative { asked, ..tentative });
        }
    }

    fn settle(&mut self, cidr: Cidr, preferred: Option<Duration>, valid: Option<Duration>) {
        match self.put_address(cidr, Origin::Autoconfigured, preferred, valid) {
            // It was set meanwhile.
            Ok(()) | Err(Error::AddressInUse) => {}
            Err(error) => tracing::warn!(%cidr, %error, "an address of the link was left out"),
        }
    }

    /// RFC 4862 section 5.4.2: from no address. Whether the device took it.
    fn solicit_tentative(&mut self, address: IpAddr) -> bool {
        let IpAddr::V6(target_addr) = address else { return false };
        let solicit = Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr, lladdr: None });
        self.emit_icmpv6(Ipv6Addr::UNSPECIFIED, solicited_node(target_addr), &solicit)
    }

    /// RFC 4861 section 4.1.
    fn solicit_router(&mut self) {
        let own = self.link_local().map(|cidr| cidr.address()).filter(|address| self.has_address(*address));
        // Without a link-local address, because somebody else has it, nothing is said in its name.
        let (Some(IpAddr::V6(source)), Some(hardware)) = (own, self.hardware_address) else { return };
        let lladdr = Some(EthernetAddress(hardware.octets()).into());
        self.emit_icmpv6(source, ALL_ROUTERS, &Icmpv6Repr::Ndisc(NdiscRepr::RouterSolicit { lladdr }));
    }

    /// Somebody speaks of a neighbour: an address that is being asked for is taken where he has it, or wants it at the
    /// same time (RFC 4862 sections 5.4.3 and 5.4.4).
    pub(super) fn duplicate(&mut self, frame: &[u8]) {
        let verify = self.verifies();
        let Some(state) = self.autoconfiguration.as_mut().filter(|state| !state.tentative.is_empty()) else { return };
        // A link may repeat to us what we say ourselves.
        let Some((from, taken)) = claimed(frame, verify).filter(|(from, _)| Some(*from) != self.hardware_address)
        else {
            return;
        };
        let before = state.tentative.len();
        state.tentative.retain(|tentative| tentative.cidr.address() != taken);
        if state.tentative.len() < before {
            tracing::warn!(address = %taken, %from, "somebody on the link has this address already");
        }
    }

    /// A router's advertisement, where it can be one (RFC 4861 section 6.3.4).
    pub(super) fn router_advertisement(&mut self, packet: &[u8]) {
        if self.autoconfiguration.is_none() {
            return;
        }
        let advertisement = Advertisement::read(packet, self.verifies());
        let for_us = |it: &Advertisement| it.destination == ALL_NODES || self.has_address(it.destination.into());
        let Some(advertisement) = advertisement.filter(for_us) else {
            self.statistics.received.dropped += 1;
            return;
        };
        let Advertisement { router, destination: _, lifetime, mtu, prefixes, dns_servers } = advertisement;
        if let Some(mtu) = mtu {
            self.advertised_mtu(mtu);
        }
        self.advertised_router(router, lifetime);
        prefixes.iter().for_each(|prefix| self.advertised_prefix(prefix));
        if !dns_servers.is_empty() {
            self.advertised_dns_servers(&dns_servers);
        }
    }

    /// A router never widens what was set before it came.
    fn advertised_mtu(&mut self, mtu: u32) {
        let present = self.mtu();
        let Some(state) = &mut self.autoconfiguration else { return };
        let before = state.mtu.unwrap_or(present);
        let wanted = mtu.min(before);
        // More than the device takes, or less than IPv6 needs, is nonsense.
        let device = self.port.as_ref().map_or(0, |port| port.device.capabilities().mtu);
        let sensible = usize::try_from(mtu).is_ok_and(|mtu| (super::MOST_NARROW..=device).contains(&mtu));
        if sensible && wanted != present {
            state.mtu = Some(before);
            if let Err(error) = self.apply_mtu(wanted) {
                tracing::debug!(mtu, %error, "an advertised MTU was left out");
            }
        }
    }

    fn advertised_router(&mut self, router: Ipv6Addr, lifetime: Duration) {
        let Ok(route) = Route::default_via(router.into()) else { return };
        let ours = |entry: &&super::routes::Entry| {
            entry.origin == Origin::Autoconfigured && entry.route.gateway() == IpAddr::V6(router)
        };
        let known = self.routes.iter().find(ours).map(|entry| entry.route);
        if lifetime.is_zero() {
            known.into_iter().for_each(|known| self.remove_route(known).unwrap_or_default());
            return;
        }
        if let Some(state) = &mut self.autoconfiguration {
            // Somebody answers (RFC 4861 section 6.3.7).
            state.solicit = None;
        }
        let taken = |metric: &u32| {
            let mut routes = self.routes.iter().map(|entry| entry.route);
            !routes.any(|other| (other.destination(), other.metric()) == (route.destination(), *metric))
        };
        let metric = known.map(|known| known.metric()).or_else(|| (METRIC..METRIC + MOST_ROUTERS).find(taken));
        let Some(metric) = metric else { return };
        let route = route.with_metric(metric).with_lifetime(lifetime);
        if let Err(error) = self.put_route(route, Origin::Autoconfigured) {
            tracing::warn!(%router, %error, "a router was left out");
        }
    }

    /// RFC 4862 section 5.5.3.
    fn advertised_prefix(&mut self, prefix: &Prefix) {
        let Some(cidr) = self.hardware_address.and_then(|hardware| prefix.address(hardware)) else { return };
        let known = self.addresses.iter().find(|known| known.cidr == cidr && known.origin == Origin::Autoconfigured);
        match known.map(|known| known.valid.map(|until| until - self.now)) {
            Some(left) => self.settle(cidr, prefix.preferred, two_hours_rule(prefix.valid, left)),
            None if prefix.valid == Some(Duration::ZERO) => {}
            None => self.propose(cidr, prefix.preferred, prefix.valid),
        }
    }

    /// RFC 8106 section 5.1.
    fn advertised_dns_servers(&mut self, servers: &[(Ipv6Addr, Option<Duration>)]) {
        let now = self.now;
        let Some(state) = &mut self.autoconfiguration else { return };
        let usable =
            |server: Ipv6Addr| is_unicast(server.into()) && !server.is_loopback() && !is_v4_mapped(server.into());
        for (server, lifetime) in servers.iter().filter(|(server, _)| usable(*server)) {
            let until = lifetime.map(|lifetime| now + lifetime);
            let known = state.dns_servers.iter().position(|(known, _)| known == server);
            match known {
                Some(known) => state.dns_servers[known].1 = until,
                None if state.dns_servers.len() < MOST_DNS_SERVERS => state.dns_servers.push((*server, until)),
                None => {}
            }
        }
        self.settle_dns_servers();
    }

    fn expire_dns_servers(&mut self) {
        let over = |(_, until): &(Ipv6Addr, Option<Instant>)| until.is_some_and(|until| until <= self.now);
        if self.autoconfiguration.as_ref().is_some_and(|state| state.dns_servers.iter().any(over)) {
            self.settle_dns_servers();
        }
    }

    /// Uses the servers whose time is not over.
    fn settle_dns_servers(&mut self) {
        let now = self.now;
        let Some(state) = &mut self.autoconfiguration else { return };
        state.dns_servers.retain(|(_, until)| until.is_none_or(|until| until > now));
        let servers: Vec<IpAddr> = state.dns_servers.iter().map(|(server, _)| IpAddr::V6(*server)).collect();
        self.put_dns_servers(Origin::Autoconfigured, &servers);
    }

    fn link_local(&self) -> Option<Cidr> {
        const PREFIX: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
        within(PREFIX, self.hardware_address?)
    }
}

/// The address of an interface in a network of prefix 64: its identifier is made of the hardware address (RFC 4291
/// appendix A, modified EUI-64).
fn within(network: Ipv6Addr, hardware: MacAddress) -> Option<Cidr> {
    let [a, b, c, d, e, f] = hardware.octets();
    let mut octets = network.octets();
    octets[8..].copy_from_slice(&[a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Cidr::new(Ipv6Addr::from(octets).into(), 64).ok()
}

/// The address that a frame says somebody has, or is asking for to have it, and who he is.
fn claimed(frame: &[u8], verify: bool) -> Option<(MacAddress, IpAddr)> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    if ethernet.ethertype() != EthernetProtocol::Ipv6 {
        return None;
    }
    let from = MacAddress::new(ethernet.src_addr().0).ok()?;
    let (source, message) = discovery(ethernet.payload(), verify)?;
    let target = match message {
        NdiscRepr::NeighborAdvert { target_addr, .. } => target_addr,
        // Who has an address already only wants to know where the target is.
        NdiscRepr::NeighborSolicit { target_addr, .. } if source.is_unspecified() => target_addr,
        _ => return None,
    };
    Some((from, target.into()))
}
