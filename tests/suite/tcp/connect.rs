//! Successful and failed connection attempts.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{join, join_all};
use xila_network_host::address::Cidr;
use xila_network_host::device::Link as Carrier;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::{ConnectOptions, ListenOptions, TcpState, TcpStream};
use xila_network_host::{AcceptError, ConnectError, InterfaceConfig, Manager};
use xila_network_tests::link::{Family, INTERFACE, Link, PORT};

const SECOND: Duration = Duration::from_secs(1);

/// Lets the hosts resolve each other's hardware addresses.
async fn introduce(link: &Link, family: Family) {
    let refused = TcpStream::connect(&link.client.network, link.server.at(family, 9)).await;
    assert_eq!(refused.expect_err("nobody listens"), ConnectError::ConnectionRefused);
}

#[test]
fn both_ends_know_each_other() {
    for family in Family::BOTH {
        let link = Link::plain(1);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            assert_eq!(client.peer_addr(), link.server.at(family, PORT));
            assert_eq!(server.local_addr(), link.server.at(family, PORT));
            assert_eq!(client.local_addr(), server.peer_addr());
            assert_eq!(client.local_addr().ip(), link.client.address(family));
            assert!(client.local_addr().port() >= 49152, "an ephemeral port");
            assert_eq!((client.interface(), server.interface()), (INTERFACE.into(), INTERFACE.into()));
            assert_eq!((client.state(), server.state()), (TcpState::Established, TcpState::Established));
        });
        link.assert_empty();
    }
}

#[test]
fn a_connection_takes_one_round_trip_once_neighbours_are_known() {
    for family in Family::BOTH {
        let link = Link::plain(2);
        link.block_on(async {
            introduce(&link, family).await;
            let _listener = link.server.listen(family, PORT, ListenOptions::default()).expect("a free port");
            let connecting = TcpStream::connect(&link.client.network, link.server.at(family, PORT));
            let (stream, took) = link.within(SECOND, connecting).await;
            stream.expect("a connection");
            assert_eq!(took, Duration::from_millis(2));
        });
    }
}

#[test]
fn a_port_without_listener_refuses_at_once() {
    for family in Family::BOTH {
        let link = Link::plain(3);
        link.block_on(async {
            let connecting = TcpStream::connect(&link.client.network, link.server.at(family, PORT));
            let (refused, took) = link.within(SECOND, connecting).await;
            assert_eq!(refused.expect_err("nobody listens"), ConnectError::ConnectionRefused);
            assert!(took <= Duration::from_millis(10), "{took:?}");
        });
        link.assert_empty();
    }
}

#[test]
fn a_black_hole_times_out_after_exactly_the_timeout() {
    for family in Family::BOTH {
        for timeout in [SECOND / 2, SECOND * 7, SECOND * 30] {
            let link = Link::plain(4);
            link.block_on(async {
                introduce(&link, family).await;
                link.server.cable.set_link(Carrier::Down);
                let options = ConnectOptions { timeout, ..ConnectOptions::default() };
                let connecting = TcpStream::connect_with(&link.client.network, link.server.at(family, PORT), options);
                let (result, took) = link.within(SECOND * 60, connecting).await;
                assert_eq!(result.expect_err("nobody answers"), ConnectError::TimedOut);
                assert_eq!(took, timeout);
            });
            link.assert_empty();
        }
    }
}

#[test]
fn the_default_timeout_is_thirty_seconds() {
    assert_eq!(ConnectOptions::default().timeout, SECOND * 30);
}

#[test]
fn an_address_that_no_host_has_is_unreachable_after_three_solicitations() {
    for family in Family::BOTH {
        let link = Link::plain(5);
        link.block_on(async {
            let nobody = SocketAddr::new(family.host(77), PORT);
            let (result, took) = link.within(SECOND * 60, TcpStream::connect(&link.client.network, nobody)).await;
            assert_eq!(result.expect_err("no host has the address"), ConnectError::RemoteUnreachable);
            assert!((SECOND * 3..SECOND * 4).contains(&took), "{took:?}");
        });
        link.assert_empty();
    }
}

#[test]
fn one_silent_address_does_not_delay_another_host() {
    for family in Family::BOTH {
        let link = Link::plain(6);
        link.block_on(async {
            let _listener = link.server.listen(family, PORT, ListenOptions::default()).expect("a free port");
            let nobody = SocketAddr::new(family.host(77), PORT);
            let silent = TcpStream::connect(&link.client.network, nobody);
            let live = async {
                link.sleep(Duration::from_millis(100)).await;
                let connecting = TcpStream::connect(&link.client.network, link.server.at(family, PORT));
                link.within(Duration::from_millis(100), connecting).await.0
            };
            let (silent, live) = join(silent, live).await;
            assert_eq!(silent.expect_err("no host has the address"), ConnectError::RemoteUnreachable);
            live.expect("the live host answers");
        });
    }
}

