//! What the network needs of its surroundings: time, tasks, randomness, a place where its devices appear, and one where it
//! remembers its interfaces.
//!
//! The stacks themselves never read a clock, start a thread or draw a random number. They are given a [`Platform`],
//! small object-safe traits. [`tokio`] implements them for production, [`simulated`] for tests, where time is
//! virtual and every run is the same. On an executor of another kind, [`alarms`] makes a clock of what time it is and a
//! function that sleeps; `examples/xila` has such a platform whole.

pub mod alarms;
#[cfg(test)]
pub(crate) mod counted;
pub mod devices;
pub mod memory;
pub mod simulated;
#[cfg(feature = "tokio")]
pub mod tokio;

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;

pub use xila_network_engine::time::Instant;

pub use devices::{Access, CharacterDevice, DeviceFile, DeviceFileSystem, InMemory};
pub use memory::{Memory, Record};

/// Monotonic time.
pub trait Clock: Send + Sync {
    /// The present instant. Never less than an instant returned before.
    fn now(&self) -> Instant;

    /// A new timer on this clock, not armed.
    fn timer(&self) -> Box<dyn Timer>;

    /// The present instant, for a program that asks. A clock that stands still while programs run lets some time pass, or one
    /// that waits by looking at it again and again would never end.
    fn look(&self) -> Instant {
        self.now()
    }
}

impl dyn Clock + '_ {
    /// The result of `work`, or `None` where it takes longer than `limit`.
    pub(crate) async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut timer = self.timer();
        timer.set(Some(self.now() + limit));
        let mut work = pin!(work);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => timer.poll(context).map(|()| None),
        })
        .await
    }
}

/// One re-armable alarm of a [`Clock`].
pub trait Timer: Send {
    /// Arms the timer for `deadline`, or disarms it. A deadline that has passed makes the timer ready at once.
    fn set(&mut self, deadline: Option<Instant>);

    /// Ready when the deadline has come, and ready again at every poll until the timer is set anew; pending while
    /// disarmed. Only the waker of the latest poll is woken.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()>;
}

/// A task that a [`Spawner`] runs to its end.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs tasks in the background.
pub trait Spawner: Send + Sync {
    /// Starts `task`. It runs until it returns; nothing waits for it.
    fn spawn(&self, task: Task);
}

/// Unpredictable bytes: they seed sequence numbers, ports and hardware addresses.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The surroundings of a network, as one value that is cheap to clone.
#[derive(Clone)]
pub struct Platform {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Tasks.
    pub spawner: Arc<dyn Spawner>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Where interfaces appear as devices; `None` for a file system [in memory](InMemory), one for each manager.
    pub devices: Option<Arc<dyn DeviceFileSystem>>,
    /// Where interfaces find again what they had in the run before: hardware addresses, leases, IPv6 addresses. `None`:
    /// nothing is remembered.
    pub memory: Option<Arc<dyn Memory>>,
}

impl Platform {
    /// Eight random bytes as a number.
    pub(crate) fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        u64::from_ne_bytes(bytes)
    }
}

impl fmt::Debug for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Platform").finish_non_exhaustive()
    }
}
