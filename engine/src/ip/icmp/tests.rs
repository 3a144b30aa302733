use core::net::{Ipv4Addr, Ipv6Addr};
use std::vec;
use std::vec::Vec;

use super::permission::{Arrival, Silence, is_martian, may_report};
use super::write::{Reason, echo_reply, echo_request, error};
use super::*;
use crate::ip::headers::Problem;
use crate::random::Random;

const A4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const B4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const A6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
const B6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));

/// An IP packet from one address to another. Its payload is arbitrary bytes.
fn packet(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let [high, low] = (20 + payload.len() as u16).to_be_bytes();
            let mut packet = vec![0x45, 0, high, low, 0x12, 0x34, 0, 0, 64, protocol, 0, 0];
            packet.extend([source.octets(), destination.octets()].concat());
            packet
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let [high, low] = (payload.len() as u16).to_be_bytes();
            let mut packet = vec![0x60, 0, 0, 0, high, low, protocol, 64];
            packet.extend([source.octets(), destination.octets()].concat());
            packet
        }
        _ => panic!("of one family"),
    };
    packet.extend(payload);
    packet
}

fn v4(text: &str) -> IpAddr {
    text.parse::<Ipv4Addr>().expect("an address").into()
}

fn v6(text: &str) -> IpAddr {
    text.parse::<Ipv6Addr>().expect("an address").into()
}

/// The quoted content of an error about a packet from A to B with this transport header.
fn report_about(protocol: u8, transport: &[u8], is_v6: bool) -> Content {
    let (a, b) = if is_v6 { (A6, B6) } else { (A4, B4) };
    let mut bytes = Vec::new();
    error(&mut bytes, b, a, Reason::PortUnreachable, &packet(a, b, protocol, transport));
    let Ok(Message::Error(report)) = Message::read(b, a, &bytes, true) else { panic!("an error") };
    assert_eq!((report.kind, report.quoted.source, report.quoted.destination), (ErrorKind::PortUnreachable, a, b));
    report.quoted.content
}

#[test]
fn echo_messages_are_written_as_in_the_rfc_and_parsed_again() {
    let mut bytes = vec![9];
    echo_request(&mut bytes, A4, B4, 0x1234, 1, b"abc");
    // RFC 792: the ones' complement sum of 0800 1234 0001 6162 6300.
    let sum = !(0x0800u32 + 0x1234 + 1 + 0x6162 + 0x6300) as u16;
    let [high, low] = sum.to_be_bytes();
    assert_eq!(bytes, [9, 8, 0, high, low, 0x12, 0x34, 0, 1, b'a', b'b', b'c']);
    let echo = Echo { identifier: 0x1234, sequence: 1, payload: b"abc" };
    assert_eq!(Message::read(A4, B4, &bytes[1..], true), Ok(Message::EchoRequest(echo)));
    let mut bytes = Vec::new();
    echo_reply(&mut bytes, B6, A6, 0x1234, 1, b"abc");
    assert_eq!((bytes[0], bytes[1]), (129, 0));
    assert_eq!(Message::read(B6, A6, &bytes, true), Ok(Message::EchoReply(echo)));
    assert_eq!(Message::read(B6, B6, &bytes, true), Err(Malformed::Checksum), "the addresses are covered");
    bytes[9] ^= 1;
    assert_eq!(Message::read(B6, A6, &bytes, true), Err(Malformed::Checksum));
    assert!(Message::read(B6, A6, &bytes, false).is_ok());
    assert_eq!(Message::read(B6, A6, &bytes[..7], false), Err(Malformed::Truncated));
}

