//! The platform: what the network needs of its surroundings. These are time, tasks, randomness, a file system where
//! interfaces appear as devices, and a memory of interfaces that outlasts a run.
//!
//! The stacks never read a system clock, start a thread or draw a system random number themselves. They use a
//! [`Platform`] of small object-safe traits. [`tokio`] implements them for production; [`simulated`] implements them
//! for tests, where time is virtual and every run is the same. For another executor, [`alarms`] makes a clock from two
//! functions, one that returns the time and one that sleeps; `examples/xila` has a complete platform of that kind.

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

use crate::address::MacAddress;

/// Monotonic time.
pub trait Clock: Send + Sync {
    /// The present time. It is never less than a time returned before.
    fn now(&self) -> Instant;

    /// A new timer on this clock, disarmed.
    fn timer(&self) -> Box<dyn Timer>;

    /// The present time, for a program that asks for it. A clock that stands still while programs run must let some
    /// time pass here, because otherwise a program that waits by reading the clock in a loop would never end.
    fn look(&self) -> Instant {
        self.now()
    }
}

impl dyn Clock + '_ {
    /// Waits until a time.
    pub(crate) async fn wait(&self, until: Instant) {
        let mut timer = self.timer();
        timer.set(Some(until));
        poll_fn(|context| timer.poll(context)).await;
    }

    /// The result of `work`, or `None` if it takes longer than `limit`.
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

/// A timer of a [`Clock`], which can be armed again and again.
pub trait Timer: Send {
    /// Arms the timer for `deadline`, or disarms it. A deadline that has passed makes the timer ready at once.
    fn set(&mut self, deadline: Option<Instant>);

    /// Ready when the deadline has passed, and at every further poll until the timer is set again. Pending while it is
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

/// A source of unpredictable bytes, which are the seed of sequence numbers, ports and hardware addresses.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The platform of a network. It is cheap to clone.
#[derive(Clone)]
pub struct Platform {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Tasks.
    pub spawner: Arc<dyn Spawner>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The file system where interfaces appear as devices; `None` for one [in memory](InMemory) for each manager.
    pub devices: Option<Arc<dyn DeviceFileSystem>>,
    /// The memory in which interfaces find their hardware addresses, leases and IPv6 identifiers of the run before.
    /// `None`: nothing is remembered.
    pub memory: Option<Arc<dyn Memory>>,
}

impl Platform {
    /// Eight random bytes as a number.
    pub(crate) fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        u64::from_ne_bytes(bytes)
    }

    /// A random hardware address, locally administered.
    pub(crate) fn random_hardware_address(&self) -> MacAddress {
        let [a, b, c, d, e, f, ..] = self.random_u64().to_ne_bytes();
        MacAddress::locally_administered([a, b, c, d, e, f])
    }
}

impl fmt::Debug for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Platform").finish_non_exhaustive()
    }
}