/// The neighbour replies of many hosts arrive one by one, and none may be missed.
#[test]
fn several_hosts_are_found_at_the_same_time() {
    for family in Family::BOTH {
        let link = Link::new(
            20,
            HubOptions { latency: Duration::from_millis(1), jitter: SECOND / 10, ..HubOptions::default() },
        );
        let others: Vec<_> = (10..20)
            .map(|number| {
                let manager = Manager::new(link.simulation.platform());
                let prefix = if family == Family::V4 { 24 } else { 64 };
                let address = Cidr::new(family.host(number), prefix).expect("an address");
                let config = InterfaceConfig { addresses: vec![address], ..InterfaceConfig::default() };
                manager.mount_interface(INTERFACE, link.hub.port(), config).expect("a fresh host");
                manager
            })
            .collect();
        link.block_on(async {
            let connect = |number| {
                let remote = SocketAddr::new(family.host(number), PORT);
                link.within(SECOND, TcpStream::connect(&link.client.network, remote))
            };
            for (refused, took) in join_all((10..20).map(connect)).await {
                assert_eq!(refused.expect_err("nobody listens"), ConnectError::ConnectionRefused);
                assert!(took < SECOND * 9 / 10, "{took:?}");
            }
        });
        drop(others);
    }
}

#[test]
fn a_host_mounted_just_now_connects_at_once() {
    for family in Family::BOTH {
        let link = Link::plain(21);
        link.block_on(async {
            link.sleep(SECOND).await;
            let _listener = link.server.listen(family, PORT, ListenOptions::default()).expect("a free port");
            let config = link.client.config();
            let device = link.client.manager.unmount_interface(INTERFACE).expect("it is mounted");
            link.client.manager.mount_interface(INTERFACE, device, config).expect("it is mounted again");
            let connecting = TcpStream::connect(&link.client.network, link.server.at(family, PORT));
            let (connected, took) = link.within(SECOND, connecting).await;
            connected.expect("a connection");
            assert!(took <= Duration::from_millis(10), "{took:?}");
        });
        link.assert_empty();
    }
}

#[test]
fn a_destination_without_route_is_unreachable_at_once() {
    let link = Link::plain(7);
    link.block_on(async {
        for remote in ["192.0.2.1:80", "[2001:db8::1]:80"] {
            let remote = remote.parse().expect("an address");
            let connecting = TcpStream::connect(&link.client.network, remote);
            let (result, took) = link.within(SECOND, connecting).await;
            assert_eq!(result.expect_err("no route"), ConnectError::RemoteUnreachable);
            assert_eq!(took, Duration::ZERO);
        }
    });
    link.assert_empty();
}

#[test]
fn a_cancelled_connect_leaves_nothing_and_its_port_is_free_again() {
    for family in Family::BOTH {
        let link = Link::plain(8);
        link.block_on(async {
            introduce(&link, family).await;
            link.server.cable.set_link(Carrier::Down);
            let local = link.client.at(family, 5000);
            let options = ConnectOptions { local: Some(local), ..ConnectOptions::default() };
            let remote = link.server.at(family, PORT);
            for _ in 0..3 {
                let connecting = TcpStream::connect_with(&link.client.network, remote, options.clone());
                link.cancelled_after(SECOND * 2, connecting).await;
                assert_eq!(link.client.flows(), 0);
            }
            link.server.cable.set_link(Carrier::Up);
            let listener = link.server.listen(family, PORT, ListenOptions::default()).expect("a free port");
            let connecting = TcpStream::connect_with(&link.client.network, remote, options);
            let (stream, accepted) = join(connecting, listener.accept()).await;
            assert_eq!(stream.expect("the port is free").local_addr(), local);
            accepted.expect("a connection");
        });
        link.assert_empty();
    }
}

#[test]
fn a_connect_cancelled_before_its_neighbour_is_known_leaves_nothing() {
    for family in Family::BOTH {
        let link = Link::plain(9);
        link.block_on(async {
            let nobody = SocketAddr::new(family.host(77), PORT);
            for _ in 0..100 {
                let connecting = TcpStream::connect(&link.client.network, nobody);
                // One resolution of the neighbour serves all attempts, and it fails.
                let ended = link.at_most(Duration::from_millis(50), connecting).await;
                assert!(matches!(ended, None | Some(Err(ConnectError::RemoteUnreachable))), "{ended:?}");
                assert_eq!(link.client.flows(), 0);
            }
        });
        link.assert_empty();
    }
}

