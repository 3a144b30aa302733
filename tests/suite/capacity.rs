//! No size of a receive buffer lets a peer panic this host.
//!
//! A peer that ignores the window, and sends faster than it is answered, fills the offered window and no more. The
//! tests check this for every size that a socket can have.

#[path = "capacity/attacker.rs"]
mod attacker;

use std::time::Duration;

use futures_util::future::join;
use xila_network_host::address::Cidr;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::{ConnectOptions, ListenOptions, TcpListener, TcpOptions, TcpStream};
use xila_network_host::{InterfaceConfig, Manager};
use xila_network_tests::link::{Bytes, Family, Link, receive, send};

use attacker::{Attacker, HOST, PEER};

const SECOND: Duration = Duration::from_secs(1);

/// Sizes around every power of two and every multiple of a full window, and odd sizes between.
fn sizes() -> Vec<usize> {
    let mut sizes = vec![1, 2, 3, 5, 7, 100, 536, 1459, 1460, 1461, 4095, 4096, 10_001, 40_009];
    sizes.extend([65534, 65535, 65536, 65537, 99_999, 131_069, 131_070, 131_071, 131_072, 131_073, 200_003]);
    sizes.extend([(1 << 18) - 1, 1 << 18, (1 << 18) + 1, 262_140, 524_280, 1 << 19, 777_777]);
    sizes.extend([1_048_560, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 2_097_120, 1 << 21, 3_000_001]);
    sizes.extend([4_194_240, (1 << 22) - 1, 1 << 22, (1 << 22) + 1, 5 << 20, 1 << 30, usize::MAX]);
    sizes
}

/// The size of the buffer that a socket gets for the requested size.
fn provided(asked: usize) -> usize {
    asked.min(4 << 20)
}

/// The maximum number of bytes in the buffer: a window is rounded up to what its field can represent, which needs
/// slightly more.
fn most(asked: usize) -> usize {
    provided(asked) + provided(asked) / 4 + 128
}

/// A sender that has more to send, and a larger buffer, than the receiver, which does not read.
fn flood(receive_buffer: usize, family: Family, latency: Duration) {
    let capacity = provided(receive_buffer);
    let total = (capacity * 2 + 300_000).min(12_000_000) as u64;
    let link = Link::new(1, HubOptions { mtu: 1500, latency, queue: 16384, ..HubOptions::default() });
    link.block_on(async {
        let sender = TcpOptions { send_buffer: 4 << 20, linger: SECOND * 3600, ..TcpOptions::default() };
        let receiver = TcpOptions { receive_buffer, ..TcpOptions::default() };
        let connect = ConnectOptions { tcp: sender, ..ConnectOptions::default() };
        let listen = ListenOptions { tcp: receiver, ..ListenOptions::default() };
        let (client, server) = link.pair_with(family, connect, listen).await;
        assert_eq!(server.receive_buffer(), receive_buffer, "it reads back as asked");
        let sending = async {
            send(&client, 1, total).await.expect("the peer is alive");
            drop(client);
        };
        let reading = async {
            link.sleep(SECOND * 5).await;
            let queued = server.statistics().receive_queue;
            assert!(queued <= most(receive_buffer), "{queued} bytes in {capacity}");
            assert!(queued * 10 >= (capacity * 9).min(4_000_000), "the window was used: {queued} bytes in {capacity}");
            receive(&server, 1).await
        };
        assert_eq!(join(sending, reading).await.1, Ok(total), "{receive_buffer} bytes");
    });
    link.assert_empty();
}

#[test]
fn a_flood_fits_every_receive_buffer_over_a_link_that_delays() {
    for size in sizes() {
        flood(size, Family::V4, Duration::from_millis(1));
    }
}

#[test]
fn a_flood_fits_every_receive_buffer_over_a_link_without_delay() {
    for size in sizes() {
        flood(size, Family::V6, Duration::ZERO);
    }
}