#[test]
fn every_code_has_its_kind() {
    use ErrorKind::{PacketTooBig, ParameterProblem, PortUnreachable, Prohibited, TimeExceeded, Unknown, Unreachable};
    let expected_v4 = |kind, code| match (kind, code) {
        (3, 2 | 3) => PortUnreachable,
        (3, 4) => PacketTooBig,
        (3, 9 | 10 | 13..=15) => Prohibited,
        (3, _) => Unreachable,
        (11, _) => TimeExceeded,
        _ => ParameterProblem,
    };
    let expected_v6 = |kind, code| match (kind, code) {
        (1, 4) => PortUnreachable,
        (1, 1 | 5 | 6) => Prohibited,
        (1, _) => Unreachable,
        (2, _) => PacketTooBig,
        (3, _) => TimeExceeded,
        (4, _) => ParameterProblem,
        _ => Unknown,
    };
    for code in 0..=255 {
        for (source, destination, kinds) in [(A4, B4, &[3, 11, 12][..]), (A6, B6, &[0, 1, 2, 3, 4, 100, 127])] {
            for kind in kinds {
                let message =
                    [&[*kind, code, 0, 0, 0, 0, 0, 0][..], &packet(source, destination, 17, &[7; 8])].concat();
                let Ok(Message::Error(report)) = Message::read(destination, source, &message, false) else {
                    panic!("an error: {kind} {code}");
                };
                let expected = if source.is_ipv4() { expected_v4(*kind, code) } else { expected_v6(*kind, code) };
                assert_eq!((report.kind, report.number, report.code), (expected, *kind, code));
            }
        }
    }
    for number in [4, 5, 9, 13] {
        let message = [number, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Message::read(A4, B4, &message, false), Ok(Message::Other { number, code: 0 }));
    }
    for number in [130, 135, 137, 255] {
        let message = [number, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Message::read(A6, B6, &message, false), Ok(Message::Other { number, code: 0 }));
    }
}

#[test]
fn the_mtu_is_read_from_the_field_of_each_family() {
    let read = |a, b, mtu| {
        let mut bytes = Vec::new();
        error(&mut bytes, b, a, Reason::TooBig { mtu }, &packet(a, b, 6, &[0; 8]));
        let Ok(Message::Error(report)) = Message::read(b, a, &bytes, true) else { panic!("an error") };
        assert_eq!(report.kind, ErrorKind::PacketTooBig);
        (report.mtu, bytes[..8].to_vec())
    };
    let (mtu, header) = read(A4, B4, 1400);
    assert_eq!((mtu, header[..2].to_vec(), header[4..].to_vec()), (Some(1400), vec![3, 4], vec![0, 0, 5, 0x78]));
    let (mtu, header) = read(A6, B6, 0x0001_0001);
    assert_eq!((mtu, header[..2].to_vec(), header[4..].to_vec()), (Some(65_537), vec![2, 0], vec![0, 1, 0, 1]));
    assert_eq!(read(A4, B4, 0).0, Some(0), "from a router that knows RFC 792 only");
}

#[test]
fn a_quoted_packet_is_identified_by_its_first_eight_bytes() {
    let transport = [0x12, 0x34, 0, 80, 1, 2, 3, 4];
    for is_v6 in [false, true] {
        let tcp = Content::Tcp { from: 0x1234, to: 80, sequence: 0x0102_0304 };
        assert_eq!(report_about(6, &transport, is_v6), tcp);
        assert_eq!(report_about(17, &transport, is_v6), Content::Udp { from: 0x1234, to: 80 });
        assert_eq!(report_about(17, &transport[..7], is_v6), Content::Other);
        assert_eq!(report_about(132, &transport, is_v6), Content::Other);
    }
    let echo = Content::Echo { identifier: 7, sequence: 9 };
    assert_eq!(report_about(1, &[8, 0, 0, 0, 0, 7, 0, 9], false), echo);
    assert_eq!(report_about(58, &[128, 0, 0, 0, 0, 7, 0, 9], true), echo);
    assert_eq!(report_about(58, &[8, 0, 0, 0, 0, 7, 0, 9], true), Content::Other);
    assert_eq!(report_about(1, &[0, 0, 0, 0, 0, 7, 0, 9], false), Content::Other, "a reply");
}

