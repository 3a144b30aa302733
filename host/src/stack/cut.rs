//! Cutting a packet up that is longer than its path takes: a TCP segment into shorter ones, any other IPv4 packet into
//! fragments.
//!
//! smoltcp makes segments and fragments for the interface's MTU and knows no other. So what it has built is cut where it
//! leaves, as network cards do for the kernels that leave it to them.

use core::net::IpAddr;

use smoltcp::phy::{DeviceCapabilities, Medium};
use smoltcp::wire::{EthernetFrame, IpAddress, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, TcpSeqNumber};

/// Bytes of an IPv6 header without extensions (RFC 8200 section 3). The stack's own segments have none.
const IPV6_HEADER: usize = 40;

/// How a frame is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    kind: Kind,
    /// Where the IP packet begins.
    ip: usize,
    /// Where what is divided begins. All before it is repeated.
    body: usize,
    end: usize,
    /// Bytes of it in every piece but the last.
    step: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A TCP segment, whose header begins at this place.
    Segment { tcp: usize },
    /// An IPv4 packet that goes in fragments of this identification.
    Fragment { identification: u16 },
}

/// Where a frame's packet goes.
pub(super) fn destination(medium: Medium, frame: &[u8]) -> Option<IpAddr> {
    let packet = frame.get(ip_at(medium, frame)?..)?;
    match packet.first()? >> 4 {
        4 => <[u8; 4]>::try_from(packet.get(16..20)?).ok().map(IpAddr::from),
        6 => <[u8; 16]>::try_from(packet.get(24..40)?).ok().map(IpAddr::from),
        _ => None,
    }
}

fn ip_at(medium: Medium, frame: &[u8]) -> Option<usize> {
    match medium {
        Medium::Ethernet if matches!(frame.get(12..14)?, [0x08, 0x00] | [0x86, 0xdd]) => {
            Some(EthernetFrame::<&[u8]>::header_len())
        }
        Medium::Ethernet => None,
        _ => Some(0),
    }
}

impl Cut {
    /// How to cut a frame that this stack has built into IP packets of at most `mtu` bytes; `None` where it is short
    /// enough, or cannot be cut. Fragments of a packet that was whole get `identification`.
    pub(super) fn plan(medium: Medium, frame: &[u8], mtu: usize, identification: u16) -> Option<Self> {
        let ip = ip_at(medium, frame)?;
        let packet = frame.get(ip..)?;
        let (protocol, header, length) = match packet.first()? >> 4 {
            4 => {
                let packet = Ipv4Packet::new_checked(packet).ok()?;
                let (header, length) = (usize::from(packet.header_len()), usize::from(packet.total_len()));
                if packet.more_frags() || packet.frag_offset() != 0 {
                    // A fragment that is cut further keeps its identification.
                    return Self::new(Kind::Fragment { identification: packet.ident() }, ip, header, length, mtu);
                }
                (packet.next_header(), header, length)
            }
            6 => {
                let packet = Ipv6Packet::new_checked(packet).ok()?;
                (packet.next_header(), packet.header_len(), packet.total_len())
            }
            _ => return None,
        };
        if protocol == IpProtocol::Tcp {
            let tcp = TcpPacket::new_checked(packet.get(header..length)?).ok()?;
            return Self::new(
                Kind::Segment { tcp: ip + header },
                ip,
                header + usize::from(tcp.header_len()),
                length,
                mtu,
            );
        }
        let fragmentable = packet.first()? >> 4 == 4;
        if fragmentable { Self::new(Kind::Fragment { identification }, ip, header, length, mtu) } else { None }
    }

    fn new(kind: Kind, ip: usize, header: usize, length: usize, mtu: usize) -> Option<Self> {
        if length <= mtu {
            return None;
        }
        let room = mtu.checked_sub(header)?;
        let step = match kind {
            Kind::Segment { .. } => room,
            // Offsets count in units of eight bytes (RFC 791 section 3.1).
            Kind::Fragment { .. } => room & !7,
        };
        (step > 0 && header < length).then_some(Self { kind, ip, body: ip + header, end: ip + length, step })
    }

