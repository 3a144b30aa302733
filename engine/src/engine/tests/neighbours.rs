//! Neighbours that are not resolved yet: what waits for them, and the result.

use core::net::{IpAddr, SocketAddr};
use std::vec::Vec;

use smoltcp::wire::EthernetAddress;

use super::bench::{FAMILIES, Host, OWN, PEER, PEER_PORT, PEER_V4, PEER_V6, PORT, Sent, V4, V6, millis, seconds};
use super::write;
use crate::event::Event;
use crate::interface::SendError;
use crate::ip::icmp::Message;
use crate::link::arp::{Arp, Operation};
use crate::link::groups::multicast_hardware;
use crate::link::ndp::{Advertisement, Solicitation, solicited_node};
use crate::link::neighbours::State;
use crate::ports::Owner;
use crate::tcp::{Cause, Options, Places};
use crate::udp::queue::PathError;

/// Whether a frame is a broadcast or multicast solicitation for the peer.
fn asks(frame: &Sent, peer: IpAddr) -> bool {
    match peer {
        IpAddr::V4(peer) => {
            let is_right = |arp: Arp| arp == Arp::request(OWN, V4, peer) && frame.to() == EthernetAddress::BROADCAST;
            frame.arp().is_some_and(is_right)
        }
        IpAddr::V6(peer) => frame.solicitation().is_some_and(|solicitation| {
            let group = solicited_node(peer);
            (solicitation.source, solicitation.destination, solicitation.target) == (V6, group, peer)
                && solicitation.hardware == Some(OWN)
                && frame.to() == multicast_hardware(group.into())
        }),
    }
}

/// The peer's answer to the solicitation.
fn answer(peer: IpAddr) -> Vec<u8> {
    match peer {
        IpAddr::V4(_) => write::arp(&Arp::request(OWN, V4, PEER_V4).reply(PEER)),
        IpAddr::V6(_) => {
            let said = Advertisement {
                target: PEER_V6,
                hardware: Some(PEER),
                router: false,
                solicited: true,
                overrides: true,
            };
            write::advertisement((OWN, PEER), PEER_V6, V6, &said)
        }
    }
}

#[test]
fn packets_of_all_kinds_wait_for_one_solicitation_and_leave_in_order() {
    for (own, peer) in FAMILIES {
        let mut host = Host::new();
        let listener = host.engine.tcp_mut().bind(own, PORT, Owner::HOST).expect("free");
        host.engine.tcp_mut().listen(listener, Places::new(16), Options::default());
        let (remote, local) = (SocketAddr::new(peer, PEER_PORT), SocketAddr::new(own, PORT));
        let closed = SocketAddr::new(own, PORT + 1);
        assert_eq!(host.send(own, peer, b"first"), Ok(()));
        host.receive_packet(&write::ping(peer, own, 9, b"second"));
        host.receive_packet(&write::ip(peer, own, 6, &write::segment(remote, closed, 2, 100, 0)));
        host.receive_packet(&write::udp(remote, closed, b"fourth"));
        assert_eq!(host.send(own, peer, b"fifth"), Ok(()));
        assert_eq!(host.send_echo(own, peer, b"sixth"), Ok(()));
        host.receive_packet(&write::ip(peer, own, 6, &write::segment(remote, local, 2, 100, 0)));
        let asked = host.sent();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert!(asks(&asked[0], peer));
        host.advance(millis(500));
        host.receive(&answer(peer));
        let sent = host.sent();
        assert!(sent.iter().all(|frame| frame.to() == PEER && frame.from() == OWN));
        assert_eq!(sent.len(), 7, "{sent:?}");
        assert_eq!(sent[0].datagram(), Some(&b"first"[..]));
        assert!(matches!(sent[1].icmp(), Some(Message::EchoReply(echo)) if echo.payload == b"second"));
        assert_eq!(sent[2].packet().expect("a reset").payload()[13], 0x14, "RST, ACK");
        assert!(matches!(sent[3].icmp(), Some(Message::Error(_))));
        assert_eq!(sent[4].datagram(), Some(&b"fifth"[..]));
        assert!(matches!(sent[5].icmp(), Some(Message::EchoRequest(echo)) if echo.payload == b"sixth"));
        assert_eq!(sent[6].packet().expect("an answer").payload()[13], 0x12, "SYN, ACK");
        assert_eq!(host.neighbour(peer), Some((State::Reachable, Some(PEER))));
        assert!(host.events.iter().any(|event| matches!(event, Event::Uncrowded)));
    }
}

