//! Addresses of this host: probes, announcements and answers.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::vec::Vec;

use smoltcp::wire::EthernetAddress;

use super::bench::{FAMILIES, Host, OTHER, OWN, PEER, PEER_LOCAL, PEER_V4, Sent, V4, V6, millis, seconds};
use super::write;
use crate::interface::Change;
use crate::link::arp::{Arp, Operation};
use crate::link::groups::multicast_hardware;
use crate::link::ndp::{Advertisement, Solicitation, all_nodes};

/// The times of the announcements of this host's address, in milliseconds after the first.
fn announcements(sent: &[Sent], address: IpAddr, hardware: EthernetAddress) -> Vec<u64> {
    let is_announcement = |frame: &&Sent| match address {
        IpAddr::V4(address) => {
            frame.arp() == Some(Arp::announcement(hardware, address)) && frame.to() == EthernetAddress::BROADCAST
        }
        IpAddr::V6(address) => {
            frame.advertisement() == Some(Advertisement::announcement(address, hardware))
                && frame.packet().is_some_and(|packet| {
                    packet.source == IpAddr::V6(address) && packet.destination == IpAddr::V6(all_nodes())
                })
                && frame.to() == multicast_hardware(all_nodes().into())
        }
    };
    let at: Vec<u64> = sent.iter().filter(is_announcement).map(|frame| frame.at.millis()).collect();
    at.iter().map(|time| time - at[0]).collect()
}

#[test]
fn a_new_address_is_announced_twice_over_ipv4_and_three_times_over_ipv6() {
    let mut host = Host::bare();
    host.add(V4.into(), 24);
    host.add(V6.into(), 64);
    host.advance(seconds(60));
    let sent = host.sent();
    assert_eq!(announcements(&sent, V4.into(), OWN), [0, 2000], "RFC 5227 section 2.3");
    assert_eq!(announcements(&sent, V6.into(), OWN), [0, 1000, 2000], "RFC 4861 section 7.2.6");
    assert!(sent.iter().all(|frame| frame.from() == OWN));
    assert_eq!(host.changes().len(), 2);
}

#[test]
fn a_new_hardware_address_is_announced_with_override() {
    let mut host = Host::new();
    host.with(|engine, now, _| engine.set_hardware(OTHER, now));
    host.act();
    host.advance(seconds(60));
    let sent = host.sent();
    assert_eq!(announcements(&sent, V4.into(), OTHER), [0, 2000]);
    assert_eq!(announcements(&sent, V6.into(), OTHER), [0, 1000, 2000]);
    assert!(sent.iter().all(|frame| frame.from() == OTHER));
    assert!(sent.iter().any(|frame| frame.at == sent[0].at), "at once");
}

#[test]
fn announcements_are_repeated_when_the_link_comes_back() {
    let mut host = Host::new();
    host.with(|engine, now, _| engine.link_down(now));
    host.advance(seconds(100));
    assert_eq!(host.sent(), []);
    let back = host.now;
    host.with(|engine, now, _| engine.link_up(now));
    host.act();
    host.advance(seconds(60));
    let sent = host.sent();
    assert_eq!(sent[0].at, back);
    assert_eq!(announcements(&sent, V4.into(), OWN), [0, 2000]);
    assert_eq!(announcements(&sent, V6.into(), OWN), [0, 1000, 2000]);
    assert!(host.has(V4.into()) && host.has(V6.into()));
}

#[test]
fn an_arp_request_is_answered_whatever_network_its_sender_is_in() {
    let mut host = Host::new();
    let beyond = Ipv4Addr::new(203, 0, 113, 9);
    host.receive(&write::arp(&Arp::request(PEER, beyond, V4)));
    let sent = host.sent();
    let reply = sent[0].arp().expect("a reply");
    assert_eq!((sent.len(), sent[0].to()), (1, PEER));
    assert_eq!((reply.operation, reply.sender, reply.sender_hardware), (Operation::Reply, V4, OWN));
    assert_eq!((reply.target, reply.target_hardware), (beyond, PEER));
    assert!(host.neighbour(beyond.into()).is_some(), "it will be sent something soon");
}

