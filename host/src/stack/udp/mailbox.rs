//! The mailbox of a UDP socket: received datagrams, and the tasks that wait for them.

use core::net::{IpAddr, SocketAddr};
use core::task::Waker;
use std::sync::Arc;

use parking_lot::Mutex;
use xila_network_engine::udp::queue::{self, Delivery, PathError, Queue, Statistics, TakeError};

use super::asked::{Asked, Way};
use crate::error::{ReceiveError, SendError};
use crate::policy::{Guard, Operation};
use crate::stack::owner::Owner;
use crate::waiters::{Waiters, Wakes};

/// A datagram that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The payload.
    pub data: Vec<u8>,
    /// Who sent it.
    pub remote: SocketAddr,
    /// The address it was sent to: an address of this host, a multicast or a broadcast address.
    pub local: SocketAddr,
}

impl From<queue::Datagram> for Datagram {
    fn from(queued: queue::Datagram) -> Self {
        let queue::Datagram { content, remote, local, interface: _, hop_limit: _, ecn: _ } = queued;
        Self { data: content.into_vec(), remote, local }
    }
}

/// The counters of a UDP socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpStatistics {
    /// Datagrams that were sent.
    pub sent: u64,
    /// Datagrams that were received into the queue.
    pub received: u64,
    /// Datagrams that were dropped because the queue had no room for them.
    pub dropped: u64,
    /// Bytes of payload in the queue.
    pub receive_queue: usize,
}

/// A UDP socket as the stacks see it. Its lock is taken inside a stack's lock, never the other way round.
pub(crate) struct Mailbox {
    owner: Owner,
    /// The policy of the guest whose the socket is.
    guard: Option<Arc<Guard>>,
    inside: Mutex<Inside>,
}

struct Inside {
    queue: Queue,
    /// The ways back to recent peers, if the socket is bound to the unspecified address.
    asked: Option<Asked>,
    waiters: Waiters,
}

impl Mailbox {
    /// An empty mailbox for a socket that is bound to `local`. `limit` is the [maximum size of the
    /// queue](crate::stack::options::datagram_memory) in bytes.
    pub(crate) fn new(local: IpAddr, limit: usize, owner: Owner, guard: Option<Arc<Guard>>) -> Self {
        let asked = local.is_unspecified().then(Asked::default);
        Self {
            owner,
            guard,
            inside: Mutex::new(Inside { queue: Queue::new(limit), asked, waiters: Waiters::default() }),
        }
    }

    /// The owner of the socket.
    pub(super) const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Whether the socket's policy lets it hear of a datagram. `interface` names the one that the datagram has arrived by.
    pub(super) fn admits(&self, datagram: &queue::Datagram, interface: impl FnOnce() -> Option<Arc<str>>) -> bool {
        let Some(guard) = &self.guard else { return true };
        let admits =
            |interface: Arc<str>| guard.admits(Operation::UdpReceive, &interface, datagram.local, datagram.remote);
        interface().is_some_and(admits)
    }

    /// Queues a datagram. Returns false if it was dropped instead, because the queue has no room or the socket has been
    /// connected to another peer meanwhile. `is_for_many` says whether an address is multicast or broadcast.
    pub(super) fn deliver(
        &self,
        datagram: queue::Datagram,
        is_for_many: impl FnOnce(IpAddr) -> bool,
        wakes: &mut Wakes,
    ) -> bool {
        let mut inside = self.inside.lock();
        if let Some(asked) = &mut inside.asked {
            asked.note(&datagram, is_for_many(datagram.local.ip()));
        }
        let bytes = datagram.content.len() as u64;
        match inside.queue.deliver(datagram) {
            Delivery::Queued => {
                if let Some(counters) = self.owner.counters() {
                    counters.received_bytes.add(bytes);
                }
                inside.waiters.take(wakes);
                true
            }
            Delivery::Full | Delivery::Stranger => false,
        }
    }

