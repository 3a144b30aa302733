//! The list of neighbours, and the defence of addresses.

use std::time::Duration;

use xila_network_commands::commands::ListNeighbours;
use xila_network_host::device::Device;
use xila_network_host::interface::{Change, Notice};
use xila_network_host::socket::UdpSocket;

use super::*;

#[test]
fn known_neighbours_are_listed_with_their_age() {
    let world = World::new();
    let other = Manager::new(world.simulation.platform());
    let config = InterfaceConfig {
        addresses: vec!["10.0.0.2/24".parse().unwrap(), "fd00::2/64".parse().unwrap()],
        hardware_address: Some("02:00:00:00:00:02".parse().unwrap()),
        link_local: false,
        ..InterfaceConfig::default()
    };
    other.mount_interface("eth0", world.hub.port(), config).unwrap();
    for (local, remote) in [("0.0.0.0:0", "10.0.0.2:9"), ("[::]:0", "[fd00::2]:9")] {
        let socket = UdpSocket::bind(&world.manager.network(), local.parse().unwrap()).unwrap();
        world.simulation.block_on(socket.send_to(b"x", remote.parse().unwrap())).unwrap();
        world.simulation.run_ready();
    }
    world.simulation.advance(Duration::from_secs(3));
    let known = world.file().control::<ListNeighbours>(&()).unwrap();
    let shown: Vec<String> = known.iter().map(|one| format!("{} {}", one.address, one.hardware_address)).collect();
    assert_eq!(shown, ["10.0.0.2 02:00:00:00:00:02", "fd00::2 02:00:00:00:00:02"]);
    assert!(known.iter().all(|one| one.age == Duration::from_secs(3)), "{known:?}");
    assert_eq!(known, world.interface().neighbours());
    // The other host has learnt the address of the host that solicited it.
    assert!(!other.interface("eth0").unwrap().neighbours().is_empty());
}

/// Two stacks generate the same link-local address: the first defends it, and the second generates another one (RFC
/// 4862 section 5.4, RFC 7217 section 6).
#[test]
fn an_own_address_is_defended_against_duplicate_address_detection() {
    let world = World::new();
    let other = Manager::new(world.simulation.platform());
    let link_local = || {
        let hardware_address = Some("02:00:00:00:00:02".parse().unwrap());
        let config = InterfaceConfig { hardware_address, ..InterfaceConfig::default() };
        let eth0 = other.mount_interface("eth0", world.hub.port(), config).unwrap();
        let mut watch = eth0.watch();
        world.simulation.advance(Duration::from_secs(5));
        let [own] = eth0.addresses()[..] else { panic!("one address: {:?}", eth0.addresses()) };
        let told: Vec<Change> = std::iter::from_fn(|| watch.try_next())
            .filter_map(|notice| match notice {
                Notice::Changed(event) => Some(event.change),
                Notice::Lost(_) => None,
            })
            .filter(|change| matches!(change, Change::AddressConflict { .. }))
            .collect();
        other.unmount_interface("eth0").unwrap();
        (own, told)
    };
    let (first, conflicts) = link_local();
    assert_eq!(conflicts, []);
    assert_eq!(link_local(), (first, vec![]), "the same for the same hardware");
    world.interface().add_address(first).unwrap();
    let (second, conflicts) = link_local();
    assert_ne!(first, second);
    let by = world.interface().hardware_address().unwrap();
    assert_eq!(conflicts, [Change::AddressConflict { address: first.address(), by }]);
}

/// RFC 5227: a host that checks an IPv4 address before using it sends ARP requests with the sender address 0.0.0.0.
#[test]
fn an_arp_probe_for_an_own_address_is_answered_and_for_another_is_not() {
    let world = World::new();
    let mut port = world.hub.port();
    let prober = [2, 0, 0, 0, 0, 0x77];
    let mut probe = |target: [u8; 4]| {
        let now = world.simulation.now();
        let request = [&[0xff; 6][..], &prober, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &prober, &[0; 4], &[0; 6], &target];
        let request = request.concat();
        let mut frame = port.allocate(now, request.len()).unwrap();
        frame.copy_from_slice(&request);
        port.transmit(now, frame).unwrap();
        world.simulation.run_ready();
        // The other frames are the stack's own solicitations.
        let frames = std::iter::from_fn(|| port.receive(now).unwrap());
        frames.filter(|frame| frame[..6] == prober).map(|frame| frame.to_vec()).collect::<Vec<_>>()
    };
    let own = [2, 0, 0, 0, 0, 1];
    let reply = [&prober[..], &own, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &own, &[10, 0, 0, 1], &prober, &[0; 4]].concat();
    let answers = probe([10, 0, 0, 1]);
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0][..reply.len()], reply);
    assert_eq!(probe([10, 0, 0, 2]), Vec::<Vec<u8>>::new());
    assert_eq!(world.interface().neighbours(), [], "who only asks is no neighbour yet");
}
