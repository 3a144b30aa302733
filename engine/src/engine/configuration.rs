//! Automatic configuration of the interface: applies what DHCP servers and IPv6 routers provide as addresses, routes
//! and settings. The engine drives the DHCP client and [`Discovery`] from here, and announces each change.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use smoltcp::wire::{EthernetAddress, IpCidr, IpProtocol};

use super::Engine;
use super::departure::header;
use crate::buffer::Payload;
use crate::configure::dhcp::{self, Action, Client, Lease, Reception, Remember, Remembered};
use crate::configure::information;
use crate::configure::router::{self, Discovery, Effect};
use crate::frame::Transmitter;
use crate::interface::{Change, Outgoing, Verification};
use crate::ip::addresses::{AddAddressError, Address, Detection, Origin};
use crate::ip::headers::Packet;
use crate::ip::output::Checksums;
use crate::ip::routes::{Route, Target};
use crate::link::ndp::options::Prefix;
use crate::link::ndp::{NdpOption, RouterAdvertisement};
use crate::ports::Owner;
use crate::time::Instant;
use crate::udp;
use crate::udp::datagram::Received;
use crate::wire::{HopLimit, IPV6_LEAST_MTU};

/// The metric of a lease's routes, which come after manually set ones; the same as NetworkManager uses for wired links.
const LEASE_METRIC: u32 = 100;

/// The protocols that configure the interface, and their state.
#[derive(Default)]
pub(super) struct Configuration {
    pub(super) discovery: Option<Discovery>,
    pub(super) client: Option<Client>,
    /// The stateless DHCPv6 client, while a router says that more configuration is available by DHCPv6.
    pub(super) information: Option<information::Client>,
    /// The last lease, for a client that is created later.
    remembered: Option<Remembered>,
    /// The hardware address that the server's last answer came from: that of the server, or of a relay.
    server_station: Option<EthernetAddress>,
    /// Whether there was a lease when [`Change::Dhcp`] was last considered.
    was_bound: bool,
    /// The MTU before a router or a DHCP server narrowed it.
    mtu_before: Option<usize>,
    /// The MTU that a router has advertised.
    advertised_mtu: Option<usize>,
    leased_mtu: Option<usize>,
    /// The DNS search domains that were last announced.
    pub(super) domains: Vec<String>,
    /// Whether temporary addresses are formed as well.
    temporary: bool,
    /// The link was down, and may lead to another network since.
    is_network_unverified: bool,
}

/// Router discovery and address autoconfiguration.
impl Engine {
    /// Whether autoconfiguration by router advertisements is switched on.
    #[must_use]
    pub const fn autoconfiguration(&self) -> bool {
        self.configuration.discovery.is_some()
    }

    /// The state of router discovery, while autoconfiguration is switched on.
    #[must_use]
    pub const fn discovery(&self) -> Option<&Discovery> {
        self.configuration.discovery.as_ref()
    }

    /// Switches router discovery and address autoconfiguration on or off. Switching off removes everything that was
    /// learnt from routers.
    pub fn set_autoconfiguration(&mut self, enabled: bool, now: Instant) {
        match (enabled, self.configuration.discovery.take()) {
            (true, Some(discovery)) => self.configuration.discovery = Some(discovery),
            (true, None) => {
                let mtu = u32::try_from(self.interface.link().mtu).unwrap_or(u32::MAX);
                let temporary = self.configuration.temporary;
                let config = router::Config { temporary, ..router::Config::new(mtu) };
                self.configuration.discovery = Some(Discovery::new(config));
                self.solicit_routers(now);
                self.interface.tell(Change::Autoconfiguration);
            }
            (false, Some(mut discovery)) => {
                let effects = self.interface.unlearn(&mut discovery, now);
                self.apply(effects, now);
                self.interface.tell(Change::Autoconfiguration);
            }
            (false, None) => {}
        }
    }

    /// Sets whether addresses with random identifiers are formed from routers' prefixes as well, and preferred to the
    /// stable ones (RFC 8981), while autoconfiguration is switched on. The default is off.
    pub fn set_temporary_addresses(&mut self, enabled: bool, now: Instant) {
        self.configuration.temporary = enabled;
        if let Some(discovery) = &mut self.configuration.discovery {
            self.interface.set_temporary(discovery, enabled, now);
        }
    }

