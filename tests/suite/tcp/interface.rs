//! Interfaces that go down, are unmounted, or lose an address while they have connections.

use std::time::Duration;

use futures_util::future::join3;
use xila_network_host::address::Cidr;
use xila_network_host::device::Link as Carrier;
use xila_network_host::interface::State;
use xila_network_host::socket::{ConnectOptions, KeepAlive, ListenOptions, TcpListener, TcpOptions, TcpStream};
use xila_network_host::{AcceptError, ConfigureError, ConnectError, InterfaceNotFound, ReadError, WriteError};
use xila_network_tests::link::{Bytes, Family, INTERFACE, Link, PORT, receive, receive_next, send};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn waiting_operations_fail_when_the_interface_goes_down_and_connections_continue_when_it_is_up() {
    for family in Family::BOTH {
        for which in ["client", "server"] {
            let link = Link::plain(1);
            link.block_on(async {
                let (client, server) = link.pair(family).await;
                let (host, near, far) =
                    if which == "client" { (&link.client, &client, &server) } else { (&link.server, &server, &client) };
                // A read waits, and a write fills the buffers and then waits.
                let reading = async { near.read(&mut [0; 8]).await };
                let mut written = Bytes::new(1);
                let writing = async {
                    let mut buffer = vec![0; 1000];
                    loop {
                        let mut next = written.clone();
                        next.fill(&mut buffer);
                        let count = near.write(&buffer).await?;
                        written.fill(&mut buffer[..count]);
                    }
                };
                let down = async {
                    link.sleep(SECOND).await;
                    host.interface().set_state(State::Down);
                };
                let (read, wrote, ()): (_, Result<(), WriteError>, _) = join3(reading, writing, down).await;
                assert_eq!((read, wrote), (Err(ReadError::NetworkDown), Err(WriteError::NetworkDown)));
                assert_eq!(near.try_read(&mut [0; 8]), Err(ReadError::NetworkDown));
                assert_eq!(near.try_write(b"x"), Err(WriteError::NetworkDown));
                let refused = TcpStream::connect(&host.interface().network(), far.local_addr()).await;
                assert_eq!(refused.expect_err("it is down"), ConnectError::NetworkDown);
                send(far, 2, 5000).await.expect("the other host is up");
                link.sleep(SECOND * 60).await;
                assert_eq!(far.try_read(&mut [0; 0]), Ok(0));
                host.interface().set_state(State::Up);
                let length = usize::try_from(written.position()).expect("a buffer or two");
                receive_next(far, &mut Bytes::new(1), length).await.expect("what was written before");
                receive_next(near, &mut Bytes::new(2), 5000).await.expect("what was written meanwhile");
                send(near, 3, 100_000).await.expect("it goes on");
                receive_next(far, &mut Bytes::new(3), 100_000).await.expect("it goes on");
            });
            link.assert_empty();
        }
    }
}

#[test]
fn a_connection_attempt_fails_when_the_interface_goes_down() {
    let link = Link::plain(2);
    link.block_on(async {
        link.server.cable.set_link(Carrier::Down);
        let connecting = TcpStream::connect(&link.client.network, link.server.at(Family::V4, PORT));
        let down = async {
            link.sleep(SECOND).await;
            link.client.interface().set_state(State::Down);
        };
        let (connected, ()) = futures_util::future::join(connecting, down).await;
        assert_eq!(connected.expect_err("it is down"), ConnectError::NetworkDown);
        link.client.interface().set_state(State::Up);
    });
    link.assert_empty();
}

#[test]
fn a_listener_lives_through_down_and_up() {
    let link = Link::plain(3);
    link.block_on(async {
        let network = link.server.interface().network();
        let local = link.server.at(Family::V4, PORT);
        let listener = TcpListener::bind(&network, local, ListenOptions::default()).expect("a free port");
        let down = async {
            link.sleep(SECOND).await;
            link.server.interface().set_state(State::Down);
        };
        let (accepted, ()) = futures_util::future::join(listener.accept(), down).await;
        assert_eq!(accepted.expect_err("it is down"), AcceptError::NetworkDown);
        link.server.interface().set_state(State::Up);
        let connecting = TcpStream::connect(&link.client.network, local);
        let (stream, accepted) = futures_util::future::join(connecting, listener.accept()).await;
        assert_eq!(stream.expect("it is up").local_addr(), accepted.expect("it is up").1);
    });
    link.assert_empty();
}

