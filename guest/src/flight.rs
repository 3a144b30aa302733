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
struct Waiting(Mutex<Vec<Waker>>);

impl Waiting {
    fn add(&self, waker: &Waker) {
        let mut wakers = lock(&self.0);
        if !wakers.iter().any(|other| other.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    fn remove(&self, waker: &Waker) {
        lock(&self.0).retain(|other| !other.will_wake(waker));
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        for waker in std::mem::take(&mut *lock(&self.0)) {
            waker.wake();
        }
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