    /// Starts router solicitation if the interface is up and has a link-local address to send from.
    pub(super) fn solicit_routers(&mut self, now: Instant) {
        if let Some(discovery) = &mut self.configuration.discovery
            && self.interface.is_up()
            && self.interface.has_link_local()
        {
            let was_unanswered = discovery.is_unanswered();
            discovery.solicit(now);
            if was_unanswered {
                self.interface.tell(Change::Autoconfiguration);
            }
        }
    }

    /// Stops router solicitation because the link is down.
    pub(super) fn stop_soliciting(&mut self) {
        if let Some(discovery) = &mut self.configuration.discovery {
            discovery.stop_soliciting();
        }
    }

    /// Solicits routers because the link is back. The first answer shows whether it is still the same network. Until
    /// then everything that was learnt stays valid, so that connections survive.
    pub(super) fn verify_network(&mut self, now: Instant) {
        self.configuration.is_network_unverified = true;
        self.solicit_routers(now);
    }

    /// Discards everything that was learnt from routers and starts again, because the hardware address or the network
    /// has changed.
    pub(super) fn rediscover(&mut self, now: Instant) {
        if let Some(mut discovery) = self.configuration.discovery.take() {
            let effects = self.interface.unlearn(&mut discovery, now);
            self.configuration.discovery = Some(discovery);
            self.apply(effects, now);
            self.interface.tell(Change::Autoconfiguration);
            self.solicit_routers(now);
        }
    }

    /// Processes a router advertisement.
    pub(super) fn advertised(&mut self, advertisement: &RouterAdvertisement<'_>, now: Instant) {
        match self.is_same_network(advertisement).filter(|_| self.configuration.is_network_unverified) {
            Some(true) => self.configuration.is_network_unverified = false,
            Some(false) => {
                self.configuration.is_network_unverified = false;
                self.rediscover(now);
            }
            None => {}
        }
        if let Some(mut discovery) = self.configuration.discovery.take() {
            let is_first = !discovery.has_heard();
            let effects = self.interface.learn(&mut discovery, advertisement, now);
            let is_other = effects.iter().any(|effect| matches!(effect, Effect::Flags { .. }));
            self.configuration.discovery = Some(discovery);
            self.apply(effects, now);
            if is_first || is_other {
                self.interface.tell(Change::Autoconfiguration);
            }
        }
    }

    /// Whether an advertisement contains one of the known prefixes: routers of the same link usually have some prefix
    /// in common, and routers of different links have none. `None` if it contains no prefix at all.
    fn is_same_network(&self, advertisement: &RouterAdvertisement<'_>) -> Option<bool> {
        let addresses = self.interface.addresses().iter().filter(|known| known.origin == Origin::Router);
        let links = self.interface.routes().iter().filter(|known| known.origin == Origin::Router);
        let links = links.filter(|known| known.target == Target::Link).map(|known| known.destination);
        let known: Vec<IpCidr> = addresses.map(|known| known.cidr).chain(links).collect();
        let mut advertised = advertisement
            .options
            .filter_map(|option| if let NdpOption::Prefix(prefix) = option { Some(prefix) } else { None })
            .filter(|prefix| !prefix.prefix.is_unicast_link_local())
            .peekable();
        advertised.peek()?;
        let is_known = |prefix: Prefix| known.iter().any(|known| known.contains_addr(&prefix.prefix.into()));
        Some(known.is_empty() || advertised.any(is_known))
    }

    /// Forms another address in place of one that was formed from a router's prefix and that another host has.
    pub(super) fn form_anew(&mut self, address: IpAddr, now: Instant) {
        if let (IpAddr::V6(address), Some(discovery)) = (address, &mut self.configuration.discovery) {
            self.interface.form_anew(discovery, address, now);
        }
    }

    fn apply(&mut self, effects: Vec<Effect>, now: Instant) {
        for effect in effects {
            match effect {
                Effect::Mtu(mtu) => self.apply_advertised_mtu(mtu),
                Effect::HopLimit(advertised) => {
                    let hop_limit = advertised.and_then(HopLimit::new).unwrap_or(HopLimit::DEFAULT);
                    self.interface.set_v6_hop_limit(hop_limit);
                    self.tcp.set_v6_hop_limit(hop_limit);
                }
                Effect::Servers | Effect::Domains => self.update_names(),
                Effect::Unanswered => self.interface.tell(Change::Autoconfiguration),
                Effect::Information(is_there) => self.ask_for_information(is_there, now),
                Effect::Solicit
                // `advertised` announces this one.
                | Effect::Flags { .. }
                // The interface has applied these already.
                | Effect::AddressAdded(_)
                | Effect::AddressRemoved(_)
                | Effect::RouteAdded(_)
                | Effect::RouteChanged(_)
                | Effect::RouteRemoved(_)
                | Effect::Times { .. } => {}
            }
        }
    }

