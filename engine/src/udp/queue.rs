//! The queue of datagrams that a socket has received.
//!
//! A queue belongs to one socket, which several interfaces may serve. It never takes more memory than its limit, so
//! that the owner of the socket is charged for [the limit](Queue::limit) and for nothing else. A first datagram that is
//! larger than the limit is no exception: it is dropped. That is why the limit has a minimum.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::ops::Deref;

use thiserror::Error;

use crate::buffer::Slice;
use crate::wire::Ecn;

#[cfg(test)]
mod tests;

/// The minimum limit of a queue in bytes, as on Linux (`SOCK_MIN_RCVBUF`): the datagram of an Ethernet frame fits.
pub const LEAST_LIMIT: usize = 2304;

/// The memory that a datagram is charged beside its payload. The list may have capacity for twice as many datagrams,
/// and the allocator has some overhead for the payload.
const OVERHEAD: usize = 2 * size_of::<Datagram>() + 32;

/// An empty queue keeps the capacity for this many datagrams.
const SMALL: usize = 16;

/// A datagram that has arrived.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// The payload.
    pub content: Content,
    /// The source of the datagram.
    pub remote: SocketAddr,
    /// The destination address: an address of this host, a group, or a broadcast address.
    pub local: SocketAddr,
    /// The interface that received it, by the host's number.
    pub interface: u32,
    /// The hop limit, or time to live, that it arrived with.
    pub hop_limit: u8,
    /// The ECN codepoint.
    pub ecn: Ecn,
}

/// The payload of a datagram: in its own memory, or as a part of a packet's memory.
#[derive(Clone, Debug)]
pub enum Content {
    /// Copied out of the packet.
    Owned(Vec<u8>),
    /// A reference into the memory of the packet.
    Shared(Slice),
}

impl Content {
    /// The bytes of memory that it keeps allocated.
    fn held(&self) -> usize {
        match self {
            Self::Owned(bytes) => bytes.capacity(),
            Self::Shared(slice) => slice.held(),
        }
    }

    /// Copies the bytes into their own memory if they are less than a quarter of the memory that they keep allocated.
    fn compact(self) -> Self {
        if self.len() < self.held() / 4 { Self::Owned(self.to_vec()) } else { self }
    }

    /// The bytes as a vector. They are only copied if they are in shared memory.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(slice) => slice.to_vec(),
        }
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(slice) => slice,
        }
    }
}

/// What happened to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Delivery {
    /// It is in the queue.
    Queued,
    /// It was dropped and counted, because there was no room.
    Full,
    /// It is not from the connected peer. Its sender gets "port unreachable".
    Stranger,
}

/// A network error about datagrams that were sent (RFC 1122 section 4.1.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// No socket has the peer's port.
    #[error("the port is unreachable")]
    PortUnreachable,
    /// There is no route to the peer, or it does not answer on its link.
    #[error("the host is unreachable")]
    Unreachable,
    /// The path MTU is smaller than the datagram.
    #[error("the path takes packets of {mtu} bytes")]
    TooLarge {
        /// The path MTU, IP header included.
        mtu: u32,
    },
}

/// Why no datagram is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TakeError {
    /// No datagram has arrived yet.
    #[error("no datagram is there")]
    Empty,
    /// An error about the connected peer. It is returned once.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Why a datagram may not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// The socket is connected to another peer.
    #[error("the socket is connected to another peer")]
    OtherPeer,
    /// An error about the connected peer. It is returned once.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Counters of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Datagrams that were queued.
    pub received: u64,
    /// Datagrams that were dropped because there was no room.
    pub dropped: u64,
    /// Bytes of payload in the queue.
    pub queued: usize,
}

/// The received datagrams of one socket, its connected peer, and a pending error about the peer.
#[derive(Debug)]
pub struct Queue {
    datagrams: VecDeque<Datagram>,
    limit: usize,
    held: usize,
    peer: Option<SocketAddr>,
    error: Option<PathError>,
    statistics: Statistics,
}

