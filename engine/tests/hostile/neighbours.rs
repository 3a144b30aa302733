//! ARP and neighbour discovery for a station that has addresses, routers, claims, and waiting packets. A string of
//! bytes determines the messages.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::bytes::Bytes;
use super::craft::{BROADCAST, ICMPV6, arp, message, packet, put_right, solicited_node};
use super::station::{FAR, NEAR, NEAR_V6, ROUTER_V6, Station};

/// Runs the test that the bytes describe.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    // Without hardware addresses there are no neighbours.
    let mut station = Station::of(bytes.byte() & !1);
    while !bytes.is_empty() {
        station.meet(&mut bytes);
    }
    station.rest();
}

impl Station {
    /// A host on the link sends a message, or time passes.
    fn meet(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 16 {
            0..=2 => {
                let frame = self.strange_arp(bytes);
                self.receive(&frame);
            }
            3..=7 => {
                let packet = self.strange_discovery(bytes);
                self.receive_packet(bytes, &packet);
            }
            8 | 9 => self.answer_last(bytes),
            10 => {
                // A sent frame comes back, as in a loop of switches.
                if let Some(frame) = self.left.last().cloned() {
                    self.receive(&frame);
                }
            }
            11 | 12 => {
                let time = Self::time(bytes);
                self.pass(time);
            }
            13 => {
                self.change_addresses(bytes);
                self.go_on();
            }
            14 => self.operate(bytes),
            _ => {
                // Sometimes more packets than may wait.
                let times = if bytes.byte() < 240 { 2 } else { 70 };
                let whom = bytes.take(7);
                for _ in 0..times {
                    self.send(&mut Bytes::new(whom));
                    self.go_on();
                }
            }
        }
    }

    /// A message of ARP, near to what would be right.
    pub(crate) fn strange_arp(&self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let v4 = |bytes: &mut Bytes<'_>| match self.address(bytes, true) {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        let to = if bytes.flag() { self.hardware(bytes) } else { BROADCAST };
        let from = if bytes.flag() { self.hardware(bytes) } else { NEAR };
        let operation = bytes.pick(&[1, 2, 1, 2, 3, 0x0100]);
        let sender = (if bytes.flag() { self.hardware(bytes) } else { from }, v4(bytes));
        let target = (self.hardware(bytes), v4(bytes));
        let mut frame = arp([to, from], operation, sender, target);
        match bytes.byte() {
            // Frames are padded with zeros.
            0..100 => frame.resize(60, 0),
            250.. => {
                let at = bytes.below(frame.len());
                frame[at] = bytes.byte();
            }
            100..110 => frame.truncate(bytes.below(42)),
            110..250 => {}
        }
        frame
    }

