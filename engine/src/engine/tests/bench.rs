//! The test bench: a host on a link, which is an engine with the frames that its device got and the events that it
//! emitted.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::vec;
use std::vec::Vec;

use smoltcp::wire::{EthernetAddress, IpCidr};

use super::write;
use crate::engine::{Arrived, Config, Datagram, EchoRequest, Engine};
use crate::event::Event;
use crate::frame::{Frame, Transmitter};
use crate::icmp::{Binding, Report};
use crate::interface::{Change, Link, SendError, Verification};
use crate::ip::addresses::{Address, Origin};
use crate::ip::headers::Packet;
use crate::ip::icmp::Message;
use crate::ip::routes::{Route, Target};
use crate::link::arp::Arp;
use crate::link::ndp;
use crate::link::neighbours::State;
use crate::ports::Owner;
use crate::random::Random;
use crate::tcp::{self, Attempt, Cause, ConnectionId, Options};
use crate::time::Instant;
use crate::udp::queue::{Content, PathError};
use crate::udp::{self, SocketId};

pub(super) const OWN: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
pub(super) const PEER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
pub(super) const OTHER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 3]);

pub(super) const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const PEER_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub(super) const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
pub(super) const PEER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
/// The link-local address of the peer, which is a router if a test needs one.
pub(super) const PEER_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
pub(super) const OTHER_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 3);

/// The port of this host's sockets in these tests, and the port of their peers.
pub(super) const PORT: u16 = 5000;
pub(super) const PEER_PORT: u16 = 6000;

/// The addresses of this host and of the peer, for each family.
pub(super) const FAMILIES: [(IpAddr, IpAddr); 2] =
    [(IpAddr::V4(V4), IpAddr::V4(PEER_V4)), (IpAddr::V6(V6), IpAddr::V6(PEER_V6))];

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The device.
pub(super) struct Wire {
    pub(super) frames: Vec<Sent>,
    /// How many more frames it takes.
    pub(super) room: usize,
    now: Instant,
}

impl Transmitter for Wire {
    fn transmit(&mut self, frame: Frame<'_>, write: &mut dyn FnMut(&mut [u8])) -> bool {
        let Some(room) = self.room.checked_sub(1) else { return false };
        self.room = room;
        let mut bytes = vec![0xaa; frame.length];
        write(&mut bytes);
        frame.apart.iter().for_each(|slice| bytes.extend_from_slice(slice));
        let Frame { segment, is_unchecked, .. } = frame;
        self.frames.push(Sent { at: self.now, bytes, segment, is_unchecked });
        true
    }
}

/// A frame that was sent, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) bytes: Vec<u8>,
    /// How the device must split the frame, and whether it completes the checksum.
    pub(super) segment: usize,
    pub(super) is_unchecked: bool,
}

impl Sent {
    pub(super) fn to(&self) -> EthernetAddress {
        EthernetAddress::from_bytes(&self.bytes[..6])
    }

    pub(super) fn from(&self) -> EthernetAddress {
        EthernetAddress::from_bytes(&self.bytes[6..12])
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.bytes[14..]
    }

    pub(super) fn arp(&self) -> Option<Arp> {
        (self.bytes[12..14] == write::ARP).then(|| Arp::read(self.body()).expect("a valid message"))
    }

    pub(super) fn packet(&self) -> Option<Packet<'_>> {
        let is_ip = self.bytes[12..14] == write::IPV4 || self.bytes[12..14] == write::IPV6;
        is_ip.then(|| Packet::parse(self.body(), true).expect("a valid packet"))
    }

    /// The ICMP message of either family in it, if the packet is complete.
    pub(super) fn icmp(&self) -> Option<Message<'_>> {
        let packet = self.packet().filter(|packet| !packet.needs_reassembly())?;
        let is_icmp = u8::from(packet.protocol) == write::icmp(packet.source);
        is_icmp
            .then(|| Message::read(packet.source, packet.destination, packet.payload(), true).expect("a valid message"))
    }

    /// The neighbour discovery message in it.
    pub(super) fn discovery(&self) -> Option<ndp::Message<'_>> {
        let packet = self.packet().filter(|packet| u8::from(packet.protocol) == 58)?;
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination) else { return None };
        let (bytes, hop_limit) = (packet.payload(), packet.hop_limit);
        match ndp::Message::read(&ndp::Received { source, destination, hop_limit, fragmented: false, bytes }, true) {
            Ok(message) => Some(message),
            Err(ndp::Invalid::OtherType) => None,
            Err(invalid) => panic!("{invalid}"),
        }
    }

    pub(super) fn solicitation(&self) -> Option<ndp::Solicitation> {
        match self.discovery() {
            Some(ndp::Message::Solicitation(solicitation)) => Some(solicitation),
            _ => None,
        }
    }

    pub(super) fn advertisement(&self) -> Option<ndp::Advertisement> {
        match self.discovery() {
            Some(ndp::Message::Advertisement(advertisement)) => Some(advertisement),
            _ => None,
        }
    }

    /// The payload of the UDP datagram in it, if the packet is complete.
    pub(super) fn datagram(&self) -> Option<&[u8]> {
        let packet = self.packet().filter(|packet| !packet.needs_reassembly())?;
        let read = udp::datagram::read(packet.source, packet.destination, packet.payload(), true);
        (u8::from(packet.protocol) == 17).then(|| read.expect("a valid datagram").payload)
    }
}

