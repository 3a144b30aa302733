//! All bytes arrive in order and once, whatever the link does.

use std::net::Shutdown;
use std::time::Duration;

use futures_util::future::{join, join4};
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::{ConnectOptions, ListenOptions, TcpOptions, TcpStream};
use xila_network_tests::link::{Bytes, Family, Link, receive, receive_next, send};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const MIB: u64 = 1 << 20;

/// A link with delay, jitter, reordering and duplication, and the given loss.
fn rough(loss: f64) -> HubOptions {
    HubOptions {
        latency: MILLISECOND,
        jitter: MILLISECOND / 2,
        loss,
        reordering: 0.02,
        duplication: 0.01,
        queue: 4096,
        ..HubOptions::default()
    }
}

async fn send_and_close(stream: &TcpStream, seed: u64, length: u64) {
    send(stream, seed, length).await.expect("it is sent");
    stream.shutdown(Shutdown::Write).expect("the connection is there");
}

fn transfer(family: Family, options: HubOptions, length: u64) {
    let loss = options.loss;
    let link = Link::new(7, options);
    link.block_on(async {
        let (client, server) = link.pair(family).await;
        let start = link.simulation.now();
        let ((), received) = join(send_and_close(&client, 1, length), receive(&server, 1)).await;
        assert_eq!(received, Ok(length));
        println!("{length} bytes at {loss}: {:?}", link.simulation.now() - start);
    });
    if loss > 0.0 {
        assert!(link.hub.statistics().lost > 0, "the link lost frames");
    }
    link.simulation.advance(SECOND * 300);
    link.assert_empty();
}

#[test]
fn sixty_four_mebibytes_arrive_over_a_perfect_link() {
    transfer(Family::V4, HubOptions::default(), 64 * MIB);
}

#[test]
fn sixty_four_mebibytes_arrive_over_a_perfect_link_v6() {
    transfer(Family::V6, HubOptions::default(), 64 * MIB);
}

#[test]
fn sixty_four_mebibytes_arrive_through_reordering_and_duplication() {
    transfer(Family::V4, rough(0.0), 64 * MIB);
}

#[test]
fn sixty_four_mebibytes_arrive_through_1_percent_loss() {
    transfer(Family::V6, rough(0.01), 64 * MIB);
}

#[test]
fn sixty_four_mebibytes_arrive_through_5_percent_loss() {
    transfer(Family::V4, rough(0.05), 64 * MIB);
}

#[test]
fn a_slow_link_with_a_short_queue_loses_nothing() {
    let options = HubOptions { rate: Some(10_000_000), queue: 8, latency: MILLISECOND * 10, ..HubOptions::default() };
    let link = Link::new(8, options);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        let transfer = join(send_and_close(&client, 2, 4 * MIB), receive(&server, 2));
        let (((), received), took) = link.within(SECOND * 60, transfer).await;
        assert_eq!(received, Ok(4 * MIB));
        assert!(took >= SECOND * 3, "4 MiB take 3.4 s at 10 Mb/s, not {took:?}");
    });
    assert_eq!(link.hub.statistics().dropped_full, 0, "back-pressure, no loss");
    link.assert_empty();
}

#[test]
fn both_directions_transfer_at_once() {
    for (family, loss) in [(Family::V4, 0.0), (Family::V6, 0.0), (Family::V4, 0.01)] {
        let link = Link::new(9, rough(loss));
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            let (_, _, there, back) = join4(
                send_and_close(&client, 3, 8 * MIB),
                send_and_close(&server, 4, 8 * MIB),
                receive(&server, 3),
                receive(&client, 4),
            )
            .await;
            assert_eq!((there, back), (Ok(8 * MIB), Ok(8 * MIB)));
        });
        link.simulation.advance(SECOND * 300);
        link.assert_empty();
    }
}

#[test]
fn every_frame_twice_does_no_harm() {
    for family in Family::BOTH {
        let options = HubOptions { duplication: 1.0, latency: MILLISECOND, queue: 4096, ..HubOptions::default() };
        let link = Link::new(10, options);
        link.block_on(async {
            let (client, server) = link.pair(family).await;
            let ((), received) = join(send_and_close(&client, 5, 4 * MIB), receive(&server, 5)).await;
            assert_eq!(received, Ok(4 * MIB));
            let ((), received) = join(send_and_close(&server, 6, 4 * MIB), receive(&client, 6)).await;
            assert_eq!(received, Ok(4 * MIB));
        });
        assert!(link.hub.statistics().duplicated > 0);
        link.assert_empty();
    }
}

