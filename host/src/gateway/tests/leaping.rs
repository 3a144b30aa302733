//! Time that passes when a test says so, beside that of the sockets of this host.

use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::platform::tokio::platform;
use crate::platform::{Clock, Instant, Platform, Timer};

/// A clock that leaps when a test says so.
pub(crate) struct Leaping {
    clock: Arc<dyn Clock>,
    leaps: Arc<Mutex<Leaps>>,
}

#[derive(Default)]
pub(crate) struct Leaps {
    pub(crate) ahead: Duration,
    waiting: Vec<Waker>,
}

struct LeapingTimer {
    timer: Box<dyn Timer>,
    deadline: Option<Instant>,
    leaps: Arc<Mutex<Leaps>>,
}

impl Clock for Leaping {
    fn now(&self) -> Instant {
        self.clock.now() + self.leaps.lock().ahead
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(LeapingTimer { timer: self.clock.timer(), deadline: None, leaps: self.leaps.clone() })
    }
}

impl LeapingTimer {
    /// Arms the timer of the other clock, which knows of no leaps.
    fn arm(&mut self, leaps: &Leaps) {
        let ahead = leaps.ahead;
        let deadline = self.deadline.map(|deadline| (deadline - Instant::ORIGIN).saturating_sub(ahead));
        self.timer.set(deadline.map(Instant::from_origin));
    }
}

impl Timer for LeapingTimer {
    fn set(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
        let leaps = self.leaps.clone();
        self.arm(&leaps.lock());
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let leaps = self.leaps.clone();
        let mut leaps = leaps.lock();
        self.arm(&leaps);
        leaps.waiting.push(context.waker().clone());
        self.timer.poll(context)
    }
}

impl Leaping {
    /// A platform with such a clock, and how far the clock is ahead.
    pub(crate) fn platform() -> (Platform, Arc<Mutex<Leaps>>) {
        let leaps = Arc::<Mutex<Leaps>>::default();
        let platform = platform();
        let clock = Arc::new(Self { clock: platform.clock.clone(), leaps: leaps.clone() });
        (Platform { clock, ..platform }, leaps)
    }
}

/// Lets time pass in seconds, until `done`. Returns how many have passed.
pub(crate) async fn leap_until<T>(leaps: &Mutex<Leaps>, done: impl Future<Output = T>) -> (T, u64) {
    let mut seconds = 0;
    let leaping = async {
        loop {
            let waiting = {
                let mut leaps = leaps.lock();
                leaps.ahead += Duration::from_secs(1);
                core::mem::take(&mut leaps.waiting)
            };
            waiting.into_iter().for_each(Waker::wake);
            seconds += 1;
            tokio::task::yield_now().await;
        }
    };
    let done = tokio::select! {
        biased;
        done = done => done,
        () = leaping => unreachable!("it has no end"),
    };
    (done, seconds)
}
