//! ARP and neighbour discovery: solicitations, answers and announcements, and evidence from the messages of others.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::{EthernetAddress, IpProtocol};

use super::egress::Outgoing;
use super::{Interface, Waiting};
use crate::frame::Transmitter;
use crate::ip::addresses::{Address, Detection};
use crate::ip::output::Header;
use crate::link::arp::{Arp, EvidenceKind};
use crate::link::groups::multicast_hardware;
use crate::link::ndp::{Advertisement, Message, Received, RouterAdvertisement, Solicitation, router_solicitation};
use crate::link::neighbours::{Action, Evidence, Heard, Reachability};
use crate::ports::Owner;
use crate::slots::Key;
use crate::time::Instant;
use crate::wire;

/// The result of waiting for a neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// The neighbour is known. The sender may send its packets.
    Reachable(Key),
    /// The sender was displaced by others that wait. It may try again later.
    Displaced(Key),
    /// The neighbour does not answer (RFC 4861 section 7.2.2).
    Unreachable(Key),
    /// The neighbour of this packet does not answer. The owner of the packet is told as if a router had reported it.
    Undeliverable(Vec<u8>),
}

impl Interface {
    /// Processes an ARP message, which begins after the Ethernet header.
    pub(crate) fn receive_arp(&mut self, message: &[u8], now: Instant, device: &mut dyn Transmitter) {
        let (Some(own), Some(arp)) = (self.link.hardware, Arp::read(message)) else { return };
        self.contest(now, arp.sender_hardware, |address| match address {
            IpAddr::V4(address) => arp.contests(address, own),
            IpAddr::V6(_) => false,
        });
        let judgement = arp.judge(own, |address| self.addresses.is_local(address.into()));
        if let Some(address) = judgement.conflict {
            self.conflict(address.into(), arp.sender_hardware, now);
        }
        if let Some(evidence) = judgement.evidence {
            let hardware = evidence.hardware;
            let said = match evidence.kind {
                EvidenceKind::Asked => Evidence::Solicitation { hardware },
                EvidenceKind::Answered => Evidence::ArpReply { hardware },
                EvidenceKind::Overheard => Evidence::ArpAnnouncement { hardware },
            };
            self.hear(evidence.address.into(), said, now);
        }
        if let Some(answer) = judgement.answer {
            self.send_arp(&answer.bytes(), answer.target_hardware, device);
        }
        self.handle_timeout(now, device);
    }