#[test]
fn an_mtu_of_9000_and_one_of_1280_carry_as_well() {
    for (family, mtu) in [(Family::V4, 9000), (Family::V6, 1280), (Family::V4, 65535), (Family::V6, 65535)] {
        transfer(family, HubOptions { mtu, latency: MILLISECOND, queue: 4096, ..HubOptions::default() }, 8 * MIB);
    }
}

#[test]
fn transfers_work_with_buffers_of_a_few_bytes() {
    for (receive_buffer, send_buffer) in [(1, 1), (1, 100_000), (7, 3), (1000, 1), (100_000, 1)] {
        let link = Link::plain(11);
        link.block_on(async {
            let tcp = TcpOptions { receive_buffer, send_buffer, ..TcpOptions::default() };
            let connect = ConnectOptions { tcp: tcp.clone(), ..ConnectOptions::default() };
            let listen = ListenOptions { tcp, ..ListenOptions::default() };
            let (client, server) = link.pair_with(Family::V4, connect, listen).await;
            let transfer = join(send_and_close(&client, 7, 300), receive(&server, 7));
            let (((), received), took) = link.within(SECOND * 1200, transfer).await;
            assert_eq!(received, Ok(300));
            println!("{receive_buffer} {send_buffer}: {took:?}");
        });
        link.simulation.advance(SECOND * 100);
        link.assert_empty();
    }
}

#[test]
fn small_writes_that_wait_for_each_other_arrive_as_one_stream() {
    for no_delay in [true, false] {
        let link = Link::plain(12);
        link.block_on(async {
            let (client, server) = link.pair(Family::V6).await;
            client.set_no_delay(no_delay);
            let sending = async {
                let mut bytes = Bytes::new(8);
                for length in (1..60).cycle().take(500) {
                    let mut buffer = vec![0; length];
                    bytes.fill(&mut buffer);
                    client.write_all(&buffer).await.expect("it is sent");
                    if length % 7 == 0 {
                        link.sleep(MILLISECOND / 3).await;
                    }
                }
                client.shutdown(Shutdown::Write).expect("the connection is there");
                bytes.position()
            };
            let (sent, received) = join(sending, receive(&server, 8)).await;
            assert_eq!(received, Ok(sent));
        });
        link.assert_empty();
    }
}

#[test]
fn each_request_and_response_takes_one_round_trip() {
    for no_delay in [true, false] {
        let link = Link::plain(13);
        link.block_on(async {
            let (client, server) = link.pair(Family::V4).await;
            client.set_no_delay(no_delay);
            server.set_no_delay(no_delay);
            let asking = async {
                let mut answers = Bytes::new(10);
                for _ in 0..100 {
                    client.write_all(&[1; 64]).await.expect("it is sent");
                    receive_next(&client, &mut answers, 64).await.expect("an answer");
                }
                client.shutdown(Shutdown::Write).expect("the connection is there");
            };
            let answering = async {
                let (mut answers, mut buffer) = (Bytes::new(10), [0; 64]);
                let mut have = 0;
                loop {
                    match server.read(&mut buffer[have..]).await.expect("a question") {
                        0 => break,
                        count => have += count,
                    }
                    if have == buffer.len() {
                        have = 0;
                        answers.fill(&mut buffer);
                        server.write_all(&buffer).await.expect("it is sent");
                    }
                }
            };
            let (_, took) = link.within(SECOND * 60, join(asking, answering)).await;
            assert!(took <= MILLISECOND * 205, "100 round trips of 2 ms took {took:?} (no delay: {no_delay})");
        });
        link.assert_empty();
    }
}

#[test]
fn peeked_bytes_are_read_again() {
    let link = Link::plain(14);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        send(&client, 11, 10).await.expect("it is sent");
        let (mut first, mut second) = ([0; 4], [0; 10]);
        assert_eq!(server.peek(&mut first).await, Ok(4));
        assert_eq!(server.peek(&mut second).await, Ok(10));
        assert_eq!(first, second[..4]);
        assert_eq!(receive_next(&server, &mut Bytes::new(11), 10).await, Ok(()));
        drop(client);
        assert_eq!(server.peek(&mut first).await, Ok(0));
        assert_eq!(server.statistics().bytes_received, 10);
    });
    link.assert_empty();
}
