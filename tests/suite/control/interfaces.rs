//! Several interfaces: which of them a packet takes, and what happens when this changes during traffic.

use std::net::{IpAddr, SocketAddr};

use xila_network_host::address::{Family, Route};
use xila_network_host::interface::State;
use xila_network_host::socket::{
    IcmpBinding, IcmpMessage, IcmpSocket, ListenOptions, TcpListener, TcpStream, UdpSocket,
};
use xila_network_host::{BindError, MembershipError, SendError, WriteError};

use super::*;

/// A host with two interfaces, each in a network with one other host.
struct Crossing {
    simulation: Simulation,
    manager: Manager,
    hubs: [Hub; 2],
    peers: [Manager; 2],
}

fn config(addresses: &[&str]) -> InterfaceConfig {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    InterfaceConfig { addresses, ..InterfaceConfig::default() }
}

impl Crossing {
    fn new() -> Self {
        let simulation = Simulation::new(1);
        let platform = simulation.platform();
        let hubs = [0, 1].map(|_| Hub::new(&platform, HubOptions::default()));
        let manager = Manager::new(platform.clone());
        let peers = [0, 1].map(|number| {
            let eth = config(&[&format!("10.{number}.0.1/16"), &format!("fd00:{number}::1/64")]);
            manager.mount_interface(&format!("eth{number}"), hubs[number].port(), eth).unwrap();
            let peer = Manager::new(platform.clone());
            let eth = config(&[&format!("10.{number}.0.2/16"), &format!("fd00:{number}::2/64"), "198.51.100.7/32"]);
            let eth = peer.mount_interface("eth0", hubs[number].port(), eth).unwrap();
            eth.add_route(Route::default_via(ip(&format!("10.{number}.0.1"))).unwrap()).unwrap();
            peer
        });
        Self { simulation, manager, hubs, peers }
    }

    fn interface(&self, number: usize) -> Interface {
        self.manager.interface(&format!("eth{number}")).unwrap()
    }

