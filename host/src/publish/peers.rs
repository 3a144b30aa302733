//! The peers of a UDP publication, each with a queue of what it has sent.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::datagrams::Ends;

/// A bounded table: when it is full, the peer that has been silent for the longest time makes room for a new one.
/// Anybody may send from any number of ports, and each DNS query has one of its own.
#[derive(Clone)]
pub(super) struct Peers {
    table: Arc<Mutex<Table>>,
    most: usize,
    length: usize,
    /// The bytes that datagrams may still take which wait in all queues together.
    room: Arc<Semaphore>,
}

/// A datagram that waits, or has just waited, in a queue.
pub(super) struct Datagram {
    pub(super) data: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Table {
    peers: HashMap<Ends, Peer>,
    /// The peers in the order of their latest datagrams.
    latest: BTreeMap<u64, Ends>,
    /// Counts the datagrams in both directions.
    now: u64,
}

struct Peer {
    queue: mpsc::Sender<Datagram>,
    /// Its first datagram, by which its queue knows it.
    first: u64,
    latest: u64,
}

/// The queue of a peer. When it is dropped, the peer's place is free again.
pub(super) struct Queue {
    peers: Peers,
    ends: Ends,
    first: u64,
    receiver: mpsc::Receiver<Datagram>,
}

impl Peers {
    /// An empty table, for at most `most` peers with at most `length` datagrams each, and `bytes` of data together.
    pub(super) fn new(most: usize, length: usize, bytes: usize) -> Self {
        Self { table: Arc::default(), most, length, room: Arc::new(Semaphore::new(bytes)) }
    }

    /// Queues a datagram of a peer. If the peer was not known, its queue is returned to be served. A datagram for which
    /// there is no room is lost, as in any queue of a router.
    pub(super) fn receive(&self, ends: Ends, data: &[u8]) -> Option<Queue> {
        let room = self.room.clone().try_acquire_many_owned(u32::try_from(data.len()).ok()?).ok()?;
        let datagram = Datagram { data: data.to_vec(), _room: room };
        let mut table = self.table.lock();
        table.touch(ends);
        match table.peers.get(&ends) {
            Some(peer) => {
                let _lost = peer.queue.try_send(datagram);
                None
            }
            None => {
                if table.peers.len() >= self.most
                    && let Some((_, silent)) = table.latest.pop_first()
                {
                    // Its task ends because its queue does.
                    table.peers.remove(&silent);
                }
                let (queue, receiver) = mpsc::channel(self.length);
                let _first = queue.try_send(datagram);
                let first = table.insert(ends, queue);
                Some(Queue { peers: self.clone(), ends, first, receiver })
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let table = self.table.lock();
        assert_eq!(table.peers.len(), table.latest.len());
        table.peers.len()
    }
}

impl Table {
    /// A datagram of a peer, or to it. Does nothing if the peer is not known.
    fn touch(&mut self, ends: Ends) {
        self.now += 1;
        if let Entry::Occupied(mut peer) = self.peers.entry(ends) {
            self.latest.remove(&peer.get().latest);
            self.latest.insert(self.now, ends);
            peer.get_mut().latest = self.now;
        }
    }

    /// Adds a peer; returns the number of its first datagram.
    fn insert(&mut self, ends: Ends, queue: mpsc::Sender<Datagram>) -> u64 {
        self.latest.insert(self.now, ends);
        self.peers.insert(ends, Peer { queue, first: self.now, latest: self.now });
        self.now
    }
}

impl Queue {
    /// Whose it is.
    pub(super) const fn ends(&self) -> Ends {
        self.ends
    }

    /// The next datagram, once there is one; `None` if the peer has had to make room for another one. It may be called
    /// again if its future was dropped: nothing is lost.
    pub(super) async fn next(&mut self) -> Option<Datagram> {
        self.receiver.recv().await
    }

    /// A datagram was sent to the peer.
    pub(super) fn touch(&self) {
        self.peers.table.lock().touch(self.ends);
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let mut table = self.peers.table.lock();
        // The place may be another queue's by now: that of the same peer, which has sent again.
        if let Entry::Occupied(peer) = table.peers.entry(self.ends)
            && peer.get().first == self.first
        {
            let latest = peer.remove().latest;
            table.latest.remove(&latest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(port: u16) -> Ends {
        Ends::of_group(([192, 0, 2, 1], port).into())
    }

    async fn next(queue: &mut Queue) -> Option<Vec<u8>> {
        queue.next().await.map(|datagram| datagram.data)
    }

    #[tokio::test]
    async fn the_peer_that_was_silent_longest_makes_room_and_has_its_place_again_when_it_speaks() {
        let peers = Peers::new(2, 3, 1000);
        let mut first = peers.receive(ends(1), b"a").expect("a new peer");
        let mut second = peers.receive(ends(2), b"b").expect("a new peer");
        assert!(peers.receive(ends(1), b"c").is_none(), "it is known");
        second.touch();
        let third = peers.receive(ends(3), b"d").expect("a new peer");
        assert_eq!(next(&mut first).await.as_deref(), Some(&b"a"[..]));
        assert_eq!(next(&mut first).await.as_deref(), Some(&b"c"[..]), "nothing is lost");
        assert_eq!(next(&mut first).await, None, "the answer to the second was the later datagram");
        assert_eq!(next(&mut second).await.as_deref(), Some(&b"b"[..]));
        let mut again = peers.receive(ends(1), b"e").expect("it was forgotten");
        assert_eq!(next(&mut second).await, None);
        drop((first, second));
        assert_eq!(peers.len(), 2, "the place of the first is that of its new queue");
        assert!(peers.receive(ends(1), b"f").is_none());
        assert_eq!(next(&mut again).await.as_deref(), Some(&b"e"[..]));
        drop((again, third));
        assert_eq!(peers.len(), 0);
    }

    #[tokio::test]
    async fn what_waits_is_bounded_for_each_peer_and_for_all_together() {
        let peers = Peers::new(9, 3, 100);
        let mut queue = peers.receive(ends(1), &[0; 20]).expect("a new peer");
        for number in 1..9 {
            assert!(peers.receive(ends(1), &[number; 20]).is_none());
        }
        assert!(peers.receive(ends(2), &[0; 50]).is_none(), "60 of 100 bytes are taken");
        assert_eq!(peers.len(), 1);
        for number in 0..3 {
            assert_eq!(next(&mut queue).await, Some(vec![number; 20]));
        }
        assert!(peers.receive(ends(2), &[0; 50]).is_some());
    }
}
