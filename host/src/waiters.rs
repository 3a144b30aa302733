//! Lists of tasks that wait for an event of a socket.

use core::task::Waker;

use smallvec::SmallVec;

/// Wakers taken under a lock, to be woken after it is released.
pub(crate) type Wakes = SmallVec<[Waker; 8]>;

/// The tasks that wait for one event, such as "readable". All of them are woken, each tries again, and those that find
/// nothing register again. So no waiter can consume the wake-up of another.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    first: Option<Waker>,
    /// Every socket has such lists, and few have more than one waiter: further waiters take memory only when they come.
    others: Option<Box<Others>>,
}

/// The waiters after the first.
#[derive(Debug, Default)]
struct Others {
    wakers: Vec<Waker>,
    /// When there are so many wakers, at least [`INITIAL_LIMIT`], all are woken to find out which tasks still wait.
    most: usize,
}

/// The number of waiters that are kept without checking whether they still wait.
const INITIAL_LIMIT: usize = 64;
/// The maximum number of waiters. If more tasks really waited for one event, they would wake each other without end.
const MAX_WAITERS: usize = 4096;

impl Waiters {
    pub(crate) const fn new() -> Self {
        Self { first: None, others: None }
    }

    /// Registers a task, once.
    ///
    /// A future that is dropped while it waits leaves its waker behind, and a guest may start and cancel operations
    /// without end. So when the list is full, all wakers are woken and removed, and the tasks that still wait register
    /// again. The limit is then doubled, because otherwise many tasks that really wait would wake each other without
    /// end.
    pub(crate) fn register(&mut self, waker: &Waker) {
        // A task that polls with a no-op waker (wasmtime does so once before it really waits) does not wait.
        let known = |known: &Waker| known.will_wake(waker);
        let Some(first) = &self.first else {
            self.first = (!known(Waker::noop())).then(|| waker.clone());
            return;
        };
        let known_among = |others: &Others| others.wakers.iter().any(known);
        if known(Waker::noop()) || known(first) || self.others.as_deref().is_some_and(known_among) {
            return;
        }
        let others = self.others.get_or_insert_default();
        if others.wakers.len() >= others.most.max(INITIAL_LIMIT) {
            others.most = (others.wakers.len() * 2).min(MAX_WAITERS - 1);
            others.wakers.drain(..).for_each(Waker::wake);
        }
        others.wakers.push(waker.clone());
    }

    /// Moves every waiting task to `wakes`.
    pub(crate) fn take(&mut self, wakes: &mut Wakes) {
        wakes.extend(self.first.take());
        if let Some(others) = &mut self.others {
            wakes.extend(others.wakers.drain(..));
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.as_deref().map_or(0, |others| others.wakers.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::platform::counted::Count;

    fn woken(counts: &[Arc<Count>]) -> usize {
        counts.iter().map(|count| count.get()).sum()
    }

    #[test]
    fn a_task_is_registered_once_and_every_task_is_woken() {
        let mut waiters = Waiters::default();
        let counts: Vec<Arc<Count>> = (0..10).map(|_| Arc::default()).collect();
        for _ in 0..3 {
            counts.iter().for_each(|count| waiters.register(&count.clone().into()));
        }
        let mut wakes = Wakes::new();
        waiters.take(&mut wakes);
        wakes.into_iter().for_each(Waker::wake);
        assert!(counts.iter().all(|count| count.get() == 1));
    }

    #[test]
    fn dropped_waiters_do_not_accumulate() {
        let mut waiters = Waiters::default();
        for _ in 0..100_000 {
            waiters.register(&Arc::<Count>::default().into());
        }
        assert!(waiters.len() <= MAX_WAITERS);
    }

    /// A thousand waiting tasks that register again whenever they are woken must come to rest.
    #[test]
    fn many_waiters_do_not_keep_each_other_awake() {
        let mut waiters = Waiters::default();
        let counts: Vec<Arc<Count>> = (0..1000).map(|_| Arc::default()).collect();
        let mut seen = vec![usize::MAX; counts.len()];
        for round in 0.. {
            assert!(round < 10, "still awake");
            let before = woken(&counts);
            for (count, seen) in counts.iter().zip(&mut seen) {
                let times = count.get();
                if times != *seen {
                    *seen = times;
                    waiters.register(&count.clone().into());
                }
            }
            if woken(&counts) == before {
                break;
            }
        }
        assert_eq!(waiters.len(), counts.len());
    }
}
