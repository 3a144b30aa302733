//! UDP: delivery of datagrams to the mailboxes of sockets, and sending.
//!
//! A UDP socket is a [`Mailbox`] here. It may be registered with several stacks: a wildcard socket is registered with
//! every stack of its network. The engine decides which mailboxes receive a datagram. Datagrams that the device has no
//! room for, or that their owner's rate does not allow yet, wait here for their socket's turn to send.

mod asked;
mod mailbox;
mod outlets;
mod sending;

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use xila_network_engine::udp::queue::{self, PathError};
use xila_network_engine::udp::{self as engine, JoinError, LeaveError, SocketId, Tuple};

pub(crate) use asked::Way;
pub(crate) use mailbox::Mailbox;
pub use mailbox::{Datagram, UdpStatistics};
pub(crate) use outlets::{Outlet, OutletNumber};

use super::attachment::Attachment;
use super::drive::Pace;
use super::mailboxes::Mailboxes;
use super::notices::Notices;
use super::ports::shuffled;
use crate::address::is_v4_mapped;
use crate::error::{BindError, MembershipError};
use crate::platform::Instant;
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
    /// The sockets whose oldest datagram waits for the same reason. They are not in the schedule.
    held_up: Vec<OutletNumber>,
    /// Whether these are to be put into the schedule, because there is room in such a queue again.
    is_uncrowded: bool,
}

impl Table {
    pub(super) fn new(number: u32) -> Self {
        Self {
            number,
            mailboxes: Mailboxes::default(),
            outlets: Outlets::default(),
            crowded: Waiters::default(),
            held_up: Vec::new(),
            is_uncrowded: false,
        }
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
    /// Whether a socket has an address and port, or the port at every address.
    #[cfg(feature = "gateway")]
    pub(crate) fn is_bound(&self, local: SocketAddr) -> bool {
        self.interface.engine().udp().holder(local).is_some()
    }

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

    /// Wakes the tasks that wait for room in the queue of packets for unresolved neighbours, and lets the sockets that
    /// wait for it go on.
    pub(super) fn wake_crowded(&mut self, wakes: &mut Wakes) {
        self.crowded.take(wakes);
        self.is_uncrowded = !self.held_up.is_empty();
    }

    /// Whether there are sockets to be put into the [schedule](Operations::schedule).
    pub(super) const fn has_senders_to_schedule(&self) -> bool {
        self.is_uncrowded
    }

    /// The time at which datagrams of a dropped socket have to be discarded.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.outlets.next_timeout()
    }

    /// Wakes every task that waits for a datagram or for room to send.
    pub(super) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.wake_all(wakes));
        self.outlets.wake_all(wakes);
        self.crowded.take(wakes);
    }
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
