//! Datagrams behind IPv6 extension headers, in fragments, and in atomic fragments (RFC 8200 section 4).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use etherparse::{Icmpv6Slice, Icmpv6Type, NetSlice, SlicedPacket, TransportSlice};
use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::UdpSocket;
use xila_network_host::{InterfaceConfig, Manager, ReceiveError};
use xila_network_tests::link::{Bytes, Family};
use xila_network_tests::probe::{Monitor, Probe};

use super::{PORT, bind};

/// How long the fragments of a packet may take to arrive (RFC 8200 section 4.5).
const PATIENCE: Duration = Duration::from_secs(60);

const ETHERNET: usize = 14;
const IPV6: usize = 40;

const HOP_BY_HOP: u8 = 0;
const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ICMPV6: u8 = 58;
const NONE: u8 = 59;
const OPTIONS: u8 = 60;

/// ICMPv6 types and codes (RFC 4443).
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;

/// Two hosts; the second receives frames that the test makes from the first one's datagrams.
struct World {
    simulation: Simulation,
    victim: Monitor,
    caught: Arc<Mutex<Vec<Vec<u8>>>>,
    sender: UdpSocket,
    receiver: UdpSocket,
    hosts: [Manager; 2],
}

impl World {
    fn new() -> Self {
        let simulation = Simulation::new(1);
        let hub = Hub::new(&simulation.platform(), HubOptions::default());
        let address = |number| Family::V6.host(number);
        let mut monitors = Vec::new();
        let hosts = [1, 2].map(|number| {
            let (device, monitor) = Probe::new(hub.port(), false);
            monitors.push(monitor);
            let addresses = vec![format!("{}/64", address(number)).parse().expect("an address")];
            let manager = Manager::new(simulation.platform());
            let config = InterfaceConfig { addresses, link_local: false, ..InterfaceConfig::default() };
            manager.mount_interface("eth0", device, config).expect("a fresh host");
            manager
        });
        let victim = monitors.pop().expect("that of the second");
        let caught = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        victim.lose(Box::new({
            let caught = caught.clone();
            move |frame| {
                let is_datagram = frame.get(ETHERNET + 6) == Some(&UDP);
                if is_datagram {
                    caught.lock().expect("nobody has panicked").push(frame.to_vec());
                }
                is_datagram
            }
        }));
        let sender = bind(&hosts[0].network(), address(1), 0);
        let receiver = bind(&hosts[1].network(), address(2), PORT);
        Self { simulation, victim, caught, sender, receiver, hosts }
    }

    /// The frame of a datagram, which was dropped before it arrived.
    fn datagram(&self, content: &[u8]) -> Vec<u8> {
        let remote = self.receiver.local_addr();
        let sent = self.simulation.block_on(async { self.sender.send_to(content, remote).await });
        assert_eq!(sent, Ok(content.len()));
        self.simulation.run_ready();
        self.victim.sent();
        self.caught.lock().expect("nobody has panicked").pop().expect("the datagram was sent")
    }

    /// Injects a frame; returns what the socket receives, and the frames that answer it.
    fn take(&self, frame: Vec<u8>) -> (Result<Vec<u8>, ReceiveError>, Vec<Vec<u8>>) {
        self.victim.inject(frame);
        self.simulation.run_ready();
        let received = self.receiver.try_recv_datagram().map(|datagram| datagram.data);
        (received, self.victim.sent().into_iter().map(|seen| seen.bytes).collect())
    }
}

fn content(length: usize) -> Vec<u8> {
    let mut content = vec![0; length];
    Bytes::new(1).fill(&mut content);
    content
}

/// A frame with extension headers inserted before its payload; `next` is the type of the first one.
fn behind(frame: &[u8], next: u8, headers: &[u8]) -> Vec<u8> {
    let (head, payload) = frame.split_at(ETHERNET + IPV6);
    let mut wrapped = [head, headers, payload].concat();
    wrapped[ETHERNET + 6] = next;
    let length = u16::try_from(headers.len() + payload.len()).expect("a short packet");
    wrapped[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&length.to_be_bytes());
    wrapped
}

