//! Packets as octets. They are emitted and parsed independently of the engine, because headers and checksums are tested
//! too.

use std::net::{IpAddr, SocketAddr};

use super::options;
use super::script::{Flags, Icmp};

const TCP: u8 = 6;
const TCP_HEADER: usize = 20;

/// A segment on the wire, with the relevant fields of its IP header.
#[derive(Clone, Debug)]
pub(crate) struct LiveSegment {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) traffic_class: u8,
    pub(crate) hop_limit: u8,
    pub(crate) flags: Flags,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    /// The octets of the options.
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl LiveSegment {
    /// The packet that carries the segment.
    pub(crate) fn emit(&self) -> Vec<u8> {
        let length = TCP_HEADER + self.options.len();
        let mut segment = Vec::with_capacity(length + self.payload.len());
        segment.extend(self.source.port().to_be_bytes());
        segment.extend(self.destination.port().to_be_bytes());
        segment.extend(self.sequence.to_be_bytes());
        segment.extend(self.acknowledgement.to_be_bytes());
        let words = u16::try_from(length / 4).expect("a header has 15 words at most");
        segment.extend((words << 12 | self.flags.0).to_be_bytes());
        segment.extend(self.window.to_be_bytes());
        segment.extend([0, 0]);
        segment.extend(self.urgent.to_be_bytes());
        segment.extend(&self.options);
        segment.extend(&self.payload);
        let (source, destination) = (self.source.ip(), self.destination.ip());
        let checksum = !sum(&segment, pseudo_header(source, destination, TCP, segment.len()));
        segment[16..18].copy_from_slice(&checksum.to_be_bytes());
        emit_ip(source, destination, TCP, self.traffic_class, self.hop_limit, &segment)
    }

    /// Parses a packet that the engine sent. Returns a description of the error if it is invalid.
    pub(crate) fn parse(packet: &[u8]) -> Result<Self, String> {
        let ip = IpHeader::parse(packet)?;
        if ip.protocol != TCP {
            return Err(format!("protocol {} instead of TCP", ip.protocol));
        }
        let segment = ip.payload;
        if segment.len() < TCP_HEADER {
            return Err("a TCP header that is cut off".to_owned());
        }
        if sum(segment, pseudo_header(ip.source, ip.destination, TCP, segment.len())) != u16::MAX {
            return Err("a wrong TCP checksum".to_owned());
        }
        let half = |at: usize| u16::from_be_bytes([segment[at], segment[at + 1]]);
        let word = |at: usize| u32::from(half(at)) << 16 | u32::from(half(at + 2));
        let header = usize::from(half(12) >> 12) * 4;
        if header < TCP_HEADER || header > segment.len() {
            return Err(format!("a TCP header of {header} octets"));
        }
        Ok(Self {
            source: SocketAddr::new(ip.source, half(0)),
            destination: SocketAddr::new(ip.destination, half(2)),
            traffic_class: ip.traffic_class,
            hop_limit: ip.hop_limit,
            flags: Flags(half(12) & 0x1ff),
            sequence: word(4),
            acknowledgement: word(8),
            window: half(14),
            urgent: half(18),
            options: segment[TCP_HEADER..header].to_vec(),
            payload: segment[header..].to_vec(),
        })
    }

    /// The shift of its window scale option.
    pub(crate) fn window_scale(&self) -> Option<u8> {
        options::decode(&self.options).into_iter().find_map(|option| match option {
            options::TcpOption::WindowScale(shift) => Some(shift),
            _ => None,
        })
    }
}

