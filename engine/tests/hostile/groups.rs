//! Queries and reports of all versions of IGMP and MLD, for a station whose sockets join and leave groups. A string of
//! bytes determines them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use xila_network_engine::ports::Owner;

use super::bytes::Bytes;
use super::craft::{ICMPV6, IGMP, packet, put_right, with_extension, with_options};
use super::station::{ROUTER_V4, ROUTER_V6, Station};

/// Runs the test that the bytes describe.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut station = Station::of(bytes.byte());
    for any in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()] {
        let id = station.engine.bind_udp(SocketAddr::new(any, 7), Owner(1)).expect("nobody has it");
        station.sockets.push(id);
    }
    while !bytes.is_empty() {
        station.take_part(&mut bytes);
    }
    station.rest();
}

impl Station {
    fn take_part(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 16 {
            0..=5 if !self.sockets.is_empty() => {
                let id = self.sockets[bytes.below(self.sockets.len())];
                let is_v4 = self.engine.udp().local(id).is_some_and(|local| local.is_ipv4());
                self.change_membership(bytes, id, is_v4);
                self.go_on();
            }
            6..=11 => {
                let packet = self.strange_membership(bytes);
                self.receive_packet(bytes, &packet);
            }
            12..=14 => {
                let time = Self::time(bytes);
                self.pass(time);
            }
            _ => self.operate(bytes),
        }
    }

    /// An almost correct query or report.
    pub(crate) fn strange_membership(&self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let is_v4 = bytes.flag();
        let any = if is_v4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
        let all = if is_v4 {
            IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1))
        } else {
            Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into()
        };
        let number = bytes.byte() % 32;
        let group = match bytes.byte() {
            0..100 => any,
            100..200 if is_v4 => Ipv4Addr::new(239, 0, 0, number).into(),
            100..200 => Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, number.into()).into(),
            200.. => self.address(bytes, is_v4),
        };
        let destination = match bytes.byte() {
            0..200 if group == any => all,
            0..200 => group,
            200.. => self.address(bytes, is_v4),
        };
        let source = match bytes.byte() {
            0..200 if is_v4 => ROUTER_V4.into(),
            0..200 => IpAddr::V6(ROUTER_V6),
            200.. => self.address(bytes, is_v4),
        };
        let delay = bytes.pick(&[0, 1, 10, 100, 0x8f, 255]);
        let older = if is_v4 { [0x11, 0x12, 0x16, 0x17] } else { [130, 131, 131, 132] };
        let number = match bytes.byte() {
            0..180 => older[0],
            _ => bytes.pick(&older),
        };
        let mut body = match group {
            IpAddr::V4(group) => [&[number, delay, 0, 0][..], &group.octets()].concat(),
            IpAddr::V6(group) => [&[number, 0, 0, 0, bytes.byte() & 0x87, delay, 0, 0][..], &group.octets()].concat(),
        };
        if bytes.flag() {
            // The fields of the newest version: flags and robustness, interval, and sources.
            let sources = bytes.byte() % 4;
            body.extend([bytes.byte(), bytes.byte(), 0, sources]);
            let there = if bytes.byte() < 230 { sources } else { bytes.byte() % 4 };
            for _ in 0..there {
                match self.address(bytes, is_v4) {
                    IpAddr::V4(address) => body.extend(address.octets()),
                    IpAddr::V6(address) => body.extend(address.octets()),
                }
            }
        }
        let hop_limit = if bytes.byte() < 245 { 1 } else { 64 };
        let mut packet = packet(source, destination, if is_v4 { IGMP } else { ICMPV6 }, hop_limit, &body);
        packet = match (bytes.byte(), is_v4) {
            (0..220, true) => with_options(&packet, &[0x94, 4, 0, 0]),
            (0..220, false) => with_extension(&packet, 0, &[0, 5, 2, 0, 0, 1, 0]),
            (220.., _) => packet,
        };
        if bytes.byte() > 240 {
            let at = bytes.below(packet.len());
            packet[at] = bytes.byte();
        }
        put_right(&mut packet);
        packet
    }
}
