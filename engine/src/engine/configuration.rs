//! Interfaces that configure themselves: what DHCP and routers say becomes addresses, routes and settings.

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
use crate::time::Instant;
use crate::udp;
use crate::udp::datagram::Received;
use crate::wire::{HopLimit, IPV6_LEAST_MTU};

/// The metric of a lease's routes: behind those that somebody set, as NetworkManager has it on a wire.
const LEASE_METRIC: u32 = 100;

/// What configures an interface by protocol.
#[derive(Default)]
pub(super) struct Configuration {
    pub(super) discovery: Option<Discovery>,
    pub(super) client: Option<Client>,
    /// Who asks servers of DHCPv6, while a router says that there is more to be known.
    pub(super) information: Option<information::Client>,
    /// What was lent last, for the client that is to come.
    remembered: Option<Remembered>,
    /// The station that the last answer of a server came from: the server, or a relay.
    server_station: Option<EthernetAddress>,
    /// There was a lease when the client's state was last told.
    was_bound: bool,
    /// The MTU before a router or a server set another.
    mtu_before: Option<usize>,
    /// The MTU that a router has advertised, and that which came with a lease.
    advertised_mtu: Option<usize>,
    leased_mtu: Option<usize>,
    /// The domains in which names are looked for, as they were last told.
    pub(super) domains: Vec<String>,
    /// Temporary addresses are formed too.
    temporary: bool,
    /// The link was gone, and may lead to other routers than before.
    is_network_unverified: bool,
}

/// Router discovery and address autoconfiguration.
impl Engine {
    /// Whether routers are listened to.
    #[must_use]
    pub const fn autoconfiguration(&self) -> bool {
        self.configuration.discovery.is_some()
    }

    /// What is known of routers, while autoconfiguration is switched on.
    #[must_use]
    pub const fn discovery(&self) -> Option<&Discovery> {
        self.configuration.discovery.as_ref()
    }

    /// Switches router discovery and address autoconfiguration on or off. What routers brought goes with it.
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

    /// Whether addresses with random identifiers are formed of routers' prefixes too, while autoconfiguration is switched
    /// on, and preferred to the stable ones (RFC 8981). They are not unless it is said.
    pub fn set_temporary_addresses(&mut self, enabled: bool, now: Instant) {
        self.configuration.temporary = enabled;
        if let Some(discovery) = &mut self.configuration.discovery {
            self.interface.set_temporary(discovery, enabled, now);
        }
    }

    /// Asks for routers, once there is an address to ask from and a link to ask on.
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

    /// The link is gone: nobody hears who asks.
    pub(super) fn stop_soliciting(&mut self) {
        if let Some(discovery) = &mut self.configuration.discovery {
            discovery.stop_soliciting();
        }
    }

    /// The link is back: routers are asked, and the first that answers tells whether it is the network of before. Until
    /// then what was said counts, so that connections live on.
    pub(super) fn verify_network(&mut self, now: Instant) {
        self.configuration.is_network_unverified = true;
        self.solicit_routers(now);
    }

    /// The hardware address is another, or the network is: what routers said counts no more.
    pub(super) fn rediscover(&mut self, now: Instant) {
        if let Some(mut discovery) = self.configuration.discovery.take() {
            let effects = self.interface.unlearn(&mut discovery, now);
            self.configuration.discovery = Some(discovery);
            self.apply(effects, now);
            self.interface.tell(Change::Autoconfiguration);
            self.solicit_routers(now);
        }
    }

    /// Takes a router's advertisement.
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

    /// Whether a router advertises one of the prefixes that are known: routers of one link advertise some in common, and
    /// those of different links none. `None` where it advertises none at all.
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

    /// An address that was made of a router's prefix is another host's.
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
                // Who hears an advertisement tells of it.
                | Effect::Flags { .. }
                // The interface has done what these ask for.
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

    /// Neither routers nor servers widen what was set before they came.
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

    /// Sets the IP MTU, which is no router's and no server's from now on.
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

    /// Does what is due of what routers brought.
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

    /// When something of that is due.
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

