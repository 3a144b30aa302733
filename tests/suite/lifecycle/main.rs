//! Interfaces: mounting, configuration, selection for sockets, and unmounting.

mod addresses;
mod capture;
mod devices;
mod idle;
mod mixed;
mod mounting;
mod names;
mod selection;
mod state;

use std::net::SocketAddr;

use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::{Network, UdpSocket};
use xila_network_host::{InterfaceConfig, Manager};

fn simulation() -> (Simulation, Manager) {
    let simulation = Simulation::new(1);
    let manager = Manager::new(simulation.platform());
    (simulation, manager)
}

fn hub(simulation: &Simulation) -> Hub {
    Hub::new(&simulation.platform(), HubOptions::default())
}

fn config(addresses: &[&str]) -> InterfaceConfig {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    InterfaceConfig { addresses, link_local: false, ..InterfaceConfig::default() }
}

fn bind(network: &Network, local: &str) -> UdpSocket {
    UdpSocket::bind(network, at(local)).unwrap()
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}
