//! Local ports: which sockets may share a port, and when a port is free again.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::{ConnectOptions, ListenOptions, Network, TcpListener, TcpStream};
use xila_network_host::{BindError, ConnectError, Result};
use xila_network_tests::link::{Family, Link, PORT, receive, send};

const SECOND: Duration = Duration::from_secs(1);

fn listen(network: &Network, local: &str) -> Result<TcpListener, BindError> {
    TcpListener::bind(network, local.parse().expect(local), ListenOptions::default())
}

#[test]
fn two_listeners_cannot_have_one_address_and_port() {
    let link = Link::plain(1);
    let network = &link.client.network;
    for (first, second) in [
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("0.0.0.0:80", "0.0.0.0:80"),
        ("0.0.0.0:80", "10.0.0.1:80"),
        ("10.0.0.1:80", "0.0.0.0:80"),
        ("127.0.0.1:80", "0.0.0.0:80"),
        ("[::]:80", "[fd00::1]:80"),
        ("[fd00::1]:80", "[::]:80"),
    ] {
        let held = listen(network, first).expect(first);
        assert_eq!(listen(network, second).expect_err(second), BindError::AddressInUse, "{first} against {second}");
        drop(held);
        listen(network, second).expect("free again");
    }
    link.assert_empty();
}

#[test]
fn listeners_of_different_addresses_ports_and_families_are_independent() {
    let link = Link::plain(2);
    let locals = ["10.0.0.1:80", "127.0.0.1:80", "0.0.0.0:81", "[::]:80", "[::]:81"];
    let held: Vec<_> = locals.map(|local| listen(&link.client.network, local).expect(local)).into();
    assert_eq!(held.len(), locals.len());
    drop(held);
    link.assert_empty();
}

#[test]
fn a_foreign_address_cannot_be_listened_on() {
    let link = Link::plain(3);
    for local in ["10.0.0.2:80", "[fd00::2]:80", "192.0.2.1:0"] {
        assert_eq!(listen(&link.client.network, local).expect_err(local), BindError::AddressNotAvailable, "{local}");
    }
    link.assert_empty();
}

#[test]
fn ephemeral_ports_run_out_and_come_back() {
    for family in Family::BOTH {
        let link = Link::with_ephemeral_ports(4, HubOptions::default(), (50_000..=50_003).try_into().unwrap());
        link.block_on(async {
            let listener = link.server.listen(family, PORT, ListenOptions::default()).expect("a free port");
            let connect = async || {
                let connecting = TcpStream::connect(&link.client.network, link.server.at(family, PORT));
                let (stream, accepted) = join(connecting, listener.accept()).await;
                (stream.expect("a port is left"), accepted.expect("a connection").0)
            };
            let mut open = Vec::new();
            for _ in 0..4 {
                open.push(connect().await);
            }
            let more = TcpStream::connect(&link.client.network, link.server.at(family, PORT)).await;
            assert_eq!(more.expect_err("no port is left"), ConnectError::AddressInUse);

            // Connections to another peer may use the same local ports.
            let _other = link.server.listen(family, PORT + 1, ListenOptions::default()).expect("a free port");
            let elsewhere = TcpStream::connect(&link.client.network, link.server.at(family, PORT + 1)).await;
            elsewhere.expect("a port is left for another peer");

            // The client closes first, so its port is in TIME-WAIT; if the port is needed, only for a second.
            let (client, server) = open.pop().expect("four are open");
            drop(client);
            assert_eq!(receive(&server, 0).await, Ok(0));
            drop(server);
            link.sleep(SECOND / 10).await;
            let early = TcpStream::connect(&link.client.network, link.server.at(family, PORT)).await;
            assert_eq!(early.expect_err("its port is in TIME-WAIT"), ConnectError::AddressInUse);
            link.sleep(SECOND).await;
            let (again, took) = link.within(SECOND, connect()).await;
            assert!(took < SECOND / 2, "{took:?}");

            // The server closes first, so the client's port is free at once.
            let (client, server) = open.pop().expect("three are open");
            drop(server);
            assert_eq!(receive(&client, 0).await, Ok(0));
            drop(client);
            link.sleep(SECOND / 10).await;
            connect().await;
            drop(again);
        });
        link.assert_empty();
    }
}

