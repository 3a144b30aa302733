//! Sockets that are bound first and listen or connect later, and queries that do not wait.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join;
use xila_network_host::socket::{
    ConnectOptions, HopLimit, KeepAlive, ListenOptions, TcpListener, TcpOptions, TcpSocket, TcpStream,
};
use xila_network_host::{AcceptError, BindError, ConnectError, InvalidOption, ReadError, WriteError};
use xila_network_tests::link::{Bytes, Family, Link, PORT, receive, send};

const SECOND: Duration = Duration::from_secs(1);

fn bound(link: &Link, family: Family) -> TcpSocket {
    TcpSocket::bind(&link.server.network, link.server.at(family, PORT)).expect("the port is free")
}

#[test]
fn a_bound_socket_refuses_connections_until_it_listens() {
    for family in Family::BOTH {
        let link = Link::plain(1);
        link.block_on(async {
            let socket = bound(&link, family);
            assert_eq!(socket.local_addr(), link.server.at(family, PORT));
            let connect = || TcpStream::connect(&link.client.network, link.server.at(family, PORT));
            assert_eq!(connect().await.expect_err("nobody listens"), ConnectError::ConnectionRefused);
            assert_eq!(link.server.interface().statistics().tcp_listeners, 0);

            let listener = socket.listen(ListenOptions::default()).expect("it was free");
            assert_eq!(link.server.interface().statistics().tcp_listeners, 1);
            let (stream, accepted) = join(connect(), listener.accept()).await;
            drop((stream.expect("it listens"), accepted.expect("a connection")));
        });
        link.assert_empty();
    }
}

#[test]
fn a_bound_socket_keeps_others_from_its_address_until_it_is_dropped() {
    let link = Link::plain(1);
    link.block_on(async {
        let socket = bound(&link, Family::V4);
        let network = &link.server.network;
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
        for address in [socket.local_addr(), any] {
            assert_eq!(TcpSocket::bind(network, address).expect_err("taken"), BindError::AddressInUse);
            let listener = TcpListener::bind(network, address, ListenOptions::default());
            assert_eq!(listener.expect_err("taken"), BindError::AddressInUse);
        }
        // The other family, and another port, are free.
        drop(bound(&link, Family::V6));
        drop(TcpSocket::bind(network, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).expect("a free port"));
        drop(socket);
        drop(bound(&link, Family::V4));
    });
    link.assert_empty();
}

#[test]
fn a_connection_uses_the_port_of_its_bound_socket_and_releases_the_socket() {
    for family in Family::BOTH {
        let link = Link::plain(1);
        link.block_on(async {
            let listener = link.client.listen(family, PORT, ListenOptions::default()).expect("a free port");
            let any = match family {
                Family::V4 => "0.0.0.0:4000",
                Family::V6 => "[::]:4000",
            };
            let socket = TcpSocket::bind(&link.server.network, any.parse().expect("an address")).expect("free");
            let connecting = socket.connect(link.client.at(family, PORT), ConnectOptions::default()).expect("begun");
            assert_eq!(connecting.local_addr(), Some(link.server.at(family, 4000)));
            let (stream, accepted) = join(connecting, listener.accept()).await;
            let (stream, (accepted, peer)) = (stream.expect("accepted"), accepted.expect("a connection"));
            assert_eq!((stream.local_addr(), peer), (link.server.at(family, 4000), link.server.at(family, 4000)));
            // A connection does not prevent a listener.
            let again = TcpListener::bind(&link.server.network, link.server.at(family, 4000), ListenOptions::default());
            drop(again.expect("the connection is another matter"));
            let (sent, received) = join(
                async {
                    send(&stream, 1, 1000).await.expect("it carries");
                    drop(stream);
                },
                receive(&accepted, 1),
            )
            .await;
            assert_eq!((sent, received), ((), Ok(1000)));
        });
        link.assert_empty();
    }
}

/// The two ways to connect from a given local port.
fn connect_from(link: &Link, local: SocketAddr, remote: SocketAddr) -> [Result<(), ConnectError>; 2] {
    let network = &link.server.network;
    let options = ConnectOptions { local: Some(local), ..ConnectOptions::default() };
    let at_once = TcpStream::start(network, remote, options).map(drop);
    let bound = TcpSocket::bind(network, local).map_err(ConnectError::from);
    let connecting = bound.and_then(|socket| socket.connect(remote, ConnectOptions::default()));
    [at_once, connecting.map(drop)]
}

