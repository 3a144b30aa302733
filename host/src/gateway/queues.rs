//! A bounded table of queues: what comes for a key waits for the task that serves this key.

use core::hash::Hash;
use core::net::IpAddr;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// The queues by their keys. Clones refer to the same table.
pub(crate) struct Queues<K: Copy + Eq + Hash, T> {
    table: Arc<Mutex<Table<K, T>>>,
    limits: Arc<Limits<K, T>>,
}

/// The queue of a key, for the task that serves it. When it is dropped, its place in the table is free again.
pub(crate) struct Queue<K: Copy + Eq + Hash, T> {
    queues: Queues<K, T>,
    key: K,
    number: u64,
    receiver: mpsc::Receiver<T>,
    bytes: Arc<AtomicUsize>,
}

/// What a table and its queues may hold.
struct Limits<K, T> {
    queues: usize,
    items: usize,
    share: Share<K, T>,
}

/// How a table is shared by those that its keys belong to, and how much its queues hold.
pub(crate) struct Share<K, T> {
    /// To whom a key belongs.
    pub(crate) owner: fn(&K) -> IpAddr,
    /// The size of an item in bytes.
    pub(crate) size: fn(&T) -> usize,
    /// The most bytes in one queue. An item that is larger waits alone.
    pub(crate) bytes: usize,
}

struct Table<K, T> {
    entries: HashMap<K, Entry<T>>,
    /// The number of items so far.
    count: u64,
}

struct Entry<T> {
    sender: mpsc::Sender<T>,
    /// The bytes in the queue.
    bytes: Arc<AtomicUsize>,
    /// The number of the first item, which tells the queue from earlier ones of the key, and of the last item.
    first: u64,
    last: u64,
}

impl<K: Copy + Eq + Hash, T> Clone for Queues<K, T> {
    fn clone(&self) -> Self {
        Self { table: self.table.clone(), limits: self.limits.clone() }
    }
}

impl<K: Copy + Eq + Hash, T> Queues<K, T> {
    /// An empty table, for at most `most` queues with at most `length` items each. When it is full, a new queue takes the
    /// place of the one that is idle longest among those of the owner that has most.
    pub(crate) fn new(most: usize, length: usize, share: Share<K, T>) -> Self {
        let table = Table { entries: HashMap::new(), count: 0 };
        let limits = Limits { queues: most, items: length, share };
        Self { table: Arc::new(Mutex::new(table)), limits: Arc::new(limits) }
    }

    /// Puts an item into the queue of a key. If the key had no queue, it gets one, which is returned to be served.
    ///
    /// If the queue is full, or its task ends just now, the item is lost, as in any queue of a router.
    pub(crate) fn send(&self, key: K, item: T) -> Option<Queue<K, T>> {
        let mut table = self.table.lock();
        table.count += 1;
        let number = table.count;
        if let Some(entry) = table.entries.get_mut(&key) {
            entry.last = number;
            self.limits.push(entry, item);
            return None;
        }
        if table.entries.len() >= self.limits.queues {
            self.limits.make_room(&mut table.entries, &key);
        }
        let (sender, receiver) = mpsc::channel(self.limits.items);
        let entry = Entry { sender, bytes: Arc::default(), first: number, last: number };
        self.limits.push(&entry, item);
        let bytes = entry.bytes.clone();
        table.entries.insert(key, entry);
        Some(Queue { queues: self.clone(), key, number, receiver, bytes })
    }
}

impl<K: Copy + Eq + Hash, T> Limits<K, T> {
    /// Puts an item into a queue, if there is room. The table is locked, so nobody else does.
    fn push(&self, entry: &Entry<T>, item: T) {
        let (size, most) = ((self.share.size)(&item), self.share.bytes);
        let before = entry.bytes.fetch_add(size, Ordering::Relaxed);
        if (before > 0 && before.saturating_add(size) > most) || entry.sender.try_send(item).is_err() {
            entry.bytes.fetch_sub(size, Ordering::Relaxed);
        }
    }

