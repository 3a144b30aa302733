//! Receiving: the source, size and order of datagrams, and several readers of one socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use xila_network_host::socket::{HopLimit, UdpOptions, UdpSocket};
use xila_network_host::{InvalidOption, ReceiveError, SendError};
use xila_network_tests::link::{Family, Link};

use super::{PORT, SOON, assert_silent, bind, server_with_buffer, sockets, text};

#[test]
fn a_datagram_arrives_whole_with_its_source() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let (client, server) = sockets(&link, family);
            assert_eq!(client.send_to(b"hello", server.local_addr()).await, Ok(5));
            let mut buffer = [0; 64];
            assert_eq!(server.recv_from(&mut buffer).await, Ok((5, client.local_addr())));
            assert_eq!(&buffer[..5], b"hello");

            // A datagram back to the sender.
            server.send_to(b"welcome", client.local_addr()).await.unwrap();
            let datagram = client.recv_datagram().await.unwrap();
            assert_eq!(datagram.data, b"welcome");
            assert_eq!((datagram.remote, datagram.local), (server.local_addr(), client.local_addr()));
        }
    });
    link.assert_empty();
}

#[test]
fn a_wildcard_socket_reports_the_destination_address() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let client = bind(&link.client.network, family.unspecified(), 0);
            let server = bind(&link.server.network, family.unspecified(), PORT);
            assert!(server.local_addr().ip().is_unspecified());
            client.send_to(b"hello", link.server.at(family, PORT)).await.unwrap();
            let datagram = server.recv_datagram().await.unwrap();
            assert_eq!(datagram.local, link.server.at(family, PORT));
            assert_eq!(datagram.remote, link.client.at(family, client.local_addr().port()));
        }
    });
}

#[test]
fn ten_readers_of_one_socket_get_one_of_ten_datagrams_each() {
    let link = Link::plain(1);
    let (client, server) = sockets(&link, Family::V4);
    let server = Arc::new(server);
    let (done, sum) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..10 {
        let (server, done, sum) = (server.clone(), done.clone(), sum.clone());
        link.simulation.spawn(async move {
            let mut buffer = [0; 8];
            let (count, _) = server.recv_from(&mut buffer).await.unwrap();
            assert_eq!(count, 1);
            sum.fetch_add(buffer[0].into(), Ordering::Relaxed);
            done.fetch_add(1, Ordering::Relaxed);
        });
    }
    link.block_on(async {
        link.sleep(SOON).await;
        assert_eq!(done.load(Ordering::Relaxed), 0, "all of them wait");
        for byte in 1..=10 {
            client.send_to(&[byte], server.local_addr()).await.unwrap();
        }
        link.sleep(SOON).await;
    });
    assert_eq!(done.load(Ordering::Relaxed), 10, "none waits for ever");
    assert_eq!(sum.load(Ordering::Relaxed), 55, "and each had a datagram of its own");
}

#[test]
fn a_cancelled_receive_loses_no_datagram() {
    let link = Link::plain(1);
    link.block_on(async {
        let (client, server) = sockets(&link, Family::V4);
        for _ in 0..100 {
            link.cancelled_after(SOON, server.recv_datagram()).await;
        }
        client.send_to(b"still there", server.local_addr()).await.unwrap();
        assert_eq!(text(&link, &server).await, "still there");
    });
}

#[test]
fn a_short_read_truncates_the_datagram_and_keeps_its_source_and_the_next_one() {
    let link = Link::plain(1);
    link.block_on(async {
        let (client, server) = sockets(&link, Family::V6);
        client.send_to(b"0123456789", server.local_addr()).await.unwrap();
        client.send_to(b"next", server.local_addr()).await.unwrap();
        let mut buffer = [0; 4];
        assert_eq!(server.recv_from(&mut buffer).await, Ok((4, client.local_addr())));
        assert_eq!(&buffer, b"0123");
        assert_eq!(text(&link, &server).await, "next");
        client.send_to(b"into nothing", server.local_addr()).await.unwrap();
        assert_eq!(server.recv_from(&mut []).await, Ok((0, client.local_addr())));
        assert_silent(&link, &server).await;
    });
}

