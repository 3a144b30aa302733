//! Datagrams that wait to be received.
//!
//! A queue belongs to one socket, which several interfaces may serve. It takes no more memory than its limit, so who
//! may have a queue is charged for [its limit](Queue::limit) and for nothing else. There is no exception for a first
//! datagram that is larger: it is dropped. For that the limit has a floor.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::ops::Deref;

use thiserror::Error;

use crate::buffer::Slice;
use crate::wire::Ecn;

#[cfg(test)]
mod tests;

/// The least limit of a queue in bytes, that of Linux (`SOCK_MIN_RCVBUF`): an Ethernet frame's datagram fits.
pub const LEAST_LIMIT: usize = 2304;

/// What a datagram costs beside its payload. The list of them may have room for twice as many as there are, and the
/// allocator has some bytes for the payload.
const OVERHEAD: usize = 2 * size_of::<Datagram>() + 32;

/// Room for that many datagrams is kept by an empty queue.
const SMALL: usize = 16;

/// A datagram that has arrived.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// The payload.
    pub content: Content,
    /// Who sent it.
    pub remote: SocketAddr,
    /// The address it was sent to: one of this host's, a group's or a broadcast address.
    pub local: SocketAddr,
    /// The interface it came in by, whatever number the host gives it.
    pub interface: u32,
    /// The hop limit, or time to live, that was left.
    pub hop_limit: u8,
    /// What routers said of congestion.
    pub ecn: Ecn,
}

/// The payload of a datagram: memory of its own, or part of a packet's.
#[derive(Clone, Debug)]
pub enum Content {
    /// Copied out of the packet.
    Owned(Vec<u8>),
    /// Where it lay in the packet.
    Shared(Slice),
}

impl Content {
    /// The bytes of memory that are kept from being used again.
    fn held(&self) -> usize {
        match self {
            Self::Owned(bytes) => bytes.capacity(),
            Self::Shared(slice) => slice.held(),
        }
    }

    /// The same bytes in memory of their own, where they are less than a quarter of what they keep.
    fn compact(self) -> Self {
        if self.len() < self.held() / 4 { Self::Owned(self.to_vec()) } else { self }
    }

    /// The bytes, copied only where others may have a part in their memory.
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

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Delivery {
    /// It waits to be received.
    Queued,
    /// It was dropped and counted: there is no room for it.
    Full,
    /// It is not from the connected peer. For who sent it, the port is unreachable.
    Stranger,
}

/// What the path says of datagrams that were sent (RFC 1122 section 4.1.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// Nobody receives at the peer's port.
    #[error("the port is unreachable")]
    PortUnreachable,
    /// No way leads to the peer, or it does not answer on its link.
    #[error("the host is unreachable")]
    Unreachable,
    /// A link of the path takes packets of so many bytes, IP header included, and none that are longer.
    #[error("the path takes packets of {mtu} bytes")]
    TooLarge {
        /// The largest packet.
        mtu: u32,
    },
}

/// Why no datagram is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TakeError {
    /// Nothing is there yet.
    #[error("no datagram is there")]
    Empty,
    /// The path said so of the connected peer; it is told once.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Why a datagram may not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// The socket is connected to another peer.
    #[error("the socket is connected to another peer")]
    OtherPeer,
    /// The path said so of the connected peer; it is told once.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// What a socket says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Datagrams that were received into the queue.
    pub received: u64,
    /// Datagrams that were dropped because there was no room.
    pub dropped: u64,
    /// Bytes of payload in the queue.
    pub queued: usize,
}

/// The datagrams of one socket that wait to be received, its only peer if it has one, and what the path said of it.
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
    /// An empty queue that takes datagrams from everyone, of so many bytes of memory, but no less than [`LEAST_LIMIT`].
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

    /// Sets the limit, as for [`new`](Self::new). The latest datagrams are dropped and counted if they exceed it: what
    /// is charged for the limit would otherwise be less than what is held.
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

    /// The bytes of memory that the waiting datagrams count for.
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

    /// Whether a payload of so many bytes, in memory of its own, would have room: worth to ask before it is copied. One
    /// that has none is dropped and counted with this.
    pub fn admits(&mut self, length: usize) -> bool {
        let fits = self.held.saturating_add(length).saturating_add(OVERHEAD) <= self.limit;
        self.statistics.dropped += u64::from(!fits);
        fits
    }

    /// Takes the oldest datagram.
    ///
    /// # Errors
    /// The pending error, once; [`TakeError::Empty`].
    pub fn take(&mut self) -> Result<Datagram, TakeError> {
        self.error.take().map_or(Ok(()), Err)?;
        self.take_queued().ok_or(TakeError::Empty)
    }

    /// Takes the oldest datagram, if there is one, and leaves a pending error for the next operation.
    pub fn take_queued(&mut self) -> Option<Datagram> {
        let datagram = self.datagrams.pop_front()?;
        self.uncount(&datagram);
        if self.datagrams.is_empty() && self.datagrams.capacity() > SMALL {
            self.datagrams = VecDeque::new();
        }
        Some(datagram)
    }

    /// The oldest datagram, which stays.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub fn peek(&mut self) -> Result<&Datagram, TakeError> {
        self.error.take().map_or(Ok(()), Err)?;
        self.datagrams.front().ok_or(TakeError::Empty)
    }

    /// Whether a datagram or an error is there.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.error.is_some() || !self.datagrams.is_empty()
    }

    /// The only peer, once connected.
    #[must_use]
    pub const fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Sets or clears the only peer. What others have sent before is dropped, and so is an error about another peer.
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

    /// Whether datagrams from `remote` are taken.
    #[must_use]
    pub fn takes_from(&self, remote: SocketAddr) -> bool {
        self.peer.is_none_or(|peer| is_same_end(peer, remote))
    }

    /// Keeps what the path said of datagrams to `remote`, where the socket is connected to it: of any other, the owner
    /// could not tell whom it is about. Whether it did.
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

    /// What was received and dropped.
    #[must_use]
    pub const fn statistics(&self) -> Statistics {
        self.statistics
    }

    fn uncount(&mut self, datagram: &Datagram) {
        self.held = self.held.saturating_sub(weight(datagram));
        self.statistics.queued = self.statistics.queued.saturating_sub(datagram.content.len());
    }
}

/// What a datagram counts for.
fn weight(datagram: &Datagram) -> usize {
    datagram.content.held().saturating_add(OVERHEAD)
}

/// Whether a packet's end is the one that was named. A flow label is no part of it, and who named no scope meant any.
pub(super) fn is_same_end(named: SocketAddr, end: SocketAddr) -> bool {
    let scopes = match (named, end) {
        (SocketAddr::V6(named), SocketAddr::V6(end)) => {
            named.scope_id() == 0 || end.scope_id() == 0 || named.scope_id() == end.scope_id()
        }
        (SocketAddr::V4(_), SocketAddr::V4(_) | SocketAddr::V6(_)) | (SocketAddr::V6(_), SocketAddr::V4(_)) => true,
    };
    (named.ip(), named.port()) == (end.ip(), end.port()) && scopes
}