/// A host.
pub(super) struct Host {
    pub(super) engine: Engine,
    pub(super) wire: Wire,
    pub(super) now: Instant,
    pub(super) events: Vec<Event>,
}

impl Host {
    /// A host without addresses on an Ethernet with an MTU of 1500 bytes.
    pub(super) fn bare() -> Self {
        Self::on(Self::link(), 1)
    }

    pub(super) const fn link() -> Link {
        Link {
            hardware: Some(OWN),
            mtu: 1500,
            loops_back: false,
            checksums: true,
            completes_checksums: false,
            segmentation: 0,
            datagram_segmentation: false,
        }
    }

    pub(super) fn on(link: Link, seed: u8) -> Self {
        let tcp = tcp::Config::new(tcp::Link { mtu: link.mtu, lossless: link.loops_back, checksums: link.checksums });
        let config = Config { link, tcp, udp: udp::Limits::default(), echo_reply: true };
        let now = Instant::ORIGIN + seconds(1000);
        let wire = Wire { frames: Vec::new(), room: usize::MAX, now };
        Self { engine: Engine::new(config, Random::new([seed; 32])), wire, now, events: Vec::new() }
    }

    /// A host with an address of each family, whose announcements are over, and which knows no neighbour.
    pub(super) fn new() -> Self {
        let mut host = Self::bare();
        host.add(V4.into(), 24);
        host.add(V6.into(), 64);
        host.settle();
        host
    }

    /// A host as [`new`](Self::new) that knows its peer by both addresses, from solicitations of the peer.
    pub(super) fn acquainted() -> Self {
        let mut host = Self::new();
        host.meet();
        host
    }

    /// The peer solicits this host.
    pub(super) fn meet(&mut self) {
        self.receive(&write::arp(&Arp::request(PEER, PEER_V4, V4)));
        self.receive(&write::solicitation((OWN, PEER), &ndp::Solicitation::question(PEER_V6, PEER, V6)));
        self.wire.frames.clear();
    }

    /// Advances the time by a minute, in which all announcements and reports are sent. Clears the sent frames.
    pub(super) fn settle(&mut self) {
        self.advance(seconds(60));
        self.wire.frames.clear();
        self.events.clear();
    }

    pub(super) fn add(&mut self, address: IpAddr, prefix: u8) {
        let address = Address::new(IpCidr::new(address.into(), prefix), Origin::Static);
        self.engine.interface_mut().add_address(address, Verification::None, self.now).expect("room");
        self.act();
    }

    pub(super) fn route(&mut self, destination: &str, gateway: IpAddr) {
        let target = Target::Gateway { address: gateway, onlink: false };
        let route = Route::new(destination.parse().expect("a network"), target);
        self.engine.interface_mut().add_route(route).expect("room");
        self.act();
    }

    pub(super) fn act(&mut self) {
        self.with(|engine, now, wire| engine.act(now, wire));
    }

    /// Calls the engine, and then does what a shell does.
    pub(super) fn with<R>(&mut self, act: impl FnOnce(&mut Engine, Instant, &mut Wire) -> R) -> R {
        self.wire.now = self.now;
        let result = act(&mut self.engine, self.now, &mut self.wire);
        while let Some(id) = self.engine.tcp_mut().next_pending() {
            let sent = self.engine.transmit_connection(id, usize::MAX, self.now, &mut self.wire);
            if sent.progress == tcp::Progress::Blocked(crate::ip::output::Blocked::Full) {
                break;
            }
        }
        if self.engine.owes() {
            self.engine.transmit(self.now, &mut self.wire);
        }
        while let Some(event) = self.engine.poll_event() {
            self.events.push(event);
        }
        result
    }

    pub(super) fn receive(&mut self, frame: &[u8]) {
        let arrived = Arrived { head: frame, apart: &[], is_verified: false, segment: 0 };
        self.with(|engine, now, wire| engine.receive(arrived, now, wire));
    }

    /// Receives a packet from the peer.
    pub(super) fn receive_packet(&mut self, packet: &[u8]) {
        self.receive(&write::framed(OWN, PEER, packet));
    }

