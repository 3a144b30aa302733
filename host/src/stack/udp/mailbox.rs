//! Datagrams that wait to be received.

use core::net::SocketAddr;
use core::task::Waker;
use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::stack::demux::Tuple;
use crate::stack::waiters::{Waiters, Wakes};

/// A datagram that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The payload.
    pub data: Vec<u8>,
    /// Who sent it.
    pub remote: SocketAddr,
    /// The address it was sent to: one of this host's, a group's or a broadcast address.
    pub local: SocketAddr,
}

/// What a UDP socket says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpStatistics {
    /// Datagrams that were sent.
    pub sent: u64,
    /// Datagrams that were received into the queue.
    pub received: u64,
    /// Datagrams that were dropped because the queue was full.
    pub dropped: u64,
    /// Bytes of payload in the queue.
    pub receive_queue: usize,
}

/// A UDP socket as the stacks see it. Its lock is taken inside a stack's lock, never the other way round.
pub(crate) struct Mailbox(Mutex<Content>);

struct Content {
    queue: VecDeque<Datagram>,
    /// Bytes that the queue accounts for, and may.
    weight: usize,
    limit: usize,
    payload: usize,
    /// The only peer, once connected.
    peer: Option<SocketAddr>,
    /// What the path said of the last datagrams.
    error: Option<Error>,
    waiters: Waiters,
    received: u64,
    sent: u64,
    dropped: u64,
}

/// What a datagram costs beside its payload, so that empty ones are bounded too.
const OVERHEAD: usize = size_of::<Datagram>();

impl Content {
    fn pop(&mut self) -> Option<Datagram> {
        let datagram = self.queue.pop_front()?;
        self.weight -= datagram.data.len() + OVERHEAD;
        self.payload -= datagram.data.len();
        Some(datagram)
    }
}

impl Mailbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Mutex::new(Content {
            queue: VecDeque::new(),
            weight: 0,
            limit,
            payload: 0,
            peer: None,
            error: None,
            waiters: Waiters::default(),
            received: 0,
            sent: 0,
            dropped: 0,
        }))
    }

    /// Whether datagrams from `remote` are taken.
    pub(super) fn takes_from(&self, remote: SocketAddr) -> bool {
        self.0.lock().peer.is_none_or(|peer| peer == remote)
    }

    /// Queues a datagram; false where there is no room.
    pub(super) fn deliver(&self, payload: &[u8], tuple: Tuple, wakes: &mut Wakes) -> bool {
        let mut content = self.0.lock();
        let weight = payload.len() + OVERHEAD;
        // One datagram always fits, or a small queue would take none.
        if content.weight + weight > content.limit && !content.queue.is_empty() {
            content.dropped += 1;
            return false;
        }
        content.weight += weight;
        content.payload += payload.len();
        content.received += 1;
        content.queue.push_back(Datagram { data: payload.to_vec(), remote: tuple.remote(), local: tuple.local() });
        content.waiters.take(wakes);
        true
    }

    /// Keeps an error from the path, where the socket is connected to the peer it is about.
    pub(super) fn fail(&self, remote: SocketAddr, error: &Error, wakes: &mut Wakes) {
        let mut content = self.0.lock();
        if content.peer == Some(remote) {
            content.error = Some(error.clone());
            content.waiters.take(wakes);
        }
    }

    /// Takes the oldest datagram.
    ///
    /// # Errors
    /// The pending error, once; [`Error::WouldBlock`] while nothing is there, after which `waker` is woken when
    /// something comes.
    pub(crate) fn take(&self, waker: Option<&Waker>) -> Result<Datagram> {
        let mut content = self.0.lock();
        if let Some(error) = content.error.take() {
            return Err(error);
        }
        if let Some(datagram) = content.pop() {
            return Ok(datagram);
        }
        if let Some(waker) = waker {
            content.waiters.register(waker);
        }
        Err(Error::WouldBlock)
    }

    /// Whether a datagram or an error is there; where none is, `waker` is woken when one comes.
    pub(crate) fn is_ready(&self, waker: &Waker) -> bool {
        let mut content = self.0.lock();
        let ready = content.error.is_some() || !content.queue.is_empty();
        if !ready {
            content.waiters.register(waker);
        }
        ready
    }

    /// Sets how many bytes may be queued.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.0.lock().limit = limit;
    }

    /// Takes the oldest datagram, if there is one, and leaves a pending error for the next operation.
    pub(crate) fn take_queued(&self) -> Option<Datagram> {
        self.0.lock().pop()
    }

    /// Looks at the oldest datagram without taking it; errors as for [`take`](Self::take).
    pub(crate) fn peek<R>(&self, waker: Option<&Waker>, look: impl FnOnce(&Datagram) -> R) -> Result<R> {
        let mut content = self.0.lock();
        if let Some(error) = content.error.take() {
            return Err(error);
        }
        if let Some(datagram) = content.queue.front() {
            return Ok(look(datagram));
        }
        if let Some(waker) = waker {
            content.waiters.register(waker);
        }
        Err(Error::WouldBlock)
    }

    /// # Errors
    /// [`Error::InvalidState`] for another remote than the peer; the pending error, once.
    pub(crate) fn check_send(&self, remote: SocketAddr) -> Result<()> {
        let mut content = self.0.lock();
        if content.peer.is_some_and(|peer| peer != remote) {
            return Err(Error::InvalidState);
        }
        content.error.take().map_or(Ok(()), Err)
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.0.lock().peer
    }

    /// Sets or clears the only peer. What others have sent before is dropped.
    pub(crate) fn set_peer(&self, peer: Option<SocketAddr>) {
        let mut content = self.0.lock();
        content.peer = peer;
        content.error = None;
        if let Some(peer) = peer {
            content.queue.retain(|datagram| datagram.remote == peer);
            content.payload = content.queue.iter().map(|datagram| datagram.data.len()).sum();
            content.weight = content.payload + content.queue.len() * OVERHEAD;
        }
    }

    pub(crate) fn count_sent(&self) {
        self.0.lock().sent += 1;
    }

    pub(crate) fn statistics(&self) -> UdpStatistics {
        let content = self.0.lock();
        UdpStatistics {
            sent: content.sent,
            received: content.received,
            dropped: content.dropped,
            receive_queue: content.payload,
        }
    }

    pub(super) fn rouse(&self, wakes: &mut Wakes) {
        self.0.lock().waiters.take(wakes);
    }
}
