//! Tests of IPv6 router discovery and autoconfiguration over frames.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::vec::Vec;

use super::bench::{FAMILIES, Host, OTHER, OTHER_LOCAL, OWN, PEER, PEER_LOCAL, PEER_V6, V4, V6, millis, seconds};
use super::write::{self, prefix, router_advertisement};
use crate::interface::Change;
use crate::ip::routes::Target;
use crate::link::ndp::{Advertisement, Message, Solicitation, all_nodes, all_routers};

const NETWORK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 0);
const BEYOND: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 1);

/// A host with autoconfiguration switched on and a link-local address; what it sent in the first minute is discarded.
fn listening() -> Host {
    let mut host = Host::bare();
    host.with(|engine, now, _| {
        engine.interface_mut().set_link_local(true, now);
        engine.set_autoconfiguration(true, now);
    });
    host.act();
    host.settle();
    host
}

fn gateways(host: &Host) -> Vec<IpAddr> {
    host.engine.interface().routes().iter().filter_map(crate::ip::routes::Route::gateway).collect()
}

/// The hardware address of the router to which a datagram is sent.
fn chosen(host: &mut Host, from: IpAddr) -> smoltcp::wire::EthernetAddress {
    host.sent();
    assert_eq!(host.send(from, BEYOND.into(), b"data"), Ok(()));
    host.sent().iter().find(|frame| frame.datagram().is_some()).expect("a datagram").to()
}

#[test]
fn routers_are_asked_ever_less_often_once_there_is_a_link_local_address() {
    let mut host = Host::bare();
    host.with(|engine, now, _| {
        engine.set_autoconfiguration(true, now);
        engine.interface_mut().set_link_local(true, now);
    });
    host.act();
    host.advance(seconds(4000));
    let sent = host.sent();
    let own = host.engine.interface().addresses().iter().next().expect("an address").address();
    let asked: Vec<_> =
        sent.iter().filter(|frame| matches!(frame.discovery(), Some(Message::RouterSolicitation))).collect();
    // The intervals are 4, 8, 16 seconds and so on, up to 2048.
    assert_eq!(asked.len(), 10, "RFC 7559 section 2");
    for frame in &asked {
        let packet = frame.packet().expect("a packet");
        assert_eq!((packet.source, packet.destination), (own, all_routers().into()));
        assert_eq!(packet.payload()[8..], [&[1, 1][..], &OWN.0].concat());
    }
    let used = sent.iter().find(|frame| frame.advertisement().is_some()).expect("an announcement").at;
    assert!(asked[0].at - used <= millis(1), "at once");
}

/// RFC 4861 section 6.3.7.
#[test]
fn there_seems_to_be_no_router_where_none_answers_three_times() {
    let is_unanswered = |host: &Host| host.engine.discovery().expect("it is on").is_unanswered();
    let told = |host: &Host| host.changes().iter().filter(|change| **change == Change::Autoconfiguration).count();
    let mut host = Host::bare();
    host.with(|engine, now, _| {
        engine.interface_mut().set_link_local(true, now);
        engine.set_autoconfiguration(true, now);
    });
    host.act();
    host.advance(seconds(3));
    host.events.clear();
    host.advance(seconds(8));
    assert!(!is_unanswered(&host));
    host.advance(seconds(5));
    assert_eq!((is_unanswered(&host), told(&host)), (true, 1));
    // The link is back, and may lead to another network.
    host.with(|engine, now, _| engine.link_up(now));
    host.act();
    assert_eq!((is_unanswered(&host), told(&host)), (false, 2));
    host.advance(seconds(5));
    // A router that answers counts, even if it is not a default router.
    host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 0, &[]));
    host.events.clear();
    host.advance(seconds(100));
    assert_eq!((is_unanswered(&host), told(&host)), (false, 0));
}

