//! UDP sockets. Datagrams that the host has returned wait in the socket until a caller takes them, so that dropping a
//! future loses none.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use crate::address::{Family, from_wit, ip_to_wit, to_wit};
use crate::bindings::types::ErrorCode;
use crate::bindings::udp;
use crate::flight::{Flight, lock};
use crate::target::{Target, ToSocketAddrs, first_local, target};
use crate::{Error, Result};

/// A datagram that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The payload.
    pub data: Vec<u8>,
    /// The address and port that sent it.
    pub remote: SocketAddr,
}

/// A datagram to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingDatagram {
    /// The payload.
    pub data: Vec<u8>,
    /// The destination; `None` for the peer of a connected socket.
    pub remote: Option<SocketAddr>,
}

/// The options of a bind. The defaults leave everything to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UdpOptions {
    /// How many bytes of memory datagrams may take while they wait to be received. Not 0.
    pub receive_buffer: Option<u64>,
    /// Whether datagrams may be sent to broadcast addresses.
    pub broadcast: Option<bool>,
    /// The time to live (IPv4) or hop limit (IPv6) of outgoing packets, 1 to 255.
    pub hop_limit: Option<u8>,
    /// Whether datagrams that are longer than the path MTU are refused instead of being fragmented.
    pub dont_fragment: Option<bool>,
    /// Whether datagrams that are sent to a group are received by the group's members on this host too.
    pub multicast_loop: Option<bool>,
    /// The name of the only interface to use.
    pub interface: Option<String>,
}

/// The datagrams of a socket since it was bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpStatistics {
    /// Datagrams given to the stack for sending.
    pub sent: u64,
    /// Datagrams that arrived and were queued.
    pub received: u64,
    /// Datagrams that arrived and found the queue full.
    pub dropped: u64,
}

/// A UDP socket.
///
/// All methods take `&self`: several tasks may send and receive at once, and each datagram goes to one of them. If a
/// future that receives is dropped, no datagram is lost.
pub struct UdpSocket {
    socket: Arc<udp::UdpSocket>,
    receive: Flight<Result<Vec<udp::Datagram>, ErrorCode>>,
    /// Datagrams of the last operation that are not returned to a caller yet.
    arrived: Mutex<VecDeque<Datagram>>,
    /// The peer of a connected socket, without scope and flow label, as in the addresses of senders.
    peer: Mutex<Option<SocketAddr>>,
}

impl UdpSocket {
    /// Binds a local address. The unspecified address receives on every interface; port 0 takes a free port. Of several
    /// addresses, the first that can be bound is used. A name is an [`InvalidArgument`](Error::InvalidArgument).
    ///
    /// # Errors
    /// [`AddressInUse`](Error::AddressInUse), [`AddressNotAvailable`](Error::AddressNotAvailable) and the other errors
    /// of `bind` in the WIT package.
    pub fn bind(local: impl ToSocketAddrs) -> Result<Self> {
        Self::bind_with(local, &UdpOptions::default())
    }

    /// Binds a local address with these options.
    pub fn bind_with(local: impl ToSocketAddrs, options: &UdpOptions) -> Result<Self> {
        let UdpOptions { receive_buffer, broadcast, hop_limit, dont_fragment, multicast_loop, interface } = options;
        let options = udp::Options {
            receive_buffer: *receive_buffer,
            broadcast: *broadcast,
            hop_limit: *hop_limit,
            dont_fragment: *dont_fragment,
            multicast_loop: *multicast_loop,
        };
        let bind = |local| Ok(udp::UdpSocket::bind(to_wit(local), interface.as_deref(), options)?);
        let socket = first_local(&local, bind)?;
        Ok(Self { socket: Arc::new(socket), receive: Flight::new(), arrived: Mutex::default(), peer: Mutex::default() })
    }

