//! Connections that end without a reset.

use std::net::Shutdown;
use std::time::Duration;

use futures_util::future::{join, join4};
use xila_network_host::device::Link as Carrier;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::{ConnectOptions, ListenOptions, TcpOptions, TcpState};
use xila_network_host::{ReadError, WriteError};
use xila_network_tests::link::{Bytes, Family, Link, receive, receive_next, send};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn the_client_closes_its_half_and_continues_to_receive() {
    for family in Family::BOTH {
        let link = Link::plain(1);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            send(&client, 1, 1000).await.expect("it is sent");
            client.shutdown(Shutdown::Write).expect("the connection is there");
            assert_eq!(receive(&server, 1).await, Ok(1000));
            link.sleep(SECOND * 200).await;
            assert_eq!((client.state(), server.state()), (TcpState::FinWait2, TcpState::CloseWait));
            let sending = async {
                send(&server, 2, 1 << 20).await.expect("the other half is open");
                server.shutdown(Shutdown::Write).expect("the connection is there");
            };
            assert_eq!(join(sending, receive(&client, 2)).await.1, Ok(1 << 20));
        });
        link.assert_empty();
    }
}

#[test]
fn the_server_closes_its_half_and_continues_to_receive() {
    for family in Family::BOTH {
        let link = Link::plain(2);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            server.shutdown(Shutdown::Write).expect("the connection is there");
            assert_eq!(receive(&client, 0).await, Ok(0));
            link.sleep(SECOND * 200).await;
            let sending = async {
                send(&client, 3, 1 << 20).await.expect("the other half is open");
                drop(client);
            };
            assert_eq!(join(sending, receive(&server, 3)).await.1, Ok(1 << 20));
        });
        link.assert_empty();
    }
}

#[test]
fn a_write_after_shutdown_is_a_broken_pipe() {
    let link = Link::plain(3);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        client.shutdown(Shutdown::Write).expect("the connection is there");
        for _ in 0..2 {
            assert_eq!(client.write(b"late").await, Err(WriteError::BrokenPipe));
            assert_eq!(client.try_write(b"late"), Err(WriteError::BrokenPipe));
            assert_eq!(client.shutdown(Shutdown::Write), Ok(()), "closing again changes nothing");
            link.sleep(SECOND).await;
        }
        drop(server);
        link.sleep(SECOND).await;
        assert_eq!(client.write(b"late").await, Err(WriteError::BrokenPipe));
        assert_eq!(client.shutdown(Shutdown::Write), Ok(()));
    });
    link.assert_empty();
}

#[test]
fn a_write_that_waits_is_a_broken_pipe_once_another_task_shuts_down() {
    let link = Link::plain(4);
    link.block_on(async {
        let (client, _server) = link.pair(Family::V4).await;
        let closing = async {
            link.sleep(SECOND).await;
            client.shutdown(Shutdown::Write).expect("the connection is there");
        };
        let (written, ()) = join(send(&client, 1, 1 << 30), closing).await;
        assert_eq!(written, Err(WriteError::BrokenPipe));
    });
}

#[test]
fn the_end_of_the_stream_is_read_again_and_again() {
    for family in Family::BOTH {
        let link = Link::plain(5);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            send(&client, 4, 10).await.expect("it is sent");
            drop(client);
            assert_eq!(receive(&server, 4).await, Ok(10));
            for _ in 0..3 {
                assert_eq!(server.read(&mut [0; 8]).await, Ok(0));
                assert_eq!(server.try_read(&mut [0; 8]), Ok(0));
                link.sleep(SECOND).await;
            }
            server.shutdown(Shutdown::Write).expect("the connection is there");
            link.sleep(SECOND * 30).await;
            assert_eq!(server.read(&mut [0; 8]).await, Ok(0), "also when both halves have ended");
        });
        link.assert_empty();
    }
}

#[test]
fn a_closed_receiving_half_reads_as_ended() {
    let link = Link::plain(6);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        let closing = async {
            link.sleep(SECOND).await;
            server.shutdown(Shutdown::Read).expect("the connection is there");
        };
        let mut buffer = [0; 8];
        let (read, ()) = join(server.read(&mut buffer), closing).await;
        assert_eq!(read, Ok(0), "a read that waits ends too");
        send(&client, 5, 100).await.expect("it is sent");
        link.sleep(SECOND).await;
        assert_eq!(server.read(&mut [0; 8]).await, Ok(0));
        send(&server, 6, 100).await.expect("the other half is open");
        assert_eq!(receive_next(&client, &mut Bytes::new(6), 100).await, Ok(()));
    });
}

