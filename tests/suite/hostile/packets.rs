//! Invalid IP packets: wrong lengths, addresses and options.

use std::net::{IpAddr, SocketAddr};

use etherparse::SlicedPacket;
use xila_network_host::socket::{ListenOptions, TcpListener, UdpSocket};
use xila_network_tests::link::{Family, PORT};

use super::frames::{SYN, Segment, ethernet, icmp, ip, seal_ipv4, udp};
use super::victim::{CLOSED, MAC};
use super::{ATTACKER, Victim};

/// A datagram to a port of the victim.
fn datagram(victim: &Victim, family: Family, port: u16) -> Vec<u8> {
    udp(SocketAddr::new(family.host(ATTACKER), 4000), victim.at(family, port), b"hello")
}

#[test]
fn lengths_that_contradict_each_other_do_no_harm() {
    let victim = Victim::new();
    let good = datagram(&victim, Family::V4, PORT);
    for header_words in 0..16 {
        for length in [0, 1, 19, 20, 21, 28, 33, 34, 1500, 65_535u16] {
            let mut packet = good.clone();
            packet[0] = 0x40 | header_words;
            packet[2..4].copy_from_slice(&length.to_be_bytes());
            seal_ipv4(&mut packet);
            victim.inject(&packet);
        }
    }
    for version in 0..16 {
        let mut packet = good.clone();
        packet[0] = version << 4 | 5;
        seal_ipv4(&mut packet);
        victim.inject(&packet);
    }
    for length in [0, 1, 7, 8, 9, 12, 14, 1500, 65_535u16] {
        // UDP's length field, in both families.
        for family in Family::BOTH {
            let mut packet = datagram(&victim, family, PORT);
            let at = if family == Family::V4 { 24 } else { 44 };
            packet[at..at + 2].copy_from_slice(&length.to_be_bytes());
            victim.inject(&packet);
        }
        let mut packet = datagram(&victim, Family::V6, PORT);
        packet[4..6].copy_from_slice(&length.to_be_bytes());
        victim.inject(&packet);
    }
    victim.assert_serves();
}

#[test]
fn a_datagram_with_a_bad_checksum_is_not_delivered() {
    let victim = Victim::new();
    for (family, socket) in Family::BOTH.into_iter().zip(&victim.sockets) {
        let mut packet = datagram(&victim, family, PORT);
        let at = packet.len() - 13 + 6;
        packet[at] ^= 0x55;
        victim.inject(&packet);
        if family == Family::V4 {
            let mut packet = datagram(&victim, family, PORT);
            packet[10] ^= 0x55;
            victim.inject(&packet);
        }
        assert!(socket.try_recv_datagram().is_err(), "{family:?}");
        victim.inject(&datagram(&victim, family, PORT));
        assert_eq!(socket.try_recv_datagram().unwrap().data, b"hello");
    }
}

#[test]
fn addresses_that_no_host_has_get_no_answer() {
    let victim = Victim::new();
    victim.introduce();
    victim.advance(1000);
    victim.wire.sent();
    let v4 = ["0.0.0.0", "255.255.255.255", "10.0.0.255", "224.0.0.1", "127.0.0.1", "10.0.0.2"];
    let v6 = ["::", "ff02::1", "::1", "fd00::2"];
    for (family, sources) in [(Family::V4, &v4[..]), (Family::V6, &v6[..])] {
        let target = victim.link.server.address(family);
        for source in sources.iter().map(|source| source.parse::<IpAddr>().unwrap()) {
            for port in [PORT, CLOSED] {
                let (from, to) = (SocketAddr::new(source, 4000), SocketAddr::new(target, port));
                victim.inject(&udp(from, to, b"hello"));
                for flags in [SYN, 16, 1, 18, 0] {
                    victim.inject(&Segment::new(from, to, flags).packet());
                }
            }
            let echo = if family == Family::V4 { [8, 0] } else { [128, 0] };
            victim.inject(&icmp(source, target, echo, [0, 1, 0, 1], b"ping"));
            victim.inject(&ip(source, target, 200, b"unknown protocol"));
            victim.advance(2000);
            for frame in victim.wire.sent() {
                let Ok(sent) = SlicedPacket::from_ethernet(&frame) else { continue };
                let (group, bytes) = (frame[0] & 1 == 1, frame.len());
                // The remaining frames are neighbour discovery: solicitations to groups, and to a neighbour to confirm
                // it.
                let asks = frame[12..14] == [0x86, 0xdd] && frame[20] == 58 && frame[54] == 135;
                assert!(sent.transport.is_none() || group || asks, "{bytes} bytes in answer to {source}: {sent:?}");
            }
        }
    }
    victim.assert_serves();
}