    pub(super) const fn pieces(&self) -> usize {
        (self.end - self.body).div_ceil(self.step)
    }

    /// The bytes of a piece, the link header included.
    pub(super) fn length(&self, piece: usize) -> usize {
        self.body + self.step.min(self.end - self.body - piece * self.step)
    }

    /// Writes a piece of `frame` into a buffer of its length.
    pub(super) fn write(&self, frame: &[u8], piece: usize, capabilities: &DeviceCapabilities, into: &mut [u8]) {
        let from = self.body + piece * self.step;
        let (header, body) = into.split_at_mut(self.body);
        header.copy_from_slice(&frame[..self.body]);
        body.copy_from_slice(&frame[from..from + body.len()]);
        self.finish(piece, capabilities, into);
    }

    /// Makes the first piece of a frame that was shortened to its length.
    pub(super) fn finish_first(&self, capabilities: &DeviceCapabilities, frame: &mut [u8]) {
        self.finish(0, capabilities, frame);
    }

    /// Puts right what differs between the pieces' headers.
    fn finish(&self, piece: usize, capabilities: &DeviceCapabilities, into: &mut [u8]) {
        let (offset, last) = (piece * self.step, piece + 1 == self.pieces());
        let (source, destination): (IpAddress, IpAddress) = if into[self.ip] >> 4 == 4 {
            let length = into.len() - self.ip;
            let mut packet = Ipv4Packet::new_unchecked(&mut into[self.ip..]);
            // No more than the whole, which had a length of 16 bits.
            packet.set_total_len(u16::try_from(length).unwrap_or(u16::MAX));
            if let Kind::Fragment { identification } = self.kind {
                let more = packet.more_frags();
                let before = packet.frag_offset();
                packet.set_ident(identification);
                packet.set_dont_frag(false);
                packet.set_more_frags(more || !last);
                packet.set_frag_offset(before + u16::try_from(offset).unwrap_or(u16::MAX));
            }
            if capabilities.checksum.ipv4.tx() {
                packet.fill_checksum();
            }
            (packet.src_addr().into(), packet.dst_addr().into())
        } else {
            let length = into.len() - self.ip - IPV6_HEADER;
            let mut packet = Ipv6Packet::new_unchecked(&mut into[self.ip..]);
            packet.set_payload_len(u16::try_from(length).unwrap_or(u16::MAX));
            (packet.src_addr().into(), packet.dst_addr().into())
        };
        if let Kind::Segment { tcp } = self.kind {
            let mut segment = TcpPacket::new_unchecked(&mut into[tcp..]);
            let sequence = segment.seq_number().0.wrapping_add(i32::try_from(offset).unwrap_or(0));
            segment.set_seq_number(TcpSeqNumber(sequence));
            segment.set_fin(segment.fin() && last);
            segment.set_psh(segment.psh() && last);
            if capabilities.checksum.tcp.tx() {
                segment.fill_checksum(&source, &destination);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{IpRepr, TcpControl, TcpRepr};

    use super::*;

    const OWN: [IpAddr; 2] = [IpAddr::V4(core::net::Ipv4Addr::LOCALHOST), IpAddr::V6(core::net::Ipv6Addr::LOCALHOST)];

    fn capabilities() -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities
    }

    /// An IP packet of this content, from and to an address.
    fn packet(own: IpAddr, protocol: IpProtocol, length: usize, fill: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let header = IpRepr::new(own.into(), own.into(), protocol, length, 64);
        let mut packet = vec![0; header.buffer_len()];
        header.emit(&mut packet[..], &ChecksumCapabilities::default());
        fill(&mut packet[header.header_len()..]);
        packet
    }

    fn cut(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
        let cut = Cut::plan(Medium::Ip, packet, mtu, 77).expect("it is too long");
        let piece = |piece| {
            let mut bytes = vec![0; cut.length(piece)];
            cut.write(packet, piece, &capabilities(), &mut bytes);
            bytes
        };
        let pieces: Vec<Vec<u8>> = (0..cut.pieces()).map(piece).collect();
        assert!(pieces.iter().all(|piece| piece.len() <= mtu));
        let mut first = packet[..cut.length(0)].to_vec();
        cut.finish_first(&capabilities(), &mut first);
        assert_eq!(first, pieces[0]);
        pieces
    }

    #[test]
    fn segments_are_whole_segments_and_only_the_last_ends_the_stream() {
        let payload: Vec<u8> = (0..=u8::MAX).cycle().take(1400).collect();
        let segment = TcpRepr {
            src_port: 1,
            dst_port: 2,
            control: TcpControl::Fin,
            seq_number: TcpSeqNumber(-700),
            ack_number: Some(TcpSeqNumber(9)),
            window_len: 10,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [Some((1, 2)), None, None],
            timestamp: None,
            payload: &payload,
        };
        for own in OWN {
            let whole = packet(own, IpProtocol::Tcp, segment.buffer_len(), |bytes| {
                let mut tcp = TcpPacket::new_unchecked(bytes);
                segment.emit(&mut tcp, &own.into(), &own.into(), &ChecksumCapabilities::default());
                tcp.set_psh(true);
            });
            for mtu in [552, 1280, whole.len() - 1] {
                let (pieces, mut sent) = (cut(&whole, mtu), Vec::new());
                for (index, piece) in pieces.iter().enumerate() {
                    let header = if own.is_ipv4() { 20 } else { 40 };
                    let tcp = TcpPacket::new_checked(&piece[header..]).expect("well-formed");
                    assert!(tcp.verify_checksum(&own.into(), &own.into()));
                    assert_eq!(tcp.seq_number().0, -700 + i32::try_from(sent.len()).expect("small"));
                    let last = index + 1 == pieces.len();
                    assert_eq!((tcp.fin(), tcp.psh(), tcp.ack()), (last, last, true));
                    assert_eq!(tcp.options(), TcpPacket::new_unchecked(&whole[header..]).options());
                    if own.is_ipv4() {
                        let ip = Ipv4Packet::new_checked(&piece[..]).expect("well-formed");
                        assert!(ip.verify_checksum() && ip.dont_frag() && usize::from(ip.total_len()) == piece.len());
                    } else {
                        assert_eq!(Ipv6Packet::new_checked(&piece[..]).expect("well-formed").total_len(), piece.len());
                    }
                    sent.extend_from_slice(tcp.payload());
                }
                assert_eq!(sent, payload);
            }
        }
    }

    #[test]
    fn fragments_of_fragments_are_fragments_of_the_whole() {
        let payload: Vec<u8> = (0..=u8::MAX).cycle().take(1403).collect();
        let whole = packet(OWN[0], IpProtocol::Udp, payload.len(), |bytes| bytes.copy_from_slice(&payload));
        let (mut got, mut end) = (vec![0; payload.len()], None);
        for first in cut(&whole, 1000) {
            let further = if first.len() > 600 { cut(&first, 600) } else { vec![first] };
            for piece in further {
                let ip = Ipv4Packet::new_checked(&piece[..]).expect("well-formed");
                assert!(ip.verify_checksum() && !ip.dont_frag() && ip.ident() == 77);
                let at = usize::from(ip.frag_offset());
                got[at..at + ip.payload().len()].copy_from_slice(ip.payload());
                if !ip.more_frags() {
                    assert_eq!(end.replace(at + ip.payload().len()), None, "one is the last");
                }
            }
        }
        assert_eq!((got, end), (payload.clone(), Some(payload.len())));
    }

    #[test]
    fn what_fits_or_cannot_be_cut_is_left_alone() {
        let short = packet(OWN[0], IpProtocol::Udp, 532, |_| ());
        assert!(Cut::plan(Medium::Ip, &short, 552, 1).is_none());
        let six = packet(OWN[1], IpProtocol::Udp, 1400, |_| ());
        assert!(Cut::plan(Medium::Ip, &six, 1280, 1).is_none());
        for length in 0..60 {
            assert!(Cut::plan(Medium::Ip, &short[..length], 30, 1).is_none());
            assert!(Cut::plan(Medium::Ethernet, &short[..length], 30, 1).is_none());
            assert!(destination(Medium::Ethernet, &short[..length]).is_none());
        }
    }
}
