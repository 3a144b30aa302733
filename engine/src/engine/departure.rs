//! Transmission: what the owners of sockets send.

use alloc::vec::Vec;
use core::net::SocketAddr;

use smallvec::SmallVec;
use smoltcp::wire::IpProtocol;

use super::Engine;
use crate::buffer::Payload;
use crate::event::Event;
use crate::frame::Transmitter;
use crate::icmp::{self, Binding};
use crate::interface::{Joined, Outgoing, SendError, Way};
use crate::ip::icmp::write;
use crate::ip::output::{Blocked, Checksums, Header};
use crate::ports::Owner;
use crate::tcp::{Cause, ConnectionId, ListenerId, Progress, Transmitted};
use crate::time::Instant;
use crate::udp::batch::{self, Batch, MOST_SEGMENTS, UdpSegmentation};
use crate::udp::recent::Protocol;
use crate::udp::{BindError, JoinError, LeaveError, Membership, SocketId, Tuple, datagram, queue};
use crate::wire::Ecn;

/// A datagram to send.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Whose datagram it is.
    pub owner: Owner,
    /// The source.
    pub source: SocketAddr,
    /// The destination, of the same family.
    pub destination: SocketAddr,
    /// The hop limit, or time to live.
    pub hop_limit: u8,
    /// Whether it must not be fragmented.
    pub whole: bool,
    /// Whether the members of its group on this interface receive it too, if it is for a group (RFC 1112 section 6.1).
    pub loops_back: bool,
    /// The payload.
    pub payload: &'a [u8],
}

/// An echo request to send.
#[derive(Clone, Copy, Debug)]
pub struct EchoRequest<'a> {
    /// Whose request it is.
    pub owner: Owner,
    /// The source. Its port is the identifier.
    pub source: SocketAddr,
    /// The destination. Its port is 0.
    pub destination: SocketAddr,
    /// The hop limit, or time to live.
    pub hop_limit: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The data that the reply must return.
    pub payload: &'a [u8],
}

/// Datagrams and echo requests.
impl Engine {
    /// Binds a socket; see [`Udp::bind`](crate::udp::Udp::bind).
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind_udp(&mut self, local: SocketAddr, owner: Owner) -> Result<SocketId, BindError> {
        let id = self.udp.bind(local, owner, (), &mut self.random)?;
        self.recent.add_socket(owner);
        Ok(id)
    }

    /// Removes a socket and ends its memberships.
    pub fn unbind_udp(&mut self, id: SocketId, now: Instant) {
        if let Some(unbound) = self.udp.unbind(id) {
            self.recent.remove_socket(unbound.owner);
            for group in unbound.left {
                // The socket was a member, so the interface is one too.
                let _left = self.interface.leave_group(group, now);
            }
        }
    }

    /// Binds a socket; see [`Sockets::bind`](crate::icmp::Sockets::bind).
    ///
    /// # Errors
    /// See [`icmp::BindError`].
    pub fn bind_icmp(
        &mut self,
        is_ipv4: bool,
        binding: Binding,
        owner: Owner,
    ) -> Result<icmp::SocketId, icmp::BindError> {
        let id = self.icmp.bind(is_ipv4, binding, owner)?;
        self.recent.add_socket(owner);
        Ok(id)
    }

    /// Removes a socket.
    pub fn unbind_icmp(&mut self, id: icmp::SocketId) {
        if let Some(owner) = self.icmp.unbind(id) {
            self.recent.remove_socket(owner);
        }
    }

