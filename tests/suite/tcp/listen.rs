//! Listeners: their backlog, their addresses, and dropping them.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::{join, join_all};
use xila_network_host::socket::{ConnectOptions, ListenOptions, TcpListener, TcpStream};
use xila_network_host::{AcceptError, ConnectError, ReadError};
use xila_network_tests::link::{Family, Link, PORT, receive, send};

const SECOND: Duration = Duration::from_secs(1);

fn backlog(backlog: usize) -> ListenOptions {
    ListenOptions { backlog, ..ListenOptions::default() }
}

#[test]
fn a_full_backlog_drops_syns_and_accepts_them_when_there_is_room() {
    for family in Family::BOTH {
        let link = Link::plain(1);
        link.block_on(async {
            let listener = link.server.listen(family, PORT, backlog(2)).expect("a free port");
            assert_eq!(listener.backlog(), 2);
            let remote = link.server.at(family, PORT);
            // All clients retransmit their SYNs at the same times, with growing intervals, and two are accepted each
            // time.
            let patient = ConnectOptions { timeout: SECOND * 300, ..ConnectOptions::default() };
            let connect = || TcpStream::connect_with(&link.client.network, remote, patient.clone());
            let connecting = join_all((0..10).map(|_| connect()));
            let accepting = async {
                link.sleep(SECOND * 5).await;
                assert_eq!(link.server.flows(), 2, "no more than the backlog is held");
                assert!(link.server.interface().statistics().backlog_drops >= 8, "the others were dropped");
                let mut accepted = Vec::new();
                while accepted.len() < 10 {
                    accepted.push(listener.accept().await.expect("a connection"));
                }
                accepted
            };
            let ((streams, accepted), took) = link.within(SECOND * 300, join(connecting, accepting)).await;
            let mut clients = Vec::new();
            for stream in streams {
                let stream = stream.expect("each connects in the end");
                clients.push(stream.local_addr());
                send(&stream, 1, 100).await.expect("it carries");
            }
            let mut peers = Vec::new();
            for (stream, peer) in accepted {
                assert_eq!(receive(&stream, 1).await, Ok(100));
                peers.push(peer);
            }
            clients.sort_unstable();
            peers.sort_unstable();
            assert_eq!(clients, peers);
            println!("all were accepted after {took:?}");
        });
        link.assert_empty();
    }
}

#[test]
fn connections_are_accepted_in_the_order_they_came() {
    let link = Link::plain(2);
    link.block_on(async {
        let listener = link.server.listen(Family::V4, PORT, backlog(5)).expect("a free port");
        let mut streams = Vec::new();
        for _ in 0..5 {
            streams.push(TcpStream::connect(&link.client.network, link.server.at(Family::V4, PORT)).await);
            link.sleep(Duration::from_millis(5)).await;
        }
        for stream in streams {
            let local = stream.expect("the backlog has room").local_addr();
            assert_eq!(listener.try_accept().expect("it waits").1, local);
        }
        assert_eq!(listener.try_accept().expect_err("all were accepted"), AcceptError::WouldBlock);
    });
    link.assert_empty();
}

#[test]
fn a_connection_that_waits_to_be_accepted_receives_data_meanwhile() {
    let link = Link::plain(3);
    link.block_on(async {
        let listener = link.server.listen(Family::V6, PORT, backlog(1)).expect("a free port");
        let client = TcpStream::connect(&link.client.network, link.server.at(Family::V6, PORT)).await;
        let client = client.expect("a connection");
        send(&client, 3, 50_000).await.expect("it fits the buffers");
        drop(client);
        link.sleep(SECOND * 10).await;
        let (server, _) = listener.accept().await.expect("it still waits");
        assert_eq!(receive(&server, 3).await, Ok(50_000));
    });
    link.assert_empty();
}

#[test]
fn a_connection_that_was_reset_before_it_was_accepted_gives_its_place_back() {
    let link = Link::plain(4);
    link.block_on(async {
        let listener = link.server.listen(Family::V4, PORT, backlog(1)).expect("a free port");
        let remote = link.server.at(Family::V4, PORT);
        let client = TcpStream::connect(&link.client.network, remote).await.expect("a connection");
        link.sleep(SECOND).await;
        client.abort();
        link.sleep(SECOND).await;
        assert_eq!(link.server.flows(), 0);
        assert_eq!(listener.try_accept().expect_err("it is gone"), AcceptError::WouldBlock);
        let (next, accepted) = join(TcpStream::connect(&link.client.network, remote), listener.accept()).await;
        assert_eq!(next.expect("there is room").local_addr(), accepted.expect("a connection").1);
    });
    link.assert_empty();
}

#[test]
fn a_dropped_listener_resets_waiting_connections_and_keeps_accepted_ones() {
    for family in Family::BOTH {
        let link = Link::plain(5);
        link.block_on(async {
            let listener = link.server.listen(family, PORT, backlog(4)).expect("a free port");
            let remote = link.server.at(family, PORT);
            let (kept, accepted) = join(TcpStream::connect(&link.client.network, remote), listener.accept()).await;
            let (kept, (accepted, _)) = (kept.expect("a connection"), accepted.expect("a connection"));
            let mut queued = Vec::new();
            for _ in 0..3 {
                queued.push(TcpStream::connect(&link.client.network, remote).await.expect("room in the backlog"));
            }
            // One more handshake is in progress when the listener is dropped.
            let late = TcpStream::connect(&link.client.network, remote);
            let dropping = async {
                link.sleep(Duration::from_micros(1500)).await;
                assert_eq!(link.server.flows(), 5, "one accepted, three queued, one half open");
                drop(listener);
                assert_eq!(link.server.flows(), 1);
            };
            let (late, ()) = join(late, dropping).await;
            queued.push(late.expect("the SYN was answered before"));
            for stream in queued {
                let mut buffer = [0; 8];
                let (result, _) = link.within(SECOND, stream.read(&mut buffer)).await;
                assert_eq!(result, Err(ReadError::ConnectionReset));
            }
            let refused = TcpStream::connect(&link.client.network, remote).await;
            assert_eq!(refused.expect_err("nobody listens any more"), ConnectError::ConnectionRefused);
            send(&kept, 5, 1000).await.expect("an accepted connection goes on");
            drop(kept);
            assert_eq!(receive(&accepted, 5).await, Ok(1000));
        });
        link.assert_empty();
    }
}

