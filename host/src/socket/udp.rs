//! UDP sockets.

mod options;

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
use crate::error::{BindError, Denied, NotConnected, PeerError, ReceiveError, SendError};
use crate::policy::Operation;
use crate::stack::Stack;
use crate::stack::options::{OnOutage, UdpOptions, datagram_memory};
use crate::stack::owner::Flow;
use crate::stack::udp::{Datagram, Kind, Mailbox, Outgoing, Outlet, Way, is_bindable};

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
    /// The number of datagrams sent.
    sent: AtomicU64,
    hop_limit: SharedHopLimit,
    broadcast: AtomicBool,
    dont_fragment: AtomicBool,
    multicast_loop: AtomicBool,
    receive_buffer: AtomicUsize,
    on_outage: OnOutage,
    drops_if_crowded: bool,
}

/// The registration of the socket with the stacks.
struct Receiving {
    address: IpAddr,
    mailbox: Arc<Mailbox>,
}

impl Binding for Receiving {
    fn bind(&self, stack: &Stack, port: u16) -> Result<(), BindError> {
        let local = SocketAddr::new(self.address, port);
        stack.with_mut(|core| {
            core.udp().bind(local, &self.mailbox)?;
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

/// The local and remote address of a connected socket.
fn connection(local: SocketAddr, peer: Option<SocketAddr>) -> Option<Tuple> {
    peer.map(|peer| Tuple::new(local, peer))
}

/// The routes of a socket's datagrams.
#[derive(Default)]
struct Ways {
    /// The source address that was selected when the socket was connected.
    selected: Option<IpAddr>,
    /// The route of the last datagram.
    last: Option<Known>,
}

/// A cached route, valid until the network changes.
#[derive(Clone)]
struct Known {
    remote: IpAddr,
    version: u64,
    /// The way back to the remote, if one was known.
    way: Option<Way>,
    /// The stack and the source address.
    route: (Stack, IpAddr),
    /// Whether the remote is a broadcast address of the stack's interface. `false` on a network without a policy.
    is_broadcast: bool,
}

impl UdpSocket {
    /// Binds to a local address with default options.
    ///
    /// # Errors
    /// As for [`bind_with`](Self::bind_with).
    pub fn bind(network: &Network, local: SocketAddr) -> Result<Self, BindError> {
        Self::bind_with(network, local, &UdpOptions::default())
    }

    /// Binds to a local address. Port 0 selects an ephemeral port. The unspecified address means every address of its
    /// family on every interface of `network`, including interfaces that are mounted later.
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
        let mailbox = Arc::new(Mailbox::new(local.ip(), memory, network.owner().clone(), network.guard().cloned()));
        let receiving = Receiving { address: local.ip(), mailbox: mailbox.clone() };
        let serving = Serving::bind(network, local, receiving)?;
        let local = serving.local();
        network.owner().log(&Flow { protocol: "udp", interface: None, local, remote: None }, "bound");
        Ok(Self {
            network: network.clone(),
            local,
            serving,
            mailbox,
            outlet: Outlet::new(network.owner().clone()),
            ways: Mutex::default(),
            sent: AtomicU64::new(0),
            hop_limit: SharedHopLimit::new(options.hop_limit),
            broadcast: AtomicBool::new(options.broadcast),
            dont_fragment: AtomicBool::new(options.dont_fragment),
            multicast_loop: AtomicBool::new(options.multicast_loop),
            receive_buffer: AtomicUsize::new(options.receive_buffer),
            on_outage: OnOutage::default(),
            drops_if_crowded: false,
        })
    }

    /// Makes `remote` the only peer: [`send`](Self::send) sends to it, and datagrams from others are not received.
    /// Errors that routers and hosts report about this peer are returned by the next operation. A socket that is bound
    /// to the unspecified address gets the source address that the route to the peer selects.
    ///
    /// After an error the socket keeps the peer that it had.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn connect(&self, remote: SocketAddr) -> Result<(), PeerError> {
        if !self.is_remote(remote) {
            return Err(PeerError::InvalidArgument);
        }
        // The route does not depend on the peer that the socket had before. If there is no route yet, sending will
        // return the error.
        let way = self.mailbox.way_back(remote);
        let route = self.route_from(&mut self.ways.lock().last, self.bound_address(), remote, way);
        self.check(route.as_ref().ok(), remote)?;
        if matches!(route, Err(RouteError::BoundToLoopback)) {
            return Err(PeerError::InvalidArgument);
        }
        self.set_peer(Some(remote));
        let source = route.ok().map(|known| known.route.1);
        self.ways.lock().selected = source.filter(|_| self.local.ip().is_unspecified());
        Ok(())
    }

    fn set_peer(&self, peer: Option<SocketAddr>) {
        self.mailbox.set_peer(peer);
        for stack in self.serving.stacks() {
            stack.with_mut(|core| core.udp().connect(&self.mailbox, connection(self.local, peer)));
        }
    }

    /// Removes the peer: receives datagrams from everyone again.
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
    /// [`SendError::InvalidState`] if the socket is not connected; else as for [`send_to`](Self::send_to).
    pub async fn send(&self, payload: &[u8]) -> Result<usize, SendError> {
        poll_fn(|context| self.poll_send(context, payload)).await
    }

    /// Sends a datagram to `remote` and returns its length. Waits only while the device is full and a few datagrams of
    /// the socket wait already, or while too many packets wait for the neighbour (see
    /// [`set_drops_if_crowded`](Self::set_drops_if_crowded)).
    ///
    /// # Errors
    /// See [`SendError`]. Broadcast addresses must be [allowed](Self::set_broadcast) first.
    pub async fn send_to(&self, payload: &[u8], remote: SocketAddr) -> Result<usize, SendError> {
        poll_fn(|context| self.poll_send_to(context, payload, remote)).await
    }

    /// Like [`send`](Self::send), for use in another future.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn poll_send(&self, context: &mut Context<'_>, payload: &[u8]) -> Poll<Result<usize, SendError>> {
        match self.mailbox.peer() {
            Some(peer) => self.poll_send_to(context, payload, peer),
            None => Poll::Ready(Err(NotConnected.into())),
        }
    }

    /// Like [`send_to`](Self::send_to), for use in another future.
    ///
    /// # Errors
    /// As for [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        context: &mut Context<'_>,
        payload: &[u8],
        remote: SocketAddr,
    ) -> Poll<Result<usize, SendError>> {
        pending(self.transmit(payload, &[], remote, Some(context.waker()))).map_ok(|_| payload.len())
    }

