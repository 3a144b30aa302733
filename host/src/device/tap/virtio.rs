//! The virtio-net header before each frame, which says what the sender leaves to the receiver: checksums and
//! segmentation (`struct virtio_net_hdr` of `linux/virtio_net.h`, virtio 1.2 section 5.1.6).

use tun_rs::{VIRTIO_NET_HDR_LEN, VirtioNetHdr};

use crate::device::{ETHERNET_HEADER, Frame};

/// Flag in `flags`: the checksum must be completed.
const NEEDS_CHECKSUM: u8 = 1;
/// Values of `gso_type`: the kind of segments in the frame.
const NO_SEGMENTS: u8 = 0;
const TCP_V4: u8 = 1;
const TCP_V6: u8 = 4;
/// UDP datagrams of either family, which Linux splits since version 6.2.
const UDP: u8 = 5;
/// Flag in `gso_type`, in addition to one of those values: the first segment has the CWR flag (RFC 3168 section 6.1.2).
const ECN: u8 = 0x80;

/// The offset of the checksum in a TCP header (RFC 9293 section 3.1) and in a UDP header (RFC 768).
const TCP_CHECKSUM: u16 = 16;
const UDP_CHECKSUM: u16 = 6;
/// The length of a UDP header in bytes.
const UDP_HEADER: usize = 8;
/// The protocol number of UDP.
const UDP_PROTOCOL: u8 = 17;
/// The length of an IPv6 header in bytes (RFC 8200 section 3).
const IPV6_HEADER: usize = 40;

/// What the receiver must do with a frame from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Todo {
    /// The number of bytes of data in each of its segments or datagrams; 0 if it is only one.
    pub(super) segment: usize,
    /// Whether the checksum is not computed.
    pub(super) checksum: bool,
    /// Whether it is TCP or UDP: a stack with offloads accepts it as it is.
    pub(super) is_common: bool,
}

impl Todo {
    pub(super) const fn of(header: &VirtioNetHdr) -> Self {
        let kind = header.gso_type & !ECN;
        let checksum = header.flags & NEEDS_CHECKSUM != 0;
        let segment = if kind == NO_SEGMENTS { 0 } else { header.gso_size as usize };
        let is_common = match kind {
            NO_SEGMENTS => checksum && matches!(header.csum_offset, TCP_CHECKSUM | UDP_CHECKSUM),
            kind => matches!(kind, TCP_V4 | TCP_V6 | UDP),
        };
        Self { segment, checksum, is_common }
    }

    pub(super) const fn is_nothing(&self) -> bool {
        self.segment == 0 && !self.checksum
    }
}

/// The header of a frame to be sent: what the kernel must do with it.
pub(super) fn header_of(frame: &Frame) -> [u8; VIRTIO_NET_HDR_LEN] {
    let mut bytes = [0; VIRTIO_NET_HDR_LEN];
    let head = frame.head();
    let octet = |at: usize| head.get(ETHERNET_HEADER + at).copied().unwrap_or_default();
    let is_ipv4 = octet(0) >> 4 == 4;
    // The stack sends TCP and UDP over IPv6 without extension headers.
    let ip = if is_ipv4 { usize::from(octet(0) & 0x0f) * 4 } else { IPV6_HEADER };
    let is_udp = octet(if is_ipv4 { 9 } else { 6 }) == UDP_PROTOCOL;
    let transport = ETHERNET_HEADER + ip;
    let mut header = VirtioNetHdr::default();
    // Offsets in a head are small.
    let small = |offset: usize| u16::try_from(offset).unwrap_or_default();
    if frame.is_unchecked() {
        header.flags = NEEDS_CHECKSUM;
        let offset = if is_udp { UDP_CHECKSUM } else { TCP_CHECKSUM };
        (header.csum_start, header.csum_offset) = (small(transport), offset);
    }
    if let Some(segment) = frame.segment() {
        let (kind, length) = match (is_udp, is_ipv4) {
            (true, _) => (UDP, UDP_HEADER),
            (false, true) => (TCP_V4, usize::from(octet(ip + 12) >> 4) * 4),
            (false, false) => (TCP_V6, usize::from(octet(ip + 12) >> 4) * 4),
        };
        (header.gso_type, header.gso_size) = (kind, small(segment));
        header.hdr_len = small(transport + length);
    }
    let encoded = header.encode(&mut bytes);
    debug_assert!(encoded.is_ok(), "there is room for a header");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Pool;

    #[test]
    fn headers_from_the_kernel_are_decoded() {
        let header = |flags, gso_type, gso_size, csum_offset| {
            Todo::of(&VirtioNetHdr { flags, gso_type, gso_size, csum_offset, ..VirtioNetHdr::default() })
        };
        assert!(header(0, 0, 0, 0).is_nothing() && header(2, 0, 0, 0).is_nothing(), "a checksum that was verified");
        assert_eq!(header(1, 0, 0, 16), Todo { segment: 0, checksum: true, is_common: true });
        assert_eq!(header(1, 0, 0, 6), Todo { segment: 0, checksum: true, is_common: true }, "UDP");
        assert_eq!(header(1, 0, 0, 2), Todo { segment: 0, checksum: true, is_common: false }, "something else");
        for kind in [1, 4, 0x81, 0x84] {
            assert_eq!(header(1, kind, 1448, 16), Todo { segment: 1448, checksum: true, is_common: true });
        }
        assert_eq!(header(1, 5, 1000, 6), Todo { segment: 1000, checksum: true, is_common: true }, "datagrams");
        assert_eq!(header(1, 3, 1000, 6), Todo { segment: 1000, checksum: true, is_common: false }, "fragments");
    }

    #[test]
    fn headers_to_the_kernel_are_encoded() {
        let pool = Pool::new(200, 1);
        let mut frame = pool.frame(ETHERNET_HEADER + 24 + 32);
        frame[ETHERNET_HEADER] = 0x46;
        frame[ETHERNET_HEADER + 24 + 12] = 0x80;
        assert_eq!(header_of(&frame), [0; VIRTIO_NET_HDR_LEN]);
        frame.set_unchecked(true);
        frame.set_segment(1448);
        let header = VirtioNetHdr::decode(&header_of(&frame)).unwrap();
        assert_eq!((header.flags, header.csum_start, header.csum_offset), (1, 14 + 24, 16));
        assert_eq!((header.gso_type, header.gso_size, header.hdr_len), (1, 1448, 14 + 24 + 32));
        frame[ETHERNET_HEADER] = 0x60;
        frame[ETHERNET_HEADER + 40 + 12] = 0x50;
        let header = VirtioNetHdr::decode(&header_of(&frame)).unwrap();
        assert_eq!((header.gso_type, header.csum_start, header.hdr_len), (4, 14 + 40, 14 + 40 + 20));
        frame[ETHERNET_HEADER + 6] = 17;
        let header = VirtioNetHdr::decode(&header_of(&frame)).unwrap();
        assert_eq!((header.csum_start, header.csum_offset), (14 + 40, 6), "UDP over IPv6");
        assert_eq!((header.gso_type, header.gso_size, header.hdr_len), (5, 1448, 14 + 40 + 8));
        frame[ETHERNET_HEADER] = 0x45;
        frame[ETHERNET_HEADER + 9] = 17;
        let header = VirtioNetHdr::decode(&header_of(&frame)).unwrap();
        assert_eq!((header.csum_start, header.csum_offset, header.gso_type), (14 + 20, 6, 5), "and over IPv4");
        for length in 0..ETHERNET_HEADER + 20 {
            let mut short = pool.frame(length);
            short.set_segment(1);
            header_of(&short);
        }
    }
}