#[test]
fn a_neighbour_that_does_not_answer_is_asked_three_times_and_senders_are_told() {
    for (own, peer) in FAMILIES {
        let mut host = Host::new();
        host.bind(own);
        assert_eq!(host.send(own, peer, b"lost"), Ok(()));
        assert_eq!(host.send_echo(own, peer, b"lost"), Ok(()));
        host.receive_packet(&write::ping(peer, own, 1, b"lost"));
        let connection = host.connect(own, peer);
        let begun = host.now;
        host.advance(millis(2999));
        assert_eq!((host.outcome(connection), host.path_errors()), (None, Vec::new()));
        host.advance(millis(1));
        let sent = host.sent();
        assert!(sent.iter().all(|frame| asks(frame, peer)), "{sent:?}");
        let at: Vec<_> = sent.iter().map(|frame| frame.at - begun).collect();
        assert_eq!(at, [seconds(0), seconds(1), seconds(2)], "RFC 4861 section 7.2.2");
        assert_eq!(host.outcome(connection), Some(Err(Cause::Unreachable)));
        assert_eq!(host.path_errors(), [(SocketAddr::new(peer, PEER_PORT), PathError::Unreachable)]);
        let reports = host.reports();
        assert_eq!((reports.len(), reports[0].sequence, reports[0].source), (1, Some(1), own), "the ping is told");
        assert_eq!(host.dropped(), (0, 3));
        assert_eq!(host.neighbour(peer).map(|(state, _)| state), Some(State::Failed));
        host.advance(seconds(60));
        assert_eq!(host.sent(), [], "nobody is asked for nothing");
        assert_eq!(host.send(own, peer, b"again"), Ok(()));
        assert!(asks(&host.sent()[0], peer));
    }
}

#[test]
fn a_connection_waits_for_its_neighbour_and_begins_when_it_answers() {
    for (own, peer) in FAMILIES {
        let mut host = Host::new();
        let connection = host.connect(own, peer);
        assert_eq!(host.sent().len(), 1);
        host.advance(millis(2500));
        host.sent();
        host.receive(&answer(peer));
        let sent = host.sent();
        assert_eq!((sent.len(), sent[0].packet().expect("a SYN").payload()[13] & 0x12), (1, 2), "{sent:?}");
        assert_eq!(host.outcome(connection), None);
    }
}

#[test]
fn a_sender_of_too_much_to_an_unresolved_neighbour_is_told_and_nothing_queued_is_lost() {
    for (own, peer) in FAMILIES {
        let mut host = Host::new();
        (0..64).for_each(|number| assert_eq!(host.send(own, peer, &[number]), Ok(())));
        assert_eq!(host.send(own, peer, b"crowd"), Err(SendError::Crowded));
        assert!(host.engine.interface_mut().is_crowded(peer, Owner(1)));
        host.receive(&answer(peer));
        let sent = host.sent();
        let order: Vec<u8> = sent.iter().filter_map(|frame| frame.datagram()).map(|data| data[0]).collect();
        assert_eq!(order, (0..64).collect::<Vec<u8>>());
        assert!(!host.engine.interface_mut().is_crowded(peer, Owner(1)));
        assert_eq!((host.send(own, peer, b"more"), host.sent().len()), (Ok(()), 1));
        assert_eq!(host.dropped().1, 0);
    }
}

#[test]
fn answers_to_strangers_do_not_displace_packets_that_wait_for_a_neighbour() {
    for (own, peer) in FAMILIES {
        let mut host = Host::new();
        assert_eq!(host.send(own, peer, b"first"), Ok(()));
        (0..100).for_each(|number| host.receive_packet(&write::ping(peer, own, number, b"x")));
        assert_eq!((host.dropped().1, host.send(own, peer, b"more")), (36, Ok(())));
        host.sent();
        host.receive(&answer(peer));
        let sent = host.sent();
        assert_eq!(
            (sent.len(), sent[0].datagram(), sent[65].datagram()),
            (66, Some(&b"first"[..]), Some(&b"more"[..]))
        );
    }
}

#[test]
fn packets_that_wait_for_neighbours_are_bounded_in_bytes() {
    let mut host = Host::new();
    host.add([10, 0, 0, 1].into(), 8);
    host.settle();
    let large = std::vec![1; 60_000];
    let taken = (0..200u8).filter(|number| host.send(V4.into(), [10, 1, 1, *number].into(), &large).is_ok()).count();
    assert_eq!(taken, ((4_usize << 20) / 60_028).div_ceil(2), "half of them for one owner");
    let held = host.engine.interface().held();
    assert!((2 << 20..3 << 20).contains(&(held + 60_028)), "{held}");
    host.advance(seconds(10));
    assert_eq!(host.dropped().1, taken as u64);
    assert!(host.engine.interface().held() < 1 << 20);
    assert_eq!(host.send(V4.into(), [10, 1, 1, 250].into(), &large), Ok(()), "there is room again");
}

