//! A segment whose ports have different MTUs and offloads: each port gets only frames that it accepts.

use std::net::{IpAddr, SocketAddr};

use futures_util::future::join4;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket,
};
use xila_network_host::device::hub::{Cable, Hub, HubOptions};
use xila_network_host::device::{ETHERNET_HEADER, Link as Carrier};
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::{ListenOptions, Network, TcpListener, TcpStream, UdpSocket};
use xila_network_host::{InterfaceConfig, Manager, ReceiveError};
use xila_network_tests::link::{Bytes, Family, PORT, receive_next, send};
use xila_network_tests::probe::{Monitor, Probe, Seen};

/// The number of bytes that each end of a connection sends.
const LENGTH: u64 = 1 << 20;
/// The ports, numbered from 1: the MTU of each, and whether it accepts large segments and incomplete checksums.
const PORTS: [(usize, bool); 4] = [(9000, true), (9000, false), (1500, true), (1500, false)];

struct Station {
    number: u8,
    mtu: usize,
    offloads: bool,
    manager: Manager,
    network: Network,
    monitor: Monitor,
    cable: Cable,
}

impl Station {
    const fn at(&self, family: Family) -> SocketAddr {
        SocketAddr::new(family.host(self.number), PORT)
    }

    fn bind(&self, address: IpAddr, port: u16) -> UdpSocket {
        UdpSocket::bind(&self.network, SocketAddr::new(address, port)).unwrap()
    }

    /// The frames that its port has received since the last call; asserts that the port accepts such frames.
    fn received(&self) -> Vec<Seen> {
        let received = self.monitor.received();
        for frame in &received {
            self.check(frame);
        }
        received
    }

    fn check(&self, frame: &Seen) {
        let (number, length) = (self.number, frame.bytes.len());
        assert!(self.offloads || (frame.segment.is_none() && !frame.unchecked), "port {number}: nobody asked for this");
        let headers = check_checksums(frame);
        let longest = frame.segment.map_or(length, |segment| headers + segment);
        assert!(longest <= self.mtu + ETHERNET_HEADER, "port {number}: {longest} bytes in a frame of {length}");
    }
}

/// Verifies the checksums of a frame, except those that are left incomplete; returns the length of its headers.
pub(super) fn check_checksums(frame: &Seen) -> usize {
    let ethernet = EthernetFrame::new_checked(&frame.bytes).unwrap();
    let (source, destination, protocol, header, data) = match ethernet.ethertype() {
        EthernetProtocol::Ipv4 => {
            let ip = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
            assert!(ip.verify_checksum());
            if ip.more_frags() || ip.frag_offset() > 0 {
                return 0;
            }
            let (source, destination) = (IpAddress::Ipv4(ip.src_addr()), IpAddress::Ipv4(ip.dst_addr()));
            (source, destination, ip.next_header(), usize::from(ip.header_len()), ip.payload().to_vec())
        }
        EthernetProtocol::Ipv6 => {
            let ip = Ipv6Packet::new_checked(ethernet.payload()).unwrap();
            let (source, destination) = (IpAddress::Ipv6(ip.src_addr()), IpAddress::Ipv6(ip.dst_addr()));
            (source, destination, ip.next_header(), 40, ip.payload().to_vec())
        }
        _ => return 0,
    };
    match protocol {
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(&data[..]).unwrap();
            assert!(frame.unchecked || tcp.verify_checksum(&source, &destination));
            ETHERNET_HEADER + header + usize::from(tcp.header_len())
        }
        IpProtocol::Udp => {
            assert!(UdpPacket::new_checked(&data[..]).unwrap().verify_checksum(&source, &destination));
            0
        }
        _ => 0,
    }
}

fn segment() -> (Simulation, [Station; 4]) {
    let simulation = Simulation::new(1);
    let hub = Hub::new(&simulation.platform(), HubOptions { mtu: 9000, queue: 4096, ..HubOptions::default() });
    let mut number = 0;
    let stations = PORTS.map(|(mtu, offloads)| {
        number += 1;
        let port = hub.port();
        let cable = port.cable();
        let (device, monitor) = Probe::new(port, offloads);
        let addresses = vec![
            format!("{}/24", Family::V4.host(number)).parse().unwrap(),
            format!("{}/64", Family::V6.host(number)).parse().unwrap(),
        ];
        let manager = Manager::new(simulation.platform());
        let config = InterfaceConfig { addresses, link_local: false, ..InterfaceConfig::default() };
        manager.mount_interface("eth0", device.with_mtu(mtu), config).unwrap();
        Station { number, mtu, offloads, network: manager.network(), manager, monitor, cable }
    });
    (simulation, stations)
}

async fn connect(from: &Station, to: &Station, family: Family) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(&to.network, to.at(family), ListenOptions::default()).unwrap();
    let client = TcpStream::connect(&from.network, to.at(family)).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

