//! A host on a segment, with the test's own station beside it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use xila_network_host::address::{Cidr, Route};
use xila_network_host::device::hub::{Cable, Hub, HubOptions};
use xila_network_host::interface::{AddressInfo, Change, DhcpState, Notice, Origin, Watch};
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::{Interface, InterfaceConfig, Manager};

use super::server::{Server, State};

/// The host, its interface `eth0`, and the station that records and answers.
pub(crate) struct World {
    pub(crate) simulation: Simulation,
    pub(crate) hub: Hub,
    pub(crate) manager: Manager,
    pub(crate) interface: Interface,
    pub(crate) cable: Cable,
    pub(crate) server: Server,
    watch: Mutex<Watch>,
}

impl World {
    /// A host that has started DHCP, and forms no IPv6 address meanwhile.
    pub(crate) fn dhcp() -> Self {
        Self::with(InterfaceConfig { dhcp: true, ..Self::ipv4() })
    }

    /// A configuration without a link-local IPv6 address, so that only DHCP is active.
    pub(crate) fn ipv4() -> InterfaceConfig {
        InterfaceConfig { link_local: false, ..InterfaceConfig::default() }
    }

    /// A host that has started autoconfiguration.
    pub(crate) fn autoconfiguration() -> Self {
        Self::with(InterfaceConfig { autoconfiguration: true, ..InterfaceConfig::default() })
    }

    pub(crate) fn with(config: InterfaceConfig) -> Self {
        let simulation = Simulation::new(1);
        let options = HubOptions { latency: Duration::from_millis(1), ..HubOptions::default() };
        let hub = Hub::new(&simulation.platform(), options);
        let server = Server::new(&simulation, &hub);
        let manager = Manager::new(simulation.platform());
        let watch = Mutex::new(manager.watch());
        let port = hub.port();
        let cable = port.cable();
        let interface = manager.mount_interface("eth0", port, config).unwrap();
        Self { simulation, hub, manager, interface, cable, server, watch }
    }

    /// Like [`dhcp`](Self::dhcp), but with a lease; the changes until then are consumed.
    pub(crate) fn bound() -> Self {
        let world = Self::dhcp();
        world.advance(1);
        assert_eq!(world.state(), DhcpState::Bound);
        world.changes();
        world
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.simulation.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn state(&self) -> DhcpState {
        self.interface.dhcp().state
    }

    /// The changes since the last call.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let mut watch = self.watch.lock().unwrap();
        let mut changes = Vec::new();
        while let Some(notice) = watch.try_next() {
            match notice {
                Notice::Changed(event) => changes.push(event.change),
                Notice::Lost(count) => panic!("{count} events were lost"),
            }
        }
        changes
    }

    /// The addresses of an origin.
    pub(crate) fn addresses(&self, origin: Origin) -> Vec<AddressInfo> {
        self.interface.address_list().into_iter().filter(|info| info.origin == origin).collect()
    }

    /// The routes of an origin.
    pub(crate) fn routes(&self, origin: Origin) -> Vec<Route> {
        let routes = self.interface.route_list().into_iter().filter(|info| info.origin == origin);
        routes.map(|info| info.route).collect()
    }

    /// Asserts that the interface has nothing from DHCP.
    pub(crate) fn assert_nothing_lent(&self) {
        assert_eq!(self.addresses(Origin::Dhcp), []);
        assert_eq!(self.routes(Origin::Dhcp), []);
        assert_eq!(self.interface.dns_servers(), [] as [IpAddr; 0]);
        assert_eq!(self.interface.dhcp().lease, None);
    }

    pub(crate) fn serve(&self, change: impl FnOnce(&mut State)) {
        self.server.with(change);
    }
}

pub(crate) fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

pub(crate) fn route(gateway: &str, metric: u32) -> Route {
    Route::default_via(gateway.parse().unwrap()).unwrap().with_metric(metric)
}

/// A value that a task and a test share.
pub(crate) type Common<T> = Arc<Mutex<T>>;
