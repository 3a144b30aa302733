//! ICMP errors and echo replies reach only the guest whose packet they are about.

use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};

use xila_network_host::BindError;
use xila_network_host::address::Family;
use xila_network_host::socket::icmp::{IcmpErrorKind, IcmpReport};
use xila_network_host::socket::{
    ConnectOptions, IcmpBinding, IcmpMessage, IcmpSocket, ListenOptions, Network, TcpListener, TcpStream, UdpSocket,
};

use super::world::{DEAD, FAMILIES, GUEST, PEER, SECOND, World, any, at, host, network_of};

fn watch(network: &Network, family: Family, binding: IcmpBinding) -> IcmpSocket {
    IcmpSocket::bind(network, family, binding).unwrap()
}

/// The messages that a socket has received.
fn messages(socket: &IcmpSocket) -> Vec<IcmpMessage> {
    let mut context = Context::from_waker(Waker::noop());
    core::iter::from_fn(|| match socket.poll_recv(&mut context) {
        Poll::Ready(message) => Some(message.unwrap()),
        Poll::Pending => None,
    })
    .collect()
}

fn reports(socket: &IcmpSocket) -> Vec<IcmpReport> {
    let report = |message| match message {
        IcmpMessage::Error(report) => report,
        IcmpMessage::EchoReply(reply) => panic!("{reply:?}"),
    };
    messages(socket).into_iter().map(report).collect()
}

/// The destinations of the packets that a socket has received errors about.
fn destinations(socket: &IcmpSocket) -> Vec<SocketAddr> {
    reports(socket).into_iter().map(|report| report.destination).collect()
}

#[test]
fn a_watch_receives_errors_about_datagrams_of_its_own_guest_only() {
    for family in FAMILIES {
        let world = World::new();
        let (one, other) = (world.guest(), world.guest());
        // The watch of the stranger is older than the port's owner, and that of a third guest is younger.
        let stranger = watch(&one, family, IcmpBinding::UdpPort(5000));
        let socket = UdpSocket::bind(&other, any(family, 5000)).unwrap();
        let own = watch(&other, family, IcmpBinding::UdpPort(5000));
        let third = watch(&world.guest(), family, IcmpBinding::UdpPort(5000));
        let host_own = watch(&world.host.network(), family, IcmpBinding::UdpPort(5000));
        world.within(socket.send_to(b"private", at(family, PEER, 9))).unwrap();
        world.within(socket.send_to(b"private", at(family, DEAD, 9))).unwrap();
        world.simulation.advance(10 * SECOND);
        assert_eq!(destinations(&own), [at(family, PEER, 9), at(family, DEAD, 9)]);
        for watch in [&stranger, &third, &host_own] {
            assert_eq!(messages(watch), [], "{family:?}");
        }
    }
}

#[test]
fn an_error_about_an_earlier_owner_of_the_port_is_delivered_to_nobody() {
    for family in FAMILIES {
        let world = World::new();
        let (early, late) = (world.guest(), world.guest());
        let [watch_early, watch_late] = [&early, &late].map(|guest| watch(guest, family, IcmpBinding::UdpPort(5000)));
        let socket = UdpSocket::bind(&early, any(family, 5000)).unwrap();
        world.within(socket.send_to(b"private", at(family, DEAD, 9))).unwrap();
        drop(socket);
        let socket = UdpSocket::bind(&late, any(family, 5000)).unwrap();
        // It is known only now that the host does not answer.
        world.simulation.advance(10 * SECOND);
        assert_eq!(messages(&watch_early), []);
        assert_eq!(messages(&watch_late), [], "it has sent nothing there");
        world.within(socket.send_to(b"its own", at(family, DEAD + 1, 9))).unwrap();
        world.simulation.advance(10 * SECOND);
        assert_eq!(destinations(&watch_late), [at(family, DEAD + 1, 9)]);

        world.within(socket.send_to(b"its own", at(family, DEAD, 9))).unwrap();
        drop(socket);
        world.simulation.advance(10 * SECOND);
        assert_eq!(messages(&watch_late), [], "nobody has the port");
    }
}

#[test]
fn guests_with_one_port_at_two_addresses_receive_each_its_own_errors() {
    for family in FAMILIES {
        let world = World::new();
        world.interface().add_address(network_of(family, 4)).unwrap();
        let guests = [GUEST, 4].map(|number| {
            let network = world.guest();
            let socket = UdpSocket::bind(&network, at(family, number, 5000)).unwrap();
            (socket, watch(&network, family, IcmpBinding::UdpPort(5000)), at(family, DEAD + number, 9))
        });
        for (socket, _, to) in &guests {
            world.within(socket.send_to(b"private", *to)).unwrap();
        }
        world.simulation.advance(10 * SECOND);
        for (_, watch, to) in &guests {
            assert_eq!(destinations(watch), [*to]);
        }
    }
}

