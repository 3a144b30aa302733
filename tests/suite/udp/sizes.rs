//! The sizes of datagrams.

use std::time::Duration;

use xila_network_host::SendError;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::{UdpOptions, UdpSocket};
use xila_network_tests::link::{Bytes, Family, Link};

use super::{PORT, bind, sockets};

fn content(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    Bytes::new(seed).fill(&mut bytes);
    bytes
}

/// Sends datagrams of these sizes, one at a time; each must arrive unchanged.
async fn exchange(sender: &UdpSocket, receiver: &UdpSocket, sizes: &[usize]) {
    for (seed, &size) in sizes.iter().enumerate() {
        let content = content(seed as u64, size);
        assert_eq!(sender.send_to(&content, receiver.local_addr()).await, Ok(size));
        assert!(receiver.recv_datagram().await.unwrap().data == content, "{size} bytes");
    }
}

#[test]
fn the_largest_datagram_goes_over_a_small_mtu_in_reordered_fragments() {
    let options = HubOptions { latency: Duration::from_millis(1), reordering: 0.3, ..HubOptions::default() };
    let link = Link::new(1, options);
    link.block_on(async {
        let (client, server) = sockets(&link, Family::V4);
        exchange(&client, &server, &[65_507; 10]).await;
        exchange(&client, &server, &[1472, 1473, 1480, 2951, 2952, 2953, 9000]).await;
    });
    assert!(link.hub.statistics().reordered > 0);
}

#[test]
fn fragments_of_two_senders_are_not_mixed() {
    let options = HubOptions { latency: Duration::from_millis(1), reordering: 0.3, ..HubOptions::default() };
    let link = Link::new(1, options);
    link.block_on(async {
        let (one, server) = sockets(&link, Family::V4);
        let two = bind(&link.client.network, link.client.address(Family::V4), 0);
        for round in 0..20 {
            for (sender, seed) in [(&one, 1), (&two, 2)] {
                sender.send_to(&content(seed, 5000 + round), server.local_addr()).await.unwrap();
            }
        }
        for _ in 0..40 {
            let datagram = server.recv_datagram().await.unwrap();
            let seed = if datagram.remote == one.local_addr() { 1 } else { 2 };
            assert!(datagram.data == content(seed, datagram.data.len()));
        }
    });
}

#[test]
fn a_lost_fragment_loses_its_datagram_only() {
    let link = Link::new(3, HubOptions { loss: 0.02, ..HubOptions::default() });
    link.block_on(async {
        let client = bind(&link.client.network, link.client.address(Family::V4), 0);
        let options = UdpOptions { receive_buffer: 4 << 20, ..UdpOptions::default() };
        let server = UdpSocket::bind_with(&link.server.network, link.server.at(Family::V4, PORT), &options).unwrap();
        for seed in 0..100 {
            client.send_to(&content(seed, 20_000), server.local_addr()).await.unwrap();
        }
        link.sleep(Duration::from_secs(60)).await;
        let mut arrived = 0;
        while let Ok(datagram) = server.try_recv_datagram() {
            assert!((0..100).any(|seed| datagram.data == content(seed, 20_000)), "none is a mixture");
            arrived += 1;
        }
        assert!((40..100).contains(&arrived), "{arrived} of 100 over a link that loses 2 % of their 14 fragments");
    });
}

#[test]
fn a_datagram_longer_than_udp_allows_is_too_large() {
    let link = Link::plain(1);
    link.block_on(async {
        for family in Family::BOTH {
            let (client, server) = sockets(&link, family);
            let most = longest(family);
            for size in [most + 1, 65_536, 1 << 20] {
                let outcome = client.send_to(&vec![0; size], server.local_addr()).await;
                assert_eq!(outcome, Err(SendError::PacketTooLarge), "{size}");
            }
        }
    });
}

/// The longest datagram of a family (RFC 768, RFC 791, RFC 8200).
const fn longest(family: Family) -> usize {
    match family {
        Family::V4 => 65_535 - 20 - 8,
        Family::V6 => 65_535 - 8,
    }
}

/// RFC 8200 section 4.5: a datagram that is larger than the MTU is fragmented, over IPv6 as over IPv4.
#[test]
fn datagrams_over_the_mtu_are_fragmented_in_both_families() {
    let link = Link::plain(1);
    link.block_on(async {
        // The UDP payload of a packet of 1500 bytes, and the payload of a fragment, which is a multiple of eight bytes.
        for (family, whole, fragment) in [(Family::V4, 1472, 1480), (Family::V6, 1452, 1448)] {
            let (client, server) = sockets(&link, family);
            exchange(&client, &server, &[100]).await;
            for size in [whole, whole + 1, 4000, longest(family)] {
                let frames = if size <= whole { 1 } else { (size + 8).div_ceil(fragment) as u64 };
                let before = link.client.interface().statistics().sent.packets;
                exchange(&client, &server, &[size]).await;
                let sent = link.client.interface().statistics().sent.packets - before;
                assert!((frames..=frames + 1).contains(&sent), "{size} bytes over {family:?} in {sent} frames");
            }
        }
    });
}

#[test]
fn a_socket_that_does_not_fragment_refuses_datagrams_over_the_mtu() {
    let link = Link::plain(1);
    link.block_on(async {
        for (family, whole) in [(Family::V4, 1472), (Family::V6, 1452)] {
            let (client, server) = sockets(&link, family);
            client.set_dont_fragment(true);
            exchange(&client, &server, &[whole]).await;
            assert_eq!(client.send_to(&vec![0; whole + 1], server.local_addr()).await, Err(SendError::PacketTooLarge));
            client.set_dont_fragment(false);
            exchange(&client, &server, &[whole + 1]).await;
        }
    });
}

#[test]
fn the_loopback_carries_the_largest_datagrams_of_both_families() {
    let link = Link::plain(1);
    link.block_on(async {
        for (address, family) in [("127.0.0.1", Family::V4), ("::1", Family::V6)] {
            let largest = longest(family);
            let address = address.parse().unwrap();
            let receiver = bind(&link.client.network, address, PORT);
            let sender = bind(&link.client.network, address, 0);
            exchange(&sender, &receiver, &[largest]).await;
            let outcome = sender.send_to(&vec![0; largest + 1], receiver.local_addr()).await;
            assert_eq!(outcome, Err(SendError::PacketTooLarge));
        }
    });
}
