//! One interface.

use core::net::IpAddr;
use core::ops::RangeInclusive;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::address::{Cidr, MacAddress, Route};
use crate::device::{Capabilities, Link};
use crate::error::Result;
use crate::socket::Network;
use crate::socket::network::Topology;
use crate::stack::ports::EPHEMERAL;
use crate::stack::statistics::Statistics;
use crate::stack::{Core, Stack, State};

/// How an interface begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceConfig {
    /// Its addresses, each with its network.
    pub addresses: Vec<Cidr>,
    /// Its routes beyond those networks.
    pub routes: Vec<Route>,
    /// The DNS servers that it leads to.
    pub dns_servers: Vec<IpAddr>,
    /// The hardware address; `None` for a random locally administered one. Ethernet devices only.
    pub hardware_address: Option<MacAddress>,
    /// The local ports for sockets that name none (RFC 6335: 49152 to 65535).
    pub ephemeral_ports: RangeInclusive<u16>,
}

impl Default for InterfaceConfig {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            routes: Vec::new(),
            dns_servers: Vec::new(),
            hardware_address: None,
            ephemeral_ports: EPHEMERAL,
        }
    }
}

/// A handle to a mounted interface. It may outlive the interface; what it is asked then fails with
/// [`Error::NetworkDown`](crate::Error::NetworkDown) or shows what was last.
#[derive(Clone)]
pub struct Interface {
    stack: Stack,
    topology: Arc<Topology>,
    dns_servers: Arc<RwLock<Vec<IpAddr>>>,
}

impl Interface {
    pub(super) fn new(stack: Stack, topology: Arc<Topology>, dns_servers: Vec<IpAddr>) -> Self {
        Self { stack, topology, dns_servers: Arc::new(RwLock::new(dns_servers)) }
    }

    pub(super) const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.stack.name()
    }

    /// The kind of device: `loopback`, `hub`, `tap`, ...
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.stack.with(|core| core.kind())
    }

    /// The device's properties.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.stack.with(|core| *core.capabilities())
    }

    /// The IP MTU in bytes.
    #[must_use]
    pub fn mtu(&self) -> usize {
        self.capabilities().mtu
    }

    /// The hardware address, on an Ethernet device.
    #[must_use]
    pub fn hardware_address(&self) -> Option<MacAddress> {
        self.stack.with(|core| core.hardware_address())
    }

    /// The addresses, with their networks.
    #[must_use]
    pub fn addresses(&self) -> Vec<Cidr> {
        self.stack.with(|core| core.addresses())
    }

    /// Adds an address.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for one that no host can have,
    /// [`Error::AddressInUse`](crate::Error::AddressInUse) for one that is there,
    /// [`Error::NoFreeSlot`](crate::Error::NoFreeSlot) beyond eight.
    pub fn add_address(&self, address: Cidr) -> Result<()> {
        self.change(|core| core.add_address(address))
    }

    /// Removes an address. Connections from it fail with
    /// [`Error::AddressNotAvailable`](crate::Error::AddressNotAvailable).
    ///
    /// # Errors
    /// [`Error::AddressNotAvailable`](crate::Error::AddressNotAvailable) where it is not there.
    pub fn remove_address(&self, address: Cidr) -> Result<()> {
        self.change(|core| core.remove_address(address))
    }

    /// The routes beyond the addresses' networks.
    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        self.stack.with(|core| core.routes().to_vec())
    }

    /// Adds a route; one to the same network is replaced.
    ///
    /// # Errors
    /// [`Error::NoFreeSlot`](crate::Error::NoFreeSlot) beyond 64.
    pub fn add_route(&self, route: Route) -> Result<()> {
        self.change(|core| core.add_route(route))
    }

    /// Removes a route.
    ///
    /// # Errors
    /// [`Error::RemoteUnreachable`](crate::Error::RemoteUnreachable) where there is no such route.
    pub fn remove_route(&self, route: Route) -> Result<()> {
        self.change(|core| core.remove_route(route))
    }

    /// The DNS servers that the interface leads to.
    #[must_use]
    pub fn dns_servers(&self) -> Vec<IpAddr> {
        self.dns_servers.read().clone()
    }

    /// Replaces the DNS servers.
    pub fn set_dns_servers(&self, servers: Vec<IpAddr>) {
        *self.dns_servers.write() = servers;
    }

    /// The administrative state.
    #[must_use]
    pub fn state(&self) -> State {
        self.stack.with(|core| core.state())
    }

    /// Puts the interface up or down. Down, operations fail with
    /// [`Error::NetworkDown`](crate::Error::NetworkDown), those under way too; up again, connections go on where their
    /// peers have not given up.
    pub fn set_state(&self, state: State) {
        self.change(|core| core.set_state(state));
    }

    /// Whether the device's link carries frames.
    #[must_use]
    pub fn link(&self) -> Link {
        self.stack.with(|core| core.link())
    }

    fn change<R>(&self, change: impl FnOnce(&mut Core) -> R) -> R {
        let result = self.stack.with_mut(change);
        self.topology.changed();
        result
    }

    /// What the interface has counted since it was mounted.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.stack.with(|core| core.statistics())
    }

    /// The network of this interface alone.
    #[must_use]
    pub fn network(&self) -> Network {
        Network::new(self.topology.clone(), Some([self.stack.name().clone()].into()))
    }
}

impl core::fmt::Debug for Interface {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Interface").field("name", &self.name()).finish_non_exhaustive()
    }
}