/// Whether such an ICMP error exists (RFC 792, RFC 1191, RFC 4443).
pub(crate) fn is_icmp_error(icmp: &Icmp, is_v4: bool) -> bool {
    const UNREACHABLE_V4: [&str; 10] = [
        "net_unreachable",
        "host_unreachable",
        "protocol_unreachable",
        "port_unreachable",
        "frag_needed",
        "source_route_failed",
        "admin_prohibited",
        "packet_filtered",
        "precedence_violation",
        "precedence_cutoff",
    ];
    const UNREACHABLE_V6: [&str; 6] =
        ["noroute", "net_unreachable", "admin_prohibited", "addr_unreachable", "host_unreachable", "port_unreachable"];
    let code = icmp.code.as_deref().unwrap_or_default();
    match icmp.kind.as_str() {
        "unreachable" if is_v4 => UNREACHABLE_V4.contains(&code),
        "unreachable" => UNREACHABLE_V6.contains(&code),
        "packet_too_big" => !is_v4,
        "source_quench" => is_v4,
        "time_exceeded" | "parameter_problem" => true,
        _ => false,
    }
}

struct IpHeader<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    traffic_class: u8,
    hop_limit: u8,
    payload: &'a [u8],
}

impl<'a> IpHeader<'a> {
    fn parse(packet: &'a [u8]) -> Result<Self, String> {
        match packet.first().map(|first| first >> 4) {
            Some(4) if packet.len() >= 20 => Self::parse_v4(packet),
            Some(6) if packet.len() >= 40 => Self::parse_v6(packet),
            _ => Err("no IP packet".to_owned()),
        }
    }

    fn parse_v4(packet: &'a [u8]) -> Result<Self, String> {
        let header = usize::from(packet[0] & 0xf) * 4;
        let length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        if header != 20 || length != packet.len() {
            return Err(format!("an IPv4 header of {header} octets that says {length} of {} octets", packet.len()));
        }
        if sum(&packet[..header], 0) != u16::MAX {
            return Err("a wrong IPv4 header checksum".to_owned());
        }
        let address = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).expect("four octets"));
        Ok(Self {
            source: address(12),
            destination: address(16),
            protocol: packet[9],
            traffic_class: packet[1],
            hop_limit: packet[8],
            payload: &packet[header..],
        })
    }

    fn parse_v6(packet: &'a [u8]) -> Result<Self, String> {
        let length = 40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]));
        if length != packet.len() {
            return Err(format!("an IPv6 header that says {length} of {} octets", packet.len()));
        }
        let address = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).expect("16 octets"));
        Ok(Self {
            source: address(8),
            destination: address(24),
            protocol: packet[6],
            traffic_class: packet[0] << 4 | packet[1] >> 4,
            hop_limit: packet[7],
            payload: &packet[40..],
        })
    }
}

fn emit_ip(from: IpAddr, to: IpAddr, protocol: u8, traffic_class: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(40 + payload.len());
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let length = u16::try_from(20 + payload.len()).expect("a packet of 65535 octets at most");
            packet.extend([0x45, traffic_class]);
            packet.extend(length.to_be_bytes());
            packet.extend([0, 0, 0x40, 0, hop_limit, protocol, 0, 0]);
            packet.extend(from.octets());
            packet.extend(to.octets());
            let checksum = !sum(&packet, 0);
            packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let length = u16::try_from(payload.len()).expect("a packet of 65535 octets at most");
            packet.extend([0x60 | traffic_class >> 4, traffic_class << 4, 0, 0]);
            packet.extend(length.to_be_bytes());
            packet.extend([protocol, hop_limit]);
            packet.extend(from.octets());
            packet.extend(to.octets());
        }
        _ => unreachable!("both addresses are of the script's version"),
    }
    packet.extend(payload);
    packet
}

/// The contribution of the pseudo-header to a checksum.
fn pseudo_header(from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> u32 {
    let mut octets = Vec::new();
    for address in [from, to] {
        match address {
            IpAddr::V4(address) => octets.extend(address.octets()),
            IpAddr::V6(address) => octets.extend(address.octets()),
        }
    }
    u32::from(sum(&octets, 0)) + u32::from(protocol) + u32::try_from(length).expect("a packet's length")
}

/// The internet checksum before inversion (RFC 1071).
fn sum(octets: &[u8], start: u32) -> u16 {
    let mut total = start;
    for pair in octets.chunks(2) {
        total += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
        total = (total & 0xffff) + (total >> 16);
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    u16::try_from(total).expect("folded")
}
