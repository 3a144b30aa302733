//! ICMP errors about sent packets, and the sockets to which they are reported.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::icmp::{IcmpErrorKind, IcmpReport};
use xila_network_host::socket::{ConnectOptions, HopLimit, IcmpBinding, PingOptions, TcpStream, UdpSocket, ping};
use xila_network_host::{ConnectError, ReceiveError};
use xila_network_tests::link::{Family, Link};

use super::frames::{icmp, udp};
use super::router::{ROUTER, Rules, routed};
use super::{SOON, assert_silent, bind, next, report, socket};

#[test]
fn time_exceeded_is_reported_to_the_socket_of_the_request() {
    let (link, [router, _]) = routed(1, HubOptions::default());
    router.rule(Rules { hops: 3, ..Rules::default() });
    link.block_on(async {
        for family in Family::BOTH {
            let (asking, other) = (socket(&link.client.network, family), socket(&link.client.network, family));
            for hop_limit in 1..=4 {
                asking.set_hop_limit(HopLimit::new(hop_limit).unwrap());
                asking.send_to(link.server.address(family), 100 + u16::from(hop_limit), &[0; 100]).await.unwrap();
                let message = next(&link, &asking).await;
                if hop_limit == 4 {
                    super::reply(message);
                } else {
                    let expected = IcmpReport {
                        source: family.host(ROUTER),
                        kind: IcmpErrorKind::TimeExceeded,
                        destination: SocketAddr::new(link.server.address(family), 0),
                        sequence: Some(100 + u16::from(hop_limit)),
                        mtu: None,
                    };
                    assert_eq!(report(message), expected);
                }
            }
            assert_silent(&link, &other).await;
        }
    });
}

#[test]
fn a_watcher_of_a_udp_port_gets_errors_that_unconnected_sockets_do_not_get() {
    let (link, [router, _]) = routed(1, HubOptions::default());
    router.rule(Rules { hops: 1, ..Rules::default() });
    link.block_on(async {
        for family in Family::BOTH {
            let probe = UdpSocket::bind(&link.client.network, link.client.at(family, 0)).unwrap();
            let port = probe.local_addr().port();
            let watcher = bind(&link.client.network, family, IcmpBinding::UdpPort(port)).unwrap();
            let other = bind(&link.client.network, family, IcmpBinding::UdpPort(port ^ 1)).unwrap();
            let tcp = bind(&link.client.network, family, IcmpBinding::TcpPort(port)).unwrap();
            let mut heard = Vec::new();
            for hop_limit in 1..=2 {
                probe.set_hop_limit(HopLimit::new(hop_limit).unwrap());
                probe.send_to(b"probe", link.server.at(family, 33_434)).await.unwrap();
                let report = report(next(&link, &watcher).await);
                assert_eq!(report.destination, link.server.at(family, 33_434));
                assert_eq!((report.sequence, report.mtu), (None, None));
                heard.push((report.source, report.kind));
            }
            let expected = [
                (family.host(ROUTER), IcmpErrorKind::TimeExceeded),
                (link.server.address(family), IcmpErrorKind::PortUnreachable),
            ];
            assert_eq!(heard, expected);
            assert_silent(&link, &other).await;
            assert_silent(&link, &tcp).await;
            assert_eq!(probe.try_recv_datagram().unwrap_err(), ReceiveError::WouldBlock, "it is not disturbed");
        }
    });
}

#[test]
fn a_watcher_of_a_tcp_port_hears_what_its_connection_attempt_does() {
    let (link, [router, _]) = routed(1, HubOptions::default());
    router.rule(Rules { hops: 64, ..Rules::default() });
    link.block_on(async {
        for family in Family::BOTH {
            let local = link.client.at(family, 4000);
            let watcher = bind(&link.client.network, family, IcmpBinding::TcpPort(4000)).unwrap();
            let options = ConnectOptions { local: Some(local), ..Default::default() };
            let outcome = TcpStream::connect_with(&link.client.network, link.server.at(family, 80), options).await;
            assert_eq!(outcome.unwrap_err(), ConnectError::RemoteUnreachable);
            let report = report(next(&link, &watcher).await);
            assert_eq!((report.kind, report.destination), (IcmpErrorKind::TimeExceeded, link.server.at(family, 80)));
        }
    });
}