    /// Keeps an error that the path returned, if the socket is connected to the peer that the error is about.
    pub(super) fn fail(&self, remote: SocketAddr, error: PathError, wakes: &mut Wakes) {
        let mut inside = self.inside.lock();
        if inside.queue.fail(remote, error) {
            inside.waiters.take(wakes);
        }
    }

    /// Takes the oldest datagram.
    ///
    /// # Errors
    /// The pending error, once; [`ReceiveError::WouldBlock`] while nothing is there, and `waker` is woken when
    /// something comes.
    pub(crate) fn take(&self, waker: Option<&Waker>) -> Result<Datagram, ReceiveError> {
        let Inside { queue, waiters, .. } = &mut *self.inside.lock();
        or_wait(queue.take(), waiters, waker).map(Datagram::from)
    }

    /// Whether a datagram or an error is there. If not, `waker` is woken when one comes.
    pub(crate) fn is_ready(&self, waker: &Waker) -> bool {
        let mut inside = self.inside.lock();
        let ready = inside.queue.is_ready();
        if !ready {
            inside.waiters.register(waker);
        }
        ready
    }

    /// Sets the maximum size of the queue, as for [`new`](Self::new). If it holds more, the latest datagrams are
    /// dropped.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.inside.lock().queue.set_limit(limit);
    }

    /// Takes the oldest datagram, if there is one, and leaves a pending error for the next operation.
    pub(crate) fn take_queued(&self) -> Option<Datagram> {
        self.inside.lock().queue.take_queued().map(Datagram::from)
    }

    /// Takes the oldest datagrams, at most `most`, like [`take_queued`](Self::take_queued).
    pub(crate) fn take_many(&self, most: usize, into: &mut Vec<Datagram>) {
        let mut inside = self.inside.lock();
        let queued = core::iter::from_fn(|| inside.queue.take_queued().map(Datagram::from));
        into.extend(queued.take(most));
    }

    /// Looks at the oldest datagram without taking it; errors as for [`take`](Self::take).
    pub(crate) fn peek<R>(
        &self,
        waker: Option<&Waker>,
        look: impl FnOnce(&queue::Datagram) -> R,
    ) -> Result<R, ReceiveError> {
        let Inside { queue, waiters, .. } = &mut *self.inside.lock();
        or_wait(queue.peek(), waiters, waker).map(look)
    }

    /// Checks whether a datagram may be sent to `remote`. Returns the way back to `remote`, if it is remembered.
    ///
    /// # Errors
    /// [`SendError::InvalidState`] if the socket is connected to another peer; the pending error, once.
    pub(crate) fn check_send(&self, remote: SocketAddr) -> Result<Option<Way>, SendError> {
        let mut inside = self.inside.lock();
        match inside.queue.check_send(remote) {
            Ok(()) => Ok(inside.asked.as_ref().and_then(|asked| asked.by(remote))),
            Err(queue::SendError::OtherPeer) => Err(SendError::InvalidState),
            Err(queue::SendError::Path(error)) => Err(error.into()),
        }
    }

    /// The way back to a peer, if it is remembered.
    pub(crate) fn way_back(&self, remote: SocketAddr) -> Option<Way> {
        self.inside.lock().asked.as_ref()?.by(remote)
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.inside.lock().queue.peer()
    }

    /// Sets or clears the only peer. Queued datagrams of other peers are dropped.
    pub(crate) fn set_peer(&self, peer: Option<SocketAddr>) {
        self.inside.lock().queue.set_peer(peer);
    }

    /// The counters of the socket, which has sent `sent` datagrams.
    pub(crate) fn statistics(&self, sent: u64) -> UdpStatistics {
        let Statistics { received, dropped, queued } = self.inside.lock().queue.statistics();
        UdpStatistics { sent, received, dropped, receive_queue: queued }
    }

    pub(super) fn wake_all(&self, wakes: &mut Wakes) {
        self.inside.lock().waiters.take(wakes);
    }
}

