use std::vec::Vec;

use smoltcp::wire::Ipv4Packet;

use super::*;
use crate::random::Random;

/// An IPv4 packet of UDP with these options, whose length is a multiple of four, and this value of the flags and offset
/// field.
pub(crate) fn ipv4(options: &[u8], flags: u16, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + options.len() + payload.len()).expect("short").to_be_bytes();
    let words = u8::try_from(5 + options.len() / 4).expect("short");
    let flags = flags.to_be_bytes();
    let mut packet = Vec::from([0x40 | words, 0x2a, total[0], total[1], 0x12, 0x34, flags[0], flags[1], 9, 17, 0, 0]);
    packet.extend([10, 0, 0, 2, 10, 0, 0, 1]);
    packet.extend(options);
    Ipv4Packet::new_unchecked(&mut packet[..]).fill_checksum();
    packet.extend(payload);
    packet
}

/// An IPv6 packet with these bytes after its header. `next` is the protocol of the first header in them.
pub(crate) fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
    let mut packet = Vec::from([0x62, 0xa0, 0, 0, length[0], length[1], next, 9]);
    packet.extend([0xfd; 15].into_iter().chain([2]));
    packet.extend([0xfd; 15].into_iter().chain([1]));
    packet.extend(payload);
    packet
}

fn refusal(packet: &[u8]) -> Refusal {
    Packet::parse(packet, true).expect_err("it is not good")
}

fn problem(pointer: u32, problem: Problem) -> Refusal {
    Refusal::Problem { pointer, problem }
}

#[test]
fn an_ipv4_header_is_parsed() {
    let mut bytes = ipv4(&[], 0x6003, b"payload");
    let whole = bytes.clone();
    bytes.extend([0; 20]);
    let packet = Packet::parse(&bytes, true).expect("well-formed");
    assert_eq!(packet.bytes, whole, "padding is cut off");
    assert_eq!((packet.source, packet.destination), ([10, 0, 0, 2].into(), [10, 0, 0, 1].into()));
    assert_eq!((packet.protocol, packet.protocol_at, packet.hop_limit), (IpProtocol::Udp, 9, 9));
    assert_eq!((packet.traffic_class, packet.ecn), (0x2a, Ecn::Capable0));
    assert_eq!((packet.payload_at, packet.payload()), (20, &b"payload"[..]));
    let fragment =
        Fragment { identification: 0x1234, offset: 24, more: true, dont_fragment: true, header_at: 0, named_at: 9 };
    assert_eq!((packet.fragment, packet.router_alert), (Some(fragment), None));
    assert!(packet.needs_reassembly());
    let needs = |flags| Packet::parse(&ipv4(&[], flags, b""), true).map(|packet| packet.needs_reassembly());
    assert_eq!([needs(0), needs(0x4000), needs(0x2000), needs(1)], [Ok(false), Ok(false), Ok(true), Ok(true)]);
}

#[test]
fn inconsistent_ipv4_headers_are_dropped() {
    let good = ipv4(&[], 0, b"payload");
    for (at, value) in [(0, 0x44), (0, 0x55), (0, 0x4f), (2, 1), (3, 19), (3, 28), (8, 7), (10, 0)] {
        let mut bad = good.clone();
        assert_ne!(bad[at], value);
        bad[at] = value;
        assert_eq!(refusal(&bad), Refusal::Malformed, "{at}");
    }
    let mut unverified = good.clone();
    unverified[10] = 0;
    assert!(Packet::parse(&unverified, false).is_ok());
    for length in 0..good.len() {
        assert_eq!(refusal(&good[..length]), Refusal::Malformed, "{length}");
    }
}

#[test]
fn ipv4_options_are_walked_and_unknown_ones_ignored() {
    let alert = ipv4(&[1, 99, 3, 0, 148, 4, 0, 7, 0, 131, 0, 0], 0, b"payload");
    let packet = Packet::parse(&alert, true).expect("nothing counts behind the end of the list");
    assert_eq!((packet.router_alert, packet.payload()), (Some(7), &b"payload"[..]));
    assert_eq!(refusal(&ipv4(&[1, 99, 0, 0], 0, b"")), problem(22, Problem::Field), "a length of 0");
    assert_eq!(refusal(&ipv4(&[99, 1, 0, 0], 0, b"")), problem(21, Problem::Field));
    assert_eq!(refusal(&ipv4(&[99, 5, 0, 0], 0, b"......")), problem(21, Problem::Field), "beyond the header");
    assert_eq!(refusal(&ipv4(&[1, 1, 1, 99], 0, b"......")), problem(23, Problem::Field), "no length");
}

