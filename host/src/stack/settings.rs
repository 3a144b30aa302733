//! What the interface is set to, and what it shows of itself.

use core::cmp::Reverse;
use core::net::IpAddr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;
use xila_network_commands::event::Change;
use xila_network_commands::interface::{
    AddressInfo, DhcpState, DhcpStatus, Lease, Link, Neighbour, Origin, RouteInfo, State,
};
use xila_network_engine::configure::servers::AddServerError;
use xila_network_engine::interface::Verification;
use xila_network_engine::ip::addresses::{self, AddAddressError, Added, Detection};
use xila_network_engine::ip::routes::{self, AddRouteError, Target};
use xila_network_engine::random::{Random, Secret};
use xila_network_engine::wire::IPV6_LEAST_MTU;

use super::attachment::Attachment;
use crate::address::{Cidr, MacAddress, Route, from_wire, to_wire};
use crate::device::{Capabilities, Medium};
use crate::error::{ConfigureError, NetworkDown};
use crate::platform::Instant;

/// How long a lease is that has no end (RFC 2131 section 3.3: all ones are infinity).
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

/// How well an interface leads somewhere: by a longer prefix, or else a lower metric, better.
pub(crate) type Reach = (u8, Reverse<u32>);

/// What an interface is for packets from one address to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlook {
    pub(crate) is_up: bool,
    pub(crate) loops_back: bool,
    /// The address to speak from is its own.
    pub(crate) has_local: bool,
    /// The address to speak to is its own.
    pub(crate) has_remote: bool,
    /// How well it leads to the address to speak to.
    pub(crate) reach: Option<Reach>,
}

/// The device and the state.
impl Attachment {
    /// # Errors
    /// [`NetworkDown`] where the interface is down or gone.
    pub(crate) fn check_up(&self) -> Result<(), NetworkDown> {
        if self.state == State::Up && !self.is_gone() { Ok(()) } else { Err(NetworkDown) }
    }

    /// # Errors
    /// [`NetworkDown`] where the interface is gone.
    pub(crate) fn check_mounted(&self) -> Result<(), NetworkDown> {
        if !self.is_gone() { Ok(()) } else { Err(NetworkDown) }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.check_up().is_ok()
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    pub(crate) fn driver(&self) -> &'static str {
        self.port().map_or("none", |port| port.device.driver())
    }

    pub(crate) fn loops_back(&self) -> bool {
        !self.is_gone() && self.engine().interface().link().loops_back
    }

    /// Whether the medium is Ethernet.
    fn is_ethernet(&self) -> bool {
        self.capabilities.medium == Medium::Ethernet
    }

    pub(crate) fn link(&self) -> Link {
        self.port().map_or(Link::Down, |port| port.device.link())
    }

    pub(crate) const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    pub(crate) fn hardware_address(&self) -> Option<MacAddress> {
        self.engine().interface().link().hardware.and_then(|hardware| MacAddress::new(hardware.0).ok())
    }

    /// # Errors
    /// [`ConfigureError::NotSupported`] where the medium has no hardware addresses.
    pub(crate) fn set_hardware_address(&mut self, address: MacAddress) -> Result<(), ConfigureError> {
        let known = self.hardware_address().ok_or(ConfigureError::NotSupported)?;
        if known != address {
            let hardware = EthernetAddress(address.octets());
            self.engage(|engine, _, now| engine.set_hardware(hardware, now));
            self.note(Change::HardwareAddress(address));
            self.act();
        }
        Ok(())
    }

    /// The IP MTU in force.
    pub(crate) const fn mtu(&self) -> u32 {
        // Between 1280 and 65535.
        self.capabilities.mtu as u32
    }

    pub(crate) fn maximum_burst(&self) -> Option<u32> {
        self.capabilities.max_burst.and_then(|frames| u32::try_from(frames).ok())
    }