impl Queue {
    /// An empty queue of an unconnected socket, with a limit in bytes of memory, but at least [`LEAST_LIMIT`].
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = limit.max(LEAST_LIMIT);
        let statistics = Statistics::default();
        Self { datagrams: VecDeque::new(), limit, held: 0, peer: None, error: None, statistics }
    }

    /// The bytes of memory that the queue may take.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Sets the limit, as for [`new`](Self::new). If the queue exceeds it, the latest datagrams are dropped and
    /// counted, because the owner is only charged for the limit.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(LEAST_LIMIT);
        while self.held > self.limit
            && let Some(datagram) = self.datagrams.pop_back()
        {
            self.uncount(&datagram);
            self.statistics.dropped += 1;
        }
        self.datagrams.shrink_to_fit();
    }

    /// The bytes of memory that the queued datagrams are charged.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Queues a datagram.
    pub fn deliver(&mut self, mut datagram: Datagram) -> Delivery {
        if !self.takes_from(datagram.remote) {
            return Delivery::Stranger;
        }
        datagram.content = datagram.content.compact();
        let held = self.held.saturating_add(weight(&datagram));
        if held > self.limit {
            self.statistics.dropped += 1;
            return Delivery::Full;
        }
        self.held = held;
        self.statistics.received += 1;
        self.statistics.queued += datagram.content.len();
        self.datagrams.push_back(datagram);
        Delivery::Queued
    }

    /// Whether there is room for a payload of `length` bytes in its own memory. Ask before copying the payload. If
    /// there is no room, the datagram is counted as dropped.
    pub fn admits(&mut self, length: usize) -> bool {
        let fits = self.held.saturating_add(length).saturating_add(OVERHEAD) <= self.limit;
        self.statistics.dropped += u64::from(!fits);
        fits
    }

    /// Removes and returns the oldest datagram.
    ///
    /// # Errors
    /// The pending error, once; [`TakeError::Empty`].
    pub fn take(&mut self) -> Result<Datagram, TakeError> {
        self.error.take().map_or(Ok(()), Err)?;
        self.take_queued().ok_or(TakeError::Empty)
    }

    /// Removes and returns the oldest datagram, if there is one. A pending error is kept for the next operation.
    pub fn take_queued(&mut self) -> Option<Datagram> {
        let datagram = self.datagrams.pop_front()?;
        self.uncount(&datagram);
        if self.datagrams.is_empty() && self.datagrams.capacity() > SMALL {
            self.datagrams = VecDeque::new();
        }
        Some(datagram)
    }

    /// Returns the oldest datagram without removing it.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub fn peek(&mut self) -> Result<&Datagram, TakeError> {
        self.error.take().map_or(Ok(()), Err)?;
        self.datagrams.front().ok_or(TakeError::Empty)
    }

    /// Whether there is a datagram or an error.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.error.is_some() || !self.datagrams.is_empty()
    }

    /// The connected peer.
    #[must_use]
    pub const fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Connects to a peer, or disconnects. Datagrams of others are dropped, and so is a pending error.
    pub fn set_peer(&mut self, peer: Option<SocketAddr>) {
        self.peer = peer;
        self.error = None;
        let datagrams = core::mem::take(&mut self.datagrams);
        for datagram in datagrams {
            if self.takes_from(datagram.remote) {
                self.datagrams.push_back(datagram);
            } else {
                self.uncount(&datagram);
            }
        }
    }

    /// Whether datagrams from `remote` are accepted.
    #[must_use]
    pub fn takes_from(&self, remote: SocketAddr) -> bool {
        self.peer.is_none_or(|peer| is_same_end(peer, remote))
    }

    /// Stores an error about datagrams to `remote`, if the socket is connected to it. If it is not connected, the owner
    /// could not tell which destination the error is about. Returns whether the error was stored.
    pub fn fail(&mut self, remote: SocketAddr, error: PathError) -> bool {
        let concerns = self.peer.is_some_and(|peer| is_same_end(peer, remote));
        if concerns {
            self.error = Some(error);
        }
        concerns
    }

    /// Whether a datagram to `remote` may be sent.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn check_send(&mut self, remote: SocketAddr) -> Result<(), SendError> {
        if !self.takes_from(remote) {
            return Err(SendError::OtherPeer);
        }
        Ok(self.error.take().map_or(Ok(()), Err)?)
    }

    /// The counters.
    #[must_use]
    pub const fn statistics(&self) -> Statistics {
        self.statistics
    }

    fn uncount(&mut self, datagram: &Datagram) {
        self.held = self.held.saturating_sub(weight(datagram));
        self.statistics.queued = self.statistics.queued.saturating_sub(datagram.content.len());
    }
}

/// The memory that a datagram is charged.
fn weight(datagram: &Datagram) -> usize {
    datagram.content.held().saturating_add(OVERHEAD)
}

/// Whether `end` is the end that was `named`. The flow label is ignored, and an end without a scope matches any scope.
pub(super) fn is_same_end(named: SocketAddr, end: SocketAddr) -> bool {
    let scopes = match (named, end) {
        (SocketAddr::V6(named), SocketAddr::V6(end)) => {
            named.scope_id() == 0 || end.scope_id() == 0 || named.scope_id() == end.scope_id()
        }
        (SocketAddr::V4(_), SocketAddr::V4(_) | SocketAddr::V6(_)) | (SocketAddr::V6(_), SocketAddr::V4(_)) => true,
    };
    (named.ip(), named.port()) == (end.ip(), end.port()) && scopes
}