#[test]
fn a_source_route_is_accepted_only_at_its_end() {
    for kind in [131, 137] {
        let route = |pointer| ipv4(&[kind, 7, pointer, 1, 2, 3, 4, 0], 0, b"payload");
        assert!(Packet::parse(&route(8), true).is_ok());
        assert_eq!([4, 7].map(|pointer| refusal(&route(pointer))), [Refusal::NotForEndHost; 2]);
        assert_eq!(refusal(&route(3)), problem(22, Problem::Field));
        assert_eq!(refusal(&ipv4(&[kind, 2, 0, 0], 0, b"")), problem(21, Problem::Field));
    }
}

#[test]
fn an_ipv6_chain_is_walked_to_the_upper_layer() {
    let mut payload = Vec::from([43, 0, 5, 2, 0, 0, 1, 0]);
    payload.extend([60, 0, 77, 0, 0, 0, 0, 0]);
    payload.extend([44, 1, 1, 4, 0, 0, 0, 0, 0x1e, 4, 0, 0, 0, 0, 0, 0]);
    payload.extend([58, 0xff, 0, 0b110, 1, 2, 3, 4]);
    payload.extend(b"payload");
    let mut bytes = ipv6(0, &payload);
    bytes.push(0);
    let packet = Packet::parse(&bytes, true).expect("well-formed");
    assert_eq!((packet.protocol, packet.protocol_at, packet.payload()), (IpProtocol::Icmpv6, 72, &b"payload"[..]));
    assert_eq!((packet.router_alert, packet.hop_limit), (Some(0), 9));
    assert_eq!((packet.traffic_class, packet.ecn), (0x2a, Ecn::Capable0));
    let fragment = packet.fragment.expect("there is a header");
    assert_eq!((fragment.identification, fragment.header_at, fragment.named_at), (0x0102_0304, 72, 56));
    assert!(!packet.needs_reassembly(), "an atomic fragment is whole (RFC 6946)");
    for length in 0..bytes.len() - 1 {
        assert_eq!(refusal(&bytes[..length]), Refusal::Malformed, "{length}");
    }
}

#[test]
fn headers_that_cannot_be_processed_are_pointed_to() {
    let padded = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let late = ipv6(60, &[padded(0), padded(17)].concat());
    assert_eq!(refusal(&late), problem(40, Problem::NextHeader), "hop-by-hop options come first only");
    for kind in [0, 3, 200] {
        assert_eq!(refusal(&ipv6(43, &[17, 0, kind, 1, 0, 0, 0, 0])), problem(42, Problem::Field), "{kind}");
    }
    assert_eq!(refusal(&ipv6(60, &[17, 1, 1, 4, 0, 0, 0, 0])), problem(41, Problem::Field), "longer than the packet");
    assert_eq!(refusal(&ipv6(60, &[17])), Refusal::Malformed);
    assert_eq!(refusal(&ipv6(44, &[17, 0, 0, 0, 0, 0, 0])), Refusal::Malformed);
    let unknown = ipv6(50, b"esp");
    let packet = Packet::parse(&unknown, true).expect("left as it is");
    assert_eq!((packet.protocol, packet.protocol_at, packet.payload()), (IpProtocol::IpSecEsp, 6, &b"esp"[..]));
    let nothing = ipv6(59, b"ignored");
    assert_eq!(Packet::parse(&nothing, true).map(|packet| packet.payload()), Ok(&[][..]));
}

#[test]
fn a_chain_is_bounded() {
    let chain = |count: usize| {
        let mut payload = [60, 0, 1, 4, 0, 0, 0, 0].repeat(count - 1);
        payload.extend([17, 0, 1, 4, 0, 0, 0, 0]);
        ipv6(60, &payload)
    };
    assert_eq!(Packet::parse(&chain(8), true).map(|packet| packet.protocol), Ok(IpProtocol::Udp));
    assert_eq!(refusal(&chain(9)), Refusal::Malformed);
}

