//! Segmentation in software: splits a packet that carries several TCP segments or several datagrams into single
//! packets, as network cards do it for kernels (TSO, USO).

use core::net::IpAddr;
use core::ops::Range;

use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, TcpSeqNumber, UdpPacket};

use crate::buffer::Payload;
use crate::wire::{IPV6_HEADER, transport_checksum};

/// The positions of the headers of a packet.
#[derive(Clone, Copy, Debug)]
struct Layout {
    source: IpAddr,
    destination: IpAddr,
    protocol: IpProtocol,
    /// Where the transport header begins and ends.
    transport: usize,
    end: usize,
}

/// Bytes of a UDP header (RFC 768).
const UDP_HEADER: usize = 8;

impl Layout {
    /// The layout of an IP packet whose headers are complete in `head`; `None` if it is neither TCP nor UDP.
    fn of(head: &[u8]) -> Option<Self> {
        let (source, destination, protocol, transport) = match head.first()? >> 4 {
            4 => {
                let ip = Ipv4Packet::new_unchecked(head.get(..20).and(Some(head))?);
                (ip.src_addr().into(), ip.dst_addr().into(), ip.next_header(), usize::from(ip.header_len()))
            }
            6 => {
                let ip = Ipv6Packet::new_unchecked(head.get(..IPV6_HEADER).and(Some(head))?);
                (ip.src_addr().into(), ip.dst_addr().into(), ip.next_header(), IPV6_HEADER)
            }
            _ => return None,
        };
        let header = head.get(transport..)?;
        let length = match protocol {
            IpProtocol::Tcp => {
                usize::from(TcpPacket::new_unchecked(header.get(..20).and(Some(header))?).header_len()).max(20)
            }
            IpProtocol::Udp => UDP_HEADER,
            _ => return None,
        };
        let end = transport + length;
        (end <= head.len()).then_some(Self { source, destination, protocol, transport, end })
    }

    /// Computes the transport checksum and writes it into the header. `data` follows the header.
    fn fill_checksum(&self, header: &mut [u8], data: &Payload<'_>) {
        self.set_checksum(header, 0);
        let length = header.len() + data.len();
        let parts = core::iter::once(&*header).chain(data.chunks());
        let sum = transport_checksum(self.source, self.destination, self.protocol, length, parts);
        // A UDP checksum of 0 means that there is none, so 0xffff is sent instead (RFC 768).
        let is_none = sum == 0 && self.protocol == IpProtocol::Udp;
        self.set_checksum(header, if is_none { u16::MAX } else { sum });
    }

    fn set_checksum(&self, header: &mut [u8], sum: u16) {
        match self.protocol {
            IpProtocol::Udp => UdpPacket::new_unchecked(header).set_checksum(sum),
            _ => TcpPacket::new_unchecked(header).set_checksum(sum),
        }
    }
}

/// Computes the transport checksum of a TCP or UDP packet. Its headers are complete in `head`, and `data` follows them.
/// Other packets are not changed.
pub fn complete_checksum(head: &mut [u8], data: &[crate::buffer::Slice]) {
    if let Some(layout) = Layout::of(head) {
        layout.fill_checksum(&mut head[layout.transport..], &Payload::new(&[], data));
    }
}

/// How the TCP segment or datagram of an IP packet is split.
#[derive(Clone, Copy, Debug)]
pub struct Segmentation {
    layout: Layout,
    /// Bytes of data in total, and in each piece but the last.
    data: usize,
    segment: usize,
}

impl Segmentation {
    /// Plans how to split a packet of `length` bytes into pieces with `segment` bytes of data each. Its headers are
    /// complete in `head`. Returns `None` if it is neither TCP nor UDP, or has no data.
    #[must_use]
    pub fn new(head: &[u8], length: usize, segment: usize) -> Option<Self> {
        let layout = Layout::of(head)?;
        let data = length.checked_sub(layout.end)?;
        (segment > 0 && data > 0).then_some(Self { layout, data, segment })
    }

