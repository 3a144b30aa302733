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

/// There are as many queues as the table may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyQueues;

/// What a table and its queues may hold.
struct Limits<K, T> {
    queues: usize,
    items: usize,
    share: Option<Share<K, T>>,
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
    /// An empty table, for at most `most` queues with at most `length` items each.
    pub(crate) fn new(most: usize, length: usize) -> Self {
        Self::with(Limits { queues: most, items: length, share: None })
    }

    /// As [`new`](Self::new), with a share for each owner of keys: when the table is full, a new queue takes the place of
    /// the one that is idle longest among those of the owner that has most.
    pub(crate) fn with_shares(most: usize, length: usize, share: Share<K, T>) -> Self {
        Self::with(Limits { queues: most, items: length, share: Some(share) })
    }

    fn with(limits: Limits<K, T>) -> Self {
        let table = Table { entries: HashMap::new(), count: 0 };
        Self { table: Arc::new(Mutex::new(table)), limits: Arc::new(limits) }
    }

    /// Puts an item into the queue of a key. If the key had no queue, it gets one, which is returned to be served.
    ///
    /// If the queue is full, or its task ends just now, the item is lost, as in any queue of a router.
    ///
    /// # Errors
    /// [`TooManyQueues`]: the key has no queue, and the table no room for another one.
    pub(crate) fn send(&self, key: K, item: T) -> Result<Option<Queue<K, T>>, TooManyQueues> {
        let mut table = self.table.lock();
        table.count += 1;
        let number = table.count;
        if let Some(entry) = table.entries.get_mut(&key) {
            entry.last = number;
            self.limits.push(entry, item);
            return Ok(None);
        }
        if table.entries.len() >= self.limits.queues && !self.limits.make_room(&mut table.entries, &key) {
            return Err(TooManyQueues);
        }
        let (sender, receiver) = mpsc::channel(self.limits.items);
        let entry = Entry { sender, bytes: Arc::default(), first: number, last: number };
        self.limits.push(&entry, item);
        let bytes = entry.bytes.clone();
        table.entries.insert(key, entry);
        Ok(Some(Queue { queues: self.clone(), key, number, receiver, bytes }))
    }
}

impl<K: Copy + Eq + Hash, T> Limits<K, T> {
    fn size(&self, item: &T) -> usize {
        self.share.as_ref().map_or(0, |share| (share.size)(item))
    }

    /// Puts an item into a queue, if there is room. The table is locked, so nobody else does.
    fn push(&self, entry: &Entry<T>, item: T) {
        let (size, most) = (self.size(&item), self.share.as_ref().map_or(usize::MAX, |share| share.bytes));
        let before = entry.bytes.fetch_add(size, Ordering::Relaxed);
        if (before > 0 && before.saturating_add(size) > most) || entry.sender.try_send(item).is_err() {
            entry.bytes.fetch_sub(size, Ordering::Relaxed);
        }
    }

    /// Ends a queue so that there is room for one of `key`. Returns false if none gives way.
    fn make_room(&self, entries: &mut HashMap<K, Entry<T>>, key: &K) -> bool {
        let Some(Share { owner, .. }) = &self.share else { return false };
        let mut counts = HashMap::<IpAddr, usize>::from([(owner(key), 1)]);
        entries.keys().for_each(|known| *counts.entry(owner(known)).or_default() += 1);
        let rank = |known: &K, entry: &Entry<T>| (counts.get(&owner(known)).copied(), u64::MAX - entry.last);
        let found = entries.iter().max_by_key(|(known, entry)| rank(known, entry)).map(|(known, _)| *known);
        found.is_some_and(|known| entries.remove(&known).is_some())
    }
}

impl<K: Copy + Eq + Hash, T> Queue<K, T> {
    /// The next item, once there is one; `None` if the queue has given way to another one, and is empty. It may be called
    /// again if its future was dropped: nothing is lost.
    pub(crate) async fn next_or_end(&mut self) -> Option<T> {
        let item = self.receiver.recv().await?;
        self.bytes.fetch_sub(self.queues.limits.size(&item), Ordering::Relaxed);
        Some(item)
    }