/// One fragment of the packet in a frame: bytes `from..to` of its payload.
fn fragment(frame: &[u8], from: usize, to: usize) -> Vec<u8> {
    let (head, payload) = frame.split_at(ETHERNET + IPV6);
    let more = u16::from(to < payload.len());
    let place = (u16::try_from(from).expect("a short packet") | more).to_be_bytes();
    let header = [frame[ETHERNET + 6], 0, place[0], place[1], 0x12, 0x34, 0x56, 0x78];
    behind(&[head, &payload[from..to]].concat(), FRAGMENT, &header)
}

/// The ICMPv6 error in a frame, whose checksum must be correct: type, code, pointer, and the quoted packet.
fn error(frame: &[u8]) -> (u8, u8, u32, Vec<u8>) {
    let packet = SlicedPacket::from_ethernet(frame).expect("a whole frame");
    let Some(NetSlice::Ipv6(ip)) = packet.net else { panic!("no IPv6") };
    let Some(TransportSlice::Icmpv6(icmp)) = packet.transport else { panic!("no ICMPv6") };
    let (source, destination) = (ip.header().source_addr().octets(), ip.header().destination_addr().octets());
    assert!(icmp.is_checksum_valid(source, destination));
    let slice: &Icmpv6Slice<'_> = &icmp;
    assert!(!matches!(slice.icmp_type(), Icmpv6Type::EchoReply(_)));
    let bytes = slice.slice();
    let pointer = u32::from_be_bytes(bytes[4..8].try_into().expect("four bytes"));
    (bytes[0], bytes[1], pointer, bytes[8..].to_vec())
}

#[test]
fn a_datagram_behind_headers_without_effect_is_delivered() {
    let world = World::new();
    let sent = content(100);
    // Options with only padding; a routing header without segments left; an atomic fragment (RFC 6946).
    let headers: [(u8, &[u8]); 6] = [
        (OPTIONS, &[UDP, 0, 1, 4, 0, 0, 0, 0]),
        (ROUTING, &[UDP, 0, 4, 0, 0, 0, 0, 0]),
        (FRAGMENT, &[UDP, 0, 0, 0, 1, 2, 3, 4]),
        (HOP_BY_HOP, &[UDP, 0, 1, 4, 0, 0, 0, 0]),
        (HOP_BY_HOP, &[OPTIONS, 0, 1, 4, 0, 0, 0, 0, ROUTING, 0, 1, 4, 0, 0, 0, 0, UDP, 0, 0, 0, 0, 0, 0, 0]),
        (OPTIONS, &[FRAGMENT, 0, 1, 4, 0, 0, 0, 0, UDP, 0, 0, 0, 9, 9, 9, 9]),
    ];
    for (next, headers) in headers {
        let frame = behind(&world.datagram(&sent), next, headers);
        assert_eq!(world.take(frame), (Ok(sent.clone()), vec![]), "{next}");
    }
}

#[test]
fn a_datagram_in_fragments_is_delivered_whatever_their_order() {
    let world = World::new();
    let sent = content(1400);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let frame = world.datagram(&sent);
        let parts = [(0, 504), (504, 1000), (1000, 1408)].map(|(from, to)| fragment(&frame, from, to));
        let mut last = None;
        for index in order {
            assert_ne!(last, Some(Ok(sent.clone())), "not before all are there");
            let (received, answers) = world.take(parts[index].clone());
            assert_eq!(answers, Vec::<Vec<u8>>::new());
            last = Some(received);
        }
        assert_eq!(last, Some(Ok(sent.clone())), "{order:?}");
    }
}

