//! Tests of a guest's rates with real sockets, on a link in virtual time: what a guest may send and open in a second,
//! that it waits as on a slow link, and that its neighbours do not notice.

use std::net::SocketAddr;
use std::time::Duration;

use xila_network_host::address::Family;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::policy::{Rate, Rates};
use xila_network_host::socket::{
    Budget, ConnectOptions, GuestOptions, ListenOptions, TcpListener, TcpOptions, TcpStream, UdpOptions, UdpSocket,
};
use xila_network_host::{ConnectError, SendError};

use super::world::{DEAD, FAMILIES, GUEST, PEER, SECOND, World, any, at};

const PORT: u16 = 7;

fn peer() -> SocketAddr {
    at(Family::V4, PEER, PORT)
}

#[test]
fn a_network_made_from_a_limited_guest_s_network_is_limited_too() {
    let world = World::new();
    discard(&world);
    let slow = Rate { per_second: 0, burst: 1 };
    let guest = world.limited(Rates { connections: Some(slow), ..Rates::UNLIMITED });
    let packets = Rates { packets: Some(Rate::per_second(1000)), ..Rates::UNLIMITED };
    let inner = guest.for_guest_with(GuestOptions { rates: packets, ..GuestOptions::default() });
    let ((), _) = world.timed(async {
        assert!(TcpStream::connect(&inner, peer()).await.is_ok());
        assert_eq!(TcpStream::connect(&inner, peer()).await.map(drop), Err(ConnectError::LimitReached));
    });
}

/// Runs a peer that accepts connections and discards what they bring.
fn discard(world: &World) {
    let listener = TcpListener::bind(&world.peer.network(), peer(), ListenOptions::default()).unwrap();
    world.simulation.spawn(async move {
        let mut streams = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.shutdown(std::net::Shutdown::Read).unwrap();
            streams.push(stream);
        }
    });
}

#[test]
fn a_connection_sends_no_more_bytes_than_the_rate_allows() {
    let world = World::new();
    discard(&world);
    let rates = Rates { bytes: Some(Rate::per_second(100_000)), ..Rates::UNLIMITED };
    let network = world.limited(rates);
    let ((), elapsed) = world.timed(async {
        let stream = TcpStream::connect(&network, peer()).await.unwrap();
        stream.write_all(&vec![1; 1_000_000]).await.unwrap();
        stream.flush().await.unwrap();
    });
    let sent = network.traffic().sent_bytes;
    assert!((1_000_000..1_060_000).contains(&sent), "{sent} bytes");
    // The burst of a tenth of a second is free, and the last frame may exceed what is left.
    let [least, most] = [70_000, 10_000].map(|free| Duration::from_secs_f64((sent - free) as f64 / 100_000.0));
    assert!(elapsed > least && elapsed < most.mul_f64(1.02), "{elapsed:?} for {sent}");
    assert!(network.traffic().delayed > 10);
    let statistics = world.interface().statistics();
    assert_eq!((statistics.tcp_retransmits, statistics.tcp_timeouts), (0, 0), "waiting for the rate is no loss");
}

#[test]
fn datagrams_wait_for_the_rate_in_order() {
    let world = World::new();
    let receiver = UdpSocket::bind(&world.peer.network(), peer()).unwrap();
    let network = world.limited(Rates { packets: Some(Rate { per_second: 10, burst: 5 }), ..Rates::UNLIMITED });
    let socket = UdpSocket::bind(&network, at(Family::V4, GUEST, 9)).unwrap();
    let (received, elapsed) = world.timed(async {
        let sending = async {
            for number in 0..105_u8 {
                socket.send_to(&[number], peer()).await.unwrap();
            }
        };
        let receiving = async {
            let mut received = Vec::new();
            while received.len() < 105 {
                received.push(receiver.recv_datagram().await.unwrap().data[0]);
            }
            received
        };
        futures_util::future::join(sending, receiving).await.1
    });
    assert_eq!(received, (0..105).collect::<Vec<u8>>());
    assert!((10 * SECOND..10 * SECOND + SECOND / 5).contains(&elapsed), "{elapsed:?}");
    // Some more fit the socket's queue, and then it would have to wait.
    let fit = (0..1000).map_while(|_| socket.try_send_to(&[0; 100], peer()).ok()).count();
    assert!(fit < 100, "{fit}");
    assert_eq!(socket.try_send_to(&[0; 100], peer()), Err(SendError::WouldBlock));
}

