//! `wasi:clocks/monotonic-clock` 0.2 and 0.3 on the clock of the platform, for programs that sleep or wait with a
//! timeout.
//!
//! wasmtime-wasi always waits by tokio's timer, whatever clock a context has: without a tokio runtime that panics, and
//! with virtual time it takes real time. The wall clock, for which nobody waits, is still that of the `WasiCtx`.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use wasmtime::component::{Accessor, Linker, Resource};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock as p2;
use wasmtime_wasi::p3::bindings::clocks::monotonic_clock as p3;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use super::{HasNetwork, NetworkCtxView, NetworkView, units};
use crate::platform::{Clock, Instant, Timer};

/// The resolution of the clock in both versions of the interface: one nanosecond.
const RESOLUTION: u64 = 1;

/// Adds `wasi:clocks/monotonic-clock@0.2` to `linker`.
///
/// # Errors
/// If the linker has it already.
pub(super) fn add_p2_to_linker<T: NetworkView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    p2::add_to_linker::<T, HasNetwork>(linker, T::network)
}

/// Adds `wasi:clocks/monotonic-clock@0.3` to `linker`.
///
/// # Errors
/// If the linker has it already.
pub(super) fn add_p3_to_linker<T: NetworkView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    p3::add_to_linker::<T, HasNetwork>(linker, T::network)
}

/// A deadline as a pollable of `wasi:io/poll`.
pub(super) struct Deadline {
    /// `None` if the deadline had passed when this was made.
    timer: Option<Box<dyn Timer>>,
    /// Whether the program has yielded to others since this was made.
    gave_way: bool,
}

impl Deadline {
    fn new(clock: &dyn Clock, at: Instant) -> Self {
        Self { timer: timer(clock, at), gave_way: false }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let is_due = self.timer.as_mut().map_or(Poll::Ready(()), |timer| timer.poll(context));
        let gave_way = core::mem::replace(&mut self.gave_way, true);
        // A program that polls in a loop with a timeout of zero, as libc's `poll` does, must yield once: otherwise it
        // would keep other tasks from making ready what it polls for.
        if is_due.is_ready() && !gave_way {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        is_due
    }
}

#[wasmtime_wasi_io::async_trait]
impl Pollable for Deadline {
    async fn ready(&mut self) {
        poll_fn(|context| self.poll(context)).await;
    }
}

impl NetworkCtxView<'_> {
    fn nanoseconds_now(&self) -> wasmtime::Result<u64> {
        Ok(units::nanoseconds(self.ctx.clock()?.look().since_origin()))
    }

    fn subscribe_at(&mut self, at: impl FnOnce(&dyn Clock) -> Instant) -> wasmtime::Result<Resource<DynPollable>> {
        let clock = self.ctx.clock()?;
        let deadline = self.table.push(Deadline::new(&*clock, at(&*clock)))?;
        let place = deadline.rep();
        let pollable = subscribe(self.table, deadline);
        if pollable.is_err() {
            // The table is full: nobody has a handle to the deadline.
            self.table.delete(Resource::<Deadline>::new_own(place))?;
        }
        pollable
    }
}

/// The time that a program gives as a number of nanoseconds.
fn instant(nanoseconds: u64) -> Instant {
    Instant::from_origin(units::duration(nanoseconds))
}

impl p2::Host for NetworkCtxView<'_> {
    fn now(&mut self) -> wasmtime::Result<p2::Instant> {
        self.nanoseconds_now()
    }

    fn resolution(&mut self) -> wasmtime::Result<p2::Duration> {
        Ok(RESOLUTION)
    }

    fn subscribe_instant(&mut self, when: p2::Instant) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_at(|_| instant(when))
    }

    fn subscribe_duration(&mut self, when: p2::Duration) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_at(|clock| clock.now() + units::duration(when))
    }
}

impl p3::Host for NetworkCtxView<'_> {
    fn now(&mut self) -> wasmtime::Result<p3::Mark> {
        self.nanoseconds_now()
    }

    fn get_resolution(&mut self) -> wasmtime::Result<p3::Duration> {
        Ok(RESOLUTION)
    }
}

impl<T: 'static> p3::HostWithStore<T> for HasNetwork {
    async fn wait_until(store: &Accessor<T, Self>, when: p3::Mark) -> wasmtime::Result<()> {
        wait(&clock_of(store)?, |_| instant(when)).await;
        Ok(())
    }

    async fn wait_for(store: &Accessor<T, Self>, how_long: p3::Duration) -> wasmtime::Result<()> {
        wait(&clock_of(store)?, |clock| clock.now() + units::duration(how_long)).await;
        Ok(())
    }
}

fn clock_of<T: 'static>(store: &Accessor<T, HasNetwork>) -> wasmtime::Result<Arc<dyn Clock>> {
    store.with(|mut access| access.get().ctx.clock())
}

async fn wait(clock: &Arc<dyn Clock>, until: impl FnOnce(&dyn Clock) -> Instant) {
    if let Some(mut timer) = timer(&**clock, until(&**clock)) {
        poll_fn(|context| timer.poll(context)).await;
    }
}

/// A timer for `at`; `None` if that time has passed.
fn timer(clock: &dyn Clock, at: Instant) -> Option<Box<dyn Timer>> {
    (at > clock.now()).then(|| {
        let mut timer = clock.timer();
        timer.set(Some(at));
        timer
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wasmtime::component::ResourceTable;

    use super::*;
    use crate::platform::simulated::Simulation;
    use crate::wasm::NetworkCtx;

    /// A program reads the platform's time, and waits by it.
    #[test]
    fn a_pollable_is_ready_when_the_platforms_time_has_come() {
        let simulation = Simulation::new(1);
        let mut context = NetworkCtx::builder().clock(simulation.platform().clock).build();
        let mut table = ResourceTable::new();
        let mut view = NetworkCtxView { ctx: &mut context, table: &mut table };
        simulation.advance(Duration::from_secs(3));
        let seen = p2::Host::now(&mut view).expect("a clock");
        assert_eq!(units::duration(seen), simulation.now().since_origin());
        assert!((3_000_000_000..3_001_000_000).contains(&seen));
        let clock = simulation.platform().clock;
        for (at, comes) in [(5, 5), (5, 5), (1, 5), (7200, 7200)] {
            let mut deadline = Deadline::new(&*clock, Instant::from_origin(Duration::from_secs(at)));
            simulation.block_on(deadline.ready());
            assert_eq!(simulation.now().since_origin(), Duration::from_secs(comes));
        }
        assert!(p2::Host::subscribe_duration(&mut view, u64::MAX).is_ok(), "the end of time is a time");
    }

    #[test]
    fn a_pollable_that_is_due_yields_to_others_once() {
        let simulation = Simulation::new(1);
        let mut deadline = Deadline::new(&*simulation.platform().clock, Instant::ORIGIN);
        let (mut waker, mut polls) = (Context::from_waker(std::task::Waker::noop()), 0);
        while deadline.poll(&mut waker).is_pending() {
            polls += 1;
        }
        assert_eq!(polls, 1);
    }
}
