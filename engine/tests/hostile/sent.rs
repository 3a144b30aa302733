//! Checks everything that leaves an engine: it must be well-formed, from an address of its own, and allowed.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::collections::{HashMap, HashSet};

use smoltcp::wire::{EthernetAddress, IpProtocol};
use xila_network_engine::interface::Interface;
use xila_network_engine::ip::headers::Packet;
use xila_network_engine::ip::icmp::{Message, Report};
use xila_network_engine::ip::reassembly::{Outcome, Reassembly};
use xila_network_engine::link::arp::{Arp, Operation};
use xila_network_engine::link::groups::multicast_hardware;
use xila_network_engine::link::ndp;
use xila_network_engine::random::{Random, Secret};
use xila_network_engine::tcp::segment::Segment;
use xila_network_engine::time::Instant;
use xila_network_engine::udp::datagram;

use super::craft::{FRAGMENT, ICMP, ICMPV6};
use super::peer::{checksum, sum};

/// What one engine has sent, and what it has received before.
pub(crate) struct Sent {
    /// The addresses and networks that it has ever had, because waiting packets leave later.
    own: HashSet<IpAddr>,
    broadcasts: HashSet<Ipv4Addr>,
    hardware: HashSet<EthernetAddress>,
    pub(crate) widest: usize,
    began: Instant,
    /// Its own fragments, as a peer reassembles them.
    fragments: Reassembly,
    /// The packet that it is receiving, and whether the frame is multicast or broadcast.
    heard: Option<(Vec<u8>, bool)>,
    /// The number of frames that it has received, and of those with a unicast IPv4 packet for it.
    frames: u64,
    for_one_v4: u64,
    errors: HashMap<IpAddr, u64>,
    errors_v4: u64,
    echoes: u64,
    echoes_v4: u64,
    arp_replies: u64,
}