#[test]
fn peeking_leaves_the_datagram() {
    let link = Link::plain(1);
    link.block_on(async {
        let (client, server) = sockets(&link, Family::V4);
        client.send_to(b"look", server.local_addr()).await.unwrap();
        let mut buffer = [0; 2];
        for _ in 0..3 {
            assert_eq!(server.peek_from(&mut buffer).await, Ok((2, client.local_addr())));
        }
        assert_eq!(text(&link, &server).await, "look");
        assert_eq!(server.try_recv_datagram(), Err(ReceiveError::WouldBlock));
    });
}

#[test]
fn datagrams_to_a_full_queue_are_dropped_and_counted() {
    let link = Link::plain(1);
    link.block_on(async {
        let client = bind(&link.client.network, link.client.address(Family::V4), 0);
        let server = server_with_buffer(&link, 8 * 1024);
        for number in 0..100u8 {
            client.send_to(&[number; 1000], server.local_addr()).await.unwrap();
        }
        link.sleep(SOON).await;
        let counted = server.statistics();
        assert_eq!(counted.received + counted.dropped, 100);
        assert!((5..=8).contains(&counted.received), "{counted:?}");
        assert_eq!(counted.receive_queue as u64, counted.received * 1000);
        assert_eq!(link.server.interface().statistics().datagram_drops, counted.dropped);
        // The datagrams that arrived first are kept, and there is room again when they are received.
        for number in 0..counted.received {
            assert_eq!(u64::from(server.recv_datagram().await.unwrap().data[0]), number);
        }
        client.send_to(b"again", server.local_addr()).await.unwrap();
        assert_eq!(text(&link, &server).await, "again");
    });
}

#[test]
fn a_datagram_larger_than_the_queue_is_dropped_though_the_queue_is_empty() {
    let link = Link::plain(1);
    link.block_on(async {
        let client = bind(&link.client.network, link.client.address(Family::V4), 0);
        let server = server_with_buffer(&link, 4096);
        client.send_to(&[7; 5000], server.local_addr()).await.unwrap();
        assert_silent(&link, &server).await;
        client.send_to(&[8; 3500], server.local_addr()).await.unwrap();
        assert_eq!(server.recv_datagram().await.unwrap().data, [8; 3500]);
        assert_eq!(server.statistics().dropped, 1);
        assert_eq!(link.server.interface().statistics().datagram_drops, 1);
    });
}

#[test]
fn the_smallest_buffer_holds_the_datagram_of_one_frame() {
    let link = Link::plain(1);
    link.block_on(async {
        let client = bind(&link.client.network, link.client.address(Family::V4), 0);
        let server = server_with_buffer(&link, 1);
        assert_eq!(server.receive_buffer(), 1);
        for number in 0..2 {
            client.send_to(&[number; 1472], server.local_addr()).await.unwrap();
        }
        assert_eq!(server.recv_datagram().await.unwrap().data, [0; 1472]);
        assert_silent(&link, &server).await;
        assert_eq!(server.statistics().dropped, 1);
    });
}

/// A socket is charged for its buffer, or 2304 bytes, and never holds more, even for a single datagram.
#[test]
fn many_sockets_with_tiny_buffers_hold_no_more_than_they_are_charged_for() {
    let link = Link::plain(1);
    let network = &link.client.network;
    let options = UdpOptions { receive_buffer: 1, ..UdpOptions::default() };
    let sender = bind(network, [127, 0, 0, 1].into(), 0);
    let bound = |port| UdpSocket::bind_with(network, ([127, 0, 0, 1], port).into(), &options).unwrap();
    let sockets: Vec<UdpSocket> = (10_000..10_200).map(bound).collect();
    for socket in &sockets {
        for size in [65_507, 1400, 1400] {
            assert_eq!(sender.try_send_to(&vec![7; size], socket.local_addr()), Ok(size));
        }
    }
    let each = sockets.iter().map(UdpSocket::statistics);
    let (held, dropped) = each.fold((0, 0), |(held, dropped), of| (held + of.receive_queue, dropped + of.dropped));
    assert_eq!((held, dropped), (200 * 1400, 400), "of what all of them count for, {}", 200 * 2304);
}

