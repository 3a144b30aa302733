//! Waiting until a send or a receive would not wait, without doing it.

use std::future::poll_fn;

use xila_network_host::device::hub::HubOptions;
use xila_network_host::{InvalidOption, ReceiveError, SendError};
use xila_network_tests::link::{Family, Link};

use super::{SOON, bind, server_with_buffer, sockets, text};

#[test]
fn a_task_can_wait_for_a_datagram_without_receiving_it() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let (client, server) = sockets(&link, family);
            let ready = || poll_fn(|context| server.poll_recv_ready(context));
            link.cancelled_after(SOON, ready()).await;
            client.send_to(b"here", server.local_addr()).await.unwrap();
            link.within(SOON, ready()).await;
            link.within(SOON, ready()).await;
            assert_eq!(text(&link, &server).await, "here");
            link.cancelled_after(SOON, ready()).await;
        }
    });
}

#[test]
fn a_pending_error_makes_a_socket_readable_and_stays() {
    let link = Link::plain(1);
    link.block_on(async {
        let client = bind(&link.client.network, link.client.address(Family::V4), 0);
        client.connect(link.server.at(Family::V4, 9)).unwrap();
        client.send(b"nobody is there").await.unwrap();
        link.within(SOON, poll_fn(|context| client.poll_recv_ready(context))).await;
        assert_eq!(client.take_queued(), None);
        assert_eq!(client.recv(&mut [0; 8]).await, Err(ReceiveError::ConnectionRefused));
    });
}

#[test]
fn a_new_socket_is_writable_and_one_whose_link_is_full_is_not() {
    let link = Link::new(1, HubOptions { rate: Some(10_000_000), queue: 4, ..HubOptions::default() });
    link.block_on(async {
        let (client, server) = sockets(&link, Family::V4);
        let ready = || poll_fn(|context| client.poll_send_ready(context));
        link.within(SOON, ready()).await;
        client.send_to(b"so that the neighbour is known", server.local_addr()).await.unwrap();
        link.sleep(SOON).await;
        let refused = (0..100).find_map(|_| client.try_send_to(&[0; 1000], server.local_addr()).err());
        assert_eq!(refused, Some(SendError::WouldBlock), "the link takes few");
        let (mut polls, start) = (0, link.simulation.now());
        poll_fn(|context| {
            polls += 1;
            client.poll_send_ready(context)
        })
        .await;
        assert!(link.simulation.now() > start && polls > 1, "it waits for the link: {polls} polls");
        assert!(client.try_send_to(&[0; 1000], server.local_addr()).is_ok(), "and then there is room");
    });
}

#[test]
fn a_receive_buffer_can_be_changed() {
    let link = Link::plain(1);
    link.block_on(async {
        let server = server_with_buffer(&link, 100_000);
        let client = bind(&link.client.network, link.client.address(Family::V4), 0);
        assert_eq!(server.set_receive_buffer(0), Err(InvalidOption));
        server.set_receive_buffer(3000).unwrap();
        assert_eq!(server.receive_buffer(), 3000);
        let send_ten = async || {
            for _ in 0..10 {
                client.send_to(&[1; 1000], server.local_addr()).await.unwrap();
            }
            link.sleep(SOON).await;
        };
        send_ten().await;
        let few = server.statistics().received;
        assert!((1..=3).contains(&few), "{few} of 1000 bytes fit into 3000");
        server.set_receive_buffer(100_000).unwrap();
        send_ten().await;
        assert_eq!(server.statistics().received, few + 10);
    });
}
