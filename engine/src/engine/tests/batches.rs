//! Several datagrams that leave or arrive as one packet.

use core::net::{IpAddr, SocketAddr};
use std::vec;
use std::vec::Vec;

use super::bench::{FAMILIES, Host, OWN, PEER, PEER_PORT, PEER_V4, PEER_V6, PORT, Sent, V4, V6};
use super::write;
use crate::engine::{Arrived, Datagram};
use crate::interface::{Link, SendError};
use crate::ip::icmp::{ErrorKind, Message};
use crate::ip::segmentation::Segmentation;
use crate::link::arp::Arp;
use crate::link::ndp::Solicitation;
use crate::ports::Owner;
use crate::udp::datagram::HEADER;
use crate::wire;

/// The offloads of a device.
#[derive(Clone, Copy)]
enum Device {
    CutsAndCompletes,
    Cuts,
    Neither,
}

fn host(device: Device) -> Host {
    let link = Link {
        completes_checksums: matches!(device, Device::CutsAndCompletes),
        segmentation: if matches!(device, Device::Neither) { 0 } else { 65_535 },
        datagram_segmentation: !matches!(device, Device::Neither),
        ..Host::link()
    };
    let mut host = Host::on(link, 1);
    host.add(V4.into(), 24);
    host.add(V6.into(), 64);
    host.settle();
    host
}

fn send(host: &mut Host, own: IpAddr, peer: IpAddr, payloads: &[impl AsRef<[u8]>]) -> Result<usize, SendError> {
    let (source, destination) = (SocketAddr::new(own, PORT), SocketAddr::new(peer, PEER_PORT));
    let payloads: Vec<&[u8]> = payloads.iter().map(AsRef::as_ref).collect();
    let (payload, others) = payloads.split_first().expect("a datagram");
    let first =
        Datagram { owner: Owner(1), source, destination, hop_limit: 64, whole: true, loops_back: false, payload };
    host.with(|engine, now, wire| engine.send_datagrams(&first, others, now, wire))
}

/// The datagrams that a device makes of a frame, or that a receiver of the merged frame sees.
fn pieces(frame: &Sent) -> Vec<Vec<u8>> {
    if frame.segment == 0 {
        return vec![frame.datagram().expect("a datagram").to_vec()];
    }
    let cut = Segmentation::new(frame.body(), frame.body().len(), frame.segment).expect("datagrams");
    let data = &frame.body()[cut.head_length()..];
    (0..cut.count()).map(|index| data[cut.range(index)].to_vec()).collect()
}

/// The lengths of the datagrams in each packet that was sent.
fn lengths(host: &mut Host) -> Vec<Vec<usize>> {
    let is_udp = |frame: &&Sent| frame.packet().is_some_and(|packet| u8::from(packet.protocol) == 17);
    host.sent().iter().filter(is_udp).map(|frame| pieces(frame).iter().map(Vec::len).collect()).collect()
}

#[test]
fn datagrams_of_equal_length_leave_as_one_packet_if_the_device_splits_it() {
    for (own, peer) in FAMILIES {
        let payloads: Vec<Vec<u8>> = (0..5).map(|number| vec![number; if number < 4 { 100 } else { 40 }]).collect();
        let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        for (device, frames) in [(Device::CutsAndCompletes, 1), (Device::Cuts, 1), (Device::Neither, 5)] {
            let mut host = host(device);
            host.meet();
            assert_eq!(send(&mut host, own, peer, &payloads), Ok(5));
            let sent = host.sent();
            assert_eq!(sent.len(), frames);
            assert_eq!(sent.iter().flat_map(pieces).collect::<Vec<_>>(), payloads);
            assert_eq!((sent[0].to(), sent[0].from()), (PEER, OWN));
            let [first, ..] = &sent[..] else { panic!() };
            assert_eq!(first.is_unchecked, matches!(device, Device::CutsAndCompletes));
            if frames > 1 {
                continue;
            }
            assert_eq!(first.segment, 100);
            // The UDP header is that of one datagram with the whole payload. The device completes or recomputes its
            // checksum.
            let packet = first.packet().expect("a packet");
            let segment = packet.payload();
            assert_eq!(segment[4..6], u16::try_from(HEADER + 440).expect("short").to_be_bytes());
            let covered = if first.is_unchecked { &[][..] } else { segment };
            let protocol = packet.protocol;
            let sum = wire::transport_checksum(own, peer, protocol, segment.len(), core::iter::once(covered));
            let field = u16::from_be_bytes([segment[6], segment[7]]);
            assert_eq!(if first.is_unchecked { !sum } else { 0 }, if first.is_unchecked { field } else { sum });
        }
    }
}

