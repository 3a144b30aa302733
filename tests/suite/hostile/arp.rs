//! Malformed frames below IP: truncated frames, and false claims to addresses.

use std::net::{IpAddr, SocketAddr};

use xila_network_tests::link::{Family, PORT};

use super::frames::{ACK, SYN, Segment, UDP, arp, ethernet, icmp, ip, ipv4, octets, udp};
use super::victim::MAC;
use super::{ATTACKER, Victim};

const BROADCAST: [u8; 6] = [0xff; 6];
const VICTIM: [u8; 4] = [10, 0, 0, 2];
const OWN: [u8; 4] = [10, 0, 0, ATTACKER];

fn arp_frame(victim: &Victim, packet: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(victim.mac(), MAC, packet);
    frame[12..14].copy_from_slice(&[8, 6]);
    frame
}

/// One valid frame of every kind that the stack parses.
pub(crate) fn samples(victim: &Victim) -> Vec<Vec<u8>> {
    let mut frames = vec![
        arp_frame(victim, &arp(1, (MAC, OWN), ([0; 6], VICTIM))),
        arp_frame(victim, &arp(2, (MAC, OWN), (victim.mac(), VICTIM))),
    ];
    for family in Family::BOTH {
        let (own, target) = (family.host(ATTACKER), victim.link.server.address(family));
        let (from, to) = (SocketAddr::new(own, 4000), SocketAddr::new(target, PORT));
        let echo = if family == Family::V4 { [8, 0] } else { [128, 0] };
        let unreachable = if family == Family::V4 { [3, 3] } else { [1, 4] };
        let [reply, too_big] = if family == Family::V4 { [[0, 0], [3, 4]] } else { [[129, 0], [2, 0]] };
        let mut syn = Segment::new(from, to, SYN);
        syn.options = vec![2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0];
        let mut data = Segment::new(from, to, ACK);
        data.payload = b"hello".to_vec();
        let mut packets = vec![
            udp(from, to, b"hello"),
            syn.packet(),
            data.packet(),
            icmp(own, target, echo, [0, 1, 0, 1], b"ping"),
            icmp(own, target, reply, [0, 7, 0, 1], b"pong"),
            icmp(own, target, unreachable, [0; 4], &udp(to, from, b"hello")),
            icmp(own, target, too_big, [0, 0, 5, 0], &udp(to, from, &[7; 1400])[..100]),
            icmp(own, target, unreachable, [0; 4], &icmp(target, own, echo, [0, 7, 0, 1], b"ping")),
        ];
        if family == Family::V4 {
            packets.push(ipv4(own, target, UDP, 0x2000, &[0; 16]));
            packets.push(ipv4(own, target, UDP, 2, b"end"));
            // IGMP: a membership query.
            packets.push(ip(own, "224.0.0.1".parse().unwrap(), 2, &[0x11, 100, 0xee, 0x9b, 0, 0, 0, 0]));
        } else {
            let advertised = [&octets(own)[..], &[2, 1], &MAC].concat();
            packets.push(icmp(own, target, [136, 0], [0x60, 0, 0, 0], &advertised));
            let solicited = [&octets(target)[..], &[1, 1], &MAC].concat();
            packets.push(icmp(own, target, [135, 0], [0; 4], &solicited));
            // A router advertisement with a prefix, a listener query, and a packet with hop-by-hop options.
            let prefix = [&[3, 4, 64, 0xc0][..], &[0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0, 0], &octets(own)].concat();
            packets.push(icmp(
                own,
                "ff02::1".parse().unwrap(),
                [134, 0],
                [64, 0, 0, 60],
                &[&[0; 8][..], &prefix].concat(),
            ));
            packets.push(icmp(own, "ff02::1".parse().unwrap(), [130, 0], [0; 4], &[0; 20]));
            packets.push(ip(
                own,
                target,
                0,
                &[&[UDP, 0, 5, 2, 0, 0, 1, 0][..], &udp(from, to, b"hello")[40..]].concat(),
            ));
        }
        frames.extend(packets.iter().map(|packet| ethernet(victim.mac(), MAC, packet)));
    }
    frames
}

#[test]
fn frames_cut_at_any_byte_do_no_harm() {
    let victim = Victim::new();
    for frame in samples(&victim) {
        for length in 0..frame.len() {
            victim.wire.inject(&frame[..length]);
        }
        victim.advance(10);
    }
    victim.assert_serves();
}

