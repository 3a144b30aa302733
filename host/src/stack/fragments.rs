//! IPv4 reassembly (RFC 791 section 3.2), before the flow is looked up: only the whole packet names its ports.
//!
//! The pieces of one packet are put together by `etherparse`; its own pool of such packets is not bounded, so the pool
//! is here.

use core::time::Duration;

use etherparse::defrag::IpDefragBuf;
use etherparse::{IpFragOffset, IpNumber};
use hashbrown::HashMap;
use smoltcp::wire::{IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr};

use super::Core;
use crate::platform::Instant;

/// How long the pieces of a packet may take to come (RFC 1122 section 3.3.2 asks for 60 to 120 s; Linux waits 30).
const PATIENCE: Duration = Duration::from_secs(30);
/// Packets in pieces at one time, of at most 64 KiB each: 4 MiB, as in Linux (ipfrag_high_thresh).
const MOST_PACKETS: usize = 64;
/// Gaps in one packet. More of them is no link's doing.
const MOST_GAPS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: Ipv4Address,
    destination: Ipv4Address,
    protocol: IpProtocol,
    identification: u16,
}

struct Partial {
    buffer: IpDefragBuf,
    expires: Instant,
}

/// The packets of which some pieces have come.
#[derive(Default)]
pub(super) struct Reassembly {
    partial: HashMap<Key, Partial>,
}

impl Reassembly {
    /// Adds a piece; the payload of the packet where it is now whole.
    fn add(&mut self, packet: &Ipv4Packet<&[u8]>, now: Instant) -> Option<Vec<u8>> {
        let key = Key {
            source: packet.src_addr(),
            destination: packet.dst_addr(),
            protocol: packet.next_header(),
            identification: packet.ident(),
        };
        if !self.partial.contains_key(&key) && self.partial.len() >= MOST_PACKETS {
            self.drop_oldest();
        }
        let partial = self.partial.entry(key).or_insert_with(|| Partial {
            buffer: IpDefragBuf::new(IpNumber(u8::from(key.protocol)), Vec::new(), Vec::new()),
            expires: now + PATIENCE,
        });
        let offset = IpFragOffset::try_new(packet.frag_offset() / 8).ok()?;
        let added = partial.buffer.add(offset, packet.more_frags(), packet.payload());
        if added.is_err() || partial.buffer.sections().len() > MOST_GAPS {
            self.partial.remove(&key);
            return None;
        }
        if partial.buffer.is_complete() {
            self.partial.remove(&key).map(|whole| whole.buffer.take_bufs().0)
        } else {
            None
        }
    }

    fn drop_oldest(&mut self) {
        let oldest = self.partial.iter().min_by_key(|(_, partial)| partial.expires).map(|(key, _)| *key);
        oldest.and_then(|key| self.partial.remove(&key));
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.partial.retain(|_, partial| partial.expires > now);
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.partial.values().map(|partial| partial.expires).min()
    }
}

impl Core {
    /// A frame with a piece of an IPv4 packet, which begins at `ip`. The whole packet is taken in as one frame with the
    /// link header of its last piece.
    pub(super) fn fragment(&mut self, frame: &[u8], ip: usize) {
        let Ok(packet) = Ipv4Packet::new_checked(&frame[ip..]) else { return };
        // Pieces for others, flooded by a segment, are not worth memory.
        let to = packet.dst_addr();
        let mine = self.iface.has_ip_addr(to) || self.iface.has_multicast_group(to) || self.is_broadcast(to.into());
        let verify = self.verifies();
        if !mine || (verify && !packet.verify_checksum()) {
            self.statistics.received.dropped += 1;
            return;
        }
        let Some(payload) = self.fragments.add(&packet, self.now) else { return };
        let header = Ipv4Repr {
            src_addr: packet.src_addr(),
            dst_addr: packet.dst_addr(),
            next_header: packet.next_header(),
            payload_len: payload.len(),
            hop_limit: packet.hop_limit(),
        };
        if header.buffer_len() + payload.len() > usize::from(u16::MAX) {
            self.statistics.received.dropped += 1;
            return;
        }
        let mut whole = vec![0; ip + header.buffer_len()];
        whole[..ip].copy_from_slice(&frame[..ip]);
        header.emit(&mut Ipv4Packet::new_unchecked(&mut whole[ip..]), &smoltcp::phy::ChecksumCapabilities::default());
        whole.extend_from_slice(&payload);
        self.ingress(&whole, &[], false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One piece of a packet: `offset` in bytes.
    fn piece(identification: u16, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
        let header = Ipv4Repr {
            src_addr: Ipv4Address::new(10, 0, 0, 2),
            dst_addr: Ipv4Address::new(10, 0, 0, 1),
            next_header: IpProtocol::Udp,
            payload_len: payload.len(),
            hop_limit: 64,
        };
        let mut bytes = vec![0; header.buffer_len()];
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes[..]);
        header.emit(&mut packet, &smoltcp::phy::ChecksumCapabilities::default());
        packet.set_ident(identification);
        packet.set_dont_frag(false);
        packet.set_more_frags(more);
        packet.set_frag_offset(offset);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn add(reassembly: &mut Reassembly, bytes: &[u8]) -> Option<Vec<u8>> {
        reassembly.add(&Ipv4Packet::new_checked(bytes).expect("well-formed"), Instant::ORIGIN)
    }

    #[test]
    fn pieces_in_any_order_make_the_packet() {
        let mut reassembly = Reassembly::default();
        assert_eq!(add(&mut reassembly, &piece(7, 16, false, b"end")), None);
        assert_eq!(add(&mut reassembly, &piece(7, 8, true, b"89abcdef")), None);
        assert_eq!(add(&mut reassembly, &piece(8, 0, true, b"another!")), None);
        assert_eq!(add(&mut reassembly, &piece(7, 0, true, b"01234567")).as_deref(), Some(&b"0123456789abcdefend"[..]));
        assert_eq!(reassembly.partial.len(), 1);
    }

    #[test]
    fn packets_in_pieces_are_bounded_and_expire() {
        let mut reassembly = Reassembly::default();
        for identification in 0..1000 {
            assert_eq!(add(&mut reassembly, &piece(identification, 0, true, &[0; 8])), None);
        }
        assert_eq!(reassembly.partial.len(), MOST_PACKETS);
        reassembly.expire(Instant::ORIGIN + PATIENCE);
        assert!(reassembly.partial.is_empty());
    }

    #[test]
    fn a_packet_full_of_holes_is_given_up() {
        let mut reassembly = Reassembly::default();
        for hole in 0..200 {
            assert_eq!(add(&mut reassembly, &piece(7, hole * 16, true, &[0; 8])), None);
        }
        assert!(reassembly.partial.values().all(|partial| partial.buffer.sections().len() <= MOST_GAPS));
    }

    #[test]
    fn contradicting_ends_are_refused() {
        let mut reassembly = Reassembly::default();
        assert_eq!(add(&mut reassembly, &piece(7, 16, false, b"end")), None);
        assert_eq!(add(&mut reassembly, &piece(7, 32, false, b"other end")), None);
        assert!(reassembly.partial.is_empty());
    }
}