    /// Makes a socket a member of a group.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn join(&mut self, id: SocketId, group: core::net::IpAddr, now: Instant) -> Result<(), JoinError> {
        match self.udp.join(id, group)? {
            Membership::Socket => {}
            Membership::Interface => {
                if self.interface.join_group(group, now).is_err() {
                    let _taken_back = self.udp.leave(id, group);
                    return Err(JoinError::ShareExhausted);
                }
            }
        }
        Ok(())
    }

    /// Ends a socket's membership.
    ///
    /// # Errors
    /// See [`LeaveError`].
    pub fn leave(&mut self, id: SocketId, group: core::net::IpAddr, now: Instant) -> Result<(), LeaveError> {
        match self.udp.leave(id, group)? {
            Membership::Socket => {}
            Membership::Interface => {
                let _left = self.interface.leave_group(group, now);
            }
        }
        Ok(())
    }

    /// Connects a socket, or disconnects it. Returns whether the socket exists.
    pub fn connect_udp(&mut self, id: SocketId, connection: Option<Tuple>) -> bool {
        self.udp.connect(id, connection)
    }

    /// Sends a datagram, or queues it until its neighbour is resolved.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_datagram(
        &mut self,
        datagram: &Datagram<'_>,
        now: Instant,
        device: &mut dyn Transmitter,
    ) -> Result<(), SendError> {
        let Datagram { owner, source, destination, hop_limit, whole, loops_back, payload } = *datagram;
        let checksums = if self.interface.link().checksums { Checksums::All } else { Checksums::None };
        let mtu = self.interface.link().mtu;
        let head = datagram::header(source, destination, Payload::from(payload), checksums)
            .map_err(|_| SendError::TooLarge { mtu })?;
        let header = header(source, destination, IpProtocol::Udp, hop_limit);
        let packet = Outgoing { owner, header, head: &head, payload, whole };
        let tuple = Tuple::new(source, destination);
        self.send(&packet, Protocol::Udp, tuple, now, device)?;
        // A datagram that is sent on a loopback link arrives here anyway.
        if loops_back && destination.ip().is_multicast() && !self.interface.link().loops_back {
            self.loop_back(&tuple, hop_limit, payload);
        }
        Ok(())
    }

    /// Sends a datagram, and then others that differ only in their payloads, in order. Returns how many were sent.
    /// Consecutive datagrams of equal length leave as one packet if the device [splits it](crate::interface::Link).
    ///
    /// # Errors
    /// See [`SendError`], for the first datagram. An error of a later datagram ends the call, and the earlier ones
    /// count as sent.
    pub fn send_datagrams(
        &mut self,
        first: &Datagram<'_>,
        others: &[&[u8]],
        now: Instant,
        device: &mut dyn Transmitter,
    ) -> Result<usize, SendError> {
        if others.is_empty() {
            return self.send_datagram(first, now, device).map(|()| 1);
        }
        let payloads: SmallVec<[&[u8]; MOST_SEGMENTS]> =
            core::iter::once(first.payload).chain(others.iter().copied()).collect();
        let longest = self.longest_joined(first, now);
        let mut sent = 0;
        while let Some(left) = payloads.get(sent..).filter(|left| !left.is_empty()) {
            let batch = batch::coalesce(left.iter().map(|payload| ((), payload.len())), longest);
            let result = match batch {
                Some(Batch { count, segmentation: Some(cut), .. }) if self.fits(first, cut, now) => {
                    self.send_joined(first, &left[..count], cut, now, device).map(|()| count)
                }
                _ => self.send_datagram(&Datagram { payload: left[0], ..*first }, now, device).map(|()| 1),
            };
            match result {
                Ok(count) => sent += count,
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    /// How many bytes of payload may leave to a destination as one packet. It is 0 if each datagram needs its own
    /// packet: datagrams to a group are looped back one by one, and datagrams to an unresolved neighbour wait one by
    /// one.
    fn longest_joined(&mut self, datagram: &Datagram<'_>, now: Instant) -> usize {
        let destination = datagram.destination.ip();
        let link = *self.interface.link();
        let joins = link.datagram_segmentation
            && !destination.is_multicast()
            && self.interface.reaches(destination, datagram.owner, now);
        if joins { datagram::longest_payload(destination).min(link.segmentation) } else { 0 }
    }

    /// Whether each datagram of a packet fits the path MTU. One that does not must be fragmented or refused, so it
    /// needs a packet of its own.
    fn fits(&self, datagram: &Datagram<'_>, cut: UdpSegmentation, now: Instant) -> bool {
        let ip = header(datagram.source, datagram.destination, IpProtocol::Udp, datagram.hop_limit).length();
        ip + datagram::HEADER + cut.segment <= self.interface.mtu_to(datagram.destination.ip(), now)
    }

    fn send_joined(
        &mut self,
        datagram: &Datagram<'_>,
        payloads: &[&[u8]],
        UdpSegmentation { segment }: UdpSegmentation,
        now: Instant,
        device: &mut dyn Transmitter,
    ) -> Result<(), SendError> {
        let Datagram { owner, source, destination, hop_limit, .. } = *datagram;
        let checksums = self.interface.link().offloaded_checksums();
        let mut buffer = self.tcp.memory().buffer(payloads.iter().map(|payload| payload.len()).sum());
        payloads.iter().for_each(|payload| {
            buffer.append(payload);
        });
        let payload = [buffer.share()];
        let head = datagram::header(source, destination, Payload::new(&[], &payload), checksums)
            .map_err(|_| SendError::TooLarge { mtu: self.interface.link().mtu })?;
        let header = header(source, destination, IpProtocol::Udp, hop_limit);
        self.interface.send_joined(&Joined { owner, header, head: &head, payload: &payload, segment }, now, device)?;
        let length = header.length() + datagram::HEADER + segment;
        self.note_sent(owner, Protocol::Udp, Tuple::new(source, destination), length);
        Ok(())
    }

    /// Delivers a datagram that this host has sent to a group to the members on this interface.
    fn loop_back(&mut self, sent: &Tuple, hop_limit: u8, payload: &[u8]) {
        for to in self.udp.receivers_here(sent, false) {
            self.events.push_back(Event::Datagram {
                to,
                datagram: queue::Datagram {
                    content: queue::Content::Owned(payload.to_vec()),
                    remote: sent.local(),
                    local: sent.remote(),
                    interface: 0,
                    hop_limit,
                    ecn: Ecn::default(),
                },
            });
        }
    }

    /// Sends an echo request, or queues it until its neighbour is resolved.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_echo(
        &mut self,
        request: &EchoRequest<'_>,
        now: Instant,
        device: &mut dyn Transmitter,
    ) -> Result<(), SendError> {
        let EchoRequest { owner, source, destination, hop_limit, sequence, payload } = *request;
        let mut message = Vec::new();
        write::echo_request(&mut message, source.ip(), destination.ip(), source.port(), sequence, payload);
        let protocol = if source.is_ipv4() { IpProtocol::Icmp } else { IpProtocol::Icmpv6 };
        let header = header(source, destination, protocol, hop_limit);
        let packet = Outgoing { owner, header, head: &message, payload: &[], whole: false };
        self.send(&packet, Protocol::Echo, Tuple::new(source, destination), now, device)
    }

    /// Sends a packet that no socket of this host sends: a router's. No error about it is delivered.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn forward(
        &mut self,
        packet: &Outgoing<'_>,
        now: Instant,
        device: &mut dyn Transmitter,
    ) -> Result<(), SendError> {
        self.interface.send(packet, now, device)?;
        if self.interface.take_urgency() {
            self.act(now, device);
        }
        Ok(())
    }

    /// Sends a packet of a socket, and records its ends so that errors about it can be checked.
    fn send(
        &mut self,
        packet: &Outgoing<'_>,
        protocol: Protocol,
        tuple: Tuple,
        now: Instant,
        device: &mut dyn Transmitter,
    ) -> Result<(), SendError> {
        self.forward(packet, now, device)?;
        self.note_sent(packet.owner, protocol, tuple, packet.length());
        Ok(())
    }

    /// Records what errors about a packet that was sent are checked against.
    fn note_sent(&mut self, owner: Owner, protocol: Protocol, tuple: Tuple, length: usize) {
        self.recent.note(owner, protocol, tuple, length);
        if protocol == Protocol::Udp && self.icmp.watches_udp() {
            self.icmp.note(tuple.local(), tuple.remote(), owner);
        }
    }
}

