//! Connections that end with a reset.

use std::net::Shutdown;
use std::time::Duration;

use futures_util::future::join;
use xila_network_host::socket::{ConnectOptions, ListenOptions, TcpOptions, TcpState, TcpStream};
use xila_network_host::{ConnectError, ReadError, WriteError};
use xila_network_tests::link::{Bytes, Family, Link, PORT, receive, receive_next, send};

const SECOND: Duration = Duration::from_secs(1);

/// Asserts that reads from a stream fail with one error, and all other operations with another.
async fn assert_failed(link: &Link, stream: &TcpStream, of_reads: ReadError, of_writes: WriteError) {
    for _ in 0..2 {
        assert_eq!(link.within(SECOND, stream.read(&mut [0; 8])).await.0, Err(of_reads));
        assert_eq!(link.within(SECOND, stream.write(b"late")).await.0, Err(of_writes));
        assert_eq!(link.within(SECOND, stream.flush()).await.0, Err(of_writes));
        assert_eq!(stream.shutdown(Shutdown::Write), Err(of_writes));
    }
}

#[test]
fn bytes_before_a_reset_are_read_before_the_error() {
    for family in Family::BOTH {
        let link = Link::plain(1);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            send(&client, 1, 5000).await.expect("it is sent");
            link.sleep(SECOND).await;
            client.abort();
            link.sleep(SECOND).await;
            assert_eq!(server.state(), TcpState::Closed);
            receive_next(&server, &mut Bytes::new(1), 5000).await.expect("what came before");
            assert_failed(&link, &server, ReadError::ConnectionReset, WriteError::ConnectionReset).await;
            assert_failed(&link, &client, ReadError::ConnectionAborted, WriteError::ConnectionAborted).await;
            assert_eq!(link.server.interface().statistics().tcp_resets, 1);
        });
        link.assert_empty();
    }
}

#[test]
fn those_who_wait_learn_of_a_reset() {
    for family in Family::BOTH {
        let link = Link::plain(2);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            let reading = async { server.read(&mut [0; 8]).await };
            let writing = send(&server, 2, 1 << 30);
            let aborting = async {
                link.sleep(SECOND).await;
                client.abort();
            };
            let waiting = join(join(reading, writing), aborting);
            let (((read, written), ()), took) = link.within(SECOND * 5, waiting).await;
            assert_eq!((read, written), (Err(ReadError::ConnectionReset), Err(WriteError::ConnectionReset)));
            assert!(took < SECOND + Duration::from_millis(10), "{took:?}");
        });
        link.assert_empty();
    }
}

#[test]
fn waiting_tasks_get_an_error_when_their_own_end_is_aborted() {
    let link = Link::plain(3);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        let reading = async { client.read(&mut [0; 8]).await };
        let aborting = async {
            link.sleep(SECOND).await;
            client.abort();
        };
        let (read, ()) = join(reading, aborting).await;
        assert_eq!(read, Err(ReadError::ConnectionAborted));
        assert_eq!(server.read(&mut [0; 8]).await, Err(ReadError::ConnectionReset));
    });
    link.assert_empty();
}

#[test]
fn dropping_a_stream_with_unread_bytes_resets_the_peer() {
    for family in Family::BOTH {
        let link = Link::plain(4);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            send(&client, 3, 100).await.expect("it is sent");
            link.sleep(SECOND).await;
            drop(server);
            let (read, took) = link.within(SECOND, client.read(&mut [0; 8])).await;
            assert_eq!(read, Err(ReadError::ConnectionReset));
            assert!(took <= Duration::from_millis(5), "{took:?}");
            assert_eq!(link.server.flows(), 0);
        });
        link.assert_empty();
    }
}

#[test]
fn dropping_a_stream_with_unread_bytes_and_the_peers_end_resets_the_peer() {
    let link = Link::plain(5);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        send(&client, 4, 100).await.expect("it is sent");
        client.shutdown(Shutdown::Write).expect("the connection is there");
        link.sleep(SECOND).await;
        drop(server);
        assert_eq!(link.within(SECOND, client.read(&mut [0; 8])).await.0, Err(ReadError::ConnectionReset));
    });
    link.assert_empty();
}

