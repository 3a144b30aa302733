//! Fragments of both families: in any order, duplicated, overlapping, too long, fragmented again, and late. A string of
//! bytes determines them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use xila_network_engine::ports::Owner;

use super::bytes::Bytes;
use super::craft::{ICMP, ICMPV6, TCP, UDP, datagram, fragment, message, packet, put_right, with_extension};
use super::station::{NEAR_V4, NEAR_V6, OWN_V4, OWN_V6, Station};

/// Packets of which fragments are sent.
struct Cut {
    packets: Vec<(Vec<u8>, u32)>,
    next: u32,
}

/// Runs the test that the bytes describe.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut station = Station::of(bytes.byte());
    station.know_neighbours();
    for any in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()] {
        let id = station.engine.bind_udp(SocketAddr::new(any, 7), Owner(1)).expect("nobody has it");
        station.sockets.push(id);
    }
    let mut cut = Cut { packets: Vec::new(), next: 1 << 20 };
    while !bytes.is_empty() {
        cut.act(&mut station, &mut bytes);
    }
    station.rest();
}

impl Cut {
    fn act(&mut self, station: &mut Station, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 12 {
            0 | 1 => self.begin(station, bytes),
            2..=6 => self.part(station, bytes),
            7 | 8 => self.whole(station, bytes),
            9 => {
                let time = Station::time(bytes);
                station.pass(time);
            }
            10 => station.answer_last(bytes),
            _ => {
                // Other operations could remove the socket or its address.
                station.device.is_full = bytes.byte().is_multiple_of(4);
            }
        }
    }

    /// Starts a packet to be sent in fragments, which may be a fragment itself.
    fn begin(&mut self, station: &Station, bytes: &mut Bytes<'_>) {
        let is_v4 = bytes.flag();
        let (source, destination) = station.ends(bytes, is_v4);
        let length = bytes.pick(&[24, 100, 1000, 3000, 20_000, 65_000]);
        let rest = vec![bytes.byte(); length];
        let (protocol, payload) = match bytes.byte() % 6 {
            0 | 1 => (UDP, datagram(9, bytes.pick(&[7, 99]), &rest)),
            2 if is_v4 => (ICMP, message([8, 0], [0; 4], &rest)),
            2 => (ICMPV6, message([128, 0], [0; 4], &rest)),
            3 => (TCP, rest),
            4 => (bytes.byte(), rest),
            _ => {
                let inner = packet(source, destination, UDP, 64, &datagram(9, 7, &rest));
                let inner = fragment(&inner, 5, 0, 400, bytes.flag());
                let head = if is_v4 { 20 } else { 40 };
                (if is_v4 { UDP } else { inner[6] }, inner[head..].to_vec())
            }
        };
        let identification = u32::from(bytes.byte() % 4);
        if self.packets.len() > 8 {
            self.packets.remove(0);
        }
        self.packets.push((packet(source, destination, protocol, 64, &payload), identification));
    }

    /// Sends one almost correct fragment.
    fn part(&self, station: &mut Station, bytes: &mut Bytes<'_>) {
        if self.packets.is_empty() {
            return;
        }
        let (packet, identification) = &self.packets[bytes.below(self.packets.len())];
        let units = packet.len() / 8;
        let offset = if bytes.byte() < 230 { bytes.below(units.min(256)) } else { usize::from(bytes.word() & 0x1fff) };
        let length = bytes.pick(&[64, 8, 16, 128, 512, 1024, 1232, 65_535, 0, 7, 13]);
        let more = !bytes.byte().is_multiple_of(8);
        let mut part = fragment(packet, *identification, offset, length, more);
        match bytes.byte() {
            0..20 if part[0] >> 4 == 6 => part = with_extension(&part, 60, &[0, 1, 4, 0, 0, 0, 0]),
            20..40 if part.len() < 9000 => {
                // The offset is one that is impossible for this much data.
                let at = if part[0] >> 4 == 4 { 6 } else { 42 };
                part[at] |= 0x1f;
                put_right(&mut part);
            }
            40..50 => {
                let at = bytes.below(part.len());
                part[at] = bytes.byte();
                put_right(&mut part);
            }
            _ => {}
        }
        station.receive_packet(bytes, &part);
    }

    /// Sends all fragments of a correct packet, in any order, with duplicates. It must be delivered, whatever else
    /// arrives.
    fn whole(&mut self, station: &mut Station, bytes: &mut Bytes<'_>) {
        station.delivered.clear();
        let is_v4 = bytes.flag();
        let ends: (IpAddr, IpAddr) =
            if is_v4 { (NEAR_V4.into(), OWN_V4.into()) } else { (NEAR_V6.into(), OWN_V6.into()) };
        self.next += 1;
        let text: Vec<u8> = (0..bytes.pick(&[40usize, 500, 2000, 8000])).map(|at| at as u8 ^ self.next as u8).collect();
        let packet = packet(ends.0, ends.1, UDP, 64, &datagram(9, 7, &text));
        let size = bytes.pick(&[1024, 512, 256, 64]).max(text.len() / 64 * 8);
        let length = text.len() + 8;
        // The 16-bit identification of IPv4 must differ from those of the other packets.
        let identification = if is_v4 { 16 + self.next % 60_000 } else { self.next };
        let mut offsets: Vec<usize> = (0..length.div_ceil(size)).map(|index| index * size / 8).collect();
        for _ in 0..bytes.byte() % 8 {
            let (one, other) = (bytes.below(offsets.len()), bytes.below(offsets.len()));
            offsets.swap(one, other);
        }
        let last = offsets.pop().expect("there is one at least");
        if let Some(first) = offsets.first().copied().filter(|_| bytes.flag()) {
            offsets.push(first);
        }
        offsets.push(last);
        for offset in offsets {
            let more = offset * 8 + size < length;
            let part = fragment(&packet, identification, offset, size, more);
            let mut natural = Bytes::new(&[]);
            station.receive_packet(&mut natural, &part);
        }
        assert!(station.delivered.contains(&text), "what came in fragments was not delivered");
    }
}
