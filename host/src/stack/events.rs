//! The events of interfaces, and their watchers.
//!
//! Every change of an interface goes through [`Events`], which the stacks of one manager share. It counts the changes,
//! so that a socket knows when its cached route may be stale, and queues each change as an event for every watcher. The
//! queues are bounded: a watcher that does not read loses the oldest events and is told how many. Publishing never
//! waits for a watcher.

use core::fmt;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use xila_network_commands::event::{Change, Event};

use crate::waiters::{Waiters, Wakes};

/// The place where stacks publish changes. Clones refer to the same place.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Inner>);

#[derive(Default)]
struct Inner {
    version: AtomicU64,
    watchers: Mutex<Vec<Weak<Queue>>>,
}

/// The events of one watcher.
struct Queue {
    /// The names of the watched interfaces; `None` for all.
    names: Option<Arc<[Arc<str>]>>,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    events: VecDeque<Event>,
    lost: u64,
    waiters: Waiters,
}

/// The maximum number of events that wait for one watcher. Further events replace the oldest.
const MOST_EVENTS: usize = 256;

impl Events {
    /// A number that changes with every change that may alter the route of a packet, or end what waits.
    pub(crate) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Counts a change.
    pub(crate) fn count(&self) {
        self.0.version.fetch_add(1, Ordering::Release);
    }

    /// Counts a change, and queues it for the watchers of the interface.
    pub(crate) fn publish(&self, interface: &str, change: Change, wakes: &mut Wakes) {
        self.count();
        let mut watchers = self.0.watchers.lock();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        for queue in watchers.iter().filter_map(Weak::upgrade) {
            let watched = queue.names.as_ref().is_none_or(|names| names.iter().any(|name| **name == *interface));
            if watched {
                let mut content = queue.content.lock();
                if content.events.len() == MOST_EVENTS {
                    content.events.pop_front();
                    content.lost += 1;
                }
                content.events.push_back(Event { interface: interface.to_owned(), change });
                content.waiters.take(wakes);
            }
        }
    }

    /// Watches interfaces from now on: those with the given names, or all.
    pub(crate) fn watch(&self, names: Option<Arc<[Arc<str>]>>) -> Watch {
        let queue = Arc::new(Queue { names, content: Mutex::default() });
        let mut watchers = self.0.watchers.lock();
        // Remove dropped watchers here too: if nothing ever changes, they would accumulate.
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(&queue));
        Watch(queue)
    }
}

/// A notice to a watcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An interface has changed.
    Changed(Event),
    /// So many events before the next one were lost, because the watcher did not read them. It should read the whole
    /// state again.
    Lost(u64),
}

/// The changes of some interfaces since the watch was made. Dropping it ends the watch.
pub struct Watch(Arc<Queue>);

impl Watch {
    /// Waits for the next event.
    pub async fn next(&mut self) -> Notice {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Like [`next`](Self::next), for use in another future.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Notice> {
        let mut content = self.0.content.lock();
        match content.take() {
            Some(notice) => Poll::Ready(notice),
            None => {
                content.waiters.register(context.waker());
                Poll::Pending
            }
        }
    }

    /// The next event, if there is one.
    pub fn try_next(&mut self) -> Option<Notice> {
        self.0.content.lock().take()
    }
}

impl Content {
    fn take(&mut self) -> Option<Notice> {
        match core::mem::take(&mut self.lost) {
            0 => self.events.pop_front().map(Notice::Changed),
            lost => Some(Notice::Lost(lost)),
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").field("interfaces", &self.0.names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_watches_do_not_accumulate_where_nothing_changes() {
        let events = Events::default();
        let stays = events.watch(None);
        for _ in 0..1000 {
            drop(events.watch(None));
        }
        assert!(events.0.watchers.lock().len() <= 2);
        drop(stays);
    }
}