    /// Sets the IP MTU, at most the device's.
    ///
    /// # Errors
    /// [`ConfigureError::InvalidArgument`] outside 1280 (RFC 8200 section 5) to what the device takes;
    /// [`ConfigureError::NetworkDown`] where the interface is gone.
    pub(crate) fn set_mtu(&mut self, mtu: u32) -> Result<(), ConfigureError> {
        let port = self.port().ok_or(ConfigureError::NetworkDown)?;
        let mtu = usize::try_from(mtu).map_err(|_| ConfigureError::InvalidArgument)?;
        if !(IPV6_LEAST_MTU..=port.device.capabilities().mtu).contains(&mtu) {
            return Err(ConfigureError::InvalidArgument);
        }
        self.engage(|engine, _, _| engine.set_mtu(mtu));
        self.act();
        Ok(())
    }

    /// Changes the administrative state. Whoever waits learns it.
    pub(crate) fn set_state(&mut self, state: State) {
        if self.state == state {
            return;
        }
        self.state = state;
        self.rouse();
        self.note(Change::State(state));
        match state {
            State::Up => {
                // The device is asked anew, and every timer that fell due meanwhile goes off now.
                self.be_overdue();
                if self.known_link == Link::Up {
                    self.engage(|engine, _, now| engine.resume(now));
                }
                self.act();
            }
            // Nothing is said by itself until then, whatever is changed meanwhile.
            State::Down => self.engage(|engine, _, now| engine.link_down(now)),
        }
    }

    /// A device's link may have gone up or down.
    pub(super) fn link_changed(&mut self, link: Link) {
        if link == self.known_link {
            return;
        }
        self.known_link = link;
        self.note(Change::Link(link));
        match link {
            Link::Up => {
                self.engage(|engine, _, now| engine.link_up(now));
                if self.state == State::Down {
                    // It may be another link, but nobody speaks on it yet.
                    self.engage(|engine, _, now| engine.link_down(now));
                }
                // What that left due is done before the runner sleeps.
                self.be_overdue();
            }
            Link::Down => self.engage(|engine, _, now| engine.link_down(now)),
        }
        self.act();
    }

    pub(crate) const fn echo_reply(&self) -> bool {
        self.engine().echo_reply()
    }

    pub(crate) fn set_echo_reply(&mut self, enabled: bool) {
        self.tend(|engine, _| engine.set_echo_reply(enabled));
    }

    /// The hosts whose hardware address is known, by address.
    pub(crate) fn neighbours(&self) -> Vec<Neighbour> {
        let known = self.engine().interface().neighbours(self.now()).filter_map(|known| {
            let hardware_address = MacAddress::new(known.hardware?.0).ok()?;
            Some(Neighbour { address: known.hop, hardware_address, age: known.confirmed.unwrap_or_default() })
        });
        let mut known: Vec<Neighbour> = known.collect();
        known.sort_unstable_by_key(|neighbour| neighbour.address);
        known
    }
}

/// Addresses.
impl Attachment {
    pub(crate) fn addresses(&self) -> Vec<Cidr> {
        self.assigned_addresses().filter_map(|known| from_wire(known.cidr)).collect()
    }

    /// Those that are this host's: one that the link is still being asked about, or that another has, is not.
    fn assigned_addresses(&self) -> impl Iterator<Item = &addresses::Address> {
        self.engine().interface().addresses().iter().filter(|known| known.detection == Detection::Passed)
    }

