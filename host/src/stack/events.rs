//! Telling others what has changed.
//!
//! Every change of an interface goes through [`Events`], which the stacks of one manager share. It counts the changes, so
//! that a socket can keep the route it found, and queues each as an event for the watchers. A queue is bounded: who does
//! not read loses the oldest events and is told how many, and nobody waits for him.

use core::fmt;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use xila_network_commands::event::{Change, Event};

use super::waiters::{Waiters, Wakes};

/// Where changes are told. Clones are the same place.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Inner>);

#[derive(Default)]
struct Inner {
    version: AtomicU64,
    watchers: Mutex<Vec<Weak<Queue>>>,
}

/// The events of one watcher.
struct Queue {
    /// The interfaces it watches; `None` for all.
    names: Option<Arc<[Arc<str>]>>,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    events: VecDeque<Event>,
    lost: u64,
    waiters: Waiters,
}

/// Events that wait for one watcher. Those beyond take the place of the oldest.
const MOST_EVENTS: usize = 256;

impl Events {
    /// Differs after every change that may lead a packet elsewhere.
    pub(crate) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Counts a change, and queues it for those who watch the interface.
    pub(crate) fn publish(&self, interface: &str, change: Change, wakes: &mut Wakes) {
        self.0.version.fetch_add(1, Ordering::Release);
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

    /// Watches interfaces from now on: those of these names, or all.
    pub(crate) fn watch(&self, names: Option<Arc<[Arc<str>]>>) -> Watch {
        let queue = Arc::new(Queue { names, content: Mutex::default() });
        let mut watchers = self.0.watchers.lock();
        // Where nothing ever changes, those who come and go must not pile up either.
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(&queue));
        Watch(queue)
    }
}

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An interface has changed.
    Changed(Event),
    /// So many events were lost before the next one, because nobody read them. Look at everything anew.
    Lost(u64),
}

/// The changes of some interfaces, from when it was made on. Dropping it ends the watch.
pub struct Watch(Arc<Queue>);

impl Watch {
    /// Waits for the next event.
    pub async fn next(&mut self) -> Notice {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`next`](Self::next), for use in another future.
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

    /// The next event, where there is one.
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
    fn watches_that_come_and_go_do_not_pile_up_where_nothing_changes() {
        let events = Events::default();
        let stays = events.watch(None);
        for _ in 0..1000 {
            drop(events.watch(None));
        }
        assert!(events.0.watchers.lock().len() <= 2);
        drop(stays);
    }
}