#[test]
fn a_connect_cancelled_after_it_was_accepted_resets_the_peer() {
    let link = Link::plain(10);
    link.block_on(async {
        let listener = link.server.listen(Family::V4, PORT, ListenOptions::default()).expect("a free port");
        introduce(&link, Family::V4).await;
        // The SYN-ACK is in flight when the future is dropped.
        let connecting = TcpStream::connect(&link.client.network, link.server.at(Family::V4, PORT));
        link.cancelled_after(Duration::from_micros(1500), connecting).await;
        link.sleep(SECOND).await;
        assert_eq!((link.client.flows(), link.server.flows()), (0, 0));
        assert_eq!(listener.try_accept().expect_err("nothing was established"), AcceptError::WouldBlock);
    });
    link.assert_empty();
}

#[test]
fn the_local_address_is_the_one_asked_for() {
    for family in Family::BOTH {
        let link = Link::plain(11);
        link.block_on(async {
            let any = SocketAddr::new(family.unspecified(), 4000);
            for (asked, port) in [(link.client.at(family, 5000), 5000), (any, 4000)] {
                let connect = ConnectOptions { local: Some(asked), ..ConnectOptions::default() };
                let (client, _server) = link.pair_with(family, connect, ListenOptions::default()).await;
                assert_eq!(client.local_addr(), link.client.at(family, port));
            }
            let elsewhere = ConnectOptions { local: Some(link.server.at(family, 0)), ..ConnectOptions::default() };
            let remote = link.server.at(family, PORT);
            let result = TcpStream::connect_with(&link.client.network, remote, elsewhere).await;
            assert_eq!(
                result.expect_err("the server's address is not the client's"),
                ConnectError::AddressNotAvailable
            );
        });
        link.assert_empty();
    }
}

#[test]
fn one_local_port_serves_several_peers_but_each_pair_once() {
    let link = Link::plain(12);
    link.block_on(async {
        let _first = link.server.listen(Family::V4, 80, ListenOptions::default()).expect("a free port");
        let _second = link.server.listen(Family::V4, 81, ListenOptions::default()).expect("a free port");
        let connect = |port| {
            let options = ConnectOptions { local: Some(link.client.at(Family::V4, 5000)), ..ConnectOptions::default() };
            TcpStream::connect_with(&link.client.network, link.server.at(Family::V4, port), options)
        };
        let _one = connect(80).await.expect("the first connection");
        let _other = connect(81).await.expect("another peer");
        assert_eq!(connect(80).await.expect_err("the pair is connected"), ConnectError::AddressInUse);
    });
    link.assert_empty();
}

#[test]
fn many_connect_at_once() {
    let link = Link::plain(17);
    link.block_on(async {
        let listener = link.server.listen(Family::V6, PORT, ListenOptions::default()).expect("a free port");
        let remote = link.server.at(Family::V6, PORT);
        let connecting = join_all((0..100).map(|_| TcpStream::connect(&link.client.network, remote)));
        let accepting = async {
            let mut accepted = Vec::new();
            while accepted.len() < 100 {
                accepted.push(listener.accept().await.expect("a connection"));
            }
            accepted
        };
        let ((streams, accepted), took) = link.within(SECOND, join(connecting, accepting)).await;
        assert!(took < Duration::from_millis(20), "{took:?}");
        let mut ports: Vec<u16> =
            streams.into_iter().map(|stream| stream.expect("a connection").local_addr().port()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!((ports.len(), accepted.len()), (100, 100));
    });
    link.assert_empty();
}

/// A connection that is established before the timeout succeeds, even if its task polls only after the timeout.
#[test]
fn a_connection_established_in_time_succeeds_for_a_task_that_polls_late() {
    for family in Family::BOTH {
        let link = Link::plain(30);
        link.block_on(async {
            let listener = link.server.listen(family, PORT, ListenOptions::default()).expect("a free port");
            let options = ConnectOptions { timeout: SECOND, ..ConnectOptions::default() };
            let connect = TcpStream::connect_with(&link.client.network, link.server.at(family, PORT), options);
            let mut connect = std::pin::pin!(connect);
            assert!(connect.as_mut().now_or_never().is_none(), "the handshake takes a round trip");
            let (server, _) = listener.accept().await.expect("it comes");
            link.sleep(SECOND * 5).await;
            let client = connect.await.expect("it was established within the second");
            server.write_all(b"still here").await.expect("the connection is there");
            assert_eq!(client.read(&mut [0; 16]).await, Ok(10));
        });
        link.assert_empty();
    }
}