    /// An almost correct neighbour discovery message.
    pub(crate) fn strange_discovery(&self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let v6 = |bytes: &mut Bytes<'_>| match self.address(bytes, false) {
            IpAddr::V6(address) => address,
            IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED,
        };
        let number = bytes.pick(&[135, 136, 134, 135, 136, 134, 133, 137]);
        let target = v6(bytes);
        let source = match (number, bytes.byte()) {
            (134, 0..200) => ROUTER_V6,
            (135, 0..60) => Ipv6Addr::UNSPECIFIED,
            (_, 0..200) => NEAR_V6,
            (_, 200..) => v6(bytes),
        };
        let destination = match (number, bytes.byte()) {
            (135, 0..150) => solicited_node(target),
            (134, 0..200) => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
            (_, 0..) => v6(bytes),
        };
        let mut rest = match number {
            134 => {
                let times = [0, 0, 1, 1000, 30_000, u32::MAX];
                let (reachable, retransmit) = (bytes.pick(&times), bytes.pick(&times));
                [reachable.to_be_bytes(), retransmit.to_be_bytes()].concat()
            }
            133 => Vec::new(),
            137 => [target.octets(), v6(bytes).octets()].concat(),
            _ => target.octets().to_vec(),
        };
        let word = match number {
            134 => {
                let [high, low] = bytes.pick(&[1800u16, 0, 1, 9000, 65_535]).to_be_bytes();
                [bytes.pick(&[0, 64, 1]), bytes.byte(), high, low]
            }
            _ => [bytes.byte() & 0xe0, 0, 0, 0],
        };
        for _ in 0..bytes.byte() % 5 {
            rest.extend(self.discovery_option(bytes));
        }
        let hop_limit = if bytes.byte() < 250 { 255 } else { 64 };
        let code = u8::from(bytes.byte() > 250);
        let body = message([number, code], word, &rest);
        let mut packet = packet(source.into(), destination.into(), ICMPV6, hop_limit, &body);
        if bytes.byte() > 240 {
            let at = bytes.below(packet.len());
            packet[at] = bytes.byte();
            put_right(&mut packet);
        }
        packet
    }

    fn discovery_option(&self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        const LIFETIMES: [u32; 7] = [0, 1, 30, 1800, 7200, 0x7fff_ffff, u32::MAX];
        let lifetime = |bytes: &mut Bytes<'_>| bytes.pick(&LIFETIMES).to_be_bytes();
        let prefix = |bytes: &mut Bytes<'_>| match bytes.byte() {
            0..200 => Ipv6Addr::new(0x2001, 0xdb8, u16::from(bytes.byte() % 40), 0, 0, 0, 0, 0).octets(),
            200.. => match self.address(bytes, false) {
                IpAddr::V6(address) => address.octets(),
                IpAddr::V4(_) => [0; 16],
            },
        };
        match bytes.byte() % 8 {
            0 | 1 => [&[bytes.pick(&[1, 2]), 1][..], &self.hardware(bytes)].concat(),
            2 => {
                let length = if bytes.byte() < 220 { 64 } else { bytes.byte() };
                let flags = if bytes.byte() < 200 { 0xc0 } else { bytes.byte() };
                let (valid, preferred) = (lifetime(bytes), lifetime(bytes));
                [&[3, 4, length, flags][..], &valid, &preferred, &[0; 4], &prefix(bytes)].concat()
            }
            3 => [&[5, 1, 0, 0][..], &bytes.pick(&[1500, 1280, 0, 1279, 9000, u32::MAX]).to_be_bytes()].concat(),
            4 => {
                let (length, preference) = (bytes.pick(&[0, 48, 64, 128, 129]), bytes.byte());
                [&[24, 3, length, preference][..], &lifetime(bytes), &prefix(bytes)].concat()
            }
            5 => [&[25, 3, 0, 0][..], &lifetime(bytes), &prefix(bytes)].concat(),
            6 => [&[14, 1][..], &[bytes.byte(); 6]].concat(),
            _ => {
                let (number, length) = (bytes.byte(), bytes.byte() % 8);
                let mut option = vec![number, length];
                option.extend_from_slice(bytes.take(usize::from(length) * 8));
                option
            }
        }
    }

    /// A neighbour answers the last solicitation, correctly most of the time.
    pub(crate) fn answer_last(&mut self, bytes: &mut Bytes<'_>) {
        let is_question = |frame: &&Vec<u8>| {
            let is_arp = frame.get(12..14) == Some(&[8, 6]) && frame.get(21) == Some(&1);
            is_arp || (frame.get(12..14) == Some(&[0x86, 0xdd]) && frame.get(54) == Some(&135))
        };
        let Some(asked) = self.left.iter().rev().find(is_question).cloned() else { return };
        let hardware = if bytes.byte() < 200 { bytes.pick(&[NEAR, FAR]) } else { self.hardware(bytes) };
        if asked[13] == 6 {
            let v4 =
                |at: usize| asked[at..at + 4].first_chunk::<4>().copied().map_or(Ipv4Addr::UNSPECIFIED, Into::into);
            let own = asked[22..28].first_chunk::<6>().copied().unwrap_or_default();
            return self.receive(&arp([own, hardware], 2, (hardware, v4(38)), (own, v4(28))));
        }
        let v6 =
            |at: usize| asked[at..at + 16].first_chunk::<16>().copied().map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from);
        let (asker, target) = (v6(22), v6(62));
        let flags = if bytes.byte() < 220 { 0x60 } else { bytes.byte() };
        let rest = [&target.octets()[..], &[2, 1], &hardware].concat();
        let body = message([136, 0], [flags, 0, 0, 0], &rest);
        let to = if asker.is_unspecified() { Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1) } else { asker };
        let packet = packet(target.into(), to.into(), ICMPV6, 255, &body);
        self.receive_packet(bytes, &packet);
    }

    /// Makes the neighbours known, so that answers leave at once.
    pub(crate) fn know_neighbours(&mut self) {
        if self.engine.interface().link().hardware.is_none() {
            return;
        }
        use super::station::{NEAR_V4, OWN, OWN_V4, OWN_V6, ROUTER, ROUTER_V4};
        for (hardware, address) in [(NEAR, NEAR_V4), (ROUTER, ROUTER_V4)] {
            self.receive(&arp([OWN, hardware], 1, (hardware, address), ([0; 6], OWN_V4)));
        }
        for (hardware, address) in [(NEAR, NEAR_V6), (ROUTER, ROUTER_V6)] {
            let rest = [&OWN_V6.octets()[..], &[1, 1], &hardware].concat();
            let body = message([135, 0], [0; 4], &rest);
            let packet = packet(address.into(), OWN_V6.into(), ICMPV6, 255, &body);
            self.receive_packet(&mut Bytes::new(&[]), &packet);
        }
    }
}