    /// What is lent and in use: nobody on the link has objected.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.dhcp()?.lease().filter(|lease| self.is_verified(lease))
    }

    fn is_verified(&self, lease: &Lease) -> bool {
        // One that somebody has removed is not asked about.
        let address = self.interface.addresses().find(lease.address.into());
        address.is_none_or(|known| known.detection != Detection::Running)
    }

    /// What was lent last to this hardware address, and was neither refused nor declined.
    #[must_use]
    pub fn remembered_lease(&self) -> Option<Remembered> {
        self.configuration.client.as_ref().map_or(self.configuration.remembered, Client::remembered)
    }

    /// Has DHCP ask for what was lent before, once it is switched on. It was lent to the present hardware address: with
    /// another one it is forgotten.
    pub const fn remember_lease(&mut self, remembered: Option<Remembered>) {
        self.configuration.remembered = remembered;
    }

    /// Switches DHCP on or off. What was lent is given back where there is a link, and goes with it; the address is
    /// asked for again where DHCP is switched on again. Nothing happens where the link has no hardware addresses.
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
                    // The address is gone before anybody could be asked from it who the server is.
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

    /// Another hardware address is another client.
    pub(super) fn restart_dhcp(&mut self, hardware: EthernetAddress, now: Instant) {
        self.configuration.remembered = None;
        if self.configuration.client.is_some() {
            self.configuration.client = Some(Client::new(hardware, dhcp::Config::default(), now));
            self.withdraw_lease(now);
            self.tell_of_lease();
        }
    }

    /// The link is back, or the interface is up again: what was lent is verified (RFC 2131 section 4.4.2), and counts
    /// until it runs out or a server says otherwise.
    pub(super) fn verify_lease(&mut self, now: Instant) {
        if let Some(client) = &mut self.configuration.client {
            client.restart(Remember::Verify, now);
        }
    }

    /// Another host has the address that was lent (RFC 2131 section 3.1 point 5).
    pub(super) fn decline_lease(&mut self, address: IpAddr, now: Instant, device: &mut dyn Transmitter) {
        let (IpAddr::V4(address), Some(client)) = (address, &mut self.configuration.client) else { return };
        if let Some(decline) = client.decline(address, now, &mut self.random) {
            self.send_dhcp(&decline, now, device);
        }
    }

    /// Whether a packet may be a server's answer, which is for this host whatever address it is sent to: there may be
    /// none yet.
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

    /// Takes a datagram where it is a server's, which came from a station; whether it is.
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
            // What is refused for its nonsense is counted by the client.
            Ok(Reception::Ignored) | Err(_) => self.counters.dropped += 1,
        }
        self.poll_dhcp(now, device);
        true
    }

    /// When the client is to be looked at.
    pub(super) fn next_dhcp(&self) -> Option<Instant> {
        let client = self.configuration.client.as_ref()?;
        if self.interface.is_up() { client.next_timeout() } else { client.next_silent_timeout() }
    }

    /// Does what is due of DHCP. Without a link nobody is asked, but a lease ends nevertheless.
    pub(super) fn poll_dhcp(&mut self, now: Instant, device: &mut dyn Transmitter) {
        loop {
            let Some(client) = &mut self.configuration.client else { return };
            let is_up = self.interface.is_up();
            let action = if is_up { client.poll(now, &mut self.random) } else { client.poll_silently(now) };
            let Some(action) = action else { return };
            match action {
                Action::Send(datagram) => self.send_dhcp(&datagram, now, device),
                Action::Bound { lease, former } => {
                    // With another mask it is the same address, and what goes on from it goes on.
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

    /// Tells that there is a lease, or none any more; of one that could not be used nobody has heard.
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
        let packet = Outgoing { header, head: &head, payload: &datagram.payload, whole: false };
        self.interface.answer(&packet, now, device);
        self.act_at_once(now, device);
    }

    /// Asks the link about an address that was lent (RFC 2131 section 4.4.1, RFC 5227 section 2.1), and uses the lease where
    /// it has the address already.
    fn claim_lease(&mut self, lease: &Lease, now: Instant) {
        let mut address = Address::new(lease.cidr(), Origin::Dhcp);
        (address.preferred_until, address.valid_until) = (lease.expires(), lease.expires());
        match self.interface.add_address(address, Verification::First, now) {
            // One that somebody has set stays theirs.
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

    /// An address may be used from now on: where it was lent, what came with it may be too.
    pub(super) fn lease_verified(&mut self, address: IpAddr) {
        // One whose mask alone is another is in use.
        let Some(lease) = self.lease().filter(|_| !self.configuration.was_bound).cloned() else { return };
        if IpAddr::V4(lease.address) == address {
            self.apply_lease(&lease);
            self.tell_of_lease();
        }
    }

    fn apply_lease(&mut self, lease: &Lease) {
        self.apply_lease_routes(lease);
        // Every link that has IPv6 takes as much (RFC 8200 section 5).
        self.configuration.leased_mtu = lease.mtu.map(|mtu| usize::from(mtu).max(IPV6_LEAST_MTU));
        self.narrow_mtu();
        self.update_names();
    }

    /// Leads where the lease says, and nowhere else where a lease said.
    fn apply_lease_routes(&mut self, lease: &Lease) {
        let everywhere = IpCidr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let classless = !lease.routes.is_empty();
        // Beside classless routes the router does not count (RFC 3442).
        let default = lease.routers.first().filter(|_| !classless).map(|router| (everywhere, Some(*router)));
        let said = lease.routes.iter().map(|route| (route.destination, route.gateway)).chain(default);
        let routes: Vec<Route> = said
            .map(|(destination, gateway)| {
                // A router outside of the network is a neighbour nevertheless.
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
            // Where there is no room for it, the lease has not less.
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