    fn apply_advertised_mtu(&mut self, advertised: Option<u32>) {
        self.configuration.advertised_mtu = advertised.and_then(|mtu| usize::try_from(mtu).ok());
        self.narrow_mtu();
    }

    /// Sets the smaller of the advertised and the leased MTU, but never a larger one than was set before them.
    fn narrow_mtu(&mut self) {
        let present = self.interface.link().mtu;
        let before = self.configuration.mtu_before.take().unwrap_or(present);
        let said = [self.configuration.advertised_mtu, self.configuration.leased_mtu].into_iter().flatten().min();
        let narrower = said.filter(|mtu| *mtu < before);
        self.configuration.mtu_before = narrower.map(|_| before);
        let wanted = narrower.unwrap_or(before);
        if wanted != present {
            self.change_mtu(wanted);
        }
    }

    /// Sets the IP MTU. It takes the place of what routers and DHCP servers have said.
    pub fn set_mtu(&mut self, mtu: usize) {
        self.configuration.mtu_before = None;
        (self.configuration.advertised_mtu, self.configuration.leased_mtu) = (None, None);
        if self.interface.link().mtu != mtu {
            self.change_mtu(mtu);
        }
    }

    fn change_mtu(&mut self, mtu: usize) {
        self.interface.set_mtu(mtu);
        self.tcp.set_mtu(mtu);
        self.interface.tell(Change::Mtu(mtu));
    }

    /// Handles the due timers of router discovery and temporary addresses.
    pub(super) fn poll_discovery(&mut self, now: Instant, device: &mut dyn Transmitter) {
        if let Some(discovery) = &mut self.configuration.discovery {
            self.interface.renew_temporary(discovery, now);
        }
        while let Some(discovery) = &mut self.configuration.discovery
            && discovery.next_timeout().is_some_and(|at| at <= now)
            && let Some(effect) = discovery.poll(now, &mut self.random)
        {
            match effect {
                Effect::Solicit => self.interface.solicit_routers(now, device),
                effect => self.apply(Vec::from([effect]), now),
            }
        }
    }

    /// The next timeout of router discovery.
    pub(super) fn next_discovery(&self) -> Option<Instant> {
        self.configuration.discovery.as_ref()?.next_timeout()
    }
}

/// DHCP.
impl Engine {
    /// The client, while DHCP is switched on.
    #[must_use]
    pub const fn dhcp(&self) -> Option<&Client> {
        self.configuration.client.as_ref()
    }

