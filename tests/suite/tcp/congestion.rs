//! The choice of a connection's congestion control, and its statistics.

use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::time::Duration;

use futures_util::future::join;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::device::loopback::Loopback;
use xila_network_host::socket::CongestionAlgorithm::{self, Bbr, Cubic, None as Unlimited};
use xila_network_host::socket::{
    ConnectOptions, ListenOptions, RecoveryState, TcpListener, TcpOptions, TcpStatistics, TcpStream,
};
use xila_network_host::{InterfaceConfig, Manager};
use xila_network_tests::link::{Family, INTERFACE, Link, receive, send};

const MILLISECOND: Duration = Duration::from_millis(1);

/// More than any peer's window.
const NO_LIMIT: usize = 1 << 30;

fn asking(congestion: Option<CongestionAlgorithm>) -> TcpOptions {
    TcpOptions { congestion, ..TcpOptions::default() }
}

/// The congestion control of both ends of a connection, for these settings of the interfaces and sockets.
fn chosen(
    options: HubOptions,
    interface: Option<CongestionAlgorithm>,
    socket: Option<CongestionAlgorithm>,
) -> CongestionAlgorithm {
    let link = Link::new(3, options);
    for host in [&link.client, &link.server] {
        let config = InterfaceConfig { congestion: interface, ..host.config() };
        host.manager.unmount_interface(INTERFACE).expect("it is mounted");
        host.manager.mount_interface(INTERFACE, link.hub.port(), config).expect("its name is free");
    }
    let ends = link.block_on(async {
        let connect = ConnectOptions { tcp: asking(socket), ..ConnectOptions::default() };
        let listen = ListenOptions { tcp: asking(socket), ..ListenOptions::default() };
        let (client, server) = link.pair_with(Family::V4, connect, listen).await;
        (client.congestion(), server.congestion())
    });
    assert_eq!(ends.0, ends.1, "who connects and who accepts");
    link.assert_empty();
    ends.0
}

#[test]
fn the_socket_chooses_then_the_interface_then_the_link() {
    // A link with a delay has queues, which can overflow.
    let (lossless, lossy) = (Duration::ZERO, MILLISECOND);
    for (latency, interface, socket, expected) in [
        (lossless, None, None, Unlimited),
        (lossy, None, None, Cubic),
        (lossless, Some(Cubic), None, Cubic),
        (lossy, Some(Unlimited), None, Unlimited),
        (lossless, None, Some(Cubic), Cubic),
        (lossless, Some(Unlimited), Some(Cubic), Cubic),
        (lossy, Some(Cubic), Some(Unlimited), Unlimited),
        (lossy, Some(Bbr), None, Bbr),
        (lossless, Some(Cubic), Some(Bbr), Bbr),
    ] {
        let options = HubOptions { latency, ..HubOptions::default() };
        assert_eq!(chosen(options, interface, socket), expected, "{interface:?}, {socket:?}");
    }
}

#[test]
fn a_listener_on_every_address_has_the_interfaces_choice_on_each() {
    let link = Link::plain(4);
    let manager: &Manager = &link.server.manager;
    let address = IpAddr::from(Ipv4Addr::new(127, 0, 1, 1));
    let config = InterfaceConfig {
        addresses: vec!["127.0.1.1/24".parse().expect("a CIDR")],
        congestion: Some(Cubic),
        ..InterfaceConfig::default()
    };
    manager.mount_interface("lo1", Loopback::new(), config).expect("a name that is free");
    link.block_on(async {
        for (interface, address, expected) in [("lo1", address, Cubic), ("lo", Ipv4Addr::LOCALHOST.into(), Unlimited)] {
            let network = manager.network_of([interface]).expect("it is mounted");
            let local = SocketAddr::new(address, 80);
            let listener = TcpListener::bind(&network, local, ListenOptions::default()).expect("a free port");
            let (client, accepted) = join(TcpStream::connect(&network, local), listener.accept()).await;
            let (client, (server, _)) = (client.expect("a connection"), accepted.expect("a connection"));
            assert_eq!((client.congestion(), server.congestion()), (expected, expected), "{interface}");
        }
    });
}

/// Sends a mebibyte to the server; returns the sender's statistics in the middle and at the end.
fn carried(link: &Link) -> (TcpStatistics, TcpStatistics) {
    const LENGTH: u64 = 1 << 20;
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        let fresh = client.statistics();
        assert_eq!((fresh.bytes_sent, fresh.retransmitted, fresh.lost), (0, 0, 0));
        let sending = async {
            send(&client, 1, LENGTH).await.expect("it is sent");
            let midst = client.statistics();
            client.shutdown(Shutdown::Write).expect("the connection is there");
            client.closed().await.expect("it is acknowledged");
            midst
        };
        let (midst, received) = join(sending, receive(&server, 1)).await;
        assert_eq!(received, Ok(LENGTH));
        assert_eq!(client.statistics().bytes_sent, LENGTH);
        assert_eq!(server.statistics().bytes_received, LENGTH);
        (midst, client.statistics())
    })
}

#[test]
fn a_connection_reports_its_sending_state() {
    let latency = MILLISECOND * 10;
    let link = Link::new(5, HubOptions { latency, rate: Some(50_000_000), queue: 4096, ..HubOptions::default() });
    let (midst, end) = carried(&link);
    let rtt = midst.round_trip_time.expect("measured");
    assert!((latency * 2..latency * 20).contains(&rtt), "{midst:?}");
    let least = midst.minimum_round_trip_time.expect("measured");
    assert!((latency * 2..latency * 3).contains(&least) && least <= rtt, "{midst:?}");
    assert!(midst.round_trip_variation.expect("measured") < rtt, "{midst:?}");
    assert!(midst.retransmission_timeout > rtt, "{midst:?}");
    // The MTU without the IPv4 and TCP headers and the timestamps.
    assert_eq!(midst.segment_size, 1500 - 20 - 20 - 12);
    assert!((1..=midst.congestion_window + midst.segment_size).contains(&midst.in_flight), "{midst:?}");
    assert!(midst.in_flight <= midst.send_queue && midst.send_window > 0, "{midst:?}");
    assert!((10 * midst.segment_size..NO_LIMIT).contains(&midst.congestion_window), "{midst:?}");
    assert_eq!((end.in_flight, end.send_queue, end.retransmitted, end.lost), (0, 0, 0, 0), "{end:?}");
    assert_eq!(end.recovery, RecoveryState::Open);
    link.assert_empty();
}

#[test]
fn losses_are_counted_and_lower_the_threshold() {
    let link = Link::new(6, HubOptions { latency: MILLISECOND * 5, loss: 0.02, ..HubOptions::default() });
    let (_, end) = carried(&link);
    assert!(end.retransmitted > 0 && end.lost > 0, "{end:?}");
    assert!((end.segment_size..NO_LIMIT).contains(&end.slow_start_threshold), "{end:?}");
    assert_eq!(end.in_flight, 0, "{end:?}");
    let counted = link.client.interface().statistics().tcp_retransmits;
    assert_eq!(counted, end.retransmitted, "the interface counts the same");
    link.simulation.advance(Duration::from_secs(60));
    link.assert_empty();
}