#[test]
fn packets_for_many_are_not_answered_when_nobody_takes_them() {
    let victim = Victim::new();
    victim.introduce();
    victim.advance(1000);
    victim.wire.sent();
    for (family, groups) in [
        (Family::V4, ["255.255.255.255", "10.0.0.255", "224.0.0.1", "239.1.2.3"].as_slice()),
        (Family::V6, ["ff02::1", "ff05::1:3", "ff02::1:ff00:2"].as_slice()),
    ] {
        let own = family.host(ATTACKER);
        for group in groups.iter().map(|group| group.parse::<IpAddr>().unwrap()) {
            for port in [PORT, CLOSED] {
                let (from, to) = (SocketAddr::new(own, 4000), SocketAddr::new(group, port));
                victim.inject(&Segment::new(from, to, SYN).packet());
                victim.inject(&Segment::new(from, to, 16).packet());
                if port == CLOSED {
                    victim.inject(&udp(from, to, b"hello"));
                }
            }
            victim.advance(100);
            assert_eq!(victim.wire.sent(), Vec::<Vec<u8>>::new(), "{group}");
        }
    }
    assert_eq!(victim.interface().statistics().tcp_flows, 0);
    victim.assert_serves();
}

#[test]
fn packets_with_loopback_addresses_from_a_link_are_dropped() {
    let victim = Victim::new();
    let network = &victim.link.server.network;
    for (family, loopback) in [(Family::V4, "127.0.0.1"), (Family::V6, "::1")] {
        let loopback: IpAddr = loopback.parse().unwrap();
        let private = SocketAddr::new(loopback, 6000);
        let socket = UdpSocket::bind(network, private).unwrap();
        let listener = TcpListener::bind(network, private, ListenOptions::default()).unwrap();
        let own = SocketAddr::new(family.host(ATTACKER), 4000);
        for (from, to) in [
            (own, private),
            (SocketAddr::new(loopback, 4000), private),
            (SocketAddr::new(loopback, 4000), victim.at(family, PORT)),
        ] {
            victim.inject(&udp(from, to, b"hello"));
            victim.inject(&Segment::new(from, to, SYN).packet());
            victim.advance(10);
        }
        assert!(socket.try_recv_datagram().is_err(), "{family:?}");
        assert!(listener.try_accept().is_err());
        let index = usize::from(family == Family::V6);
        assert!(victim.sockets[index].try_recv_datagram().is_err(), "{family:?}: from a loopback address");
        assert_eq!(victim.interface().statistics().tcp_flows, 0);
    }
    victim.assert_serves();
}

