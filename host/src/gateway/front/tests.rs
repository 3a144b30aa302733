//! What packets are, and that no change of a packet makes it one that is carried where none may be.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use smoltcp::wire::Ipv4Packet;
use tokio::sync::watch;
use xila_network_engine::buffer::Payload;
use xila_network_engine::ip::icmp::write;
use xila_network_engine::ip::output::{Checksums, Header};

use super::*;
use crate::device::hub::{Hub, HubOptions};
use crate::device::intercepted::Intercepted;
use crate::platform::tokio::platform;

const APP: &str = "10.0.2.15:1234";
const APP_6: &str = "[fd00::f]:1234";

/// Leaves all frames to the stack.
struct Deaf;

impl Interceptor for Deaf {
    fn intercept(&mut self, _: Instant, frame: Frame) -> Option<Frame> {
        Some(frame)
    }
}

/// The front of a gateway with the addresses 10.0.2.2 and fd00::2, at which ports 53, 67 and 8080 of the host are
/// allowed.
fn front() -> Front {
    let platform = platform();
    let router = |text: &str| text.parse().expect("an address");
    let router = Router { v4: router("10.0.2.2/24"), v6: router("fd00::2/64") };
    let allowed = ["53", "67", "8080"].map(|port| port.parse().expect("a port")).to_vec();
    let mut injector = None;
    let _device = Intercepted::new(Hub::new(&platform, HubOptions::default()).port(), |there| {
        injector = Some(there);
        Deaf
    });
    let injector = injector.expect("it was made");
    let outside = Outside { private: false, allowed };
    let shared = Shared { platform, router, outside, interface: OnceLock::new(), ended: watch::channel(()).1 };
    let shared = Arc::new(shared);
    let replies = Replies::new(shared.clone());
    let connections = Arc::new(Connections::new(shared.clone(), replies.clone(), injector.clone()));
    let hardware = MacAddress::new([2, 0, 0, 0, 0, 1]).expect("a unicast address");
    Front::new(&shared, hardware, injector, connections, replies)
}

fn end(text: &str) -> SocketAddr {
    text.parse().expect("an end")
}

fn packet(source: IpAddr, destination: IpAddr, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let header = Header { source, destination, protocol, hop_limit: 64, traffic_class: 0 };
    let mut packet = vec![0; header.length()];
    header.write(&mut packet, payload.len(), true);
    packet.extend(payload);
    packet
}

fn datagram_to(app: &str, to: &str) -> Vec<u8> {
    let (app, to) = (end(app), end(to));
    let data = &b"some data"[..];
    let head = datagram::header(app, to, Payload::from(data), Checksums::All).expect("a short one");
    packet(app.ip(), to.ip(), IpProtocol::Udp, &[&head[..], data].concat())
}

fn syn_to(app: &str, to: &str) -> Vec<u8> {
    let (app, to) = (end(app), end(to));
    let mut bytes = [0; 20];
    let mut segment = TcpPacket::new_unchecked(&mut bytes[..]);
    segment.set_src_port(app.port());
    segment.set_dst_port(to.port());
    segment.set_header_len(20);
    segment.set_syn(true);
    segment.fill_checksum(&app.ip().into(), &to.ip().into());
    packet(app.ip(), to.ip(), IpProtocol::Tcp, &bytes)
}

fn echo_to(app: &str, to: &str) -> Vec<u8> {
    let (app, to) = (end(app).ip(), end(to).ip());
    let mut message = Vec::new();
    write::echo_request(&mut message, app, to, 7, 9, b"some data");
    packet(app, to, if app.is_ipv4() { IpProtocol::Icmp } else { IpProtocol::Icmpv6 }, &message)
}

const fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Own => "own",
        Kind::Done => "done",
        Kind::Fragment => "fragment",
        Kind::Syn { .. } => "SYN",
        Kind::Datagram { .. } => "datagram",
        Kind::Echo { .. } => "echo",
        Kind::Refused { .. } => "refused",
    }
}

/// Packets and what they are.
fn examples() -> Vec<(Vec<u8>, &'static str)> {
    let changed = |mut packet: Vec<u8>, at: usize, value: u8| {
        packet[at] = value;
        fix(&mut packet);
        packet
    };
    vec![
        (datagram_to(APP, "192.0.2.1:80"), "datagram"),
        (datagram_to(APP_6, "[2001:db8::1]:53"), "datagram"),
        (datagram_to(APP, "10.0.2.2:8080"), "datagram"),
        (datagram_to(APP_6, "[fd00::2]:8080"), "datagram"),
        (datagram_to(APP, "10.0.2.2:53"), "own"),
        (datagram_to(APP, "10.0.2.2:67"), "own"),
        (datagram_to(APP, "10.0.2.2:9"), "own"),
        (datagram_to(APP, "10.0.2.16:80"), "own"),
        (datagram_to(APP, "255.255.255.255:67"), "own"),
        (datagram_to(APP_6, "[ff02::1]:80"), "own"),
        (syn_to(APP, "192.0.2.1:80"), "SYN"),
        (syn_to(APP_6, "[2001:db8::1]:80"), "SYN"),
        (syn_to(APP, "10.0.2.2:8080"), "SYN"),
        (syn_to(APP, "10.0.2.2:53"), "own"),
        (syn_to(APP_6, "[fe80::1]:80"), "SYN"),
        (syn_to(APP, "10.0.2.77:80"), "SYN"),
        (syn_to(APP, "224.0.0.1:80"), "own"),
        (echo_to(APP, "192.0.2.1:0"), "echo"),
        (echo_to(APP_6, "[2001:db8::1]:0"), "echo"),
        (echo_to(APP, "10.0.2.2:0"), "own"),
        (changed(datagram_to(APP, "192.0.2.1:80"), 6, 0x20), "fragment"),
        (changed(datagram_to(APP, "192.0.2.1:80"), 8, 1), "refused"),
        (changed(datagram_to(APP, "192.0.2.1:80"), 9, 132), "refused"),
        (changed(echo_to(APP, "192.0.2.1:0"), 20, 3), "done"),
    ]
}

