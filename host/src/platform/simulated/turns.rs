//! Programs in a simulation. Their computation takes virtual time, because otherwise a program that waits without a
//! timer would wait for ever.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Arc;
use std::task::Wake;

use parking_lot::Mutex;

use super::Simulation;

/// The number of times in a row that a program may yield before virtual time passes.
const MOST: u32 = 10;

/// The virtual time that passes then.
const TURN: Duration = Duration::from_millis(1);

impl Simulation {
    /// Runs a program that yields each time it has computed for a while, as wasmtime's programs do when their fuel is
    /// used up. Ten turns without a pause take a millisecond of virtual time, in which others continue.
    pub async fn in_turns<T>(&self, program: impl Future<Output = T>) -> T {
        let mut program = pin!(program);
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(signal.clone());
        let (clock, mut timer) = (self.platform().clock, self.platform().clock.timer());
        let (mut turns, mut since, mut is_over) = (0, clock.now(), false);
        poll_fn(|context| {
            if is_over && timer.poll(context).is_pending() {
                return Poll::Pending;
            }
            is_over = false;
            let polled = signal.polling(context.waker(), || program.as_mut().poll(&mut Context::from_waker(&waker)));
            let (Poll::Pending, true) = polled else { return polled.0 };
            let now = clock.now();
            turns = if now == since { turns + 1 } else { 1 };
            since = now;
            if turns < MOST {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            turns = 0;
            is_over = true;
            timer.set(Some(now + TURN));
            // The timer cannot be ready yet.
            let _ = timer.poll(context);
            Poll::Pending
        })
        .await
    }
}

/// A waker that detects whether a program has woken itself, which means that it could continue at once.
#[derive(Default)]
struct Signal {
    /// The waker of the task that polls the program, for wake-ups by others.
    outer: Mutex<Option<Waker>>,
    is_polling: AtomicBool,
    is_woken: AtomicBool,
}

impl Signal {
    /// Calls `poll`. Returns its result, and whether the program was woken meanwhile.
    fn polling<T>(&self, outer: &Waker, poll: impl FnOnce() -> T) -> (T, bool) {
        self.outer.lock().get_or_insert_with(|| outer.clone()).clone_from(outer);
        self.is_polling.store(true, Ordering::SeqCst);
        let polled = poll();
        self.is_polling.store(false, Ordering::SeqCst);
        (polled, self.is_woken.swap(false, Ordering::SeqCst))
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        if self.is_polling.load(Ordering::SeqCst) {
            self.is_woken.store(true, Ordering::SeqCst);
        } else if let Some(outer) = &*self.outer.lock() {
            outer.wake_by_ref();
        }
    }
}
