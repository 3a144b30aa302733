//! Fragments: too many, too large, overlapping, and incomplete packets.

use std::net::SocketAddr;

use futures_util::future;
use xila_network_host::socket::UdpSocket;
use xila_network_tests::link::{Family, PORT};

use super::frames::{SYN, Segment, TCP, UDP, ipv4, seal_ipv4, udp};
use super::{ATTACKER, Victim};

const MORE: u16 = 0x2000;

/// A fragment of packet `identification`, with an offset in units of eight bytes.
fn piece(victim: &Victim, identification: u16, flags_and_offset: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let (own, target) = (Family::V4.host(ATTACKER), victim.link.server.address(Family::V4));
    let mut packet = ipv4(own, target, protocol, flags_and_offset, payload);
    packet[4..6].copy_from_slice(&identification.to_be_bytes());
    seal_ipv4(&mut packet);
    packet
}

/// Asserts that a legitimate datagram in fragments still arrives.
fn assert_reassembles(victim: &Victim) {
    let client = UdpSocket::bind(&victim.link.client.network, victim.link.client.at(Family::V4, 0)).unwrap();
    victim.link.block_on(async {
        let sending = client.send_to(&[7; 20_000], victim.at(Family::V4, PORT));
        let receiving = async {
            loop {
                let datagram = victim.sockets[0].recv_datagram().await.unwrap();
                if datagram.remote == client.local_addr() {
                    return datagram;
                }
            }
        };
        let (sent, received) = future::join(sending, receiving).await;
        sent.unwrap();
        assert_eq!(received.data, [7; 20_000]);
    });
}

#[test]
fn fragments_of_incomplete_packets_do_not_displace_legitimate_ones() {
    let victim = Victim::new();
    for identification in 0..10_000 {
        victim.inject(&piece(&victim, identification, MORE | 100, UDP, &[0; 1400]));
    }
    assert_reassembles(&victim);
    // The fragments reach up to the end of the largest packet.
    for identification in 0..10_000 {
        victim.inject(&piece(&victim, identification, MORE | 8000, UDP, &[0; 1400]));
    }
    assert_reassembles(&victim);
    victim.advance(60_000);
    assert_reassembles(&victim);
    victim.assert_serves();
}

#[test]
fn fragments_beyond_the_largest_packet_do_no_harm() {
    let victim = Victim::new();
    for (offset, length) in [(8191, 8), (8191, 1400), (8189, 40), (8000, 1500), (8191, 0), (8190, 7)] {
        for more in [0, MORE] {
            victim.inject(&piece(&victim, 1, more | offset, UDP, &vec![1; length]));
            // The first fragment is sent too, so that the packet would be complete, but too long.
            for start in (0..8191).step_by(175) {
                victim.inject(&piece(&victim, 1, MORE | start, UDP, &[1; 1400]));
            }
        }
    }
    assert_reassembles(&victim);
    victim.assert_serves();
}

#[test]
fn overlapping_and_contradicting_fragments_do_no_harm() {
    let victim = Victim::new();
    let mut identification = 0;
    // Every pair of small fragments: at the same place, one within the other, partly overlapping, with two last
    // fragments, and with a last fragment that ends too early.
    let places = [(0, 8), (0, 24), (1, 8), (1, 16), (2, 24), (0, 7), (1, 3), (3, 0)];
    for (first, first_length) in places {
        for (second, second_length) in places {
            for (first_more, second_more) in [(0, 0), (0, MORE), (MORE, 0), (MORE, MORE)] {
                identification += 1;
                let first = piece(&victim, identification, first_more | first, UDP, &vec![1; first_length]);
                let second = piece(&victim, identification, second_more | second, UDP, &vec![2; second_length]);
                let end = piece(&victim, identification, 4, UDP, b"end");
                for packet in [first, second, end] {
                    victim.inject(&packet);
                }
            }
        }
    }
    assert_reassembles(&victim);
    victim.assert_serves();
}

#[test]
fn a_packet_in_the_smallest_fragments_is_reassembled_in_any_order() {
    let victim = Victim::new();
    let from = SocketAddr::new(Family::V4.host(ATTACKER), 4000);
    let datagram = &udp(from, victim.at(Family::V4, PORT), &[9; 80])[20..];
    let pieces: Vec<Vec<u8>> = datagram
        .chunks(8)
        .enumerate()
        .map(|(index, chunk)| {
            let more = if (index + 1) * 8 < datagram.len() { MORE } else { 0 };
            piece(&victim, 5, more | u16::try_from(index).unwrap(), UDP, chunk)
        })
        .collect();
    // Forwards, backwards, even then odd fragments; each fragment twice.
    let orders: [Vec<usize>; 3] = [
        (0..pieces.len()).collect(),
        (0..pieces.len()).rev().collect(),
        (0..pieces.len()).step_by(2).chain((1..pieces.len()).step_by(2)).collect(),
    ];
    for order in orders {
        for index in order {
            victim.inject(&pieces[index]);
            if index % 3 == 0 {
                victim.inject(&pieces[index]);
            }
        }
        let datagram = victim.sockets[0].try_recv_datagram().unwrap();
        assert_eq!(datagram.data, [9; 80]);
        // A repeated fragment may have started a packet that is never completed.
        victim.advance(60_000);
    }
    victim.assert_serves();
}

#[test]
fn a_segment_whose_header_is_fragmented_does_no_harm() {
    let victim = Victim::new();
    let from = SocketAddr::new(Family::V4.host(ATTACKER), 4000);
    for flags in [SYN, 16, 1, 4, 0xff] {
        let segment = &Segment::new(from, victim.at(Family::V4, PORT), flags).packet()[20..];
        victim.inject(&piece(&victim, 6, MORE, TCP, &segment[..8]));
        victim.inject(&piece(&victim, 6, MORE | 1, TCP, &segment[8..16]));
        victim.inject(&piece(&victim, 6, 2, TCP, &segment[16..]));
    }
    victim.assert_serves();
}
