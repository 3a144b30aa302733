//! The items that no longer wait for a neighbour, until `poll` returns them to the caller.

use alloc::collections::VecDeque;
use core::net::IpAddr;

use super::Action;

/// Why an item no longer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The neighbour's address is known.
    Release,
    /// The neighbour did not answer.
    Unreachable,
    /// The item was displaced, or the entry was removed.
    Displaced,
}

/// A queue of batches; see the [module](self). No batch is empty, so there are at most as many batches as items.
pub(super) struct Leaving<W> {
    batches: VecDeque<Batch<W>>,
}

struct Batch<W> {
    hop: IpAddr,
    fate: Fate,
    waiting: VecDeque<W>,
}

impl<W> Default for Leaving<W> {
    fn default() -> Self {
        Self { batches: VecDeque::new() }
    }
}

impl<W> Leaving<W> {
    pub(super) fn push(&mut self, hop: IpAddr, fate: Fate, waiting: VecDeque<W>) {
        if !waiting.is_empty() {
            self.batches.push_back(Batch { hop, fate, waiting });
        }
    }

    /// The next item to return, in the order in which they were queued.
    pub(super) fn pop(&mut self) -> Option<Action<W>> {
        let batch = self.batches.front_mut()?;
        let (hop, fate, waiting) = (batch.hop, batch.fate, batch.waiting.pop_front()?);
        if batch.waiting.is_empty() {
            self.batches.pop_front();
        }
        Some(match fate {
            Fate::Release => Action::Release { hop, waiting },
            Fate::Unreachable => Action::Unreachable { hop, waiting },
            Fate::Displaced => Action::Displaced { hop, waiting },
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Drops the items that match and returns their number.
    pub(super) fn cancel(&mut self, hop: IpAddr, matches: impl Fn(&W) -> bool) -> usize {
        let mut cancelled = 0;
        for batch in self.batches.iter_mut().filter(|batch| batch.hop == hop) {
            let before = batch.waiting.len();
            batch.waiting.retain(|waiting| !matches(waiting));
            cancelled += before - batch.waiting.len();
        }
        if cancelled > 0 {
            self.batches.retain(|batch| !batch.waiting.is_empty());
        }
        cancelled
    }

    /// The bytes of memory held.
    pub(super) fn held(&self) -> usize {
        let waiting: usize = self.batches.iter().map(|batch| batch.waiting.capacity()).sum();
        self.batches.capacity() * size_of::<Batch<W>>() + waiting * size_of::<W>()
    }
}