    /// Processes a neighbour discovery message. A router advertisement is returned, because the caller must apply it.
    pub(crate) fn receive_ndp<'a>(
        &mut self,
        received: &Received<'a>,
        from: Option<EthernetAddress>,
        verify: bool,
        now: Instant,
        device: &mut dyn Transmitter,
    ) -> Option<RouterAdvertisement<'a>> {
        let (own, from) = (self.link.hardware?, from?);
        let mut advertisement = None;
        match Message::read(received, verify).ok()? {
            Message::Solicitation(solicitation) => self.solicited(&solicitation, own, from, now, device),
            Message::Advertisement(advertisement) => self.advertised(&advertisement, own, from, now),
            Message::RouterAdvertisement(router) => {
                let hardware = router.options.source_hardware();
                self.hear(router.source.into(), Evidence::RouterAdvertisement { hardware }, now);
                advertisement = Some(router);
            }
            // Only routers answer router solicitations. Redirects are ignored, because any host on the link could send
            // one.
            Message::RouterSolicitation | Message::Redirect(_) => {}
        }
        self.handle_timeout(now, device);
        advertisement
    }

    /// Processes a neighbour solicitation (RFC 4861 section 7.2.3, RFC 4862 section 5.4.3).
    fn solicited(
        &mut self,
        solicitation: &Solicitation,
        own: EthernetAddress,
        from: EthernetAddress,
        now: Instant,
        device: &mut dyn Transmitter,
    ) {
        let is_echo = from == own && solicitation.nonce.is_some_and(|nonce| self.claims.has_sent(nonce));
        if is_echo {
            return;
        }
        self.contest(now, from, |address| match address {
            IpAddr::V6(address) => solicitation.contests(address, |_| false),
            IpAddr::V4(_) => false,
        });
        // If another host has the same hardware address, its messages cannot be told from this host's, and both would
        // solicit each other for ever.
        if from == own || !self.addresses.is_local(solicitation.target.into()) {
            return;
        }
        if let Some((sender, hardware)) = solicitation.sender(|address| self.addresses.is_local(address.into())) {
            self.hear(sender.into(), Evidence::Solicitation { hardware }, now);
        }
        let (to, answer) = solicitation.answer(own);
        let answer = Advertisement { router: self.is_router, ..answer };
        self.send_discovery(solicitation.target, to, now, device, |into| answer.write(into, solicitation.target, to));
    }

    /// Processes a neighbour advertisement (RFC 4861 section 7.2.5, RFC 4862 section 5.4.4).
    fn advertised(&mut self, said: &Advertisement, own: EthernetAddress, from: EthernetAddress, now: Instant) {
        let target = IpAddr::V6(said.target);
        let hardware = said.hardware.unwrap_or(from);
        self.contest(now, hardware, |address| match address {
            IpAddr::V6(address) => said.contests(address, own),
            IpAddr::V4(_) => false,
        });
        if self.addresses.is_local(target) {
            if said.contests(said.target, own) {
                self.conflict(target, hardware, now);
            }
            return;
        }
        let Advertisement { hardware, router: is_router, solicited: is_solicited, overrides, .. } = *said;
        self.hear(target, Evidence::Advertisement { hardware, is_solicited, overrides, is_router }, now);
    }

    fn hear(&mut self, neighbour: IpAddr, evidence: Evidence, now: Instant) {
        // No neighbour has an address of this host, and none has its hardware address: frames to it would come back.
        if self.addresses.find(neighbour).is_some()
            || hardware_of(&evidence).is_some_and(|said| Some(said) == self.link.hardware)
        {
            return;
        }
        let was_known = self.neighbours.reachability(neighbour) == Reachability::Probable;
        match self.neighbours.hear(neighbour, evidence, now) {
            Heard::Noted => {}
            Heard::NoLongerRouter => self.forget_router(neighbour),
        }
        self.has_news |= !was_known && self.neighbours.reachability(neighbour) == Reachability::Probable;
    }

    /// A packet came from an on-link neighbour that is not known yet. Packets to it are sent to the station it came
    /// from.
    pub(crate) fn introduce(&mut self, neighbour: IpAddr, hardware: EthernetAddress, now: Instant) {
        let is_on_link = self.next_hop(neighbour).is_ok_and(|next_hop| next_hop.on_link);
        if is_on_link && self.neighbours.reachability(neighbour) != Reachability::Probable {
            self.hear(neighbour, Evidence::Solicitation { hardware }, now);
        }
    }

    /// A router has reported that it is not one any more: its routes are removed (RFC 4861 section 7.2.5).
    fn forget_router(&mut self, router: IpAddr) {
        let through = |route: &&crate::ip::routes::Route| {
            route.gateway() == Some(router) && route.origin == crate::ip::addresses::Origin::Router
        };
        let gone: Vec<_> = self.routes.iter().filter(through).copied().collect();
        for route in gone {
            self.remove_route(&route);
        }
    }

    /// Confirms that packets reach the next hop of a destination (RFC 4861 section 7.3.1).
    pub(crate) fn confirm(&mut self, destination: IpAddr, now: Instant) {
        if self.link.hardware.is_some()
            && let Ok(next_hop) = self.next_hop(destination)
        {
            self.neighbours.confirm(next_hop.hop, now);
        }
    }

    /// Does what is due: solicits neighbours, releases packets that waited for them, probes for addresses and announces
    /// them, reports groups, and removes what has expired.
    pub fn handle_timeout(&mut self, now: Instant, device: &mut dyn Transmitter) {
        self.poll_neighbours(now, device);
        self.claim_addresses(now, device);
        self.expire(now);
        self.report_groups(now, device);
    }

    fn poll_neighbours(&mut self, now: Instant, device: &mut dyn Transmitter) {
        // Every waiting item is returned once, and neighbours are solicited at a limited rate, so the loop ends.
        while let Some(action) = self.neighbours.poll(now) {
            match action {
                Action::Solicit { hop, to } => self.solicit(hop, to, now, device),
                Action::Release { hop, waiting } => {
                    self.note_left(&waiting);
                    match waiting {
                        Waiting::Packet(owner, packet) => self.release(owner, packet, hop, now, device),
                        Waiting::Sender(_, sender) => self.resolved.push_back(Resolved::Reachable(sender)),
                    }
                }
                Action::Unreachable { waiting, .. } => {
                    self.note_left(&waiting);
                    match waiting {
                        Waiting::Packet(_, packet) => {
                            self.counters.dropped += 1;
                            self.resolved.push_back(Resolved::Undeliverable(packet));
                        }
                        Waiting::Sender(_, sender) => self.resolved.push_back(Resolved::Unreachable(sender)),
                    }
                }
                Action::Displaced { waiting, .. } => self.displace(&waiting),
                // The next packet takes whatever route there is then.
                Action::Lost { hop: _ } => {}
            }
        }
    }

    /// Something does not wait for a neighbour any more.
    fn note_left(&mut self, waiting: &Waiting) {
        self.waiting.give_back(waiting.owner(), waiting.bytes());
        self.has_room = true;
    }

    pub(super) fn displace(&mut self, waiting: &Waiting) {
        self.note_left(waiting);
        match *waiting {
            Waiting::Packet(..) => self.counters.dropped += 1,
            Waiting::Sender(_, sender) => self.resolved.push_back(Resolved::Displaced(sender)),
        }
    }

    /// The next result for a sender or packet that waited for a neighbour, oldest first.
    pub fn poll_resolved(&mut self) -> Option<Resolved> {
        self.resolved.pop_front()
    }

    /// Whether the hardware address of a neighbour became known since the last call.
    pub fn take_news(&mut self) -> bool {
        core::mem::take(&mut self.has_news)
    }

    /// Whether the queue of some neighbour has become shorter since the last call.
    pub fn take_room(&mut self) -> bool {
        core::mem::take(&mut self.has_room)
    }

    /// Solicits a neighbour, from the source address of the packet that waits for it (RFC 4861 section 7.2.2, RFC 826).
    fn solicit(&mut self, hop: IpAddr, to: Option<EthernetAddress>, now: Instant, device: &mut dyn Transmitter) {
        let Some(own) = self.link.hardware else { return };
        let waiting = match self.neighbours.first_waiting(hop) {
            Some(Waiting::Packet(_, packet)) => wire::ends(packet).map(|(source, _)| source),
            Some(Waiting::Sender(..)) | None => None,
        };
        let waiting = waiting.filter(|source| self.addresses.is_local(*source));
        let source = waiting.or_else(|| self.addresses.select(hop, hop, now));
        match (hop, source) {
            (IpAddr::V4(hop), Some(IpAddr::V4(source))) => {
                let request = Arp::request(own, source, hop);
                self.send_arp(&request.bytes(), to.unwrap_or(EthernetAddress::BROADCAST), device);
            }
            (IpAddr::V6(hop), Some(IpAddr::V6(source))) => {
                let solicitation = match to {
                    Some(_) => Solicitation::check(source, own, hop),
                    None => Solicitation::question(source, own, hop),
                };
                self.send_solicitation(&solicitation, to, device);
            }
            // Without an address of the family there is no source to solicit from.
            _ => {}
        }
    }

    /// Solicits the routers of the link (RFC 4861 section 6.3.7).
    pub(crate) fn solicit_routers(&mut self, now: Instant, device: &mut dyn Transmitter) {
        let Some(own) = self.link.hardware else { return };
        let routers = crate::link::ndp::all_routers();
        let source = self.link_local().unwrap_or(Ipv6Addr::UNSPECIFIED);
        self.send_discovery(source, routers, now, device, |into| router_solicitation(into, source, own));
    }

    /// Announces an address to all hosts of the link.
    pub(super) fn announce(&mut self, address: IpAddr, now: Instant, device: &mut dyn Transmitter) {
        let Some(own) = self.link.hardware else { return };
        match address {
            IpAddr::V4(address) => {
                self.send_arp(&Arp::announcement(own, address).bytes(), EthernetAddress::BROADCAST, device);
            }
            IpAddr::V6(address) => {
                let nodes = crate::link::ndp::all_nodes();
                let said = Advertisement { router: self.is_router, ..Advertisement::announcement(address, own) };
                self.send_discovery(address, nodes, now, device, |into| said.write(into, address, nodes));
            }
        }
    }

    /// Probes whether another host has an address that this host wants to use.
    pub(super) fn probe(&mut self, address: IpAddr, nonce: [u8; 6], device: &mut dyn Transmitter) {
        let Some(own) = self.link.hardware else { return };
        match address {
            IpAddr::V4(address) => self.send_arp(&Arp::probe(own, address).bytes(), EthernetAddress::BROADCAST, device),
            IpAddr::V6(address) => self.send_solicitation(&Solicitation::probe(address, Some(nonce)), None, device),
        }
    }

    fn send_solicitation(
        &mut self,
        solicitation: &Solicitation,
        to: Option<EthernetAddress>,
        device: &mut dyn Transmitter,
    ) {
        let mut message = Vec::new();
        solicitation.write(&mut message);
        let Solicitation { source, destination, .. } = *solicitation;
        let packet = discovery_packet(source, destination, &message);
        self.send_to_link(&packet, to.unwrap_or_else(|| multicast_hardware(destination.into())), device);
    }

    fn send_discovery(
        &mut self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        now: Instant,
        device: &mut dyn Transmitter,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut message = Vec::new();
        write(&mut message);
        if destination.is_multicast() {
            let packet = discovery_packet(source, destination, &message);
            return self.send_to_link(&packet, multicast_hardware(destination.into()), device);
        }
        let header = discovery_header(source, destination);
        let packet = Outgoing { owner: Owner::NOBODY, header, head: &message, payload: &[], whole: true };
        self.answer(&packet, now, device);
    }

    /// Whether this host has a link-local address that is assigned.
    pub(crate) fn has_link_local(&self) -> bool {
        self.link_local().is_some()
    }

    /// The link-local address, once it is assigned.
    pub(crate) fn link_local(&self) -> Option<Ipv6Addr> {
        let assigned = self.addresses.iter().filter(|known| known.detection == Detection::Passed);
        assigned.map(Address::address).find_map(|address| match address {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        })
    }

    /// The first IPv4 address that is assigned.
    pub(super) fn first_v4(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find_map(|known| match known.address() {
            IpAddr::V4(address) if self.addresses.is_local(known.address()) => Some(address),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        })
    }
}

/// The hardware address that evidence contains.
const fn hardware_of(evidence: &Evidence) -> Option<EthernetAddress> {
    match *evidence {
        Evidence::Solicitation { hardware }
        | Evidence::ArpReply { hardware }
        | Evidence::ArpAnnouncement { hardware } => Some(hardware),
        Evidence::RouterAdvertisement { hardware }
        | Evidence::Redirect { hardware, is_router: _ }
        | Evidence::Advertisement { hardware, is_solicited: _, overrides: _, is_router: _ } => hardware,
    }
}

/// Neighbour discovery is always sent with a hop limit of 255 (RFC 4861 section 3.1).
const fn discovery_header(source: Ipv6Addr, destination: Ipv6Addr) -> Header {
    Header {
        source: IpAddr::V6(source),
        destination: IpAddr::V6(destination),
        protocol: IpProtocol::Icmpv6,
        hop_limit: 255,
        traffic_class: 0,
    }
}

fn discovery_packet(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    discovery_header(source, destination).packet(message, false)
}