    /// The addresses with all that is known of them.
    pub(crate) fn address_list(&self) -> Vec<AddressInfo> {
        let left = |until: Option<Instant>| until.map(|until| until - self.now());
        let info = |known: &addresses::Address| {
            Some(AddressInfo {
                cidr: from_wire(known.cidr)?,
                origin: origin(known.origin),
                preferred: left(known.preferred_until),
                valid: left(known.valid_until),
            })
        };
        self.assigned_addresses().filter_map(info).collect()
    }

    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        self.engine().interface().addresses().is_local(address)
    }

    /// Whether an address means every host of a link.
    pub(crate) fn is_broadcast(&self, address: IpAddr) -> bool {
        self.engine().interface().addresses().is_broadcast(address)
    }

    /// Adds an address for good.
    ///
    /// # Errors
    /// [`ConfigureError::InvalidArgument`] for an address that no host can have; [`ConfigureError::AddressInUse`] for one
    /// that is there; [`ConfigureError::NoFreeSlot`].
    pub(crate) fn add_address(&mut self, cidr: Cidr) -> Result<(), ConfigureError> {
        if self.engine().interface().addresses().find(cidr.address()).is_some() {
            return Err(ConfigureError::AddressInUse);
        }
        let address = addresses::Address::new(to_wire(cidr), addresses::Origin::Static);
        self.engage(|engine, _, now| {
            let added = engine.interface_mut().add_address(address, Verification::None, now);
            added.map(|_: Added| ()).map_err(ConfigureError::from)
        })?;
        self.act();
        Ok(())
    }

    /// Removes an address. Connections from it fail with `AddressNotAvailable`.
    ///
    /// # Errors
    /// [`ConfigureError::AddressNotAvailable`] where it is not there.
    pub(crate) fn remove_address(&mut self, cidr: Cidr) -> Result<(), ConfigureError> {
        let known = self.engine().interface().addresses().find(cidr.address());
        if known.is_none_or(|known| known.cidr != to_wire(cidr)) {
            return Err(ConfigureError::AddressNotAvailable);
        }
        self.engage(|engine, _, now| engine.interface_mut().remove_address(cidr.address(), now).map(|_| ()));
        self.act();
        self.rouse();
        Ok(())
    }

    /// The address to speak to `destination` from (RFC 6724 section 5).
    pub(crate) fn source_address(&mut self, destination: IpAddr) -> Option<IpAddr> {
        // The unspecified address is no destination.
        if destination.is_unspecified() {
            return None;
        }
        self.engage(|engine, _, now| engine.interface_mut().source_for(destination, now))
    }
}

/// Routes.
impl Attachment {
    pub(crate) fn routes(&self) -> Vec<Route> {
        self.engine().interface().routes().iter().filter_map(as_route).collect()
    }

    /// The routes with all that is known of them.
    pub(crate) fn route_list(&self) -> Vec<RouteInfo> {
        let info = |known: &routes::Route| {
            let valid = known.valid_until.map(|until| until - self.now());
            Some(RouteInfo { route: as_route(known)?, origin: origin(known.origin), valid })
        };
        self.engine().interface().routes().iter().filter_map(info).collect()
    }

    /// Adds a route; one to the same network with the same metric is replaced. Its gateway is taken for a neighbour,
    /// whatever the interface's networks are (`onlink` of `ip route`).
    ///
    /// # Errors
    /// [`ConfigureError::InvalidArgument`] for IPv4-mapped addresses; [`ConfigureError::NoFreeSlot`] where the table is
    /// full. It is as it was then.
    pub(crate) fn add_route(&mut self, route: Route) -> Result<(), ConfigureError> {
        let target = Target::Gateway { address: route.gateway(), onlink: true };
        let known =
            routes::Route { metric: route.metric(), ..routes::Route::new(to_wire(route.destination()), target) };
        let known = known.lasting(route.lifetime(), self.now());
        self.engage(|engine, _, _| engine.interface_mut().replace_route(known).map_err(ConfigureError::from))?;
        self.act();
        Ok(())
    }

    /// Removes a route, whatever its lifetime.
    ///
    /// # Errors
    /// [`ConfigureError::RemoteUnreachable`] where there is no such route (`ip route del`: "No such process").
    pub(crate) fn remove_route(&mut self, wanted: Route) -> Result<(), ConfigureError> {
        let is_it = |known: &&routes::Route| as_route(known).is_some_and(|known| known.is_same(&wanted));
        let known =
            self.engine().interface().routes().iter().find(is_it).copied().ok_or(ConfigureError::RemoteUnreachable)?;
        self.engage(|engine, _, _| engine.interface_mut().remove_route(&known).map(|_| ()));
        self.act();
        Ok(())
    }