#[test]
fn an_arp_probe_for_an_address_of_this_host_is_answered_but_nothing_is_learned() {
    let mut host = Host::new();
    host.receive(&write::arp(&Arp::probe(PEER, V4)));
    let sent = host.sent();
    let reply = sent[0].arp().expect("a reply");
    assert_eq!((sent.len(), sent[0].to(), reply.operation), (1, PEER, Operation::Reply));
    assert_eq!((reply.sender, reply.target), (V4, Ipv4Addr::UNSPECIFIED));
    assert_eq!(host.engine.interface().neighbours(host.now).count(), 0);
    assert_eq!(host.changes(), [], "a probe for an address that is held is no conflict");
    host.receive(&write::arp(&Arp::request(PEER, PEER_V4, PEER_V4)));
    host.receive(&write::arp(&Arp::request(PEER, PEER_V4, Ipv4Addr::new(192, 0, 2, 7))));
    assert_eq!(host.sent(), [], "others are asked");
}

/// The probes that were sent: address and nonce.
fn probes(sent: &[Sent]) -> Vec<(Ipv6Addr, [u8; 6])> {
    let probes = sent.iter().filter_map(|frame| {
        let probe = frame.solicitation().filter(Solicitation::is_probe)?;
        assert_eq!((probe.hardware, frame.to()), (None, multicast_hardware(probe.destination.into())));
        Some((probe.target, probe.nonce.expect("a nonce")))
    });
    probes.collect()
}

/// A host whose only address is the link-local one that it forms itself, after it has sent the probe.
fn probing() -> (Host, Ipv6Addr, [u8; 6]) {
    let mut host = Host::bare();
    host.with(|engine, now, _| engine.interface_mut().set_link_local(true, now));
    host.act();
    host.advance(millis(1000));
    let probes = probes(&host.sent());
    assert_eq!(probes.len(), 1, "within a second");
    (host, probes[0].0, probes[0].1)
}

#[test]
fn a_link_local_address_is_probed_for_once_and_usable_a_second_later() {
    let mut host = Host::bare();
    host.with(|engine, now, _| engine.interface_mut().set_link_local(true, now));
    host.act();
    host.advance(seconds(60));
    let sent = host.sent();
    let probe = sent.iter().find(|frame| frame.solicitation().is_some()).expect("a probe");
    let ((address, _), count) = (probes(&sent)[0], probes(&sent).len());
    assert_eq!(count, 1);
    let segments = address.segments();
    assert_eq!(segments[..4], [0xfe80, 0, 0, 0]);
    assert_ne!(segments[4..], [0, 0xff, 0xfe00, 1], "it is not made of the hardware address (RFC 7217)");
    let first = sent.iter().find(|frame| frame.advertisement().is_some()).expect("an announcement");
    assert_eq!(first.at - probe.at, seconds(1), "RFC 4861 section 10, RETRANS_TIMER");
    assert_eq!(announcements(&sent, address.into(), OWN), [0, 1000, 2000]);
    assert!(host.has(address.into()));
    let added = host.changes();
    assert!(matches!(added[..], [Change::AddressAdded(cidr)] if IpAddr::from(cidr.address()) == IpAddr::V6(address)));
}

#[test]
fn solicitations_for_a_tentative_address_are_not_answered() {
    let (mut host, address, _) = probing();
    host.receive(&write::solicitation((OWN, PEER), &Solicitation::question(PEER_LOCAL, PEER, address)));
    assert!(host.sent().iter().all(|frame| frame.advertisement().is_none()));
    assert!(!host.has(address.into()));
    host.advance(seconds(2));
    assert!(host.has(address.into()), "and a question of a neighbour says nothing against it");
}