#[test]
fn extension_headers_of_a_quoted_packet_are_skipped_and_a_later_fragment_has_no_ports() {
    let udp = [0x12, 0x34, 0, 80, 0, 8, 0, 0];
    let chain = |offset: [u8; 2]| {
        let mut chain = vec![60, 0, 1, 4, 0, 0, 0, 0];
        chain.extend([43, 1, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        chain.extend([44, 0, 0, 3, 0, 0, 0, 0]);
        chain.extend([17, 0, offset[0], offset[1], 0, 0, 0, 1]);
        chain.extend(udp);
        chain
    };
    assert_eq!(report_about(0, &chain([0, 1]), true), Content::Udp { from: 0x1234, to: 80 });
    assert_eq!(report_about(0, &chain([0, 8]), true), Content::Other);
    assert_eq!(report_about(0, &chain([0, 1])[..20], true), Content::Other, "cut within a header");
    let mut fragment = packet(A4, B4, 17, &udp);
    fragment[7] = 1;
    let message = [&[3, 3, 0, 0, 0, 0, 0, 0][..], &fragment].concat();
    let Ok(Message::Error(report)) = Message::read(B4, A4, &message, false) else { panic!("an error") };
    assert_eq!((report.quoted.content, report.quoted.protocol), (Content::Other, IpProtocol::Udp));
}

#[test]
fn an_error_that_quotes_no_packet_is_refused() {
    let message = |quoted: &[u8]| [&[3, 3, 0, 0, 0, 0, 0, 0][..], quoted].concat();
    let good = packet(A4, B4, 17, &[0; 8]);
    assert!(Message::read(B4, A4, &message(&good[..20]), false).is_ok());
    assert_eq!(Message::read(B4, A4, &message(&good[..19]), false), Err(Malformed::Quotation));
    for first in [0x44, 0x65, 0x05] {
        let mut bad = good.clone();
        bad[0] = first;
        assert_eq!(Message::read(B4, A4, &message(&bad), false), Err(Malformed::Quotation), "{first:x}");
    }
    let six = packet(A6, B6, 17, &[0; 8]);
    assert_eq!(
        Message::read(B6, A6, &[&[1, 4, 0, 0, 0, 0, 0, 0][..], &six[..39]].concat(), false),
        Err(Malformed::Quotation)
    );
    assert_eq!(
        Message::read(B6, A6, &[&[1, 4, 0, 0, 0, 0, 0, 0][..], &good].concat(), false),
        Err(Malformed::Quotation)
    );
}

#[test]
fn rfc_4884_extensions_are_not_part_of_the_quoted_packet() {
    let quoted = packet(A4, B4, 17, &[7; 108]);
    let message = [&[11, 0, 0, 0, 0, 32, 0, 0][..], &quoted, &[0x20, 0, 0, 0, 0, 4, 1, 1]].concat();
    let Ok(Message::Error(report)) = Message::read(B4, A4, &message, false) else { panic!("an error") };
    assert_eq!(report.quoted.bytes, quoted);
}

#[test]
fn errors_have_the_types_and_codes_of_their_family() {
    let parameter = |problem| Reason::Parameter { problem, pointer: 40 };
    let cases = [
        (Reason::NoRoute, [3, 0], [1, 0], [0, 0]),
        (Reason::AddressUnreachable, [3, 1], [1, 3], [0, 0]),
        (Reason::ProtocolUnreachable { pointer: 6 }, [3, 2], [4, 1], [0, 6]),
        (Reason::PortUnreachable, [3, 3], [1, 4], [0, 0]),
        (Reason::Prohibited, [3, 13], [1, 1], [0, 0]),
        (Reason::BeyondScope, [3, 1], [1, 2], [0, 0]),
        (Reason::SourcePolicy, [3, 13], [1, 5], [0, 0]),
        (Reason::RejectRoute, [3, 13], [1, 6], [0, 0]),
        (Reason::SourceRouteFailed, [3, 5], [1, 3], [0, 0]),
        (Reason::HopLimitExceeded, [11, 0], [3, 0], [0, 0]),
        (Reason::ReassemblyTimeExceeded, [11, 1], [3, 1], [0, 0]),
        (parameter(Problem::Field), [12, 0], [4, 0], [40, 40]),
        (parameter(Problem::NextHeader), [12, 0], [4, 1], [40, 40]),
        (parameter(Problem::Option), [12, 0], [4, 2], [40, 40]),
        (parameter(Problem::IncompleteChain), [12, 0], [4, 3], [40, 40]),
    ];
    for (reason, old, new, pointers) in cases {
        let mut bytes = Vec::new();
        error(&mut bytes, B4, A4, reason, &packet(A4, B4, 17, &[0; 8]));
        assert_eq!(
            (bytes[..2].to_vec(), bytes[4..8].to_vec()),
            (old.to_vec(), vec![pointers[0], 0, 0, 0]),
            "{reason:?}"
        );
        assert!(Message::read(B4, A4, &bytes, true).is_ok());
        let mut bytes = Vec::new();
        error(&mut bytes, B6, A6, reason, &packet(A6, B6, 17, &[0; 8]));
        assert_eq!(
            (bytes[..2].to_vec(), bytes[4..8].to_vec()),
            (new.to_vec(), vec![0, 0, 0, pointers[1]]),
            "{reason:?}"
        );
        assert!(Message::read(B6, A6, &bytes, true).is_ok());
    }
}

#[test]
fn the_packet_is_quoted_as_it_came_and_as_much_of_it_as_fits() {
    for (a, b, room) in [(A4, B4, 576 - 20 - 8), (A6, B6, 1280 - 40 - 8)] {
        for length in [0, 100, 1200, 3000] {
            let mut data: Vec<u8> = (0..length).map(|index| index as u8).collect();
            data.extend([1; 8]);
            let packet = packet(a, b, 17, &data);
            let mut bytes = Vec::new();
            error(&mut bytes, b, a, Reason::PortUnreachable, &packet);
            assert_eq!(bytes[8..], packet[..packet.len().min(room)]);
        }
    }
}

fn verdict(packet: &[u8], reason: Reason) -> Result<(), Silence> {
    may_report(packet, reason, Arrival::default(), |address| address == Ipv4Addr::new(192, 0, 2, 255))
}

const PORT: Reason = Reason::PortUnreachable;

#[test]
fn no_error_is_sent_about_an_error() {
    for number in 0..=255 {
        let is_query = matches!(number, 0 | 8..=10 | 13..=18 | 42 | 43);
        let expected = if is_query { Ok(()) } else { Err(Silence::AboutError) };
        assert_eq!(verdict(&packet(A4, B4, 1, &[number; 8]), PORT), expected, "v4 {number}");
        let is_informational = number >= 128 && number != 137;
        let expected = if is_informational { Ok(()) } else { Err(Silence::AboutError) };
        assert_eq!(verdict(&packet(A6, B6, 58, &[number; 8]), PORT), expected, "v6 {number}");
        let behind = [&[58, 0, 1, 4, 0, 0, 0, 0][..], &[number; 8]].concat();
        assert_eq!(verdict(&packet(A6, B6, 60, &behind), PORT), expected, "v6 {number} behind options");
    }
    assert_eq!(verdict(&packet(A4, B4, 1, &[]), PORT), Err(Silence::AboutError), "nobody can say");
    assert_eq!(verdict(&packet(A6, B6, 58, &[]), PORT), Err(Silence::AboutError));
    assert_eq!(verdict(&packet(A4, B4, 17, &[]), PORT), Ok(()));
}

#[test]
fn no_error_is_sent_about_multicast_but_for_the_two_exceptions_of_ipv6() {
    let to_many = Err(Silence::ToMany);
    for destination in ["224.0.0.1", "239.1.2.3", "255.255.255.255", "192.0.2.255"] {
        assert_eq!(verdict(&packet(A4, v4(destination), 17, &[0; 8]), PORT), to_many, "{destination}");
    }
    let option = Reason::Parameter { problem: Problem::Option, pointer: 42 };
    let field = Reason::Parameter { problem: Problem::Field, pointer: 42 };
    let group = packet(A6, v6("ff02::1"), 17, &[0; 8]);
    let single = packet(A6, B6, 17, &[0; 8]);
    let by_link = Arrival { to_many: true, from_loopback: false };
    for (reason, expected) in
        [(PORT, to_many), (field, to_many), (option, Ok(())), (Reason::TooBig { mtu: 1280 }, Ok(()))]
    {
        assert_eq!(verdict(&group, reason), expected, "{reason:?}");
        assert_eq!(may_report(&single, reason, by_link, |_| false), expected, "{reason:?}");
        let old = packet(A4, B4, 17, &[0; 8]);
        assert_eq!(may_report(&old, reason, by_link, |_| false), to_many, "IPv4 knows no exception");
    }
}

#[test]
fn no_error_is_sent_about_a_later_fragment_unless_rfc_8200_asks_for_it() {
    let mut fragment = packet(A4, B4, 17, &[0; 8]);
    fragment[6] = 0x20;
    assert_eq!(verdict(&fragment, PORT), Ok(()), "the first");
    fragment[7] = 1;
    assert_eq!(verdict(&fragment, PORT), Err(Silence::LaterFragment));
    let later = packet(A6, B6, 44, &[&[17, 0, 0, 8, 0, 0, 0, 1][..], &[0; 8]].concat());
    assert_eq!(verdict(&later, PORT), Err(Silence::LaterFragment));
    let field = Reason::Parameter { problem: Problem::Field, pointer: 4 };
    assert_eq!(verdict(&later, field), Ok(()));
    let first = packet(A6, B6, 44, &[&[17, 0, 0, 1, 0, 0, 0, 1][..], &[0; 8]].concat());
    assert_eq!(verdict(&first, Reason::ReassemblyTimeExceeded), Ok(()));
}

#[test]
fn no_error_is_sent_about_a_packet_with_too_many_extension_headers() {
    let behind = |count: usize| [&[60, 0, 1, 4, 0, 0, 0, 0].repeat(count - 1)[..], &[58, 0, 1, 4, 0, 0, 0, 0]].concat();
    let chain = |count, number| packet(A6, B6, 60, &[&behind(count)[..], &[number; 8]].concat());
    let field = Reason::Parameter { problem: Problem::NextHeader, pointer: 40 };
    assert_eq!(verdict(&chain(MOST_EXTENSIONS, 128), field), Ok(()), "an echo request that is found");
    assert_eq!(verdict(&chain(MOST_EXTENSIONS, 1), field), Err(Silence::AboutError), "an error that is found");
    assert_eq!(verdict(&chain(MOST_EXTENSIONS + 1, 1), field), Err(Silence::AboutError), "what is not found");
}

#[test]
fn no_error_is_sent_to_an_address_that_is_not_a_single_host() {
    for source in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.255"] {
        assert_eq!(verdict(&packet(v4(source), B4, 17, &[0; 8]), PORT), Err(Silence::Source), "{source}");
    }
    for source in ["::", "::1", "ff02::1", "::ffff:192.0.2.1"] {
        assert_eq!(verdict(&packet(v6(source), B6, 17, &[0; 8]), PORT), Err(Silence::Source), "{source}");
    }
    let own = Arrival { to_many: false, from_loopback: true };
    for packet in [packet(v4("127.0.0.1"), v4("127.0.0.1"), 17, &[0; 8]), packet(v6("::1"), v6("::1"), 17, &[0; 8])] {
        assert_eq!(may_report(&packet, PORT, own, |_| false), Ok(()));
    }
    for bytes in [&[][..], &[0x45; 19], &[0x60; 39], &[0x75; 60]] {
        assert_eq!(verdict(bytes, PORT), Err(Silence::Malformed));
    }
}

#[test]
fn addresses_that_cannot_be_genuine_are_martian() {
    let own = |address: IpAddr| address == B4 || address == B6;
    let is = |source, destination, protocol| is_martian(source, destination, protocol, false, own);
    let (udp, tcp) = (IpProtocol::Udp, IpProtocol::Tcp);
    let bad = ["0.0.0.0", "0.0.0.1", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.2"];
    for source in bad {
        assert!(is(v4(source), B4, udp), "{source}");
    }
    for source in ["::", "::1", "::ffff:127.0.0.1", "::ffff:192.0.2.1", "ff02::1", "2001:db8::2"] {
        assert!(is(v6(source), B6, udp), "{source}");
    }
    for destination in ["0.0.0.0", "0.9.9.9", "127.0.0.1", "240.0.0.1"] {
        assert!(is(A4, v4(destination), tcp), "{destination}");
    }
    for destination in ["::", "::1", "::ffff:192.0.2.2", "ff00::1", "ff01::1"] {
        assert!(is(A6, v6(destination), tcp), "{destination}");
    }
    assert!(is(A4, B6, tcp) && is(A6, B4, tcp));
    for destination in ["192.0.2.2", "224.0.0.1", "255.255.255.255", "192.0.2.255"] {
        assert!(!is(A4, v4(destination), udp), "{destination}");
    }
    for destination in ["2001:db8::2", "ff02::1", "ff05::2", "fe80::1"] {
        assert!(!is(A6, v6(destination), udp), "{destination}");
    }
    assert!(!is(v6("fe80::1"), B6, tcp));
}

#[test]
fn a_host_without_an_address_may_send_from_the_unspecified_one() {
    let is = |source, destination, protocol| is_martian(source, destination, protocol, false, |_| false);
    let none = v4("0.0.0.0");
    assert!(!is(none, v4("255.255.255.255"), IpProtocol::Udp), "DHCP");
    assert!(is(none, v4("255.255.255.255"), IpProtocol::Tcp) && is(none, v4("224.0.0.1"), IpProtocol::Udp));
    assert!(!is(none, v4("224.0.0.1"), IpProtocol::Igmp), "a query from a switch");
    let none = v6("::");
    for group in ["ff02::1:ff00:1", "ff02::2", "ff02::16"] {
        assert!(!is(none, v6(group), IpProtocol::Icmpv6), "{group}");
        assert!(is(none, v6(group), IpProtocol::Udp), "{group}");
    }
    assert!(is(none, B6, IpProtocol::Icmpv6) && is(none, v6("ff05::1"), IpProtocol::Icmpv6));
}

#[test]
fn own_and_loopback_addresses_are_valid_over_loopback() {
    let is = |source, destination| is_martian(source, destination, IpProtocol::Tcp, true, |_| true);
    assert!(
        !is(v4("127.0.0.1"), v4("127.0.0.2")) && !is(A4, A4) && !is(v6("::1"), v6("::1")) && !is(A6, v6("ff01::1"))
    );
    assert!(
        is(v4("240.0.0.1"), A4) && is(v6("::ffff:127.0.0.1"), A6) && is(v6("ff02::1"), A6) && is(A6, v6("ff00::1"))
    );
}

#[test]
fn arbitrary_bytes_do_not_panic() {
    let mut random = Random::new([5; 32]);
    let options =
        [&[60, 0, 1, 4, 0, 0, 0, 0][..], &[44, 0, 1, 4, 0, 0, 0, 0], &[17, 0, 0, 0, 0, 0, 0, 1], &[7; 8]].concat();
    let inner = [packet(A4, B4, 6, &[7; 20]), packet(A6, B6, 0, &options)];
    for round in 0..50_000u32 {
        let is_v6 = round % 2 == 1;
        let (a, b) = if is_v6 { (A6, B6) } else { (A4, B4) };
        let mut bytes = Vec::new();
        error(&mut bytes, b, a, PORT, &inner[usize::from(is_v6)]);
        if round % 8 < 2 {
            bytes = (0..random.below(100)).map(|_| random.next_u32() as u8).collect();
        } else {
            for _ in 0..1 + random.below(6) {
                let index = random.below(bytes.len() as u32) as usize;
                bytes[index] = random.next_u32() as u8;
            }
            bytes.truncate(random.below(bytes.len() as u32 + 1) as usize);
        }
        if let Ok(Message::Error(report)) = Message::read(b, a, &bytes, false) {
            assert!(bytes.len() >= 8 + report.quoted.bytes.len());
        }
        let _ = Message::read(b, a, &bytes, true);
        let _ = Message::read(a, IpAddr::V4(Ipv4Addr::LOCALHOST), &bytes, true);
        let _ = verdict(bytes.get(8..).unwrap_or_default(), PORT);
    }
}
