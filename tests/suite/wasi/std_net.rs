//! Programs that use Rust's `std::net`.

use std::io::{self, Write as _};

use xila_network_tests::guests::Guest;
use xila_network_tests::networks::{manager, nothing_is_left, over_a_lossy_link, with_ethernet};
use xila_network_tests::on_loopback;

on_loopback! {
    std_names
    std_tcp_echo
    std_tcp_many_connections
    std_tcp_nonblocking
    std_tcp_options
    std_tcp_port_conflict
    std_tcp_refused
    std_tcp_shutdown_halves
    std_udp_connected
    std_udp_echo
    std_udp_sizes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn std_tcp_timeouts() {
    let manager = manager();
    let printed = Guest::new("std_tcp_timeouts").network(manager.network()).succeed().await;
    // The libc of an older toolchain has no timeouts, so parts of the program are skipped. `println!` is not used,
    // because the test harness hides its output.
    for line in printed.lines().filter(|line| line.starts_with("skipped")) {
        writeln!(io::stderr(), "std_tcp_timeouts {line}").expect("a standard error");
    }
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn std_udp_from_loopback() {
    let (_hub, manager) = with_ethernet();
    let guest = Guest::new("std_udp_from_loopback").arguments(["10.0.0.2:7"]);
    guest.network(manager.network()).succeed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn std_tcp_connect_timeout() {
    let (_hub, manager) = with_ethernet();
    // No host has this address, and its resolution takes longer than the program's timeout.
    let guest = Guest::new("std_tcp_connect_timeout").arguments(["10.0.0.99:7"]);
    guest.network(manager.network()).succeed().await;
    nothing_is_left(&manager).await;
}

/// Two programs on one loopback, with one connection after another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn std_tcp_server() {
    for address in ["127.0.0.1:7", "[::1]:7"] {
        let manager = manager();
        let server = Guest::new("std_tcp_server").arguments([address, "8000000", "2"]).network(manager.network());
        let client = || Guest::new("std_tcp_client").arguments([address, "8000000"]).network(manager.network());
        tokio::join!(server.succeed(), async {
            client().succeed().await;
            client().succeed().await;
        });
        nothing_is_left(&manager).await;
    }
}

/// Two programs, each with a stack of its own, over a link that delays, loses and reorders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn std_tcp_client() {
    let (_hub, near, far) = over_a_lossy_link();
    let server = Guest::new("std_tcp_server").arguments(["0.0.0.0:7", "1000000"]).network(near.network());
    let client = Guest::new("std_tcp_client").arguments(["10.0.0.1:7", "1000000"]).network(far.network());
    tokio::join!(server.succeed(), client.succeed());
    nothing_is_left(&near).await;
    nothing_is_left(&far).await;
}

/// Runs in real time and without failures; the suite `laboratory` tests the program with failures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn std_tcp_steadfast() {
    let manager = manager();
    let server = Guest::new("echo-server").arguments(["127.0.0.1:7"]).network(manager.network());
    let client = Guest::new("std_tcp_steadfast").arguments(["127.0.0.1:7", "1", "10", "1"]).network(manager.network());
    let printed = tokio::select! {
        exit = server.run() => panic!("the server has ended: {exit:?}"),
        printed = client.succeed() => printed,
    };
    let whole: u64 = printed.split(' ').next().and_then(|count| count.parse().ok()).expect("a number");
    assert!(whole > 5, "{printed}");
}

/// One client after another; the suite `laboratory` tests two at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn std_udp_counter() {
    let manager = manager();
    let counter =
        |arguments: &'static [&str]| Guest::new("std_udp_counter").arguments(arguments).network(manager.network());
    let (counted, ()) = tokio::join!(counter(&["serve", "127.0.0.1:7", "2"]).succeed(), async {
        counter(&["add", "127.0.0.1:7"]).succeed().await;
        counter(&["add", "127.0.0.1:7"]).succeed().await;
    });
    assert_eq!(counted, "2\n");
    nothing_is_left(&manager).await;
}

/// Runs the program of the benchmarks in each of its modes, for both families.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn std_throughput() {
    for address in ["127.0.0.1:7", "[::1]:7"] {
        for (server, client, served, measured) in [
            ("sink", "source ADDRESS --seconds 0.05 --wait 30", "received ", "sent "),
            ("pong", "ping ADDRESS 100 --wait 30", "", "100 round trips of 64 bytes: p50 "),
            ("accept", "connect ADDRESS --seconds 0.05 --wait 30", "", " connections in "),
            ("udp-pong", "udp-ping ADDRESS 100 --wait 30", "", "100 round trips of 64 bytes: p50 "),
        ] {
            let manager = manager();
            let run = |words: &str| {
                let words = words.replace("ADDRESS", address);
                Guest::new("std_throughput").arguments(words.split(' ')).network(manager.network()).succeed()
            };
            let (server, client) = tokio::join!(run(&format!("{server} ADDRESS")), run(client));
            assert!(server.contains(served) && !server.contains("received 0 "), "{server}");
            assert!(client.contains(measured), "{client}");
            nothing_is_left(&manager).await;
        }
    }
}
