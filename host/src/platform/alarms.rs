//! A [`Clock`] for runtimes whose own timers accept only the wakers of the runtime's tasks.
//!
//! A [`Timer`] may be polled with any waker: that of a task, of a `FuturesUnordered` in a task, or of wasmtime. Some
//! executors store the deadline in the waiting task and so accept only their own wakers (embassy panics at others);
//! some only have a function that sleeps. Here one task of such an executor, [`Alarms::run`], sleeps until the earliest
//! deadline of all timers, and wakes the tasks that wait for it.
//!
//! ```
//! # use xila_network_host::platform::{Clock, alarms, simulated::Simulation};
//! # let simulation = Simulation::new(0);
//! # let runtime = simulation.platform().clock;
//! # let sleeping = runtime.clone();
//! # let sleep_until = move |deadline| {
//! #     let mut timer = sleeping.timer();
//! #     timer.set(Some(deadline));
//! #     async move { core::future::poll_fn(|context| timer.poll(context)).await }
//! # };
//! let (clock, alarms) = alarms::clock(move || runtime.now());
//! simulation.spawn(alarms.run(sleep_until));
//! # let mut timer = clock.timer();
//! # timer.set(Some(clock.now() + core::time::Duration::from_secs(1)));
//! # simulation.block_on(core::future::poll_fn(|context| timer.poll(context)));
//! ```

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::{Clock, Instant, Timer};

/// A clock that reads the time by `now`, which must never go back, and the task that wakes its timers.
pub fn clock(now: impl Fn() -> Instant + Send + Sync + 'static) -> (Arc<dyn Clock>, Alarms) {
    let table = Arc::new(Table { now: Box::new(now), waiting: Mutex::default() });
    let alarms = Alarms(Arc::downgrade(&table));
    (Arc::new(AlarmClock(table)), alarms)
}

/// Wakes the tasks that wait for the timers of a [`clock`], once it is [run](Self::run).
#[must_use = "timers of this clock wake nobody until it is run"]
pub struct Alarms(Weak<Table>);

impl Alarms {
    /// Wakes the tasks that wait for timers when the deadlines come, until the clock and all of its timers are dropped.
    ///
    /// `sleep_until` returns a future that is ready when the clock has reached the given time, or later. The future is
    /// polled by the task that runs this, with that task's waker, and dropped if an earlier deadline is set meanwhile.
    /// While no task waits for a timer, nothing wakes this task.
    pub async fn run<S: Future<Output = ()>>(self, mut sleep_until: impl FnMut(Instant) -> S) {
        let mut sleep = pin!(None);
        let mut armed = None;
        poll_fn(|context| {
            loop {
                let Some(table) = self.0.upgrade() else { return Poll::Ready(()) };
                let Some(deadline) = table.ring(context.waker()) else {
                    return Poll::Pending;
                };
                if armed != Some(deadline) {
                    sleep.set(Some(sleep_until(deadline)));
                    armed = Some(deadline);
                }
                match sleep.as_mut().as_pin_mut().map(|sleep| sleep.poll(context)) {
                    Some(Poll::Pending) => return Poll::Pending,
                    Some(Poll::Ready(())) | None => armed = None,
                }
            }
        })
        .await;
    }
}

/// The timers of a clock that tasks wait for.
struct Table {
    now: Box<dyn Fn() -> Instant + Send + Sync>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// The wakers by deadline, and by the number of the timer if several have the same deadline.
    wakers: BTreeMap<(Instant, u64), Waker>,
    /// The number of timers made so far.
    timers: u64,
    /// The waker of the task that sleeps.
    task: Option<Waker>,
}

impl Table {
    fn now(&self) -> Instant {
        (self.now)()
    }

    /// Wakes the tasks whose deadline has come. Returns the next deadline. If an earlier one is set later, `task` is
    /// woken.
    fn ring(&self, task: &Waker) -> Option<Instant> {
        let now = self.now();
        let mut waiting = self.waiting.lock();
        waiting.task = Some(task.clone());
        let later = waiting.wakers.split_off(&(now, u64::MAX));
        let due = core::mem::replace(&mut waiting.wakers, later);
        let next = waiting.wakers.first_key_value().map(|((deadline, _), _)| *deadline);
        drop(waiting);
        due.into_values().for_each(Waker::wake);
        next
    }

