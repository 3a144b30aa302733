//! Damaged and forged frames of all kinds: nothing panics, memory stays bounded, and the host keeps working.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::vec;
use std::vec::Vec;

use smoltcp::wire::EthernetAddress;

use super::bench::{
    FAMILIES, Host, OTHER, OWN, PEER, PEER_LOCAL, PEER_PORT, PEER_V4, PEER_V6, PORT, V4, V6, millis, seconds,
};
use super::write::{self, extension, fragment_header, router_advertisement};
use crate::configure::dhcp::world::{Message, SERVER};
use crate::icmp::Binding;
use crate::ip::icmp::write::Reason;
use crate::link::arp::Arp;
use crate::link::groups::multicast_hardware;
use crate::link::ndp::{Advertisement, Solicitation, all_nodes, solicited_node};
use crate::ports::Owner;
use crate::random::Random;
use crate::tcp::{Options, Places};

/// A host that uses every feature: sockets, a listener, a connection attempt, groups, DHCP, routers.
fn busy() -> Host {
    let mut host = Host::acquainted();
    host.with(|engine, now, wire| {
        engine.interface_mut().set_link_local(true, now);
        engine.set_autoconfiguration(true, now);
        engine.set_dhcp(true, now, wire);
        for (is_ipv4, binding) in [
            (true, Binding::Echo(7)),
            (false, Binding::Echo(7)),
            (true, Binding::UdpPort(PORT)),
            (false, Binding::UdpPort(PORT)),
        ] {
            engine.bind_icmp(is_ipv4, binding, Owner(1)).expect("free");
        }
    });
    for (own, peer) in FAMILIES {
        let id = host.bind(own);
        let group: IpAddr = if own.is_ipv4() { [239, 1, 2, 3].into() } else { solicited_node(PEER_V6).into() };
        host.engine.join(id, group, host.now).expect("room");
        let listener = host.engine.tcp_mut().bind(own, PORT, Owner::HOST).expect("free");
        host.engine.tcp_mut().listen(listener, Places::new(16), Options::default());
        host.connect(own, peer);
    }
    host.settle();
    host
}

/// Valid frames of every kind that the engine parses.
fn seeds() -> Vec<Vec<u8>> {
    let nodes = all_nodes();
    let advertised = Advertisement::announcement(PEER_V6, PEER);
    let mtu = [5, 1, 0, 0, 0, 0, 0x05, 0x78];
    let servers = [&[25, 3, 0, 0, 0, 0, 1, 0][..], &PEER_V6.octets()].concat();
    let options = [&write::prefix([0x2001, 0xdb8, 7, 0, 0, 0, 0, 0].into())[..], &mtu, &servers].concat();
    let mut seeds = vec![
        write::arp(&Arp::request(PEER, PEER_V4, V4)),
        write::arp(&Arp::announcement(PEER, PEER_V4)),
        write::arp(&Arp::probe(PEER, V4)),
        write::arp(&Arp::request(OWN, V4, PEER_V4).reply(PEER)),
        write::solicitation((OWN, PEER), &Solicitation::question(PEER_LOCAL, PEER, V6)),
        write::solicitation((OWN, PEER), &Solicitation::probe(V6, Some([1; 6]))),
        write::advertisement((OWN, PEER), PEER_V6, nodes, &advertised),
        write::advertisement((OWN, PEER), V6, nodes, &Advertisement::announcement(V6, PEER)),
        router_advertisement(PEER, PEER_LOCAL, 0x08, 1800, &options),
        router_advertisement(OTHER, PEER_LOCAL, 0x18, 0, &options),
    ];
    let group_v4 = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1));
    let igmp = write::igmp(PEER_V4, [224, 0, 0, 1].into(), &[0x11, 5, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0]);
    seeds.push(write::framed(multicast_hardware(group_v4), PEER, &igmp));
    let rest = [&[0; 16][..], &[2, 125, 0, 0]].concat();
    let mld = write::mld(PEER_LOCAL, nodes, 130, [0, 100, 0, 0], &rest);
    seeds.push(write::framed(multicast_hardware(nodes.into()), PEER, &mld));
    let dhcp = (SocketAddr::new(SERVER.into(), 67), SocketAddr::new(Ipv4Addr::BROADCAST.into(), 68));
    for kind in [2, 5, 6] {
        let mut message = Message::new(kind, 1);
        message.hardware = OWN;
        let packet = write::udp(dhcp.0, dhcp.1, &message.bytes());
        seeds.push(write::framed(EthernetAddress::BROADCAST, PEER, &packet));
    }
    for (own, peer) in FAMILIES {
        let (remote, local) = (SocketAddr::new(peer, PEER_PORT), SocketAddr::new(own, PORT));
        let mut packets = vec![
            write::udp(remote, local, b"data"),
            write::udp(remote, SocketAddr::new(own, 1), b"closed"),
            write::ping(peer, own, 1, &[7; 100]),
            write::pong(peer, own, 1, &[7; 100]),
            write::ip(peer, own, 200, b"unknown"),
            write::igmp(PEER_V4, V4, &[0x16, 0, 0, 0, 239, 1, 2, 3]),
        ];
        for flags in [2, 0x10, 0x11, 0x04, 0x12] {
            packets.push(write::ip(peer, own, 6, &write::segment(remote, local, flags, 7, 9)));
        }
        let about = write::udp(local, remote, &[1; 1400]);
        for reason in [Reason::TooBig { mtu: 1300 }, Reason::PortUnreachable, Reason::ReassemblyTimeExceeded] {
            packets.push(write::error_about(peer, own, reason, &about));
        }
        if own.is_ipv6() {
            let datagram = write::datagram(remote, local, b"behind");
            for headers in [
                (44, fragment_header(17, 0, false, 1).to_vec()),
                (44, fragment_header(17, 0, true, 2).to_vec()),
                (44, fragment_header(17, 8, false, 2).to_vec()),
                (60, extension(17, [0xc2, 4, 0, 0, 0, 0]).to_vec()),
                (43, extension(17, [0, 1, 0, 0, 0, 0]).to_vec()),
                (0, [extension(60, [1, 4, 0, 0, 0, 0]), extension(17, [1, 4, 0, 0, 0, 0])].concat()),
            ] {
                packets.push(write::ip(peer, own, headers.0, &[&headers.1[..], &datagram].concat()));
            }
        } else {
            for (field, at) in [(0x20, 6), (0x01, 7)] {
                let mut packet = write::udp(remote, local, &[3; 64]);
                packet[6] = 0;
                packet[at] |= field;
                packets.push(packet);
            }
        }
        seeds.extend(packets.iter().map(|packet| write::framed(OWN, PEER, packet)));
    }
    seeds
}

