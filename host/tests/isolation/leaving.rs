//! What is left to be sent when a guest drops its sockets.

use core::task::{Context, Poll, Waker};
use core::time::Duration;

use xila_network_host::address::Family;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::policy::{Rate, Rates};
use xila_network_host::socket::{IcmpBinding, IcmpSocket, UdpSocket};

use super::world::{FAMILIES, GUEST, PEER, SECOND, World, any, at, host};

/// A guest that may send one packet in a second fills its sockets and drops them.
#[test]
fn what_waits_for_the_rate_of_a_guest_is_discarded_with_its_socket() {
    for family in FAMILIES {
        let world = World::new();
        let receiver = UdpSocket::bind(&world.peer.network(), any(family, 7)).unwrap();
        let network = world.limited(Rates { packets: Some(Rate { per_second: 1, burst: 1 }), ..Rates::UNLIMITED });
        let socket = UdpSocket::bind(&network, at(family, GUEST, 9)).unwrap();
        let pinging = IcmpSocket::bind(&network, family, IcmpBinding::Echo(9)).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        for number in 0..10 {
            socket.try_send_to(b"of the first guest", at(family, PEER, 7)).unwrap();
            assert_eq!(pinging.poll_send_to(&mut context, host(family, PEER), number, b"x"), Poll::Ready(Ok(())));
        }
        drop((socket, pinging));
        let neighbour = UdpSocket::bind(&world.guest(), at(family, GUEST, 9)).unwrap();
        world.simulation.advance(60 * SECOND);
        neighbour.try_send_to(b"of the second", at(family, PEER, 7)).unwrap();
        world.simulation.advance(SECOND);
        let arrived: Vec<_> =
            core::iter::from_fn(|| receiver.try_recv_datagram().ok()).map(|found| found.data).collect();
        assert_eq!(arrived, [b"of the first guest".as_slice(), b"of the second"]);
        assert_eq!(network.traffic().sent_packets, 1);
        assert_eq!(world.interface().statistics().datagram_drops, 19);
    }
}

/// How many datagrams of 1000 bytes fit a socket on a link with a rate in bits per second, and how many of them arrive
/// after it is dropped.
fn abandoned(rate: u64) -> (usize, usize) {
    let latency = Duration::from_millis(1);
    let world = World::on(HubOptions { rate: Some(rate), queue: 4, latency, ..HubOptions::default() });
    let receiver = UdpSocket::bind(&world.peer.network(), any(Family::V4, 7)).unwrap();
    let socket = UdpSocket::bind(&world.guest(), any(Family::V4, 0)).unwrap();
    world.within(socket.send_to(b"the neighbour is known now", at(Family::V4, PEER, 7))).unwrap();
    world.simulation.advance(10 * SECOND);
    receiver.try_recv_datagram().unwrap();
    let fit = (0..100).take_while(|_| socket.try_send_to(&[0; 1000], at(Family::V4, PEER, 7)).is_ok()).count();
    drop(socket);
    world.simulation.advance(60 * SECOND);
    (fit, core::iter::from_fn(|| receiver.try_recv_datagram().ok()).count())
}

#[test]
fn what_waits_for_a_full_device_outlives_its_socket_but_not_for_long() {
    let (fit, arrived) = abandoned(100_000);
    assert!(fit > 4 && arrived == fit, "{arrived} of {fit}: each takes 80 ms");
    let (fit, arrived) = abandoned(10_000);
    assert!(arrived < fit && arrived >= 4, "{arrived} of {fit}: each takes 800 ms");
}
