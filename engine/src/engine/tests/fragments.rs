//! Packets that are longer than the MTU of the link.

use core::net::{IpAddr, SocketAddr};
use std::vec::Vec;

use super::bench::{
    FAMILIES, Host, OWN, PEER, PEER_PORT, PEER_V4, PEER_V6, PORT, Sent, V4, V6, exchange, peer, seconds,
};
use super::write::{self, fragment_header};
use crate::engine::Datagram;
use crate::event::Event;
use crate::interface::SendError;
use crate::ip::icmp::Message;
use crate::ports::Owner;

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

/// The fragments of one packet as offsets, data lengths and more-fragments flags; and their identifications.
fn cut(sent: &[Sent]) -> (Vec<(usize, usize, bool)>, Vec<u32>) {
    let fragments = sent.iter().map(|frame| {
        let packet = frame.packet().expect("a packet");
        assert!(packet.bytes.len() <= 1500);
        let fragment = packet.fragment.expect("a fragment");
        ((fragment.offset, packet.payload().len(), fragment.more), fragment.identification)
    });
    fragments.unzip()
}

#[test]
fn a_datagram_of_4000_bytes_leaves_in_three_fragments_that_a_peer_reassembles() {
    for (own, remote) in FAMILIES {
        let (mut host, mut other) = (Host::acquainted(), peer());
        other.engine.bind_udp(SocketAddr::new(remote, PEER_PORT), Owner(1)).expect("free");
        let payload = bytes(4000);
        assert_eq!(host.send(own, remote, &payload), Ok(()));
        let sent = host.sent();
        let (parts, identifications) = cut(&sent);
        // RFC 791 section 3.2 and RFC 8200 section 4.5: multiples of eight bytes, as long as the MTU allows.
        let expected = if own.is_ipv4() {
            [(0, 1480, true), (1480, 1480, true), (2960, 1048, false)]
        } else {
            [(0, 1448, true), (1448, 1448, true), (2896, 1112, false)]
        };
        assert_eq!(parts, expected);
        assert!(identifications.iter().all(|identification| *identification == identifications[0]));
        assert!(sent.iter().all(|frame| frame.to() == PEER && frame.from() == OWN));
        if own.is_ipv4() {
            assert!(sent.iter().all(|frame| frame.body()[6] & 0x40 == 0), "routers may cut them further");
        }
        for frame in [2, 0, 1, 1] {
            other.receive(&sent[frame].bytes);
        }
        assert_eq!(other.delivered(), [payload]);
        assert_eq!(other.engine.counters().dropped, 0, "what comes twice is no fault, and waits for others");
    }
}

#[test]
fn identifications_of_datagrams_differ() {
    for (own, remote) in FAMILIES {
        let mut host = Host::acquainted();
        (0..50).for_each(|_| assert_eq!(host.send(own, remote, &bytes(2000)), Ok(())));
        let (_, mut identifications) = cut(&host.sent());
        identifications.sort_unstable();
        identifications.dedup();
        assert_eq!(identifications.len(), 50);
    }
}

#[test]
fn a_long_datagram_that_must_not_be_fragmented_is_too_large() {
    for (own, remote) in FAMILIES {
        let mut host = Host::acquainted();
        let (source, destination) = (SocketAddr::new(own, PORT), SocketAddr::new(remote, PEER_PORT));
        let payload = bytes(1473);
        let mut datagram = Datagram {
            owner: Owner(1),
            source,
            destination,
            hop_limit: 64,
            whole: true,
            loops_back: false,
            payload: &payload,
        };
        let sent = host.with(|engine, now, wire| engine.send_datagram(&datagram, now, wire));
        assert_eq!((sent, host.sent()), (Err(SendError::TooLarge { mtu: 1500 }), Vec::new()));
        datagram.payload = &payload[..if own.is_ipv4() { 1472 } else { 1452 }];
        let sent = host.with(|engine, now, wire| engine.send_datagram(&datagram, now, wire));
        assert_eq!((sent, host.sent().len()), (Ok(()), 1));
    }
}

#[test]
fn the_longest_datagram_arrives_and_a_longer_one_is_refused() {
    for (own, remote) in FAMILIES {
        let (mut host, mut other) = (Host::acquainted(), peer());
        other.engine.bind_udp(SocketAddr::new(remote, PEER_PORT), Owner(1)).expect("free");
        let longest = if own.is_ipv4() { 65_507 } else { 65_527 };
        assert!(matches!(host.send(own, remote, &bytes(longest + 1)), Err(SendError::TooLarge { .. })));
        assert_eq!(host.send(own, remote, &bytes(longest)), Ok(()));
        exchange(&mut host, &mut other);
        assert_eq!(other.delivered(), [bytes(longest)]);
    }
}

