//! Virtual time and its timers.

use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::platform::{Clock, Instant, Timer};

/// The virtual time that reading the clock takes.
const LOOK: Duration = Duration::from_micros(1);

/// A clock that moves only when it is told to.
#[derive(Default)]
pub(super) struct VirtualClock(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    now: Instant,
    /// The armed timers that have not fired. Of two timers that are due at the same time, the one that was armed first
    /// fires first.
    armed: BTreeMap<(Instant, u64), Option<Waker>>,
    sequence: u64,
}

impl VirtualClock {
    /// Advances to the earliest armed timer, if that is not after `end`, and fires the timers that are due then.
    /// Returns whether there was one.
    pub(super) fn advance_to_next(&self, end: Option<Instant>) -> bool {
        let next = self.0.lock().armed.first_key_value().map(|((deadline, _), _)| *deadline);
        match next {
            Some(deadline) if end.is_none_or(|end| deadline <= end) => {
                self.advance_to(deadline);
                true
            }
            _ => false,
        }
    }

    /// Advances to `instant`, unless that has passed, and fires the timers that are due.
    pub(super) fn advance_to(&self, instant: Instant) {
        let due = {
            let mut state = self.0.lock();
            state.now = state.now.max(instant);
            let now = state.now;
            let later = state.armed.split_off(&(now, u64::MAX));
            core::mem::replace(&mut state.armed, later)
        };
        due.into_values().flatten().for_each(Waker::wake);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        self.0.lock().now
    }

    fn look(&self) -> Instant {
        let now = self.now() + LOOK;
        self.advance_to(now);
        now
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(VirtualTimer { clock: self.0.clone(), key: None, waker: None })
    }
}

struct VirtualTimer {
    clock: Arc<Mutex<State>>,
    /// The deadline, and a number that orders timers with the same deadline. It is kept when the timer has fired.
    key: Option<(Instant, u64)>,
    /// The waker of the latest poll. It is kept when the timer is armed again.
    waker: Option<Waker>,
}

impl Timer for VirtualTimer {
    fn set(&mut self, deadline: Option<Instant>) {
        if self.key.map(|(deadline, _)| deadline) == deadline {
            return;
        }
        let mut state = self.clock.lock();
        let disarmed = self.key.take().and_then(|key| state.armed.remove(&key));
        let mut past = None;
        if let Some(deadline) = deadline {
            let key = (deadline, state.sequence);
            state.sequence += 1;
            self.key = Some(key);
            if deadline > state.now {
                state.armed.insert(key, self.waker.clone());
            } else {
                past = self.waker.take();
            }
        }
        drop(state);
        drop(disarmed);
        if let Some(waker) = past {
            waker.wake();
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.lock();
        if let Some(key) = self.key {
            if key.0 <= state.now {
                return Poll::Ready(());
            }
            state.armed.insert(key, Some(context.waker().clone()));
        }
        drop(state);
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for VirtualTimer {
    fn drop(&mut self) {
        self.set(None);
    }
}