/// An IPv4 packet with an ICMP error of a router about the first bytes of a TCP segment of the guests' host.
fn unreachable(from: u16, to: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(to) = to else { panic!("{to}") };
    let mut quoted = header([10, 0, 0, 1], to.ip().octets(), 6, 20);
    quoted.extend(from.to_be_bytes());
    quoted.extend(to.port().to_be_bytes());
    quoted.extend([0; 4]);
    let mut message = vec![3, 1, 0, 0, 0, 0, 0, 0];
    message.extend(quoted);
    let sum = checksum(&message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    let mut packet = header([10, 0, 0, 9], [10, 0, 0, 1], 1, message.len());
    packet.extend(message);
    packet
}

pub(crate) fn header(from: [u8; 4], to: [u8; 4], protocol: u8, length: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(20 + length).unwrap().to_be_bytes();
    let mut header = vec![0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0];
    header.extend(from);
    header.extend(to);
    let sum = checksum(&header).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    header
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap()
}

#[test]
fn a_watch_receives_errors_about_segments_of_its_own_guest_only() {
    let world = World::new();
    let family = Family::V4;
    let (client, server, stranger) = (world.guest(), world.guest(), world.guest());
    let _peer = TcpListener::bind(&world.peer.network(), any(family, 80), ListenOptions::default()).unwrap();
    let options = ConnectOptions { local: Some(at(family, GUEST, 4000)), ..ConnectOptions::default() };
    let _connected = world.within(TcpStream::connect_with(&client, at(family, PEER, 80), options)).unwrap();
    let listener = TcpListener::bind(&server, any(family, 4001), ListenOptions::default()).unwrap();
    let options = ConnectOptions { local: Some(at(family, PEER, 6000)), ..ConnectOptions::default() };
    let peer = world.peer.network();
    let _connecting = world.within(TcpStream::connect_with(&peer, at(family, GUEST, 4001), options)).unwrap();

    let watches = [&client, &server, &stranger]
        .map(|guest| [4000, 4001].map(|port| watch(guest, family, IcmpBinding::TcpPort(port))));
    let mut station = world.station();
    let heard = |watches: &[[IcmpSocket; 2]; 3]| watches.each_ref().map(|both| both.each_ref().map(destinations));
    let none = Vec::new;
    let error = |station: &mut super::world::Station, from, to| {
        station.send(&unreachable(from, to));
        world.simulation.advance(SECOND);
    };
    error(&mut station, 4000, at(family, PEER, 80));
    assert_eq!(heard(&watches), [[vec![at(family, PEER, 80)], none()], [none(), none()], [none(), none()]]);
    // A connection that waits to be accepted is its listener's, and then that of who has accepted it.
    for _ in 0..2 {
        error(&mut station, 4001, at(family, PEER, 6000));
        assert_eq!(heard(&watches), [[none(), none()], [none(), vec![at(family, PEER, 6000)]], [none(), none()]]);
        drop(listener.try_accept());
    }
    error(&mut station, 4000, at(family, PEER, 81));
    error(&mut station, 4001, at(family, PEER, 81));
    assert_eq!(heard(&watches), [[none(), none()], [none(), none()], [none(), none()]], "no connection has these ends");
}

#[test]
fn a_watch_neither_takes_the_port_nor_is_refused_because_of_other_guests() {
    for family in FAMILIES {
        let world = World::new();
        let guests = [world.guest(), world.guest()];
        for binding in [IcmpBinding::UdpPort(5000), IcmpBinding::TcpPort(5000)] {
            let _watches = guests.each_ref().map(|guest| watch(guest, family, binding));
            let again = IcmpSocket::bind(&guests[0], family, binding).map(drop);
            assert_eq!(again, Err(BindError::AddressInUse), "one of each guest");
        }
        let _watches = guests.each_ref().map(|guest| watch(guest, family, IcmpBinding::UdpPort(5000)));
        assert!(UdpSocket::bind(&world.guest(), any(family, 5000)).is_ok());
    }
}

#[test]
fn replies_and_errors_of_an_identifier_reach_only_its_socket() {
    for family in FAMILIES {
        let world = World::new();
        let (one, other) = (world.guest(), world.guest());
        let asking = watch(&one, family, IcmpBinding::Echo(7));
        let neighbour = watch(&other, family, IcmpBinding::Echo(8));
        for guest in [&one, &other] {
            let taken = IcmpSocket::bind(guest, family, IcmpBinding::Echo(7)).map(drop);
            assert_eq!(taken, Err(BindError::AddressInUse));
        }
        world.within(asking.send_to(host(family, PEER), 1, b"private")).unwrap();
        world.within(asking.send_to(host(family, DEAD), 2, b"private")).unwrap();
        world.simulation.advance(10 * SECOND);
        let received = messages(&asking);
        assert!(matches!(&received[0], IcmpMessage::EchoReply(reply) if reply.sequence == 1), "{received:?}");
        assert!(matches!(&received[1], IcmpMessage::Error(report)
            if report.sequence == Some(2) && report.kind == IcmpErrorKind::Unreachable));
        assert_eq!((received.len(), messages(&neighbour)), (2, vec![]));
    }
}

#[test]
fn a_guest_with_very_many_identifiers_leaves_some_to_others() {
    let world = World::new();
    let greedy = world.guest();
    let mut held = Vec::new();
    let refused = loop {
        match IcmpSocket::bind(&greedy, Family::V4, IcmpBinding::Echo(0)) {
            Ok(socket) => held.push(socket),
            Err(error) => break error,
        }
    };
    assert_eq!((held.len(), refused), (8192, BindError::LimitReached));
    let other = world.guest();
    let some: Vec<_> = (0..1000).map(|_| watch(&other, Family::V4, IcmpBinding::Echo(0))).collect();
    drop((held, some));
    assert!(IcmpSocket::bind(&greedy, Family::V4, IcmpBinding::Echo(0)).is_ok());
}
