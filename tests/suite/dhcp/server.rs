//! A station on the segment that records what it receives, and is a small DHCP server.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress,
    EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};
use xila_network_host::device::Device;
use xila_network_host::device::hub::{Hub, HubPort};
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::platform::{Clock, Instant};

use super::world::Common;

/// The station's hardware address.
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x66];

/// The station: a handle to its state, and to its port on the segment.
pub(crate) struct Server {
    port: Common<HubPort>,
    state: Common<State>,
    clock: Arc<dyn Clock>,
}

/// How the server answers requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Grant,
    Refuse,
    Nothing,
}

/// The contents of the leases that the server offers.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) server: Ipv4Addr,
    pub(crate) address: Ipv4Addr,
    pub(crate) mask: Option<Ipv4Addr>,
    pub(crate) routers: Vec<Ipv4Addr>,
    pub(crate) dns_servers: Vec<Ipv4Addr>,
    /// Lease time, T1 and T2 in seconds.
    pub(crate) times: [Option<u32>; 3],
    /// Other options, with their codes.
    pub(crate) others: Vec<(u8, Vec<u8>)>,
}

/// A DHCP message that the server has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) kind: DhcpMessageType,
    pub(crate) destination: Ipv4Addr,
    pub(crate) client: Ipv4Addr,
    /// The requested address (option 50).
    pub(crate) requested: Option<Ipv4Addr>,
}

pub(crate) type Mangler = Box<dyn FnMut(&mut Vec<u8>) + Send>;

pub(crate) struct State {
    pub(crate) answer: Answer,
    pub(crate) answers_arp: bool,
    /// Addresses that the station owns besides the server's.
    pub(crate) taken: Vec<Ipv4Addr>,
    /// The number of times that each answer is sent.
    pub(crate) copies: usize,
    pub(crate) terms: Terms,
    pub(crate) heard: Vec<Heard>,
    pub(crate) frames: Vec<Vec<u8>>,
    /// Changes each answer before it is sent.
    pub(crate) mangler: Option<Mangler>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            server: Ipv4Addr::new(10, 9, 0, 1),
            address: Ipv4Addr::new(10, 9, 0, 50),
            mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
            routers: vec![Ipv4Addr::new(10, 9, 0, 1)],
            dns_servers: vec![Ipv4Addr::new(10, 9, 0, 2), Ipv4Addr::new(9, 9, 9, 9)],
            times: [Some(1000), Some(400), Some(800)],
            others: Vec::new(),
        }
    }
}

impl Server {
    pub(crate) fn new(simulation: &Simulation, hub: &Hub) -> Self {
        let platform = simulation.platform();
        let state = State {
            answer: Answer::Grant,
            answers_arp: true,
            taken: Vec::new(),
            copies: 1,
            terms: Terms::default(),
            heard: Vec::new(),
            frames: Vec::new(),
            mangler: None,
        };
        let (port, state) = (Arc::new(Mutex::new(hub.port())), Arc::new(Mutex::new(state)));
        let clock = platform.clock.clone();
        let run = run(port.clone(), state.clone(), clock.clone());
        platform.spawner.spawn(Box::pin(run));
        Self { port, state, clock }
    }

    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.lock().unwrap())
    }

    /// The DHCP messages that the server has received since the last call.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.with(|state| std::mem::take(&mut state.heard))
    }

    /// The frames that the station has received since the last call.
    pub(crate) fn frames(&self) -> Vec<Vec<u8>> {
        self.with(|state| std::mem::take(&mut state.frames))
    }

    /// Sends a frame to the segment.
    pub(crate) fn send(&self, frame: &[u8]) {
        transmit(&mut self.port.lock().unwrap(), self.clock.now(), frame);
    }
}

