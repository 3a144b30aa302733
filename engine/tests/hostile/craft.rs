//! Crafted packets and frames, with correct checksums if a test wants them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::peer::{checksum, ip, sum};

pub(crate) type Hardware = [u8; 6];

pub(crate) const BROADCAST: Hardware = [0xff; 6];

/// IP protocol numbers.
pub(crate) const ICMP: u8 = 1;
pub(crate) const IGMP: u8 = 2;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const ICMPV6: u8 = 58;

/// A frame with an IP packet.
pub(crate) fn ethernet(to: Hardware, from: Hardware, packet: &[u8]) -> Vec<u8> {
    let ethertype: [u8; 2] = if packet.first().is_some_and(|first| first >> 4 == 6) { [0x86, 0xdd] } else { [8, 0] };
    [&to[..], &from, &ethertype, packet].concat()
}

/// A frame with an ARP message (RFC 826).
pub(crate) fn arp(
    [to, from]: [Hardware; 2],
    operation: u16,
    (sender_hardware, sender): (Hardware, Ipv4Addr),
    (target_hardware, target): (Hardware, Ipv4Addr),
) -> Vec<u8> {
    let fixed = [8, 6, 0, 1, 8, 0, 6, 4];
    let (sender, target) = (sender.octets(), target.octets());
    [&to[..], &from, &fixed, &operation.to_be_bytes(), &sender_hardware, &sender, &target_hardware, &target].concat()
}

/// A packet with this hop limit and correct checksums.
pub(crate) fn packet(source: IpAddr, destination: IpAddr, protocol: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = ip(source, destination, protocol, payload);
    packet[if source.is_ipv4() { 8 } else { 7 }] = hop_limit;
    put_right(&mut packet);
    packet
}

/// A UDP header and its payload, without a checksum.
pub(crate) fn datagram(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &length.to_be_bytes(), &[0, 0], payload].concat()
}

/// An ICMP message, without a checksum.
pub(crate) fn message(kind: [u8; 2], word: [u8; 4], rest: &[u8]) -> Vec<u8> {
    [&kind[..], &[0, 0], &word, rest].concat()
}

/// Inserts options into an IPv4 packet without options; truncated to the 40 bytes that fit.
pub(crate) fn with_options(packet: &[u8], options: &[u8]) -> Vec<u8> {
    let mut options = options.to_vec();
    options.truncate(40);
    options.resize(options.len().next_multiple_of(4), 0);
    let mut made = [&packet[..20], &options, &packet[20..]].concat();
    made[0] = 0x45 + (options.len() / 4) as u8;
    let length = made.len() as u16;
    made[2..4].copy_from_slice(&length.to_be_bytes());
    made
}

/// Inserts an extension header before the payload of an IPv6 packet: its protocol number, and its bytes after the next
/// header octet.
pub(crate) fn with_extension(packet: &[u8], number: u8, body: &[u8]) -> Vec<u8> {
    let mut made = [&packet[..40], &[packet[6]], body, &packet[40..]].concat();
    made[6] = number;
    let length = (made.len() - 40) as u16;
    made[4..6].copy_from_slice(&length.to_be_bytes());
    made
}

/// One fragment of a packet without options and extension headers: `length` bytes of its payload from `offset` on,
/// which is in units of 8 bytes.
pub(crate) fn fragment(packet: &[u8], identification: u32, offset: usize, length: usize, more: bool) -> Vec<u8> {
    let head = if packet[0] >> 4 == 4 { 20 } else { 40 };
    let payload = &packet[head..];
    let start = (offset * 8).min(payload.len());
    let part = &payload[start..(start + length).min(payload.len())];
    let mut made = [&packet[..head], part].concat();
    if head == 20 {
        let field = (offset as u16 & 0x1fff) | if more { 0x2000 } else { 0 };
        let total = made.len() as u16;
        made[2..4].copy_from_slice(&total.to_be_bytes());
        made[4..6].copy_from_slice(&identification.to_be_bytes()[2..]);
        made[6..8].copy_from_slice(&field.to_be_bytes());
        put_right(&mut made);
        return made;
    }
    let field = ((offset as u16 & 0x1fff) << 3) | u16::from(more);
    let body = [&[0][..], &field.to_be_bytes(), &identification.to_be_bytes()].concat();
    with_extension(&made, FRAGMENT, &body)
}

/// Corrects the checksums of a packet, as far as its headers can be parsed.
pub(crate) fn put_right(packet: &mut [u8]) {
    match packet.first().map(|first| first >> 4) {
        Some(4) if packet.len() >= 20 => {
            let head = usize::from(packet[0] & 15) * 4;
            if !(20..=packet.len()).contains(&head) {
                return;
            }
            packet[10..12].fill(0);
            let check = checksum(sum(&packet[..head]));
            packet[10..12].copy_from_slice(&check);
            let is_part = packet[6] & 0x3f != 0 || packet[7] != 0;
            let total = usize::from(u16::from_be_bytes([packet[2], packet[3]])).min(packet.len());
            if !is_part && total >= head {
                let (addresses, protocol) = (sum(&packet[12..20]), packet[9]);
                put_transport_right(&mut packet[head..total], protocol, addresses);
            }
        }
        Some(6) if packet.len() >= 40 => {
            let total = (40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]))).min(packet.len());
            let (addresses, packet) = (sum(&packet[8..40]), &mut packet[..total]);
            let (mut next, mut at) = (packet[6], 40);
            while let Some(&[named, length]) = packet.get(at..at + 2) {
                at += match next {
                    0 | 43 | 60 => (usize::from(length) + 1) * 8,
                    // A Fragment header before a whole packet has offset 0 and no more-fragments flag.
                    FRAGMENT
                        if packet.get(at + 2..at + 4).is_some_and(|field| field[0] == 0 && field[1] & 0xf9 == 0) =>
                    {
                        8
                    }
                    51 => (usize::from(length) + 2) * 4,
                    _ => break,
                };
                next = named;
            }
            if next != FRAGMENT && at <= total {
                put_transport_right(&mut packet[at..], next, addresses);
            }
        }
        _ => {}
    }
}

fn put_transport_right(mut segment: &mut [u8], protocol: u8, addresses: u32) {
    let (field, has_addresses) = match protocol {
        ICMP | IGMP => (2, false),
        TCP => (16, true),
        UDP => {
            // Bytes beyond the length field are padding.
            let length = segment.get(4..6).map_or(0, |length| usize::from(u16::from_be_bytes([length[0], length[1]])));
            if (8..=segment.len()).contains(&length) {
                segment = &mut segment[..length];
            }
            (6, true)
        }
        ICMPV6 => (2, true),
        _ => return,
    };
    if segment.len() < field + 2 {
        return;
    }
    segment[field..field + 2].fill(0);
    let pseudo = if has_addresses { addresses + u32::from(protocol) + segment.len() as u32 } else { 0 };
    let check = checksum(pseudo + sum(segment));
    let check = if protocol == UDP && check == [0, 0] { [0xff; 2] } else { check };
    segment[field..field + 2].copy_from_slice(&check);
}

/// The solicited-node group of an address (RFC 4291 section 2.7.1).
pub(crate) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high, low)
}
