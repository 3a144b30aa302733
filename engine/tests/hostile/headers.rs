//! IPv4 options and chains of IPv6 extension headers, for the parsers and for a station. A string of bytes determines
//! them.

use xila_network_engine::ip::headers::{Packet, Refusal};
use xila_network_engine::wire::Ip;

use super::bytes::Bytes;
use super::craft::{
    FRAGMENT, ICMP, ICMPV6, TCP, UDP, datagram, message, packet, put_right, with_extension, with_options,
};
use super::station::Station;

/// Runs the test that the bytes describe.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    read(data);
    let mut station = Station::of(bytes.byte());
    station.know_neighbours();
    while !bytes.is_empty() {
        let packet = strange_headers(&station, &mut bytes);
        read(&packet);
        station.receive_packet(&mut bytes, &packet);
        if bytes.byte().is_multiple_of(8) {
            station.operate(&mut bytes);
        }
        let time = Station::time(&mut bytes) / 100;
        station.pass(time);
    }
    station.rest();
}

/// Parses a packet with both parsers. They must agree on packets that both accept.
fn read(bytes: &[u8]) {
    let quick = Ip::parse(bytes, 0, true);
    let packet = match Packet::parse(bytes, true) {
        Ok(packet) => packet,
        Err(Refusal::Problem { pointer, .. }) => {
            // The octet that the pointer names exists, or is just missing.
            assert!(pointer as usize <= bytes.len() + 2, "octet {pointer} of {}", bytes.len());
            return;
        }
        Err(Refusal::Malformed | Refusal::NotForEndHost) => return,
    };
    assert!(packet.bytes.len() <= bytes.len() && packet.payload_at <= packet.bytes.len());
    assert!(packet.protocol_at < packet.bytes.len());
    if !packet.needs_reassembly() {
        assert_eq!(u8::from(packet.protocol), packet.bytes[packet.protocol_at], "what names the protocol");
    }
    if let Some(fragment) = packet.fragment {
        assert!(fragment.offset <= 65_528 && fragment.offset.is_multiple_of(8));
        assert!(fragment.header_at < packet.payload_at && fragment.named_at < packet.payload_at);
    }
    if let Some(quick) = quick.filter(|quick| quick.protocol == packet.protocol && packet.fragment.is_none()) {
        assert_eq!((quick.source, quick.destination, quick.ecn), (packet.source, packet.destination, packet.ecn));
        assert!(quick.payload == packet.payload() || packet.payload().is_empty(), "{bytes:02x?}: {quick:?} {packet:?}");
    }
    // Padding after the packet is ignored.
    let padded = [packet.bytes, &[0xee; 9]].concat();
    assert_eq!(
        Packet::parse(&padded, true).map(|padded| (padded.payload_at, padded.bytes.len())),
        Ok((packet.payload_at, packet.bytes.len()))
    );
}

fn strange_headers(station: &Station, bytes: &mut Bytes<'_>) -> Vec<u8> {
    if bytes.byte() > 240 {
        let length = bytes.below(120);
        let mut packet = bytes.take(length).to_vec();
        if bytes.flag() {
            put_right(&mut packet);
        }
        return packet;
    }
    let is_v4 = bytes.byte().is_multiple_of(3);
    let (source, destination) = station.ends(bytes, is_v4);
    let (protocol, payload) = match bytes.byte() % 8 {
        0..=2 => (UDP, datagram(9, bytes.pick(&[7, 99]), &[5; 20])),
        3 if is_v4 => (ICMP, message(bytes.pick(&[[8, 0], [3, 3], [11, 1], [0, 0], [5, 1]]), [0; 4], &[6; 20])),
        3 => (ICMPV6, message(bytes.pick(&[[128, 0], [1, 4], [100, 0], [129, 0], [137, 0]]), [0; 4], &[6; 20])),
        4 => (TCP, [&[0, 80, 0, 80][..], &[1; 8], &[0x50, bytes.byte()], &[2; 12]].concat()),
        5 => (59, vec![7; 4]),
        _ => (bytes.byte(), bytes.take(12).to_vec()),
    };
    let mut packet = packet(source, destination, protocol, 64, &payload);
    if is_v4 {
        let mut options = Vec::new();
        while options.len() < 40 && !bytes.byte().is_multiple_of(4) {
            options.extend(option_v4(bytes));
        }
        packet = with_options(&packet, &options);
    } else {
        for _ in 0..bytes.byte() % 12 {
            // From the last header to the first, because each is inserted before the others.
            let (number, body) = extension(bytes);
            packet = with_extension(&packet, number, &body);
        }
    }
    if bytes.byte() > 220 {
        let at = bytes.below(packet.len());
        packet[at] = bytes.byte();
    }
    if bytes.byte() > 240 {
        packet.truncate(bytes.below(packet.len()));
    }
    if bytes.byte() < 245 {
        put_right(&mut packet);
    }
    packet
}

/// An option of RFC 791 section 3.1 or RFC 2113, or an arbitrary one.
fn option_v4(bytes: &mut Bytes<'_>) -> Vec<u8> {
    match bytes.byte() % 10 {
        0 => vec![1],
        1 => vec![0],
        2 => vec![0x94, 4, 0, bytes.byte() & 1],
        3 | 4 => {
            let mut route = vec![bytes.pick(&[131, 137, 7]), 11, bytes.pick(&[4, 8, 12, 0, 3, 255])];
            route.extend([192, 0, 2, 3, 192, 0, 2, 1]);
            route
        }
        5 | 6 => {
            let mut stamps = vec![68, 12, bytes.pick(&[5, 9, 13, 1, 255]), bytes.byte()];
            stamps.extend_from_slice(bytes.take(8));
            stamps.resize(12, 0);
            stamps
        }
        _ => {
            let (number, length) = (bytes.byte(), bytes.byte() % 12);
            let mut option = vec![number, length];
            option.extend_from_slice(bytes.take(usize::from(length).saturating_sub(2)));
            option
        }
    }
}

/// An extension header (RFC 8200 section 4, RFC 6275 and others): its number, and its bytes after the next header
/// octet.
fn extension(bytes: &mut Bytes<'_>) -> (u8, Vec<u8>) {
    let number = bytes.pick(&[60, 0, 43, FRAGMENT, 60, 51, 135, 139, 140, 50]);
    match number {
        FRAGMENT => {
            let [high, low] = if bytes.byte() < 128 { [0, 0] } else { [bytes.byte(), bytes.byte()] };
            (number, vec![0, high, low, 0, 0, 0, bytes.byte()])
        }
        43 => {
            let (kind, left) = (bytes.byte() % 5, bytes.pick(&[0, 0, 1, 255]));
            (number, vec![0, kind, left, 0, 0, 0, 0])
        }
        51 => (number, vec![4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        _ => {
            let units = bytes.pick(&[0, 0, 1, 2, 32]);
            let mut body = vec![units];
            let whole = (usize::from(units) + 1) * 8 - 1;
            while body.len() < whole {
                match bytes.byte() % 6 {
                    0 => body.push(0),
                    1 => body.extend([1, bytes.byte() % 8]),
                    2 => body.extend([5, 2, 0, bytes.byte() & 1]),
                    3 => {
                        let (number, length) = (bytes.byte(), bytes.byte() % 9);
                        body.extend([number, length]);
                        body.extend_from_slice(bytes.take(usize::from(length)));
                    }
                    _ => body.resize(whole, 0),
                }
            }
            body.truncate(whole);
            (number, body)
        }
    }
}
