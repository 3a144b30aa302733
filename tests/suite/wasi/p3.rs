//! Programs that use `wasi:sockets` 0.3 directly.

use std::net::Shutdown;

use xila_network_host::interface::State;
use xila_network_host::policy::Limits;
use xila_network_host::socket::TcpStream;
use xila_network_tests::guests::{Ending, Guest};
use xila_network_tests::networks::{manager, nothing_is_left, until, with_outages};
use xila_network_tests::on_loopback;

on_loopback! {
    p3_names
    p3_tcp_bind
    p3_tcp_cancel
    p3_tcp_connect
    p3_tcp_dropped_resources
    p3_tcp_echo
    p3_tcp_listen
    p3_tcp_options
    p3_tcp_reset
    p3_tcp_states
    p3_tcp_streams_once
    p3_tcp_zero_length
    p3_udp_cancel
    p3_udp_connect
    p3_udp_echo
    p3_udp_sizes
    p3_udp_states
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn p3_interface_down() {
    with_outages("p3_interface_down").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn p3_tcp_listen_while_down() {
    let manager = manager();
    let lo = manager.interface("lo").expect("lo");
    lo.set_state(State::Down);
    let client = async {
        until(|| lo.statistics().udp_sockets > 0).await;
        lo.set_state(State::Up);
        let address = "127.0.0.1:7".parse().expect("an address");
        let stream = TcpStream::connect(&manager.network(), address).await.expect("a connection");
        stream.write_all(b"up").await.expect("sent");
        stream.shutdown(Shutdown::Write).expect("ended");
    };
    let guest = Guest::new("p3_tcp_listen_while_down").network(manager.network());
    tokio::join!(guest.succeed(), client);
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn p3_tcp_full_table() {
    let manager = manager();
    Guest::new("p3_tcp_full_table").network(manager.network()).resources(40).succeed().await;
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_p3_guest_without_a_network_can_make_no_socket() {
    for program in ["p3_tcp_echo", "p3_udp_echo", "p3_names"] {
        let exit = Guest::new(program).run().await.expect("a run");
        assert!(exit.ending != Ending::Status(0), "{exit}");
        assert!(exit.stderr.contains("AccessDenied"), "{exit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_p3_guest_may_hold_no_more_than_its_limits() {
    let manager = manager();
    let limits = [Limits { sockets: 1, ..Limits::default() }, Limits { buffer_bytes: 4 << 10, ..Limits::default() }];
    for limits in limits {
        let exit = Guest::new("p3_tcp_echo").network(manager.network()).limits(limits).run().await.expect("a run");
        assert!(exit.ending != Ending::Status(0), "{exit}");
        assert!(exit.stderr.contains("OutOfMemory"), "{exit}");
    }
    nothing_is_left(&manager).await;
}