    /// Chooses a peer: [`send`](Self::send) sends to it, and only its datagrams are received. A name is resolved in the
    /// socket's family, and its first address that has a route is used.
    ///
    /// # Errors
    /// [`RemoteUnreachable`](Error::RemoteUnreachable), the other errors of `connect` in the WIT package, and for a
    /// name those of name resolution, as with [`TcpStream::connect`](crate::TcpStream::connect).
    pub async fn connect(&self, peer: impl ToSocketAddrs) -> Result<()> {
        let mut result = Err(Error::InvalidArgument);
        for peer in self.resolve(&peer).await? {
            result = self.connect_to(peer);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn connect_to(&self, peer: SocketAddr) -> Result<()> {
        let peer = to_wit(peer);
        self.socket.connect(peer)?;
        let peer = from_wit(peer);
        // Datagrams that the host has already returned must pass the same filter as those in its queue.
        *lock(&self.peer) = Some(peer);
        lock(&self.arrived).retain(|datagram| datagram.remote == peer);
        Ok(())
    }

    /// Removes the peer: receives from any address again.
    pub fn disconnect(&self) -> Result<()> {
        self.socket.disconnect()?;
        *lock(&self.peer) = None;
        Ok(())
    }

    /// Sends a datagram to an address, or to the first address that a name has in the socket's family; returns its
    /// length.
    ///
    /// # Errors
    /// [`PacketTooLarge`](Error::PacketTooLarge), [`RemoteUnreachable`](Error::RemoteUnreachable) and the other errors
    /// of `send` in the WIT package; for a name those of name resolution, as with
    /// [`TcpStream::connect`](crate::TcpStream::connect).
    pub async fn send_to(&self, data: &[u8], remote: impl ToSocketAddrs) -> Result<usize> {
        let remote = self.resolve(&remote).await?.first().copied().ok_or(Error::InvalidArgument)?;
        self.socket.send(data.to_vec(), Some(to_wit(remote))).await?;
        Ok(data.len())
    }

    /// Sends a datagram to the peer of a connected socket; returns its length.
    pub async fn send(&self, data: &[u8]) -> Result<usize> {
        self.socket.send(data.to_vec(), None).await?;
        Ok(data.len())
    }

    /// Sends several datagrams in their order; returns how many. Waits for room for the first one only.
    pub async fn send_many(&self, datagrams: Vec<OutgoingDatagram>) -> Result<usize> {
        let datagrams = datagrams
            .into_iter()
            .map(|OutgoingDatagram { data, remote }| udp::OutgoingDatagram { data, remote: remote.map(to_wit) })
            .collect();
        Ok(self.socket.send_many(datagrams).await? as usize)
    }

    /// Waits for a datagram and copies it into `buffer`; returns the copied length and the sender. Bytes that do not
    /// fit are dropped.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr)> {
        let Datagram { data, remote } = self.recv_datagram().await?;
        let length = data.len().min(buffer.len());
        buffer[..length].copy_from_slice(&data[..length]);
        Ok((length, remote))
    }

    /// [`recv_from`](Self::recv_from) without the sender.
    pub async fn recv(&self, buffer: &mut [u8]) -> Result<usize> {
        Ok(self.recv_from(buffer).await?.0)
    }

    /// Waits for a datagram and takes it, whatever its size.
    pub async fn recv_datagram(&self) -> Result<Datagram> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// [`recv_datagram`](Self::recv_datagram) for implementations of `poll` functions.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<Datagram>> {
        loop {
            if let Some(datagram) = lock(&self.arrived).pop_front() {
                return Poll::Ready(Ok(datagram));
            }
            ready!(self.poll_arrival(cx, 1))?;
        }
    }

    /// Waits for a datagram, then takes all that have arrived, but at most `most` of them. `most` must not be 0.
    pub async fn recv_many(&self, most: usize) -> Result<Vec<Datagram>> {
        if most == 0 {
            return Err(Error::InvalidArgument);
        }
        poll_fn(|cx| {
            loop {
                let mut arrived = lock(&self.arrived);
                if !arrived.is_empty() {
                    let count = most.min(arrived.len());
                    return Poll::Ready(Ok(arrived.drain(..count).collect()));
                }
                drop(arrived);
                ready!(self.poll_arrival(cx, most))?;
            }
        })
        .await
    }

    /// Joins a multicast group, to receive the datagrams that are sent to it: on the interface of that name, or on the
    /// interface that the route to the group selects.
    pub fn join_multicast(&self, group: IpAddr, interface: Option<&str>) -> Result<()> {
        self.socket.join_multicast(ip_to_wit(group), interface).map_err(Error::from)
    }

    /// Leaves a group that was joined with the same arguments.
    pub fn leave_multicast(&self, group: IpAddr, interface: Option<&str>) -> Result<()> {
        self.socket.leave_multicast(ip_to_wit(group), interface).map_err(Error::from)
    }

    /// The address that the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        from_wit(self.socket.local_address())
    }

    /// The peer of a connected socket.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket.remote_address().map(from_wit)
    }

    /// Whether datagrams may be sent to broadcast addresses.
    pub fn broadcast(&self) -> bool {
        self.socket.broadcast()
    }

    /// Sets whether datagrams may be sent to broadcast addresses.
    pub fn set_broadcast(&self, value: bool) -> Result<()> {
        self.socket.set_broadcast(value).map_err(Error::from)
    }

    /// The time to live or hop limit of outgoing packets.
    pub fn hop_limit(&self) -> u8 {
        self.socket.hop_limit()
    }

    /// Sets the time to live or hop limit of outgoing packets, 1 to 255.
    pub fn set_hop_limit(&self, value: u8) -> Result<()> {
        self.socket.set_hop_limit(value).map_err(Error::from)
    }

    /// How many bytes of memory datagrams may take while they wait to be received, as it was set.
    pub fn receive_buffer(&self) -> u64 {
        self.socket.receive_buffer()
    }

    /// The datagrams of the socket since it was bound.
    pub fn statistics(&self) -> UdpStatistics {
        let udp::Statistics { sent, received, dropped } = self.socket.statistics();
        UdpStatistics { sent, received, dropped }
    }

    async fn resolve(&self, given: &impl ToSocketAddrs) -> Result<Vec<SocketAddr>> {
        match target(given)? {
            Target::Addresses(addresses) => Ok(addresses),
            name @ Target::Name(..) => name.resolve(Some(Family::of(self.local_addr().ip()))).await,
        }
    }

    /// Waits until the operation in flight is done and appends its datagrams to `arrived`.
    fn poll_arrival(&self, cx: &mut Context<'_>, most: usize) -> Poll<Result<()>> {
        let datagrams = ready!(self.receive.poll(cx, || {
            let socket = Arc::clone(&self.socket);
            if most == 1 {
                return Box::pin(async move { socket.receive().await.map(|datagram| vec![datagram]) });
            }
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            Box::pin(async move { socket.receive_many(most).await })
        }))?;
        let peer = *lock(&self.peer);
        let datagrams = datagrams
            .into_iter()
            .map(|udp::Datagram { data, remote }| Datagram { data, remote: from_wit(remote) })
            .filter(|datagram| peer.is_none_or(|peer| datagram.remote == peer));
        lock(&self.arrived).extend(datagrams);
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket").field("socket", &self.socket).finish_non_exhaustive()
    }
}
