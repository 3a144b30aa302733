//! Guests share a link that is slower than they are.

use core::time::Duration;

use xila_network_host::address::Family;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::{ListenOptions, TcpListener, TcpStream, UdpSocket};

use super::world::{PEER, SECOND, World, any, at};

/// One guest uploads by a connection. Another has one socket, which is never ready for more than one of its datagrams,
/// and each of these takes several turns.
#[test]
fn a_guest_that_sends_very_large_datagrams_gets_no_more_than_its_share() {
    let world = World::on(HubOptions {
        rate: Some(10_000_000),
        queue: 16,
        latency: Duration::from_millis(1),
        ..HubOptions::default()
    });
    let listener = TcpListener::bind(&world.peer.network(), any(Family::V4, 7), ListenOptions::default()).unwrap();
    let _receiver = UdpSocket::bind(&world.peer.network(), any(Family::V4, 7)).unwrap();
    world.simulation.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        while stream.read(&mut [0; 60_000]).await.unwrap() > 0 {}
    });
    let [writing, flooding] = [(); 2].map(|()| world.guest());
    let networks = [writing.clone(), flooding.clone()];
    world.simulation.spawn(async move {
        let stream = TcpStream::connect(&writing, at(Family::V4, PEER, 7)).await.unwrap();
        stream.write_all(&vec![0; 100 << 20]).await.unwrap();
    });
    world.simulation.spawn(async move {
        let socket = UdpSocket::bind(&flooding, any(Family::V4, 0)).unwrap();
        loop {
            socket.send_to(&[0; 65_507], at(Family::V4, PEER, 7)).await.unwrap();
        }
    });
    world.simulation.advance(2 * SECOND);
    let sent = || networks.each_ref().map(|network| network.traffic().sent_bytes);
    let before = sent();
    world.simulation.advance(20 * SECOND);
    let after = sent();
    let [writing, flooding] = [0, 1].map(|guest: usize| after[guest] - before[guest]);
    // 10 Mbit/s for 20 s is 25 MB.
    assert!(writing + flooding > 23_000_000, "the link is used: {writing} and {flooding}");
    assert!(flooding * 100 < (writing + flooding) * 55, "{flooding} bytes of datagrams, {writing} of the connection");
}