    /// Whether the packet is a TCP segment.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        self.layout.protocol == IpProtocol::Tcp
    }

    /// The number of pieces.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.data.div_ceil(self.segment)
    }

    /// The length of the headers of each piece.
    #[must_use]
    pub const fn head_length(&self) -> usize {
        self.layout.end
    }

    /// The range of the data that a piece carries.
    #[must_use]
    pub fn range(&self, index: usize) -> Range<usize> {
        let start = (index * self.segment).min(self.data);
        start..(start + self.segment).min(self.data)
    }

    /// Writes the headers of a piece with these `data` into a buffer of [their length](Self::head_length). Checksums
    /// are computed if `checksums` is set. `head` contains the headers of the packet that is split.
    ///
    /// # Panics
    /// If one of the buffers is shorter than the headers, which is a bug in the caller.
    pub fn write_head(&self, head: &[u8], index: usize, data: &Payload<'_>, checksums: bool, into: &mut [u8]) {
        let layout = &self.layout;
        let into = &mut into[..layout.end];
        into.copy_from_slice(&head[..layout.end]);
        let length = layout.end + data.len();
        if layout.source.is_ipv4() {
            let mut ip = Ipv4Packet::new_unchecked(&mut *into);
            // A piece is no longer than the whole packet, whose length has 16 bits.
            ip.set_total_len(u16::try_from(length).unwrap_or(u16::MAX));
            ip.set_ident(ip.ident().wrapping_add(u16::try_from(index).unwrap_or(0)));
            if checksums {
                ip.fill_checksum();
            }
        } else {
            let mut ip = Ipv6Packet::new_unchecked(&mut *into);
            ip.set_payload_len(u16::try_from(length - IPV6_HEADER).unwrap_or(u16::MAX));
        }
        let header = &mut into[layout.transport..];
        match layout.protocol {
            IpProtocol::Udp => {
                let length = u16::try_from(UDP_HEADER + data.len()).unwrap_or(u16::MAX);
                UdpPacket::new_unchecked(&mut *header).set_len(length);
            }
            _ => self.set_tcp(header, index),
        }
        if checksums {
            layout.fill_checksum(header, data);
        }
    }

    /// Sets the TCP header fields that differ between the pieces.
    fn set_tcp(&self, header: &mut [u8], index: usize) {
        let (is_first, is_last) = (index == 0, index + 1 == self.count());
        let mut tcp = TcpPacket::new_unchecked(header);
        let offset = i32::try_from(self.range(index).start).unwrap_or(0);
        tcp.set_seq_number(TcpSeqNumber(tcp.seq_number().0.wrapping_add(offset)));
        tcp.set_fin(tcp.fin() && is_last);
        tcp.set_psh(tcp.psh() && is_last);
        // Only the first piece carries CWR (RFC 3168 section 6.1.2).
        tcp.set_cwr(tcp.cwr() && is_first);
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::buffer::Slice;
    use crate::ip::output::Packet;
    use crate::tcp::segment::{Control, Header, Segment, SegmentOptions, Timestamp};
    use crate::tcp::sequence::Sequence;
    use crate::wire::{Ecn, Ip};

    fn whole(source: IpAddr, data: &[u8]) -> Vec<u8> {
        let control = Control { fin: true, psh: true, cwr: true, ..Control::ACK };
        let options = SegmentOptions { timestamp: Some(Timestamp { value: 1, echo: 2 }), ..SegmentOptions::default() };
        let header = Header {
            source_port: 1,
            destination_port: 2,
            sequence: Sequence(u32::MAX - 100),
            acknowledgement: Sequence(7),
            control,
            window: 9,
            options,
        };
        let emitted = header.emit();
        let packet = Packet {
            source,
            destination: source,
            hop_limit: 64,
            traffic_class: 0,
            ecn: Ecn::NotCapable,
            head: emitted.bytes(),
            payload: &[Slice::from(data)],
            segment: 0,
        };
        let mut bytes = vec![0; packet.length()];
        packet.emit(&mut bytes, false);
        bytes
    }

    #[test]
    fn segments_follow_one_another_and_only_the_last_ends_the_stream() {
        let data: Vec<u8> = (0..=u8::MAX).cycle().take(1001).collect();
        for source in [IpAddr::from([10, 0, 0, 1]), IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1])] {
            let packet = whole(source, &data);
            let head = packet.len() - data.len();
            let cut = Segmentation::new(&packet[..head], packet.len(), 300).expect("it has data");
            assert_eq!((cut.count(), cut.head_length(), cut.range(3)), (4, head, 900..1001));
            let mut next = Sequence(u32::MAX - 100);
            for index in 0..cut.count() {
                let range = cut.range(index);
                let part = Payload::from(&data[range.clone()]);
                let mut bytes = vec![0; head];
                cut.write_head(&packet[..head], index, &part, true, &mut bytes);
                bytes.extend(&data[range.clone()]);
                let ip = Ip::parse(&bytes, 0, true).expect("well-formed");
                let segment = Segment::parse(ip.source, ip.destination, ip.payload, &[], true).expect("well-formed");
                assert_eq!((segment.sequence, segment.payload.len()), (next, range.len()));
                let Control { fin, psh, cwr, ack, .. } = segment.control;
                assert_eq!((fin, psh, cwr, ack), (index == 3, index == 3, index == 0, true));
                assert_eq!(segment.options.timestamp, Some(Timestamp { value: 1, echo: 2 }));
                next = segment.end();
            }
        }
    }

    #[test]
    fn packets_other_than_tcp_or_udp_with_data_are_not_split() {
        let packet = whole([10, 0, 0, 1].into(), b"data");
        for length in 0..packet.len() - 4 {
            assert!(Segmentation::new(&packet[..length], packet.len(), 2).is_none(), "{length}");
        }
        let head = &packet[..packet.len() - 4];
        assert!(Segmentation::new(head, head.len(), 2).is_none(), "there is no data");
        assert!(Segmentation::new(head, packet.len(), 0).is_none());
        assert_eq!(Segmentation::new(&packet, packet.len(), 3).map(|cut| cut.count()), Some(2));
        let mut other = packet.clone();
        other[9] = 1;
        assert!(Segmentation::new(&other, packet.len(), 2).is_none(), "ICMP");
        other[9] = 6;
        other[20 + 12] = 0;
        assert_eq!(
            Segmentation::new(&other, packet.len(), 99).map(|cut| cut.head_length()),
            Some(40),
            "a header of 0 words"
        );
    }

    #[test]
    fn datagrams_are_split_and_checksums_completed() {
        let address = [10, 0, 0, 1];
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
        packet.extend([address, address].concat());
        packet.extend([0, 53, 0, 53, 0, 0, 9, 9]);
        packet.extend(b"abcdefg");
        let cut = Segmentation::new(&packet, packet.len(), 3).expect("it has data");
        let pieces = [b"abc".as_slice(), b"def", b"g"];
        assert_eq!(cut.count(), pieces.len());
        for (index, data) in pieces.into_iter().enumerate() {
            let mut bytes = vec![0; cut.head_length()];
            cut.write_head(&packet, index, &data.into(), true, &mut bytes);
            let mut again = bytes.clone();
            again[26..28].fill(1);
            complete_checksum(&mut again, &[Slice::from(data)]);
            assert_eq!(again, bytes);
            bytes.extend(data);
            let ip = Ip::parse(&bytes, 0, true).expect("well-formed");
            let udp = UdpPacket::new_checked(ip.payload).expect("well-formed");
            assert_eq!((ip.payload.len(), udp.payload()), (8 + data.len(), data));
            assert!(udp.verify_checksum(&ip.source.into(), &ip.destination.into()));
        }
    }
}