impl Sent {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            own: HashSet::new(),
            broadcasts: HashSet::new(),
            hardware: HashSet::new(),
            widest: 0,
            began: now,
            fragments: Reassembly::new(&Secret::new(&mut Random::new([9; 32]))),
            heard: None,
            frames: 0,
            for_one_v4: 0,
            errors: HashMap::new(),
            errors_v4: 0,
            echoes: 0,
            echoes_v4: 0,
            arp_replies: 0,
        }
    }

    /// Records the current settings of the engine.
    pub(crate) fn note(&mut self, interface: &Interface) {
        self.widest = self.widest.max(interface.link().mtu);
        self.hardware.extend(interface.link().hardware);
        for address in interface.addresses().iter() {
            self.own.insert(address.address());
            if let smoltcp::wire::IpCidr::Ipv4(cidr) = address.cidr {
                self.broadcasts.extend(cidr.broadcast());
            }
        }
    }

    /// Records a frame that is about to be received.
    pub(crate) fn hears(&mut self, frame: &[u8], interface: &Interface) {
        self.frames += 1;
        let (to_many, packet) = match interface.link().hardware {
            Some(_) => (frame.first().is_some_and(|first| first & 1 == 1), frame.get(14..).unwrap_or_default()),
            None => (false, frame),
        };
        let destination = packet.get(16..20).and_then(<[u8]>::first_chunk::<4>).copied().map(Ipv4Addr::from);
        let is_v4 = packet.first().is_some_and(|first| first >> 4 == 4);
        // An address may be the station's own, and the broadcast address of another of its networks. Then it counts as
        // its own.
        let is_for_one = |address: Ipv4Addr| {
            let is_broadcast = address.is_broadcast() || interface.addresses().is_broadcast(address.into());
            !address.is_multicast() && (!is_broadcast || interface.is_local(address.into()))
        };
        if is_v4 && !to_many && destination.is_some_and(is_for_one) {
            self.for_one_v4 += 1;
        }
        // An error that waits for the device may be about the same packet in an earlier unicast frame.
        self.heard = Some((packet.to_vec(), to_many && !interface.is_behind()));
    }

    /// The frame has been processed.
    pub(crate) fn hears_no_more(&mut self) {
        self.heard = None;
    }

    /// Checks a frame that has left.
    pub(crate) fn look(&mut self, frame: &[u8], interface: &Interface, now: Instant) {
        self.note(interface);
        if interface.link().hardware.is_none() {
            return self.packet(frame, None, interface, now);
        }
        let (link, packet) = frame.split_at(14);
        let to = EthernetAddress::from_bytes(&link[..6]);
        assert!(self.hardware.contains(&EthernetAddress::from_bytes(&link[6..12])), "from another station");
        // After a change of the hardware address a neighbour may have the old one.
        let is_own = self.hardware.len() == 1 && self.hardware.contains(&to);
        assert!(!is_own && to.0 != [0; 6], "to {to}, which is no other station: {frame:02x?}");
        match [link[12], link[13]] {
            [0x08, 0x06] => self.arp(packet, to),
            [0x08, 0x00] | [0x86, 0xdd] => {
                assert_eq!(packet[0] >> 4, if link[12] == 8 { 4 } else { 6 }, "the version and the Ethertype");
                self.packet(packet, Some(to), interface, now);
            }
            other => panic!("frames of type {other:?}"),
        }
    }

    /// Checks the totals.
    pub(crate) fn check(&self, now: Instant) {
        let seconds = (now - self.began).as_secs();
        // Each error takes zero to two tokens of the common bucket, and one of its destination's (`ip::limiter`).
        let (errors, most) =
            (self.errors.values().sum::<u64>(), self.errors.values().copied().max().unwrap_or_default());
        assert!(errors <= 200 + 4000 * seconds, "{errors} errors in {seconds} s");
        assert!(most <= 40 + 10 * (seconds + 1), "{most} errors to one host in {seconds} s");
        assert!(errors <= self.frames && self.errors_v4 <= self.for_one_v4, "more errors than packets");
        assert!(
            self.echoes <= self.frames && self.echoes_v4 <= self.for_one_v4,
            "more replies than requests: {:02x?}",
            self.heard
        );
        assert!(self.arp_replies <= self.frames, "more replies than requests");
    }

    fn arp(&mut self, message: &[u8], to: EthernetAddress) {
        let arp = Arp::read(message).unwrap_or_else(|| panic!("an ARP message: {message:02x?}"));
        assert_eq!(message.len(), 28, "nothing behind it");
        assert!(self.hardware.contains(&arp.sender_hardware), "of another station");
        let is_probe = arp.sender.is_unspecified() && arp.operation == Operation::Request;
        assert!(is_probe || self.own.contains(&arp.sender.into()), "from {}", arp.sender);
        // The answer to a probe has no target address.
        let is_reply = arp.operation == Operation::Reply;
        assert!(
            !arp.target.is_multicast() && (is_reply || !arp.target.is_unspecified()),
            "about {}: {message:02x?}",
            arp.target
        );
        if is_reply {
            self.arp_replies += 1;
            assert!(to.is_unicast(), "an answer to many");
        }
    }

    fn packet(&mut self, bytes: &[u8], to: Option<EthernetAddress>, interface: &Interface, now: Instant) {
        let packet = Packet::parse(bytes, true).unwrap_or_else(|refusal| panic!("{refusal}: {bytes:02x?}"));
        assert!(bytes.len() <= self.widest, "{} bytes on a link for {}", bytes.len(), self.widest);
        assert_eq!(packet.bytes.len(), bytes.len(), "padding");
        assert_ne!(packet.hop_limit, 0);
        self.ends(&packet, to);
        if packet.needs_reassembly() {
            while self.fragments.expire(now).is_some() {}
            match self.fragments.add(&packet, now) {
                Outcome::Pending => {}
                Outcome::Whole(whole) => {
                    let whole = Packet::parse(&whole, true).expect("a packet that was cut");
                    self.content(&whole, interface);
                }
                outcome @ (Outcome::Refused(_) | Outcome::Dropped(_)) => panic!("{outcome:?} of an own fragment"),
            }
            return;
        }
        self.content(&packet, interface);
    }

    fn ends(&self, packet: &Packet<'_>, to: Option<EthernetAddress>) {
        let Packet { source, destination, .. } = *packet;
        assert!(source.is_unspecified() || self.own.contains(&source), "{source} is not this host's");
        assert!(!destination.is_unspecified() && !destination.is_loopback(), "nobody is {destination}");
        let Some(to) = to else { return };
        let is_broadcast = match destination {
            IpAddr::V4(address) => address.is_broadcast() || self.broadcasts.contains(&address),
            IpAddr::V6(_) => false,
        };
        if destination.is_multicast() && to.is_multicast() {
            assert_eq!(to, multicast_hardware(destination));
        } else {
            assert_eq!(to.is_unicast(), !(is_broadcast && to.is_broadcast()), "{destination} by {to}");
        }
    }

    fn content(&mut self, packet: &Packet<'_>, interface: &Interface) {
        let Packet { source, destination, .. } = *packet;
        let payload = packet.payload();
        let is_for_one = !destination.is_multicast() && !interface.addresses().is_broadcast(destination);
        match (packet.protocol, source) {
            (IpProtocol::Tcp, _) => {
                assert!(Segment::parse(source, destination, payload, &[], true).is_some(), "{:02x?}", packet.bytes);
                assert!(!source.is_unspecified() && is_for_one, "from {source} to {destination}");
            }
            (IpProtocol::Udp, _) => {
                let read = datagram::read(source, destination, payload, true).expect("a datagram");
                // Only DHCP may use the unspecified source (RFC 2131 section 4.1).
                let is_dhcp = (read.source.port(), read.destination.port()) == (68, 67);
                assert!(!source.is_unspecified() || (is_dhcp && destination == IpAddr::V4(Ipv4Addr::BROADCAST)));
            }
            (IpProtocol::Icmp, IpAddr::V4(_)) => self.message(packet, is_for_one),
            (IpProtocol::Igmp, IpAddr::V4(_)) => igmp(packet),
            (IpProtocol::Icmpv6, IpAddr::V6(source)) => match payload.first() {
                Some(131 | 132 | 143) => mld(packet),
                Some(133..=137) => discovery(packet, source, self),
                _ => self.message(packet, is_for_one),
            },
            (protocol, _) => panic!("{protocol} is not spoken here"),
        }
    }

    /// Checks an ICMP message of either family.
    fn message(&mut self, packet: &Packet<'_>, is_for_one: bool) {
        let Packet { source, destination, .. } = *packet;
        assert!(!source.is_unspecified(), "an ICMP message from nobody");
        match Message::read(source, destination, packet.payload(), true).expect("a message") {
            Message::EchoRequest(_) => {}
            Message::EchoReply(_) => {
                assert!(is_for_one, "an echo reply to {destination}");
                self.echoes += 1;
                self.echoes_v4 += u64::from(source.is_ipv4());
            }
            Message::Error(report) => {
                assert!(is_for_one, "an error to {destination}");
                assert_eq!(report.quoted.source, destination, "an error to who has not sent the packet");
                *self.errors.entry(destination).or_default() += 1;
                self.errors_v4 += u64::from(source.is_ipv4());
                assert!(packet.bytes.len() <= if source.is_ipv4() { 576 } else { 1280 }, "too long for an error");
                self.error(&report);
            }
            Message::Other { number, code } => panic!("nobody sends type {number}, code {code}"),
        }
    }

    /// Checks an ICMP error (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)).
    fn error(&self, report: &Report<'_>) {
        let quoted = report.quoted.bytes;
        // The packet may be longer than its quoted part.
        let whole = self.heard.as_ref().map(|(heard, _)| &heard[..]).filter(|heard| heard.starts_with(quoted));
        let whole = whole.unwrap_or(quoted);
        let (at, protocol, offset) = upper(whole);
        let number = whole.get(at).copied();
        match report.quoted.destination {
            IpAddr::V4(to) => {
                assert!(!to.is_multicast() && !to.is_broadcast(), "about a packet for many");
                assert_eq!(offset, 0, "about a later fragment");
                let is_error = matches!(number, None | Some(3 | 4 | 5 | 11 | 12));
                assert!(protocol != ICMP || !is_error, "about an error: {quoted:02x?}");
            }
            IpAddr::V6(to) => {
                // The exceptions: packet too big, and an option that asks for an error.
                let is_exception = matches!((report.number, report.code), (2, _) | (4, 2));
                let is_length = (report.number, report.code) == (4, 0);
                let to_many = self.heard.as_ref().is_some_and(|(heard, to_many)| *to_many && heard.starts_with(quoted));
                assert!(is_exception || !(to.is_multicast() || to_many), "about a packet for many");
                assert!(offset == 0 || is_length, "about a later fragment: {quoted:02x?} {report:?}");
                let is_error = number.is_none_or(|number| number < 128 || number == 137);
                assert!(protocol != ICMPV6 || offset != 0 || !is_error, "about an error: {quoted:02x?}");
            }
        }
    }
}

