//! The output of IP packets: their headers, and the trait of the layer that takes them.
//!
//! TCP sends through an [`Outlet`], which [`interface`](crate::interface) implements.

use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::wire::{IpProtocol, TcpPacket, checksum};

use crate::buffer::{Payload, Slice};
use crate::wire::{Ecn, IPV4_HEADER, IPV6_HEADER, tcp_checksum, tcp_pseudo_checksum};

/// Why a packet could not be sent. The sender keeps its data and changes no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// The device has no space. It signals when it has space again.
    Full,
    /// The next hop's hardware address is not known yet.
    Unresolved,
    /// There is no route, or the source address no longer belongs to this host.
    Unreachable,
}

/// Takes packets that leave: the boundary between TCP and the link.
pub trait Outlet {
    /// Takes a whole packet, or returns an error.
    ///
    /// # Errors
    /// See [`Blocked`].
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Blocked>;

    /// The path MTU to `destination` as far as this host knows it: the largest IP packet in bytes that is not
    /// fragmented.
    fn mtu(&self, destination: IpAddr) -> usize;

    /// The largest IP packet in bytes that may be handed over here to be cut into segments later; 0 if none may.
    fn longest(&self) -> usize {
        0
    }
}

/// The IP header of a packet that is sent, without options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The source address.
    pub source: IpAddr,
    /// The destination address, of the same family.
    pub destination: IpAddr,
    /// The protocol of the payload.
    pub protocol: IpProtocol,
    /// The hop limit, or time to live.
    pub hop_limit: u8,
    /// The traffic class, or type of service: the whole octet.
    pub traffic_class: u8,
}

impl Header {
    /// Its length in bytes.
    #[must_use]
    pub const fn length(&self) -> usize {
        if self.source.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER }
    }

    /// The value of the length field for a payload of `payload` bytes; `None` if no packet can carry so many.
    #[must_use]
    pub fn payload_length(&self, payload: usize) -> Option<u16> {
        let counted = if self.source.is_ipv4() { IPV4_HEADER + payload } else { payload };
        u16::try_from(counted).ok()
    }

    /// A packet with one payload. The checksum of an IPv4 header is computed if `checksum` is set.
    pub(crate) fn packet(&self, payload: &[u8], checksum: bool) -> Vec<u8> {
        let mut bytes = alloc::vec![0; self.length() + payload.len()];
        self.write(&mut bytes, payload.len(), checksum);
        bytes[self.length()..].copy_from_slice(payload);
        bytes
    }

    /// Writes the header of a packet with a payload of `payload` bytes. The checksum of an IPv4 header is computed if
    /// `checksum` is set. "Don't fragment" is always set, because this host discovers path MTUs (RFC 1191 section 3).
    ///
    /// # Panics
    /// If `into` is too short, which is a bug in the caller.
    pub fn write(&self, into: &mut [u8], payload: usize, checksum: bool) {
        const DONT_FRAGMENT: u8 = 0x40;
        let [high, low] = self.payload_length(payload).unwrap_or(u16::MAX).to_be_bytes();
        let protocol = u8::from(self.protocol);
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = &mut into[..IPV4_HEADER];
                header[..12].copy_from_slice(&[
                    0x45,
                    self.traffic_class,
                    high,
                    low,
                    0,
                    0,
                    DONT_FRAGMENT,
                    0,
                    self.hop_limit,
                    protocol,
                    0,
                    0,
                ]);
                header[12..16].copy_from_slice(&source.octets());
                header[16..].copy_from_slice(&destination.octets());
                if checksum {
                    let sum = !checksum::data(header);
                    header[10..12].copy_from_slice(&sum.to_be_bytes());
                }
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = &mut into[..IPV6_HEADER];
                let class = self.traffic_class;
                header[..8].copy_from_slice(&[
                    0x60 | class >> 4,
                    class << 4,
                    0,
                    0,
                    high,
                    low,
                    protocol,
                    self.hop_limit,
                ]);
                header[8..24].copy_from_slice(&source.octets());
                header[24..].copy_from_slice(&destination.octets());
            }
            // The two ends of a packet are of the same family.
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
    }
}

/// Which checksums of a packet are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// None: the receiver does not verify them.
    None,
    /// The checksum of the IP header, and of the TCP checksum only the pseudo-header: the device completes it.
    Partial,
    /// All.
    All,
}

/// An IP packet with a TCP segment that is about to be sent: the TCP header, and slices of the payload.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// The hop limit, or time to live.
    pub hop_limit: u8,
    /// The differentiated services field (RFC 2474): the upper six bits of the octet. Its lower two bits are ignored;
    /// `ecn` is used instead.
    pub traffic_class: u8,
    /// The ECN codepoint.
    pub ecn: Ecn,
    /// The TCP header with its options; the checksum is not computed yet.
    pub head: &'a [u8],
    /// The data of the segment.
    pub payload: &'a [Slice],
    /// If the packet is longer than its path allows: how many bytes of data each segment has that it must be cut into.
    /// Otherwise 0.
    pub segment: usize,
}

impl Packet<'_> {
    /// The length of the IP packet in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        let header = if self.source.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER };
        header + self.segment_length()
    }

    /// The length of its IP and TCP headers in bytes.
    #[must_use]
    pub fn head_length(&self) -> usize {
        let header = if self.source.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER };
        header + self.head.len()
    }

    fn segment_length(&self) -> usize {
        self.head.len() + self.payload.iter().map(|slice| slice.len()).sum::<usize>()
    }

    /// Writes the IP packet into a buffer of its [length](Self::length). Checksums are computed if `checksums` is set.
    ///
    /// # Panics
    /// If `into` is too short, which is a bug in the outlet.
    pub fn emit(&self, into: &mut [u8], checksums: bool) {
        self.emit_head(into, if checksums { Checksums::All } else { Checksums::None });
        self.copy_payload(&mut into[self.head_length()..]);
    }

    /// Copies the payload.
    ///
    /// # Panics
    /// If `into` is too short, which is a bug in the outlet.
    pub fn copy_payload(&self, into: &mut [u8]) {
        let mut at = 0;
        for slice in self.payload {
            into[at..at + slice.len()].copy_from_slice(slice);
            at += slice.len();
        }
    }

    /// Writes the headers into a buffer of [their length](Self::head_length), with the checksums that `checksums`
    /// selects. The TCP checksum covers the payload too.
    ///
    /// # Panics
    /// If `into` is too short, which is a bug in the outlet.
    pub fn emit_head(&self, into: &mut [u8], checksums: Checksums) {
        let header = Header {
            source: self.source,
            destination: self.destination,
            protocol: IpProtocol::Tcp,
            hop_limit: self.hop_limit,
            traffic_class: self.traffic_class & !3 | self.ecn.bits(),
        };
        if self.source.is_ipv4() != self.destination.is_ipv4() {
            // The two ends of a connection are always of the same family.
            return;
        }
        let payload_len = self.segment_length();
        header.write(into, payload_len, checksums != Checksums::None);
        let segment = &mut into[header.length()..];
        let head = &mut segment[..self.head.len()];
        head.copy_from_slice(self.head);
        let sum = match checksums {
            Checksums::None => return,
            Checksums::All => {
                let whole = Payload::new(self.head, self.payload);
                tcp_checksum(self.source, self.destination, whole.len(), whole.chunks())
            }
            Checksums::Partial => !tcp_pseudo_checksum(self.source, self.destination, payload_len),
        };
        TcpPacket::new_unchecked(head).set_checksum(sum);
    }
}