/// A row of datagrams that are given together is limited too.
#[test]
fn rows_of_datagrams_are_limited_as_single_ones() {
    let world = World::new();
    let _receiver = UdpSocket::bind(&world.peer.network(), peer()).unwrap();
    let network = world.limited(Rates { packets: Some(Rate { per_second: 100, burst: 1 }), ..Rates::UNLIMITED });
    let socket = UdpSocket::bind(&network, at(Family::V4, GUEST, 9)).unwrap();
    let datagrams: Vec<(Vec<u8>, SocketAddr)> = (0..200).map(|_| (vec![7; 500], peer())).collect();
    let (count, elapsed) = world.timed(async {
        let mut count = 0;
        while count < datagrams.len() {
            let row: Vec<_> =
                datagrams[count..].iter().map(|(data, remote)| (data.as_slice(), Some(*remote))).collect();
            count += socket.send_many(&row).await.unwrap();
        }
        count
    });
    world.simulation.advance(SECOND);
    assert_eq!((count, network.traffic().sent_packets), (200, 200));
    assert!(elapsed > Duration::from_millis(1800), "{elapsed:?}");
}

/// The neighbour answers after a second, when the queue of packets for it has long been full.
#[test]
fn datagrams_that_wait_for_the_rate_and_then_for_the_neighbour_all_arrive() {
    let world = World::on(HubOptions { latency: SECOND / 2, ..HubOptions::default() });
    let receiver = UdpSocket::bind(&world.peer.network(), peer()).unwrap();
    let network = world.limited(Rates { packets: Some(Rate { per_second: 100, burst: 10 }), ..Rates::UNLIMITED });
    let socket = UdpSocket::bind(&network, at(Family::V4, GUEST, 9)).unwrap();
    world.within(async {
        for number in 0..200_u8 {
            socket.send_to(&[number], peer()).await.unwrap();
        }
    });
    world.simulation.advance(5 * SECOND);
    let arrived = core::iter::from_fn(|| receiver.try_recv_datagram().ok()).map(|datagram| datagram.data[0]);
    assert_eq!(arrived.collect::<Vec<_>>(), (0..200).collect::<Vec<u8>>());
}

/// What prevents that a datagram is ever sent is an error also while the guest waits for its rate.
#[test]
fn a_guest_that_waits_for_its_rate_gets_the_errors_of_its_datagrams() {
    for family in FAMILIES {
        let world = World::new();
        let network = world.limited(Rates { packets: Some(Rate { per_second: 1, burst: 1 }), ..Rates::UNLIMITED });
        let options = UdpOptions { dont_fragment: true, ..UdpOptions::default() };
        let socket = UdpSocket::bind_with(&network, at(family, GUEST, 9), &options).unwrap();
        socket.try_send_to(b"x", at(family, PEER, 9)).unwrap();
        let long = vec![0; 3000];
        assert_eq!(socket.try_send_to(&long, at(family, PEER, 9)), Err(SendError::PacketTooLarge));
        let nowhere = if family == Family::V4 { "192.0.2.1:9" } else { "[2001:db8::1]:9" };
        assert_eq!(socket.try_send_to(b"x", nowhere.parse().unwrap()), Err(SendError::RemoteUnreachable));
        // A host that does not exist has as many datagrams as may wait for it.
        let socket = UdpSocket::bind(
            &world.limited(Rates { packets: Some(Rate { per_second: 1, burst: 64 }), ..Rates::UNLIMITED }),
            any(family, 0),
        )
        .unwrap();
        let fit = (0..100).take_while(|_| socket.try_send_to(b"x", at(family, DEAD, 9)).is_ok()).count();
        assert_eq!(fit, 64);
        assert_eq!(socket.try_send_to(b"x", at(family, DEAD, 9)), Err(SendError::WouldBlock));
        assert_eq!(socket.try_send_to(b"x", at(family, PEER, 9)), Ok(1), "it waits for its own neighbour only");
    }
}

#[test]
fn each_fragment_counts_as_a_packet_wherever_the_datagram_waits() {
    for (family, payload) in [(Family::V4, 65_507), (Family::V6, 65_527)] {
        let world = World::on(HubOptions { rate: Some(10_000_000), queue: 8, ..HubOptions::default() });
        let _receiver = UdpSocket::bind(&world.peer.network(), any(family, PORT)).unwrap();
        let network = world.guest();
        let socket = UdpSocket::bind(&network, any(family, 0)).unwrap();
        for (case, sent) in [("for its neighbour", 45), ("for the device", 90)] {
            world.within(socket.send_to(&vec![0; payload], at(family, PEER, PORT))).unwrap();
            assert_eq!(network.traffic().sent_packets, sent, "{family:?}, a datagram that waits {case}");
            world.simulation.advance(SECOND);
        }
        world.within(socket.send_to(&[0; 1000], at(family, PEER, PORT))).unwrap();
        assert_eq!(network.traffic().sent_packets, 91);
    }
}