#[test]
fn each_datagram_has_its_own_packet_if_a_merged_one_is_not_possible() {
    for (own, peer) in FAMILIES {
        let mut host = host(Device::CutsAndCompletes);
        assert_eq!(send(&mut host, own, peer, &[[1; 100]; 3]), Ok(3), "they wait for the neighbour");
        host.receive(&write::arp(&Arp::request(PEER, PEER_V4, V4)));
        host.receive(&write::solicitation((OWN, PEER), &Solicitation::question(PEER_V6, PEER, V6)));
        assert_eq!(lengths(&mut host), [[100], [100], [100]]);
        assert_eq!(send(&mut host, own, peer, &[&[1; 100][..], &[2; 200], &[3; 200], &[]]), Ok(4));
        assert_eq!(lengths(&mut host), [vec![100], vec![200, 200], vec![0]]);
        assert_eq!(send(&mut host, own, peer, &[&[1; 100][..], &[2; 100], &[3; 5000], &[4; 100]]), Ok(2));
        assert_eq!(lengths(&mut host), [[100, 100]], "and the third was to go whole");
        let mtu = Err(SendError::TooLarge { mtu: 1500 });
        assert_eq!((send(&mut host, own, peer, &[[1; 1500]; 2]), host.sent().len()), (mtu, 0));
        host.engine.interface_mut().narrow_path(peer, 1400, 1500, host.now);
        let mtu = Err(SendError::TooLarge { mtu: 1400 });
        assert_eq!((send(&mut host, own, peer, &[[1; 1420]; 2]), host.sent().len()), (mtu, 0));
        let most = if own.is_ipv4() { 1400 - 28 } else { 1400 - 48 };
        assert_eq!(send(&mut host, own, peer, &[&vec![1; most]; 2]), Ok(2));
        assert_eq!(lengths(&mut host), [[most, most]]);
    }
}

#[test]
fn datagrams_that_a_full_device_refuses_stay_with_the_caller() {
    for (own, peer) in FAMILIES {
        let mut host = host(Device::CutsAndCompletes);
        host.meet();
        host.wire.room = 1;
        let datagrams: [&[u8]; 4] = [&[1; 100], &[2; 100], &[3; 200], &[4; 200]];
        assert_eq!(send(&mut host, own, peer, &datagrams), Ok(2));
        assert_eq!(send(&mut host, own, peer, &datagrams[2..]), Err(SendError::Full));
    }
}

#[test]
fn a_packet_with_several_datagrams_is_received_as_single_ones() {
    for (own, peer) in FAMILIES {
        let (remote, local) = (SocketAddr::new(peer, PEER_PORT), SocketAddr::new(own, PORT));
        let joined: Vec<u8> = (0..250).collect();
        let frame = write::framed(OWN, PEER, &write::udp(remote, local, &joined));
        for head in [frame.len(), frame.len() - 250] {
            let mut host = Host::acquainted();
            let apart: &[crate::buffer::Slice] = &[frame[head..].into()];
            let apart = if apart[0].is_empty() { &[] } else { apart };
            let arrived = Arrived { head: &frame[..head], apart, is_verified: true, segment: 100 };
            host.with(|engine, now, wire| engine.receive(arrived, now, wire));
            let sent = host.sent();
            let Some(Message::Error(report)) = sent[0].icmp() else { panic!("nobody receives there") };
            let kind = ErrorKind::PortUnreachable;
            assert_eq!(
                (sent.len(), report.kind, report.quoted.bytes),
                (1, kind, &write::udp(remote, local, &joined[..100])[..])
            );
            host.bind(own);
            host.with(|engine, now, wire| engine.receive(arrived, now, wire));
            assert_eq!(host.delivered(), [&joined[..100], &joined[100..200], &joined[200..]]);
        }
    }
}
