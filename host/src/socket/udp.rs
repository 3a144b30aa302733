//! Datagrams.

use core::fmt;
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker};
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;
use xila_network_engine::udp::Tuple;
use xila_network_engine::udp::batch::MOST_SEGMENTS;

use super::hop_limit::SharedHopLimit;
use super::network::{Network, RouteError};
use super::serving::{Binding, Serving};
use super::tcp::pending;
use crate::address::is_v4_mapped;
use crate::error::{
    BindError, Denied, InterfaceNotFound, InvalidOption, InvalidRemote, MembershipError, NotConnected, ReceiveError,
    SendError,
};
use crate::policy::{Operation, Request};
use crate::stack::Stack;
use crate::stack::options::{HopLimit, UdpOptions, datagram_memory};
use crate::stack::owner::Owner;
use crate::stack::udp::{Datagram, Kind, Mailbox, Outgoing, Outlet, UdpStatistics, Way, is_bindable};

/// A UDP socket (RFC 768).
///
/// Every method takes `&self`; several tasks may send and receive at once.
pub struct UdpSocket {
    network: Network,
    serving: Serving,
    local: SocketAddr,
    mailbox: Arc<Mailbox>,
    outlet: Outlet,
    ways: Mutex<Ways>,
    /// Datagrams that were sent.
    sent: AtomicU64,
    hop_limit: SharedHopLimit,
    broadcast: AtomicBool,
    dont_fragment: AtomicBool,
    multicast_loop: AtomicBool,
    receive_buffer: AtomicUsize,
}

/// A socket as it is bound.
struct Receiving {
    address: IpAddr,
    owner: Owner,
    mailbox: Arc<Mailbox>,
}

impl Binding for Receiving {
    fn bind(&self, stack: &Stack, port: u16) -> Result<(), BindError> {
        let local = SocketAddr::new(self.address, port);
        stack.with_mut(|core| {
            core.udp().bind(local, self.owner, &self.mailbox)?;
            core.udp().connect(&self.mailbox, connection(local, self.mailbox.peer()));
            Ok(())
        })
    }

    fn unbind(&self, stack: &Stack, _port: u16) {
        stack.with_mut(|core| core.udp().unbind(&self.mailbox));
    }

    fn candidates(&self, stack: &Stack) -> Box<dyn Iterator<Item = u16>> {
        Box::new(stack.ask(|core| core.udp().free_ports(self.address.is_ipv4())))
    }
}

/// The ends of a socket that is bound to an address and has this peer.
fn connection(local: SocketAddr, peer: Option<SocketAddr>) -> Option<Tuple> {
    peer.map(|peer| Tuple::new(local, peer))
}

/// Which way datagrams take.
#[derive(Default)]
struct Ways {
    /// The address that was selected when the socket was connected.
    selected: Option<IpAddr>,
    /// The route that the last datagram took.
    last: Option<Known>,
}

/// A route that was found, good until the network changes.
struct Known {
    remote: IpAddr,
    version: u64,
    /// The way back, where one was known.
    way: Option<Way>,
    stack: Stack,
    source: IpAddr,
}

impl UdpSocket {
    /// Binds to a local address with default options.
    ///
    /// # Errors
    /// As [`bind_with`](Self::bind_with).
    pub fn bind(network: &Network, local: SocketAddr) -> Result<Self, BindError> {
        Self::bind_with(network, local, &UdpOptions::default())
    }

