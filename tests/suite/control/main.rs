//! The control plane: every command typed and by bytes, the rights that it needs, its effects, and the events.

mod access;
mod commands;
mod drivers;
mod events;
mod fuzz;
mod interfaces;
mod lifetimes;
mod neighbours;

use xila_network_commands::command::{decode, encode};
use xila_network_commands::interface::{AddressInfo, RouteInfo, Statistics};
use xila_network_commands::{Command, commands as standard};
use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::platform::{Access, DeviceFile};
use xila_network_host::{Interface, InterfaceConfig, Manager, Result};

/// A host with `lo` and `eth0`, which is the only host on its segment.
struct World {
    simulation: Simulation,
    manager: Manager,
    hub: Hub,
}

impl World {
    fn new() -> Self {
        let simulation = Simulation::new(1);
        let manager = Manager::new(simulation.platform());
        let hub = Hub::new(&simulation.platform(), HubOptions::default());
        let config = InterfaceConfig {
            addresses: vec!["10.0.0.1/24".parse().unwrap(), "fd00::1/64".parse().unwrap()],
            hardware_address: Some("02:00:00:00:00:01".parse().unwrap()),
            link_local: false,
            ..InterfaceConfig::default()
        };
        manager.mount_interface("eth0", hub.port(), config).unwrap();
        simulation.run_ready();
        Self { simulation, manager, hub }
    }

    fn interface(&self) -> Interface {
        self.manager.interface("eth0").unwrap()
    }

    fn open(&self, name: &str, access: Access) -> File {
        File(self.manager.devices().open(&format!("/devices/network/{name}"), access).unwrap())
    }

    fn file(&self) -> File {
        self.open("eth0", Access::READ_WRITE)
    }
}

/// An open device file, on which commands are executed.
#[derive(Debug)]
struct File(DeviceFile);

impl File {
    fn control<C: Command>(&self, input: &C::Input) -> Result<C::Output> {
        let mut output = Vec::new();
        self.0.control(C::ID.to_raw(), &encode(input), &mut output)?;
        Ok(decode(&output).expect("the answer is one of the command"))
    }
}

/// The results of all queries of an interface.
#[derive(Debug, PartialEq)]
struct Snapshot {
    addresses: Vec<AddressInfo>,
    routes: Vec<RouteInfo>,
    statistics: Statistics,
    rest: Vec<Vec<u8>>,
}

fn snapshot(interface: &Interface) -> Snapshot {
    Snapshot {
        addresses: interface.address_list(),
        routes: interface.route_list(),
        statistics: interface.statistics(),
        rest: vec![
            encode(&interface.kind()),
            encode(&interface.state()),
            encode(&interface.link()),
            encode(&interface.hardware_address()),
            encode(&interface.mtu()),
            encode(&interface.maximum_burst_size()),
            encode(&interface.echo_reply()),
            encode(&interface.dns_servers()),
            encode(&interface.dhcp()),
            encode(&interface.autoconfiguration()),
            encode(&interface.autoconfiguration_status()),
            encode(&interface.search_domains()),
            encode(&interface.neighbours()),
        ],
    }
}

/// The number of commands that every interface supports.
const COMMANDS: usize = standard::ALL.len();
