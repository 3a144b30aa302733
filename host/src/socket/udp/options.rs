//! The state, the options and the multicast groups of UDP sockets.

use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::Ordering;

use super::UdpSocket;
use crate::error::{InterfaceNotFound, InvalidOption, MembershipError};
use crate::policy::{Operation, Request};
use crate::stack::Stack;
use crate::stack::options::{HopLimit, OnOutage, datagram_memory};
use crate::stack::udp::UdpStatistics;

/// The state and the options of a socket.
impl UdpSocket {
    /// The local address, with the selected port. For a connected socket that is bound to the unspecified address: the
    /// source address that was selected.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        match self.ways.lock().selected {
            Some(selected) => SocketAddr::new(selected, self.local.port()),
            None => self.local,
        }
    }

    /// The connected peer.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.mailbox.peer()
    }

    /// The counters of the socket.
    #[must_use]
    pub fn statistics(&self) -> UdpStatistics {
        self.mailbox.statistics(self.sent.load(Ordering::Relaxed))
    }

    /// The requested receive buffer in bytes.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.receive_buffer.load(Ordering::Relaxed)
    }

    /// Sets the receive buffer in bytes. Queued datagrams that have no room in it any more are dropped and counted, the
    /// latest first.
    ///
    /// # Errors
    /// [`InvalidOption`] for 0.
    pub fn set_receive_buffer(&self, bytes: usize) -> Result<(), InvalidOption> {
        if bytes == 0 {
            return Err(InvalidOption);
        }
        self.receive_buffer.store(bytes, Ordering::Relaxed);
        self.mailbox.set_limit(datagram_memory(bytes));
        Ok(())
    }

    /// The hop limit of the datagrams sent.
    #[must_use]
    pub fn hop_limit(&self) -> HopLimit {
        self.hop_limit.load()
    }

    /// Sets the hop limit of the datagrams sent.
    pub fn set_hop_limit(&self, hop_limit: HopLimit) {
        self.hop_limit.store(hop_limit);
    }

    /// Whether datagrams may be sent to broadcast addresses.
    #[must_use]
    pub fn broadcast(&self) -> bool {
        self.broadcast.load(Ordering::Relaxed)
    }

    /// Sets whether datagrams may be sent to broadcast addresses.
    pub fn set_broadcast(&self, broadcast: bool) {
        self.broadcast.store(broadcast, Ordering::Relaxed);
    }

    /// Whether datagrams that exceed the path MTU are refused and not sent in fragments.
    #[must_use]
    pub fn dont_fragment(&self) -> bool {
        self.dont_fragment.load(Ordering::Relaxed)
    }

    /// Sets whether datagrams that exceed the path MTU are refused with
    /// [`SendError::PacketTooLarge`](crate::error::SendError::PacketTooLarge) (like `IP_PMTUDISC_DO` of ip(7)) and not
    /// sent in fragments.
    pub fn set_dont_fragment(&self, dont_fragment: bool) {
        self.dont_fragment.store(dont_fragment, Ordering::Relaxed);
    }

    /// Whether datagrams to a multicast group are received by its members on this host too.
    #[must_use]
    pub fn multicast_loop(&self) -> bool {
        self.multicast_loop.load(Ordering::Relaxed)
    }

    /// Sets whether datagrams to a multicast group are received by its members on this host too (`IP_MULTICAST_LOOP`),
    /// including the sender.
    pub fn set_multicast_loop(&self, multicast_loop: bool) {
        self.multicast_loop.store(multicast_loop, Ordering::Relaxed);
    }

    /// Sets whether a datagram is dropped and counted, as on Linux, if too many packets wait for its neighbour to be
    /// resolved. Otherwise, which is the default, sending waits. A program that cannot wait for one peer and send to
    /// others meanwhile would be held up by the first peer that does not answer.
    pub const fn set_drops_if_crowded(&mut self, drops: bool) {
        self.drops_if_crowded = drops;
    }

    /// Sets what receiving does while nothing can arrive. Sending fails all the same, as no datagram is kept until it
    /// can be sent.
    pub const fn set_on_outage(&mut self, on_outage: OnOutage) {
        self.on_outage = on_outage;
    }

    /// Joins a multicast group on the named interface, or else on the socket's first interface that is not the
    /// loopback.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub fn join_multicast(&self, group: IpAddr, interface: Option<&str>) -> Result<(), MembershipError> {
        let stack = self.multicast_stack(group, interface)?;
        let interface = Some(&**stack.name());
        let remote = Some(SocketAddr::new(group, self.local.port()));
        self.network.check(&Request { interface, remote, ..Request::new(Operation::UdpMulticast) })?;
        stack.with_mut(|core| core.udp().join(group, &self.mailbox))
    }

    /// Leaves a multicast group.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub fn leave_multicast(&self, group: IpAddr, interface: Option<&str>) -> Result<(), MembershipError> {
        let stack = self.multicast_stack(group, interface)?;
        stack.with_mut(|core| core.udp().leave(group, &self.mailbox))
    }

    fn multicast_stack(&self, group: IpAddr, interface: Option<&str>) -> Result<Stack, MembershipError> {
        if !group.is_multicast() || group.is_ipv4() != self.local.is_ipv4() {
            return Err(MembershipError::InvalidArgument);
        }
        let mut stacks = self.serving.stacks();
        let chosen = match interface {
            Some(name) => stacks.iter().position(|stack| &**stack.name() == name),
            None => Some(stacks.iter().position(|stack| stack.with(|core| !core.interface.loops_back())).unwrap_or(0)),
        };
        let chosen = chosen.filter(|chosen| *chosen < stacks.len()).ok_or(InterfaceNotFound)?;
        Ok(stacks.swap_remove(chosen))
    }
}
