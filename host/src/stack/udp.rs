//! UDP: delivery of datagrams to the mailboxes of sockets, and sending.
//!
//! A UDP socket is a [`Mailbox`] here. It may be registered with several stacks: a wildcard socket is registered with
//! every stack of its network. The engine decides which mailboxes receive a datagram. Datagrams that the device has no
//! room for wait here, for their socket's turn to send.

mod asked;
mod mailbox;
mod outlets;

use core::net::{IpAddr, SocketAddr};
use core::task::Waker;
use std::sync::Arc;

use xila_network_engine::engine::{Datagram as Leaving, EchoRequest};
use xila_network_engine::interface;
use xila_network_engine::udp::queue::{self, PathError};
use xila_network_engine::udp::{self as engine, JoinError, LeaveError, SocketId, Tuple, datagram};

pub(crate) use asked::Way;
pub(crate) use mailbox::Mailbox;
pub use mailbox::{Datagram, UdpStatistics};
pub(crate) use outlets::{Outlet, OutletNumber};

use super::attachment::{Attachment, OnLink};
use super::drive::{Pace, Sender, Sending};
use super::mailboxes::Mailboxes;
use super::notices::Notices;
use super::owner::{Allowed, Owner};
use super::ports::shuffled;
use crate::address::is_v4_mapped;
use crate::error::{BindError, MembershipError, SendError};
use crate::waiters::{Waiters, Wakes};
use outlets::Outlets;

/// The kind of packet to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A UDP datagram.
    Datagram,
    /// An ICMP echo request. It has an identifier in place of the local port, and the remote port is 0.
    EchoRequest {
        /// The sequence number of the request.
        sequence: u16,
    },
}

/// A datagram to be sent. The payload `P` is borrowed or owned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<P> {
    pub(crate) kind: Kind,
    pub(crate) payload: P,
    /// The source port.
    pub(crate) port: u16,
    /// The source address.
    pub(crate) source: IpAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) hop_limit: u8,
    /// Whether the destination may be a broadcast address (`SO_BROADCAST`).
    pub(crate) broadcast: bool,
    /// Whether it must not be sent in fragments.
    pub(crate) whole: bool,
    /// Whether members of the destination group on this host receive it too.
    pub(crate) loops_back: bool,
    /// Whether it is dropped and counted, as on Linux, if too many packets wait for its neighbour. Otherwise its sender
    /// must wait.
    pub(crate) drops_if_crowded: bool,
}

impl<P> Outgoing<P> {
    /// The same datagram with its payload converted by `hold`.
    fn map<'a, Q>(&'a self, hold: impl FnOnce(&'a P) -> Q) -> Outgoing<Q> {
        Outgoing {
            kind: self.kind,
            payload: hold(&self.payload),
            port: self.port,
            source: self.source,
            remote: self.remote,
            hop_limit: self.hop_limit,
            broadcast: self.broadcast,
            whole: self.whole,
            loops_back: self.loops_back,
            drops_if_crowded: self.drops_if_crowded,
        }
    }
}

/// The UDP part of a stack.
pub(super) struct Table {
    /// The number of the interface, which is noted in each datagram that arrives.
    number: u32,
    mailboxes: Mailboxes<Mailbox>,
    /// The datagrams that wait for their socket's turn to send.
    outlets: Outlets,
    /// The tasks that cannot send because the queue of packets for an unresolved neighbour is full.
    crowded: Waiters,
}

impl Table {
    pub(super) fn new(number: u32) -> Self {
        Self { number, mailboxes: Mailboxes::default(), outlets: Outlets::default(), crowded: Waiters::default() }
    }

    /// Forgets all sockets, after the engine has panicked.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.number);
    }
}

/// The operations on UDP of a stack, with the parts of the core that they touch. Echo requests are sent through them
/// too.
pub(crate) struct Operations<'a> {
    pub(super) table: &'a mut Table,
    pub(super) interface: &'a mut Attachment,
    pub(super) pace: &'a mut Pace,
    pub(super) notices: &'a mut Notices,
}

