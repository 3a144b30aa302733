//! Limits of the client: bad servers and links cannot make it send too much or fail.

use smoltcp::wire::{DhcpMessageType, EthernetAddress};
use xila_network_host::device::loopback::Loopback;
use xila_network_host::device::{Device, hub::HubOptions};
use xila_network_host::interface::{Change, DhcpState};
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::{ConfigureError, InterfaceConfig, Manager, MountError};

use super::World;
use super::server::{Answer, Terms};
use super::world::cidr;

#[test]
fn a_silent_link_is_asked_ever_less_often() {
    let world = World::with(InterfaceConfig::default());
    world.serve(|server| server.answer = Answer::Nothing);
    world.interface.set_dhcp(true).unwrap();
    world.advance(600);
    let times: Vec<u128> = world.server.heard().iter().map(|heard| heard.at.since_origin().as_millis()).collect();
    let waits: Vec<u128> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // RFC 2131 section 4.1: each interval is twice the previous one, randomised by up to one second.
    let expected = [4000, 8000, 16_000, 32_000].into_iter().chain(std::iter::repeat_n(64_000, 8));
    assert_eq!((times[0] / 1000, waits.len()), (0, 12));
    for (wait, expected) in waits.iter().zip(expected.clone()) {
        assert!((expected - 1000..=expected + 1000).contains(wait), "{waits:?}");
    }
    assert!(!waits.into_iter().eq(expected), "clients that began together do not stay so");
}

#[test]
fn a_server_that_refuses_what_it_offers_does_not_set_the_pace() {
    let world = World::with(InterfaceConfig::default());
    world.serve(|server| server.answer = Answer::Refuse);
    world.interface.set_dhcp(true).unwrap();
    world.advance(400);
    let heard = world.server.heard().len();
    assert!((20..=8 + 100).contains(&heard), "{heard} messages");
}

#[test]
fn a_server_that_lends_for_moments_does_not_set_the_pace() {
    let world = World::with(InterfaceConfig::default());
    world.serve(|server| server.terms.times = [Some(2), Some(0), Some(1)]);
    world.interface.set_dhcp(true).unwrap();
    world.advance(400);
    let heard = world.server.heard().len();
    assert!((20..=8 + 100).contains(&heard), "{heard} messages");
}

#[test]
fn a_second_copy_of_an_answer_is_no_renewal() {
    let world = World::with(InterfaceConfig::default());
    world.serve(|server| server.copies = 3);
    world.interface.set_dhcp(true).unwrap();
    world.advance(1);
    let bound = world.changes().iter().filter(|change| **change == Change::Dhcp(DhcpState::Bound)).count();
    assert_eq!(bound, 1);
}

#[test]
fn who_was_not_asked_is_not_heard() {
    let world = World::bound();
    let hardware = EthernetAddress(world.interface.hardware_address().unwrap().octets());
    for kind in [DhcpMessageType::Nak, DhcpMessageType::Ack, DhcpMessageType::Offer] {
        for transaction in [0, 1, 2, u32::MAX] {
            let terms = Terms { address: [10, 9, 0, 66].into(), ..Terms::default() };
            let payload = terms.message(kind, transaction, hardware);
            let to = ([10, 9, 0, 50].into(), 68);
            world.server.send(&super::server::datagram(hardware, (terms.server, 67), to, &payload));
            world.advance(1);
        }
    }
    assert_eq!((world.changes(), world.state()), (vec![], DhcpState::Bound));
}

#[test]
fn a_lease_for_which_there_is_no_room_is_refused() {
    let addresses = (1..=64).map(|host| cidr(&format!("10.8.0.{host}/24"))).collect();
    let world = World::with(InterfaceConfig { addresses, dhcp: true, ..World::ipv4() });
    world.advance(1);
    assert_eq!((world.state(), world.interface.dhcp().refused), (DhcpState::Searching, 1));
    assert_eq!(world.changes(), [Change::Mounted], "nobody hears of what is not used");
    world.assert_nothing_lent();
    world.interface.remove_address(cidr("10.8.0.1/24")).unwrap();
    world.advance(10);
    assert_eq!(world.state(), DhcpState::Bound);
}

#[test]
fn a_device_without_ethernet_has_neither() {
    let simulation = Simulation::new(1);
    let manager = Manager::without_loopback(simulation.platform());
    let dhcp = InterfaceConfig { dhcp: true, ..InterfaceConfig::default() };
    let autoconfiguration = InterfaceConfig { autoconfiguration: true, ..InterfaceConfig::default() };
    for config in [dhcp, autoconfiguration] {
        assert_eq!(
            manager.mount_interface("ip0", Loopback::new(), config).unwrap_err(),
            MountError::Configure(ConfigureError::NotSupported)
        );
    }
    let interface = manager.mount_interface("ip0", Loopback::new(), InterfaceConfig::default()).unwrap();
    assert_eq!(interface.set_dhcp(true), Err(ConfigureError::NotSupported));
    assert_eq!(interface.set_dhcp(false), Ok(()));
    assert_eq!(interface.set_autoconfiguration(true), Err(ConfigureError::NotSupported));
    assert_eq!(interface.set_autoconfiguration(false), Ok(()));
    assert_eq!(interface.dhcp().state, DhcpState::Off);
    simulation.run_ready();
}

#[test]
fn a_full_device_is_waited_for() {
    // The device queues one frame only, and the rate of the link is low.
    let simulation = Simulation::new(1);
    let options = HubOptions { queue: 1, rate: Some(100_000), ..HubOptions::default() };
    let hub = xila_network_host::device::hub::Hub::new(&simulation.platform(), options);
    let server = super::server::Server::new(&simulation, &hub);
    let manager = Manager::new(simulation.platform());
    let mut port = hub.port();
    // The queue is already full when the client starts.
    let frame = port.allocate(simulation.now(), 1500).unwrap();
    port.transmit(simulation.now(), frame).unwrap();
    let config = InterfaceConfig { dhcp: true, autoconfiguration: true, ..InterfaceConfig::default() };
    let interface = manager.mount_interface("eth0", port, config).unwrap();
    assert_eq!(server.heard(), []);
    simulation.advance(std::time::Duration::from_secs(5));
    assert_eq!(interface.dhcp().state, DhcpState::Bound);
}
