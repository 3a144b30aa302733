//! Programs that call `wasi:sockets` 0.2 and `wasi:io` directly; each tests one behaviour.

use std::net::SocketAddr;

use xila_network_host::Manager;
use xila_network_host::policy::Limits;
use xila_network_host::socket::{ListenOptions, TcpListener, TcpOptions};
use xila_network_tests::guests::{Ending, Guest};
use xila_network_tests::networks::{manager, nothing_is_left, with_ethernet, with_outages};
use xila_network_tests::on_loopback;

on_loopback! {
    p2_names
    p2_tcp_bind
    p2_tcp_connect
    p2_tcp_echo
    p2_tcp_listen
    p2_tcp_options
    p2_tcp_permits
    p2_tcp_poll
    p2_tcp_shutdown
    p2_tcp_splice_skip
    p2_tcp_states
    p2_tcp_zero_length
    p2_udp_bind
    p2_udp_connect
    p2_udp_echo
    p2_udp_options
    p2_udp_permits
    p2_udp_sizes
    p2_udp_states
    p2_udp_stream_again
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn p2_interface_down() {
    with_outages("p2_interface_down").await;
}

/// No host has 10.0.0.77.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn p2_udp_dead_neighbour() {
    let (_hub, manager) = with_ethernet();
    let guest = Guest::new("p2_udp_dead_neighbour").arguments(["10.0.0.77:9", "10.0.0.1:9"]);
    guest.network(manager.network()).succeed().await;
    nothing_is_left(&manager).await;
}

#[tokio::test]
pub(crate) async fn p2_denied() {
    Guest::new("p2_denied").succeed().await;
}

/// The program makes hundreds of sockets, with a limit of a few at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn p2_tcp_drop_streams() {
    let manager = manager();
    let limits = Limits { sockets: 8, ..Limits::default() };
    Guest::new("p2_tcp_drop_streams").network(manager.network()).limits(limits).succeed().await;
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn p2_limits() {
    let manager = manager();
    for sockets in [3, 8] {
        let limits = Limits { sockets, ..Limits::default() };
        Guest::new("p2_limits").arguments([sockets]).network(manager.network()).limits(limits).succeed().await;
    }
    nothing_is_left(&manager).await;
}

/// The peer is the host, which can reset a connection without sending anything before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn p2_tcp_reset() {
    let manager = manager();
    let peers = [listener(&manager, "127.0.0.1:0"), listener(&manager, "[::1]:0")];
    let guest = Guest::new("p2_tcp_reset").arguments(peers.iter().map(TcpListener::local_addr));
    let [first, second] = &peers;
    tokio::select! {
        _ = guest.network(manager.network()).succeed() => {}
        () = reset_all(first) => {}
        () = reset_all(second) => {}
    }
    drop(peers);
    nothing_is_left(&manager).await;
}

/// The peer is the host, which is not charged to the guest, and has a small receive buffer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn p2_tcp_memory_limit() {
    let manager = manager();
    let tcp = TcpOptions { receive_buffer: 20_000, ..TcpOptions::default() };
    let options = ListenOptions { tcp, ..ListenOptions::default() };
    let local = "127.0.0.1:0".parse().expect("an address");
    let peer = TcpListener::bind(&manager.network(), local, options).expect("a listener");
    let limits = Limits { buffer_bytes: 100_000, ..Limits::default() };
    let guest = Guest::new("p2_tcp_memory_limit").arguments([peer.local_addr()]).limits(limits);
    let reading = async {
        let (data, _) = peer.accept().await.expect("a connection");
        let (signal, _) = peer.accept().await.expect("a connection");
        assert_eq!(signal.read(&mut [0]).await.expect("a byte"), 1);
        let (mut total, mut buffer) = (0, vec![0; 10_000]);
        loop {
            match data.read(&mut buffer).await.expect("the connection is there") {
                0 => break,
                count => total += count,
            }
        }
        data.write_all(total.to_string().as_bytes()).await.expect("the guest waits for it");
    };
    tokio::join!(guest.network(manager.network()).succeed(), reading);
    drop(peer);
    nothing_is_left(&manager).await;
}

fn listener(manager: &Manager, local: &str) -> TcpListener {
    let local: SocketAddr = local.parse().expect("an address");
    TcpListener::bind(&manager.network(), local, ListenOptions::default()).expect("a listener")
}

/// Reads a byte from each connection, and resets it.
async fn reset_all(listener: &TcpListener) {
    loop {
        let (stream, _peer) = listener.accept().await.expect("a connection");
        assert_eq!(stream.read(&mut [0]).await.expect("a byte"), 1);
        stream.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn p2_tcp_write_beyond_permit() {
    for how in ["unasked", "beyond", "twice"] {
        traps("p2_tcp_write_beyond_permit", how, "more is written than was permitted").await;
    }
    traps("p2_tcp_write_beyond_permit", "zeroes", "more zeroes than").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn p2_udp_send_beyond_permit() {
    for how in ["unasked", "beyond", "twice"] {
        traps("p2_udp_send_beyond_permit", how, "more datagrams are sent than were permitted").await;
    }
}

/// Runs a program, which must trap for a `reason` and leave nothing behind.
async fn traps(program: &str, how: &str, reason: &str) {
    let manager = manager();
    let guest = Guest::new(program).arguments([how]).network(manager.network());
    let exit = guest.run().await.expect("a run");
    let Ending::Trap(why) = &exit.ending else { panic!("{how}: no trap: {exit}") };
    // A panic of the program would also be a trap, so the reason is checked.
    assert!(why.contains(reason) && exit.stderr.is_empty(), "{how}: {exit}");
    nothing_is_left(&manager).await;
}