#[test]
fn port_0_is_an_ephemeral_port_that_can_be_connected_to() {
    for family in Family::BOTH {
        let link = Link::plain(6);
        link.block_on(async {
            let listener = link.server.listen(family, 0, ListenOptions::default()).expect("a port is left");
            let local = listener.local_addr();
            assert!(local.port() >= 49152, "{local}");
            let other = link.server.listen(family, 0, ListenOptions::default()).expect("a port is left");
            assert_ne!(other.local_addr().port(), local.port());
            let (stream, accepted) = join(TcpStream::connect(&link.client.network, local), listener.accept()).await;
            assert_eq!(stream.expect("a connection").local_addr(), accepted.expect("a connection").1);
        });
        link.assert_empty();
    }
}

#[test]
fn a_wildcard_listener_serves_every_address_of_its_family_on_every_interface() {
    for family in Family::BOTH {
        let link = Link::plain(7);
        link.block_on(async {
            let any = SocketAddr::new(family.unspecified(), PORT);
            let listener = TcpListener::bind(&link.server.network, any, ListenOptions::default()).expect("a free port");
            assert_eq!(listener.local_addr(), any);
            let remote = link.server.at(family, PORT);
            for network in [&link.client.network, &link.server.network] {
                let (stream, accepted) = join(TcpStream::connect(network, remote), listener.accept()).await;
                let (stream, (accepted, peer)) = (stream.expect("a connection"), accepted.expect("a connection"));
                assert_eq!((accepted.local_addr(), peer), (remote, stream.local_addr()));
            }
            let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
            let refused = TcpStream::connect(&link.client.network, link.server.at(other, PORT)).await;
            assert_eq!(refused.expect_err("the other family"), ConnectError::ConnectionRefused);
        });
        link.assert_empty();
    }
}

#[test]
fn a_listener_of_one_address_is_not_reached_at_another() {
    let link = Link::plain(8);
    let second: xila_network_host::address::Cidr = "10.0.0.3/24".parse().expect("an address");
    link.server.interface().add_address(second).expect("room for it");
    link.block_on(async {
        let _listener = link.server.listen(Family::V4, PORT, ListenOptions::default()).expect("a free port");
        let remote = SocketAddr::new(second.address(), PORT);
        let refused = TcpStream::connect(&link.client.network, remote).await;
        assert_eq!(refused.expect_err("nobody listens there"), ConnectError::ConnectionRefused);
        let options = ListenOptions::default();
        let _other = TcpListener::bind(&link.server.network, remote, options).expect("the other address is free");
        TcpStream::connect(&link.client.network, remote).await.expect("a connection");
    });
    link.assert_empty();
}

#[test]
fn several_tasks_accept_from_one_listener() {
    let link = Link::plain(9);
    link.block_on(async {
        let listener = link.server.listen(Family::V4, PORT, ListenOptions::default()).expect("a free port");
        let remote = link.server.at(Family::V4, PORT);
        let accepting = join_all((0..10).map(|_| listener.accept()));
        let connecting = join_all((0..10).map(|_| TcpStream::connect(&link.client.network, remote)));
        let ((accepted, connected), _) = link.within(SECOND, join(accepting, connecting)).await;
        let mut peers: Vec<_> = accepted.into_iter().map(|accepted| accepted.expect("a connection").1).collect();
        let mut locals: Vec<_> =
            connected.into_iter().map(|stream| stream.expect("a connection").local_addr()).collect();
        peers.sort_unstable();
        locals.sort_unstable();
        assert_eq!(peers, locals);
    });
    link.assert_empty();
}

#[test]
fn a_cancelled_accept_loses_no_connection() {
    let link = Link::plain(10);
    link.block_on(async {
        let listener = link.server.listen(Family::V4, PORT, ListenOptions::default()).expect("a free port");
        link.cancelled_after(SECOND, listener.accept()).await;
        let remote = link.server.at(Family::V4, PORT);
        let client = TcpStream::connect(&link.client.network, remote).await.expect("a connection");
        assert_eq!(listener.accept().await.expect("it waits").1, client.local_addr());
    });
    link.assert_empty();
}

#[test]
fn handshakes_that_are_never_completed_are_forgotten() {
    let link = Link::plain(11);
    link.block_on(async {
        let _listener = link.server.listen(Family::V4, PORT, backlog(4)).expect("a free port");
        let remote = link.server.at(Family::V4, PORT);
        for _ in 0..4 {
            // The attempt is cancelled after the SYN and before the SYN-ACK.
            let connecting = TcpStream::connect(&link.client.network, remote);
            link.cancelled_after(Duration::from_micros(1100), connecting).await;
        }
        link.client.cable.set_link(xila_network_host::device::Link::Down);
        link.sleep(SECOND * 61).await;
        assert_eq!(link.server.flows(), 0);
    });
    link.assert_empty();
}