#[test]
fn a_stream_dropped_while_its_interface_is_down_is_closed_once_it_is_up() {
    let link = Link::plain(4);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        send(&client, 4, 10_000).await.expect("it fits the buffers");
        link.client.interface().set_state(State::Down);
        drop(client);
        link.sleep(SECOND * 5).await;
        link.client.interface().set_state(State::Up);
        assert_eq!(receive(&server, 4).await, Ok(10_000));
    });
    link.assert_empty();
}

#[test]
fn unmounting_fails_all_operations_and_returns_the_device() {
    for family in Family::BOTH {
        let link = Link::plain(5);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            let (idle, _idle_peer) = link.pair(family).await;
            let listener = link.client.listen(family, 80, ListenOptions::default()).expect("a free port");
            let config = link.client.config();
            let silent = std::net::SocketAddr::new(family.host(77), PORT);
            let reading = async { client.read(&mut [0; 8]).await };
            let writing = send(&client, 1, 1 << 30);
            let others = join3(TcpStream::connect(&link.client.network, silent), listener.accept(), async {
                idle.read(&mut [0; 8]).await
            });
            let unmounting = async {
                link.sleep(SECOND).await;
                link.client.manager.unmount_interface(INTERFACE)
            };
            let ((read, written, (connected, accepted, idle_read)), device) =
                futures_util::future::join(join3(reading, writing, others), unmounting).await;
            let mut device = device.expect("it was mounted");
            assert_eq!(device.driver(), "hub");
            assert_eq!((read, written), (Err(ReadError::NetworkDown), Err(WriteError::NetworkDown)));
            assert_eq!(connected.expect_err("unmounted"), ConnectError::NetworkDown);
            assert_eq!(accepted.expect_err("unmounted"), AcceptError::NetworkDown);
            assert_eq!(idle_read, Err(ReadError::NetworkDown));
            assert_eq!(client.try_write(b"x"), Err(WriteError::NetworkDown));
            assert_eq!(client.interface(), INTERFACE);
            assert_eq!(link.client.manager.unmount_interface(INTERFACE).err(), Some(InterfaceNotFound));
            assert_eq!(link.client.manager.interface(INTERFACE).err(), Some(InterfaceNotFound));

            // The device works under a new stack, while streams and the listener of the old one still exist.
            assert!(device.allocate(link.simulation.now(), 100).is_some());
            link.client.manager.mount_interface(INTERFACE, device, config).expect("the name is free");
            assert_eq!(client.try_read(&mut [0; 8]), Err(ReadError::NetworkDown), "the old socket stays dead");
            drop((client, idle, listener));
            let mut buffer = [0; 1000];
            let reset = async {
                loop {
                    match server.read(&mut buffer).await {
                        Ok(0) => panic!("a stream cut off in its middle has no end"),
                        Ok(_) => {}
                        Err(error) => return error,
                    }
                }
            };
            send(&server, 9, 100).await.expect("the peer does not know yet");
            assert_eq!(link.within(SECOND * 300, reset).await.0, ReadError::ConnectionReset);
            let (again, accepted) = link.pair(family).await;
            send(&again, 2, 1000).await.expect("the new interface carries");
            drop(again);
            assert_eq!(receive(&accepted, 2).await, Ok(1000));
        });
        link.simulation.advance(SECOND * 300);
        link.assert_empty();
    }
}

#[test]
fn connections_of_a_removed_address_fail_and_others_go_on() {
    for family in Family::BOTH {
        let link = Link::plain(6);
        link.block_on(async {
            let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
            let (kept, kept_peer) = link.pair(other).await;
            let (client, server) = link.pair(family).await;
            let prefix = if family == Family::V4 { 24 } else { 64 };
            let address = Cidr::new(link.client.address(family), prefix).expect("an address");
            let reading = async { client.read(&mut [0; 8]).await };
            let writing = send(&client, 1, 1 << 30);
            let removing = async {
                link.sleep(SECOND).await;
                link.client.interface().remove_address(address)
            };
            let ((read, written, removed), took) = link.within(SECOND * 60, join3(reading, writing, removing)).await;
            assert_eq!(removed, Ok(()));
            assert_eq!((read, written), (Err(ReadError::AddressNotAvailable), Err(WriteError::AddressNotAvailable)));
            assert_eq!(took, SECOND);
            send(&kept, 2, 1000).await.expect("another address");
            receive_next(&kept_peer, &mut Bytes::new(2), 1000).await.expect("another address");
            assert_eq!(link.client.interface().remove_address(address), Err(ConfigureError::AddressNotAvailable));
            drop((client, server));
        });
        link.simulation.advance(SECOND * 200);
        link.assert_empty();
    }
}