/// Operations on sockets.
impl Operations<'_> {
    /// Registers a mailbox under an address and port.
    ///
    /// # Errors
    /// [`BindError::AddressInUse`]; [`BindError::LimitReached`] where the owner has used its share of the ephemeral
    /// ports; [`BindError::InvalidArgument`]; [`BindError::NetworkDown`] where the interface is gone.
    pub(crate) fn bind(&mut self, local: SocketAddr, mailbox: &Arc<Mailbox>) -> Result<(), BindError> {
        let owner = mailbox.owner().in_engine();
        let id = self.interface.engage(|engine, _, _| engine.bind_udp(local, owner).map_err(BindError::from))?;
        self.table.mailboxes.insert(id.0, mailbox);
        Ok(())
    }

    /// Removes a mailbox: releases its port and leaves its groups.
    pub(crate) fn unbind(&mut self, mailbox: &Arc<Mailbox>) {
        if let Some(key) = self.table.mailboxes.remove(mailbox) {
            self.interface.engage(|engine, _, now| engine.unbind_udp(SocketId(key), now));
            self.interface.act();
        }
    }

    /// The free ephemeral ports of an address family in random order: every port is equally likely to be the next (RFC
    /// 6056 section 3.3).
    pub(crate) fn free_ports(&mut self, is_ipv4: bool) -> impl Iterator<Item = u16> + use<> {
        let free = self.interface.engine().udp().free_ports(is_ipv4).clone();
        shuffled(free, self.interface.random().split())
    }

    /// Makes a mailbox a member of a multicast group on this interface.
    ///
    /// # Errors
    /// [`MembershipError::InvalidArgument`] for an address that is not multicast; [`MembershipError::AddressInUse`]
    /// where the mailbox is a member already; [`MembershipError::NoFreeSlot`] where the owner has too many memberships;
    /// [`MembershipError::NetworkDown`].
    pub(crate) fn join(&mut self, group: IpAddr, mailbox: &Arc<Mailbox>) -> Result<(), MembershipError> {
        self.interface.check_up()?;
        // A mailbox can only be missing if the interface is gone.
        let id = self.socket(mailbox).ok_or(MembershipError::NetworkDown)?;
        self.interface.engage(|engine, _, now| engine.join(id, group, now).map_err(MembershipError::from))?;
        self.interface.act();
        Ok(())
    }

    /// # Errors
    /// [`MembershipError::AddressNotAvailable`] where the mailbox is not a member; [`MembershipError::NetworkDown`]
    /// where the interface is gone.
    pub(crate) fn leave(&mut self, group: IpAddr, mailbox: &Arc<Mailbox>) -> Result<(), MembershipError> {
        let id = self.socket(mailbox).ok_or(MembershipError::AddressNotAvailable)?;
        self.interface.engage(|engine, _, now| engine.leave(id, group, now).map_err(MembershipError::from))?;
        self.interface.act();
        Ok(())
    }

    /// Lets a mailbox receive datagrams from one peer only, or from everyone if `connection` is `None`.
    pub(crate) fn connect(&mut self, mailbox: &Arc<Mailbox>, connection: Option<Tuple>) {
        if let Some(id) = self.socket(mailbox) {
            self.interface.engage(|engine, _, _| engine.connect_udp(id, connection));
        }
    }

    /// The socket of a mailbox on this stack.
    fn socket(&self, mailbox: &Arc<Mailbox>) -> Option<SocketId> {
        self.table.mailboxes.key(mailbox).map(SocketId)
    }

    /// Delivers a datagram that has arrived for a socket.
    pub(super) fn arrived(&mut self, to: SocketId, mut datagram: queue::Datagram) {
        datagram.interface = self.table.number;
        let addresses = self.interface.engine().interface().addresses();
        let is_for_many = |local: IpAddr| local.is_multicast() || addresses.is_broadcast(local);
        if let Some(mailbox) = self.table.mailboxes.get(to.0)
            && (!mailbox.admits(&datagram, || self.notices.name())
                || !mailbox.deliver(datagram, is_for_many, &mut self.notices.wakes))
        {
            self.interface.count_dropped_datagram();
        }
    }
}

/// Events of the engine.
impl Table {
    /// Reports an error that the path returned for a sent datagram. The socket receives it if it is connected to that
    /// peer.
    pub(super) fn failed(&mut self, to: SocketId, remote: SocketAddr, error: PathError, wakes: &mut Wakes) {
        if let Some(mailbox) = self.mailboxes.get(to.0) {
            mailbox.fail(remote, error, wakes);
        }
    }

    /// Wakes the tasks that wait for room in the queue of packets for unresolved neighbours.
    pub(super) fn wake_crowded(&mut self, wakes: &mut Wakes) {
        self.crowded.take(wakes);
    }

    /// Wakes every task that waits for a datagram or for room to send.
    pub(super) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.wake_all(wakes));
        self.outlets.wake_all(wakes);
        self.crowded.take(wakes);
    }
}