#[test]
fn frames_with_bytes_after_the_packet_do_no_harm() {
    let victim = Victim::new();
    for mut frame in samples(&victim) {
        for length in [frame.len() + 1, 60, 1514, 9014, 65_535] {
            frame.resize(length.max(frame.len()), 0xaa);
            victim.wire.inject(frame.clone());
        }
        victim.advance(10);
    }
    victim.assert_serves();
}

#[test]
fn every_byte_of_every_kind_of_frame_may_be_wrong() {
    let victim = Victim::with(xila_network_host::device::Checksums::Omitted);
    for frame in samples(&victim) {
        for position in 0..frame.len() {
            for change in [0x01, 0x80, 0xff, frame[position]] {
                let mut frame = frame.clone();
                frame[position] ^= change;
                victim.wire.inject(frame);
            }
        }
        victim.advance(10);
    }
    victim.advance(200_000);
    victim.assert_serves();
}

#[test]
fn requests_that_no_host_can_send_are_not_answered() {
    let victim = Victim::new();
    let requests = [
        arp(1, ([1, 0, 0x5e, 0, 0, 1], OWN), ([0; 6], VICTIM)),
        arp(1, (BROADCAST, OWN), ([0; 6], VICTIM)),
        arp(1, (MAC, [224, 0, 0, 1]), ([0; 6], VICTIM)),
        arp(1, (MAC, [255; 4]), ([0; 6], VICTIM)),
        arp(1, (MAC, OWN), ([0; 6], [10, 0, 0, 77])),
        arp(1, (MAC, OWN), ([0; 6], [224, 0, 0, 1])),
        arp(0xffff, (MAC, OWN), ([0; 6], VICTIM)),
        arp(0, (MAC, OWN), ([0; 6], VICTIM)),
    ];
    victim.advance(1000);
    victim.wire.sent();
    for (index, request) in requests.iter().enumerate() {
        victim.wire.inject(arp_frame(&victim, request));
        victim.advance(10);
        assert_eq!(victim.wire.sent(), Vec::<Vec<u8>>::new(), "request {index}");
    }
    for (position, value) in [(0, 9), (1, 9), (2, 9), (3, 6), (4, 0), (4, 255), (5, 0), (5, 255), (5, 16)] {
        let mut request = arp(1, (MAC, OWN), ([0; 6], VICTIM));
        request[position] = value;
        victim.wire.inject(arp_frame(&victim, &request));
        victim.advance(10);
        assert_eq!(victim.wire.sent(), Vec::<Vec<u8>>::new(), "byte {position} is {value}");
    }
    victim.wire.inject(arp_frame(&victim, &arp(1, (MAC, OWN), ([0; 6], VICTIM))));
    victim.advance(10);
    assert_eq!(victim.wire.sent().len(), 1, "a proper request is");
    victim.assert_serves();
}

#[test]
fn thousands_of_unsolicited_neighbours_do_not_prevent_service() {
    let victim = Victim::new();
    for number in 0..10_000u16 {
        let [high, low] = number.to_be_bytes();
        let mac = [2, 9, 9, 9, high, low];
        victim.wire.inject(arp_frame(&victim, &arp(1, (mac, [10, 0, 0, 100 + low % 100]), ([0; 6], VICTIM))));
        victim.wire.inject(arp_frame(&victim, &arp(2, (mac, [10, high, low, 1]), (victim.mac(), VICTIM))));
        if low == 0 {
            victim.advance(1);
        }
    }
    victim.assert_serves();
}

#[test]
fn a_false_claim_to_the_victims_own_address_does_not_silence_it() {
    let victim = Victim::new();
    victim.assert_serves();
    for operation in [1, 2] {
        victim.wire.inject(arp_frame(&victim, &arp(operation, (MAC, VICTIM), (BROADCAST, VICTIM))));
    }
    let IpAddr::V6(own) = victim.link.server.address(Family::V6) else { unreachable!() };
    let advertised = [&own.octets()[..], &[2, 1], &MAC].concat();
    victim.inject(&icmp(own.into(), "ff02::1".parse().unwrap(), [136, 0], [0x20, 0, 0, 0], &advertised));
    victim.assert_serves();
}
