//! Several tasks on one stream, operations that end at once, and cancelled ones.

use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{join, join_all, join3, join4};
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::{ListenOptions, TcpStream};
use xila_network_host::{ReadError, WriteError};
use xila_network_tests::link::{Bytes, Family, Link, PORT, receive, receive_next, send};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn one_task_reads_while_another_writes() {
    for family in Family::BOTH {
        let link = Link::plain(1);
        let (client, server) = link.block_on(link.pair(family));
        let (client, server) = (Arc::new(client), Arc::new(server));
        let writer = client.clone();
        link.simulation.spawn(async move {
            send(&writer, 1, 4 << 20).await.expect("it is sent");
            writer.shutdown(Shutdown::Write).expect("the connection is there");
        });
        let echo = server.clone();
        link.simulation.spawn(async move {
            let mut buffer = vec![0; 10_000];
            loop {
                match echo.read(&mut buffer).await.expect("the connection is there") {
                    0 => break,
                    count => echo.write_all(&buffer[..count]).await.expect("it is sent"),
                }
            }
            echo.shutdown(Shutdown::Write).expect("the connection is there");
        });
        assert_eq!(link.block_on(receive(&client, 1)), Ok(4 << 20));
        drop((client, server));
        link.assert_empty();
    }
}

#[test]
fn several_readers_of_one_stream_lose_no_byte_and_all_find_its_end() {
    let link = Link::plain(2);
    let (client, server) = link.block_on(link.pair(Family::V4));
    let server = Arc::new(server);
    let total = 1 << 20;
    // It is not specified which task reads which byte, so the bytes of each value are counted.
    let counts = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..10 {
        let (server, counts, simulation) = (server.clone(), counts.clone(), link.simulation.clone());
        link.simulation.spawn(async move {
            let (mut count, mut buffer) = ([0u64; 256], [0; 500]);
            loop {
                match server.read(&mut buffer).await.expect("the connection is there") {
                    0 => break,
                    length => buffer[..length].iter().for_each(|byte| count[usize::from(*byte)] += 1),
                }
                // Without a pause the first task that is woken would read everything.
                simulation.sleep(Duration::from_nanos(100)).await;
            }
            counts.lock().expect("no reader panics").push(count);
        });
    }
    link.block_on(async {
        send(&client, 2, total).await.expect("it is sent");
        client.shutdown(Shutdown::Write).expect("the connection is there");
        link.sleep(SECOND).await;
    });
    let counts = counts.lock().expect("no reader panics");
    assert_eq!(counts.len(), 10, "every reader finds the end");
    let mut sent = vec![0; usize::try_from(total).expect("a small number")];
    Bytes::new(2).fill(&mut sent);
    for value in 0..=255u8 {
        let read: u64 = counts.iter().map(|count| count[usize::from(value)]).sum();
        assert_eq!(read, sent.iter().filter(|byte| **byte == value).count() as u64, "byte {value}");
    }
    assert!(counts.iter().filter(|count| count.iter().sum::<u64>() > 0).count() > 1, "one reader took all");
    drop((client, server));
    link.assert_empty();
}

#[test]
fn several_writers_of_one_stream_all_make_progress() {
    let link = Link::plain(3);
    link.block_on(async {
        let (client, server) = link.pair(Family::V6).await;
        let writer = async |byte: u8| {
            for _ in 0..100 {
                client.write_all(&[byte; 5000]).await.expect("it is sent");
            }
        };
        let sending = async {
            join_all((0..8).map(writer)).await;
            client.shutdown(Shutdown::Write).expect("the connection is there");
        };
        let reading = async {
            let (mut counts, mut buffer) = ([0; 8], vec![0; 10_000]);
            loop {
                match server.read(&mut buffer).await.expect("the connection is there") {
                    0 => return counts,
                    count => buffer[..count].iter().for_each(|byte| counts[usize::from(*byte)] += 1),
                }
            }
        };
        let ((), counts) = join(sending, reading).await;
        assert_eq!(counts, [500_000; 8]);
    });
    link.assert_empty();
}