/// The offset of the upper-layer header in a quoted packet, its protocol, and the fragment offset.
fn upper(packet: &[u8]) -> (usize, u8, u16) {
    if packet[0] >> 4 == 4 {
        return (usize::from(packet[0] & 15) * 4, packet[9], u16::from_be_bytes([packet[6], packet[7]]) & 0x1fff);
    }
    let (mut next, mut at, mut offset) = (packet[6], 40, 0);
    while let Some(&[named, length]) = packet.get(at..at + 2) {
        let end = at
            + match next {
                0 | 43 | 60 => (usize::from(length) + 1) * 8,
                FRAGMENT if offset == 0 => {
                    offset =
                        packet.get(at + 2..at + 4).map_or(0, |field| u16::from_be_bytes([field[0], field[1]]) >> 3);
                    8
                }
                _ => break,
            };
        if end > packet.len() {
            // The content after such a header is unknown.
            break;
        }
        (next, at) = (named, end);
        if offset != 0 {
            break;
        }
    }
    (at, next, offset)
}

/// Checks an IGMP message (RFC 3376 section 4, RFC 2236).
fn igmp(packet: &Packet<'_>) {
    let message = packet.payload();
    assert_eq!(checksum(sum(message)), [0, 0], "the checksum");
    assert_eq!((packet.hop_limit, packet.router_alert), (1, Some(0)));
    let group = message.get(4..8).and_then(<[u8]>::first_chunk::<4>).copied().map(Ipv4Addr::from).expect("a group");
    let to = match message[0] {
        0x12 | 0x16 => group,
        0x17 => Ipv4Addr::new(224, 0, 0, 2),
        0x22 => Ipv4Addr::new(224, 0, 0, 22),
        other => panic!("hosts do not send type {other}"),
    };
    assert_eq!(packet.destination, IpAddr::V4(to));
    assert!(to.is_multicast() && (message[0] == 0x22 || group.is_multicast()), "{group} is no group");
}

