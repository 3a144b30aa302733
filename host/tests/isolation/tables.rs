//! Tables of an interface that one guest fills: others still find room in them.

use core::net::IpAddr;
use core::time::Duration;

use xila_network_host::address::Family;
use xila_network_host::socket::{
    ConnectOptions, Connecting, ListenOptions, Network, TcpListener, TcpSocket, TcpStream, UdpSocket,
};
use xila_network_host::{BindError, ConnectError, InterfaceConfig, Manager, MembershipError};

use super::world::{FAMILIES, GUEST, PEER, SECOND, World, any, at};

/// The multicast group with a number.
fn group(family: Family, number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    match family {
        Family::V4 => IpAddr::from([239, 1, high, low]),
        Family::V6 => IpAddr::from([0xff02, 0, 0, 0, 0, 0, 1, number]),
    }
}

/// A socket of a guest that has joined groups until it was refused, and how many.
fn greedy(network: &Network, family: Family, from: u16) -> (UdpSocket, u16) {
    let socket = UdpSocket::bind(network, any(family, 0)).unwrap();
    let refused = (0..2000).find_map(|number| {
        let joined = socket.join_multicast(group(family, from + number), Some("eth0"));
        joined.err().map(|error| (number, error))
    });
    let (count, error) = refused.expect("the groups are bounded");
    assert_eq!(error, MembershipError::NoFreeSlot);
    (socket, count)
}

#[test]
fn guests_that_join_very_many_groups_leave_some_to_others_and_to_the_interface() {
    for family in FAMILIES {
        let world = World::new();
        let greedy: Vec<_> = (0..6).map(|guest| greedy(&world.guest(), family, guest * 2000)).collect();
        assert_eq!(greedy[0].1, 256);
        let other = UdpSocket::bind(&world.guest(), any(family, 5353)).unwrap();
        other.join_multicast(group(family, 60_000), Some("eth0")).unwrap();
        let peer = UdpSocket::bind(&world.peer.network(), any(family, 0)).unwrap();
        world.within(peer.send_to(b"to the group", (group(family, 60_000), 5353).into())).unwrap();
        world.simulation.advance(SECOND);
        assert_eq!(other.try_recv_datagram().unwrap().data, b"to the group");

        // A new address of the interface needs a group of its own, or no neighbour could resolve it.
        world.interface().add_address(super::world::network_of(family, 99)).unwrap();
        world.simulation.advance(5 * SECOND);
        let receiving = UdpSocket::bind(&world.guest(), at(family, 99, 9)).unwrap();
        world.within(peer.send_to(b"to the address", at(family, 99, 9))).unwrap();
        world.simulation.advance(SECOND);
        assert_eq!(receiving.try_recv_datagram().unwrap().data, b"to the address");

        drop(greedy);
        assert_eq!(self::greedy(&world.guest(), family, 0).1, 256, "they are given back");
    }
}

/// Connections of a guest to the peer, started until the guest was refused.
fn connections(network: &Network, family: Family) -> Vec<Connecting> {
    let mut started = Vec::new();
    loop {
        match TcpStream::start(network, at(family, PEER, 80), ConnectOptions::default()) {
            Ok(connecting) => started.push(connecting),
            Err(error) => {
                assert_eq!(error, ConnectError::LimitReached);
                return started;
            }
        }
    }
}

/// Sockets of a guest on ephemeral ports, bound until the guest was refused.
fn bound(network: &Network, family: Family) -> Vec<TcpSocket> {
    let mut bound = Vec::new();
    loop {
        match TcpSocket::bind(network, any(family, 0)) {
            Ok(socket) => bound.push(socket),
            Err(error) => {
                assert_eq!(error, BindError::LimitReached);
                return bound;
            }
        }
    }
}