/// TCP segments.
impl Engine {
    /// Sends what belongs to no connection: waiting frames and answers. Returns false if the device has no space for
    /// all of it.
    pub fn transmit(&mut self, now: Instant, device: &mut dyn Transmitter) -> bool {
        if !self.interface.catch_up(device) {
            return false;
        }
        if !self.tcp.owes_answers() {
            return true;
        }
        let Self { interface, tcp, .. } = self;
        let owner = Owner::NOBODY;
        let mut way = Way { interface, device, owner, now, keeps: false, displaces: true, wanted: None };
        let is_full = tcp.transmit_answers(now, &mut way);
        if self.interface.take_urgency() {
            self.act(now, device);
        }
        !is_full
    }

    /// Whether there is anything to send that belongs to no connection.
    #[must_use]
    pub fn owes(&mut self) -> bool {
        self.interface.is_behind() || self.tcp.owes_answers()
    }

    /// Whether [`owes`](Self::owes) may be true. If this is false, `owes` is certainly false.
    #[must_use]
    pub fn may_owe(&self) -> bool {
        self.interface.is_behind() || self.tcp.may_owe_answers()
    }

    /// Sends what one connection has to send, at most about `bytes` bytes. If its neighbour is not known, the
    /// connection waits for it. If it is being established and there is no route, it fails.
    pub fn transmit_connection(
        &mut self,
        id: ConnectionId,
        bytes: usize,
        now: Instant,
        device: &mut dyn Transmitter,
    ) -> Transmitted {
        // A connection that was displaced does not displace others: otherwise none would be resolved for long enough.
        let displaces = !self.retrying.remove(&id);
        let Self { interface, tcp, .. } = self;
        let owner = tcp.owner(id).unwrap_or(Owner::HOST);
        let mut way = Way { interface, device, owner, now, keeps: false, displaces, wanted: None };
        let sent = tcp.transmit_one(id, bytes, now, &mut way);
        let wanted = way.wanted;
        match sent.progress {
            Progress::Blocked(Blocked::Unresolved) => {
                if let Some(hop) = wanted.filter(|hop| displaces || self.interface.may_ask(*hop, owner)) {
                    self.interface.await_neighbour(hop, owner, id.0, now);
                    self.act(now, device);
                } else if wanted.is_some() {
                    self.park(id, now);
                }
            }
            Progress::Blocked(Blocked::Unreachable) => self.tcp.fail_connecting(id, Cause::Unreachable, now),
            Progress::Done | Progress::More | Progress::Blocked(Blocked::Full) => {}
        }
        sent
    }

    /// Ends a listener. Connections that wait to be accepted, and handshakes in progress, are reset.
    pub fn unbind_tcp(&mut self, id: ListenerId, now: Instant, device: &mut dyn Transmitter) {
        let Self { interface, tcp, .. } = self;
        let owner = Owner::NOBODY;
        tcp.unbind(id, now, &mut Way { interface, device, owner, now, keeps: true, displaces: true, wanted: None });
    }
}

pub(super) fn header(source: SocketAddr, destination: SocketAddr, protocol: IpProtocol, hop_limit: u8) -> Header {
    Header { source: source.ip(), destination: destination.ip(), protocol, hop_limit, traffic_class: 0 }
}