#[test]
fn fragments_that_overlap_are_dropped_with_their_packet() {
    let world = World::new();
    let frame = world.datagram(&content(1400));
    for part in [(0, 504), (496, 1000), (504, 1000), (1000, 1408)].map(|(from, to)| fragment(&frame, from, to)) {
        assert_eq!(world.take(part), (Err(ReceiveError::WouldBlock), vec![]));
    }
    // RFC 5722: further fragments of this packet are dropped too, so the sender has to use another identification.
    world.simulation.advance(PATIENCE + PATIENCE);
    world.victim.sent();
    let parts = [(0, 504), (504, 1408)].map(|(from, to)| fragment(&frame, from, to));
    assert_eq!(world.take(parts[0].clone()).0, Err(ReceiveError::WouldBlock));
    assert_eq!(world.take(parts[1].clone()).0, Ok(content(1400)));
}

#[test]
fn an_incomplete_packet_is_reported_if_its_first_fragment_arrived() {
    let world = World::new();
    let frame = world.datagram(&content(1400));
    let first = fragment(&frame, 0, 504);
    assert_eq!(world.take(first.clone()), (Err(ReceiveError::WouldBlock), vec![]));
    world.simulation.advance(PATIENCE - Duration::from_millis(1));
    assert_eq!(errors(&world.victim), []);
    world.simulation.advance(Duration::from_millis(1));
    let told = errors(&world.victim);
    assert_eq!(told, [(TIME_EXCEEDED, 1, 0, first[ETHERNET..].to_vec())]);
    // Without the first fragment no error is sent (RFC 8200 section 4.5).
    assert_eq!(world.take(fragment(&frame, 504, 1000)), (Err(ReceiveError::WouldBlock), vec![]));
    world.simulation.advance(PATIENCE * 2);
    assert_eq!(errors(&world.victim), []);
}

/// The ICMPv6 errors among the sent frames.
fn errors(monitor: &Monitor) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let is_error = |frame: &Vec<u8>| {
        frame[12..14] == [0x86, 0xdd] && frame[ETHERNET + 6] == ICMPV6 && frame[ETHERNET + IPV6] < 128
    };
    monitor.sent().into_iter().map(|seen| seen.bytes).filter(is_error).map(|frame| error(&frame)).collect()
}

#[test]
fn errors_in_headers_are_reported_with_their_position() {
    let world = World::new();
    let at = |offset: usize| u32::try_from(IPV6 + offset).expect("a short packet");
    let cases: [(u8, &[u8], u8, u32); 5] = [
        // An unknown option of type 0x80, which requests an error (section 4.2).
        (OPTIONS, &[UDP, 0, 0x80, 4, 0, 0, 0, 0], 2, at(2)),
        // A routing header of an unknown type with segments left (section 4.4).
        (ROUTING, &[UDP, 0, 77, 1, 0, 0, 0, 0], 0, at(2)),
        // Hop-by-hop options that are not the first header (section 4.1).
        (OPTIONS, &[HOP_BY_HOP, 0, 1, 4, 0, 0, 0, 0], 1, at(0)),
        // An unknown protocol.
        (OPTIONS, &[253, 0, 1, 4, 0, 0, 0, 0], 1, at(0)),
        // A fragment that is not the last, and whose length is not a multiple of eight bytes (section 4.5).
        (FRAGMENT, &[UDP, 0, 0, 1, 0, 0, 0, 1], 0, 4),
    ];
    for (next, headers, code, pointer) in cases {
        let frame = behind(&world.datagram(&content(101)), next, headers);
        let (received, answers) = world.take(frame.clone());
        assert_eq!(received, Err(ReceiveError::WouldBlock));
        let told: Vec<_> = answers.iter().map(|answer| error(answer)).collect();
        assert_eq!(told, [(PARAMETER_PROBLEM, code, pointer, frame[ETHERNET..].to_vec())], "{next}");
    }
}