#[test]
fn a_watcher_is_told_that_a_neighbour_does_not_answer() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let probe = UdpSocket::bind(&link.client.network, link.client.at(family, 5000)).unwrap();
            let watcher = bind(&link.client.network, family, IcmpBinding::UdpPort(5000)).unwrap();
            probe.send_to(b"anybody?", SocketAddr::new(family.host(77), 9)).await.unwrap();
            let (message, _) = link.within(Duration::from_secs(10), watcher.recv()).await;
            let report = report(message.unwrap());
            assert_eq!((report.kind, report.source), (IcmpErrorKind::Unreachable, link.client.address(family)));
        }
    });
}

#[test]
fn errors_with_an_implausible_quotation_are_ignored() {
    let (link, [router, _]) = routed(1, HubOptions::default());
    link.block_on(async {
        for (family, unreachable) in [(Family::V4, [3, 1]), (Family::V6, [1, 0])] {
            let (own, client) = (family.host(ROUTER), link.client.address(family));
            let (from, to) = (link.client.at(family, 5000), link.server.at(family, 9));
            let watcher = bind(&link.client.network, family, IcmpBinding::UdpPort(5000)).unwrap();
            let sender = UdpSocket::bind(&link.client.network, from).unwrap();
            sender.send_to(b"hello", to).await.unwrap();
            // The port is closed.
            assert_eq!(report(next(&link, &watcher).await).kind, IcmpErrorKind::PortUnreachable);
            let quoted = udp(from, to, b"hello");
            let good = icmp(own, client, unreachable, [0; 4], &quoted);
            let mut damaged = good.clone();
            *damaged.last_mut().unwrap() ^= 1;
            let loopback = if family == Family::V4 { "127.0.0.1" } else { "::1" }.parse().unwrap();
            let group = if family == Family::V4 { "224.0.0.1" } else { "ff02::1" }.parse().unwrap();
            let header = if family == Family::V4 { 20 } else { 40 };
            let mut fragment = quoted.clone();
            fragment[7] |= 1;
            let mut bad = vec![
                damaged,
                icmp(loopback, client, unreachable, [0; 4], &quoted),
                icmp(own, group, unreachable, [0; 4], &quoted),
                icmp(own, family.host(77), unreachable, [0; 4], &quoted),
                icmp(own, client, unreachable, [0; 4], &quoted[..header + 3]),
                icmp(own, client, unreachable, [0; 4], &udp(SocketAddr::new(family.host(9), 5000), to, b"hello")),
                icmp(own, client, unreachable, [0; 4], &udp(from, link.server.at(family, 10), b"hello")),
            ];
            if family == Family::V4 {
                bad.push(icmp(own, client, unreachable, [0; 4], &fragment));
            }
            bad.iter().for_each(|bad| router.inject(bad));
            assert_silent(&link, &watcher).await;
            router.inject(&good);
            assert_eq!(report(next(&link, &watcher).await).kind, IcmpErrorKind::Unreachable);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Arbitrary messages with correct checksums do no harm to the sockets that they could concern.
    #[test]
    fn any_message_does_no_harm(
        messages in vec((any::<bool>(), 0..14u8, any::<u8>(), any::<[u8; 4]>(), any::<u8>(), vec((0..80usize, any::<u8>()), 0..3), 0..80usize), 1..40),
    ) {
        let (link, [router, _]) = routed(1, HubOptions::default());
        let sockets: Vec<_> = Family::BOTH
            .into_iter()
            .flat_map(|family| {
                [IcmpBinding::Echo(7), IcmpBinding::UdpPort(7), IcmpBinding::TcpPort(7)]
                    .map(|binding| bind(&link.client.network, family, binding).unwrap())
            })
            .collect();
        for (v4, kind, code, word, protocol, changes, length) in messages {
            let family = if v4 { Family::V4 } else { Family::V6 };
            let client = link.client.address(family);
            let kind = if !v4 && kind > 8 { 120 + kind } else { kind };
            let mut quoted = udp(SocketAddr::new(client, 7), link.server.at(family, 9), b"hello");
            quoted[if v4 { 9 } else { 6 }] = [1, 6, 17, 58][usize::from(protocol % 4)];
            for (at, value) in changes {
                if let Some(byte) = quoted.get_mut(at) {
                    *byte = value;
                }
            }
            quoted.truncate(length);
            router.inject(&icmp(family.host(ROUTER), client, [kind, code], word, &quoted));
            link.simulation.advance(Duration::from_millis(1));
        }
        link.block_on(async {
            for socket in &sockets {
                while link.at_most(Duration::from_millis(1), socket.recv()).await.is_some() {}
            }
            let remote = link.server.address(Family::V4);
            let options = PingOptions::default();
            let pinging = ping(&link.client.network, remote, &options);
            assert!(link.within(SOON * 20, pinging).await.0.is_ok(), "it still serves");
        });
    }
}