    /// What this interface is for packets from `local`, where that is said, to `remote`.
    pub(crate) fn outlook(&mut self, local: Option<IpAddr>, remote: IpAddr) -> Outlook {
        Outlook {
            is_up: self.is_up(),
            loops_back: self.loops_back(),
            has_local: local.is_some_and(|local| self.has_address(local)),
            has_remote: self.has_address(remote),
            reach: self.reach(remote),
        }
    }

    /// Whether a way leads to an address.
    pub(crate) fn leads_to(&mut self, to: IpAddr) -> bool {
        self.loops_back() || self.engage(|engine, _, _| engine.interface_mut().next_hop(to).is_ok())
    }

    /// How well this interface leads to `destination`, by its networks and routes; `None` where nothing matches.
    pub(crate) fn reach(&mut self, destination: IpAddr) -> Option<Reach> {
        let next_hop = self.engage(|engine, _, _| engine.interface_mut().next_hop(destination).ok())?;
        // A group or broadcast address that no prefix covers is on every link, and so says nothing for this one.
        let is_for_many = destination.is_multicast() || matches!(destination, IpAddr::V4(to) if to.is_broadcast());
        let says_something = !is_for_many || next_hop.prefix_length > 0;
        says_something.then_some((next_hop.prefix_length, Reverse(next_hop.metric)))
    }
}

/// What configures the interface by protocol.
impl Attachment {
    pub(crate) const fn autoconfiguration(&self) -> bool {
        self.engine().autoconfiguration()
    }

    /// # Errors
    /// [`ConfigureError::NotSupported`] where the medium is not Ethernet.
    pub(crate) fn set_autoconfiguration(&mut self, enabled: bool) -> Result<(), ConfigureError> {
        if enabled && !self.is_ethernet() {
            return Err(ConfigureError::NotSupported);
        }
        self.engage(|engine, _, now| {
            if enabled {
                // Routers are asked from it.
                engine.interface_mut().set_link_local(true, now);
            }
            engine.set_autoconfiguration(enabled, now);
        });
        self.act();
        Ok(())
    }

    /// What identifiers of IPv6 addresses are made with (RFC 7217); before there are any.
    pub(crate) fn set_identifier_secret(&mut self, key: [u8; 32]) {
        let secret = Secret::new(&mut Random::new(key));
        self.engage(|engine, _, _| engine.interface_mut().set_identifier_secret(secret));
    }

    /// Whether there is to be a link-local IPv6 address on an Ethernet; autoconfiguration brings one too.
    pub(crate) fn set_link_local(&mut self, wanted: bool) {
        self.engage(|engine, _, now| engine.interface_mut().set_link_local(wanted, now));
        self.act();
    }

    pub(crate) fn dhcp_status(&self) -> DhcpStatus {
        // Who is unmounted asks nobody any more.
        let client = self.engine().dhcp().filter(|_| !self.is_gone());
        let Some(client) = client else { return DhcpStatus::default() };
        let lease = client.lease().and_then(|lease| {
            Some(Lease {
                address: from_wire(lease.cidr())?,
                router: lease.routers.first().copied(),
                dns_servers: lease.dns_servers.clone(),
                server: lease.server,
                valid: lease.expires().map_or(FOR_EVER, |until| until - self.now()),
            })
        });
        let state = if lease.is_some() { DhcpState::Bound } else { DhcpState::Searching };
        DhcpStatus { state, lease, refused: client.refused() }
    }

    /// # Errors
    /// [`ConfigureError::NotSupported`] where the medium is not Ethernet.
    pub(crate) fn set_dhcp(&mut self, enabled: bool) -> Result<(), ConfigureError> {
        if enabled && !self.is_ethernet() {
            return Err(ConfigureError::NotSupported);
        }
        self.engage(|engine, port, now| engine.set_dhcp(enabled, now, port));
        self.act();
        Ok(())
    }

    pub(crate) fn dns_servers(&self) -> Vec<IpAddr> {
        self.engine().servers().collect()
    }