    fn insert(&self, deadline: Instant, timer: u64, waker: Waker) {
        let mut waiting = self.waiting.lock();
        let before = waiting.wakers.insert((deadline, timer), waker);
        let is_first = waiting.wakers.first_key_value().is_some_and(|(key, _)| *key == (deadline, timer));
        let task = if is_first && before.is_none() { waiting.task.take() } else { None };
        drop(waiting);
        if let Some(task) = task {
            task.wake();
        }
    }

    fn remove(&self, deadline: Instant, timer: u64) -> Option<Waker> {
        self.waiting.lock().wakers.remove(&(deadline, timer))
    }
}

impl Drop for Table {
    /// Wakes the task, which ends because the table is gone.
    fn drop(&mut self) {
        if let Some(task) = self.waiting.get_mut().task.take() {
            task.wake();
        }
    }
}

struct AlarmClock(Arc<Table>);

impl Clock for AlarmClock {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn timer(&self) -> Box<dyn Timer> {
        let mut waiting = self.0.waiting.lock();
        waiting.timers += 1;
        Box::new(AlarmTimer { table: self.0.clone(), number: waiting.timers, deadline: None, disarmed: None })
    }
}

struct AlarmTimer {
    table: Arc<Table>,
    number: u64,
    deadline: Option<Instant>,
    /// The waker of a poll while the timer was disarmed. The task that arms the timer may differ from the one that
    /// waits for it.
    disarmed: Option<Waker>,
}

impl AlarmTimer {
    /// Removes the waker of the waiting task.
    fn take(&mut self) -> Option<Waker> {
        match self.deadline {
            Some(deadline) => self.table.remove(deadline, self.number),
            None => self.disarmed.take(),
        }
    }
}