/// Checks an MLD message (RFC 3810 section 5.2, RFC 2710, RFC 3590).
fn mld(packet: &Packet<'_>) {
    let message = packet.payload();
    Message::read(packet.source, packet.destination, message, true).expect("a message");
    assert_eq!((packet.hop_limit, packet.router_alert), (1, Some(0)));
    let is_link_local = matches!(packet.source, IpAddr::V6(source) if source.is_unicast_link_local());
    assert!(is_link_local || packet.source.is_unspecified(), "from {}", packet.source);
    let to = match message[0] {
        131 => message.get(8..24).and_then(<[u8]>::first_chunk::<16>).copied().map(Ipv6Addr::from).expect("a group"),
        132 => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2),
        _ => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16),
    };
    assert_eq!(packet.destination, IpAddr::V6(to));
}

/// Checks a neighbour discovery message (RFC 4861 section 4, RFC 4862 section 5.4.2).
fn discovery(packet: &Packet<'_>, source: Ipv6Addr, sent: &Sent) {
    let IpAddr::V6(destination) = packet.destination else { panic!("of two families") };
    let hop_limit = packet.hop_limit;
    let received = ndp::Received { source, destination, hop_limit, fragmented: false, bytes: packet.payload() };
    assert!(packet.fragment.is_none(), "RFC 6980");
    match ndp::Message::read(&received, true).expect("what its peers take") {
        ndp::Message::Solicitation(solicitation) => {
            assert!(!solicitation.target.is_multicast());
            assert_eq!(source.is_unspecified(), solicitation.hardware.is_none(), "the option of a question");
        }
        ndp::Message::Advertisement(said) => {
            assert!(sent.own.contains(&said.target.into()), "{} is not this host's", said.target);
            assert!(!source.is_unspecified() && !said.router);
            assert!(!(said.solicited && destination.is_multicast()));
        }
        ndp::Message::RouterSolicitation => {}
        ndp::Message::RouterAdvertisement(_) | ndp::Message::Redirect(_) => panic!("this host is no router"),
    }
}

/// The longest time that passes in one step.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
