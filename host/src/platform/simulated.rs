//! The platform for tests: one thread, virtual time, seeded randomness.
//!
//! A [`Simulation`] runs its tasks in the order in which they were woken. Its clock stands still while a task can run.
//! It moves when a test [advances](Simulation::advance) it, and inside [`block_on`](Simulation::block_on) it jumps to
//! the earliest armed timer when nothing else can run. So a test of hours takes milliseconds, and the same seed gives
//! the same run.
//!
//! ```
//! # use std::time::Duration;
//! # use xila_network_host::platform::simulated::Simulation;
//! let simulation = Simulation::new(1);
//! simulation.block_on(simulation.sleep(Duration::from_secs(3600)));
//! assert_eq!(simulation.now().since_origin(), Duration::from_secs(3600));
//! ```

mod executor;
mod time;
mod turns;

#[cfg(test)]
mod tests;

use core::future::{Future, poll_fn};
use core::time::Duration;
use std::sync::Arc;

use parking_lot::Mutex;
use thiserror::Error;

use self::executor::Executor;
use self::time::VirtualClock;
use super::{Clock, Instant, Platform, Random, Spawner, Task};

/// A simulated world with its own tasks, time and randomness. A clone is another handle to it.
///
/// When the last handle is dropped, the tasks that have not ended are dropped too. Use it from one thread: a wake-up
/// from another thread is not lost, but [`block_on`](Self::block_on) does not wait for one.
#[derive(Clone)]
pub struct Simulation(Arc<World>);

struct World {
    executor: Arc<Executor>,
    clock: Arc<VirtualClock>,
    random: Arc<SeededRandom>,
}

impl Drop for World {
    /// Drops the tasks, to break a cycle of references: the tasks hold the platform, which holds the executor, which
    /// holds the tasks.
    fn drop(&mut self) {
        self.executor.drop_tasks();
    }
}

impl Simulation {
    /// A world at the origin of its time, with random numbers from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(World {
            executor: Executor::new(),
            clock: Arc::new(VirtualClock::default()),
            random: Arc::new(SeededRandom(Mutex::new(SplitMix::new(seed)))),
        }))
    }

    /// The platform for stacks and devices of this world.
    #[must_use]
    pub fn platform(&self) -> Platform {
        Platform {
            clock: self.0.clock.clone(),
            spawner: Arc::new(SimulatedSpawner(self.0.executor.clone())),
            random: self.0.random.clone(),
            devices: None,
            memory: None,
        }
    }

    /// The present virtual time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.clock.now()
    }

    /// Starts `task` behind the tasks that are ready already.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.executor.spawn(Box::pin(task));
    }

    /// Ready when `duration` of virtual time has passed since this call.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        let mut timer = self.0.clock.timer();
        timer.set(Some(self.now() + duration));
        async move { poll_fn(|context| timer.poll(context)).await }
    }

    /// Runs `future` and the other tasks until `future` is ready. A panic of a task propagates to the caller.
    ///
    /// # Panics
    /// If nothing can run and no timer is armed: the future would wait for ever.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.try_block_on(future).unwrap_or_else(|stalled| panic!("{stalled}"))
    }

    /// Like [`block_on`](Self::block_on), but returns an error instead of panicking.
    ///
    /// # Errors
    /// Nothing can run and no timer is armed: the future, which is dropped then, would wait for ever.
    pub fn try_block_on<T>(&self, future: impl Future<Output = T>) -> Result<T, Stalled> {
        self.0.executor.block_on(future, || self.0.clock.advance_to_next(None))
    }

    /// Advances time by `duration`. Timers that expire meanwhile fire in order, each at its own time, and the tasks
    /// that they wake run before the next one fires. This may be called within [`block_on`](Self::block_on); the
    /// calling task itself does not continue meanwhile.
    pub fn advance(&self, duration: Duration) {
        let end = self.now() + duration;
        self.0.executor.run_ready();
        while self.0.clock.advance_to_next(Some(end)) {
            self.0.executor.run_ready();
        }
        self.0.clock.advance_to(end);
    }

    /// Runs the tasks that can run at the present time.
    pub fn run_ready(&self) {
        self.0.executor.run_ready();
    }
}

/// The error that nothing can run and no timer is armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("nothing can run: the future waits, no timer is armed, and each of the {tasks} other tasks waits too")]
pub struct Stalled {
    /// The number of waiting tasks.
    pub tasks: usize,
}

struct SimulatedSpawner(Arc<Executor>);

impl Spawner for SimulatedSpawner {
    fn spawn(&self, task: Task) {
        self.0.spawn(task);
    }
}

struct SeededRandom(Mutex<SplitMix>);

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut generator = self.0.lock();
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&generator.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The SplitMix64 generator (Steele, Lea and Flood, 2014). It is small and fast, and every seed is good. It is
/// predictable, so it is only for simulation.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix(u64);

impl SplitMix {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in 0.0..1.0 with 53 random bits.
    pub(crate) const fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
