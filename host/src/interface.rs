//! One interface: its state and settings, as typed methods.
//!
//! Each operation is a method of the interface's stack, executed under the stack's lock. The character device
//! ([`control`](crate::control)) executes the same methods.

use core::net::IpAddr;
use core::ops::RangeInclusive;
use std::sync::Arc;

pub use xila_network_commands::event::{Change, Event};
pub use xila_network_commands::interface::{
    AddressInfo, AutoconfigurationState, AutoconfigurationStatus, Counters, DhcpState, DhcpStatus, Kind, Lease, Link,
    Neighbour, Origin, RouteInfo, State, Statistics,
};

#[cfg(feature = "gateway")]
use xila_network_engine::interface::{Outgoing, SendError};

use crate::address::{Cidr, MacAddress, Route};
use crate::device::{Capabilities, Controller};
use crate::error::{ConfigureError, Error, InterfaceNotFound, InvalidPortRange, NetworkDown, Result};
use crate::socket::dns::{MOST_DOMAINS, is_search_domain};
use crate::socket::network::Topology;
use crate::socket::{CongestionAlgorithm, Network};
use crate::stack::ports::EPHEMERAL;
use crate::stack::{Core, Stack};

pub use crate::stack::events::{Notice, Watch};

/// The initial configuration of an interface.
#[derive(Clone)]
pub struct InterfaceConfig {
    /// The addresses, each with its network.
    pub addresses: Vec<Cidr>,
    /// The routes, other than those to the networks of the addresses.
    pub routes: Vec<Route>,
    /// The DNS servers that are reached through the interface.
    pub dns_servers: Vec<IpAddr>,
    /// The search domains for names without a final dot, in this order, at most eight.
    pub search_domains: Vec<String>,
    /// The hardware address. `None`: the [remembered](Self::remembered) one, or else a random locally administered one.
    /// Ethernet devices only.
    pub hardware_address: Option<MacAddress>,
    /// Whether the interface gets an address, a router and DNS servers by DHCP (RFC 2131). Ethernet devices only.
    pub dhcp: bool,
    /// Whether the interface configures IPv6 by itself, with a link-local address and by router advertisements (RFC
    /// 4862). Ethernet devices only.
    pub autoconfiguration: bool,
    /// Whether autoconfiguration also makes temporary addresses (RFC 8981): they have random identifiers, are preferred as
    /// source for a day at most, and cannot be linked to each other. The stable addresses stay.
    pub temporary_addresses: bool,
    /// Whether the interface has an IPv6 link-local address (RFC 4291 section 2.8), made by RFC 7217 and verified by
    /// duplicate address detection. Ethernet devices only; others have none.
    pub link_local: bool,
    /// The controller, which answers the commands that the stack does not know; `None` for that of the device.
    pub controller: Option<Arc<dyn Controller>>,
    /// The ephemeral ports (RFC 6335: 49152 to 65535).
    pub ephemeral_ports: PortRange,
    /// The congestion control of connections that do not choose one in
    /// [`TcpOptions::congestion`](crate::socket::TcpOptions::congestion). `None`: no congestion control if the device
    /// is lossless, else CUBIC.
    pub congestion: Option<CongestionAlgorithm>,
    /// Whether an interface that is mounted under this name again, in this process or another, is the same host again:
    /// with the hardware address that was drawn for it, the IPv6 addresses that follow from it, and its last lease
    /// (INIT-REBOOT of RFC 2131). This needs a platform with a [memory](crate::platform::Memory) and an Ethernet
    /// device. While another interface with the same name and memory is mounted, this one is a new host and stores
    /// nothing.
    pub remembered: bool,
}

/// # Errors
/// As for [`Interface::set_search_domains`].
pub(crate) fn check_search_domains(domains: &[String]) -> Result<(), ConfigureError> {
    if domains.len() > MOST_DOMAINS {
        return Err(ConfigureError::NoFreeSlot);
    }
    let is_each_one = domains.iter().all(|domain| is_search_domain(domain));
    if is_each_one { Ok(()) } else { Err(ConfigureError::InvalidArgument) }
}