    /// Binds to a local address; port 0 is one of the ephemeral ports. An unspecified address is every address of its
    /// family on every interface of `network`, those mounted later included.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind_with(network: &Network, local: SocketAddr, options: &UdpOptions) -> Result<Self, BindError> {
        options.validate()?;
        if !is_bindable(local.ip()) {
            return Err(BindError::InvalidArgument);
        }
        network.check_at(Operation::UdpBind, local)?;
        let memory = datagram_memory(options.receive_buffer);
        let mailbox = Arc::new(Mailbox::new(local.ip(), memory, network.guard().cloned()));
        let receiving = Receiving { address: local.ip(), owner: network.owner(), mailbox: mailbox.clone() };
        let serving = Serving::bind(network, local, receiving)?;
        Ok(Self {
            network: network.clone(),
            local: serving.local(),
            serving,
            mailbox,
            outlet: Outlet::new(network.owner()),
            ways: Mutex::default(),
            sent: AtomicU64::new(0),
            hop_limit: SharedHopLimit::new(options.hop_limit),
            broadcast: AtomicBool::new(options.broadcast),
            dont_fragment: AtomicBool::new(options.dont_fragment),
            multicast_loop: AtomicBool::new(options.multicast_loop),
            receive_buffer: AtomicUsize::new(options.receive_buffer),
        })
    }

    /// Makes `remote` the only peer: [`send`](Self::send) goes there, and what others send is not received. Errors that
    /// the path reports about it are returned by the next operation. A socket that is bound to every address has that one
    /// from now on that the route to the peer selects.
    ///
    /// # Errors
    /// [`InvalidRemote`].
    pub fn connect(&self, remote: SocketAddr) -> Result<(), InvalidRemote> {
        self.check_remote(remote)?;
        self.set_peer(Some(remote));
        // Where no route leads there yet, sending says so.
        let source = self.route(remote, self.mailbox.way_back(remote)).ok().map(|(_, source)| source);
        self.ways.lock().selected = source.filter(|_| self.local.ip().is_unspecified());
        Ok(())
    }

    fn set_peer(&self, peer: Option<SocketAddr>) {
        self.mailbox.set_peer(peer);
        for stack in self.serving.stacks() {
            stack.with_mut(|core| core.udp().connect(&self.mailbox, connection(self.local, peer)));
        }
    }

    /// Takes datagrams from everyone again.
    ///
    /// # Errors
    /// [`NotConnected`].
    pub fn disconnect(&self) -> Result<(), NotConnected> {
        if self.mailbox.peer().is_none() {
            return Err(NotConnected);
        }
        self.set_peer(None);
        self.ways.lock().selected = None;
        Ok(())
    }

    /// Sends a datagram to the connected peer.
    ///
    /// # Errors
    /// [`SendError::InvalidState`] where there is none; else as [`send_to`](Self::send_to).
    pub async fn send(&self, payload: &[u8]) -> Result<usize, SendError> {
        poll_fn(|context| self.poll_send(context, payload)).await
    }

    /// Sends a datagram to `remote`; its length. Waits only while the link takes nothing and a few datagrams of the socket
    /// wait for it already.
    ///
    /// # Errors
    /// See [`SendError`]. Broadcast addresses are for those who [ask for them](Self::set_broadcast).
    pub async fn send_to(&self, payload: &[u8], remote: SocketAddr) -> Result<usize, SendError> {
        poll_fn(|context| self.poll_send_to(context, payload, remote)).await
    }

    /// As [`send`](Self::send), for use in another future.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn poll_send(&self, context: &mut Context<'_>, payload: &[u8]) -> Poll<Result<usize, SendError>> {
        match self.mailbox.peer() {
            Some(peer) => self.poll_send_to(context, payload, peer),
            None => Poll::Ready(Err(NotConnected.into())),
        }
    }

    /// As [`send_to`](Self::send_to), for use in another future.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        context: &mut Context<'_>,
        payload: &[u8],
        remote: SocketAddr,
    ) -> Poll<Result<usize, SendError>> {
        pending(self.transmit(payload, &[], remote, Some(context.waker()))).map_ok(|_| payload.len())
    }

    /// As [`send_to`](Self::send_to), without waiting.
    ///
    /// # Errors
    /// [`SendError::WouldBlock`] while the link takes nothing; else as [`send_to`](Self::send_to).
    pub fn try_send_to(&self, payload: &[u8], remote: SocketAddr) -> Result<usize, SendError> {
        self.transmit(payload, &[], remote, None).map(|_| payload.len())
    }

    /// As [`send`](Self::send), without waiting.
    ///
    /// # Errors
    /// [`SendError::WouldBlock`] while the link takes nothing; else as [`send`](Self::send).
    pub fn try_send(&self, payload: &[u8]) -> Result<usize, SendError> {
        self.try_send_to(payload, self.mailbox.peer().ok_or(NotConnected)?)
    }

    /// Sends datagrams in order, to each its remote or the connected peer; how many. Waits for the first only: what
    /// the link does not take after that is left to the caller.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), about the first datagram. An error about a later one ends the batch before it.
    pub async fn send_many(&self, datagrams: &[(&[u8], Option<SocketAddr>)]) -> Result<usize, SendError> {
        if datagrams.is_empty() {
            return Ok(0);
        }
        let mut sent = poll_fn(|context| pending(self.transmit_row(datagrams, Some(context.waker())))).await?;
        while sent < datagrams.len() {
            match self.transmit_row(&datagrams[sent..], None) {
                Ok(count) => sent += count,
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    /// Sends the first of some datagrams, and those behind it that are for the same remote; how many.
    fn transmit_row(
        &self,
        datagrams: &[(&[u8], Option<SocketAddr>)],
        waker: Option<&Waker>,
    ) -> Result<usize, SendError> {
        let Some(((first, remote), rest)) = datagrams.split_first() else { return Ok(0) };
        let row = rest.iter().take_while(|(_, other)| other == remote).map(|(payload, _)| *payload);
        let row: SmallVec<[&[u8]; MOST_SEGMENTS]> = row.take(MOST_SEGMENTS - 1).collect();
        let remote = remote.or_else(|| self.mailbox.peer()).ok_or(NotConnected)?;
        self.transmit(first, &row, remote, waker)
    }

    /// Sends a datagram, and others behind it; how many.
    fn transmit(
        &self,
        payload: &[u8],
        others: &[&[u8]],
        remote: SocketAddr,
        waker: Option<&Waker>,
    ) -> Result<usize, SendError> {
        self.check_remote(remote)?;
        let way = self.mailbox.check_send(remote)?;
        let route = self.route(remote, way);
        if self.network.guard().is_some() {
            self.check_to(route.as_ref().ok(), remote)?;
        }
        let (stack, source) = route?;
        let datagram = Outgoing {
            kind: Kind::Datagram,
            payload,
            port: self.local.port(),
            source,
            remote,
            hop_limit: self.hop_limit().octet(),
            broadcast: self.broadcast(),
            whole: self.dont_fragment(),
            loops_back: self.multicast_loop(),
        };
        let count = stack.with_mut(|core| core.udp().send(self.outlet, &datagram, others, waker))?;
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    /// Fails where the policy denies a datagram to a peer.
    fn check_to(&self, route: Option<&(Stack, IpAddr)>, remote: SocketAddr) -> Result<(), Denied> {
        let is_broadcast = |(stack, _): &(Stack, IpAddr)| stack.ask(|core| core.interface.is_broadcast(remote.ip()));
        let operation = match remote.ip() {
            address if address.is_multicast() => Operation::UdpMulticast,
            IpAddr::V4(address) if address.is_broadcast() => Operation::UdpBroadcast,
            _ if route.is_some_and(is_broadcast) => Operation::UdpBroadcast,
            _ => Operation::UdpSend,
        };
        self.network.check_to(operation, route, remote)
    }

    /// The stack that leads to a peer, and the address to speak from: where the peer has asked this socket by a `way`, and
    /// that names no address of its own, the interface and address that it was asked at.
    fn route(&self, peer: SocketAddr, way: Option<Way>) -> Result<(Stack, IpAddr), RouteError> {
        // Read before the look, so that a change during it makes the result stale at once.
        let version = self.network.version();
        let remote = peer.ip();
        let Ways { selected, last } = &mut *self.ways.lock();
        let local = selected.or(Some(self.local.ip()).filter(|ip| !ip.is_unspecified()));
        let way = way.filter(|_| local.is_none());
        if let Some(known) = last
            && (known.remote, known.version, known.way) == (remote, version, way)
        {
            return Ok((known.stack.clone(), known.source));
        }
        let back = way.and_then(|way| self.network.way_back(way.interface, way.address, remote));
        let (stack, source) = match back {
            Some(back) => back,
            None => self.network.route(local, remote)?,
        };
        *last = Some(Known { remote, version, way, stack: stack.clone(), source });
        Ok((stack, source))
    }

    fn check_remote(&self, remote: SocketAddr) -> Result<(), InvalidRemote> {
        let bad = remote.port() == 0
            || remote.ip().is_unspecified()
            || remote.is_ipv4() != self.local.is_ipv4()
            || is_v4_mapped(remote.ip());
        if bad { Err(InvalidRemote) } else { Ok(()) }
    }

    /// Receives a datagram into `buffer`: how many bytes, and who sent it. What is longer than the buffer is cut off.
    ///
    /// # Errors
    /// See [`ReceiveError`]. What the path said of the connected peer is told once.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), ReceiveError> {
        poll_fn(|context| self.poll_recv_from(context, buffer)).await
    }

    /// As [`recv_from`](Self::recv_from), for a connected socket.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv(&self, buffer: &mut [u8]) -> Result<usize, ReceiveError> {
        self.recv_from(buffer).await.map(|(count, _)| count)
    }

    /// Receives a datagram whole, without copying it.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv_datagram(&self) -> Result<Datagram, ReceiveError> {
        poll_fn(|context| self.poll_recv_datagram(context)).await
    }

    /// Waits for a datagram, then takes it and those that have arrived behind it, at most `most`.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv_many(&self, most: usize) -> Result<Vec<Datagram>, ReceiveError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let mut datagrams = vec![self.recv_datagram().await?];
        self.mailbox.take_many(most - 1, &mut datagrams);
        Ok(datagrams)
    }

    /// As [`recv_from`](Self::recv_from), for use in another future.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub fn poll_recv_from(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<(usize, SocketAddr), ReceiveError>> {
        self.poll_recv_datagram(context).map_ok(|datagram| {
            let count = datagram.data.len().min(buffer.len());
            buffer[..count].copy_from_slice(&datagram.data[..count]);
            (count, datagram.remote)
        })
    }

    /// As [`recv_datagram`](Self::recv_datagram), for use in another future.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub fn poll_recv_datagram(&self, context: &mut Context<'_>) -> Poll<Result<Datagram, ReceiveError>> {
        match self.mailbox.take(Some(context.waker())) {
            Err(ReceiveError::WouldBlock) => self.idle(),
            result => Poll::Ready(result),
        }
    }

    /// Ready when receiving would not wait, be it for an error.
    pub fn poll_recv_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let ready = self.mailbox.is_ready(context.waker()) || self.serving.check().is_err();
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready when sending to the address that was last sent to would not wait, be it for an error. A socket that has not
    /// sent anything yet is ready.
    pub fn poll_send_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        // Whether the way is free is a matter of the stack that was last sent through. Any other says so by itself.
        let known = self.ways.lock().last.as_ref().map(|known| (known.stack.clone(), known.remote));
        match known {
            Some((stack, remote))
                if !stack.with_mut(|core| core.udp().may_send(self.outlet, remote, context.waker())) =>
            {
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// As [`recv_datagram`](Self::recv_datagram), without waiting.
    ///
    /// # Errors
    /// [`ReceiveError::WouldBlock`] where nothing is there, also because nothing can come; what the path said of the connected
    /// peer.
    pub fn try_recv_datagram(&self) -> Result<Datagram, ReceiveError> {
        self.mailbox.take(None)
    }

    /// A datagram that has arrived, if there is one. An error of the path is left for the next operation.
    pub fn take_queued(&self) -> Option<Datagram> {
        self.mailbox.take_queued()
    }

    /// As [`recv_from`](Self::recv_from), leaving the datagram to be received again.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub async fn peek_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), ReceiveError> {
        poll_fn(|context| {
            let peeked = self.mailbox.peek(Some(context.waker()), |datagram| {
                let count = datagram.content.len().min(buffer.len());
                buffer[..count].copy_from_slice(&datagram.content[..count]);
                (count, datagram.remote)
            });
            match peeked {
                Err(ReceiveError::WouldBlock) => self.idle(),
                result => Poll::Ready(result),
            }
        })
        .await
    }

    fn idle<T>(&self) -> Poll<Result<T, ReceiveError>> {
        match self.serving.check() {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

/// What a socket says of itself, and what can be asked of it.
impl UdpSocket {
    /// The address that the socket is bound to, with the port that was chosen; for a connected socket that is bound to every
    /// address, the one that it speaks from.
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

    /// What was sent, received and dropped.
    #[must_use]
    pub fn statistics(&self) -> UdpStatistics {
        self.mailbox.statistics(self.sent.load(Ordering::Relaxed))
    }

    /// The receive buffer, in bytes as asked for.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.receive_buffer.load(Ordering::Relaxed)
    }

    /// Sets the receive buffer, in bytes. What has no room in it any more, of what is queued, is dropped and counted, the
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

    /// Whether datagrams that are longer than their path takes are refused, and not sent in fragments.
    #[must_use]
    pub fn dont_fragment(&self) -> bool {
        self.dont_fragment.load(Ordering::Relaxed)
    }

    /// Sets whether datagrams that are longer than their path takes are refused with [`SendError::PacketTooLarge`] (as by
    /// `IP_PMTUDISC_DO` of ip(7)), and not sent in fragments.
    pub fn set_dont_fragment(&self, dont_fragment: bool) {
        self.dont_fragment.store(dont_fragment, Ordering::Relaxed);
    }

    /// Whether what is sent to a group is received by its members on this host too.
    #[must_use]
    pub fn multicast_loop(&self) -> bool {
        self.multicast_loop.load(Ordering::Relaxed)
    }

    /// Sets whether what is sent to a group is received by its members on this host too (`IP_MULTICAST_LOOP`), the sender
    /// among them.
    pub fn set_multicast_loop(&self, multicast_loop: bool) {
        self.multicast_loop.store(multicast_loop, Ordering::Relaxed);
    }

    /// Joins a multicast group, on the named interface or else on the first of this socket's that is not the loopback.
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

impl fmt::Debug for UdpSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("UdpSocket").field("local", &self.local).field("peer", &self.peer_addr()).finish()
    }
}