/// Makes the checksum of an IPv4 header right, as far as it has one.
fn fix(packet: &mut [u8]) {
    let length = packet.first().map_or(0, |first| usize::from(first & 0xf) * 4);
    if packet.first().is_some_and(|first| first >> 4 == 4) && (20..=packet.len()).contains(&length) {
        Ipv4Packet::new_unchecked(packet).fill_checksum();
    }
}

/// Asserts that what a packet is agrees with its header, and that it is carried to the outside only if it may be.
fn check(front: &Front, packet: &[u8], kind: &Kind) {
    if matches!(kind, Kind::Own) {
        return;
    }
    let read = Packet::parse(packet, true).unwrap_or_else(|_| panic!("{} is malformed", name(kind)));
    let (source, target) = (read.source, read.destination);
    let is_own = front.router.is(target);
    let is_carried = !matches!(kind, Kind::Syn { .. });
    assert!(is_own || !is_carried || !front.router.is_near(target), "{} stays on the network: {target}", name(kind));
    match kind {
        Kind::Own | Kind::Done => {}
        Kind::Fragment => assert!(read.needs_reassembly()),
        Kind::Refused { app, reason: _ } => assert_eq!((*app, is_own), (source, false)),
        Kind::Syn { ends, segment_at } => {
            assert_eq!((ends.0.ip(), ends.1.ip()), (source, target));
            let segment = TcpPacket::new_checked(&packet[*segment_at..]).expect("a segment");
            assert!(
                segment.syn()
                    && !segment.ack()
                    && (ends.0.port(), ends.1.port()) == (segment.src_port(), segment.dst_port())
            );
            assert!(!is_own || ends.1.port() != DNS);
            assert!(!is_of_connection(packet));
        }
        Kind::Datagram { app, destination, payload } => {
            assert_eq!((app.ip(), destination.ip()), (source, target));
            assert!(payload.start <= payload.end && packet.get(payload.clone()).is_some(), "{payload:?}");
            assert!(
                !is_own
                    || front
                        .outside
                        .on_loopback(*destination)
                        .is_some_and(|_| ![DNS, DHCP].contains(&destination.port()))
            );
        }
        Kind::Echo { app, destination, payload, .. } => {
            assert_eq!((*app, *destination, is_own), (source, target, false));
            assert!(payload.start <= payload.end && packet.get(payload.clone()).is_some(), "{payload:?}");
        }
    }
}

#[tokio::test]
async fn packets_are_what_they_are() {
    let front = front();
    for (packet, expected) in examples() {
        let kind = front.classify(&packet, false);
        assert_eq!(name(&kind), expected, "{packet:02x?}");
        check(&front, &packet, &kind);
    }
}

#[tokio::test]
async fn errors_are_few_and_only_about_packets_that_may_cause_one() {
    let front = front();
    let may = |packet: &[u8], reason| {
        let source = if packet[0] >> 4 == 4 { end(APP) } else { end(APP_6) }.ip();
        front.replies.may_report(packet, source, reason)
    };
    let changed = |mut packet: Vec<u8>, at: usize, value: u8| {
        packet[at] = value;
        fix(&mut packet);
        packet
    };
    let good = datagram_to(APP, "192.0.2.1:80");
    for silent in [
        changed(echo_to(APP, "192.0.2.1:0"), 20, 3),
        changed(good.clone(), 7, 1),
        datagram_to("10.0.2.255:7", "192.0.2.1:80"),
        datagram_to("0.0.0.0:7", "192.0.2.1:80"),
        datagram_to("224.0.0.1:7", "192.0.2.1:80"),
        datagram_to(APP, "224.0.0.1:80"),
        datagram_to(APP_6, "[ff0e::1]:80"),
        datagram_to("[::]:7", "[2001:db8::1]:80"),
        changed(echo_to(APP_6, "[2001:db8::1]:0"), 40, 1),
    ] {
        assert!(!may(&silent, Reason::Prohibited), "{silent:02x?}");
    }
    assert!(may(&good, Reason::Prohibited) && may(&datagram_to(APP_6, "[2001:db8::1]:80"), Reason::Prohibited));
    let count = (0..10_000).filter(|_| may(&good, Reason::Prohibited)).count();
    assert!((15..100).contains(&count), "{count}");
}

#[tokio::test]
async fn changed_packets_are_carried_only_where_their_headers_lead_and_may_lead() {
    let front = front();
    let examples = examples();
    let mut random = Random::new([3; 32]);
    let mut counts = BTreeMap::new();
    for _ in 0..20_000 {
        let (mut packet, _) = examples[random.below(examples.len() as u32) as usize].clone();
        for _ in 0..=random.below(3) {
            let at = random.below(packet.len() as u32) as usize;
            packet[at] = if random.below(2) == 0 { packet[at] ^ 1 << random.below(8) } else { random.next_u32() as u8 };
        }
        if random.below(4) == 0 {
            packet.truncate(random.below(packet.len() as u32 + 1) as usize);
        }
        if random.below(8) != 0 {
            fix(&mut packet);
        }
        let is_verified = random.below(2) == 0;
        let kind = front.classify(&packet, is_verified);
        check(&front, &packet, &kind);
        *counts.entry(name(&kind)).or_insert(0) += 1;
    }
    for (kind, count) in &counts {
        assert!(*count > 50, "{kind}: {count}");
    }
    assert_eq!(counts.len(), 7, "each kind of packet occurs: {counts:?}");
}