/// Recomputes the checksums, as an attacker would.
fn repair(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(14..) else { return };
    let header = match packet.first() {
        Some(first) if first >> 4 == 4 => usize::from(first & 15) * 4,
        Some(first) if first >> 4 == 6 => 40,
        _ => return,
    };
    if packet.len() < header || packet.len() < 20 || header < 20 {
        return;
    }
    if header < 40 || packet[0] >> 4 == 4 {
        packet[10..12].fill(0);
        let sum = (!smoltcp::wire::checksum::data(&packet[..header])).to_be_bytes();
        packet[10..12].copy_from_slice(&sum);
    }
    let Some((source, destination)) = crate::wire::ends(packet) else { return };
    let Some(protocol) = crate::wire::protocol(packet) else { return };
    let payload = &mut packet[header..];
    let at = match u8::from(protocol) {
        1 | 2 | 58 => 2,
        6 => 16,
        17 => 6,
        _ => return,
    };
    if payload.len() < at + 2 {
        return;
    }
    payload[at..at + 2].fill(0);
    let sum = match u8::from(protocol) {
        1 | 2 => !smoltcp::wire::checksum::data(payload),
        _ => crate::wire::transport_checksum(
            source,
            destination,
            protocol,
            payload.len(),
            core::iter::once(&payload[..]),
        ),
    };
    payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Changes a frame at random, slightly or a lot.
fn damage(frame: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.below(4) {
        let at = random.below(frame.len() as u32 + 1) as usize;
        match random.below(8) {
            0 => frame.truncate(at),
            1 => frame.extend((0..random.below(64)).map(|_| 0)),
            2 => frame.insert(at, random.next_u32() as u8),
            _ => {
                // After the hardware addresses, so that the frame is accepted.
                let at = at.max(12);
                if let Some(byte) = frame.get_mut(at) {
                    *byte = [0, 0xff, *byte ^ 1 << random.below(8), random.next_u32() as u8][random.below(4) as usize];
                }
            }
        }
    }
    if random.below(4) > 0 {
        repair(frame);
    }
}

fn check(host: &Host) {
    let interface = host.engine.interface();
    assert!(interface.neighbours(host.now).count() <= 1024);
    assert!(interface.addresses().len() <= 64 && interface.routes().len() <= 256);
    assert!(interface.held() < 8 << 20, "{}", interface.held());
    assert!(host.engine.reassembly.held() <= 4 << 20, "{}", host.engine.reassembly.held());
    assert!(host.engine.parked.len() <= 16 && host.engine.servers().count() <= 64);
}

#[test]
fn damaged_frames_of_all_kinds_neither_panic_nor_grow_anything() {
    let seeds = seeds();
    for seed in 0..8 {
        let mut random = Random::new([seed; 32]);
        let mut host = busy();
        let (mut frames, mut bytes) = (0u64, 0);
        for round in 0..3000 {
            let mut frame = seeds[random.below(seeds.len() as u32) as usize].clone();
            damage(&mut frame, &mut random);
            host.receive(&frame);
            frames += 1;
            match random.below(100) {
                0 => host.wire.room = random.below(3) as usize,
                1..=4 => host.wire.room = usize::MAX,
                5 => host.advance(seconds(u64::from(random.below(40)))),
                6 => {
                    let (own, peer) = FAMILIES[random.below(2) as usize];
                    let _sent = host.send(own, peer, &vec![1; random.below(5000) as usize]);
                }
                7 if round % 10 == 0 => {
                    host.engine.link_down(host.now);
                    host.engine.link_up(host.now);
                    host.act();
                }
                _ => host.advance(millis(u64::from(random.below(50)))),
            }
            bytes += host.sent().iter().map(|frame| frame.bytes.len()).sum::<usize>();
            host.events.clear();
            check(&host);
        }
        assert!(host.engine.counters().dropped <= 4 * frames);
        assert!(bytes < 64 << 20, "{bytes}");
        // The host keeps working.
        host.wire.room = usize::MAX;
        host.with(|engine, now, wire| assert!(engine.transmit(now, wire)));
        host.settle();
        assert!(host.has(V4.into()) && host.has(V6.into()));
        for (own, peer) in FAMILIES {
            host.meet();
            host.receive_packet(&write::ping(peer, own, 1, b"still there?"));
            let is_reply =
                |frame: &super::bench::Sent| matches!(frame.icmp(), Some(crate::ip::icmp::Message::EchoReply(_)));
            assert!(host.sent().iter().any(is_reply), "seed {seed}, {own}");
        }
        host.advance(seconds(3600));
        assert_eq!(host.engine.reassembly.held(), 0);
    }
}

#[test]
fn random_bytes_are_dropped() {
    let mut random = Random::new([9; 32]);
    let mut host = busy();
    for _ in 0..20_000 {
        let length = random.below(120) as usize;
        let mut frame: Vec<u8> = (0..length).map(|_| random.next_u32() as u8).collect();
        if let Some(link) = frame.get_mut(..14) {
            link[..6].copy_from_slice(&OWN.0);
            link[12..].copy_from_slice(&[write::IPV4, write::IPV6, write::ARP][random.below(3) as usize]);
        }
        if let Some(first) = frame.get_mut(14) {
            *first = [0x45, 0x60, *first][random.below(3) as usize];
        }
        host.receive(&frame);
        host.events.clear();
        host.sent();
    }
    check(&host);
}

#[test]
fn a_storm_of_routers_and_neighbours_is_bounded() {
    let mut random = Random::new([7; 32]);
    let mut host = busy();
    assert_eq!(host.send(V4.into(), PEER_V4.into(), b"x"), Ok(()));
    host.receive(&write::arp(&Arp::request(OWN, V4, PEER_V4).reply(PEER)));
    for number in 0..3000u16 {
        let hardware = EthernetAddress([2, 0, 0, 1, (number >> 8) as u8, number as u8]);
        let router = [0xfe80, 0, 0, 0, 0, 0, 1, number].into();
        let network = [0x2001, 0xdb8, 0x100, number, 0, 0, 0, 0].into();
        host.receive(&router_advertisement(hardware, router, 0, 1800, &write::prefix(network)));
        host.receive(&write::solicitation((OWN, hardware), &Solicitation::question(router, hardware, V6)));
        host.advance(millis(u64::from(random.below(20))));
        host.sent();
        host.events.clear();
        check(&host);
    }
    assert!(host.has(V6.into()) && host.engine.interface().addresses().len() <= 64 / 4 + 3);
    assert_eq!((host.send(V4.into(), PEER_V4.into(), b"x"), host.sent()[0].to()), (Ok(()), PEER), "still known");
}