#[test]
fn bytes_that_arrive_after_the_stream_was_dropped_reset_the_peer() {
    for family in Family::BOTH {
        let link = Link::plain(6);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            drop(server);
            assert_eq!(client.read(&mut [0; 8]).await, Ok(0));
            send(&client, 5, 100).await.expect("the peer's half is closed, this one is not");
            let (written, _) = link.within(SECOND * 5, send(&client, 5, 1 << 30)).await;
            assert_eq!(written, Err(WriteError::ConnectionReset));
            assert_eq!(link.server.flows(), 0);
        });
        link.assert_empty();
    }
}

#[test]
fn a_linger_time_of_zero_resets_the_peer() {
    let link = Link::plain(7);
    link.block_on(async {
        let tcp = TcpOptions { linger: Duration::ZERO, ..TcpOptions::default() };
        let connect = ConnectOptions { tcp, ..ConnectOptions::default() };
        let (client, server) = link.pair_with(Family::V4, connect, ListenOptions::default()).await;
        drop(client);
        assert_eq!(server.read(&mut [0; 8]).await, Err(ReadError::ConnectionReset));
        assert_eq!((link.client.flows(), link.client.time_wait()), (0, 0));
    });
    link.assert_empty();
}

#[test]
fn a_failed_stream_can_be_queried_and_dropped() {
    let link = Link::plain(8);
    link.block_on(async {
        let (client, server) = link.pair(Family::V6).await;
        client.abort();
        client.abort();
        link.sleep(SECOND).await;
        for stream in [&client, &server] {
            assert_eq!(stream.state(), TcpState::Closed);
            assert_eq!(stream.statistics().send_queue, 0);
            assert_eq!(stream.options(), TcpOptions::default());
            assert_eq!(stream.peer_addr().is_ipv6(), stream.local_addr().is_ipv6());
            stream.set_no_delay(true);
        }
        let refused = TcpStream::connect(&link.client.network, link.server.at(Family::V6, PORT)).await;
        assert_eq!(refused.expect_err("nobody listens"), ConnectError::ConnectionRefused);
    });
    link.assert_empty();
}

#[test]
fn a_host_that_has_forgotten_the_connection_resets_it() {
    for family in Family::BOTH {
        let link = Link::plain(9);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            let config = link.server.config();
            let device = link.server.manager.unmount_interface("eth0").expect("it is mounted");
            link.server.manager.mount_interface("eth0", device, config).expect("it is mounted again");
            drop(server);
            send(&client, 6, 100).await.expect("it is sent");
            let (read, _) = link.within(SECOND * 5, client.read(&mut [0; 8])).await;
            assert_eq!(read, Err(ReadError::ConnectionReset));
        });
        link.assert_empty();
    }
}

#[test]
fn unread_bytes_survive_the_end_of_both_halves() {
    let link = Link::plain(10);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        server.shutdown(Shutdown::Write).expect("the connection is there");
        send(&client, 7, 50_000).await.expect("it is sent");
        drop(client);
        link.sleep(SECOND * 3600).await;
        assert_eq!(receive(&server, 7).await, Ok(50_000));
    });
    link.assert_empty();
}

/// The other host still has the old connection, and learns from the first segments of the new one that it is dead.
#[test]
fn a_restarted_host_connects_again_from_the_same_port() {
    for family in Family::BOTH {
        let link = Link::plain(11);
        link.block_on(async {
            let local = link.client.at(family, 5000);
            let connect = ConnectOptions { local: Some(local), ..ConnectOptions::default() };
            let (lost, old) = link.pair_with(family, connect.clone(), ListenOptions::default()).await;
            let config = link.client.config();
            let device = link.client.manager.unmount_interface("eth0").expect("it is mounted");
            link.client.manager.mount_interface("eth0", device, config).expect("it is mounted again");
            drop(lost);
            let (again, took) =
                link.within(SECOND * 5, link.pair_with(family, connect, ListenOptions::default())).await;
            assert!(took < SECOND * 3 / 2, "{took:?}");
            assert_eq!(old.read(&mut [0; 8]).await, Err(ReadError::ConnectionReset));
            let (client, server) = again;
            send(&client, 8, 1000).await.expect("it carries");
            drop(client);
            assert_eq!(receive(&server, 8).await, Ok(1000));
        });
        link.assert_empty();
    }
}
