//! Multicast groups: memberships and reports.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::vec::Vec;

use super::bench::{Host, OWN, PEER, PEER_LOCAL, PEER_PORT, PEER_V4, PORT, Sent, V4, V6, seconds};
use super::write;
use crate::interface::Link;
use crate::link::groups::multicast_hardware;
use crate::link::ndp::{Solicitation, all_nodes, solicited_node};
use crate::ports::Owner;

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x123);
/// Record types of reports (RFC 3376 section 4.2.12).
const MEMBER: u8 = 2;
const LEFT: u8 = 3;
const JOINED: u8 = 4;

/// The records of IGMPv3 and MLDv2 reports, whose other fields are checked.
fn records(sent: &[Sent]) -> Vec<(u8, IpAddr)> {
    let mut records = Vec::new();
    for frame in sent {
        let Some(packet) = frame.packet() else { continue };
        let message = packet.payload();
        let is_report = matches!((u8::from(packet.protocol), message[0]), (2, 0x22) | (58, 143));
        if !is_report {
            continue;
        }
        let to: IpAddr = if packet.source.is_ipv4() {
            IpAddr::V4([224, 0, 0, 22].into())
        } else {
            IpAddr::V6([0xff02, 0, 0, 0, 0, 0, 0, 0x16].into())
        };
        assert_eq!((packet.destination, packet.hop_limit, packet.router_alert), (to, 1, Some(0)));
        assert_eq!(frame.to(), multicast_hardware(to));
        let length = if to.is_ipv4() { 4 } else { 16 };
        for record in message[8..].chunks(4 + length) {
            let group = if to.is_ipv4() {
                IpAddr::from(*record[4..].first_chunk::<4>().expect("a group"))
            } else {
                IpAddr::from(*record[4..].first_chunk::<16>().expect("a group"))
            };
            records.push((record[0], group));
        }
    }
    records
}

fn of(sent: &[Sent], group: IpAddr) -> Vec<u8> {
    records(sent).into_iter().filter(|(_, known)| *known == group).map(|(kind, _)| kind).collect()
}

#[test]
fn the_solicited_node_group_is_reported_when_an_address_is_added_and_removed() {
    let group = IpAddr::V6(solicited_node(V6));
    let mut host = Host::bare();
    host.add(V6.into(), 64);
    host.advance(seconds(60));
    let sent = host.sent();
    assert_eq!(of(&sent, group), [JOINED, JOINED], "robustness 2 (RFC 3810 section 6.1)");
    assert!(records(&sent).iter().all(|(_, known)| *known == group), "and nothing of all nodes");
    host.with(|engine, now, _| engine.interface_mut().remove_address(V6.into(), now));
    host.act();
    host.advance(seconds(60));
    assert_eq!(of(&host.sent(), group), [LEFT, LEFT]);
}

#[test]
fn the_group_is_reported_before_an_address_is_probed_for() {
    let mut host = Host::bare();
    host.with(|engine, now, _| engine.interface_mut().set_link_local(true, now));
    host.act();
    host.advance(seconds(60));
    let sent = host.sent();
    let is_report = |frame: &Sent| !records(core::slice::from_ref(frame)).is_empty();
    let (report, probe) = (
        sent.iter().position(is_report).expect("a report"),
        sent.iter().position(|frame| frame.solicitation().is_some()).expect("a probe"),
    );
    assert!(report < probe, "RFC 4862 section 5.4.2");
    assert_eq!(sent[report].packet().expect("a packet").source, IpAddr::V6(Ipv6Addr::UNSPECIFIED), "RFC 3590");
}

#[test]
fn groups_of_sockets_are_reported_and_their_datagrams_delivered() {
    for (own, group) in [(IpAddr::V4(V4), IpAddr::V4(GROUP_V4)), (V6.into(), GROUP_V6.into())] {
        let mut host = Host::acquainted();
        let unspecified: IpAddr =
            if own.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let id = host.bind(unspecified);
        let remote =
            SocketAddr::new(if own.is_ipv4() { PEER_V4.into() } else { super::bench::PEER_V6.into() }, PEER_PORT);
        let frame = write::framed(
            multicast_hardware(group),
            PEER,
            &write::udp(remote, SocketAddr::new(group, PORT), b"to all of you"),
        );
        host.receive(&frame);
        assert_eq!(host.delivered().len(), 0, "not a member");
        assert_eq!(host.with(|engine, now, _| engine.join(id, group, now)), Ok(()));
        host.act();
        host.receive(&frame);
        assert_eq!(host.delivered(), [b"to all of you"]);
        host.advance(seconds(60));
        assert_eq!(of(&host.sent(), group), [JOINED, JOINED]);
        assert_eq!(host.with(|engine, now, _| engine.leave(id, group, now)), Ok(()));
        host.act();
        host.receive(&frame);
        assert_eq!(host.delivered().len(), 0);
        host.advance(seconds(60));
        assert_eq!(of(&host.sent(), group), [LEFT, LEFT]);
        assert_eq!(host.with(|engine, now, _| engine.join(id, group, now)), Ok(()));
        host.with(|engine, now, _| engine.unbind_udp(id, now));
        host.act();
        host.advance(seconds(60));
        assert!(of(&host.sent(), group).ends_with(&[LEFT, LEFT]), "with its socket");
    }
}

