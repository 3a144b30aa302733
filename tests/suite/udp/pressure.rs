//! A link that is slower than its senders: the senders wait, and nothing is lost.

use std::time::Duration;

use futures_util::future;
use xila_network_host::SendError;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::interface::State;
use xila_network_host::socket::UdpSocket;
use xila_network_tests::link::{Family, Link};

use super::{bind, sockets};

/// A link with 10 Mbit/s and a queue of four frames.
fn narrow() -> Link {
    Link::new(1, HubOptions { rate: Some(10_000_000), queue: 4, ..HubOptions::default() })
}

async fn send_numbered(socket: &UdpSocket, to: &UdpSocket, count: u32, size: usize) {
    for number in 0..count {
        let mut payload = vec![0; size];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        assert_eq!(socket.send_to(&payload, to.local_addr()).await, Ok(size));
    }
}

fn number(data: &[u8]) -> u32 {
    u32::from_be_bytes(data[..4].try_into().unwrap())
}

#[test]
fn a_thousand_datagrams_wait_for_a_narrow_link_and_arrive_in_order() {
    let link = narrow();
    link.block_on(async {
        for family in Family::BOTH {
            let (client, server) = sockets(&link, family);
            let start = link.simulation.now();
            let sending = async {
                send_numbered(&client, &server, 1000, 1000).await;
                link.simulation.now() - start
            };
            let receiving = async {
                for expected in 0..1000 {
                    assert_eq!(number(&server.recv_datagram().await.unwrap().data), expected);
                }
            };
            let (took, ()) = future::join(sending, receiving).await;
            // A thousand times 1042 bytes at 10 Mbit/s take longer than this, without the few frames in the queue.
            assert!(took > Duration::from_millis(800), "the sender waits for the link: {took:?}");
            assert_eq!(client.statistics().sent, 1000);
        }
    });
}

#[test]
fn several_senders_share_a_narrow_link_and_all_make_progress() {
    let link = narrow();
    link.block_on(async {
        let (first, server) = sockets(&link, Family::V4);
        let second = bind(&link.client.network, link.client.address(Family::V4), 0);
        let sending = future::join(
            send_numbered(&first, &server, 300, 1000),
            // These datagrams are fragmented.
            send_numbered(&second, &server, 100, 5000),
        );
        let receiving = async {
            let mut next = [0, 0];
            for _ in 0..400 {
                let datagram = server.recv_datagram().await.unwrap();
                let sender = usize::from(datagram.remote == second.local_addr());
                assert_eq!(datagram.data.len(), [1000, 5000][sender]);
                assert_eq!(number(&datagram.data), next[sender]);
                next[sender] += 1;
            }
        };
        future::join(sending, receiving).await;
    });
}

#[test]
fn a_try_send_on_a_full_link_would_block() {
    let link = narrow();
    link.block_on(async {
        let (client, server) = sockets(&link, Family::V4);
        // The neighbour must be resolved first: a datagram that waits for it does not wait for the link.
        client.send_to(&[0; 1000], server.local_addr()).await.unwrap();
        server.recv_datagram().await.unwrap();
        let sent = (0..1000).take_while(|_| client.try_send_to(&[0; 1000], server.local_addr()).is_ok()).count();
        assert!((2..=10).contains(&sent), "{sent}");
        assert_eq!(client.try_send_to(&[0; 1000], server.local_addr()), Err(SendError::WouldBlock));
        for _ in 0..sent {
            server.recv_datagram().await.unwrap();
        }
        client.try_send_to(&[0; 1000], server.local_addr()).unwrap();
        server.recv_datagram().await.unwrap();
    });
}

#[test]
fn a_sender_that_waits_for_the_link_fails_when_it_goes_down() {
    let link = narrow();
    link.block_on(async {
        let (client, server) = sockets(&link, Family::V4);
        // The neighbour is resolved by this: the sender of a datagram that waits for a neighbour does not wait itself.
        client.send_to(b"first", server.local_addr()).await.unwrap();
        server.recv_datagram().await.unwrap();
        let sending = async {
            loop {
                if let Err(error) = client.send_to(&[0; 1400], server.local_addr()).await {
                    return error;
                }
            }
        };
        let down = async {
            link.sleep(Duration::from_millis(50)).await;
            link.client.interface().set_state(State::Down);
        };
        let (error, ()) = future::join(sending, down).await;
        assert_eq!(error, SendError::NetworkDown);
    });
}
