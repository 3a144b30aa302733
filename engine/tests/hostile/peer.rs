//! Crafted packets, and a parser for the packets that come back.

use core::net::{IpAddr, SocketAddr};

use xila_network_engine::tcp::segment::Segment;
use xila_network_engine::wire::Ip;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

/// A TCP segment whose fields are all set by the test.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn sum(bytes: &[u8]) -> u32 {
    let pair = |pair: &[u8]| (u32::from(pair[0]) << 8) | pair.get(1).map_or(0, |low| u32::from(*low));
    bytes.chunks(2).map(pair).sum()
}

pub(crate) fn checksum(mut sum: u32) -> [u8; 2] {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// An IP packet with a transport header and data.
pub(crate) fn ip(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = (octets(source), octets(destination));
    if source.len() == 4 {
        let length = (20 + payload.len()) as u16;
        let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        header[2..4].copy_from_slice(&length.to_be_bytes());
        header.extend(source);
        header.extend(destination);
        let check = checksum(sum(&header));
        header[10..12].copy_from_slice(&check);
        header.extend(payload);
        header
    } else {
        let mut header = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
        header[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
        header.extend(source);
        header.extend(destination);
        header.extend(payload);
        header
    }
}

impl Raw {
    pub(crate) fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            source,
            destination,
            sequence: 0,
            acknowledgement: 0,
            flags: 0,
            window: 65_535,
            options: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// The packet with correct checksums. The options are padded to a multiple of four bytes.
    pub(crate) fn packet(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.truncate(40);
        options.resize(options.len().next_multiple_of(4), 0);
        let mut segment = Vec::new();
        segment.extend(self.source.port().to_be_bytes());
        segment.extend(self.destination.port().to_be_bytes());
        segment.extend(self.sequence.to_be_bytes());
        segment.extend(self.acknowledgement.to_be_bytes());
        segment.extend([(((20 + options.len()) / 4) << 4) as u8, self.flags]);
        segment.extend(self.window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(&options);
        segment.extend(&self.payload);
        let pseudo = sum(&octets(self.source.ip())) + sum(&octets(self.destination.ip())) + 6 + segment.len() as u32;
        let check = checksum(pseudo + sum(&segment));
        segment[16..18].copy_from_slice(&check);
        ip(self.source.ip(), self.destination.ip(), 6, &segment)
    }
}

/// The fields of a received packet.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) scale: Option<u8>,
    pub(crate) timestamp: Option<(u32, u32)>,
    pub(crate) payload: Vec<u8>,
}

impl Seen {
    /// Parses a packet, which must be correct, including its checksums.
    pub(crate) fn new(packet: &[u8]) -> Self {
        let ip = Ip::parse(packet, 0, true).expect("an IP packet");
        let segment = Segment::parse(ip.source, ip.destination, ip.payload, &[], true).expect("a segment");
        let control = segment.control;
        let bits = [control.fin, control.syn, control.rst, control.psh, control.ack];
        Self {
            source: SocketAddr::new(ip.source, segment.source_port),
            destination: SocketAddr::new(ip.destination, segment.destination_port),
            sequence: segment.sequence.0,
            acknowledgement: segment.acknowledgement.0,
            flags: (0..).zip(bits).map(|(bit, set)| u8::from(set) << bit).sum(),
            window: segment.window,
            scale: segment.options.scale,
            timestamp: segment.options.timestamp.map(|timestamp| (timestamp.value, timestamp.echo)),
            payload: segment.payload.chunks().flatten().copied().collect(),
        }
    }

    /// The sequence number after the segment.
    pub(crate) fn end(&self) -> u32 {
        let flags = u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0);
        self.sequence.wrapping_add(self.payload.len() as u32 + flags)
    }
}