#[test]
fn an_advertisement_brings_an_address_a_router_and_a_network_on_the_link() {
    let mut host = listening();
    host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 1800, &prefix(NETWORK)));
    assert_eq!(gateways(&host), [IpAddr::V6(PEER_LOCAL)]);
    let formed = host.engine.interface().addresses().iter().last().expect("an address").address();
    let IpAddr::V6(address) = formed else { panic!() };
    assert_eq!(address.segments()[..4], NETWORK.segments()[..4]);
    assert!(!host.has(formed), "it is probed for first (RFC 4862 section 5.4)");
    host.advance(seconds(3));
    assert!(host.has(formed));
    let probes: Vec<_> = host.sent().iter().filter_map(super::bench::Sent::solicitation).collect();
    assert!(matches!(probes[..], [probe] if probe.is_probe() && probe.target == address));
    assert!(
        host.changes().iter().any(|change| matches!(change, Change::AddressAdded(cidr) if cidr.prefix_len() == 64))
    );
    let neighbour = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 9);
    let interface = host.engine.interface_mut();
    assert!(interface.next_hop(neighbour.into()).expect("a way").on_link);
    assert_eq!(interface.next_hop(BEYOND.into()).expect("a way").hop, IpAddr::V6(PEER_LOCAL));
    assert_eq!(chosen(&mut host, formed), PEER, "its hardware address came with it");
}

#[test]
fn an_address_that_was_formed_and_is_anothers_is_formed_anew() {
    let mut host = listening();
    host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 1800, &prefix(NETWORK)));
    host.advance(seconds(1));
    let formed = |host: &Host| host.engine.interface().addresses().iter().last().expect("an address").address();
    let first = formed(&host);
    let IpAddr::V6(address) = first else { panic!() };
    host.receive(&write::solicitation((OWN, OTHER), &Solicitation::probe(address, None)));
    host.advance(seconds(3));
    let second = formed(&host);
    assert_ne!(first, second);
    assert!(host.has(second) && !host.has(first));
    assert!(host.changes().iter().any(|change| {
        matches!(change, Change::AddressConflict(conflict) if conflict.address == first && conflict.is_lost)
    }));
}

#[test]
fn an_address_that_is_found_to_be_anothers_when_the_interface_is_used_again_is_left_to_it() {
    let mut host = listening();
    host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 1800, &prefix(NETWORK)));
    host.advance(seconds(10));
    let formed = host.engine.interface().addresses().iter().last().expect("an address").address();
    let IpAddr::V6(address) = formed else { panic!() };
    host.with(|engine, now, _| engine.resume(now));
    host.act();
    host.receive(&write::advertisement(
        (OWN, OTHER),
        address,
        all_nodes(),
        &Advertisement::announcement(address, OTHER),
    ));
    assert!(!host.has(formed), "it was probed for anew");
    assert!(host.changes().contains(&Change::AddressRemoved(smoltcp::wire::IpCidr::new(formed.into(), 64))));
    host.advance(seconds(3));
    host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 1800, &prefix(NETWORK)));
    host.advance(seconds(1));
    host.receive(&write::advertisement(
        (OWN, OTHER),
        address,
        all_nodes(),
        &Advertisement::announcement(address, OTHER),
    ));
    host.advance(seconds(3));
    let next = host.engine.interface().addresses().iter().last().expect("an address").address();
    assert!(next != formed && host.has(next));
}

#[test]
fn a_router_with_a_lifetime_of_zero_is_none_any_more() {
    let mut host = listening();
    host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 1800, &[]));
    host.receive(&router_advertisement(OTHER, OTHER_LOCAL, 0, 1800, &[]));
    assert_eq!(gateways(&host).len(), 2);
    host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 0, &[]));
    assert_eq!(gateways(&host), [IpAddr::V6(OTHER_LOCAL)]);
    let removed = |change: &Change| {
        matches!(change, Change::RouteRemoved(route) if route.target
        == Target::Gateway { address: PEER_LOCAL.into(), onlink: false })
    };
    assert_eq!(host.changes().iter().filter(|change| removed(change)).count(), 1);
    host.advance(seconds(1799));
    assert_eq!(gateways(&host).len(), 1);
    host.advance(seconds(2));
    assert_eq!(gateways(&host).len(), 0, "nor one whose time is over");
}

