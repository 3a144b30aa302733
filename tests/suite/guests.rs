//! Guest programs on `xila:network`.
//!
//! Each program of `tests/programs` that uses `xila:network` has a test of its name here; otherwise this file does not
//! compile.

#[path = "guests/apps.rs"]
mod apps;

use xila_network_host::platform::Access;
use xila_network_host::policy::Limits;
use xila_network_tests::guests::{Ending, Guest};
use xila_network_tests::networks::{manager, nothing_is_left, over_a_lossy_link, until, with_control, with_ethernet};
use xila_network_tests::on_loopback;

macro_rules! assert_test_exists {
    ($program:ident) => {
        #[expect(unused_imports, reason = "a program without a test of its name does not compile")]
        use self::$program as _;
    };
}

xila_network_tests::foreach_program!(assert_test_exists);

on_loopback! {
    connect_by_name
    control_denied
    dns_literals
    dns_without_servers
    icmp_bad_arguments
    icmp_identifiers
    icmp_ping_loopback
    tcp_bad_arguments
    tcp_cancelled_accept
    tcp_cancelled_read_loses_nothing
    tcp_cancelled_write_sends_once
    tcp_connections_stream
    tcp_echo
    tcp_flush_between_writes
    tcp_half_close
    tcp_large_transfer
    tcp_options_read_back
    tcp_port_conflict
    tcp_refused
    tcp_reset_is_seen
    tcp_send_twice_is_an_error
    tcp_statistics
    tcp_stream_cancelled
    tcp_stream_forwarded
    tcp_two_tasks_one_stream
    udp_bad_arguments
    udp_batches
    udp_cancelled_receive
    udp_connected_filters
    udp_echo
    udp_many_receivers
    udp_port_conflict
    udp_too_large
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn tcp_interface_down() {
    with_control("tcp_interface_down").await;
}

/// The program opens many thousands of sockets, a few at a time. The limit allows no more than these, so each socket
/// must be released when it is dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_drop_releases() {
    let manager = manager();
    let limits = Limits { sockets: 8, ..Limits::default() };
    Guest::new("tcp_drop_releases").network(manager.network()).limits(limits).succeed().await;
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_full_table() {
    let manager = manager();
    Guest::new("tcp_full_table").network(manager.network()).resources(40).succeed().await;
    nothing_is_left(&manager).await;
}

/// A listener and two connections need five sockets; the limit is one less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_leave_connections_waiting() {
    let manager = manager();
    let limits = Limits { sockets: 4, ..Limits::default() };
    Guest::new("limits_leave_connections_waiting").network(manager.network()).limits(limits).succeed().await;
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_by_kind() {
    let manager = manager();
    let limits = Limits {
        tcp_sockets: 4,
        listeners: 2,
        backlog: 2,
        udp_sockets: 2,
        icmp_sockets: 1,
        ports: 3,
        files: 1,
        ..Limits::default()
    };
    let guest = Guest::new("limits_by_kind").network(manager.network()).limits(limits);
    guest.control(&manager, Access::READ).succeed().await;
    nothing_is_left(&manager).await;
}

/// Runs on both kinds of interfaces, because they support different commands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_commands() {
    let (_hub, manager) = with_ethernet();
    for name in ["lo", "eth0"] {
        let guest = Guest::new("control_commands").arguments([name]).network(manager.network());
        guest.control(&manager, Access::READ_WRITE).succeed().await;
    }
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_read_only() {
    let manager = manager();
    let guest = Guest::new("control_read_only").network(manager.network());
    guest.control(&manager, Access::READ).succeed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_watch() {
    let manager = manager();
    let guest = Guest::new("control_watch").network(manager.network());
    guest.control(&manager, Access::READ_WRITE).succeed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_bound_watches() {
    let manager = manager();
    let limits = Limits { watches: 2, ..Limits::default() };
    let guest = Guest::new("limits_bound_watches").network(manager.network()).limits(limits);
    guest.control(&manager, Access::READ_WRITE).succeed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_bound_queries() {
    let (_hub, manager) = with_ethernet();
    manager.interface("eth0").expect("eth0").add_dns_server([10, 0, 0, 53].into()).expect("added");
    let limits = Limits { queries: 2, ..Limits::default() };
    Guest::new("limits_bound_queries").network(manager.network()).limits(limits).succeed().await;
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_bounds_its_input() {
    let manager = manager();
    let guest = Guest::new("control_bounds_its_input").network(manager.network());
    guest.control(&manager, Access::READ_WRITE).succeed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_controls_nothing_until_it_is_allowed() {
    let manager = manager();
    for access in [None, Some(Access::READ)] {
        let limits = Limits { watches: 2, ..Limits::default() };
        let mut guest = Guest::new("limits_bound_watches").network(manager.network()).limits(limits);
        if let Some(access) = access {
            guest = guest.control(&manager, access);
        }
        let exit = guest.run().await.expect("a run");
        assert!(exit.ending != Ending::Status(0), "{exit}");
        assert!(exit.stderr.contains("AccessDenied"), "{exit}");
        assert_eq!(manager.interface("lo").expect("lo").dns_servers(), Vec::<std::net::IpAddr>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn device_paths() {
    let (_hub, manager) = with_ethernet();
    let guest = Guest::new("device_paths").network(manager.interface("lo").expect("lo").network());
    guest.control(&manager, Access::READ_WRITE).succeed().await;
}

/// On a runtime with one thread, a program that never waits does not block another program.
#[tokio::test(flavor = "current_thread")]
async fn spin_does_not_starve() {
    let manager = manager();
    let spin = Guest::new("spin_does_not_starve").arguments([2000]).network(manager.network());
    let mut spin = Box::pin(spin.succeed());
    // Both programs must be compiled by now; otherwise the first would run alone while the other is being compiled.
    Guest::new("tcp_echo").network(manager.network()).succeed().await;
    tokio::select! {
        biased;
        _ = &mut spin => panic!("the program that spins kept the other one from ending for two seconds"),
        _ = Guest::new("tcp_echo").network(manager.network()).succeed() => {}
    }
    assert!(spin.await.contains("rounds"));
}

#[tokio::test]
async fn a_guest_without_a_network_can_make_no_socket() {
    let exit = Guest::new("tcp_echo").run().await.expect("a run");
    assert!(exit.ending != Ending::Status(0), "{exit}");
    assert!(exit.stderr.contains("NotFound"), "{exit}");
}

#[tokio::test]
async fn a_guest_may_hold_no_more_than_its_limits() {
    let manager = manager();
    for limits in [Limits { sockets: 2, ..Limits::default() }, Limits { buffer_bytes: 4 << 10, ..Limits::default() }] {
        let exit = Guest::new("tcp_echo").network(manager.network()).limits(limits).run().await.expect("a run");
        assert!(exit.ending != Ending::Status(0), "{exit}");
        assert!(exit.stderr.contains("LimitReached"), "{exit}");
    }
    nothing_is_left(&manager).await;
}

/// The store of a guest is dropped while it works, with a listener, connections and datagrams in flight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_is_dropped_leaves_nothing() {
    let manager = manager();
    let lo = manager.interface("lo").expect("lo");
    let guests = [
        (Guest::new("tcp_large_transfer"), 2),
        (Guest::new("echo-server").arguments(["127.0.0.1:7"]), 1),
        (Guest::new("udp-echo").arguments(["serve", "127.0.0.1:7"]), 1),
    ];
    for (guest, sockets) in guests {
        let guest = guest.network(manager.network());
        let busy = until(|| {
            let now = lo.statistics();
            now.tcp_flows + now.tcp_listeners + now.udp_sockets >= sockets
        });
        tokio::select! {
            biased;
            () = busy => {}
            exit = guest.run() => panic!("it ended before it was ended: {}", exit.expect("a run")),
        }
        nothing_is_left(&manager).await;
    }
}

/// Two guests, each with a stack of its own, over a link that delays, loses and reorders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_on_two_stacks_talk_over_a_lossy_link() {
    let (_hub, near, far) = over_a_lossy_link();
    let sink = Guest::new("throughput").arguments(["sink", "10.0.0.1:9"]).network(near.network());
    let source = Guest::new("throughput").network(far.network());
    let source = source.arguments(["source", "10.0.0.1:9", "--bytes", "1048576", "--wait", "30"]);
    let (received, _) = tokio::join!(sink.succeed(), source.succeed());
    assert!(received.contains("1048576 bytes"), "{received}");
    nothing_is_left(&near).await;
    nothing_is_left(&far).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_notices_that_its_interface_is_unmounted() {
    let manager = manager();
    let lo = manager.interface("lo").expect("lo");
    let server = Guest::new("echo-server").arguments(["127.0.0.1:7"]).network(manager.network());
    let unmount = async {
        until(|| lo.statistics().tcp_listeners > 0).await;
        manager.unmount_interface("lo").expect("it is mounted");
    };
    let (exit, ()) = tokio::join!(server.run(), unmount);
    let exit = exit.expect("a run");
    assert_eq!(exit.ending, Ending::Status(1), "{exit}");
    assert!(exit.stderr.contains("network down"), "{exit}");
}
