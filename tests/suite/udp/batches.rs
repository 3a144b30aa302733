//! Batches of datagrams: if the device can split them, they leave as one frame.

use std::net::SocketAddr;

use etherparse::{SlicedPacket, TransportSlice};
use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::UdpSocket;
use xila_network_host::{InterfaceConfig, Manager, SendError};
use xila_network_tests::link::Family;
use xila_network_tests::probe::{Monitor, Probe, Seen};

use super::{PORT, SOON};

/// Two hosts on network cards that accept batches of datagrams in one frame, or do not.
struct World {
    simulation: Simulation,
    _managers: [Manager; 2],
    sockets: [UdpSocket; 2],
    monitors: [Monitor; 2],
}

impl World {
    fn new(family: Family, offloads: [bool; 2]) -> Self {
        let simulation = Simulation::new(1);
        let hub = Hub::new(&simulation.platform(), HubOptions::default());
        let [one, other] = [1, 2].map(|number: u8| {
            let (device, monitor) = Probe::new(hub.port(), offloads[usize::from(number) - 1]);
            let address = family.host(number);
            let prefix = if address.is_ipv4() { 24 } else { 64 };
            let addresses = vec![format!("{address}/{prefix}").parse().expect("an address")];
            let manager = Manager::new(simulation.platform());
            let config = InterfaceConfig { addresses, link_local: false, ..InterfaceConfig::default() };
            manager.mount_interface("eth0", device, config).expect("a fresh host");
            let socket = UdpSocket::bind(&manager.network(), SocketAddr::new(address, PORT)).expect("a free port");
            (manager, socket, monitor)
        });
        Self { simulation, _managers: [one.0, other.0], sockets: [one.1, other.1], monitors: [one.2, other.2] }
    }

    /// Sends datagrams to the other host; returns how many were sent.
    fn send(&self, payloads: &[Vec<u8>]) -> Result<usize, SendError> {
        let remote = Some(self.sockets[1].local_addr());
        let batch: Vec<(&[u8], _)> = payloads.iter().map(|payload| (&payload[..], remote)).collect();
        let sent = self.simulation.block_on(self.sockets[0].send_many(&batch));
        self.simulation.advance(SOON);
        sent
    }

    /// The datagrams that the other host has received.
    fn received(&self) -> Vec<Vec<u8>> {
        let received = self.simulation.block_on(self.sockets[1].recv_many(1000)).expect("they have come");
        assert!(received.iter().all(|datagram| datagram.remote == self.sockets[0].local_addr()));
        received.into_iter().map(|datagram| datagram.data).collect()
    }
}

/// The UDP frames among the given frames: the length of the datagrams into which each is to be split, if it is, and the
/// number of payload bytes.
fn datagrams(seen: &[Seen]) -> Vec<(Option<usize>, usize)> {
    let of = |seen: &Seen| {
        let packet = SlicedPacket::from_ethernet(&seen.bytes).ok()?;
        let TransportSlice::Udp(udp) = packet.transport? else { return None };
        if !seen.unchecked {
            // The checksum is left to the network card, or computed by this host.
            let checksum = match packet.net? {
                etherparse::NetSlice::Ipv4(ip) => udp.to_header().calc_checksum_ipv4_raw(
                    ip.header().source(),
                    ip.header().destination(),
                    udp.payload(),
                ),
                etherparse::NetSlice::Ipv6(ip) => udp.to_header().calc_checksum_ipv6_raw(
                    ip.header().source(),
                    ip.header().destination(),
                    udp.payload(),
                ),
                etherparse::NetSlice::Arp(_) => return None,
            };
            assert_eq!(checksum.expect("short"), udp.checksum());
        }
        Some((seen.segment, udp.payload().len()))
    };
    seen.iter().filter_map(of).collect()
}

#[test]
fn a_batch_of_datagrams_is_one_frame_if_the_receiver_accepts_it_and_is_split_otherwise() {
    for family in Family::BOTH {
        for offloads in [[true, true], [true, false], [false, true], [false, false]] {
            let world = World::new(family, offloads);
            // The hosts resolve each other.
            assert_eq!((world.send(&[vec![0; 3]]), world.received().len()), (Ok(1), 1));
            world.monitors.iter().for_each(|monitor| drop((monitor.sent(), monitor.received())));
            let payloads: Vec<Vec<u8>> =
                (0..10).map(|number| vec![number; if number < 9 { 500 } else { 77 }]).collect();
            assert_eq!(world.send(&payloads), Ok(10));
            assert_eq!(world.received(), payloads, "{offloads:?}");
            let one = vec![(Some(500), 9 * 500 + 77)];
            let each: Vec<_> = payloads.iter().map(|payload| (None, payload.len())).collect();
            let sent = datagrams(&world.monitors[0].sent());
            assert_eq!(sent, if offloads[0] { one.clone() } else { each.clone() }, "{offloads:?}");
            let arrived = datagrams(&world.monitors[1].received());
            assert_eq!(arrived, if offloads == [true, true] { one } else { each }, "{offloads:?}");
            assert_eq!(world.sockets[0].statistics().sent, 11);
            assert_eq!(world.sockets[1].statistics().received, 11);
        }
    }
}

/// Batches with more datagrams than fit into one frame, and with datagrams of different lengths.
#[test]
fn batches_of_any_length_arrive_in_order() {
    for family in Family::BOTH {
        for offloads in [[true, true], [true, false], [false, false]] {
            let world = World::new(family, offloads);
            let lengths = [1200; 150].into_iter().chain([0, 5, 5, 0, 1400, 1, 2, 3000, 3000, 1]);
            let payloads: Vec<Vec<u8>> = lengths.zip(0_u8..).map(|(length, number)| vec![number; length]).collect();
            let (mut sent, mut received) = (0, Vec::new());
            while sent < payloads.len() {
                // Only a few at once, so that the receiver's buffer does not overflow.
                let end = (sent + 40).min(payloads.len());
                sent += world.send(&payloads[sent..end]).expect("there is a way");
                received.extend(world.received());
            }
            assert!(received == payloads, "{offloads:?}");
        }
    }
}