#[test]
fn the_connecting_side_is_as_safe_as_the_accepting_one() {
    for receive_buffer in [65535, 65536, 131_072, 1 << 20, 1 << 22] {
        let link = Link::plain(2);
        link.block_on(async {
            let connect = TcpOptions { receive_buffer, ..TcpOptions::default() };
            let listen = TcpOptions { send_buffer: 4 << 20, linger: SECOND * 3600, ..TcpOptions::default() };
            let connect = ConnectOptions { tcp: connect, ..ConnectOptions::default() };
            let listen = ListenOptions { tcp: listen, ..ListenOptions::default() };
            let (client, server) = link.pair_with(Family::V4, connect, listen).await;
            send(&server, 2, 4_000_000).await.expect("it fits the send buffer");
            drop(server);
            link.sleep(SECOND * 5).await;
            assert_eq!(receive(&client, 2).await, Ok(4_000_000));
        });
        link.assert_empty();
    }
}

/// A manager whose only interface leads to an attacker.
fn besieged(simulation: &Simulation, attacker: &Attacker) -> Manager {
    let manager = Manager::without_loopback(simulation.platform());
    let address = Cidr::new(HOST.ip(), 24).expect("an address");
    let config = InterfaceConfig { addresses: vec![address], ..InterfaceConfig::default() };
    manager.mount_interface("raw0", attacker.device(), config).expect("the device carries a stack");
    manager
}

/// After the handshake, more segments arrive at once than the buffer has room for. The bytes that are accepted are
/// intact.
fn assert_survives(attacker: &mut Attacker, simulation: &Simulation, stream: &TcpStream, capacity: usize) {
    attacker.flood(capacity * 2 + 3 * attacker.segment());
    simulation.run_ready();
    let queued = stream.statistics().receive_queue;
    assert!(queued <= most(capacity) && queued >= capacity.min(attacker.segment()), "{queued} bytes in {capacity}");
    let (mut bytes, mut buffer) = (Bytes::new(attacker::SEED), vec![0; 100_000]);
    while let Ok(count @ 1..) = stream.try_read(&mut buffer) {
        bytes.check(&buffer[..count]);
    }
    assert!(bytes.position() >= queued as u64);
}

#[test]
fn a_peer_that_ignores_the_window_does_no_harm_to_a_listener() {
    for mtu in [1500, 65535] {
        for size in sizes() {
            let simulation = Simulation::new(3);
            let mut attacker = Attacker::new(mtu);
            let manager = besieged(&simulation, &attacker);
            let tcp = TcpOptions { receive_buffer: size, ..TcpOptions::default() };
            let listen = ListenOptions { tcp, ..ListenOptions::default() };
            let listener = TcpListener::bind(&manager.network(), HOST, listen).expect("a free port");
            attacker.connect();
            simulation.run_ready();
            attacker.establish();
            simulation.run_ready();
            let (stream, peer) = listener.try_accept().expect("the handshake is done");
            assert_eq!(peer, PEER);
            assert_survives(&mut attacker, &simulation, &stream, provided(size));
        }
    }
}

#[test]
fn a_server_that_ignores_the_window_does_no_harm_to_a_client() {
    for size in sizes() {
        let simulation = Simulation::new(4);
        let mut attacker = Attacker::new(1500);
        let manager = besieged(&simulation, &attacker);
        let tcp = TcpOptions { receive_buffer: size, ..TcpOptions::default() };
        let connect = ConnectOptions { local: Some(HOST), tcp, ..ConnectOptions::default() };
        let network = manager.network();
        let answering = async {
            simulation.sleep(SECOND).await;
            attacker.accept();
        };
        let connecting = TcpStream::connect_with(&network, PEER, connect);
        let stream = simulation.block_on(join(connecting, answering)).0.expect("the attacker accepts");
        assert_survives(&mut attacker, &simulation, &stream, provided(size));
    }
}
