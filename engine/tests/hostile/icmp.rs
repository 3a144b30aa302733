//! ICMP messages of both families and the packets that they quote, for a station that sends datagrams and opens
//! connections. A string of bytes determines them.

use super::bytes::Bytes;
use super::craft::{
    ICMP, ICMPV6, TCP, UDP, datagram, fragment, message, packet, put_right, with_extension, with_options,
};
use super::station::Station;

/// Runs the test that the bytes describe.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut station = Station::of(bytes.byte());
    station.know_neighbours();
    while !bytes.is_empty() {
        station.be_told(&mut bytes);
    }
    station.rest();
}

impl Station {
    /// A message arrives, or a packet that causes one, or time passes.
    fn be_told(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 12 {
            0..=3 => {
                let packet = self.strange_error(bytes);
                self.receive_packet(bytes, &packet);
            }
            4 | 5 => {
                let packet = self.strange_echo(bytes);
                self.receive_packet(bytes, &packet);
            }
            6 | 7 => {
                let packet = self.unwanted(bytes);
                // Sometimes more than the rate limit allows.
                let times = if bytes.byte() < 245 { 1 } else { 80 };
                for _ in 1..times {
                    self.receive_packet(&mut Bytes::new(&[]), &packet);
                }
                self.receive_packet(bytes, &packet);
            }
            8 => self.answer_last(bytes),
            9 => {
                let time = Self::time(bytes);
                self.pass(time);
            }
            _ => self.operate(bytes),
        }
    }

    /// An error about a packet that was sent, or about another one.
    fn strange_error(&self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let start = if self.engine.interface().link().hardware.is_some() { 14 } else { 0 };
        let is_packet = |frame: &&Vec<u8>| start == 0 || frame.get(12..14) != Some(&[8, 6]);
        let known: Vec<&Vec<u8>> = self.left.iter().filter(is_packet).collect();
        let mut quoted = if known.is_empty() || bytes.byte() > 220 {
            let is_v4 = bytes.flag();
            let (destination, source) = self.ends(bytes, is_v4);
            let protocol = bytes.pick(&[UDP, TCP, ICMP, ICMPV6, 44, 99]);
            packet(source, destination, protocol, 3, bytes.take(16))
        } else {
            known[bytes.below(known.len())][start..].to_vec()
        };
        for _ in 0..bytes.byte() % 3 {
            let at = bytes.below(quoted.len().min(64));
            quoted[at] = bytes.byte();
        }
        if bytes.flag() {
            quoted.truncate(bytes.pick(&[28, 48, 68, 20, 40, 8, 0, 552, 1232]));
        }
        let is_v4 = quoted.first().is_none_or(|first| first >> 4 == 4);
        let kind = if is_v4 {
            bytes.pick(&[[3, 4], [3, 3], [3, 4], [3, 1], [11, 0], [12, 0], [4, 0], [5, 1], [3, 200], [11, 1]])
        } else {
            bytes.pick(&[[2, 0], [1, 4], [2, 0], [1, 0], [3, 0], [4, 0], [4, 1], [100, 0], [1, 99], [127, 1]])
        };
        let mtu = bytes.pick(&[1400u32, 1280, 0, 68, 552, 576, 1279, 1499, 65_535, u32::MAX]);
        let mut word = mtu.to_be_bytes();
        if bytes.byte() > 200 {
            // The begin of extensions (RFC 4884), or arbitrary values.
            word[usize::from(bytes.byte() % 4)] = bytes.byte();
        }
        let (source, mut destination) = self.ends(bytes, is_v4);
        if let (true, Some((from, _))) = (bytes.byte() < 200, xila_network_engine::wire::ends(&quoted)) {
            // The error is addressed to the sender of the quoted packet.
            if from.is_ipv4() == source.is_ipv4() {
                destination = from;
            }
        }
        let body = message(kind, word, &quoted);
        packet(source, destination, if is_v4 { ICMP } else { ICMPV6 }, 64, &body)
    }

    fn strange_echo(&self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let is_v4 = bytes.flag();
        let (source, destination) = self.ends(bytes, is_v4);
        let number = bytes.byte();
        let kind = match (number, is_v4) {
            (0..150, true) => [8, 0],
            (0..150, false) => [128, 0],
            (150..200, true) => [0, 0],
            (150..200, false) => [129, 0],
            (200.., _) => [bytes.byte(), bytes.byte()],
        };
        let length = bytes.pick(&[0, 8, 56, 1400, 3000, 9000, 60_000]);
        let word = [0, bytes.pick(&[7, 9]), 0, number];
        let protocol = if is_v4 { ICMP } else { ICMPV6 };
        packet(source, destination, protocol, bytes.pick(&[64, 1, 255, 0]), &message(kind, word, &vec![number; length]))
    }

    /// A packet that no socket accepts, or whose headers require an error.
    fn unwanted(&self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let is_v4 = bytes.flag();
        let (source, destination) = self.ends(bytes, is_v4);
        let protocol = match bytes.byte() {
            0..100 => UDP,
            100..130 => TCP,
            _ => bytes.byte(),
        };
        let length = bytes.pick(&[8, 0, 30, 600, 1300]);
        let payload = if protocol == UDP {
            datagram(9, bytes.pick(&[99, 7, 1000, 0, 68]), &vec![1; length])
        } else {
            [bytes.take(20), &vec![2; length]].concat()
        };
        let mut packet = packet(source, destination, protocol, 64, &payload);
        match (bytes.byte(), is_v4) {
            (0..60, true) => packet = with_options(&packet, bytes.take(8)),
            (0..60, false) => {
                let number = bytes.pick(&[0, 60, 43, 60]);
                let mut body = vec![0];
                body.extend_from_slice(bytes.take(6));
                body.resize(7, 0);
                packet = with_extension(&packet, number, &body);
            }
            (60..100, _) => packet = fragment(&packet, 1, bytes.below(4), bytes.below(64), bytes.flag()),
            (100.., _) => {}
        }
        put_right(&mut packet);
        packet
    }
}