#[test]
fn both_close_at_the_same_time() {
    for family in Family::BOTH {
        let link = Link::plain(7);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            link.sleep(SECOND).await;
            client.shutdown(Shutdown::Write).expect("the connection is there");
            server.shutdown(Shutdown::Write).expect("the connection is there");
            let both = join4(receive(&client, 0), receive(&server, 0), client.closed(), server.closed());
            let (ends, took) = link.within(SECOND, both).await;
            assert_eq!(ends, (Ok(0), Ok(0), Ok(()), Ok(())));
            assert!(took <= MILLISECOND * 20, "{took:?}");
            assert_eq!((link.client.time_wait(), link.server.time_wait()), (1, 1), "both wait, as RFC 9293 has it");
        });
        link.assert_empty();
    }
}

#[test]
fn both_close_at_the_same_time_with_data_in_flight() {
    for loss in [0.0, 0.05] {
        for seed in 0..10 {
            let options = HubOptions { latency: MILLISECOND, loss, queue: 4096, ..HubOptions::default() };
            let link = Link::new(seed, options);
            link.block_on(async {
                let (client, server) = link.pair(Family::V6).await;
                send(&client, 1, 100_000).await.expect("it fits the buffer");
                send(&server, 2, 100_000).await.expect("it fits the buffer");
                client.shutdown(Shutdown::Write).expect("the connection is there");
                server.shutdown(Shutdown::Write).expect("the connection is there");
                let (there, back) = join(receive(&server, 1), receive(&client, 2)).await;
                assert_eq!((there, back), (Ok(100_000), Ok(100_000)), "seed {seed}");
            });
            link.simulation.advance(SECOND * 300);
            link.assert_empty();
        }
    }
}

#[test]
fn closed_waits_for_the_peers_acknowledgement_of_the_end() {
    let link = Link::plain(8);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        send(&client, 7, 1000).await.expect("it is sent");
        let (flushed, took) = link.within(SECOND, client.flush()).await;
        assert_eq!(flushed, Ok(()));
        assert!(took >= MILLISECOND * 2, "a round trip, not {took:?}");
        link.server.cable.set_link(Carrier::Down);
        client.shutdown(Shutdown::Write).expect("the connection is there");
        link.cancelled_after(SECOND * 5, client.closed()).await;
        link.server.cable.set_link(Carrier::Up);
        assert_eq!(client.closed().await, Ok(()));
        assert_eq!(receive(&server, 7).await, Ok(1000));
    });
    link.assert_empty();
}

/// The last segment has both data and the FIN, and its receiver has already closed: the acknowledgement must not wait
/// for the delayed-acknowledgement timer, which does not run in TIME-WAIT.
#[test]
fn the_last_data_is_acknowledged_if_the_receiver_has_already_closed() {
    for length in [1, 1000, 1460, 100_000, 400_000] {
        let link = Link::plain(9);
        link.block_on(async {
            let (client, server) = link.pair(Family::V4).await;
            client.shutdown(Shutdown::Write).expect("the connection is there");
            assert_eq!(receive(&server, 0).await, Ok(0));
            server.set_no_delay(false);
            let sending = async {
                send(&server, 8, length).await.expect("it is sent");
                server.shutdown(Shutdown::Write).expect("the connection is there");
                link.within(SECOND * 20, server.closed()).await
            };
            let ((closed, took), received) = join(sending, receive(&client, 8)).await;
            assert_eq!((closed, received), (Ok(()), Ok(length)));
            assert!(took < MILLISECOND * 500, "{length} bytes: {took:?}");
        });
        link.assert_empty();
    }
}

#[test]
fn a_connection_idle_for_an_hour_closes_without_a_reset() {
    for family in Family::BOTH {
        for client_first in [true, false] {
            let link = Link::plain(10);
            link.block_on(async {
                let (client, server) = link.pair(family).await;
                send(&client, 9, 100).await.expect("it is sent");
                receive_next(&server, &mut Bytes::new(9), 100).await.expect("it arrives");
                link.sleep(SECOND * 3600).await;
                let (first, second) = if client_first { (client, server) } else { (server, client) };
                first.shutdown(Shutdown::Write).expect("the connection is there");
                let (ended, took) = link.within(SECOND, receive(&second, 0)).await;
                assert_eq!(ended, Ok(0));
                assert!(took < MILLISECOND * 10, "{took:?}");
                link.sleep(SECOND * 3600).await;
                drop(second);
                assert_eq!(link.within(SECOND, receive(&first, 0)).await.0, Ok(0));
                assert_eq!(first.closed().await, Ok(()));
            });
            link.assert_empty();
        }
    }
}

#[test]
fn written_bytes_are_delivered_after_the_stream_was_dropped() {
    for family in Family::BOTH {
        for loss in [0.0, 0.05] {
            let link = Link::new(11, HubOptions { latency: MILLISECOND * 20, loss, ..HubOptions::default() });
            link.block_on(async {
                let tcp = TcpOptions { send_buffer: 1 << 20, linger: SECOND * 600, ..TcpOptions::default() };
                let connect = ConnectOptions { tcp, ..ConnectOptions::default() };
                let (client, server) = link.pair_with(family, connect, ListenOptions::default()).await;
                send(&client, 10, 1_000_000).await.expect("it fits the buffer");
                assert!(client.statistics().send_queue > 500_000, "most of it has not left");
                drop(client);
                assert_eq!(link.client.flows(), 1, "the stack lingers");
                assert_eq!(receive(&server, 10).await, Ok(1_000_000));
            });
            link.simulation.advance(SECOND * 300);
            link.assert_empty();
        }
    }
}

