//! A bounded table of queues: what comes for a key waits for the task that serves this key.

use core::hash::Hash;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// The queues by their keys. Clones refer to the same table.
#[derive(Clone)]
pub(crate) struct Queues<K: Copy + Eq + Hash, T> {
    senders: Arc<Mutex<HashMap<K, mpsc::Sender<T>>>>,
    most: usize,
    length: usize,
}

/// The queue of a key, for the task that serves it. When it is dropped, its place in the table is free again.
pub(crate) struct Queue<K: Copy + Eq + Hash, T> {
    table: Queues<K, T>,
    key: K,
    receiver: mpsc::Receiver<T>,
}

/// There are as many queues as the table may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyQueues;

impl<K: Copy + Eq + Hash, T> Queues<K, T> {
    /// An empty table, for at most `most` queues with at most `length` items each.
    pub(crate) fn new(most: usize, length: usize) -> Self {
        Self { senders: Arc::default(), most, length }
    }

    /// Puts an item into the queue of a key. If the key had no queue, it gets one, which is returned to be served.
    ///
    /// If the queue is full, or its task ends just now, the item is lost, as in any queue of a router.
    ///
    /// # Errors
    /// [`TooManyQueues`]: the key has no queue, and the table no room for another one.
    pub(crate) fn send(&self, key: K, item: T) -> Result<Option<Queue<K, T>>, TooManyQueues> {
        let mut senders = self.senders.lock();
        let count = senders.len();
        match senders.entry(key) {
            Entry::Occupied(entry) => {
                let _lost = entry.get().try_send(item);
                Ok(None)
            }
            Entry::Vacant(_) if count >= self.most => Err(TooManyQueues),
            Entry::Vacant(entry) => {
                let (sender, receiver) = mpsc::channel(self.length);
                let _first = sender.try_send(item);
                entry.insert(sender);
                let table = Self { senders: self.senders.clone(), ..*self };
                Ok(Some(Queue { table, key, receiver }))
            }
        }
    }
}

impl<K: Copy + Eq + Hash, T> Queue<K, T> {
    /// The next item, once there is one. It may be called again if its future was dropped: nothing is lost.
    pub(crate) async fn next(&mut self) -> T {
        match self.receiver.recv().await {
            Some(item) => item,
            // The table has the sender for as long as this is there.
            None => core::future::pending().await,
        }
    }
}

impl<K: Copy + Eq + Hash, T> Drop for Queue<K, T> {
    fn drop(&mut self) {
        self.table.senders.lock().remove(&self.key);
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
        assert!(table.senders.lock().is_empty());
    }
}