/// Operations that send.
impl Operations<'_> {
    /// Sends a datagram of a socket, or queues it for the socket's turn. Then sends `others`, which differ from the
    /// first only in their payloads, as far as they can leave at once. Returns how many datagrams were sent or queued,
    /// counted from the first; the caller must send the rest again.
    ///
    /// # Errors
    /// The errors concern the first datagram: [`SendError::WouldBlock`] while the maximum number of datagrams waits for
    /// the socket's turn or for the neighbour, and `waker` is woken when that is over; [`SendError::PacketTooLarge`],
    /// [`SendError::RemoteUnreachable`], [`SendError::AccessDenied`] for a broadcast that is not allowed,
    /// [`SendError::NetworkDown`].
    pub(crate) fn send(
        &mut self,
        outlet: &Outlet,
        datagram: &Outgoing<&[u8]>,
        others: &[&[u8]],
        waker: Option<&Waker>,
    ) -> Result<usize, SendError> {
        self.interface.check_up()?;
        let to = datagram.remote.ip();
        if self.interface.is_broadcast(to) && !datagram.broadcast {
            return Err(SendError::AccessDenied);
        }
        if datagram.payload.len() > datagram::longest_payload(to) {
            return Err(SendError::PacketTooLarge);
        }
        // If other senders wait for the device, this datagram must wait for its turn. Whether the device is still full
        // is found out when the stack is driven, directly after this.
        let direct = !self.pace.full && self.pace.schedule.is_clear_for(&outlet.owner);
        let attempt = if direct { self.attempt_for(&outlet.owner, datagram, others) } else { Err(Attempt::Full) };
        match attempt {
            Ok(count) => {
                return Ok(count);
            }
            Err(Attempt::Refused(error)) => return Err(error),
            Err(Attempt::Crowded) if datagram.drops_if_crowded => {
                // Not the oldest packet of the neighbour's queue, as on Linux: that may be another guest's.
                self.interface.count_dropped_datagram();
                return Ok(1);
            }
            Err(Attempt::Crowded) => {
                if let Some(waker) = waker {
                    self.table.crowded.register(waker);
                }
                return Err(SendError::WouldBlock);
            }
            Err(Attempt::Full) => {}
        }
        if !self.table.outlets.has_room(outlet, waker) {
            return Err(SendError::WouldBlock);
        }
        if !direct && !self.interface.leads_to(to) {
            return Err(SendError::RemoteUnreachable);
        }
        if self.table.outlets.push(outlet, datagram.map(|payload| payload.to_vec())) {
            self.pace.schedule.push(&outlet.owner, Sender::Socket(outlet.number));
        }
        Ok(1)
    }

    /// A socket's turn to send. It ends when the interface's count of sent bytes reaches `limit`.
    pub(super) fn turn(&mut self, outlet: OutletNumber, limit: u64, budget: &mut usize) -> Sending {
        let Some(owner) = self.table.outlets.owner(outlet) else { return Sending::Done };
        loop {
            let Some(datagram) = self.table.outlets.take(outlet) else { return Sending::Done };
            let length = datagram.payload.len();
            match self.attempt_and_count(&owner, &datagram.map(Vec::as_slice), &[]) {
                Err(Attempt::Full) => {
                    self.table.outlets.put_back(outlet, datagram);
                    return Sending::Full;
                }
                Ok(_) => {}
                // The route or the neighbour has changed since the datagram was queued.
                Err(Attempt::Crowded | Attempt::Refused(_)) => self.interface.count_dropped_datagram(),
            }
            *budget = budget.saturating_sub(1);
            if self.table.outlets.release(outlet, length, &mut self.notices.wakes) {
                return Sending::Done;
            }
            // The fragments of the datagram may have filled the device.
            if self.interface.engine().interface().is_behind() || *budget == 0 || self.interface.sent_bytes() >= limit {
                return Sending::More;
            }
        }
    }

    /// Whether a socket may queue a datagram for its turn. If not, `waker` is woken when it may.
    pub(crate) fn has_room(&mut self, outlet: &Outlet, waker: &Waker) -> bool {
        self.interface.check_up().is_err() || self.table.outlets.has_room(outlet, Some(waker))
    }

    /// Whether a datagram of a socket to an address could be sent or queued now. If not, `waker` is woken when it
    /// could.
    pub(crate) fn may_send(&mut self, outlet: &Outlet, to: IpAddr, waker: &Waker) -> bool {
        if self.interface.check_up().is_err() {
            return true;
        }
        let owner = outlet.owner.in_engine();
        let crowded = self.interface.engage(|engine, _, _| engine.interface_mut().is_crowded(to, owner));
        if crowded {
            self.table.crowded.register(waker);
        }
        !crowded && self.table.outlets.has_room(outlet, Some(waker))
    }

    /// Like [`attempt`](Self::attempt), at once and not in a turn of the schedule, if the owner's rates allow it now.
    fn attempt_for(&mut self, owner: &Owner, datagram: &Outgoing<&[u8]>, others: &[&[u8]]) -> Result<usize, Attempt> {
        match owner.may_send(self.interface.now()) {
            Ok(Allowed::EVERYTHING) => self.attempt_and_count(owner, datagram, others),
            // A row of datagrams would leave at once, so a limited owner sends them one by one.
            Ok(_) => self.attempt_and_count(owner, datagram, &[]),
            Err(_) => Err(Attempt::Full),
        }
    }

    /// Like [`attempt`](Self::attempt), and counts what was sent.
    fn attempt_and_count(
        &mut self,
        owner: &Owner,
        datagram: &Outgoing<&[u8]>,
        others: &[&[u8]],
    ) -> Result<usize, Attempt> {
        let before = self.interface.on_link();
        let count = self.attempt(owner, datagram, others)?;
        let OnLink { bytes, packets } = self.interface.on_link_since(before);
        // A datagram that waits for its neighbour to be resolved is counted now, because it leaves in no turn.
        let least = datagram.payload.len() + LEAST_HEADERS;
        owner.sent(bytes.max(least as u64), packets.max(count as u64), self.interface.now());
        Ok(count)
    }

    fn attempt(&mut self, owner: &Owner, datagram: &Outgoing<&[u8]>, others: &[&[u8]]) -> Result<usize, Attempt> {
        let owner = owner.in_engine();
        let &Outgoing { kind, payload, port, source, remote, hop_limit, whole, loops_back, .. } = datagram;
        let destination = remote;
        let source = SocketAddr::new(source, port);
        let sent = self.interface.engage(|engine, port, now| {
            Some(match kind {
                Kind::Datagram => {
                    let leaving = Leaving { owner, source, destination, hop_limit, whole, loops_back, payload };
                    engine.send_datagrams(&leaving, others, now, port)
                }
                Kind::EchoRequest { sequence } => {
                    let request = EchoRequest { owner, source, destination, hop_limit, sequence, payload };
                    engine.send_echo(&request, now, port).map(|()| 1)
                }
            })
        });
        let sent = sent.ok_or(Attempt::Refused(SendError::NetworkDown))?;
        sent.map_err(|error| match error {
            interface::SendError::Full => Attempt::Full,
            interface::SendError::Crowded => Attempt::Crowded,
            interface::SendError::Unreachable => Attempt::Refused(SendError::RemoteUnreachable),
            interface::SendError::TooLarge { mtu: _ } => Attempt::Refused(SendError::PacketTooLarge),
        })
    }
}