#[test]
fn an_address_that_another_host_has_or_probes_for_is_given_up_and_the_next_is_tried() {
    type Objection = fn(Ipv6Addr) -> Vec<u8>;
    let objections: [Objection; 2] = [
        |address| write::advertisement((OWN, PEER), address, all_nodes(), &Advertisement::announcement(address, PEER)),
        |address| write::solicitation((OWN, PEER), &Solicitation::probe(address, Some([9; 6]))),
    ];
    for objection in objections {
        let (mut host, first, _) = probing();
        host.receive(&objection(first));
        let changes = host.changes();
        let Change::AddressConflict(conflict) = changes[0] else { panic!("{changes:?}") };
        assert_eq!((conflict.address, conflict.hardware, conflict.is_lost), (first.into(), PEER, true));
        host.advance(seconds(60));
        let second = probes(&host.sent())[0].0;
        assert_ne!(second, first);
        assert!(host.has(second.into()) && !host.has(first.into()));
    }
}

#[test]
fn after_three_more_conflicts_there_is_no_link_local_address() {
    let (mut host, mut address, _) = probing();
    for _ in 0..4 {
        let said = Advertisement::announcement(address, PEER);
        host.receive(&write::advertisement((OWN, PEER), address, all_nodes(), &said));
        host.advance(seconds(1));
        match probes(&host.sent()).first() {
            Some((next, _)) => address = *next,
            None => break,
        }
    }
    host.advance(seconds(60));
    assert_eq!(probes(&host.sent()), []);
    assert!(host.engine.interface().addresses().is_empty());
}

#[test]
fn an_own_probe_that_is_looped_back_is_no_conflict() {
    let (mut host, address, nonce) = probing();
    host.receive(&write::solicitation((OWN, OWN), &Solicitation::probe(address, Some(nonce))));
    host.advance(seconds(60));
    assert!(host.has(address.into()), "RFC 7527 section 4.2");
}

#[test]
fn a_solicitation_from_a_link_local_address_is_answered() {
    let mut host = Host::new();
    host.receive(&write::solicitation((OWN, PEER), &Solicitation::question(PEER_LOCAL, PEER, V6)));
    let sent = host.sent();
    let answer = sent[0].advertisement().expect("an answer");
    assert_eq!((sent.len(), sent[0].to()), (1, PEER));
    let expected = Advertisement { target: V6, hardware: Some(OWN), router: false, solicited: true, overrides: true };
    assert_eq!(answer, expected);
    let packet = sent[0].packet().expect("a packet");
    assert_eq!((packet.source, packet.destination), (V6.into(), PEER_LOCAL.into()));
}

#[test]
fn a_probe_for_an_address_of_this_host_is_answered_to_all_nodes() {
    let mut host = Host::new();
    host.receive(&write::solicitation((OWN, PEER), &Solicitation::probe(V6, None)));
    let sent = host.sent();
    let answer = sent[0].advertisement().expect("an answer");
    assert_eq!((answer.solicited, answer.overrides), (false, true), "RFC 4861 section 7.2.4");
    assert_eq!(sent[0].packet().expect("a packet").destination, IpAddr::V6(all_nodes()));
    assert!(host.has(V6.into()));
}

#[test]
fn echo_requests_are_answered_from_the_address_that_was_asked() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        host.receive_packet(&write::ping(peer, own, 3, b"abc"));
        let sent = host.sent();
        let packet = sent[0].packet().expect("a reply");
        assert_eq!((packet.source, packet.destination, sent[0].to()), (own, peer, PEER));
        let Some(crate::ip::icmp::Message::EchoReply(echo)) = sent[0].icmp() else { panic!() };
        assert_eq!((echo.identifier, echo.sequence, echo.payload), (7, 3, &b"abc"[..]));
        host.engine.set_echo_reply(false);
        host.receive_packet(&write::ping(peer, own, 4, b"abc"));
        assert_eq!(host.sent(), []);
    }
}