/// Otherwise a client of the listener, by connecting to it, could complete the other connection.
#[test]
fn a_connection_cannot_use_the_port_of_another_socket() {
    for family in Family::BOTH {
        let link = Link::plain(1);
        let (own, any) = (link.server.at(family, PORT), SocketAddr::new(family.unspecified(), PORT));
        let remote = link.client.at(family, 40_000);
        for taken in [own, any] {
            let socket = TcpSocket::bind(&link.server.network, taken).expect("the port is free");
            for local in [own, any] {
                assert_eq!(
                    connect_from(&link, local, remote),
                    [const { Err(ConnectError::AddressInUse) }; 2],
                    "{local}"
                );
            }
            let listener = socket.listen(ListenOptions::default()).expect("it was free");
            for local in [own, any] {
                assert_eq!(
                    connect_from(&link, local, remote),
                    [const { Err(ConnectError::AddressInUse) }; 2],
                    "{local}"
                );
            }
            assert_eq!(link.server.flows(), 0);
            // The client reaches the listener after all of these attempts.
            link.block_on(async {
                let options = ConnectOptions { local: Some(remote), ..ConnectOptions::default() };
                let (client, accepted) =
                    join(TcpStream::connect_with(&link.client.network, own, options), listener.accept()).await;
                assert_eq!(accepted.expect("a connection").1, remote);
                client.expect("it listens").abort();
            });
            drop(listener);
            let another = link.client.at(family, 40_001);
            assert_eq!(connect_from(&link, own, another), [Ok(()), Ok(())], "it is free again");
            link.simulation.advance(SECOND);
        }
        link.assert_empty();
    }
}

#[test]
fn nobody_comes_to_listen_at_a_port_that_a_connection_is_being_made_from() {
    let link = Link::plain(1);
    link.block_on(async {
        let network = &link.server.network;
        let local = link.server.at(Family::V4, PORT);
        let options = || ConnectOptions { local: Some(local), ..ConnectOptions::default() };
        // A host that does not exist.
        let nowhere = SocketAddr::new(Family::V4.host(99), PORT);
        let connecting = TcpStream::start(network, nowhere, options()).expect("the port is free");
        let listen = || TcpListener::bind(network, local, ListenOptions::default());
        assert_eq!(listen().expect_err("taken"), BindError::AddressInUse);
        drop(connecting);
        drop(listen().expect("given up"));
        let there = link.client.listen(Family::V4, PORT, ListenOptions::default()).expect("a free port");
        let (stream, accepted) =
            join(TcpStream::connect_with(network, link.client.at(Family::V4, PORT), options()), there.accept()).await;
        drop(listen().expect("a connection that is made is another matter"));
        drop((stream.expect("it listens"), accepted.expect("a connection")));
    });
    link.assert_empty();
}

#[test]
fn a_connection_attempt_is_given_up_when_it_is_dropped() {
    let link = Link::plain(1);
    link.block_on(async {
        let remote = SocketAddr::new(Family::V4.host(99), PORT);
        let connecting = TcpStream::start(&link.client.network, remote, ConnectOptions::default()).expect("begun");
        assert_eq!(link.client.flows(), 1);
        drop(connecting);
    });
    link.assert_empty();
}

#[test]
fn invalid_arguments_are_reported_before_anything_is_sent() {
    let link = Link::plain(1);
    link.block_on(async {
        let network = &link.server.network;
        for (address, error) in [
            ("224.0.0.1:1", BindError::InvalidArgument),
            ("[::ffff:10.0.0.2]:1", BindError::InvalidArgument),
            ("192.0.2.1:1", BindError::AddressNotAvailable),
        ] {
            assert_eq!(
                TcpSocket::bind(network, address.parse().expect(address)).expect_err(address),
                error,
                "{address}"
            );
        }
        let none = ListenOptions { backlog: 0, ..ListenOptions::default() };
        assert_eq!(bound(&link, Family::V4).listen(none).expect_err("no backlog"), InvalidOption.into());
        let other = link.client.at(Family::V6, PORT);
        let connecting = bound(&link, Family::V4).connect(other, ConnectOptions::default());
        assert_eq!(connecting.expect_err("another family"), ConnectError::InvalidArgument);
    });
    link.assert_empty();
}

#[test]
fn a_task_can_wait_for_a_connection_without_accepting_it() {
    let link = Link::plain(1);
    link.block_on(async {
        let listener = link.server.listen(Family::V4, PORT, ListenOptions::default()).expect("a free port");
        let ready = || poll_fn(|context| listener.poll_accept_ready(context));
        link.cancelled_after(SECOND, ready()).await;
        let (stream, ()) =
            join(TcpStream::connect(&link.client.network, link.server.at(Family::V4, PORT)), ready()).await;
        ready().await;
        let accepted = listener.try_accept().expect("it is there");
        link.cancelled_after(SECOND, ready()).await;
        drop((stream, accepted));
        // If `accept` would fail, waiting for it also ends.
        link.server.manager.unmount_interface(xila_network_tests::link::INTERFACE).expect("it is mounted");
        ready().await;
        assert_eq!(listener.accept().await.expect_err("its interface is gone"), AcceptError::NetworkDown);
    });
}