impl Default for InterfaceConfig {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            routes: Vec::new(),
            dns_servers: Vec::new(),
            search_domains: Vec::new(),
            hardware_address: None,
            dhcp: false,
            autoconfiguration: false,
            temporary_addresses: false,
            link_local: true,
            controller: None,
            ephemeral_ports: PortRange::EPHEMERAL,
            congestion: None,
            remembered: true,
        }
    }
}

impl core::fmt::Debug for InterfaceConfig {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            addresses,
            routes,
            dns_servers,
            search_domains,
            hardware_address,
            dhcp,
            autoconfiguration,
            temporary_addresses,
            link_local,
            controller: _,
            ephemeral_ports,
            congestion,
            remembered,
        } = self;
        formatter
            .debug_struct("InterfaceConfig")
            .field("addresses", addresses)
            .field("routes", routes)
            .field("dns_servers", dns_servers)
            .field("search_domains", search_domains)
            .field("hardware_address", hardware_address)
            .field("dhcp", dhcp)
            .field("autoconfiguration", autoconfiguration)
            .field("temporary_addresses", temporary_addresses)
            .field("link_local", link_local)
            .field("ephemeral_ports", ephemeral_ports)
            .field("congestion", congestion)
            .field("remembered", remembered)
            .finish_non_exhaustive()
    }
}

/// An inclusive range of ports. It is not empty, and does not include port 0, which is not a valid port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The dynamic ports (RFC 6335 section 6), 49152 to 65535.
    pub const EPHEMERAL: Self = Self { first: *EPHEMERAL.start(), last: *EPHEMERAL.end() };
}

impl TryFrom<RangeInclusive<u16>> for PortRange {
    type Error = InvalidPortRange;

    /// # Errors
    /// [`InvalidPortRange`].
    fn try_from(ports: RangeInclusive<u16>) -> Result<Self, InvalidPortRange> {
        let (first, last) = (*ports.start(), *ports.end());
        if ports.is_empty() || first == 0 { Err(InvalidPortRange) } else { Ok(Self { first, last }) }
    }
}

impl From<PortRange> for RangeInclusive<u16> {
    fn from(ports: PortRange) -> Self {
        ports.first..=ports.last
    }
}

/// A handle to a mounted interface. It may outlive the interface. Then it returns the last state, and changes fail with
/// [`ConfigureError::NotFound`].
#[derive(Clone)]
pub struct Interface {
    stack: Stack,
    topology: Arc<Topology>,
    controller: Arc<dyn Controller>,
}

impl Interface {
    pub(crate) fn new(stack: Stack, topology: Arc<Topology>, controller: Arc<dyn Controller>) -> Self {
        Self { stack, topology, controller }
    }

    pub(crate) const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The name of the interface.
    #[must_use]
    pub fn name(&self) -> &str {
        self.stack.name()
    }