    /// Like [`send_to`](Self::send_to), without waiting.
    ///
    /// # Errors
    /// [`SendError::WouldBlock`] where [`send_to`](Self::send_to) would wait; else as for that.
    pub fn try_send_to(&self, payload: &[u8], remote: SocketAddr) -> Result<usize, SendError> {
        self.transmit(payload, &[], remote, None).map(|_| payload.len())
    }

    /// Like [`send`](Self::send), without waiting.
    ///
    /// # Errors
    /// [`SendError::WouldBlock`] where [`send`](Self::send) would wait; else as for that.
    pub fn try_send(&self, payload: &[u8]) -> Result<usize, SendError> {
        self.try_send_to(payload, self.mailbox.peer().ok_or(NotConnected)?)
    }

    /// Sends datagrams in order, each to its remote or to the connected peer, and returns how many were sent. Waits for
    /// the first one only: datagrams that cannot be sent at once after it are left to the caller.
    ///
    /// # Errors
    /// As for [`send_to`](Self::send_to), about the first datagram. An error about a later one ends the batch before
    /// it.
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

    /// Sends the first datagram and those directly behind it that have the same remote. Returns how many were sent.
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

    /// Sends a datagram and others to the same remote. Returns how many were sent.
    fn transmit(
        &self,
        payload: &[u8],
        others: &[&[u8]],
        remote: SocketAddr,
        waker: Option<&Waker>,
    ) -> Result<usize, SendError> {
        if !self.is_remote(remote) {
            return Err(SendError::InvalidArgument);
        }
        let way = self.mailbox.check_send(remote)?;
        let route = self.route(remote, way);
        self.check(route.as_ref().ok(), remote)?;
        let (stack, source) = route?.route;
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
            drops_if_crowded: self.drops_if_crowded,
        };
        let count = stack.with_mut(|core| core.udp().send(&self.outlet, &datagram, others, waker))?;
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    /// The address that the socket is bound to; `None` if that is the unspecified address.
    fn bound_address(&self) -> Option<IpAddr> {
        Some(self.local.ip()).filter(|ip| !ip.is_unspecified())
    }

    /// The stack and the source address for datagrams to a peer, as in [`route_from`](Self::route_from), from the
    /// address that was selected for the connected peer, or that the socket is bound to.
    fn route(&self, peer: SocketAddr, way: Option<Way>) -> Result<Known, RouteError> {
        let Ways { selected, last } = &mut *self.ways.lock();
        self.route_from(last, selected.or(self.bound_address()), peer, way)
    }

    /// The stack and the source address for datagrams to a peer from the address `local`. If that is `None` and the
    /// peer has sent to the socket by a `way`, these are the interface and address of that way. `last` is the cached
    /// route.
    fn route_from(
        &self,
        last: &mut Option<Known>,
        local: Option<IpAddr>,
        peer: SocketAddr,
        way: Option<Way>,
    ) -> Result<Known, RouteError> {
        // Read before the route is found, so that a change meanwhile makes the cached route stale at once.
        let version = self.network.version();
        let remote = peer.ip();
        let way = way.filter(|_| local.is_none());
        if let Some(known) = last
            && (known.remote, known.version, known.way) == (remote, version, way)
        {
            return Ok(known.clone());
        }
        let back = way.and_then(|way| self.network.way_back(way.interface, way.address, remote));
        let route = match back {
            Some(back) => back,
            None => self.network.route(local, remote)?,
        };
        // Only a policy asks for this.
        let is_broadcast = self.network.guard().is_some() && route.0.ask(|core| core.interface.is_broadcast(remote));
        Ok(last.insert(Known { remote, version, way, route, is_broadcast }).clone())
    }