#[test]
fn a_lingering_connection_whose_peer_is_gone_is_freed_after_the_linger_time() {
    let link = Link::plain(12);
    link.block_on(async {
        for (linger, unsent) in [(SECOND * 60, 100_000), (SECOND * 5, 100_000), (SECOND * 5, 0)] {
            let connect =
                ConnectOptions { tcp: TcpOptions { linger, ..TcpOptions::default() }, ..ConnectOptions::default() };
            let (client, server) = link.pair_with(Family::V4, connect, ListenOptions::default()).await;
            link.server.cable.set_link(Carrier::Down);
            send(&client, 11, unsent).await.expect("it fits the buffer");
            drop(client);
            link.sleep(linger - SECOND).await;
            assert_eq!(link.client.flows(), 1, "it still tries");
            link.sleep(SECOND * 2).await;
            assert_eq!(link.client.flows(), 0);
            link.server.cable.set_link(Carrier::Up);
            drop(server);
            link.sleep(SECOND * 130).await;
        }
    });
    link.assert_empty();
}

#[test]
fn a_peer_that_never_closes_is_reset_after_the_linger_time() {
    let link = Link::plain(13);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        drop(client);
        assert_eq!(receive(&server, 0).await, Ok(0));
        link.sleep(SECOND * 61).await;
        assert_eq!(link.client.flows(), 0);
        assert_eq!(server.read(&mut [0; 8]).await, Err(ReadError::ConnectionReset));
    });
    link.assert_empty();
}

/// The peer has closed its half and does not read, so its window closes. Queued data is sent at once when the window
/// opens, although this half has been closed as well, and not only when the probe timer expires, which would take a
/// second.
#[test]
fn data_queued_behind_a_closed_window_follows_at_once_after_both_have_closed() {
    for family in Family::BOTH {
        let link = Link::plain(40);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            client.shutdown(Shutdown::Write).expect("the connection is there");
            assert_eq!(receive(&server, 0).await, Ok(0));
            let mut written = 0;
            // Fill the peer's window and then this end's buffer.
            let mut bytes = Bytes::new(4);
            while let Some(chunk) = link.at_most(SECOND / 10, next(&server, &mut bytes)).await {
                written += chunk;
            }
            server.shutdown(Shutdown::Write).expect("the connection is there");
            link.sleep(SECOND / 10).await;
            let (received, took) = link.within(SECOND * 10, receive(&client, 4)).await;
            assert_eq!(received, Ok(written));
            assert!(took < SECOND / 2, "{took:?}");
        });
        link.assert_empty();
    }
}

/// Writes a few of the bytes; none is lost if the write is cancelled.
async fn next(stream: &xila_network_host::socket::TcpStream, bytes: &mut Bytes) -> u64 {
    let mut chunk = [0; 1000];
    std::future::poll_fn(|context| stream.poll_write_ready(context)).await.expect("the half is open");
    let mut ahead = Bytes::new(4);
    let mut skipped = vec![0; usize::try_from(bytes.position()).expect("a small number")];
    ahead.fill(&mut skipped);
    ahead.fill(&mut chunk);
    let count = stream.try_write(&chunk).expect("it was ready");
    bytes.fill(&mut chunk[..count]);
    count as u64
}

/// A receiver that has closed its receiving half does not block the sender.
#[test]
fn data_that_arrives_after_the_receiving_half_was_closed_is_discarded() {
    let link = Link::plain(41);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        server.shutdown(Shutdown::Read).expect("the connection is there");
        let (sent, _) = link.within(SECOND * 60, send(&client, 5, 4 << 20)).await;
        assert_eq!(sent, Ok(()));
        client.flush().await.expect("all of it is acknowledged");
        send(&server, 6, 1000).await.expect("the other half is open");
        assert_eq!(server.shutdown(Shutdown::Write), Ok(()));
        assert_eq!(receive(&client, 6).await, Ok(1000));
    });
    link.assert_empty();
}

/// Bytes that were unread when the receiving half was closed are lost, and the peer is told by a reset in the end.
#[test]
fn closing_the_receiving_half_does_not_hide_that_bytes_were_unread() {
    let link = Link::plain(42);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        send(&client, 7, 1000).await.expect("the connection is there");
        client.flush().await.expect("it arrives");
        server.shutdown(Shutdown::Read).expect("the connection is there");
        drop(server);
        assert_eq!(client.read(&mut [0; 8]).await, Err(ReadError::ConnectionReset));
    });
    link.assert_empty();
}
