//! ICMP errors about packets that were not accepted, and their rate.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::vec::Vec;

use smoltcp::wire::EthernetAddress;

use super::bench::{FAMILIES, Host, OWN, PEER, PEER_PORT, PEER_V4, PEER_V6, PORT, Sent, V4, V6, millis};
use super::write;
use crate::ip::headers::Problem;
use crate::ip::icmp::Message;
use crate::ip::icmp::write::Reason;
use crate::link::groups::multicast_hardware;
use crate::link::ndp::{Solicitation, all_nodes};

fn errors(sent: &[Sent]) -> usize {
    sent.iter().filter(|frame| matches!(frame.icmp(), Some(Message::Error(_)))).count()
}

#[test]
fn errors_to_one_host_are_limited_to_the_rate_per_destination() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        for _ in 0..3000 {
            host.receive_packet(&write::ip(peer, own, 200, b"unknown"));
            host.advance(core::time::Duration::from_micros(333));
        }
        let answered = errors(&host.sent());
        assert!((29..=30).contains(&answered), "20 at once, and 10 a second: {answered}");
        assert_eq!(host.engine.interface().counters().suppressed, 3000 - answered as u64);
        assert_eq!(host.dropped().0, 3000);
    }
}

#[test]
fn errors_to_many_hosts_are_limited_to_the_common_rate() {
    let mut host = Host::acquainted();
    host.route("0.0.0.0/0", PEER_V4.into());
    for number in 0..3000u32 {
        let from = Ipv4Addr::from_bits(0x0a00_0100 + number);
        host.receive_packet(&write::ip(from.into(), V4.into(), 200, b"unknown"));
        host.advance(core::time::Duration::from_micros(333));
    }
    let answered = errors(&host.sent());
    assert!((900..=1100).contains(&answered), "50 at once, and 1000 a second, by chance: {answered}");
    assert_eq!(host.engine.interface().counters().suppressed, 3000 - answered as u64);
}

#[test]
fn no_error_is_sent_about_multicast_and_broadcast_packets() {
    let systems = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1));
    let cases = [
        (multicast_hardware(systems), IpAddr::V4(PEER_V4), systems),
        (EthernetAddress::BROADCAST, IpAddr::V4(PEER_V4), IpAddr::V4(Ipv4Addr::BROADCAST)),
        (EthernetAddress::BROADCAST, IpAddr::V4(PEER_V4), Ipv4Addr::new(192, 0, 2, 255).into()),
        (EthernetAddress::BROADCAST, IpAddr::V4(PEER_V4), V4.into()),
        (OWN, IpAddr::V4(PEER_V4), Ipv4Addr::new(192, 0, 2, 255).into()),
        (multicast_hardware(all_nodes().into()), IpAddr::V6(PEER_V6), all_nodes().into()),
        (EthernetAddress::BROADCAST, IpAddr::V6(PEER_V6), V6.into()),
        (OWN, IpAddr::V6(PEER_V6), all_nodes().into()),
    ];
    for (to, source, destination) in cases {
        let mut host = Host::acquainted();
        host.receive(&write::framed(to, PEER, &write::ip(source, destination, 200, b"unknown")));
        let (remote, local) = (SocketAddr::new(source, PEER_PORT), SocketAddr::new(destination, PORT));
        host.receive(&write::framed(to, PEER, &write::udp(remote, local, b"closed")));
        assert_eq!((host.sent(), host.dropped().0), (Vec::new(), 2), "{to} {destination}");
    }
}

#[test]
fn an_unknown_option_that_asks_for_an_error_is_reported_even_for_a_group() {
    let mut host = Host::acquainted();
    let options = write::extension(59, [0x80, 4, 0, 0, 0, 0]);
    let packet = write::ip(PEER_V6.into(), all_nodes().into(), 60, &options);
    host.receive(&write::framed(multicast_hardware(all_nodes().into()), PEER, &packet));
    let sent = host.sent();
    let Some(Message::Error(report)) = sent[0].icmp() else { panic!() };
    assert_eq!((report.number, report.code), (4, Problem::Option.code()), "RFC 4443 section 2.4 (e.3)");
    assert_eq!(sent[0].packet().expect("a packet").source, IpAddr::V6(V6));
}

#[test]
fn an_error_quotes_the_packet_as_it_arrived() {
    let mut host = Host::acquainted();
    let (remote, local) = (SocketAddr::new(PEER_V4.into(), PEER_PORT), SocketAddr::new(V4.into(), PORT));
    let mut packet = write::udp(remote, local, b"closed");
    packet[1] = 0x28;
    packet[4..6].copy_from_slice(&[0x12, 0x34]);
    packet[10..12].fill(0);
    let sum = (!smoltcp::wire::checksum::data(&packet[..20])).to_be_bytes();
    packet[10..12].copy_from_slice(&sum);
    host.receive_packet(&packet);
    let sent = host.sent();
    let Some(Message::Error(report)) = sent[0].icmp() else { panic!() };
    assert_eq!((report.number, report.code, report.quoted.bytes), (3, 3, &packet[..]));
    let packet = write::ip(PEER_V6.into(), V6.into(), 200, &[7; 1400]);
    host.receive_packet(&packet);
    let sent = host.sent();
    let Some(Message::Error(report)) = sent[0].icmp() else { panic!() };
    assert_eq!((report.number, report.code), (4, 1), "an unknown next header");
    assert_eq!(report.quoted.bytes, &packet[..1232], "as much as fits in 1280 bytes");
    let ports = (SocketAddr::new(PEER_V6.into(), PEER_PORT), SocketAddr::new(V6.into(), PORT));
    host.receive_packet(&write::udp(ports.0, ports.1, b"closed"));
    let sent = host.sent();
    assert!(matches!(sent[0].icmp(), Some(Message::Error(report)) if (report.number, report.code) == (1, 4)));
}

#[test]
fn no_error_is_sent_about_errors_or_to_the_unspecified_address() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        let about = write::udp(SocketAddr::new(own, 1), SocketAddr::new(peer, 2), b"x");
        let error = write::error_about(peer, own, Reason::PortUnreachable, &about);
        host.receive_packet(&error);
        host.receive_packet(&write::pong(peer, own, 1, b"x"));
        assert_eq!(host.sent(), []);
    }
}

#[test]
fn an_error_to_an_unresolved_neighbour_waits_for_it() {
    let mut host = Host::new();
    host.receive_packet(&write::ip(PEER_V6.into(), V6.into(), 200, b"unknown"));
    let sent = host.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].solicitation().map(|solicitation| solicitation.target), Some(PEER_V6));
    host.advance(millis(100));
    host.receive(&write::solicitation((OWN, PEER), &Solicitation::question(PEER_V6, PEER, V6)));
    assert_eq!(errors(&host.sent()), 1);
}