#[test]
fn every_pair_of_ports_exchanges_bytes_in_frames_that_each_accepts() {
    let (simulation, stations) = segment();
    for family in Family::BOTH {
        for from in &stations {
            for to in stations.iter().filter(|to| to.number != from.number) {
                simulation.block_on(async {
                    let (client, server) = connect(from, to, family).await;
                    let length = usize::try_from(LENGTH).unwrap();
                    let (mut there, mut back) = (Bytes::new(1), Bytes::new(2));
                    let exchanged = join4(
                        send(&client, 1, LENGTH),
                        send(&server, 2, LENGTH),
                        receive_next(&server, &mut there, length),
                        receive_next(&client, &mut back, length),
                    )
                    .await;
                    assert_eq!(exchanged, (Ok(()), Ok(()), Ok(()), Ok(())));
                    let lost = client.statistics().retransmitted + server.statistics().retransmitted;
                    assert_eq!(lost, 0, "{} to {}", from.number, to.number);
                });
                let (at_client, at_server) = (from.received(), to.received());
                let is_big = |frame: &Seen| frame.segment.is_some();
                let both = from.offloads && to.offloads;
                assert_eq!(at_client.iter().any(is_big) && at_server.iter().any(is_big), both);
                let longest =
                    |frames: &[Seen]| frames.iter().filter(|frame| !is_big(frame)).map(|frame| frame.bytes.len()).max();
                if !both {
                    let mtu = from.mtu.min(to.mtu);
                    let full = Some(mtu + ETHERNET_HEADER);
                    assert_eq!([longest(&at_client), longest(&at_server)], [full; 2], "full segments, and no longer");
                }
            }
        }
    }
    for station in &stations {
        station.received();
        assert_eq!(station.monitor.giants(), 0);
    }
}

/// The hub has one MTU, the longest: if a datagram is sent whole to a port with a smaller MTU, this port drops it, as
/// any network card does, and no other port is affected.
#[test]
fn datagrams_arrive_whole_or_in_fragments_if_the_port_accepts_their_size() {
    let (simulation, stations) = segment();
    simulation.block_on(async {
        for from in &stations {
            for to in stations.iter().filter(|to| to.number != from.number) {
                for family in Family::BOTH {
                    let (sender, receiver) =
                        (from.bind(family.host(from.number), 0), to.bind(to.at(family).ip(), PORT));
                    for size in [1000, 8000] {
                        let content = vec![size as u8; size];
                        let sent = sender.send_to(&content, receiver.local_addr()).await;
                        assert_eq!(sent, Ok(size));
                        if size > to.mtu && from.mtu > to.mtu {
                            let before = to.monitor.giants();
                            simulation.run_ready();
                            assert_eq!(receiver.try_recv_datagram().map(drop), Err(ReceiveError::WouldBlock));
                            assert_eq!(to.monitor.giants(), before + 1);
                        } else {
                            assert!(receiver.recv_datagram().await.unwrap().data == content, "{size} bytes");
                        }
                    }
                }
            }
        }
    });
    stations.iter().for_each(|station| drop(station.received()));
}

#[test]
fn a_broadcast_reaches_every_port_that_accepts_its_size() {
    let (simulation, stations) = segment();
    let members: Vec<UdpSocket> = stations.iter().map(|station| station.bind(Family::V4.unspecified(), PORT)).collect();
    let everybody = SocketAddr::new([10, 0, 0, 255].into(), PORT);
    simulation.block_on(async {
        for from in &stations {
            let sender = from.bind(Family::V4.host(from.number), 0);
            sender.set_broadcast(true);
            for size in [1000, 8000] {
                let content = vec![from.number; size];
                assert_eq!(sender.send_to(&content, everybody).await, Ok(size));
                simulation.run_ready();
                for (station, member) in stations.iter().zip(&members) {
                    let got = member.try_recv_datagram().map(|datagram| datagram.data);
                    let takes = station.number != from.number && (size <= station.mtu || from.mtu <= station.mtu);
                    let expected = if takes { Ok(content.clone()) } else { Err(ReceiveError::WouldBlock) };
                    assert!(got == expected, "{size} bytes of port {} at port {}", from.number, station.number);
                }
            }
        }
    });
    stations.iter().for_each(|station| drop(station.received()));
}

/// When the cable of a station was pulled, frames to it are flooded to all ports.
#[test]
fn a_large_segment_that_is_flooded_is_segmented_for_each_port_as_needed() {
    for family in Family::BOTH {
        let (simulation, stations) = segment();
        let [near, other, far, bystander] = &stations;
        simulation.block_on(async {
            let (client, server) = connect(near, far, family).await;
            let mut bytes = Bytes::new(1);
            let length = usize::try_from(LENGTH).unwrap();
            let carried =
                futures_util::future::join(send(&client, 1, LENGTH), receive_next(&server, &mut bytes, length));
            assert_eq!(carried.await, (Ok(()), Ok(())));
            client.flush().await.unwrap();
            stations.iter().for_each(|station| drop(station.received()));
            for link in [Carrier::Down, Carrier::Up] {
                far.cable.set_link(link);
            }
            let segment = client.statistics().segment_size;
            let mut content = vec![0; 10 * segment];
            bytes.clone().fill(&mut content);
            assert_eq!(client.try_write(&content), Ok(content.len()));
            assert_eq!(receive_next(&server, &mut bytes, content.len()).await, Ok(()));
            client.flush().await.unwrap();
            let data = |frames: Vec<Seen>| -> Vec<(usize, Option<usize>)> {
                let data = frames.iter().map(|frame| (frame.bytes.len(), frame.segment));
                data.filter(|(length, _)| *length > segment).collect()
            };
            let full = far.mtu + ETHERNET_HEADER;
            let whole = vec![(full + 9 * segment, Some(segment))];
            let pieces = vec![(full, None); 10];
            assert_eq!(data(far.received()), whole);
            assert_eq!([data(other.received()), data(bystander.received())], [pieces.clone(), pieces]);
        });
        assert!(stations.iter().all(|station| station.manager.interface("eth0").unwrap().statistics().tcp_resets == 0));
    }
}