#[test]
fn listening_on_port_0_fails_when_every_ephemeral_port_is_listened_on() {
    let link = Link::with_ephemeral_ports(5, HubOptions::default(), (50_000..=50_001).try_into().unwrap());
    let network = link.client.interface().network();
    let first = listen(&network, "10.0.0.1:0").expect("two are left");
    let _second = listen(&network, "10.0.0.1:0").expect("one is left");
    assert_eq!(listen(&network, "10.0.0.1:0").expect_err("none is left"), BindError::AddressInUse);
    let _v6 = listen(&network, "[fd00::1]:0").expect("the other family has its own");
    drop(first);
    listen(&network, "10.0.0.1:0").expect("one is free again");
}

#[test]
fn the_port_of_a_listener_is_not_used_as_an_ephemeral_port() {
    let link = Link::with_ephemeral_ports(6, HubOptions::default(), (50_000..=50_001).try_into().unwrap());
    link.block_on(async {
        let _served = link.client.listen(Family::V4, 50_000, ListenOptions::default()).expect("a free port");
        for _ in 0..8 {
            let (client, _server) = link.pair(Family::V4).await;
            assert_eq!(client.local_addr().port(), 50_001);
            client.abort();
        }
    });
    link.assert_empty();
}

#[test]
fn a_listener_is_bound_again_while_its_connections_are_in_time_wait() {
    for family in Family::BOTH {
        let link = Link::plain(7);
        link.block_on(async {
            for round in 0..5 {
                let (client, server) = link.pair(family).await;
                send(&server, round, 1000).await.expect("it carries");
                drop(server);
                assert_eq!(receive(&client, round).await, Ok(1000));
                drop(client);
                link.sleep(SECOND / 10).await;
            }
            assert_eq!((link.server.time_wait(), link.client.time_wait()), (5, 0));
        });
        link.assert_empty();
    }
}

#[test]
fn a_listener_is_bound_beside_live_connections_of_a_dropped_one() {
    let link = Link::plain(8);
    link.block_on(async {
        let first = link.pair(Family::V4).await;
        let second = link.pair(Family::V4).await;
        for (client, server) in [first, second] {
            send(&client, 8, 1000).await.expect("it carries");
            drop(client);
            assert_eq!(receive(&server, 8).await, Ok(1000));
        }
    });
    link.assert_empty();
}

/// The initial sequence numbers are random, so about half of the new connections begin below the old one's sequence
/// numbers.
#[test]
fn a_pair_in_time_wait_is_connected_again() {
    for family in Family::BOTH {
        for seed in 0..12 {
            let link = Link::plain(seed);
            link.block_on(async {
                let local: SocketAddr = link.client.at(family, 5000);
                let connect = ConnectOptions { local: Some(local), ..ConnectOptions::default() };
                let (client, server) = link.pair_with(family, connect.clone(), ListenOptions::default()).await;
                drop(server);
                assert_eq!(receive(&client, 0).await, Ok(0));
                drop(client);
                link.sleep(SECOND / 10).await;
                assert_eq!((link.server.time_wait(), link.client.flows()), (1, 0));
                let again = link.pair_with(family, connect, ListenOptions::default());
                let ((client, server), took) = link.within(SECOND * 20, again).await;
                assert!(took < SECOND * 3 / 2, "seed {seed}: {took:?}");
                send(&client, seed, 100_000).await.expect("it carries");
                drop(client);
                assert_eq!(receive(&server, seed).await, Ok(100_000));
            });
            link.assert_empty();
        }
    }
}