/// The bytes of the headers of a datagram over IPv4, without those of the link.
const LEAST_HEADERS: usize = 28;

/// The cause why a datagram was not sent.
enum Attempt {
    /// The device has no room for the frame.
    Full,
    /// The queue of packets for unresolved neighbours is full.
    Crowded,
    /// The datagram cannot be sent; the cause.
    Refused(SendError),
}

/// Whether a socket may be bound to an address: IPv4-mapped, multicast and broadcast addresses are refused.
pub(crate) fn is_bindable(address: IpAddr) -> bool {
    !is_v4_mapped(address)
        && match address {
            IpAddr::V4(address) => !address.is_multicast() && !address.is_broadcast(),
            IpAddr::V6(address) => !address.is_multicast(),
        }
}

impl From<engine::BindError> for BindError {
    fn from(error: engine::BindError) -> Self {
        match error {
            engine::BindError::AddressInUse | engine::BindError::NoPort => Self::AddressInUse,
            engine::BindError::ShareExhausted => Self::LimitReached,
            engine::BindError::Unbindable => Self::InvalidArgument,
        }
    }
}

impl From<JoinError> for MembershipError {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::NotMulticast | JoinError::OtherFamily => Self::InvalidArgument,
            JoinError::AlreadyMember => Self::AddressInUse,
            JoinError::ShareExhausted => Self::NoFreeSlot,
            // As in `join`: only a stack that is gone does not know its sockets.
            JoinError::Unbound => Self::NetworkDown,
        }
    }
}

impl From<LeaveError> for MembershipError {
    fn from(error: LeaveError) -> Self {
        match error {
            LeaveError::NotMember | LeaveError::Unbound => Self::AddressNotAvailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_the_engine_becomes_the_matching_error_of_the_socket() {
        for (refused, told) in [
            (engine::BindError::AddressInUse, BindError::AddressInUse),
            (engine::BindError::NoPort, BindError::AddressInUse),
            (engine::BindError::ShareExhausted, BindError::LimitReached),
            (engine::BindError::Unbindable, BindError::InvalidArgument),
        ] {
            assert_eq!(BindError::from(refused), told);
        }
        for (refused, told) in [
            (JoinError::NotMulticast, MembershipError::InvalidArgument),
            (JoinError::OtherFamily, MembershipError::InvalidArgument),
            (JoinError::AlreadyMember, MembershipError::AddressInUse),
            (JoinError::ShareExhausted, MembershipError::NoFreeSlot),
            (JoinError::Unbound, MembershipError::NetworkDown),
        ] {
            assert_eq!(MembershipError::from(refused), told);
        }
        assert_eq!(MembershipError::from(LeaveError::NotMember), MembershipError::AddressNotAvailable);
        assert_eq!(MembershipError::from(LeaveError::Unbound), MembershipError::AddressNotAvailable);
    }
}
