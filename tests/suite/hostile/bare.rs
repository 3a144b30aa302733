//! Hostile packets on a device that carries bare IP packets, without an Ethernet header.

use std::net::SocketAddr;

use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::UdpSocket;
use xila_network_host::{InterfaceConfig, Manager};
use xila_network_tests::link::{Family, PORT};

use super::frames::{SYN, Segment, icmp, ipv4, udp};
use super::inject::{Inject, Wire};
use super::mutation::Dice;

struct Tunnel {
    simulation: Simulation,
    manager: Manager,
    wire: Wire,
    socket: UdpSocket,
}

impl Tunnel {
    fn new() -> Self {
        let simulation = Simulation::new(1);
        let manager = Manager::new(simulation.platform());
        let (device, wire) = Inject::bare();
        let addresses = vec!["10.0.0.2/24".parse().unwrap(), "fd00::2/64".parse().unwrap()];
        let config = InterfaceConfig { addresses, link_local: false, ..InterfaceConfig::default() };
        manager.mount_interface("tun0", device, config).unwrap();
        let socket = UdpSocket::bind(&manager.network(), SocketAddr::new(Family::V4.host(2), PORT)).unwrap();
        Self { simulation, manager, wire, socket }
    }

    fn inject(&self, packet: &[u8]) {
        self.wire.inject(packet);
        self.simulation.run_ready();
    }

    /// Checks that a valid datagram arrives, and that a ping is answered.
    fn assert_serves(&self) {
        let (peer, own) = (Family::V4.host(1), Family::V4.host(2));
        while self.socket.try_recv_datagram().is_ok() {}
        self.inject(&udp(SocketAddr::new(peer, 4000), self.socket.local_addr(), b"honest"));
        assert_eq!(self.socket.try_recv_datagram().unwrap().data, b"honest");
        self.wire.sent();
        self.inject(&icmp(peer, own, [8, 0], [0, 1, 0, 1], b"ping"));
        let answers = self.wire.sent();
        assert!(answers.iter().any(|packet| packet[9] == 1 && packet[20] == 0 && packet.ends_with(b"ping")));
    }
}

fn samples() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for family in Family::BOTH {
        let (from, to) = (SocketAddr::new(family.host(1), 4000), SocketAddr::new(family.host(2), PORT));
        packets.push(udp(from, to, b"hello"));
        packets.push(Segment::new(from, to, SYN).packet());
        packets.push(icmp(from.ip(), to.ip(), [3, 3], [0; 4], &udp(to, from, b"hello")));
        packets.push(icmp(from.ip(), to.ip(), [135, 0], [0; 4], &[0xfd; 24]));
    }
    packets.push(ipv4(Family::V4.host(1), Family::V4.host(2), 17, 0x2000, &[0; 16]));
    packets
}

#[test]
fn packets_cut_at_any_byte_do_no_harm() {
    let tunnel = Tunnel::new();
    for packet in samples() {
        for length in 0..=packet.len() {
            tunnel.inject(&packet[..length]);
        }
    }
    tunnel.assert_serves();
}

#[test]
fn arbitrary_bytes_do_no_harm() {
    let tunnel = Tunnel::new();
    let samples = samples();
    let mut dice = Dice::new(1);
    for _ in 0..20_000 {
        let mut packet = samples[dice.below(samples.len())].clone();
        for _ in 0..dice.below(6) {
            let position = dice.below(packet.len());
            packet[position] = dice.below(256) as u8;
        }
        packet.truncate(if dice.below(4) == 0 { dice.below(packet.len() + 1) } else { packet.len() });
        tunnel.inject(&packet);
    }
    tunnel.simulation.advance(std::time::Duration::from_secs(120));
    tunnel.assert_serves();
    assert!(tunnel.manager.interface("tun0").unwrap().hardware_address().is_none());
}