#[test]
fn a_pulled_cable_delays_a_transfer_and_breaks_nothing() {
    for family in Family::BOTH {
        let link = Link::plain(7);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            let sending = async {
                send(&client, 5, 8 << 20).await.expect("it is sent");
                drop(client);
            };
            let pulling = async {
                for _ in 0..4 {
                    link.sleep(Duration::from_millis(20)).await;
                    link.server.cable.set_link(Carrier::Down);
                    link.sleep(SECOND * 4).await;
                    link.server.cable.set_link(Carrier::Up);
                }
            };
            let ((), received, ()) = join3(sending, receive(&server, 5), pulling).await;
            assert_eq!(received, Ok(8 << 20));
        });
        link.assert_empty();
    }
}

#[test]
fn a_long_time_down_does_not_end_connections_whose_peers_have_not_given_up() {
    for family in Family::BOTH {
        let link = Link::plain(8);
        link.block_on(async {
            let keep = KeepAlive { idle: SECOND * 30, interval: SECOND, count: 3 };
            let tcp = TcpOptions { keep_alive: Some(keep), ..TcpOptions::default() };
            let connect = ConnectOptions { tcp, ..ConnectOptions::default() };
            let (client, server) = link.pair_with(family, connect, ListenOptions::default()).await;
            // These bytes are in flight when the peer's cable is pulled.
            link.server.cable.set_link(Carrier::Down);
            send(&client, 6, 10_000).await.expect("it fits the buffers");
            link.client.interface().set_state(State::Down);
            link.sleep(SECOND * 3600).await;
            link.server.cable.set_link(Carrier::Up);
            link.client.interface().set_state(State::Up);
            let arrives = async { receive_next(&server, &mut Bytes::new(6), 10_000).await };
            assert_eq!(link.within(SECOND * 61, arrives).await.0, Ok(()));
        });
        link.assert_empty();
    }
}

#[test]
fn a_listener_fails_with_the_interface_or_the_address_that_it_is_bound_to() {
    for family in Family::BOTH {
        let link = Link::plain(9);
        link.block_on(async {
            let prefix = if family == Family::V4 { 24 } else { 64 };
            let address = Cidr::new(link.server.address(family), prefix).expect("an address");
            // The listener is on the whole network, so the loopback serves it too.
            let listener = link.server.listen(family, PORT, ListenOptions::default()).expect("a free port");
            let any = std::net::SocketAddr::new(family.unspecified(), PORT + 1);
            let wildcard = TcpListener::bind(&link.server.network, any, ListenOptions::default()).expect("a free port");
            let interface = link.server.interface();
            let changed = async {
                link.sleep(SECOND).await;
                interface.remove_address(address)
            };
            let (accepted, removed) = futures_util::future::join(listener.accept(), changed).await;
            assert_eq!(removed, Ok(()));
            assert_eq!(accepted.expect_err("the address is gone"), AcceptError::AddressNotAvailable);
            interface.add_address(address).expect("it has just been removed");
            let (stream, accepted) = futures_util::future::join(
                TcpStream::connect(&link.client.network, link.server.at(family, PORT)),
                listener.accept(),
            )
            .await;
            assert_eq!(stream.expect("it is back").local_addr(), accepted.expect("it is back").1);
            let changed = async {
                link.sleep(SECOND).await;
                link.server.manager.unmount_interface(INTERFACE)
            };
            let (accepted, unmounted) = futures_util::future::join(listener.accept(), changed).await;
            assert!(unmounted.is_ok());
            assert_eq!(accepted.expect_err("the interface is gone"), AcceptError::NetworkDown);
            link.cancelled_after(SECOND, wildcard.accept()).await;
            drop((listener, wildcard));
        });
        link.simulation.advance(SECOND * 100);
        link.assert_empty();
    }
}
