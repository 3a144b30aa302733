//! Software segmentation and checksums, for receivers without offloads.
//!
//! This does in software what network cards do for kernels. It is done as late as possible: when a frame is handed to a
//! device or stack that did not [announce](super::Device::set_offloads) that it accepts frames with several segments or
//! without checksums.

use xila_network_engine::buffer::{Payload, Slices};
use xila_network_engine::ip::segmentation::{Segmentation, complete_checksum};

use super::{ETHERNET_HEADER, Frame, Medium, Pool};

/// Splits a frame into frames with one segment each and complete checksums. The frames of `pool` must have room for the
/// link's MTU.
pub(super) fn plain(frame: Frame, medium: Medium, pool: &Pool) -> impl Iterator<Item = Frame> {
    let (whole, pieces) = match cut(&frame, medium, pool) {
        Some(pieces) => (None, pieces),
        None => (Some(complete(frame, medium)), Vec::new()),
    };
    whole.into_iter().chain(pieces)
}

/// The offset of the IP packet in a frame.
const fn ip_at(medium: Medium) -> usize {
    match medium {
        Medium::Ethernet => ETHERNET_HEADER,
        Medium::Ip => 0,
    }
}

/// Computes the checksum of a frame, if it is not complete.
pub(super) fn complete(mut frame: Frame, medium: Medium) -> Frame {
    if frame.is_unchecked() {
        let (head, apart) = frame.split_mut();
        if let Some(packet) = head.get_mut(ip_at(medium)..) {
            complete_checksum(packet, apart);
        }
        frame.set_unchecked(false);
    }
    frame
}

/// Splits a frame with the data of several segments; `None` if it has only one.
fn cut(frame: &Frame, medium: Medium, pool: &Pool) -> Option<Vec<Frame>> {
    let (ip, segment) = (ip_at(medium), frame.segment()?);
    let packet = frame.head().get(ip..)?;
    let cut = Segmentation::new(packet, frame.len() - ip, segment)?;
    let start = ip + cut.head_length();
    let pieces = (0..cut.count()).map(|index| {
        let range = cut.range(index);
        let data = frame.slices(start + range.start..start + range.end);
        let mut piece = pool.frame(start);
        piece[..ip].copy_from_slice(&frame.head()[..ip]);
        cut.write_head(packet, index, &Payload::new(&[], &data), true, &mut piece[ip..]);
        piece.attach(&data);
        piece
    });
    Some(pieces.collect())
}

impl Frame {
    /// The bytes of a range: those of the head are copied, those of slices are referenced.
    fn slices(&self, range: core::ops::Range<usize>) -> Slices {
        let head = self.head().len();
        let mut slices = Slices::new();
        if let Some(bytes) = self.head().get(range.start..range.end.min(head)).filter(|bytes| !bytes.is_empty()) {
            slices.push(bytes.into());
        }
        let mut at = head;
        for slice in self.apart() {
            let (start, end) = (range.start.max(at), range.end.min(at + slice.len()));
            if start < end {
                slices.push(slice.slice(start - at..end - at));
            }
            at += slice.len();
        }
        slices
    }
}

#[cfg(test)]
mod tests {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{
        EthernetFrame, IpAddress, IpProtocol, IpRepr, Ipv4Address, Ipv4Packet, TcpControl, TcpPacket, TcpRepr,
        TcpSeqNumber,
    };
    use xila_network_engine::buffer::Slice;

    use super::*;

    const ADDRESS: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);

    /// A frame with `data` as a segment, of which `apart` bytes are in a slice, without a checksum.
    fn frame(data: &[u8], apart: usize) -> Frame {
        let address = IpAddress::Ipv4(ADDRESS);
        let tcp = TcpRepr {
            src_port: 1,
            dst_port: 2,
            control: TcpControl::Psh,
            seq_number: TcpSeqNumber(7),
            ack_number: Some(TcpSeqNumber(9)),
            window_len: 10,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &data[..data.len() - apart],
        };
        let none = ChecksumCapabilities::ignored();
        let ip = IpRepr::new(address, address, IpProtocol::Tcp, tcp.buffer_len() + apart, 64);
        let mut frame = Pool::new(2048, 2).frame(ETHERNET_HEADER + 20 + tcp.buffer_len());
        frame[..ETHERNET_HEADER].copy_from_slice(b"123456abcdef\x08\x00");
        ip.emit(&mut frame[ETHERNET_HEADER..], &none);
        tcp.emit(&mut TcpPacket::new_unchecked(&mut frame[ETHERNET_HEADER + 20..]), &address, &address, &none);
        frame.attach(&[Slice::from(&data[data.len() - apart..])]);
        frame.set_unchecked(true);
        frame
    }

    fn check(frame: &Frame) -> (i32, Vec<u8>) {
        let address = IpAddress::Ipv4(ADDRESS);
        let ethernet = EthernetFrame::new_checked(&frame[..]).unwrap();
        let ip = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
        let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
        assert!(tcp.verify_checksum(&address, &address) && !frame.is_unchecked() && frame.segment().is_none());
        (tcp.seq_number().0, tcp.payload().to_vec())
    }

    #[test]
    fn a_frame_of_several_segments_is_split_without_copying_its_slices() {
        let data: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for apart in [1000, 900, 350] {
            let mut whole = frame(&data, apart);
            whole.set_segment(300);
            let pieces: Vec<Frame> = plain(whole, Medium::Ethernet, &Pool::new(2048, 2)).collect();
            let read: Vec<(i32, Vec<u8>)> = pieces.iter().map(check).collect();
            let expected: Vec<(i32, Vec<u8>)> =
                (7..).step_by(300).zip(data.chunks(300)).map(|(at, part)| (at, part.to_vec())).collect();
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn a_missing_checksum_is_completed() {
        let whole = plain(frame(b"hello", 2), Medium::Ethernet, &Pool::new(2048, 2)).next().expect("one frame");
        assert_eq!(check(&whole), (7, b"hello".to_vec()));
    }
}