#[test]
fn the_type_of_an_unknown_option_decides_what_happens_to_the_packet() {
    for header in [0, 60] {
        let options = |kind| ipv6(header, &[17, 0, 0, kind, 2, 0, 0, 0]);
        assert!(Packet::parse(&options(0x3e), true).is_ok());
        assert_eq!(refusal(&options(0x7e)), Refusal::Malformed);
        assert_eq!(refusal(&options(0xbe)), problem(43, Problem::Option));
        assert_eq!(refusal(&options(0xfe)), problem(43, Problem::Option));
        assert_eq!(refusal(&options(0xc2)), problem(43, Problem::Option), "a jumbo payload");
        let multicast = |kind| {
            let mut packet = options(kind);
            packet[24] = 0xff;
            packet
        };
        assert_eq!(refusal(&multicast(0xbe)), problem(43, Problem::Option));
        assert_eq!(refusal(&multicast(0xfe)), Refusal::Malformed);
        assert_eq!(refusal(&ipv6(header, &[17, 0, 0, 1, 4, 0, 0, 0])), problem(44, Problem::Field), "too long");
        assert_eq!(refusal(&ipv6(header, &[17, 0, 0, 0, 0, 0, 0, 1])), problem(47, Problem::Field), "no length");
    }
    let alert = ipv6(60, &[17, 0, 5, 2, 0, 0, 0, 0]);
    assert_eq!(Packet::parse(&alert, true).map(|packet| packet.router_alert), Ok(None), "not among hop-by-hop options");
}

#[test]
fn a_first_fragment_has_all_headers() {
    let fragment = |next, offset_and_more: u16, rest: &[u8]| {
        let field = offset_and_more.to_be_bytes();
        ipv6(44, &[&[next, 0, field[0], field[1], 0, 0, 0, 1], rest].concat())
    };
    let incomplete = problem(0, Problem::IncompleteChain);
    assert_eq!(refusal(&fragment(60, 1, &[17, 1, 1, 4, 0, 0, 0, 0])), incomplete);
    assert_eq!(refusal(&fragment(60, 1, &[17, 0, 1, 4, 0, 0, 0, 0])), incomplete, "no upper layer");
    assert_eq!(refusal(&fragment(17, 1, &[0; 7])), incomplete);
    assert_eq!(refusal(&fragment(6, 1, &[0; 16])), incomplete);
    let good = fragment(60, 1, &[17, 0, 1, 4, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let packet = Packet::parse(&good, true).expect("all is there");
    assert!(packet.needs_reassembly());
    assert_eq!((packet.protocol, packet.payload_at), (IpProtocol::Ipv6Opts, 48));
    let later = fragment(59, 8, b"any data");
    let packet = Packet::parse(&later, true).expect("what it is does not count");
    assert_eq!((packet.needs_reassembly(), packet.payload()), (true, &b"any data"[..]));
}

#[test]
fn arbitrary_input_does_not_panic() {
    let mut random = Random::new([3; 32]);
    let mut chain = Vec::from([43, 0, 5, 2, 0, 0, 1, 0]);
    chain.extend([60, 0, 77, 0, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0, 1, 1, 2, 3, 4, 17, 0, 1, 4, 0, 0, 0, 0]);
    chain.extend([0; 8]);
    let good = [ipv4(&[1, 131, 7, 8, 1, 2, 3, 4, 148, 4, 0, 0], 0x2000, b"payload"), ipv6(0, &chain)];
    let mut read = 0;
    for round in 0..200_000 {
        let mut bytes = good[round % 2].clone();
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len() as u32) as usize;
            bytes[at] = random.next_u32() as u8;
        }
        bytes.truncate(random.below(2 * bytes.len() as u32) as usize);
        if let Ok(packet) = Packet::parse(&bytes, false) {
            read += 1;
            assert!(packet.payload().len() + packet.payload_at <= packet.bytes.len());
        }
        let noise: Vec<u8> = (0..random.below(80)).map(|_| random.next_u32() as u8).collect();
        let _ = Packet::parse(&noise, false);
    }
    assert!(read > 10_000, "{read}");
}