#[test]
fn options_set_on_a_listener_apply_to_later_connections() {
    let link = Link::plain(1);
    link.block_on(async {
        let listener = link.server.listen(Family::V4, PORT, ListenOptions::default()).expect("a free port");
        let connect = || TcpStream::connect(&link.client.network, link.server.at(Family::V4, PORT));
        let (first, before) = join(connect(), listener.accept()).await;
        let keep_alive = KeepAlive { idle: SECOND * 10, interval: SECOND, count: 3 };
        listener.set_keep_alive(Some(keep_alive)).expect("good times");
        listener.set_hop_limit(HopLimit::ONE);
        let (second, after) = join(connect(), listener.accept()).await;
        let (before, after) = (before.expect("accepted").0, after.expect("accepted").0);
        assert_eq!((before.hop_limit(), before.keep_alive()), (TcpOptions::default().hop_limit, None));
        assert_eq!((after.hop_limit(), after.keep_alive()), (HopLimit::ONE, Some(keep_alive)));
        assert_eq!((listener.options().hop_limit, listener.options().keep_alive), (HopLimit::ONE, Some(keep_alive)));
        drop((first, second));
    });
}

#[test]
fn a_backlog_can_be_changed_while_it_fills() {
    let link = Link::plain(1);
    link.block_on(async {
        let options = ListenOptions { backlog: 1, ..ListenOptions::default() };
        let listener = link.server.listen(Family::V4, PORT, options).expect("a free port");
        assert_eq!(listener.set_backlog(0), Err(InvalidOption));
        let connect = || TcpStream::connect(&link.client.network, link.server.at(Family::V4, PORT));
        let _first = connect().await.expect("there is room for one");
        link.cancelled_after(SECOND / 2, connect()).await;
        listener.set_backlog(2).expect("a good backlog");
        assert_eq!(listener.backlog(), 2);
        let _second = connect().await.expect("there is room for two");
        listener.set_backlog(1).expect("a good backlog");
        drop((listener.accept().await.expect("one"), listener.accept().await.expect("two, kept")));
    });
}

/// Reads of odd sizes cross the chunks of the receive queue many times.
#[test]
fn arrived_bytes_are_read_into_a_vector_of_their_size() {
    let link = Link::plain(1);
    link.block_on(async {
        let tcp = TcpOptions { receive_buffer: 5000, ..TcpOptions::default() };
        let listen = ListenOptions { tcp, ..ListenOptions::default() };
        let (client, server) = link.pair_with(Family::V4, ConnectOptions::default(), listen).await;
        assert_eq!(server.try_read_vec(10), Err(ReadError::WouldBlock));
        assert_eq!(server.try_read_vec(0), Ok(Vec::new()));
        let sending = async {
            send(&client, 3, 300_000).await.expect("it carries");
            client.shutdown(std::net::Shutdown::Write).expect("open");
        };
        let receiving = async {
            let mut bytes = Bytes::new(3);
            loop {
                poll_fn(|context| server.poll_read_ready(context)).await.expect("up");
                let read = server.try_read_vec(777).expect("ready");
                assert!(read.len() <= 777 && read.capacity() <= 777, "{} of {}", read.len(), read.capacity());
                if read.is_empty() {
                    return bytes.position();
                }
                bytes.check(&read);
            }
        };
        assert_eq!(join(sending, receiving).await, ((), 300_000));
        assert_eq!(server.try_read_vec(10), Ok(Vec::new()), "the end is the end");
    });
}

#[test]
fn a_write_takes_as_many_bytes_as_there_is_room_for() {
    let link = Link::plain(1);
    link.block_on(async {
        let tcp = TcpOptions { send_buffer: 10_000, ..TcpOptions::default() };
        let connect = ConnectOptions { tcp, ..ConnectOptions::default() };
        let (client, server) = link.pair_with(Family::V4, connect, ListenOptions::default()).await;
        // Nothing is acknowledged in between: no task waits, so no virtual time passes.
        assert_eq!(client.send_room(), Ok(10_000));
        assert_eq!(client.try_write(&[7; 9_999]), Ok(9_999));
        assert_eq!(client.send_room(), Ok(1));
        assert_eq!(client.try_write(&[7; 2]), Ok(1));
        assert_eq!(client.send_room(), Ok(0));
        assert_eq!(client.try_write(&[7; 1]), Err(WriteError::WouldBlock));
        client.shutdown(std::net::Shutdown::Write).expect("open");
        assert_eq!(client.send_room(), Err(WriteError::BrokenPipe));
        drop(server);
    });
}
