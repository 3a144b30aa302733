//! [`Flight`]: one running host call that any number of callers wait for. Listeners and UDP sockets use it.
//!
//! The component model can cancel a call, but a call that is cancelled after the host has answered loses the answer,
//! such as an accepted connection or a received datagram. So the operation belongs to the socket and not to the
//! caller's future: dropping the future leaves the operation running, and the next caller gets its result.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// At most one running operation, and the tasks that wait for it.
pub(crate) struct Flight<T> {
    operation: Mutex<Option<Boxed<T>>>,
    waiting: Arc<Waiting>,
}

impl<T> Flight<T> {
    pub(crate) fn new() -> Self {
        Self { operation: Mutex::new(None), waiting: Arc::default() }
    }

    /// Polls the running operation; if none runs, `start` makes one. When the operation is done, this caller gets the
    /// result, and the other callers are woken and start a new operation.
    pub(crate) fn poll(&self, cx: &mut Context<'_>, start: impl FnOnce() -> Boxed<T>) -> Poll<T> {
        let mut slot = lock(&self.operation);
        let operation = slot.get_or_insert_with(start);
        self.waiting.add(cx.waker());
        let waker = Waker::from(Arc::clone(&self.waiting));
        let Poll::Ready(result) = operation.as_mut().poll(&mut Context::from_waker(&waker)) else {
            return Poll::Pending;
        };
        *slot = None;
        drop(slot);
        self.waiting.remove(cx.waker());
        self.waiting.wake_by_ref();
        Poll::Ready(result)
    }
}

/// Wakes all waiting tasks.
#[derive(Default)]
struct Waiting(Mutex<Wakers>);

#[derive(Default)]
struct Wakers {
    list: Vec<Waker>,
    /// When there are so many wakers, at least [`INITIAL_LIMIT`], all are woken to find out which tasks still wait.
    most: usize,
}

/// The number of wakers that are kept without checking whether their tasks still wait.
const INITIAL_LIMIT: usize = 64;
/// The maximum number of wakers. If more tasks really waited, they would wake each other without end.
const MAX_WAKERS: usize = 4096;

impl Waiting {
    /// Adds a task, once.
    ///
    /// A future that is dropped while it waits leaves its waker behind, and an app may drop futures without end while
    /// the operation runs. So when the list is full, all wakers are woken and removed, and the tasks that still wait add
    /// themselves again. The limit is then doubled, because otherwise many tasks that really wait would wake each other
    /// without end.
    fn add(&self, waker: &Waker) {
        let mut wakers = lock(&self.0);
        if wakers.list.iter().any(|other| other.will_wake(waker)) {
            return;
        }
        let mut woken = Vec::new();
        if wakers.list.len() >= wakers.most.max(INITIAL_LIMIT) {
            wakers.most = (wakers.list.len() * 2).min(MAX_WAKERS);
            woken = std::mem::take(&mut wakers.list);
        }
        wakers.list.push(waker.clone());
        drop(wakers);
        woken.into_iter().for_each(Waker::wake);
    }

    fn remove(&self, waker: &Waker) {
        lock(&self.0).list.retain(|other| !other.will_wake(waker));
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // The lock is released before tasks are woken: they may add themselves at once.
        let woken = std::mem::take(&mut lock(&self.0).list);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// Locks the mutex, even if it is poisoned: a panic while it was held does not make its contents unusable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A future that becomes ready with 7 when it is polled for the `n`th time, and never wakes its task.
    fn ready_at(n: usize) -> Boxed<u32> {
        let mut polls = 0;
        Box::pin(std::future::poll_fn(move |_| {
            polls += 1;
            if polls == n { Poll::Ready(7) } else { Poll::Pending }
        }))
    }

    #[test]
    fn a_caller_that_gives_up_leaves_the_result_to_the_next() {
        let flight = Flight::new();
        let first = Waker::from(Arc::new(Counted::default()));
        assert!(flight.poll(&mut Context::from_waker(&first), || ready_at(2)).is_pending());
        let second = Waker::from(Arc::new(Counted::default()));
        let result = flight.poll(&mut Context::from_waker(&second), || panic!("one runs already"));
        assert_eq!(result, Poll::Ready(7));
    }

    /// An app that gives up again and again, each time in a new task.
    #[test]
    fn wakers_of_callers_that_gave_up_do_not_accumulate() {
        let flight = Flight::new();
        let waits = Arc::new(Counted::default());
        let waiter = Waker::from(Arc::clone(&waits));
        let mut seen = usize::MAX;
        for _ in 0..100_000 {
            // The one task that does not give up polls whenever it is woken.
            let woken = waits.0.load(Ordering::Relaxed);
            if woken != seen {
                seen = woken;
                assert!(flight.poll(&mut Context::from_waker(&waiter), || ready_at(usize::MAX)).is_pending());
            }
            let gives_up = Waker::from(Arc::new(Counted::default()));
            assert!(flight.poll(&mut Context::from_waker(&gives_up), || panic!("one runs already")).is_pending());
            let kept = lock(&flight.waiting.0).list.len();
            assert!(kept <= MAX_WAKERS, "{kept}");
        }
        assert!(lock(&flight.waiting.0).list.capacity() <= 2 * MAX_WAKERS);
        let woken = waits.0.load(Ordering::Relaxed);
        flight.waiting.wake_by_ref();
        assert!(seen != woken || waits.0.load(Ordering::Relaxed) == woken + 1, "the task that waits is still known");
    }

    /// A thousand waiting tasks that poll again whenever they are woken must come to rest.
    #[test]
    fn many_callers_do_not_keep_each_other_awake() {
        let flight = Flight::new();
        let counts: Vec<Arc<Counted>> = (0..1000).map(|_| Arc::default()).collect();
        let woken = || counts.iter().map(|count| count.0.load(Ordering::Relaxed)).sum::<usize>();
        let mut seen = vec![usize::MAX; counts.len()];
        for round in 0.. {
            assert!(round < 10, "still awake");
            let before = woken();
            for (count, seen) in counts.iter().zip(&mut seen) {
                let times = count.0.load(Ordering::Relaxed);
                if times != *seen {
                    *seen = times;
                    let waker = Waker::from(Arc::clone(count));
                    assert!(flight.poll(&mut Context::from_waker(&waker), || ready_at(usize::MAX)).is_pending());
                }
            }
            if woken() == before {
                break;
            }
        }
        assert_eq!(lock(&flight.waiting.0).list.len(), counts.len());
    }

    #[test]
    fn the_caller_that_gets_the_result_wakes_the_others() {
        let flight = Flight::new();
        let counted = Arc::new(Counted::default());
        let waits = Waker::from(Arc::clone(&counted));
        assert!(flight.poll(&mut Context::from_waker(&waits), || ready_at(2)).is_pending());
        assert!(flight.poll(&mut Context::from_waker(Waker::noop()), || ready_at(1)).is_ready());
        assert_eq!(counted.0.load(Ordering::Relaxed), 1);
    }
}