#[test]
fn an_echo_request_of_2000_bytes_is_answered_in_fragments() {
    for (own, remote) in FAMILIES {
        let (mut host, mut other) = (Host::acquainted(), peer());
        other.meet_host();
        other.engine.bind_icmp(own.is_ipv4(), crate::icmp::Binding::Echo(7), Owner(1)).expect("free");
        assert_eq!(other.send_echo(remote, own, &bytes(2000)), Ok(()));
        let request = other.sent();
        assert_eq!(request.len(), 2);
        request.iter().for_each(|frame| host.receive(&frame.bytes));
        let reply = host.sent();
        assert_eq!(cut(&reply).0.len(), 2);
        reply.iter().for_each(|frame| other.receive(&frame.bytes));
        let replies: Vec<&Event> = other.events.iter().filter(|event| matches!(event, Event::EchoReply(_))).collect();
        let [Event::EchoReply(reply)] = replies[..] else { panic!("{replies:?}") };
        assert_eq!(
            (reply.source, Some(reply.to), &reply.data),
            (own, other.engine.icmp().of_identifier(own.is_ipv4(), 7), &bytes(2000))
        );
    }
}

impl Host {
    /// As [`Host::meet`], for a host that has the addresses of the peer.
    fn meet_host(&mut self) {
        self.receive(&write::arp(&crate::link::arp::Arp::request(OWN, V4, PEER_V4)));
        let question = crate::link::ndp::Solicitation::question(V6, OWN, PEER_V6);
        self.receive(&write::solicitation((PEER, OWN), &question));
        self.wire.frames.clear();
    }
}

/// Two fragments of a datagram to this host.
fn parts(own: IpAddr, remote: IpAddr, identification: u32) -> [Vec<u8>; 2] {
    let (from, to) = (SocketAddr::new(remote, PEER_PORT), SocketAddr::new(own, PORT));
    let whole = write::datagram(from, to, &bytes(100));
    let part = |range: core::ops::Range<usize>, more| {
        let (offset, data) = (range.start as u16, &whole[range]);
        if own.is_ipv6() {
            return write::ip(remote, own, 44, &[&fragment_header(17, offset, more, identification), data].concat());
        }
        let mut packet = write::ip(remote, own, 17, data);
        packet[4..6].copy_from_slice(&(identification as u16).to_be_bytes());
        packet[6..8].copy_from_slice(&((offset / 8) | if more { 0x2000 } else { 0 }).to_be_bytes());
        packet[10..12].fill(0);
        let sum = (!smoltcp::wire::checksum::data(&packet[..20])).to_be_bytes();
        packet[10..12].copy_from_slice(&sum);
        packet
    };
    [part(0..64, true), part(64..108, false)]
}

#[test]
fn an_incomplete_packet_expires_and_its_sender_gets_an_error() {
    for (own, remote) in FAMILIES {
        let mut host = Host::acquainted();
        host.bind(own);
        let [first, last] = parts(own, remote, 5);
        host.receive_packet(&first);
        let begun = host.now;
        // RFC 8200 section 4.5. For IPv4, RFC 1122 section 3.3.2 recommends 60 to 120 seconds.
        let lifetime = seconds(60);
        host.advance(lifetime - seconds(1));
        host.meet();
        host.advance(seconds(2));
        let sent = host.sent();
        let errors: Vec<&Sent> = sent.iter().filter(|frame| matches!(frame.icmp(), Some(Message::Error(_)))).collect();
        let [error] = errors[..] else { panic!("{own} {sent:?}") };
        let Some(Message::Error(report)) = error.icmp() else { panic!() };
        assert_eq!((report.number, report.code), if own.is_ipv4() { (11, 1) } else { (3, 1) });
        assert_eq!(report.quoted.bytes, first, "as it came");
        assert_eq!(error.at - begun, lifetime);
        host.receive_packet(&last);
        host.advance(seconds(200));
        assert_eq!(host.delivered().len(), 0);
        assert!(host.sent().iter().all(|frame| !matches!(frame.icmp(), Some(Message::Error(_)))), "not the first");
        assert_eq!(host.engine.reassembly.held(), 0);
    }
}

#[test]
fn overlapping_fragments_drop_the_packet() {
    for (own, remote) in FAMILIES {
        let mut host = Host::acquainted();
        host.bind(own);
        let [first, last] = parts(own, remote, 5);
        let mut overlapping = parts(own, remote, 5)[1].clone();
        let at = if own.is_ipv4() { 7 } else { 43 };
        overlapping[at] = if own.is_ipv4() { 6 } else { 48 };
        if own.is_ipv4() {
            overlapping[10..12].fill(0);
            let sum = (!smoltcp::wire::checksum::data(&overlapping[..20])).to_be_bytes();
            overlapping[10..12].copy_from_slice(&sum);
        }
        [first, overlapping, last].iter().for_each(|packet| host.receive_packet(packet));
        assert_eq!(host.delivered().len(), 0, "RFC 5722");
    }
}
