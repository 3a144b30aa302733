//! A host with guests, and its peer, on one link in virtual time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use xila_network_host::address::{Cidr, Family, MacAddress};
use xila_network_host::device::Device;
use xila_network_host::device::hub::{Hub, HubOptions, HubPort};
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::policy::Rates;
use xila_network_host::socket::{GuestOptions, Network};
use xila_network_host::{Interface, InterfaceConfig, Manager};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// The numbers of the hosts on the link; see [`host`].
pub(crate) const GUEST: u16 = 1;
pub(crate) const PEER: u16 = 2;
/// No host has this number.
pub(crate) const DEAD: u16 = 77;

const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// The guests' host and its peer on one link. Each has an address of each family.
pub(crate) struct World {
    pub(crate) simulation: Simulation,
    pub(crate) host: Manager,
    pub(crate) peer: Manager,
    hub: Hub,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::on(HubOptions { latency: Duration::from_millis(1), ..HubOptions::default() })
    }

    /// A world on a link with these options.
    pub(crate) fn on(options: HubOptions) -> Self {
        let simulation = Simulation::new(7);
        let hub = Hub::new(&simulation.platform(), options);
        let host = |number, hardware_address| {
            let manager = Manager::new(simulation.platform());
            let config = InterfaceConfig {
                addresses: FAMILIES.map(|family| network_of(family, number)).into(),
                link_local: false,
                hardware_address,
                ..InterfaceConfig::default()
            };
            manager.mount_interface("eth0", Box::new(hub.port()), config).unwrap();
            manager
        };
        let (guest, peer) = (host(GUEST, Some(MacAddress::new(HARDWARE).unwrap())), host(PEER, None));
        // Until the new addresses are announced.
        simulation.advance(5 * SECOND);
        Self { simulation, host: guest, peer, hub }
    }

    /// The network of a new guest.
    pub(crate) fn guest(&self) -> Network {
        self.host.network().for_guest()
    }

    /// The network of a new guest with rates.
    pub(crate) fn limited(&self, rates: Rates) -> Network {
        self.host.network().for_guest_with(GuestOptions { rates, ..GuestOptions::default() })
    }

    pub(crate) fn interface(&self) -> Interface {
        self.host.interface("eth0").unwrap()
    }

    pub(crate) fn within<T>(&self, future: impl Future<Output = T>) -> T {
        self.simulation.block_on(future)
    }

    /// How long `future` takes in virtual time, and its output.
    pub(crate) fn timed<T>(&self, future: impl Future<Output = T>) -> (T, Duration) {
        let start = self.simulation.now();
        let output = self.within(future);
        (output, self.simulation.now() - start)
    }

    /// A port of the link for another host.
    pub(crate) fn port(&self) -> HubPort {
        self.hub.port()
    }

    /// A station of its own on the link.
    pub(crate) fn station(&self) -> Station {
        Station { port: self.port(), simulation: self.simulation.clone() }
    }
}

/// A station that sends frames of the test's making to the guests' host.
pub(crate) struct Station {
    port: HubPort,
    simulation: Simulation,
}

impl Station {
    /// Sends an IPv4 packet to the guests' host.
    pub(crate) fn send(&mut self, packet: &[u8]) {
        let mut bytes = HARDWARE.to_vec();
        bytes.extend([2, 0, 0, 0, 0, 9, 0x08, 0x00]);
        bytes.extend(packet);
        let now = self.simulation.now();
        let mut frame = self.port.allocate(now, bytes.len()).expect("the link has room");
        frame.copy_from_slice(&bytes);
        self.port.transmit(now, frame).expect("it is sent");
        self.simulation.run_ready();
    }
}

pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The address of the host with a number, whether there is such a host or not.
pub(crate) const fn host(family: Family, number: u16) -> IpAddr {
    match family {
        Family::V4 => {
            let [high, low] = number.to_be_bytes();
            IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
        }
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number)),
    }
}

/// [`host`] with a port.
pub(crate) const fn at(family: Family, number: u16, port: u16) -> SocketAddr {
    SocketAddr::new(host(family, number), port)
}

/// The unspecified address with a port.
pub(crate) fn any(family: Family, port: u16) -> SocketAddr {
    match family {
        Family::V4 => (Ipv4Addr::UNSPECIFIED, port).into(),
        Family::V6 => (Ipv6Addr::UNSPECIFIED, port).into(),
    }
}

/// The address of a host with the prefix of the link's network.
pub(crate) fn network_of(family: Family, number: u16) -> Cidr {
    let length = if family == Family::V4 { 16 } else { 64 };
    format!("{}/{length}", host(family, number)).parse().unwrap()
}