    /// Checks a datagram to a peer; fails if the policy denies it.
    fn check(&self, known: Option<&Known>, remote: SocketAddr) -> Result<(), Denied> {
        let is_broadcast = known.is_some_and(|known| known.is_broadcast);
        self.network.check_datagram(known.map(|known| &known.route), is_broadcast, remote)
    }

    /// Whether an address can be the remote of the socket's datagrams.
    fn is_remote(&self, remote: SocketAddr) -> bool {
        remote.port() != 0
            && !remote.ip().is_unspecified()
            && remote.is_ipv4() == self.local.is_ipv4()
            && !is_v4_mapped(remote.ip())
    }

    /// Receives a datagram into `buffer`. Returns the number of bytes and the sender. A datagram that is longer than
    /// the buffer is truncated.
    ///
    /// # Errors
    /// See [`ReceiveError`]. Each error that was reported about the connected peer is returned once.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), ReceiveError> {
        poll_fn(|context| self.poll_recv_from(context, buffer)).await
    }

    /// Like [`recv_from`](Self::recv_from), for a connected socket.
    ///
    /// # Errors
    /// As for [`recv_from`](Self::recv_from).
    pub async fn recv(&self, buffer: &mut [u8]) -> Result<usize, ReceiveError> {
        self.recv_from(buffer).await.map(|(count, _)| count)
    }

    /// Receives a datagram whole, without copying it.
    ///
    /// # Errors
    /// As for [`recv_from`](Self::recv_from).
    pub async fn recv_datagram(&self) -> Result<Datagram, ReceiveError> {
        poll_fn(|context| self.poll_recv_datagram(context)).await
    }

    /// Waits for a datagram, then returns it and those that have arrived after it, at most `most`.
    ///
    /// # Errors
    /// As for [`recv_from`](Self::recv_from).
    pub async fn recv_many(&self, most: usize) -> Result<Vec<Datagram>, ReceiveError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let mut datagrams = vec![self.recv_datagram().await?];
        self.mailbox.take_many(most - 1, &mut datagrams);
        Ok(datagrams)
    }

    /// Like [`recv_from`](Self::recv_from), for use in another future.
    ///
    /// # Errors
    /// As for [`recv_from`](Self::recv_from).
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

    /// Like [`recv_datagram`](Self::recv_datagram), for use in another future.
    ///
    /// # Errors
    /// As for [`recv_from`](Self::recv_from).
    pub fn poll_recv_datagram(&self, context: &mut Context<'_>) -> Poll<Result<Datagram, ReceiveError>> {
        match self.mailbox.take(Some(context.waker())) {
            Err(ReceiveError::WouldBlock) => self.idle(),
            result => Poll::Ready(result),
        }
    }

    /// Ready when receiving would succeed or fail without waiting.
    pub fn poll_recv_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let ready = self.mailbox.is_ready(context.waker()) || self.serving.check(self.on_outage).is_err();
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready when sending to the address of the last datagram would succeed or fail without waiting. A socket that has
    /// not sent anything yet is ready.
    pub fn poll_send_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        // This asks the stack through which the last datagram was sent. If the next one takes another stack, sending
        // may still wait.
        let known = self.ways.lock().last.as_ref().map(|known| (known.route.0.clone(), known.remote));
        let Some((stack, remote)) = known else { return Poll::Ready(()) };
        let ready = stack.with_mut(|core| match self.drops_if_crowded {
            // No neighbour is waited for, whichever the next datagram is sent to.
            true => core.udp().has_room(&self.outlet, context.waker()),
            false => core.udp().may_send(&self.outlet, remote, context.waker()),
        });
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Like [`recv_datagram`](Self::recv_datagram), without waiting.
    ///
    /// # Errors
    /// [`ReceiveError::WouldBlock`] if nothing is there, also if nothing can arrive; the pending error about the
    /// connected peer.
    pub fn try_recv_datagram(&self) -> Result<Datagram, ReceiveError> {
        self.mailbox.take(None)
    }

    /// Takes the oldest datagram, if there is one. A pending error is left for the next operation.
    pub fn take_queued(&self) -> Option<Datagram> {
        self.mailbox.take_queued()
    }

    /// Like [`recv_from`](Self::recv_from), but leaves the datagram in the queue.
    ///
    /// # Errors
    /// As for [`recv_from`](Self::recv_from).
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
        match self.serving.check(self.on_outage) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("UdpSocket").field("local", &self.local).field("peer", &self.peer_addr()).finish()
    }
}