#[test]
fn options_that_request_a_silent_drop_and_empty_packets_are_dropped() {
    let world = World::new();
    let cases: [(u8, &[u8]); 3] = [
        (OPTIONS, &[UDP, 0, 0x40, 4, 0, 0, 0, 0]),
        (OPTIONS, &[NONE, 0, 1, 4, 0, 0, 0, 0]),
        (OPTIONS, &[UDP, 200, 1, 4, 0, 0, 0, 0]),
    ];
    for (next, headers) in cases {
        let before = world.hosts[1].interface("eth0").expect("it is there").statistics().received.dropped;
        let frame = behind(&world.datagram(&content(10)), next, headers);
        let (received, answers) = world.take(frame);
        assert_eq!(received, Err(ReceiveError::WouldBlock));
        // A length beyond the packet is reported (RFC 4443 section 3.4), the other errors are not.
        assert_eq!(answers.len(), usize::from(headers[1] == 200));
        assert_eq!(world.hosts[1].interface("eth0").expect("it is there").statistics().received.dropped, before + 1);
    }
}

#[test]
fn neighbour_discovery_in_a_fragment_is_ignored() {
    let world = World::new();
    world.datagram(b"known");
    let (own, host) = (world.receiver.local_addr().ip(), Family::V6.host(9));
    let (std::net::IpAddr::V6(own), std::net::IpAddr::V6(host)) = (own, host) else { panic!("both are IPv6") };
    let template = world.datagram(b"x");
    let solicitation = |is_fragment: bool| {
        let mut frame = template[..ETHERNET + IPV6].to_vec();
        frame[ETHERNET + 6] = ICMPV6;
        frame[ETHERNET + 7] = 255;
        frame[ETHERNET + 8..ETHERNET + 24].copy_from_slice(&host.octets());
        let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
        message.extend(own.octets());
        message.extend([1, 1, 2, 0, 0, 0, 0, 9]);
        let header = Icmpv6Type::Unknown { type_u8: 135, code_u8: 0, bytes5to8: [0; 4] };
        let sum = header.calc_checksum(host.octets(), own.octets(), &message[8..]).expect("a short message");
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        frame.extend(message);
        frame[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&[0, 32]);
        if is_fragment { behind(&frame, FRAGMENT, &[ICMPV6, 0, 0, 0, 1, 2, 3, 4]) } else { frame }
    };
    assert_eq!(world.take(solicitation(true)).1, Vec::<Vec<u8>>::new(), "RFC 6980 section 5");
    assert_eq!(world.take(solicitation(false)).1.len(), 1, "the same is answered where it is whole");
}

/// A reassembled packet may itself be a fragment of another packet, and so on; the sender determines the depth.
#[test]
fn nested_fragments_are_reassembled_three_levels_deep_and_no_deeper() {
    let world = World::new();
    let template = world.datagram(&content(24));
    let (head, datagram) = template.split_at(ETHERNET + IPV6);
    let part = |level: u8, next: u8, offset: u16, more: bool, payload: &[u8]| {
        let place = (offset | u16::from(more)).to_be_bytes();
        behind(&[head, payload].concat(), FRAGMENT, &[next, 0, place[0], place[1], 0, 0, 1, level])
    };
    for (depth, arrives) in [(1, true), (2, true), (3, false), (60, false), (200, false)] {
        // The first part of the datagram, and its second part inside more and more packets of two fragments each.
        world.take(part(0, UDP, 0, true, &datagram[..16])).0.expect_err("a part is missing");
        let mut inner = [&[NONE, 0, 0, 16, 0, 0, 1, 0], &datagram[16..]].concat();
        for level in 1..=depth {
            world.take(part(level, FRAGMENT, 0, true, &inner[..8])).0.expect_err("a part is missing");
            inner = [&[NONE, 0, 0, 8, 0, 0, 1, level], &inner[8..]].concat();
        }
        let (received, _) =
            world.take(behind(&[head, &inner[8..]].concat(), FRAGMENT, inner.first_chunk::<8>().unwrap()));
        assert_eq!(received.is_ok(), arrives, "{depth}");
        world.simulation.advance(PATIENCE * 2);
    }
    let frame = behind(&world.datagram(b"alive"), OPTIONS, &[UDP, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(world.take(frame).0, Ok(b"alive".to_vec()));
}
