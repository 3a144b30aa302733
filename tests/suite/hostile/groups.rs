//! Queries of multicast routers, and of hosts that pretend to be one.

use std::net::{IpAddr, SocketAddr};

use xila_network_host::socket::UdpSocket;
use xila_network_tests::link::Family;

use super::Victim;
use super::frames::{hop_by_hop, icmp, icmp_v6, ipv4, octets, seal_ipv4};

/// A router alert option for MLD, padded (RFC 2711, RFC 8200 section 4.2).
const ROUTER_ALERT: [u8; 6] = [5, 2, 0, 0, 1, 0];

/// An MLD version 2 query about `group`, with hop limit 1, to which the answer may not be delayed.
fn mld_query(source: IpAddr, destination: IpAddr, group: IpAddr) -> Vec<u8> {
    let rest = [&octets(group)[..], &[0; 4]].concat();
    let mut packet = icmp(source, destination, [130, 0], [0; 4], &rest);
    packet[7] = 1;
    packet
}

/// How many multicast reports, of either family, the victim has sent since the last call.
fn reports(victim: &Victim) -> usize {
    let is_report = |frame: &Vec<u8>| frame.get(62) == Some(&143) || (frame[12..14] == [8, 0] && frame[23] == 2);
    victim.wire.sent().iter().filter(|frame| is_report(frame)).count()
}

/// A victim that has sent all its initial reports.
fn quiet_victim() -> Victim {
    let victim = Victim::new();
    victim.advance(30_000);
    victim.wire.sent();
    victim
}

/// A stack that mistakes a unicast address with the same last bytes as its own for one of its groups would have to
/// report a group that does not exist.
#[test]
fn a_query_about_a_unicast_address_does_no_harm() {
    let victim = quiet_victim();
    let own = victim.link.server.address(Family::V6);
    let source: IpAddr = "fe80::42".parse().unwrap();
    let query = mld_query(source, own, own);
    victim.inject(&query);
    victim.inject(&hop_by_hop(&query, &ROUTER_ALERT));
    victim.advance(1000);
    assert_eq!(reports(&victim), 0, "they are not answered");
    // Later uses of the interface must work.
    let socket = UdpSocket::bind(&victim.link.server.network, victim.at(Family::V4, 0)).unwrap();
    socket.try_send_to(b"x", SocketAddr::new([10, 0, 0, 1].into(), 9)).unwrap();
    victim.assert_serves();
}

#[test]
fn a_query_of_mld_is_answered_if_it_can_come_from_a_router_of_this_link() {
    let victim = quiet_victim();
    let group: IpAddr = "ff05::1:3".parse().unwrap();
    victim.sockets[1].join_multicast(group, Some("eth0")).unwrap();
    victim.advance(30_000);
    victim.wire.sent();
    let router: IpAddr = "fe80::42".parse().unwrap();
    let all: IpAddr = "ff02::1".parse().unwrap();
    let any: IpAddr = "::".parse().unwrap();
    let own = victim.link.server.address(Family::V6);
    let from_afar = |mut query: Vec<u8>| {
        query[7] = 2;
        query
    };
    let good = [mld_query(router, all, any), mld_query(router, group, group)];
    for query in &good {
        victim.inject(&hop_by_hop(query, &ROUTER_ALERT));
        victim.advance(1000);
        assert_eq!(reports(&victim), 1, "{query:?}");
    }
    let alert = |query: Vec<u8>| hop_by_hop(&query, &ROUTER_ALERT);
    for (why, query) in [
        ("no router alert", good[0].clone()),
        ("another alert than MLD's", hop_by_hop(&good[0], &[5, 2, 0, 1, 1, 0])),
        ("from behind a router", alert(from_afar(good[0].clone()))),
        ("a global source", alert(mld_query(Family::V6.host(66), all, any))),
        ("no source", alert(mld_query(any, all, any))),
        ("for this host only", alert(mld_query(router, own, any))),
        ("about a group, to another", alert(mld_query(router, "ff05::1:4".parse().unwrap(), group))),
        ("about a host", alert(mld_query(router, all, own))),
        ("cut short", alert(icmp_v6(router, all, 1, &[130, 0, 0, 0, 0, 0, 0, 0]))),
    ] {
        victim.inject(&query);
        victim.advance(1000);
        assert_eq!(reports(&victim), 0, "{why}");
    }
    victim.assert_serves();
}

#[test]
fn a_query_of_igmp_is_answered_if_it_can_come_from_a_router_of_this_link() {
    let victim = quiet_victim();
    let group: IpAddr = [239, 1, 2, 3].into();
    victim.sockets[0].join_multicast(group, Some("eth0")).unwrap();
    victim.advance(30_000);
    victim.wire.sent();
    let (router, any, all): (IpAddr, IpAddr, IpAddr) = ([10, 0, 0, 9].into(), [0; 4].into(), [224, 0, 0, 1].into());
    let own = victim.link.server.address(Family::V4);
    let query = |source: IpAddr, destination: IpAddr, group: IpAddr, hop_limit: u8| {
        let mut message = [&[0x11, 1, 0, 0][..], &octets(group)].concat();
        let words = message.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        let sum: u32 = words.sum();
        let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut packet = ipv4(source, destination, 2, 0, &message);
        packet[8] = hop_limit;
        seal_ipv4(&mut packet);
        packet
    };
    for (why, query, answers) in [
        ("about all groups", query(router, all, any, 1), 1),
        ("about all groups, by a switch", query(any, all, any, 1), 1),
        ("about the group", query(router, group, group, 1), 1),
        ("from behind a router", query(router, all, any, 2), 0),
        ("for this host only", query(router, own, any, 1), 0),
        ("about a host", query(router, own, own, 1), 0),
        ("from a group", query(group, all, any, 1), 0),
    ] {
        victim.inject(&query);
        victim.advance(30_000);
        assert_eq!(reports(&victim), answers, "{why}");
    }
    victim.assert_serves();
}