/// Converts the error of a queue. If the queue is empty, registers `waker`.
fn or_wait<T>(taken: Result<T, TakeError>, waiters: &mut Waiters, waker: Option<&Waker>) -> Result<T, ReceiveError> {
    taken.map_err(|error| match error {
        TakeError::Path(error) => error.into(),
        TakeError::Empty => {
            if let Some(waker) = waker {
                waiters.register(waker);
            }
            ReceiveError::WouldBlock
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::counted::Count;

    const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 1)), 9);

    fn from(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 7).into()
    }

    fn deliver(mailbox: &Mailbox, last: u8, length: usize) -> bool {
        let mut wakes = Wakes::new();
        let datagram = queue::Datagram {
            content: queue::Content::Owned(vec![last; length]),
            remote: from(last),
            local: LOCAL,
            interface: 1,
            hop_limit: 64,
            ecn: xila_network_engine::wire::Ecn::default(),
        };
        let queued = mailbox.deliver(datagram, |_| false, &mut wakes);
        wakes.into_iter().for_each(Waker::wake);
        queued
    }

    #[test]
    fn a_waiting_task_is_woken_by_a_queued_datagram_and_not_by_a_dropped_one() {
        let (mailbox, count) = (Mailbox::new(LOCAL.ip(), 4096, Owner::HOST, None), Arc::new(Count::default()));
        let waker = Waker::from(count.clone());
        assert_eq!(mailbox.take(Some(&waker)), Err(ReceiveError::WouldBlock));
        assert!(!deliver(&mailbox, 2, 5000), "it does not fit even an empty queue");
        mailbox.set_peer(Some(from(2)));
        assert!(!deliver(&mailbox, 3, 10), "it is not from the peer");
        assert_eq!((count.get(), mailbox.is_ready(&waker)), (0, false));
        assert!(deliver(&mailbox, 2, 10));
        assert_eq!((count.get(), mailbox.is_ready(&waker)), (1, true));
        let expected = Datagram { data: vec![2; 10], remote: from(2), local: LOCAL };
        assert_eq!(mailbox.take(Some(&waker)), Ok(expected));
        let statistics = UdpStatistics { sent: 0, received: 1, dropped: 1, receive_queue: 0 };
        assert_eq!(mailbox.statistics(0), statistics);
    }

    #[test]
    fn an_error_from_the_path_to_the_peer_is_returned_once() {
        let (mailbox, count) = (Mailbox::new(LOCAL.ip(), 4096, Owner::HOST, None), Arc::new(Count::default()));
        let (waker, peer) = (Waker::from(count.clone()), from(2));
        let said = |error: PathError| {
            let mut wakes = Wakes::new();
            mailbox.fail(peer, error, &mut wakes);
            wakes.into_iter().for_each(Waker::wake);
        };
        assert!(!mailbox.is_ready(&waker));
        said(PathError::PortUnreachable);
        assert_eq!(count.get(), 0, "without a peer the error is dropped");
        mailbox.set_peer(Some(peer));
        let errors = [
            (PathError::PortUnreachable, ReceiveError::ConnectionRefused),
            (PathError::Unreachable, ReceiveError::RemoteUnreachable),
            (PathError::TooLarge { mtu: 1280 }, ReceiveError::PacketTooLarge),
        ];
        for (number, (said_by_path, error)) in (1..).zip(errors) {
            said(said_by_path);
            assert_eq!(count.get(), number);
            assert_eq!(mailbox.take(Some(&waker)), Err(error));
            assert_eq!(mailbox.take(Some(&waker)), Err(ReceiveError::WouldBlock));
        }
        said(PathError::PortUnreachable);
        assert_eq!(mailbox.check_send(from(3)), Err(SendError::InvalidState), "and that is no answer to this");
        assert_eq!(mailbox.check_send(peer), Err(SendError::ConnectionRefused));
        assert_eq!(mailbox.check_send(peer), Ok(None));
    }
}