#[test]
fn operations_on_nothing_complete_at_once() {
    let link = Link::plain(4);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        let limit = Duration::from_nanos(1);
        assert_eq!(link.within(limit, client.write(&[])).await.0, Ok(0));
        assert_eq!(link.within(limit, client.write_all(&[])).await.0, Ok(()));
        assert_eq!(link.within(limit, client.read(&mut [])).await.0, Ok(0));
        assert_eq!(link.within(limit, client.flush()).await.0, Ok(()));
        // The buffers are full, but an empty write does not wait.
        link.cancelled_after(SECOND, send(&client, 1, 1 << 30)).await;
        assert_eq!(client.try_write(b"x"), Err(WriteError::WouldBlock));
        assert_eq!(link.within(limit, client.write(&[])).await.0, Ok(0));
        assert_eq!(link.within(limit, server.read(&mut [])).await.0, Ok(0));
        receive_next(&server, &mut Bytes::new(1), 100_000).await.expect("nothing of it was lost");
    });
    link.assert_empty();
}

#[test]
fn operations_that_would_wait_say_so() {
    let link = Link::plain(5);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        assert_eq!(server.try_read(&mut [0; 8]), Err(ReadError::WouldBlock));
        while client.try_write(&[7; 1000]).is_ok() {}
        assert_eq!(client.try_write(&[7; 1000]), Err(WriteError::WouldBlock));
        let queued = client.statistics();
        assert!(queued.send_queue > 0 && queued.bytes_sent > 0);
        link.sleep(SECOND).await;
        let waiting = server.statistics().receive_queue + client.statistics().send_queue;
        assert_eq!(waiting as u64, client.statistics().bytes_sent, "what is written is at one end or the other");
    });
}

#[test]
fn a_cancelled_read_loses_nothing() {
    let link = Link::plain(6);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        let reading = async {
            let (mut bytes, mut buffer) = (Bytes::new(3), [0; 777]);
            loop {
                let limit = Duration::from_micros(100);
                let Some(read) = link.at_most(limit, server.read(&mut buffer)).await else { continue };
                match read.expect("the connection is there") {
                    0 => return bytes.position(),
                    count => bytes.check(&buffer[..count]),
                }
            }
        };
        let sending = async {
            send(&client, 3, 300_000).await.expect("it is sent");
            link.sleep(SECOND).await;
            client.shutdown(Shutdown::Write).expect("the connection is there");
        };
        assert_eq!(join(reading, sending).await.0, 300_000);
    });
    link.assert_empty();
}

#[test]
fn a_waiter_that_was_dropped_does_not_take_the_wake_up_with_it() {
    let link = Link::plain(7);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        let mut buffer = [0; 8];
        let gone = async {
            for _ in 0..200 {
                link.cancelled_after(Duration::from_millis(1), async { server.read(&mut [0; 8]).await }).await;
            }
        };
        let sending = async {
            link.sleep(SECOND).await;
            client.write_all(b"x").await.expect("it is sent");
        };
        let (read, (), ()) = join3(server.read(&mut buffer), gone, sending).await;
        assert_eq!(read, Ok(1));
    });
    link.assert_empty();
}

#[test]
fn readiness_is_announced_to_both_directions() {
    let link = Link::plain(8);
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        let readable = |stream: &TcpStream| {
            let mut polled = core::task::Context::from_waker(core::task::Waker::noop());
            stream.poll_read_ready(&mut polled).is_ready()
        };
        let writable = |stream: &TcpStream| {
            let mut polled = core::task::Context::from_waker(core::task::Waker::noop());
            stream.poll_write_ready(&mut polled).is_ready()
        };
        assert!(!readable(&server) && writable(&client));
        let woken = core::future::poll_fn(|context| server.poll_read_ready(context));
        let filling = link.cancelled_after(SECOND, send(&client, 4, 1 << 30));
        assert_eq!(join(woken, filling).await.0, Ok(()));
        assert!(readable(&server) && !writable(&client));
        let woken = core::future::poll_fn(|context| client.poll_write_ready(context));
        let reading = async { receive_next(&server, &mut Bytes::new(4), 120_000).await };
        let ((ready, read), _) = link.within(SECOND, join(woken, reading)).await;
        assert_eq!((ready, read), (Ok(()), Ok(())));
        client.shutdown(Shutdown::Write).expect("the connection is there");
        assert!(writable(&client), "a write would fail at once");
    });
}