#[test]
fn a_reduced_buffer_keeps_the_first_datagrams_that_fit() {
    let link = Link::plain(1);
    link.block_on(async {
        let (client, server) = sockets(&link, Family::V4);
        for number in 0..10 {
            client.send_to(&[number; 1000], server.local_addr()).await.unwrap();
        }
        link.sleep(SOON).await;
        assert_eq!(server.set_receive_buffer(0), Err(InvalidOption));
        server.set_receive_buffer(3000).unwrap();
        let left = server.statistics();
        assert_eq!((left.received, left.dropped, left.receive_queue), (10, 8, 2000));
        for number in 0..2 {
            assert_eq!(server.recv_datagram().await.unwrap().data[0], number);
        }
        server.set_receive_buffer(65_536).unwrap();
        client.send_to(&[9; 20_000], server.local_addr()).await.unwrap();
        assert_eq!(server.recv_datagram().await.unwrap().data, [9; 20_000]);
    });
}

#[test]
fn empty_datagrams_arrive_and_their_number_is_bounded() {
    let link = Link::plain(1);
    link.block_on(async {
        let client = bind(&link.client.network, link.client.address(Family::V4), 0);
        let server = server_with_buffer(&link, 8 * 1024);
        assert_eq!(client.send_to(b"", server.local_addr()).await, Ok(0));
        assert_eq!(server.recv_from(&mut [0; 8]).await, Ok((0, client.local_addr())));
        for _ in 0..2000 {
            client.send_to(b"", server.local_addr()).await.unwrap();
        }
        link.sleep(SOON).await;
        let counted = server.statistics();
        assert_eq!(counted.received - 1 + counted.dropped, 2000);
        assert!(counted.received < 300, "each takes memory: {counted:?}");
    });
}

#[test]
fn batches_keep_the_order_and_end_before_an_error() {
    let link = Link::plain(1);
    link.block_on(async {
        let (client, server) = sockets(&link, Family::V4);
        let payloads: Vec<[u8; 1]> = (0..20).map(|number| [number]).collect();
        let to = Some(server.local_addr());
        let batch: Vec<(&[u8], _)> = payloads.iter().map(|payload| (&payload[..], to)).collect();
        assert_eq!(client.send_many(&batch).await, Ok(20));
        link.sleep(SOON).await;
        let first = server.recv_many(8).await.unwrap();
        let rest = server.recv_many(100).await.unwrap();
        assert_eq!((first.len(), rest.len()), (8, 12));
        let order: Vec<u8> = first.iter().chain(&rest).map(|datagram| datagram.data[0]).collect();
        assert_eq!(order, (0..20).collect::<Vec<u8>>());

        let large = vec![0; 70_000];
        let outcome = client.send_many(&[(b"fine", to), (&large, to), (b"not reached", to)]).await;
        assert_eq!(outcome, Ok(1));
        assert_eq!(text(&link, &server).await, "fine");
        assert_silent(&link, &server).await;
        assert_eq!(client.send_many(&[(&large, to), (b"not reached", to)]).await, Err(SendError::PacketTooLarge));
        assert_eq!(client.send_many(&[(b"to whom?", None)]).await, Err(SendError::InvalidState));
        assert_eq!(client.send_many(&[]).await, Ok(0));
        assert_eq!(server.recv_many(0).await, Ok(Vec::new()));
    });
}

#[test]
fn options_read_back_as_they_were_set() {
    let link = Link::plain(1);
    let socket: UdpSocket = server_with_buffer(&link, 12_345);
    assert_eq!(socket.receive_buffer(), 12_345);
    assert_eq!(socket.hop_limit(), HopLimit::DEFAULT);
    socket.set_hop_limit(HopLimit::MAX);
    assert_eq!(socket.hop_limit(), HopLimit::MAX);
    assert!(!socket.broadcast());
    socket.set_broadcast(true);
    assert!(socket.broadcast());
}