#[test]
fn the_interfaces_own_group_is_not_left_when_a_guest_leaves_it() {
    let group = IpAddr::V6(solicited_node(V6));
    let mut host = Host::new();
    let id = host.engine.bind_udp(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), PORT), Owner(9)).expect("free");
    assert_eq!(host.with(|engine, now, _| engine.join(id, group, now)), Ok(()));
    assert_eq!(host.with(|engine, now, _| engine.leave(id, group, now)), Ok(()));
    assert_eq!(host.with(|engine, now, _| engine.join(id, group, now)), Ok(()));
    host.with(|engine, now, _| engine.unbind_udp(id, now));
    host.act();
    host.advance(seconds(60));
    assert_eq!(records(&host.sent()), []);
    let question = Solicitation::question(PEER_LOCAL, PEER, V6);
    host.receive(&write::solicitation((OWN, PEER), &question));
    assert!(host.sent()[0].advertisement().is_some(), "it is still heard");
}

#[test]
fn queries_are_answered_for_all_groups_within_their_time() {
    let mut host = Host::new();
    let id = host.bind(Ipv4Addr::UNSPECIFIED.into());
    host.engine.join(id, GROUP_V4.into(), host.now).expect("room");
    host.act();
    host.settle();
    let query = write::igmp(PEER_V4, [224, 0, 0, 1].into(), &[0x11, 50, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0]);
    host.receive(&write::framed(multicast_hardware(IpAddr::V4([224, 0, 0, 1].into())), PEER, &query));
    host.advance(seconds(5));
    assert_eq!(records(&host.sent()), [(MEMBER, GROUP_V4.into())]);
    let query = write::mld(PEER_LOCAL, all_nodes(), 130, [0x13, 0x88, 0, 0], &[&[0; 16][..], &[2, 125, 0, 0]].concat());
    host.receive(&write::framed(multicast_hardware(all_nodes().into()), PEER, &query));
    host.advance(seconds(5));
    assert_eq!(records(&host.sent()), [(MEMBER, solicited_node(V6).into())]);
}

#[test]
fn a_query_about_an_address_that_is_no_group_is_ignored() {
    let mut host = Host::new();
    let hardware = multicast_hardware(all_nodes().into());
    for about in [V6, PEER_LOCAL] {
        for tail in [&[][..], &[2, 125, 0, 0]] {
            let rest = [&about.octets()[..], tail].concat();
            host.receive(&write::framed(
                hardware,
                PEER,
                &write::mld(PEER_LOCAL, all_nodes(), 130, [0, 1, 0, 0], &rest),
            ));
            host.receive_packet(&write::mld(PEER_LOCAL, V6, 130, [0, 1, 0, 0], &rest));
        }
    }
    let query = write::igmp(PEER_V4, [224, 0, 0, 1].into(), &[0x11, 50, 0, 0, 192, 0, 2, 1, 2, 125, 0, 0]);
    host.receive(&write::framed(multicast_hardware(IpAddr::V4([224, 0, 0, 1].into())), PEER, &query));
    host.advance(seconds(60));
    assert_eq!(host.sent(), []);
}

#[test]
fn memberships_are_reported_again_when_the_link_comes_back() {
    let mut host = Host::new();
    let id = host.bind(Ipv4Addr::UNSPECIFIED.into());
    host.engine.join(id, GROUP_V4.into(), host.now).expect("room");
    host.act();
    host.settle();
    host.engine.link_down(host.now);
    host.advance(seconds(60));
    assert_eq!(host.sent(), []);
    host.engine.link_up(host.now);
    host.act();
    host.advance(seconds(60));
    let sent = host.sent();
    assert!(!of(&sent, GROUP_V4.into()).is_empty() && !of(&sent, solicited_node(V6).into()).is_empty());
}

#[test]
fn a_loopback_reports_nothing_and_announces_nothing() {
    let link = Link { hardware: None, mtu: 65_535, loops_back: true, checksums: false, ..Host::link() };
    let mut host = Host::on(link, 3);
    host.add(Ipv4Addr::LOCALHOST.into(), 8);
    host.add(Ipv6Addr::LOCALHOST.into(), 128);
    let id = host.bind(Ipv4Addr::UNSPECIFIED.into());
    host.engine.join(id, GROUP_V4.into(), host.now).expect("room");
    host.act();
    host.engine.link_down(host.now);
    host.engine.link_up(host.now);
    host.act();
    host.advance(seconds(600));
    assert_eq!(host.sent(), []);
    let (own, to) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(GROUP_V4));
    host.receive(&write::udp(SocketAddr::new(own, PEER_PORT), SocketAddr::new(to, PORT), b"data"));
    assert_eq!(host.delivered(), [b"data"]);
}
