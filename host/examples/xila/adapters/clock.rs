//! The monotonic clock, which is embassy's: Xila's own clock is the time of day and may step.

use core::time::Duration;
use std::sync::Arc;

use embassy_time::Timer;
use xila_network_host::platform::{Clock, Instant, alarms};

use crate::System;
use crate::xila::task;

/// Makes a clock, and starts the task that wakes the tasks that wait for its timers. Only that task waits for a timer
/// of embassy, which panics when it is polled by wasmtime, because wasmtime's wakers are not embassy's.
pub(super) async fn start(system: &System) -> Result<Arc<dyn Clock>, task::Error> {
    let (clock, alarms) = alarms::clock(now);
    let ring = move |_| alarms.run(|deadline| Timer::at(not_before(deadline)));
    system.tasks.spawn(system.task, "Network alarms", Some(system.executor), ring).await?;
    Ok(clock)
}

fn now() -> Instant {
    Instant::from_origin(Duration::from_micros(embassy_time::Instant::now().as_micros()))
}

/// The first tick of embassy's clock that is not before `deadline`. A tick is a microsecond.
fn not_before(deadline: Instant) -> embassy_time::Instant {
    let microseconds = deadline.since_origin().as_nanos().div_ceil(1000);
    u64::try_from(microseconds).map_or(embassy_time::Instant::MAX, embassy_time::Instant::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_timer_fires_before_its_deadline() {
        for nanoseconds in [0, 1, 999, 1000, 1001, u64::MAX - 1] {
            let deadline = Instant::from_origin(Duration::from_nanos(nanoseconds));
            let fires = Duration::from_micros(not_before(deadline).as_micros());
            assert!(fires >= deadline.since_origin() && fires < deadline.since_origin() + Duration::from_micros(1));
        }
    }
}