#[test]
fn connections_beyond_the_rate_are_refused_and_leave_no_packet() {
    let world = World::new();
    discard(&world);
    let network = world.limited(Rates { connections: Some(Rate { per_second: 2, burst: 3 }), ..Rates::UNLIMITED });
    let connect = || world.simulation.block_on(TcpStream::connect(&network, peer()));
    let streams = [(); 3].map(|()| connect().unwrap());
    let statistics = || world.interface().statistics();
    world.simulation.advance(Duration::from_millis(100));
    let before = statistics().sent.packets;
    assert_eq!(connect().map(drop), Err(ConnectError::LimitReached));
    assert_eq!(statistics().sent.packets, before);
    world.simulation.advance(SECOND / 2);
    assert!(connect().is_ok());
    let traffic = network.traffic();
    assert_eq!((traffic.connected, traffic.refused), (4, 1));
    drop(streams);
    // Another guest is not concerned.
    assert!(world.simulation.block_on(TcpStream::connect(&world.guest(), peer())).is_ok());
}

#[test]
fn attempts_that_send_no_packet_are_not_counted_and_use_nothing_of_the_rate() {
    let world = World::new();
    discard(&world);
    let network = world.limited(Rates { connections: Some(Rate { per_second: 1, burst: 3 }), ..Rates::UNLIMITED });
    let connect = |remote: SocketAddr, options: ConnectOptions| {
        world.simulation.block_on(TcpStream::connect_with(&network, remote, options))
    };
    let from = || ConnectOptions { local: Some(at(Family::V4, GUEST, 5000)), ..ConnectOptions::default() };
    let _first = connect(peer(), from()).unwrap();
    let poor = TcpOptions { budget: Some(Budget::new(0)), ..TcpOptions::default() };
    for _ in 0..5 {
        assert_eq!(connect(peer(), from()).map(drop), Err(ConnectError::AddressInUse));
        // The broadcast address of the link.
        let everybody = at(Family::V4, u16::MAX, PORT);
        assert_eq!(connect(everybody, ConnectOptions::default()).map(drop), Err(ConnectError::InvalidArgument));
        let poor = ConnectOptions { tcp: poor.clone(), ..ConnectOptions::default() };
        assert_eq!(connect(peer(), poor).map(drop), Err(ConnectError::LimitReached));
    }
    let _others = [(); 2].map(|()| connect(peer(), ConnectOptions::default()).unwrap());
    let traffic = network.traffic();
    assert_eq!((traffic.connected, traffic.refused), (3, 0));
}

/// The neighbour of a guest that waits for its rate sends at once.
#[test]
fn a_neighbour_does_not_wait_for_anothers_rate() {
    let world = World::new();
    discard(&world);
    let slow = world.limited(Rates { bytes: Some(Rate::per_second(1000)), ..Rates::UNLIMITED });
    let quick = world.guest();
    let receiver = UdpSocket::bind(&world.peer.network(), at(Family::V4, PEER, 9)).unwrap();
    let stuck = world.simulation.block_on(TcpStream::connect(&slow, peer())).unwrap();
    world.simulation.block_on(stuck.write(&[1; 100_000])).unwrap();
    let socket = UdpSocket::bind(&quick, any(Family::V4, 0)).unwrap();
    let ((), elapsed) = world.timed(async {
        let stream = TcpStream::connect(&quick, peer()).await.unwrap();
        stream.write_all(&vec![1; 1_000_000]).await.unwrap();
        stream.flush().await.unwrap();
        socket.send_to(b"x", at(Family::V4, PEER, 9)).await.unwrap();
        receiver.recv_datagram().await.unwrap();
    });
    assert!(elapsed < SECOND, "{elapsed:?}");
    assert!(quick.traffic().delayed == 0 && slow.traffic().delayed > 0);
}

#[test]
fn what_a_guest_has_done_is_counted() {
    let world = World::new();
    let (client, server) = (world.guest(), world.peer.network().for_guest());
    let listener = TcpListener::bind(&server, peer(), ListenOptions::default()).unwrap();
    world.simulation.block_on(async {
        let connecting = TcpStream::connect(&client, peer());
        let (stream, accepted) = futures_util::future::join(connecting, listener.accept()).await;
        let (stream, (accepted, _)) = (stream.unwrap(), accepted.unwrap());
        stream.write_all(&[1; 50_000]).await.unwrap();
        let mut buffer = vec![0; 100_000];
        let mut read = 0;
        while read < 50_000 {
            read += accepted.read(&mut buffer).await.unwrap();
        }
    });
    let (client, server) = (client.traffic(), server.traffic());
    assert_eq!((client.connected, client.accepted, server.connected, server.accepted), (1, 0, 0, 1));
    assert_eq!((client.received_bytes, server.received_bytes), (0, 50_000));
    assert!(client.sent_bytes > 50_000 && client.sent_packets > 34, "{client:?}");
    assert_eq!(world.host.network().traffic(), Default::default(), "the host is not counted");
}