    /// The kind of the interface, from its controller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.controller.kind()
    }

    /// The name of the device's driver: `loopback`, `hub`, `tap`, ...
    #[must_use]
    pub fn driver(&self) -> &'static str {
        self.stack.with(|core| core.interface.driver())
    }

    /// The controller, which answers the commands that the stack does not know.
    #[must_use]
    pub fn controller(&self) -> &Arc<dyn Controller> {
        &self.controller
    }

    /// The device's properties, with the present MTU.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.stack.with(|core| *core.interface.capabilities())
    }

    /// The IP MTU in bytes.
    #[must_use]
    pub fn mtu(&self) -> u32 {
        self.stack.with(|core| core.interface.mtu())
    }

    /// Sets the IP MTU in bytes.
    ///
    /// # Errors
    /// [`ConfigureError::InvalidArgument`] for less than 1280 or more than the device's MTU.
    pub fn set_mtu(&self, mtu: u32) -> Result<(), ConfigureError> {
        self.change(|core| core.interface.set_mtu(mtu))
    }

    /// The number of frames that the device can send or receive at once, if it is known.
    #[must_use]
    pub fn maximum_burst_size(&self) -> Option<u32> {
        self.stack.with(|core| core.interface.maximum_burst())
    }

    /// The hardware address, on an Ethernet device.
    #[must_use]
    pub fn hardware_address(&self) -> Option<MacAddress> {
        self.stack.with(|core| core.interface.hardware_address())
    }

    /// Sets the hardware address.
    ///
    /// # Errors
    /// [`ConfigureError::NotSupported`] if the medium has no hardware addresses.
    pub fn set_hardware_address(&self, address: MacAddress) -> Result<(), ConfigureError> {
        self.change(|core| core.interface.set_hardware_address(address))
    }

    /// The addresses, with their networks.
    #[must_use]
    pub fn addresses(&self) -> Vec<Cidr> {
        self.stack.with(|core| core.interface.addresses())
    }

    /// The addresses with their origins and remaining lifetimes.
    #[must_use]
    pub fn address_list(&self) -> Vec<AddressInfo> {
        self.stack.with_mut(|core| core.interface.address_list())
    }

    /// Adds an address.
    ///
    /// # Errors
    /// [`ConfigureError::InvalidArgument`] for an address that no host can have, [`ConfigureError::AddressInUse`] if
    /// the interface has it already, [`ConfigureError::NoFreeSlot`] beyond 64.
    pub fn add_address(&self, address: Cidr) -> Result<(), ConfigureError> {
        self.change(|core| core.interface.add_address(address))
    }

    /// Removes an address. Connections from it fail with `AddressNotAvailable`.
    ///
    /// # Errors
    /// [`ConfigureError::AddressNotAvailable`] if the interface does not have it.
    pub fn remove_address(&self, address: Cidr) -> Result<(), ConfigureError> {
        self.change(|core| core.interface.remove_address(address))
    }

    /// The routes, other than those to the networks of the addresses. [`route_list`](Self::route_list) also has their
    /// origins and remaining lifetimes.
    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        self.stack.with(|core| core.interface.routes())
    }

    /// The routes with their origins and remaining lifetimes.
    #[must_use]
    pub fn route_list(&self) -> Vec<RouteInfo> {
        self.stack.with_mut(|core| core.interface.route_list())
    }

    /// Adds a route, or replaces the one to the same network with the same metric.
    ///
    /// # Errors
    /// [`ConfigureError::InvalidArgument`] for IPv4-mapped addresses, [`ConfigureError::NoFreeSlot`] beyond 256.
    pub fn add_route(&self, route: Route) -> Result<(), ConfigureError> {
        self.change(|core| core.interface.add_route(route))
    }

    /// Removes a route, whatever its lifetime.
    ///
    /// # Errors
    /// [`ConfigureError::RemoteUnreachable`] if there is no such route.
    pub fn remove_route(&self, route: Route) -> Result<(), ConfigureError> {
        self.change(|core| core.interface.remove_route(route))
    }

    /// The DNS servers that are reached through the interface.
    #[must_use]
    pub fn dns_servers(&self) -> Vec<IpAddr> {
        self.stack.with(|core| core.interface.dns_servers())
    }

    /// Adds a DNS server.
    ///
    /// # Errors
    /// [`ConfigureError::InvalidArgument`] for an address that no host can have, [`ConfigureError::AddressInUse`] if
    /// the interface has the server already, [`ConfigureError::NoFreeSlot`] beyond eight.
    pub fn add_dns_server(&self, server: IpAddr) -> Result<(), ConfigureError> {
        self.change(|core| core.interface.add_dns_server(server))
    }

    /// Removes a DNS server.
    ///
    /// # Errors
    /// [`ConfigureError::AddressNotAvailable`] if the interface does not have it.
    pub fn remove_dns_server(&self, server: IpAddr) -> Result<(), ConfigureError> {
        self.change(|core| core.interface.remove_dns_server(server))
    }

    /// The search domains for names without a final dot, in this order: those that were
    /// [set](Self::set_search_domains), those of the lease (RFC 3397), those of DHCPv6 (RFC 3646), and those that routers
    /// advertise (RFC 8106). Without duplicates.
    #[must_use]
    pub fn search_domains(&self) -> Vec<String> {
        self.stack.with(|core| core.interface.search_domains())
    }

    /// Sets the search domains for names without a final dot, in place of those set before.
    ///
    /// # Errors
    /// [`ConfigureError::InvalidArgument`] for an invalid search domain, such as the root or `localhost`;
    /// [`ConfigureError::NoFreeSlot`] beyond eight.
    pub fn set_search_domains(&self, domains: &[String]) -> Result<(), ConfigureError> {
        check_search_domains(domains)?;
        self.change(|core| {
            core.interface.set_search_domains(domains);
            Ok(())
        })
    }

    /// The state of DHCP, and the lease.
    #[must_use]
    pub fn dhcp(&self) -> DhcpStatus {
        self.stack.with_mut(|core| core.interface.dhcp_status())
    }

    /// Enables or disables DHCP. When it is disabled, the settings from the lease are removed.
    ///
    /// # Errors
    /// [`ConfigureError::NotSupported`] where the medium is not Ethernet.
    pub fn set_dhcp(&self, enabled: bool) -> Result<(), ConfigureError> {
        self.change(|core| core.interface.set_dhcp(enabled))
    }

    /// Whether IPv6 autoconfiguration is enabled.
    #[must_use]
    pub fn autoconfiguration(&self) -> bool {
        self.stack.with(|core| core.interface.autoconfiguration())
    }

    /// The state of IPv6 autoconfiguration, and the DHCPv6 flags of routers.
    #[must_use]
    pub fn autoconfiguration_status(&self) -> AutoconfigurationStatus {
        self.stack.with(|core| core.interface.autoconfiguration_status())
    }

    /// Enables or disables IPv6 autoconfiguration: a link-local address, and the settings that routers advertise (RFC
    /// 4862). When it is disabled, the settings from routers are removed.
    ///
    /// # Errors
    /// [`ConfigureError::NotSupported`] where the medium is not Ethernet.
    pub fn set_autoconfiguration(&self, enabled: bool) -> Result<(), ConfigureError> {
        self.change(|core| core.interface.set_autoconfiguration(enabled))
    }

    /// Whether the stack answers echo requests.
    #[must_use]
    pub fn echo_reply(&self) -> bool {
        self.stack.with(|core| core.interface.echo_reply())
    }

    /// Sets whether this host is a router, as its neighbours are told.
    ///
    /// # Errors
    /// [`InterfaceNotFound`] if the interface is unmounted.
    pub(crate) fn set_router(&self, router: bool) -> Result<(), InterfaceNotFound> {
        self.change(|core| {
            core.interface.set_router(router);
            Ok(())
        })
    }

    /// Sends a packet that no socket sends: a router's.
    ///
    /// # Errors
    /// See [`SendError`].
    #[cfg(feature = "gateway")]
    pub(crate) fn forward(&self, packet: &Outgoing<'_>) -> core::result::Result<(), SendError> {
        self.stack.with_mut(|core| core.interface.forward(packet))
    }

    /// Whether a UDP socket has an address and port, or the port at every address.
    #[cfg(feature = "gateway")]
    pub(crate) fn has_udp_socket(&self, local: core::net::SocketAddr) -> bool {
        self.stack.ask(|core| core.udp().is_bound(local))
    }

    /// Whether there is a connection between two ends.
    #[cfg(feature = "gateway")]
    pub(crate) fn has_tcp_connection(&self, local: core::net::SocketAddr, peer: core::net::SocketAddr) -> bool {
        self.stack.ask(|core| core.tcp().has_connection(local, peer))
    }

    /// Sets whether the stack takes packets for every address of a single host as its own: it is a router that answers in
    /// the place of other hosts.
    ///
    /// # Errors
    /// [`InterfaceNotFound`] if the interface is unmounted.
    #[cfg(feature = "gateway")]
    pub(crate) fn set_every_address(&self, every: bool) -> Result<(), InterfaceNotFound> {
        self.change(|core| {
            core.interface.set_every_address(every);
            Ok(())
        })
    }

    /// Sets whether the stack answers echo requests.
    ///
    /// # Errors
    /// [`InterfaceNotFound`] if the interface is unmounted.
    pub fn set_echo_reply(&self, enabled: bool) -> Result<(), InterfaceNotFound> {
        self.change(|core| {
            core.interface.set_echo_reply(enabled);
            Ok(())
        })
    }

    /// The administrative state.
    #[must_use]
    pub fn state(&self) -> State {
        self.stack.with(|core| core.interface.state())
    }

    /// Sets the administrative state. While the interface is down, operations fail with `NetworkDown`, including those
    /// under way, unless their socket waits ([`OnOutage`](crate::socket::OnOutage)). When it is up again, connections
    /// continue unless their peers have given up.
    pub fn set_state(&self, state: State) {
        self.stack.with_mut(|core| core.interface.set_state(state));
    }

    /// Whether the device's link carries frames.
    #[must_use]
    pub fn link(&self) -> Link {
        self.stack.with(|core| core.interface.link())
    }

    /// The counters of the interface since it was mounted.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.stack.with(|core| core.statistics())
    }

    /// The neighbours whose hardware address is known.
    #[must_use]
    pub fn neighbours(&self) -> Vec<Neighbour> {
        self.stack.with_mut(|core| core.interface.neighbours())
    }

    /// The changes of this interface, from now on.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.network().watch()
    }

    /// The network of this interface alone.
    #[must_use]
    pub fn network(&self) -> Network {
        Network::new(self.topology.clone(), Some([self.stack.name().clone()].into()))
    }

    /// Executes an operation of the stack for the character device. If it must not wait, a locked stack is the error
    /// [`Error::ResourceBusy`].
    ///
    /// # Errors
    /// [`Error::NotFound`] if the interface is unmounted; the error of the operation.
    pub(crate) fn perform<R>(
        &self,
        wait: bool,
        operation: impl FnOnce(&mut Core) -> Result<R, ConfigureError>,
    ) -> Result<R> {
        let done = if wait { self.change(operation) } else { self.try_change(operation).ok_or(Error::ResourceBusy)? };
        Ok(done?)
    }

    /// Executes an operation of the stack, if the interface is mounted.
    fn change<R, E>(&self, operation: impl FnOnce(&mut Core) -> Result<R, E>) -> Result<R, E>
    where
        E: From<InterfaceNotFound>,
    {
        self.stack.with_mut(|core| if_mounted(core, operation))
    }

    /// Like [`change`](Self::change), but returns `None` if the stack is locked.
    fn try_change<R, E>(&self, operation: impl FnOnce(&mut Core) -> Result<R, E>) -> Option<Result<R, E>>
    where
        E: From<InterfaceNotFound>,
    {
        self.stack.try_with_mut(|core| if_mounted(core, operation))
    }
}

impl core::fmt::Debug for Interface {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Interface").field("name", &self.name()).finish_non_exhaustive()
    }
}

fn if_mounted<R, E>(core: &mut Core, operation: impl FnOnce(&mut Core) -> Result<R, E>) -> Result<R, E>
where
    E: From<InterfaceNotFound>,
{
    core.interface.check_mounted().map_err(|NetworkDown| InterfaceNotFound)?;
    operation(core)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_ports_is_not_empty_and_without_port_0() {
        #[expect(clippy::reversed_empty_ranges, reason = "an empty range is the case")]
        let bad = [9..=8, 0..=8, 0..=0];
        assert_eq!(bad.map(PortRange::try_from), [const { Err(InvalidPortRange) }; 3]);
        for range in [1..=65_535, 8..=8, EPHEMERAL] {
            assert_eq!(PortRange::try_from(range.clone()).map(RangeInclusive::from), Ok(range));
        }
        assert_eq!(PortRange::try_from(EPHEMERAL), Ok(PortRange::EPHEMERAL));
    }
}
