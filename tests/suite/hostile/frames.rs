//! Builds packets byte by byte, so that every byte can be wrong. Checksums are correct; otherwise packets would be
//! discarded early.

use std::net::{IpAddr, SocketAddr};

use etherparse::checksum::Sum16BitWords;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP_V6: u8 = 58;

pub(crate) const FIN: u16 = 1;
pub(crate) const SYN: u16 = 2;
pub(crate) const RST: u16 = 4;
pub(crate) const PSH: u16 = 8;
pub(crate) const ACK: u16 = 16;

fn sum(parts: &[&[u8]]) -> [u8; 2] {
    let mut all = parts.concat();
    all.resize(all.len().next_multiple_of(2), 0);
    Sum16BitWords::new().add_slice(&all).ones_complement().to_ne_bytes()
}

pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// An IPv4 packet with these flags and fragment offset (in units of 8 bytes), identification 7.
pub(crate) fn ipv4(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    flags_and_offset: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend(u16::try_from(20 + payload.len()).unwrap_or(u16::MAX).to_be_bytes());
    header.extend([0, 7]);
    header.extend(flags_and_offset.to_be_bytes());
    header.extend([64, protocol, 0, 0]);
    header.extend(octets(source));
    header.extend(octets(destination));
    seal_ipv4(&mut header);
    header.extend(payload);
    header
}

/// Corrects the checksum of an IPv4 header after a change.
pub(crate) fn seal_ipv4(packet: &mut [u8]) {
    let length = (usize::from(packet[0] & 15) * 4).clamp(20, packet.len());
    packet[10..12].fill(0);
    let checksum = sum(&[&packet[..length]]);
    packet[10..12].copy_from_slice(&checksum);
}

/// An IP packet of the addresses' family.
pub(crate) fn ip(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    if source.is_ipv4() {
        return ipv4(source, destination, protocol, 0, payload);
    }
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    // Neighbour discovery is accepted only with hop limit 255.
    packet.extend([protocol, 255]);
    packet.extend(octets(source));
    packet.extend(octets(destination));
    packet.extend(payload);
    packet
}

/// Fills in the checksum of a transport header, and puts the segment into an IP packet.
fn seal(source: IpAddr, destination: IpAddr, protocol: u8, at: usize, mut segment: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(segment.len()).unwrap().to_be_bytes();
    let pseudo = [octets(source), octets(destination), length.to_vec(), vec![0, 0, 0, protocol]].concat();
    let checksum = if protocol == ICMP { sum(&[&segment]) } else { sum(&[&pseudo, &segment]) };
    segment[at..at + 2].copy_from_slice(&checksum);
    ip(source, destination, protocol, &segment)
}

pub(crate) fn udp(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut segment = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    segment.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    segment.extend([0, 0]);
    segment.extend(payload);
    seal(source.ip(), destination.ip(), UDP, 6, segment)
}

/// An ICMP message of the addresses' family: type, code, the four bytes after the checksum, and the rest.
pub(crate) fn icmp(source: IpAddr, destination: IpAddr, kind: [u8; 2], word: [u8; 4], rest: &[u8]) -> Vec<u8> {
    let segment = [&kind[..], &[0, 0], &word, rest].concat();
    seal(source, destination, if source.is_ipv4() { ICMP } else { ICMP_V6 }, 2, segment)
}

/// An ICMPv6 message with a hop limit; the checksum is filled in.
pub(crate) fn icmp_v6(source: IpAddr, destination: IpAddr, hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let mut packet = seal(source, destination, ICMP_V6, 2, message.to_vec());
    packet[7] = hop_limit;
    packet
}

/// An IPv6 packet into which a hop-by-hop options header is inserted: two bytes of header and these six of options.
pub(crate) fn hop_by_hop(packet: &[u8], options: &[u8; 6]) -> Vec<u8> {
    let mut with = packet.to_vec();
    with.splice(40..40, [&[packet[6], 0][..], options].concat());
    with[6] = 0;
    let length = u16::try_from(with.len() - 40).unwrap();
    with[4..6].copy_from_slice(&length.to_be_bytes());
    with
}

/// A TCP segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) flags: u16,
    pub(crate) window: u16,
    /// The options, which are padded to words and truncated after ten words.
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Segment {
    pub(crate) const fn new(source: SocketAddr, destination: SocketAddr, flags: u16) -> Self {
        Self {
            source,
            destination,
            sequence: 1000,
            acknowledgement: 0,
            flags,
            window: 65535,
            options: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// The IP packet that carries the segment.
    pub(crate) fn packet(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4).min(40), 0);
        let offset = u16::try_from(5 + options.len() / 4).unwrap() << 12;
        let mut segment = [self.source.port().to_be_bytes(), self.destination.port().to_be_bytes()].concat();
        segment.extend(self.sequence.to_be_bytes());
        segment.extend(self.acknowledgement.to_be_bytes());
        segment.extend((offset | self.flags & 0x1ff).to_be_bytes());
        segment.extend(self.window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(options);
        segment.extend(&self.payload);
        seal(self.source.ip(), self.destination.ip(), TCP, 16, segment)
    }
}

pub(crate) fn ethernet(destination: [u8; 6], source: [u8; 6], packet: &[u8]) -> Vec<u8> {
    let ethertype = match packet.first().map(|byte| byte >> 4) {
        Some(6) => [0x86, 0xdd],
        _ => [8, 0],
    };
    [&destination[..], &source, &ethertype, packet].concat()
}

/// An ARP packet for IPv4 over Ethernet.
pub(crate) fn arp(
    operation: u16,
    (sender_mac, sender): ([u8; 6], [u8; 4]),
    (target_mac, target): ([u8; 6], [u8; 4]),
) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4];
    packet.extend(operation.to_be_bytes());
    packet.extend(sender_mac);
    packet.extend(sender);
    packet.extend(target_mac);
    packet.extend(target);
    packet
}