    /// Advances the time, and does what becomes due. An engine that repeatedly asks to be called at the same instant is
    /// an error, because it would keep a processor busy.
    pub(super) fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        let mut repeated = 0;
        while let Some(at) = self.engine.next_timeout().filter(|at| *at <= end) {
            repeated = if at <= self.now { repeated + 1 } else { 0 };
            assert!(repeated < 8, "it asks to be called again and again");
            self.now = self.now.max(at);
            self.with(|engine, now, wire| engine.handle_timeout(now, wire));
        }
        self.now = end;
    }

    /// The frames that were sent since the last call.
    pub(super) fn sent(&mut self) -> Vec<Sent> {
        core::mem::take(&mut self.wire.frames)
    }

    pub(super) fn bind(&mut self, address: IpAddr) -> SocketId {
        self.engine.bind_udp(SocketAddr::new(address, PORT), Owner(1)).expect("a free port")
    }

    /// Sends a datagram from the socket's port to the port of a peer.
    pub(super) fn send(&mut self, source: IpAddr, to: IpAddr, payload: &[u8]) -> Result<(), SendError> {
        let (source, destination) = (SocketAddr::new(source, PORT), SocketAddr::new(to, PEER_PORT));
        let owner = Owner(1);
        let datagram = Datagram { owner, source, destination, hop_limit: 64, whole: false, loops_back: false, payload };
        self.with(|engine, now, wire| engine.send_datagram(&datagram, now, wire))
    }

    pub(super) fn send_echo(&mut self, source: IpAddr, to: IpAddr, payload: &[u8]) -> Result<(), SendError> {
        // It may be bound already.
        let _bound = self.engine.bind_icmp(source.is_ipv4(), Binding::Echo(7), Owner(1));
        let (source, destination) = (SocketAddr::new(source, 7), SocketAddr::new(to, 0));
        let request = EchoRequest { owner: Owner(1), source, destination, hop_limit: 64, sequence: 1, payload };
        self.with(|engine, now, wire| engine.send_echo(&request, now, wire))
    }

    pub(super) fn connect(&mut self, source: IpAddr, to: IpAddr) -> ConnectionId {
        let (local, remote) = (SocketAddr::new(source, 0), SocketAddr::new(to, PEER_PORT));
        let attempt = Attempt::new(Owner(1), local, remote, seconds(60));
        self.with(|engine, now, _| engine.tcp_mut().connect(&attempt, Options::default(), now).expect("a port"))
    }

    pub(super) fn outcome(&mut self, id: ConnectionId) -> Option<Result<(), Cause>> {
        self.engine.tcp().is_connected(id)
    }

    /// The payloads of the datagrams that were delivered since the last call.
    pub(super) fn delivered(&mut self) -> Vec<Vec<u8>> {
        let events = core::mem::take(&mut self.events);
        let payload = |event| match event {
            Event::Datagram { datagram, .. } => match datagram.content {
                Content::Owned(bytes) => Some(bytes),
                Content::Shared(slice) => Some(slice.to_vec()),
            },
            _ => None,
        };
        events.into_iter().filter_map(payload).collect()
    }

    pub(super) fn path_errors(&self) -> Vec<(SocketAddr, PathError)> {
        let error = |event: &Event| match event {
            Event::PathError { remote, error, .. } => Some((*remote, *error)),
            _ => None,
        };
        self.events.iter().filter_map(error).collect()
    }

    pub(super) fn reports(&self) -> Vec<Report> {
        let report = |event: &Event| if let Event::Report(report) = event { Some(*report) } else { None };
        self.events.iter().filter_map(report).collect()
    }

    pub(super) fn changes(&self) -> Vec<Change> {
        let change = |event: &Event| if let Event::Changed(change) = event { Some(*change) } else { None };
        self.events.iter().filter_map(change).collect()
    }

    /// The state and hardware address of a neighbour.
    pub(super) fn neighbour(&self, address: IpAddr) -> Option<(State, Option<EthernetAddress>)> {
        let mut all = self.engine.interface().neighbours(self.now);
        all.find(|known| known.hop == address).map(|known| (known.state, known.hardware))
    }

    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.engine.interface().is_local(address)
    }

    /// The dropped packets: in the engine's counters and in the interface's.
    pub(super) fn dropped(&self) -> (u64, u64) {
        (self.engine.counters().dropped, self.engine.interface().counters().dropped)
    }
}

/// Carries frames between two hosts until there are none left. Frames for others are dropped, as by a switch.
pub(super) fn exchange(one: &mut Host, other: &mut Host) {
    for _ in 0..100 {
        let (forth, back) = (one.sent(), other.sent());
        if forth.is_empty() && back.is_empty() {
            return;
        }
        forth.iter().for_each(|frame| other.receive(&frame.bytes));
        back.iter().for_each(|frame| one.receive(&frame.bytes));
    }
    panic!("they never stop");
}

/// A host as [`Host::new`], with the addresses of the peer.
pub(super) fn peer() -> Host {
    let mut host = Host::on(Link { hardware: Some(PEER), ..Host::link() }, 2);
    host.add(PEER_V4.into(), 24);
    host.add(PEER_V6.into(), 64);
    host.settle();
    host
}