    /// Sends a datagram to `remote`; returns the source address with which it reached each of the two other hosts, if
    /// it did.
    fn reaches(&self, remote: &str) -> [Option<IpAddr>; 2] {
        let remote: SocketAddr = remote.parse().unwrap();
        let any = SocketAddr::new(if remote.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() }, 0);
        let receivers = self
            .peers
            .each_ref()
            .map(|peer| UdpSocket::bind(&peer.network(), SocketAddr::new(any.ip(), remote.port())));
        let socket = UdpSocket::bind(&self.manager.network(), any).unwrap();
        match self.simulation.block_on(socket.send_to(b"x", remote)) {
            Ok(_) => {}
            Err(error) => assert!(matches!(error, SendError::RemoteUnreachable | SendError::NetworkDown), "{error}"),
        }
        self.simulation.run_ready();
        receivers.map(|receiver| receiver.unwrap().try_recv_datagram().ok().map(|datagram| datagram.remote.ip()))
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn via(gateway: &str) -> Route {
    Route::default_via(ip(gateway)).unwrap()
}

#[test]
fn the_lowest_metric_decides_between_equal_prefixes_over_all_interfaces() {
    let crossing = Crossing::new();
    let far = "198.51.100.7:9";
    let (first, second) = (Some(ip("10.0.0.1")), Some(ip("10.1.0.1")));
    assert_eq!(crossing.reaches(far), [None, None]);
    crossing.interface(0).add_route(via("10.0.0.2").with_metric(100)).unwrap();
    assert_eq!(crossing.reaches(far), [first, None]);
    crossing.interface(1).add_route(via("10.1.0.2").with_metric(50)).unwrap();
    assert_eq!(crossing.reaches(far), [None, second], "the lower metric");
    // A longer prefix takes precedence over any metric.
    let longer = Route::new("198.51.100.0/24".parse().unwrap(), ip("10.0.0.2")).unwrap().with_metric(1000);
    crossing.interface(0).add_route(longer).unwrap();
    assert_eq!(crossing.reaches(far), [first, None], "the longer prefix");
    crossing.interface(0).remove_route(longer).unwrap();
    crossing.interface(1).set_state(State::Down);
    assert_eq!(crossing.reaches(far), [first, None], "the one that is up");
    crossing.interface(1).set_state(State::Up);
    assert_eq!(crossing.reaches(far), [None, second]);
    // Of two routes of one interface, the engine must also choose the better one.
    crossing.interface(1).add_route(via("10.1.0.9").with_metric(60)).unwrap();
    assert_eq!(crossing.reaches(far), [None, second]);
    crossing.interface(1).remove_route(via("10.1.0.2").with_metric(50)).unwrap();
    assert_eq!(crossing.reaches(far), [None, None], "nobody is at 10.1.0.9");
}

/// RFC 6724: the source address has the right scope, belongs to the interface that leads to the destination, and is not
/// deprecated.
#[test]
fn the_source_address_suits_the_destination() {
    let crossing = Crossing::new();
    let eth0 = crossing.interface(0);
    for address in ["fe80::1/64", "10.0.128.1/16", "192.0.2.1/24", "fd00:7::1/64"] {
        eth0.add_address(address.parse().unwrap()).unwrap();
    }
    crossing.peers[0].interface("eth0").unwrap().add_address("fe80::2/64".parse().unwrap()).unwrap();
    crossing.peers[0].interface("eth0").unwrap().add_address("192.0.2.2/24".parse().unwrap()).unwrap();
    for (remote, source) in [
        ("[fe80::2]:9", "fe80::1"),
        ("[fd00:0::2]:9", "fd00:0::1"),
        ("192.0.2.2:9", "192.0.2.1"),
        ("10.0.0.2:9", "10.0.0.1"),
    ] {
        assert_eq!(crossing.reaches(remote), [Some(ip(source)), None], "{remote}");
    }
    // For a destination behind a router, it is the address in the router's network, even if another address has a
    // longer common prefix with the destination.
    crossing.peers[0].interface("eth0").unwrap().add_address("192.0.3.9/32".parse().unwrap()).unwrap();
    eth0.add_route(via("10.0.0.2")).unwrap();
    assert_eq!(crossing.reaches("192.0.3.9:9"), [Some(ip("10.0.0.1")), None]);
}

#[test]
fn group_memberships_survive_a_change_of_the_mtu() {
    let crossing = Crossing::new();
    let group = "239.1.2.3".parse().unwrap();
    let network = crossing.manager.network();
    let socket = UdpSocket::bind(&network, ([0, 0, 0, 0], 5000).into()).unwrap();
    socket.join_multicast(group, Some("eth0")).unwrap();
    crossing.interface(0).set_mtu(1400).unwrap();
    let sender = UdpSocket::bind(&crossing.peers[0].network(), ([10, 0, 0, 2], 0).into()).unwrap();
    crossing.simulation.block_on(sender.send_to(b"x", SocketAddr::new(group, 5000))).unwrap();
    crossing.simulation.run_ready();
    assert_eq!(socket.try_recv_datagram().map(|datagram| datagram.data), Ok(b"x".to_vec()));
}

#[test]
fn a_wildcard_socket_serves_interfaces_that_come_later_and_forgets_those_that_go() {
    let crossing = Crossing::new();
    let network = crossing.manager.network();
    let listener = TcpListener::bind(&network, ([0, 0, 0, 0], 80).into(), ListenOptions::default()).unwrap();
    let socket = UdpSocket::bind(&network, ([0, 0, 0, 0], 53).into()).unwrap();
    let echo = IcmpSocket::bind(&network, Family::V4, IcmpBinding::Echo(0)).unwrap();
    let hub = Hub::new(&crossing.simulation.platform(), HubOptions::default());
    let peer = Manager::new(crossing.simulation.platform());
    peer.mount_interface("eth0", hub.port(), config(&["10.9.0.2/16"])).unwrap();
    for round in 0..3 {
        // The hardware address stays the same, because the peer has it in its neighbour table.
        let hardware_address = Some("02:00:00:00:00:09".parse().unwrap());
        let eth9 = InterfaceConfig { hardware_address, ..config(&["10.9.0.1/16"]) };
        crossing.manager.mount_interface("eth9", hub.port(), eth9).unwrap();
        crossing.simulation.block_on(async {
            let outside = peer.network();
            let connecting = TcpStream::connect(&outside, "10.9.0.1:80".parse().unwrap());
            let (client, accepted) = futures_util::future::join(connecting, listener.accept()).await;
            let (client, (_, from)) = (client.unwrap(), accepted.unwrap());
            assert_eq!(from, client.local_addr());
            let other = UdpSocket::bind(&outside, ([0, 0, 0, 0], 0).into()).unwrap();
            other.send_to(&[round], "10.9.0.1:53".parse().unwrap()).await.unwrap();
            assert_eq!(socket.recv_datagram().await.unwrap().data, [round]);
            echo.send_to(ip("10.9.0.2"), round.into(), &[]).await.unwrap();
            assert!(
                matches!(echo.recv().await, Ok(IcmpMessage::EchoReply(reply)) if reply.sequence == u16::from(round))
            );
        });
        // The port is in use on the new interface too.
        let again = UdpSocket::bind(&network, ([10, 9, 0, 1], 53).into());
        assert_eq!(again.unwrap_err(), BindError::AddressInUse);
        crossing.manager.unmount_interface("eth9").unwrap();
        let join = socket.join_multicast("239.1.2.3".parse().unwrap(), Some("eth9"));
        assert_eq!(join, Err(MembershipError::NotFound), "it is forgotten");
    }
    drop((listener, socket, echo));
    let eth9 = crossing.manager.mount_interface("eth9", hub.port(), config(&["10.9.0.1/16"])).unwrap();
    let left = eth9.statistics();
    assert_eq!(
        (left.tcp_listeners, left.udp_sockets, left.icmp_sockets),
        (0, 0, 0),
        "a socket that is gone serves nobody"
    );
}

#[test]
fn a_socket_of_one_interface_does_not_serve_another_that_comes_later() {
    let crossing = Crossing::new();
    let network = crossing.interface(0).network();
    let _socket = UdpSocket::bind(&network, ([0, 0, 0, 0], 53).into()).unwrap();
    let eth9 = crossing.manager.mount_interface("eth9", crossing.hubs[1].port(), config(&[])).unwrap();
    assert_eq!(eth9.statistics().udp_sockets, 0);
}

/// Addresses and routes are added and removed while a transfer uses others: the transfer is not affected.
#[test]
fn changes_of_other_addresses_and_routes_do_not_affect_a_connection() {
    let crossing = Crossing::new();
    let peer = &crossing.peers[0];
    let listener = TcpListener::bind(&peer.network(), ([10, 0, 0, 2], 80).into(), ListenOptions::default()).unwrap();
    crossing.simulation.block_on(async {
        let network = crossing.manager.network();
        let connecting = TcpStream::connect(&network, "10.0.0.2:80".parse().unwrap());
        let (client, accepted) = futures_util::future::join(connecting, listener.accept()).await;
        let (client, (server, _)) = (client.unwrap(), accepted.unwrap());
        let eth0 = crossing.interface(0);
        let mut buffer = vec![0; 1000];
        for round in 0..300u32 {
            let cidr = format!("10.0.77.{}/24", round % 5 + 1).parse().unwrap();
            let route = via("10.0.0.2").with_metric(round % 7);
            eth0.add_address(cidr).unwrap();
            eth0.add_route(route).unwrap();
            eth0.set_mtu(1280 + round % 200).unwrap();
            let bytes = vec![round as u8; 1000];
            let mut sent = 0;
            while sent < bytes.len() {
                sent += client.write(&bytes[sent..]).await.unwrap();
            }
            let mut received = 0;
            while received < bytes.len() {
                let count = server.read(&mut buffer[received..]).await.unwrap();
                assert_ne!(count, 0);
                received += count;
            }
            assert_eq!(buffer, bytes);
            eth0.remove_route(route).unwrap();
            eth0.remove_address(cidr).unwrap();
        }
        assert_eq!(eth0.statistics().tcp_retransmits, 0, "nothing was lost by it");
        // If the connection's own address is removed, the connection fails.
        eth0.remove_address("10.0.0.1/16".parse().unwrap()).unwrap();
        assert_eq!(client.write(b"x").await, Err(WriteError::AddressNotAvailable));
    });
}