#[test]
fn the_router_with_the_higher_preference_is_used() {
    const HIGH: u8 = 0b01 << 3;
    const LOW: u8 = 0b11 << 3;
    for (flags, expected) in [((HIGH, 0), PEER), ((0, HIGH), OTHER), ((LOW, 0), OTHER), ((0, LOW), PEER)] {
        let mut host = listening();
        host.add(V6.into(), 64);
        host.settle();
        host.receive(&router_advertisement(PEER, PEER_LOCAL, flags.0, 1800, &[]));
        host.receive(&router_advertisement(OTHER, OTHER_LOCAL, flags.1, 1800, &[]));
        assert_eq!(chosen(&mut host, V6.into()), expected, "RFC 4191 section 2.1: {flags:?}");
    }
}

#[test]
fn a_router_that_says_that_it_is_none_is_not_used() {
    let mut host = listening();
    host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 1800, &[]));
    let said =
        Advertisement { target: PEER_LOCAL, hardware: Some(PEER), router: false, solicited: false, overrides: true };
    host.receive(&write::advertisement((OWN, PEER), PEER_LOCAL, all_nodes(), &said));
    assert_eq!(gateways(&host).len(), 0, "RFC 4861 section 7.2.5");
}

#[test]
fn advertisements_are_not_listened_to_where_it_is_switched_off_nor_from_beyond_the_link() {
    let mut host = Host::new();
    host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 1800, &prefix(NETWORK)));
    assert_eq!(gateways(&host).len(), 0);
    let mut host = listening();
    host.receive(&router_advertisement(PEER, PEER_V6, 0, 1800, &prefix(NETWORK)));
    let mut frame = router_advertisement(PEER, PEER_LOCAL, 0, 1800, &prefix(NETWORK));
    frame[14 + 7] = 254;
    host.receive(&frame);
    assert_eq!(gateways(&host).len(), 0);
}

#[test]
fn what_routers_brought_goes_when_they_are_not_listened_to_any_more() {
    let mut host = listening();
    let mtu = [5, 1, 0, 0, 0, 0, 0x05, 0x78];
    host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 1800, &[&prefix(NETWORK)[..], &mtu].concat()));
    host.advance(seconds(3));
    assert_eq!((host.engine.interface().link().mtu, host.engine.interface().addresses().len()), (1400, 2));
    host.with(|engine, now, _| engine.set_autoconfiguration(false, now));
    host.act();
    assert_eq!((host.engine.interface().link().mtu, host.engine.interface().addresses().len()), (1500, 1));
    assert!(host.engine.interface().routes().is_empty());
}

#[test]
fn a_connection_from_a_formed_address_outlives_a_link_that_was_down() {
    let mut host = listening();
    host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 1800, &prefix(NETWORK)));
    host.advance(seconds(10));
    let formed = host.engine.interface().addresses().iter().last().expect("an address").address();
    let connection = host.connect(formed, BEYOND.into());
    let sent = host.sent();
    let syn = sent.iter().filter_map(super::bench::Sent::packet).find(|packet| u8::from(packet.protocol) == 6);
    let syn = syn.expect("a SYN").payload();
    let number = |at: usize| u32::from_be_bytes([syn[at], syn[at + 1], syn[at + 2], syn[at + 3]]);
    let port = u16::from_be_bytes([syn[0], syn[1]]);
    let (remote, local) = (SocketAddr::new(BEYOND.into(), super::bench::PEER_PORT), SocketAddr::new(formed, port));
    let answer = write::segment(remote, local, 0x12, 500, number(4).wrapping_add(1));
    host.receive_packet(&write::ip(BEYOND.into(), formed, 6, &answer));
    assert_eq!(host.outcome(connection), Some(Ok(())));
    host.with(|engine, now, _| engine.link_down(now));
    host.advance(seconds(5));
    host.sent();
    host.with(|engine, now, _| engine.link_up(now));
    host.act();
    host.advance(seconds(1));
    let asks = |frame: &super::bench::Sent| matches!(frame.discovery(), Some(Message::RouterSolicitation));
    assert_eq!(host.sent().iter().filter(|frame| asks(frame)).count(), 1, "the router is asked at once");
    host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 1800, &prefix(NETWORK)));
    host.advance(seconds(3));
    assert!(host.has(formed));
    assert_eq!(host.engine.tcp().state(connection), crate::tcp::TcpState::Established);
}