    /// As [`next_or_end`](Self::next_or_end), for tables without shares, where no queue gives way.
    pub(crate) async fn next(&mut self) -> T {
        match self.next_or_end().await {
            Some(item) => item,
            // The table has the sender for as long as this is there.
            None => core::future::pending().await,
        }
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

    #[tokio::test]
    async fn a_key_has_one_queue_until_it_is_dropped_and_both_numbers_are_bounded() {
        let table = Queues::new(2, 3);
        let mut first = table.send('a', 0).expect("room").expect("a new queue");
        for number in 1..9 {
            assert!(table.send('a', number).expect("it has a queue").is_none());
        }
        for number in 0..3 {
            assert_eq!(first.next().await, number);
        }
        assert!(table.send('a', 9).expect("it has a queue").is_none());
        assert_eq!(first.next().await, 9, "those that were beyond its length are lost");
        let second = table.send('b', 0).expect("room");
        assert_eq!(table.send('c', 0).err(), Some(TooManyQueues));
        assert!(table.send('a', 1).is_ok(), "who has a queue is not refused");
        drop(first);
        let mut third = table.send('c', 7).expect("the place is free again").expect("a new queue");
        assert_eq!(third.next().await, 7);
        assert_eq!(table.send('a', 0).err(), Some(TooManyQueues));
        drop((second, third));
        assert!(table.table.lock().entries.is_empty());
    }

    fn shared(most: usize, bytes: usize) -> Queues<(u8, u16), usize> {
        let share = Share { owner: |(owner, _): &(u8, u16)| [10, 0, 2, *owner].into(), size: |size| *size, bytes };
        Queues::with_shares(most, 100, share)
    }

    #[tokio::test]
    async fn a_new_queue_takes_the_place_of_the_longest_idle_one_of_the_owner_with_most() {
        let table = shared(6, 1000);
        let mut greedy: Vec<_> = (0..5).map(|port| table.send((1, port), 1).expect("room").expect("new")).collect();
        let modest = table.send((2, 0), 1).expect("room").expect("new");
        assert!(table.send((1, 0), 1).is_ok_and(|queue| queue.is_none()), "it is not the one that is idle longest now");
        let third = table.send((3, 0), 1).expect("one gives way").expect("new");
        assert_eq!((greedy[1].next_or_end().await, greedy[1].next_or_end().await), (Some(1), None));
        let again = table.send((1, 1), 1).expect("one gives way").expect("new");
        assert_eq!((greedy[2].next_or_end().await, greedy[2].next_or_end().await), (Some(1), None), "its own");
        // The end of one that has given way does not take the place of the one that has its key.
        drop(greedy.remove(1));
        assert!(table.send((1, 1), 1).is_ok_and(|queue| queue.is_none()));
        for key in [(2, 0), (3, 0)] {
            assert!(table.send(key, 1).is_ok_and(|queue| queue.is_none()), "{key:?}");
        }
        drop((modest, third, again, greedy));
        assert!(table.table.lock().entries.is_empty());
    }

    #[tokio::test]
    async fn a_queue_holds_no_more_bytes_than_it_may() {
        let table = shared(1, 1000);
        let mut queue = table.send((1, 1), 1500).expect("room").expect("a new queue");
        table.send((1, 1), 1).expect("it is lost");
        assert_eq!(queue.next_or_end().await, Some(1500), "a large one waits alone");
        for size in [600, 400, 1] {
            table.send((1, 1), size).expect("it has a queue");
        }
        assert_eq!((queue.next_or_end().await, queue.next_or_end().await), (Some(600), Some(400)));
        table.send((1, 1), 7).expect("it has a queue");
        assert_eq!(queue.next_or_end().await, Some(7));
    }
}