#[test]
fn guests_that_take_all_tcp_ports_they_get_leave_some_to_others_and_to_the_host() {
    for family in FAMILIES {
        let world = World::new();
        let listener = TcpListener::bind(&world.peer.network(), any(family, 80), ListenOptions::default()).unwrap();
        world.simulation.spawn(async move { while listener.accept().await.is_ok() {} });
        let greedy: Vec<_> = (0..3).map(|_| world.guest()).collect();
        let connecting: Vec<_> = greedy.iter().map(|network| connections(network, family)).collect();
        assert_eq!([0, 1, 2].map(|guest: usize| connecting[guest].len()), [6016, 3008, 1504]);
        let sockets: Vec<_> = greedy.iter().map(|network| bound(network, family)).collect();
        assert_eq!([0, 1, 2].map(|guest: usize| sockets[guest].len()), [2048, 1024, 512]);

        for network in [world.guest(), world.host.network()] {
            let socket = TcpSocket::bind(&network, any(family, 0)).unwrap();
            let stream = world.within(TcpStream::connect(&network, at(family, PEER, 80))).unwrap();
            drop((socket, stream));
        }
        drop((connecting, sockets));
        world.simulation.advance(20 * SECOND);
        let guest = &greedy[2];
        assert_eq!((connections(guest, family).len(), bound(guest, family).len()), (6016, 2048), "they are given back");
    }
}

/// An IPv4 packet with a SYN to the guests' host, from a host that does not exist.
fn syn(number: u16, port: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let (from, to) = ([10, 0, high, low], [10, 0, 0, 1]);
    let mut segment = 1000_u16.to_be_bytes().to_vec();
    segment.extend(port.to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    let mut covered = [from, to].concat();
    covered.extend([0, 6, 0, 20]);
    covered.extend(&segment);
    let sum = super::errors::checksum(&covered).to_be_bytes();
    segment[16..18].copy_from_slice(&sum);
    let mut packet = super::errors::header(from, to, 6, segment.len());
    packet.extend(segment);
    packet
}

/// How long a client takes to connect to a guest's listener, and to get an answer, while the listeners of another guest
/// are flooded or not.
fn serving(is_flooded: bool) -> Duration {
    let world = World::new();
    let (victim, other) = (world.guest(), world.guest());
    let flooded: Vec<_> =
        (0..4).map(|port| TcpListener::bind(&victim, any(Family::V4, 81 + port), ListenOptions::default())).collect();
    let listener = TcpListener::bind(&other, any(Family::V4, 80), ListenOptions::default()).unwrap();
    if is_flooded {
        let mut station = world.station();
        let simulation = world.simulation.clone();
        world.simulation.spawn(async move {
            for round in 0..1000_u16 {
                (0..10).for_each(|step| station.send(&syn(1000 + round * 10 + step, 81 + step % 4)));
                simulation.sleep(Duration::from_millis(1)).await;
            }
        });
        world.simulation.advance(Duration::from_millis(700));
    }
    let peer = world.peer.network();
    let (_streams, took) = world.timed(async {
        let client = TcpStream::connect(&peer, at(Family::V4, GUEST, 80)).await.unwrap();
        let (server, remote) = listener.accept().await.unwrap();
        assert_eq!(remote.ip(), super::world::host(Family::V4, PEER));
        client.write_all(&[7; 5000]).await.unwrap();
        let mut buffer = [0; 5000];
        let mut count = 0;
        while count < buffer.len() {
            count += server.read(&mut buffer[count..]).await.unwrap();
        }
        (client, server)
    });
    assert!(flooded.iter().all(Result::is_ok));
    took
}

#[test]
fn a_flood_of_handshakes_with_one_guest_does_not_delay_those_with_another() {
    assert!(serving(true) <= serving(false), "{:?} {:?}", serving(true), serving(false));
}

#[test]
fn a_small_range_of_ephemeral_ports_is_shared_with_the_guests() {
    let world = World::new();
    let manager = Manager::new(world.simulation.platform());
    let config = InterfaceConfig {
        addresses: FAMILIES.map(|family| super::world::network_of(family, 9)).into(),
        ephemeral_ports: (50_000..=50_099).try_into().unwrap(),
        ..InterfaceConfig::default()
    };
    manager.mount_interface("eth0", Box::new(world.port()), config).unwrap();
    for family in FAMILIES {
        let guests = [(); 2].map(|()| manager.network().for_guest());
        let bound = guests
            .each_ref()
            .map(|network| core::iter::from_fn(|| UdpSocket::bind(network, any(family, 0)).ok()).collect::<Vec<_>>());
        assert!(bound.iter().all(|sockets| sockets.len() > 10), "{:?}", bound.each_ref().map(Vec::len));
        assert!(UdpSocket::bind(&manager.network(), any(family, 0)).is_ok(), "some are left to the host");
    }
}
