//! A host's connections to itself.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join;
use xila_network_host::socket::{ConnectOptions, ListenOptions, TcpListener, TcpStream};
use xila_network_host::{BindError, ConnectError, Manager};
use xila_network_tests::link::{Family, Link, PORT, receive, send};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_own_address_is_reached_through_the_loopback() {
    for family in Family::BOTH {
        let link = Link::plain(14);
        let sent = || link.client.interface().statistics().sent.packets;
        let before = sent();
        link.block_on(async {
            let listener = link.client.listen(family, PORT, ListenOptions::default()).expect("a free port");
            let own = link.client.at(family, PORT);
            let (stream, accepted) = join(TcpStream::connect(&link.client.network, own), listener.accept()).await;
            let (stream, (server, _)) = (stream.expect("a connection"), accepted.expect("a connection"));
            assert_eq!((stream.interface(), server.interface()), ("lo".into(), "lo".into()));
            assert_eq!(stream.local_addr().ip(), link.client.address(family));
            let sending = async {
                send(&stream, 1, 1 << 20).await.expect("it carries");
                drop(stream);
            };
            let ((), received) = join(sending, receive(&server, 1)).await;
            assert_eq!(received, Ok(1 << 20));
        });
        link.assert_empty();
        assert_eq!(sent(), before, "nothing of it is on the link");
    }
}

#[test]
fn the_loopback_addresses_carry_connections() {
    let link = Link::plain(15);
    link.block_on(async {
        for address in ["127.0.0.1:80", "127.1.2.3:80", "[::1]:80"] {
            let address: SocketAddr = address.parse().expect(address);
            let listener =
                TcpListener::bind(&link.client.network, address, ListenOptions::default()).expect("a free port");
            let (stream, accepted) = join(TcpStream::connect(&link.client.network, address), listener.accept()).await;
            let (stream, (server, _)) = (stream.expect("a connection"), accepted.expect("a connection"));
            send(&stream, 2, 1000).await.expect("it carries");
            drop(stream);
            assert_eq!(receive(&server, 2).await, Ok(1000));
        }
    });
    link.assert_empty();
}

#[test]
fn loopback_addresses_are_not_reached_from_outside() {
    let link = Link::plain(16);
    link.block_on(async {
        let local: SocketAddr = (IpAddr::from([127, 0, 0, 1]), PORT).into();
        let options = ListenOptions::default();
        let _listener = TcpListener::bind(&link.server.network, local, options).expect("a free port");
        let remote = link.server.at(Family::V4, PORT);
        let refused = TcpStream::connect(&link.client.network, remote).await;
        assert_eq!(refused.expect_err("it listens on the loopback only"), ConnectError::ConnectionRefused);
    });
    link.assert_empty();
}

#[test]
fn a_network_without_interfaces_has_nothing_to_connect_on() {
    let link = Link::plain(19);
    let manager = Manager::without_loopback(link.simulation.platform());
    link.block_on(async {
        let result = TcpStream::connect(&manager.network(), link.server.at(Family::V4, PORT)).await;
        assert_eq!(result.expect_err("no interface"), ConnectError::NotFound);
        let any = (IpAddr::from([0, 0, 0, 0]), 0).into();
        let result = TcpListener::bind(&manager.network(), any, ListenOptions::default());
        assert_eq!(result.expect_err("no interface"), BindError::NotFound);
    });
}

/// If a connection uses the same ports as an earlier one, its peer may still have that one in TIME-WAIT, with a
/// sequence number that is not older than the new one's. Between hosts the client then has to retransmit, which takes a
/// second.
#[test]
fn a_peer_in_time_wait_on_the_same_host_does_not_delay_the_next_connection() {
    let link = Link::plain(17);
    link.block_on(async {
        for family in Family::BOTH {
            let listener = link.client.listen(family, PORT, ListenOptions::default()).expect("a free port");
            let remote = link.client.at(family, PORT);
            let local = Some(link.client.at(family, 4000));
            for round in 0..50 {
                let options = ConnectOptions { local, ..ConnectOptions::default() };
                let connecting = TcpStream::connect_with(&link.client.network, remote, options);
                let ((stream, accepted), took) = link.within(SECOND, join(connecting, listener.accept())).await;
                let (stream, (server, _)) = (stream.expect("a connection"), accepted.expect("a connection"));
                assert!(took < SECOND / 10, "round {round} took {took:?}");
                // The server closes first, and enters TIME-WAIT.
                drop(server);
                assert_eq!(receive(&stream, 0).await, Ok(0));
                drop(stream);
                link.sleep(SECOND / 100).await;
                assert_eq!(link.client.time_wait(), 1);
            }
            link.sleep(SECOND * 20).await;
        }
    });
    link.assert_empty();
}