    /// # Errors
    /// [`ConfigureError::InvalidArgument`] for an address that no host can have; [`ConfigureError::AddressInUse`] where it
    /// is known; [`ConfigureError::NoFreeSlot`].
    pub(crate) fn add_dns_server(&mut self, server: IpAddr) -> Result<(), ConfigureError> {
        self.engage(|engine, _, _| engine.add_server(server).map_err(ConfigureError::from))?;
        self.act();
        Ok(())
    }

    /// # Errors
    /// [`ConfigureError::AddressNotAvailable`] where it is not known.
    pub(crate) fn remove_dns_server(&mut self, server: IpAddr) -> Result<(), ConfigureError> {
        if !self.engage(|engine, _, _| engine.remove_server(server)) {
            return Err(ConfigureError::AddressNotAvailable);
        }
        self.act();
        Ok(())
    }

    /// Sets the servers that somebody has set; those for which there is no room, or that no host can be, are left out.
    pub(crate) fn set_dns_servers(&mut self, servers: &[IpAddr]) {
        self.engage(|engine, _, _| engine.replace_servers(addresses::Origin::Static, servers));
        self.act();
    }
}

/// A route as the host shows it, with the lifetime that it was added with; none of what is on the link, which is no route
/// beyond the interface's networks.
pub(super) fn as_route(known: &routes::Route) -> Option<Route> {
    let Target::Gateway { address, onlink: _ } = known.target else { return None };
    let route = Route::new(from_wire(known.destination)?, address).ok()?.with_metric(known.metric);
    Some(known.lifetime.map_or(route, |lifetime| route.with_lifetime(lifetime)))
}

const fn origin(origin: addresses::Origin) -> Origin {
    match origin {
        addresses::Origin::Static => Origin::Static,
        addresses::Origin::Dhcp => Origin::Dhcp,
        addresses::Origin::Router | addresses::Origin::LinkLocal => Origin::Autoconfigured,
    }
}

impl From<AddAddressError> for ConfigureError {
    fn from(error: AddAddressError) -> Self {
        match error {
            AddAddressError::Invalid => Self::InvalidArgument,
            AddAddressError::InUse => Self::AddressInUse,
            AddAddressError::Full => Self::NoFreeSlot,
        }
    }
}

impl From<AddRouteError> for ConfigureError {
    fn from(error: AddRouteError) -> Self {
        match error {
            AddRouteError::InvalidDestination | AddRouteError::InvalidGateway | AddRouteError::InvalidSource => {
                Self::InvalidArgument
            }
            AddRouteError::Full => Self::NoFreeSlot,
        }
    }
}

impl From<AddServerError> for ConfigureError {
    fn from(error: AddServerError) -> Self {
        match error {
            AddServerError::Invalid => Self::InvalidArgument,
            AddServerError::Known => Self::AddressInUse,
            AddServerError::Full => Self::NoFreeSlot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_refuses_is_told_by_its_cause() {
        assert_eq!(ConfigureError::from(AddAddressError::Invalid), ConfigureError::InvalidArgument);
        assert_eq!(ConfigureError::from(AddAddressError::InUse), ConfigureError::AddressInUse);
        assert_eq!(ConfigureError::from(AddAddressError::Full), ConfigureError::NoFreeSlot);
        assert_eq!(ConfigureError::from(AddRouteError::InvalidDestination), ConfigureError::InvalidArgument);
        assert_eq!(ConfigureError::from(AddRouteError::InvalidGateway), ConfigureError::InvalidArgument);
        assert_eq!(ConfigureError::from(AddRouteError::InvalidSource), ConfigureError::InvalidArgument);
        assert_eq!(ConfigureError::from(AddRouteError::Full), ConfigureError::NoFreeSlot);
        assert_eq!(ConfigureError::from(AddServerError::Invalid), ConfigureError::InvalidArgument);
        assert_eq!(ConfigureError::from(AddServerError::Known), ConfigureError::AddressInUse);
        assert_eq!(ConfigureError::from(AddServerError::Full), ConfigureError::NoFreeSlot);
    }
}