#[test]
fn arp_of_strangers_does_not_affect_waiting_packets() {
    let mut host = Host::new();
    assert_eq!(host.send(V4.into(), PEER_V4.into(), b"first"), Ok(()));
    host.sent();
    let stranger = EthernetAddress([2, 0, 0, 0, 9, 9]);
    for number in 0..2000u32 {
        let from = core::net::Ipv4Addr::from_bits(0x0a00_0000 + number + 1);
        host.receive(&write::arp(&Arp::request(stranger, from, V4)));
        host.receive(&write::arp(&Arp::announcement(stranger, from)));
        host.receive(&write::arp(&Arp::request(OWN, V4, from).reply(stranger)));
    }
    assert_eq!(host.neighbour(PEER_V4.into()), Some((State::Incomplete, None)));
    assert!(host.engine.interface().neighbours(host.now).count() <= 1024);
    let sent = host.sent();
    assert!(sent.iter().all(|frame| frame.arp().is_some_and(|arp| arp.operation == Operation::Reply)));
    host.receive(&answer(PEER_V4.into()));
    assert_eq!(host.sent()[0].datagram(), Some(&b"first"[..]));
}

#[test]
fn an_advertisement_is_about_its_target_whoever_sends_it() {
    let mut host = Host::new();
    assert_eq!(host.send(V6.into(), PEER_V6.into(), b"data"), Ok(()));
    host.sent();
    let proxy = core::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 99);
    let said =
        Advertisement { target: PEER_V6, hardware: Some(PEER), router: false, solicited: true, overrides: false };
    host.receive(&write::advertisement((OWN, PEER), proxy, V6, &said));
    let sent = host.sent();
    assert_eq!((sent.len(), sent[0].to(), sent[0].datagram()), (1, PEER, Some(&b"data"[..])));
    assert!(host.neighbour(PEER_V6.into()).is_some() && host.neighbour(proxy.into()).is_none());
}

#[test]
fn an_announcement_updates_entries_but_creates_none() {
    let moved = EthernetAddress([2, 0, 0, 0, 0, 77]);
    let mut host = Host::acquainted();
    host.receive(&write::arp(&Arp::announcement(moved, PEER_V4)));
    let nodes = crate::link::ndp::all_nodes();
    host.receive(&write::advertisement((OWN, moved), PEER_V6, nodes, &Advertisement::announcement(PEER_V6, moved)));
    for (own, peer) in FAMILIES {
        assert_eq!(host.neighbour(peer), Some((State::Stale, Some(moved))));
        assert_eq!(host.send(own, peer, b"data"), Ok(()));
        assert_eq!(host.sent()[0].to(), moved);
    }
    let mut host = Host::new();
    host.receive(&write::arp(&Arp::announcement(moved, PEER_V4)));
    host.receive(&write::advertisement((OWN, moved), PEER_V6, nodes, &Advertisement::announcement(PEER_V6, moved)));
    assert_eq!(host.engine.interface().neighbours(host.now).count(), 0);
}

#[test]
fn a_scan_of_unused_addresses_does_not_displace_known_neighbours() {
    let mut host = Host::acquainted();
    host.add([10, 0, 0, 1].into(), 8);
    host.settle();
    host.meet();
    for number in 0..5000u32 {
        let _refused = host.send(V4.into(), core::net::Ipv4Addr::from_bits(0x0a01_0000 + number).into(), b"?");
    }
    host.sent();
    assert_eq!((host.send(V4.into(), PEER_V4.into(), b"data"), host.sent()[0].to()), (Ok(()), PEER));
    assert!(host.engine.interface().neighbours(host.now).count() <= 1024);
    host.advance(seconds(10));
    assert_eq!(host.neighbour(PEER_V6.into()).map(|(state, _)| state), Some(State::Failed), "it was asked meanwhile");
}

#[test]
fn connections_to_more_neighbours_than_can_be_resolved_at_once_all_end() {
    let mut host = Host::new();
    host.add([10, 0, 0, 1].into(), 8);
    host.settle();
    let to = |number: u16| IpAddr::V4([10, 1, (number >> 8) as u8, number as u8].into());
    let connections: Vec<_> = (1..=600).map(|number| host.connect(V4.into(), to(number))).collect();
    assert_eq!(host.sent().len(), 256);
    assert!(
        host.engine.interface().neighbours(host.now).filter(|known| known.state == State::Incomplete).count() <= 256
    );
    host.advance(millis(500));
    host.receive(&write::arp(&Arp::request(OWN, V4, [10, 1, 0, 1].into()).reply(PEER)));
    host.advance(millis(600));
    let is_syn = |frame: &&Sent| frame.packet().is_some_and(|packet| packet.destination == to(1));
    assert_eq!(host.sent().iter().filter(is_syn).count(), 1, "as soon as its neighbour has answered");
    host.advance(seconds(14));
    let ended = connections.iter().filter(|id| host.engine.tcp().is_connected(**id) == Some(Err(Cause::Unreachable)));
    assert!(ended.count() >= 599, "three seconds for each of three times as many as may be asked for");
    host.advance(seconds(60));
    assert_eq!((host.engine.parked.len(), host.engine.parked_ids.len()), (0, 0));
}