impl Timer for AlarmTimer {
    fn set(&mut self, deadline: Option<Instant>) {
        if self.deadline == deadline {
            return;
        }
        let waiting = self.take();
        self.deadline = deadline;
        match (deadline, waiting) {
            (Some(deadline), Some(waker)) => self.table.insert(deadline, self.number, waker),
            (Some(_), None) => {}
            (None, waiting) => self.disarmed = waiting,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.deadline {
            None => self.disarmed = Some(context.waker().clone()),
            Some(deadline) if deadline <= self.table.now() => {
                self.take();
                return Poll::Ready(());
            }
            Some(deadline) => self.table.insert(deadline, self.number, context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for AlarmTimer {
    fn drop(&mut self) {
        self.take();
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};
    use core::time::Duration;

    use futures_util::StreamExt as _;
    use futures_util::stream::FuturesUnordered;

    use super::*;
    use crate::platform::counted::Count;
    use crate::platform::simulated::Simulation;

    const SECOND: Duration = Duration::from_secs(1);

    /// A clock on virtual time.
    fn on(simulation: &Simulation) -> Arc<dyn Clock> {
        let runtime = simulation.platform().clock;
        let sleeping = runtime.clone();
        let (clock, alarms) = clock(move || runtime.now());
        simulation.spawn(alarms.run(move |deadline| {
            let mut timer = sleeping.timer();
            timer.set(Some(deadline));
            async move { poll_fn(|context| timer.poll(context)).await }
        }));
        clock
    }

    async fn wait(mut timer: Box<dyn Timer>) {
        poll_fn(|context| timer.poll(context)).await;
    }

    fn armed(clock: &Arc<dyn Clock>, after: Duration) -> Box<dyn Timer> {
        let mut timer = clock.timer();
        timer.set(Some(clock.now() + after));
        timer
    }

    #[test]
    fn a_timer_fires_at_its_deadline_and_stays_ready_until_it_is_set_anew() {
        let simulation = Simulation::new(0);
        let clock = on(&simulation);
        let mut timer = armed(&clock, SECOND);
        simulation.block_on(poll_fn(|context| timer.poll(context)));
        assert_eq!(simulation.now().since_origin(), SECOND);
        let mut context = Context::from_waker(Waker::noop());
        assert!(timer.poll(&mut context).is_ready());
        timer.set(Some(clock.now() + SECOND));
        assert!(timer.poll(&mut context).is_pending());
        timer.set(None);
        assert!(timer.poll(&mut context).is_pending());
        timer.set(Some(Instant::ORIGIN));
        assert!(timer.poll(&mut context).is_ready());
    }

    #[test]
    fn timers_that_are_polled_by_other_wakers_fire_in_their_order() {
        let simulation = Simulation::new(0);
        let clock = on(&simulation);
        let fired = simulation.block_on(async {
            let timers: FuturesUnordered<_> = [3, 1, 2]
                .map(|seconds| {
                    let timer = armed(&clock, SECOND * seconds);
                    async move {
                        wait(timer).await;
                        seconds
                    }
                })
                .into_iter()
                .collect();
            timers.map(|seconds| (seconds, clock.now().since_origin())).collect::<Vec<_>>().await
        });
        assert_eq!(fired, [1, 2, 3].map(|seconds| (seconds, SECOND * seconds)));
    }

    #[test]
    fn an_earlier_deadline_shortens_the_sleep_and_a_later_one_does_not_end_it() {
        let simulation = Simulation::new(0);
        let clock = on(&simulation);
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut timer = armed(&clock, SECOND * 60);
        assert!(timer.poll(&mut Context::from_waker(&waker)).is_pending());
        simulation.run_ready();
        timer.set(Some(clock.now() + SECOND * 2));
        simulation.advance(SECOND);
        timer.set(Some(clock.now() + SECOND * 4));
        simulation.advance(SECOND * 3);
        assert_eq!(count.get(), 0);
        simulation.advance(SECOND);
        assert_eq!(count.get(), 1);
    }

    #[test]
    fn arming_a_timer_wakes_a_task_that_polled_it_while_it_was_disarmed() {
        let simulation = Simulation::new(0);
        let clock = on(&simulation);
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let (mut late, mut overdue) = (clock.timer(), clock.timer());
        for timer in [&mut late, &mut overdue] {
            assert!(timer.poll(&mut Context::from_waker(&waker)).is_pending());
        }
        late.set(Some(clock.now() + SECOND));
        overdue.set(Some(Instant::ORIGIN));
        simulation.run_ready();
        assert_eq!(count.get(), 1);
        simulation.advance(SECOND);
        assert_eq!(count.get(), 2);
    }

    #[test]
    fn the_task_sleeps_once_for_a_deadline_and_is_woken_by_none_but_an_earlier_one() {
        let (clock, alarms) = clock(|| Instant::ORIGIN);
        let (mut near, mut far) = (armed(&clock, SECOND * 3600), armed(&clock, SECOND * 7200));
        let (sleeps, count) = (AtomicUsize::new(0), Arc::new(Count::default()));
        let mut task = pin!(alarms.run(|_| {
            sleeps.fetch_add(1, Ordering::Relaxed);
            core::future::pending()
        }));
        let waker = Waker::from(count.clone());
        let (mut task_context, mut context) = (Context::from_waker(&waker), Context::from_waker(Waker::noop()));
        assert!(near.poll(&mut context).is_pending());
        assert!(task.as_mut().poll(&mut task_context).is_pending());
        for timer in [&mut far, &mut near] {
            assert!(timer.poll(&mut context).is_pending());
        }
        assert_eq!(count.get(), 0);
        let mut nearest = armed(&clock, SECOND);
        assert!(nearest.poll(&mut context).is_pending());
        assert_eq!(count.get(), 1);
        drop(nearest);
        assert!(task.as_mut().poll(&mut task_context).is_pending());
        assert_eq!(sleeps.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_dropped_or_disarmed_timer_wakes_nobody_and_the_end_of_time_is_a_valid_deadline() {
        let simulation = Simulation::new(0);
        let clock = on(&simulation);
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let (mut dropped, mut disarmed, mut last) =
            (armed(&clock, SECOND), armed(&clock, SECOND), armed(&clock, Duration::MAX));
        for timer in [&mut dropped, &mut disarmed, &mut last] {
            assert!(timer.poll(&mut Context::from_waker(&waker)).is_pending());
        }
        drop(dropped);
        disarmed.set(None);
        simulation.advance(SECOND * 3600);
        assert_eq!(count.get(), 0);
    }

    #[test]
    fn the_task_ends_with_the_last_timer() {
        let simulation = Simulation::new(0);
        let (runtime, sleeping) = (simulation.platform().clock, simulation.platform().clock);
        let (clock, alarms) = clock(move || runtime.now());
        let ended = Arc::new(AtomicUsize::new(0));
        let told = ended.clone();
        simulation.spawn(async move {
            alarms.run(|_| wait(sleeping.timer())).await;
            told.store(1, Ordering::Relaxed);
        });
        let timer = armed(&clock, SECOND);
        drop(clock);
        simulation.run_ready();
        assert_eq!(ended.load(Ordering::Relaxed), 0);
        drop(timer);
        simulation.run_ready();
        assert_eq!(ended.load(Ordering::Relaxed), 1);
    }
}