    /// Ends a queue so that there is room for one of `key`.
    fn make_room(&self, entries: &mut HashMap<K, Entry<T>>, key: &K) {
        let owner = self.share.owner;
        let mut counts = HashMap::<IpAddr, usize>::from([(owner(key), 1)]);
        entries.keys().for_each(|known| *counts.entry(owner(known)).or_default() += 1);
        let rank = |known: &K, entry: &Entry<T>| (counts.get(&owner(known)).copied(), u64::MAX - entry.last);
        let found = entries.iter().max_by_key(|(known, entry)| rank(known, entry)).map(|(known, _)| *known);
        if let Some(found) = found {
            entries.remove(&found);
        }
    }
}

impl<K: Copy + Eq + Hash, T> Queue<K, T> {
    /// The next item, once there is one; `None` if the queue has given way to another one, and is empty. It may be called
    /// again if its future was dropped: nothing is lost.
    pub(crate) async fn next(&mut self) -> Option<T> {
        let item = self.receiver.recv().await?;
        self.bytes.fetch_sub((self.queues.limits.share.size)(&item), Ordering::Relaxed);
        Some(item)
    }
}

impl<K: Copy + Eq + Hash, T> Drop for Queue<K, T> {
    fn drop(&mut self) {
        let mut table = self.queues.table.lock();
        if table.entries.get(&self.key).is_some_and(|entry| entry.first == self.number) {
            table.entries.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(most: usize, length: usize, bytes: usize) -> Queues<(u8, u16), usize> {
        let share = Share { owner: |(owner, _): &(u8, u16)| [10, 0, 2, *owner].into(), size: |size| *size, bytes };
        Queues::new(most, length, share)
    }

    #[tokio::test]
    async fn a_new_queue_takes_the_place_of_the_longest_idle_one_of_the_owner_with_most() {
        let table = shared(6, 100, 1000);
        let mut greedy: Vec<_> = (0..5).map(|port| table.send((1, port), 1).expect("new")).collect();
        let modest = table.send((2, 0), 1).expect("new");
        assert!(table.send((1, 0), 1).is_none(), "it is not the one that is idle longest now");
        let third = table.send((3, 0), 1).expect("one gives way");
        assert_eq!((greedy[1].next().await, greedy[1].next().await), (Some(1), None));
        let again = table.send((1, 1), 1).expect("one gives way");
        assert_eq!((greedy[2].next().await, greedy[2].next().await), (Some(1), None), "its own");
        // The end of one that has given way does not take the place of the one that has its key.
        drop(greedy.remove(1));
        assert!(table.send((1, 1), 1).is_none());
        for key in [(2, 0), (3, 0)] {
            assert!(table.send(key, 1).is_none(), "{key:?}");
        }
        drop((modest, third, again, greedy));
        assert!(table.table.lock().entries.is_empty());
    }

    #[tokio::test]
    async fn a_key_has_one_queue_until_it_is_dropped_and_items_beyond_its_length_are_lost() {
        let table = shared(2, 3, 1000);
        let mut queue = table.send((1, 1), 0).expect("a new queue");
        for number in 1..9 {
            assert!(table.send((1, 1), number).is_none(), "it has a queue");
        }
        for number in 0..3 {
            assert_eq!(queue.next().await, Some(number));
        }
        assert!(table.send((1, 1), 9).is_none());
        assert_eq!(queue.next().await, Some(9), "those that were beyond its length are lost");
        drop(queue);
        assert!(table.send((1, 1), 0).is_some(), "its place is free again");
    }

    #[tokio::test]
    async fn a_queue_holds_no_more_bytes_than_it_may() {
        let table = shared(1, 100, 1000);
        let mut queue = table.send((1, 1), 1500).expect("a new queue");
        assert!(table.send((1, 1), 1).is_none(), "it is lost");
        assert_eq!(queue.next().await, Some(1500), "a large one waits alone");
        for size in [600, 400, 1] {
            assert!(table.send((1, 1), size).is_none(), "it has a queue");
        }
        assert_eq!((queue.next().await, queue.next().await), (Some(600), Some(400)));
        assert!(table.send((1, 1), 7).is_none(), "it has a queue");
        assert_eq!(queue.next().await, Some(7));
    }
}