/// The result of `future`, which must not be polled more than `most` times: a waiting task must sleep.
async fn in_few_polls<T>(most: usize, future: impl Future<Output = T>) -> T {
    let (mut future, mut polls) = (std::pin::pin!(future), 0);
    core::future::poll_fn(|context| {
        polls += 1;
        assert!(polls <= most, "polled {polls} times");
        future.as_mut().poll(context)
    })
    .await
}

#[test]
fn waiting_tasks_sleep_while_the_device_is_full() {
    let link = Link::new(10, HubOptions { rate: Some(20_000), queue: 2, ..HubOptions::default() });
    link.block_on(async {
        let (busy, _busy_peer) = link.pair(Family::V4).await;
        let (client, server) = link.pair(Family::V4).await;
        let _listener = link.server.listen(Family::V4, PORT, ListenOptions::default()).expect("a free port");
        send(&busy, 6, 20_000).await.expect("it fits the buffer");
        send(&client, 7, 100).await.expect("it fits the buffer");
        client.shutdown(Shutdown::Write).expect("the connection is there");
        let connecting = TcpStream::connect(&link.client.network, link.server.at(Family::V4, PORT));
        let waiting = join4(
            in_few_polls(50, connecting),
            in_few_polls(50, client.flush()),
            in_few_polls(50, client.closed()),
            in_few_polls(50, receive(&server, 7)),
        );
        let ((connected, flushed, closed, received), took) = link.within(SECOND * 60, waiting).await;
        connected.expect("a connection");
        assert_eq!((flushed, closed, received), (Ok(()), Ok(()), Ok(100)));
        assert!(took > SECOND / 2, "the device was full: {took:?}");
    });
}

/// More waiters than a waiter list keeps by default; they must not wake each other again and again.
#[test]
fn hundreds_of_tasks_wait_on_one_listener_and_one_stream() {
    let link = Link::plain(9);
    link.block_on(async {
        let listener = link.server.listen(Family::V4, PORT, ListenOptions::default()).expect("a free port");
        let remote = link.server.at(Family::V4, PORT);
        let accepting = join_all((0..500).map(|_| listener.accept()));
        let connecting = async {
            link.sleep(SECOND).await;
            let mut streams = Vec::new();
            for _ in 0..500 {
                streams.push(TcpStream::connect(&link.client.network, remote).await.expect("a connection"));
            }
            streams
        };
        let (accepted, streams) = join(accepting, connecting).await;
        let mut peers: Vec<_> = accepted.into_iter().map(|accepted| accepted.expect("a connection").1.port()).collect();
        peers.sort_unstable();
        peers.dedup();
        assert_eq!(peers.len(), streams.len());
    });
    link.block_on(async {
        let (client, server) = link.pair(Family::V4).await;
        let reading = join_all((0..500).map(|_| async { server.read(&mut [0; 1]).await }));
        let sending = async {
            link.sleep(SECOND).await;
            send(&client, 5, 100).await.expect("it is sent");
            client.shutdown(Shutdown::Write).expect("the connection is there");
        };
        let (read, ()) = join(reading, sending).await;
        assert_eq!(read.iter().filter(|read| **read == Ok(1)).count(), 100);
        assert_eq!(read.iter().filter(|read| **read == Ok(0)).count(), 400);
    });
    link.assert_empty();
}