/// RFC 4861 section 6.3.4.
#[test]
fn what_no_socket_sends_has_the_hop_limit_that_routers_advertise() {
    let mut host = listening();
    host.add(V6.into(), 64);
    host.add(V4.into(), 24);
    let answers = |host: &mut Host| {
        host.meet();
        for (own, peer) in FAMILIES.into_iter().rev() {
            let syn = write::segment(SocketAddr::new(peer, 7), SocketAddr::new(own, 7), 2, 1, 0);
            host.receive_packet(&write::ping(peer, own, 1, b"data"));
            host.receive_packet(&write::udp(SocketAddr::new(peer, 7), SocketAddr::new(own, 7), b"data"));
            host.receive_packet(&write::ip(peer, own, 6, &syn));
        }
        let sent = host.sent();
        let answers = sent.iter().filter(|frame| frame.discovery().is_none());
        answers.filter_map(super::bench::Sent::packet).map(|packet| packet.hop_limit).collect::<Vec<_>>()
    };
    assert_eq!(answers(&mut host), [64; 6]);
    for (advertised, expected) in [(32, 32), (0, 32), (255, 255)] {
        host.receive(&write::router_advertisement_with(advertised, PEER, PEER_LOCAL, 0, 1800, &[]));
        host.advance(seconds(10));
        assert_eq!(answers(&mut host), [expected, expected, expected, 64, 64, 64]);
    }
    host.with(|engine, now, _| engine.set_autoconfiguration(false, now));
    host.advance(seconds(10));
    assert_eq!(answers(&mut host), [64; 6]);
}

#[test]
fn routers_of_a_first_network_may_advertise_what_they_like() {
    let mut host = listening();
    host.with(|engine, now, _| engine.link_up(now));
    host.act();
    let other = Ipv6Addr::new(0x2001, 0xdb8, 8, 0, 0, 0, 0, 0);
    host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 1800, &prefix(NETWORK)));
    host.receive(&router_advertisement(OTHER, OTHER_LOCAL, 0, 1800, &prefix(other)));
    assert_eq!((gateways(&host).len(), host.engine.interface().addresses().len()), (2, 3));
}

#[test]
fn another_network_behind_the_link_takes_the_place_of_the_one_before() {
    let other = Ipv6Addr::new(0x2001, 0xdb8, 8, 0, 0, 0, 0, 0);
    for is_other in [false, true] {
        let mut host = listening();
        host.receive(&router_advertisement(PEER, PEER_LOCAL, 0, 1800, &prefix(NETWORK)));
        host.advance(seconds(10));
        host.with(|engine, now, _| engine.link_down(now));
        host.with(|engine, now, _| engine.link_up(now));
        host.act();
        host.receive(&router_advertisement(OTHER, OTHER_LOCAL, 0, 1800, &[]));
        assert_eq!(gateways(&host), [IpAddr::V6(PEER_LOCAL), OTHER_LOCAL.into()], "that says nothing of the network");
        let network = if is_other { other } else { NETWORK };
        host.receive(&router_advertisement(OTHER, OTHER_LOCAL, 0, 1800, &prefix(network)));
        host.advance(seconds(3));
        let formed = host.engine.interface().addresses().iter().last().expect("an address").address();
        assert!(matches!(formed, IpAddr::V6(formed) if formed.segments()[..4] == network.segments()[..4]));
        assert_eq!((host.has(formed), host.engine.interface().addresses().len()), (true, 2));
        assert_eq!(gateways(&host).len(), if is_other { 1 } else { 2 });
        // After the check, routers may advertise any prefix.
        let third = Ipv6Addr::new(0x2001, 0xdb8, 6, 0, 0, 0, 0, 0);
        host.receive(&router_advertisement(OTHER, OTHER_LOCAL, 0, 1800, &prefix(third)));
        host.advance(seconds(3));
        assert_eq!(host.engine.interface().addresses().len(), 3);
    }
}
