//! The platform for production: tokio's time, tokio's tasks and the operating system's randomness.
//!
//! Timers are those of tokio, which fire at whole milliseconds: never early, and up to a millisecond late. If tokio's
//! time is paused (with its `test-util` feature), this clock is paused too.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;
use tokio::time::Sleep;

use super::{Clock, Instant, Platform, Random, Spawner, Task, Timer};

/// The platform for the tokio runtime that this is called in.
///
/// # Panics
/// Outside of a tokio runtime; call [`platform_on`] there.
#[must_use]
pub fn platform() -> Platform {
    platform_on(Handle::current())
}

/// The platform for the runtime of `handle`. Its time driver must be enabled (`Builder::enable_time` or `enable_all`).
#[must_use]
pub fn platform_on(handle: Handle) -> Platform {
    origin();
    Platform {
        clock: Arc::new(TokioClock(handle.clone())),
        spawner: Arc::new(TokioSpawner(handle)),
        random: Arc::new(SystemRandom),
        devices: None,
        memory: None,
    }
}

/// The origin of time, which is the same for the whole process, so that the times of two platforms can be compared: a
/// device made with one platform may be mounted on a stack made with another.
fn origin() -> tokio::time::Instant {
    static ORIGIN: OnceLock<tokio::time::Instant> = OnceLock::new();
    *ORIGIN.get_or_init(tokio::time::Instant::now)
}

/// A time span that is longer than any real deadline, and short enough for every clock to represent.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

fn to_tokio(instant: Instant) -> tokio::time::Instant {
    let since_origin = instant.since_origin();
    origin().checked_add(since_origin).unwrap_or_else(|| origin() + FAR)
}

struct TokioClock(Handle);

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        Instant::from_origin(tokio::time::Instant::now().saturating_duration_since(origin()))
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(TokioTimer { handle: self.0.clone(), sleep: None, deadline: None, waiting: None })
    }
}

struct TokioTimer {
    handle: Handle,
    /// The tokio timer: made when it is first armed, then reset.
    sleep: Option<Pin<Box<Sleep>>>,
    deadline: Option<Instant>,
    /// The waker of a poll while the timer was disarmed. The task that arms the timer may differ from the one that
    /// waits for it.
    waiting: Option<Waker>,
}

impl Timer for TokioTimer {
    fn set(&mut self, deadline: Option<Instant>) {
        if self.deadline == deadline {
            return;
        }
        self.deadline = deadline;
        // The `Sleep` of a disarmed timer stays in tokio's timer wheel: removing it costs more than the wake-up that it
        // may cause.
        let Some(deadline) = deadline else { return };
        let at = to_tokio(deadline);
        match &mut self.sleep {
            Some(sleep) => {
                if sleep.deadline() != at || sleep.is_elapsed() {
                    sleep.as_mut().reset(at);
                }
            }
            None => {
                // A `Sleep` belongs to the runtime that it is made in, and the caller may be outside of any.
                let _entered = self.handle.enter();
                self.sleep = Some(Box::pin(tokio::time::sleep_until(at)));
            }
        }
        if let (Some(sleep), Some(waker)) = (&mut self.sleep, self.waiting.take())
            && sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        {
            waker.wake();
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match (self.deadline, &mut self.sleep) {
            (Some(_), Some(sleep)) => {
                // `Sleep` may be polled again after it was ready, and is ready again.
                self.waiting = None;
                sleep.as_mut().poll(context)
            }
            _ => {
                match &mut self.waiting {
                    Some(waiting) => waiting.clone_from(context.waker()),
                    None => self.waiting = Some(context.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

struct TokioSpawner(Handle);

impl Spawner for TokioSpawner {
    fn spawn(&self, task: Task) {
        // The join handle is not needed: the task reports through shared state.
        drop(self.0.spawn(task));
    }
}

struct SystemRandom;

impl Random for SystemRandom {
    /// # Panics
    /// If the operating system provides no random bytes. Predictable numbers would be worse than a panic.
    fn fill(&self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            panic!("the operating system gives no random numbers: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use core::future::poll_fn;

    use super::*;
    use crate::platform::counted::Count;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn a_timer_fires_at_its_deadline_and_stays_ready_until_it_is_set_anew() {
        run(async {
            let clock = platform().clock;
            let mut timer = clock.timer();
            let start = clock.now();
            timer.set(Some(start + Duration::from_millis(20)));
            poll_fn(|context| timer.poll(context)).await;
            assert!(clock.now() - start >= Duration::from_millis(20));
            poll_fn(|context| timer.poll(context)).await;
            timer.set(Some(clock.now() + Duration::from_secs(3600)));
            assert!(timer.poll(&mut Context::from_waker(Waker::noop())).is_pending());
            timer.set(Some(Instant::ORIGIN));
            poll_fn(|context| timer.poll(context)).await;
        });
    }

    #[test]
    fn a_disarmed_timer_is_pending_and_the_end_of_time_is_a_valid_deadline() {
        run(async {
            let mut timer = platform().clock.timer();
            let mut context = Context::from_waker(Waker::noop());
            assert!(timer.poll(&mut context).is_pending());
            timer.set(Some(Instant::from_origin(Duration::MAX)));
            assert!(timer.poll(&mut context).is_pending());
            timer.set(Some(Instant::ORIGIN));
            timer.set(None);
            assert!(timer.poll(&mut context).is_pending());
        });
    }

    #[test]
    fn arming_a_timer_wakes_a_task_that_polled_it_while_it_was_disarmed() {
        run(async {
            let clock = platform().clock;
            let mut timer = clock.timer();
            let count = Arc::new(Count::default());
            let waker = Waker::from(count.clone());
            assert!(timer.poll(&mut Context::from_waker(&waker)).is_pending());
            timer.set(Some(clock.now() + Duration::from_millis(5)));
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert_eq!(count.get(), 1);
        });
    }

    #[test]
    fn a_timer_can_be_made_and_armed_outside_the_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let platform = platform_on(runtime.handle().clone());
        let mut timer = platform.clock.timer();
        timer.set(Some(platform.clock.now() + Duration::from_millis(5)));
        runtime.block_on(poll_fn(|context| timer.poll(context)));
    }

    #[test]
    fn spawned_tasks_run_and_random_bytes_differ() {
        run(async {
            let platform = platform();
            let (sender, receiver) = std::sync::mpsc::channel();
            platform.spawner.spawn(Box::pin(async move { sender.send(7).unwrap() }));
            tokio::task::yield_now().await;
            assert_eq!(receiver.recv(), Ok(7));
            assert_ne!(platform.random_u64(), platform.random_u64());
        });
    }
}