/// A guest may trust the sender's address as a proof of its identity.
#[test]
fn packets_with_a_source_that_no_link_can_have_are_dropped() {
    let victim = Victim::new();
    victim.introduce();
    victim.advance(1000);
    for family in Family::BOTH {
        let own = match victim.at(family, PORT).ip() {
            IpAddr::V4(_) => vec!["0.0.0.0", "0.1.2.3", "224.0.0.5", "240.0.0.1", "255.255.255.255", "10.0.0.255"],
            IpAddr::V6(_) => vec!["::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "ff02::5"],
        };
        let own = own.into_iter().map(|address| address.parse().unwrap()).chain([victim.at(family, PORT).ip()]);
        for source in own {
            let before = victim.interface().statistics().received.dropped;
            victim.wire.sent();
            let from = SocketAddr::new(source, 4000);
            victim.inject(&udp(from, victim.at(family, PORT), b"it is me"));
            victim.inject(&udp(from, victim.at(family, CLOSED), b"it is me"));
            victim.inject(&Segment::new(from, victim.at(family, PORT), SYN).packet());
            victim.advance(10);
            let index = usize::from(family == Family::V6);
            assert!(victim.sockets[index].try_recv_datagram().is_err(), "{source}");
            assert_eq!(victim.interface().statistics().tcp_flows, 0, "{source}");
            assert_eq!(victim.wire.sent(), Vec::<Vec<u8>>::new(), "{source}");
            assert_eq!(victim.interface().statistics().received.dropped, before + 3, "{source}");
        }
    }
    victim.assert_serves();
}

#[test]
fn packets_for_other_hosts_are_ignored() {
    let victim = Victim::new();
    victim.introduce();
    victim.advance(1000);
    victim.wire.sent();
    for family in Family::BOTH {
        let own = SocketAddr::new(family.host(ATTACKER), 4000);
        // The packets are for another IP address, and for another hardware address.
        victim.inject(&udp(own, SocketAddr::new(family.host(77), PORT), b"not yours"));
        victim.inject(&Segment::new(own, SocketAddr::new(family.host(77), PORT), SYN).packet());
        for packet in [
            udp(own, victim.at(family, PORT), b"not yours"),
            udp(own, victim.at(family, CLOSED), b"not yours"),
            Segment::new(own, victim.at(family, PORT), SYN).packet(),
        ] {
            victim.wire.inject(ethernet([2, 0, 0, 0, 0, 0x77], MAC, &packet));
        }
        victim.advance(100);
        assert!(victim.sockets.iter().all(|socket| socket.try_recv_datagram().is_err()), "{family:?}");
        assert_eq!(victim.interface().statistics().tcp_flows, 0);
        assert_eq!(victim.wire.sent(), Vec::<Vec<u8>>::new());
    }
}

#[test]
fn ipv4_options_do_no_harm() {
    let victim = Victim::new();
    let mut state = 1u32;
    for length in (4..=40).step_by(4) {
        for _ in 0..50 {
            let mut packet = datagram(&victim, Family::V4, PORT);
            let options: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            packet.splice(20..20, options);
            packet[0] = 0x40 | u8::try_from(5 + length / 4).unwrap();
            let total = u16::try_from(packet.len()).unwrap();
            packet[2..4].copy_from_slice(&total.to_be_bytes());
            seal_ipv4(&mut packet);
            victim.inject(&packet);
        }
    }
    victim.assert_serves();
}

#[test]
fn chains_of_ipv6_extension_headers_do_no_harm() {
    let victim = Victim::new();
    let (own, target) = (Family::V6.host(ATTACKER), victim.link.server.address(Family::V6));
    let datagram = &datagram(&victim, Family::V6, PORT)[40..];
    for first in [0, 43, 44, 50, 51, 59, 60, 135, 139, 140] {
        for next in [0, 6, 17, 43, 44, 58, 59, 60, 255] {
            for length in [0, 1, 2, 31, 255] {
                for option in [[0, 0], [1, 4], [1, 255], [5, 2], [0xc2, 4], [0xff, 1], [5, 255]] {
                    let mut header = vec![next, length];
                    header.extend(option);
                    header.resize(8, 0);
                    for rest in [datagram, &[][..], &header.clone()] {
                        let packet = [&header[..], rest].concat();
                        victim.inject(&ip(own, target, first, &packet));
                        victim.inject(&ip(own, "ff02::1".parse().unwrap(), first, &packet));
                    }
                }
            }
        }
    }
    victim.advance(1000);
    victim.assert_serves();
}

#[test]
fn unknown_protocols_do_no_harm() {
    let victim = Victim::new();
    for family in Family::BOTH {
        for protocol in 0..=255 {
            for payload in [&[][..], &[0; 1], &[0xff; 8], &[0; 64]] {
                victim.inject(&ip(family.host(ATTACKER), victim.link.server.address(family), protocol, payload));
            }
        }
    }
    for kind in 0..=255 {
        for code in [0, 1, 255] {
            for family in Family::BOTH {
                let (own, target) = (family.host(ATTACKER), victim.link.server.address(family));
                for rest in [&[][..], &[0; 20], &[0xff; 64]] {
                    victim.inject(&icmp(own, target, [kind, code], [0xff; 4], rest));
                }
            }
        }
    }
    victim.advance(200_000);
    victim.assert_serves();
}