    /// The lease that is in use: the probes for its address found no conflict.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.dhcp()?.lease().filter(|lease| self.is_verified(lease))
    }

    fn is_verified(&self, lease: &Lease) -> bool {
        // An address that was removed manually is not being probed.
        let address = self.interface.addresses().find(lease.address.into());
        address.is_none_or(|known| known.detection != Detection::Running)
    }

    /// The last lease of this hardware address that was neither refused by a server nor declined.
    #[must_use]
    pub fn remembered_lease(&self) -> Option<Remembered> {
        self.configuration.client.as_ref().map_or(self.configuration.remembered, Client::remembered)
    }

    /// Sets the former lease that DHCP asks for once it is switched on. It belongs to the present hardware address: if
    /// that changes, the lease is forgotten.
    pub const fn remember_lease(&mut self, remembered: Option<Remembered>) {
        self.configuration.remembered = remembered;
    }

    /// Switches DHCP on or off. Switching off releases the lease, with a message to the server if the link is up, and
    /// removes what it brought. Switching on again asks for the same address. Nothing happens if the link has no
    /// hardware addresses.
    pub fn set_dhcp(&mut self, enabled: bool, now: Instant, device: &mut dyn Transmitter) {
        let Some(hardware) = self.interface.link().hardware else { return };
        match (enabled, self.configuration.client.take()) {
            (true, Some(client)) => self.configuration.client = Some(client),
            (true, None) => {
                let config = dhcp::Config { remembered: self.configuration.remembered, ..dhcp::Config::default() };
                self.configuration.client = Some(Client::new(hardware, config, now));
                self.interface.tell(Change::Dhcp);
            }
            (false, Some(mut client)) => {
                let release = client.release(now, &mut self.random).filter(|_| self.interface.is_up());
                if let Some(release) = release {
                    // The address is removed before the server's hardware address could be resolved from it, so the
                    // known one is entered.
                    if let Some(station) = self.configuration.server_station {
                        self.interface.introduce(release.destination.into(), station, now);
                    }
                    self.send_dhcp(&release, now, device);
                }
                self.configuration.remembered = client.remembered();
                self.withdraw_lease(now);
                self.configuration.was_bound = false;
                self.interface.tell(Change::Dhcp);
            }
            (false, None) => {}
        }
    }

    /// Replaces the client because the hardware address has changed: for servers it is another client.
    pub(super) fn restart_dhcp(&mut self, hardware: EthernetAddress, now: Instant) {
        self.configuration.remembered = None;
        if self.configuration.client.is_some() {
            self.configuration.client = Some(Client::new(hardware, dhcp::Config::default(), now));
            self.withdraw_lease(now);
            self.tell_of_lease();
        }
    }

    /// Verifies the lease with its server (RFC 2131 section 4.4.2), because the link is back or the interface is up
    /// again. The lease stays valid until it expires or a server refuses it.
    pub(super) fn verify_lease(&mut self, now: Instant) {
        if let Some(client) = &mut self.configuration.client {
            client.restart(Remember::Verify, now);
        }
    }

    /// Declines the lease because another host has its address (RFC 2131 section 3.1 point 5).
    pub(super) fn decline_lease(&mut self, address: IpAddr, now: Instant, device: &mut dyn Transmitter) {
        let (IpAddr::V4(address), Some(client)) = (address, &mut self.configuration.client) else { return };
        if let Some(decline) = client.decline(address, now, &mut self.random) {
            self.send_dhcp(&decline, now, device);
        }
    }

    /// Whether a packet may be an answer from a DHCP server. Such a packet is accepted whatever its destination
    /// address, since this host may not have an address yet.
    pub(super) fn may_be_lease(&self, packet: &Packet<'_>) -> bool {
        let ports = packet
            .payload()
            .first_chunk::<4>()
            .map(|[a, b, c, d]| (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])));
        self.configuration.client.is_some()
            && packet.source.is_ipv4()
            && packet.protocol == IpProtocol::Udp
            && ports == Some((dhcp::SERVER_PORT, dhcp::CLIENT_PORT))
    }

    /// Takes a datagram if it is from a DHCP server; `station` is the hardware address that it came from. Returns
    /// whether it was taken.
    pub(super) fn lease_takes(
        &mut self,
        received: &Received<'_>,
        station: Option<EthernetAddress>,
        now: Instant,
        device: &mut dyn Transmitter,
    ) -> bool {
        let ports = (received.source.port(), received.destination.port());
        let (IpAddr::V4(source), IpAddr::V4(destination), Some(client)) =
            (received.source.ip(), received.destination.ip(), &mut self.configuration.client)
        else {
            return false;
        };
        if ports != (dhcp::SERVER_PORT, dhcp::CLIENT_PORT) {
            return false;
        }
        let answer = dhcp::Received { source, destination, payload: received.payload };
        match client.receive(answer, now, &mut self.random) {
            Ok(Reception::Taken) => self.configuration.server_station = station,
            // The client itself counts malformed answers.
            Ok(Reception::Ignored) | Err(_) => self.counters.dropped += 1,
        }
        self.poll_dhcp(now, device);
        true
    }

    /// The next timeout of the DHCP client.
    pub(super) fn next_dhcp(&self) -> Option<Instant> {
        let client = self.configuration.client.as_ref()?;
        if self.interface.is_up() { client.next_timeout() } else { client.next_silent_timeout() }
    }

    /// Handles the due timers of the DHCP client. Without a link nothing is sent, but a lease expires nevertheless.
    pub(super) fn poll_dhcp(&mut self, now: Instant, device: &mut dyn Transmitter) {
        loop {
            let Some(client) = &mut self.configuration.client else { return };
            let is_up = self.interface.is_up();
            let action = if is_up { client.poll(now, &mut self.random) } else { client.poll_silently(now) };
            let Some(action) = action else { return };
            match action {
                Action::Send(datagram) => self.send_dhcp(&datagram, now, device),
                Action::Bound { lease, former } => {
                    // If only the mask has changed, the address is the same, and its connections continue.
                    if former.is_some_and(|former| former.address != lease.address) {
                        self.withdraw_lease(now);
                    }
                    self.claim_lease(&lease, now);
                    self.tell_of_lease();
                }
                Action::Lost(_) => {
                    self.withdraw_lease(now);
                    self.tell_of_lease();
                }
            }
        }
    }

    /// Announces that there is a lease, or none any more. The loss of a lease that was never in use is not announced.
    fn tell_of_lease(&mut self) {
        let is_bound = self.lease().is_some();
        if is_bound || self.configuration.was_bound {
            self.interface.tell(Change::Dhcp);
        }
        self.configuration.was_bound = is_bound;
    }

    fn send_dhcp(&mut self, datagram: &dhcp::Datagram, now: Instant, device: &mut dyn Transmitter) {
        let source = SocketAddr::new(datagram.source.into(), dhcp::CLIENT_PORT);
        let destination = SocketAddr::new(datagram.destination.into(), dhcp::SERVER_PORT);
        let payload = Payload::from(&datagram.payload[..]);
        let Ok(head) = udp::datagram::header(source, destination, payload, Checksums::All) else { return };
        let header = header(source, destination, IpProtocol::Udp, HopLimit::DEFAULT.octet());
        let packet = Outgoing { owner: Owner::HOST, header, head: &head, payload: &datagram.payload, whole: false };
        self.interface.answer(&packet, now, device);
        self.act_at_once(now, device);
    }

    /// Probes the link for the address of a lease (RFC 2131 section 4.4.1, RFC 5227 section 2.1), or applies the lease
    /// at once if the interface has the address already.
    fn claim_lease(&mut self, lease: &Lease, now: Instant) {
        let mut address = Address::new(lease.cidr(), Origin::Dhcp);
        (address.preferred_until, address.valid_until) = (lease.expires(), lease.expires());
        match self.interface.add_address(address, Verification::First, now) {
            // An address that was set manually stays as it is.
            Ok(_) | Err(AddAddressError::InUse) => {}
            Err(AddAddressError::Invalid | AddAddressError::Full) => {
                if let Some(client) = &mut self.configuration.client {
                    client.refuse(now);
                }
                return;
            }
        }
        if self.is_verified(lease) {
            self.apply_lease(lease);
        }
    }

    /// Applies the rest of the lease, once the probes for its address have passed.
    pub(super) fn lease_verified(&mut self, address: IpAddr) {
        // A lease of which only the mask has changed is already in use.
        let Some(lease) = self.lease().filter(|_| !self.configuration.was_bound).cloned() else { return };
        if IpAddr::V4(lease.address) == address {
            self.apply_lease(&lease);
            self.tell_of_lease();
        }
    }

    fn apply_lease(&mut self, lease: &Lease) {
        self.apply_lease_routes(lease);
        // Every IPv6 link has an MTU of at least 1280 (RFC 8200 section 5).
        self.configuration.leased_mtu = lease.mtu.map(|mtu| usize::from(mtu).max(IPV6_LEAST_MTU));
        self.narrow_mtu();
        self.update_names();
    }

    /// Replaces the routes of the former lease by those of this lease.
    fn apply_lease_routes(&mut self, lease: &Lease) {
        let everywhere = IpCidr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let classless = !lease.routes.is_empty();
        // If there are classless routes, the router option is ignored (RFC 3442).
        let default = lease.routers.first().filter(|_| !classless).map(|router| (everywhere, Some(*router)));
        let said = lease.routes.iter().map(|route| (route.destination, route.gateway)).chain(default);
        let routes: Vec<Route> = said
            .map(|(destination, gateway)| {
                // A router outside of the lease's network is still a neighbour on the link.
                let by = |gateway: Ipv4Addr| Target::Gateway { address: gateway.into(), onlink: true };
                let target = gateway.map_or(Target::Link, by);
                Route { metric: LEASE_METRIC, origin: Origin::Dhcp, ..Route::new(destination, target) }
            })
            .collect();
        let is_said = |known: &Route| {
            routes.iter().any(|route| (route.destination, route.target) == (known.destination, known.target))
        };
        let ours = self.interface.routes().iter().filter(|known| known.origin == Origin::Dhcp);
        let stale: Vec<Route> = ours.filter(|known| !is_said(known)).copied().collect();
        for route in stale {
            self.interface.remove_route(&route);
        }
        for route in routes {
            // If there is no room for the route, the lease is used without it.
            let _added = self.interface.add_route(route);
        }
    }

    fn withdraw_lease(&mut self, now: Instant) {
        self.configuration.leased_mtu = None;
        self.narrow_mtu();
        self.interface.withdraw_routes(Origin::Dhcp);
        self.update_names();
        self.interface.withdraw_addresses(Origin::Dhcp, now);
    }
}