async fn run(port: Common<HubPort>, state: Common<State>, clock: Arc<dyn Clock>) {
    loop {
        poll_fn(|context| port.lock().unwrap().poll_readable(context)).await;
        let mut port = port.lock().unwrap();
        let now = clock.now();
        while let Some(frame) = port.receive(now).unwrap() {
            for answer in state.lock().unwrap().take(&frame, now) {
                transmit(&mut port, now, &answer);
            }
        }
    }
}

fn transmit(port: &mut HubPort, now: Instant, bytes: &[u8]) {
    let mut frame = port.allocate(now, bytes.len()).expect("the port has room");
    frame.copy_from_slice(bytes);
    port.transmit(now, frame).unwrap();
}

impl State {
    fn take(&mut self, frame: &[u8], now: Instant) -> Vec<Vec<u8>> {
        self.frames.push(frame.to_vec());
        let ethernet = EthernetFrame::new_checked(frame).unwrap();
        match ethernet.ethertype() {
            EthernetProtocol::Arp => self.arp(ethernet.payload()).into_iter().collect(),
            EthernetProtocol::Ipv4 => self.dhcp(ethernet.payload(), now).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn arp(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let request = ArpRepr::parse(&ArpPacket::new_checked(packet).unwrap()).unwrap();
        let ArpRepr::EthernetIpv4 {
            operation, source_hardware_addr, source_protocol_addr, target_protocol_addr, ..
        } = request
        else {
            return None;
        };
        let is_own = target_protocol_addr == self.terms.server || self.taken.contains(&target_protocol_addr);
        (operation == ArpOperation::Request && is_own && self.answers_arp).then(|| {
            let reply = ArpRepr::EthernetIpv4 {
                operation: ArpOperation::Reply,
                source_hardware_addr: EthernetAddress(MAC),
                source_protocol_addr: target_protocol_addr,
                target_hardware_addr: source_hardware_addr,
                target_protocol_addr: source_protocol_addr,
            };
            let mut packet = vec![0; reply.buffer_len()];
            reply.emit(&mut ArpPacket::new_unchecked(&mut packet[..]));
            ethernet_frame(source_hardware_addr, EthernetProtocol::Arp, &packet)
        })
    }

    fn dhcp(&mut self, packet: &[u8], now: Instant) -> Option<Vec<Vec<u8>>> {
        let ip = Ipv4Packet::new_checked(packet).ok()?;
        let udp = UdpPacket::new_checked(ip.payload()).ok().filter(|udp| udp.dst_port() == 67)?;
        assert!(udp.verify_checksum(&ip.src_addr().into(), &ip.dst_addr().into()) && ip.verify_checksum());
        let message = DhcpPacket::new_checked(udp.payload()).unwrap();
        let message = DhcpRepr::parse(&message).unwrap();
        let kind = message.message_type;
        self.heard.push(Heard {
            at: now,
            kind,
            destination: ip.dst_addr(),
            client: message.client_ip,
            requested: message.requested_ip,
        });
        let reply = match (kind, self.answer) {
            (_, Answer::Nothing) => return None,
            (DhcpMessageType::Discover, Answer::Grant | Answer::Refuse) => DhcpMessageType::Offer,
            (DhcpMessageType::Request, Answer::Grant) => DhcpMessageType::Ack,
            (DhcpMessageType::Request, Answer::Refuse) => DhcpMessageType::Nak,
            _ => return None,
        };
        let mut payload = self.terms.message(reply, message.transaction_id, message.client_hardware_address);
        if let Some(mangler) = &mut self.mangler {
            mangler(&mut payload);
        }
        let from = self.terms.server;
        let frame = datagram(message.client_hardware_address, (from, 67), (Ipv4Addr::BROADCAST, 68), &payload);
        Some(vec![frame; self.copies])
    }
}

impl Terms {
    /// A server's message with these terms.
    pub(crate) fn message(&self, kind: DhcpMessageType, transaction: u32, client: EthernetAddress) -> Vec<u8> {
        let [lease, t1, t2] = self.times.map(|time| time.map(u32::to_be_bytes));
        let list = |addresses: &[Ipv4Addr]| addresses.iter().flat_map(Ipv4Addr::octets).collect::<Vec<u8>>();
        let (routers, servers) = (list(&self.routers), list(&self.dns_servers));
        let mask = self.mask.map(|mask| mask.octets());
        let mut options = Vec::new();
        if kind != DhcpMessageType::Nak {
            options.extend(lease.iter().map(|data| DhcpOption { kind: 51, data }));
            options.extend(t1.iter().map(|data| DhcpOption { kind: 58, data }));
            options.extend(t2.iter().map(|data| DhcpOption { kind: 59, data }));
            options.extend(mask.iter().map(|data| DhcpOption { kind: 1, data }));
            options.extend((!routers.is_empty()).then_some(DhcpOption { kind: 3, data: &routers }));
            options.extend((!servers.is_empty()).then_some(DhcpOption { kind: 6, data: &servers }));
            options.extend(self.others.iter().map(|(kind, data)| DhcpOption { kind: *kind, data }));
        }
        let none = Ipv4Addr::UNSPECIFIED;
        let message = DhcpRepr {
            message_type: kind,
            transaction_id: transaction,
            secs: 0,
            client_hardware_address: client,
            client_ip: none,
            your_ip: if kind == DhcpMessageType::Nak { none } else { self.address },
            server_ip: none,
            router: None,
            subnet_mask: None,
            relay_agent_ip: none,
            broadcast: false,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(self.server),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: &options,
        };
        let mut payload = vec![0; message.buffer_len()];
        message.emit(&mut DhcpPacket::new_unchecked(&mut payload[..])).unwrap();
        payload
    }
}

/// The number of ARP requests for an IPv4 address among these frames.
pub(crate) fn arp_requests(frames: &[Vec<u8>], wanted: Ipv4Addr) -> usize {
    let asks = |frame: &&Vec<u8>| {
        let ethernet = EthernetFrame::new_checked(&frame[..]).unwrap();
        let is_arp = ethernet.ethertype() == EthernetProtocol::Arp;
        let packet = is_arp.then(|| ArpRepr::parse(&ArpPacket::new_checked(ethernet.payload()).unwrap()).unwrap());
        matches!(packet, Some(ArpRepr::EthernetIpv4 { operation: ArpOperation::Request, target_protocol_addr, .. })
            if target_protocol_addr == wanted)
    };
    frames.iter().filter(asks).count()
}

/// A frame with a UDP datagram.
pub(crate) fn datagram(to: EthernetAddress, from: (Ipv4Addr, u16), at: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    let ports = UdpRepr { src_port: from.1, dst_port: at.1 };
    let header = Ipv4Repr {
        src_addr: from.0,
        dst_addr: at.0,
        next_header: IpProtocol::Udp,
        payload_len: ports.header_len() + payload.len(),
        hop_limit: 64,
    };
    let mut packet = vec![0; header.buffer_len() + header.payload_len];
    let checksums = ChecksumCapabilities::default();
    header.emit(&mut Ipv4Packet::new_unchecked(&mut packet[..]), &checksums);
    let (source, destination) = (IpAddr::V4(from.0).into(), IpAddr::V4(at.0).into());
    let mut udp = UdpPacket::new_unchecked(&mut packet[header.buffer_len()..]);
    let fill = |room: &mut [u8]| room.copy_from_slice(payload);
    ports.emit(&mut udp, &source, &destination, payload.len(), fill, &checksums);
    ethernet_frame(to, EthernetProtocol::Ipv4, &packet)
}

/// A frame from the station.
pub(crate) fn ethernet_frame(to: EthernetAddress, ethertype: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 14];
    let header = EthernetRepr { src_addr: EthernetAddress(MAC), dst_addr: to, ethertype };
    header.emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
    frame.extend(payload);
    frame
}