#[test]
fn many_connections_to_one_neighbour_all_begin_when_it_has_answered() {
    for (own, peer) in FAMILIES {
        let mut host = Host::new();
        let connections: Vec<_> = (0..300).map(|_| host.connect(own, peer)).collect();
        assert_eq!(host.sent().len(), 1);
        host.advance(millis(500));
        host.receive(&answer(peer));
        host.advance(seconds(1));
        let sent = host.sent();
        let mut ports: Vec<_> = sent
            .iter()
            .filter_map(Sent::packet)
            .filter(|packet| u8::from(packet.protocol) == 6)
            .map(|packet| [packet.payload()[0], packet.payload()[1]])
            .collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), connections.len());
    }
}

#[test]
fn a_link_without_hardware_addresses_has_no_neighbours() {
    let mut host = Host::on(crate::interface::Link { hardware: None, ..Host::link() }, 1);
    host.add(V4.into(), 24);
    host.add(V6.into(), 64);
    host.with(|engine, now, wire| {
        engine.interface_mut().set_link_local(true, now);
        engine.set_dhcp(true, now, wire);
        engine.set_autoconfiguration(true, now);
    });
    host.act();
    host.advance(seconds(60));
    assert!(host.sent().iter().all(|frame| matches!(frame.bytes[6], 0)), "reports of groups alone");
    for (own, peer) in FAMILIES {
        host.bind(own);
        assert_eq!(host.send(own, peer, b"out"), Ok(()));
        let expected = write::udp(SocketAddr::new(own, PORT), SocketAddr::new(peer, PEER_PORT), b"out");
        assert_eq!(host.sent()[0].bytes, expected);
        host.receive(&write::udp(SocketAddr::new(peer, PEER_PORT), SocketAddr::new(own, PORT), b"in"));
        assert_eq!(host.delivered(), [b"in"]);
        host.receive(&write::ping(peer, own, 1, b"x"));
        assert_eq!(host.sent().len(), 1);
    }
}

#[test]
fn a_router_says_in_its_advertisements_that_it_is_one() {
    for is_router in [false, true] {
        let mut host = Host::acquainted();
        host.engine.interface_mut().set_router(is_router);
        host.receive(&write::solicitation((OWN, PEER), &Solicitation::question(PEER_V6, PEER, V6)));
        let sent = host.sent();
        let packet = sent[0].packet().expect("an answer");
        assert_eq!((packet.payload()[0], packet.payload()[4] & 0x80 != 0), (136, is_router));
    }
}

#[test]
fn a_solicitation_uses_the_source_address_of_the_waiting_packet() {
    for (own, peer) in FAMILIES {
        let mut host = Host::new();
        let second: IpAddr =
            if own.is_ipv4() { [192, 0, 2, 7].into() } else { [0x2001, 0xdb8, 0, 0, 0, 0, 0, 7].into() };
        host.add(second, if own.is_ipv4() { 24 } else { 64 });
        host.settle();
        for source in [second, own] {
            assert_eq!(host.send(source, peer, b"data"), Ok(()));
            let sent = host.sent();
            let asked_from = match own {
                IpAddr::V4(_) => sent[0].arp().map(|arp| arp.sender.into()),
                IpAddr::V6(_) => sent[0].solicitation().map(|question| question.source.into()),
            };
            assert_eq!(asked_from, Some(source), "RFC 4861 section 7.2.2");
            host.settle();
        }
    }
}

/// Two hosts may have the same hardware address, for example as copies of one virtual machine. Each would solicit the
/// other to answer it, see its own hardware address, and solicit again, for ever.
#[test]
fn a_host_with_the_same_hardware_address_is_neither_answered_nor_solicited() {
    let mut host = Host::new();
    host.receive(&write::solicitation((OWN, OWN), &Solicitation::question(PEER_V6, OWN, V6)));
    host.advance(seconds(10));
    assert_eq!(host.sent(), []);
    assert_eq!(host.neighbour(PEER_V6.into()), None);
}
