//! The turns of apps: an app that only computes is interrupted, so that the network and other apps can run.
//!
//! Compiled components check their engine's epoch in every loop. A thread increments the epoch once per turn, but only
//! while apps run. So if all apps wait, this uses no processor time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use anyhow::{Context as _, Result};
use wasmtime::{Engine, EngineWeak, Store, UpdateDeadline};

/// The time for which an app may compute before others get a turn.
const TURN: Duration = Duration::from_millis(1);

/// The number of turns without a running app after which the thread sleeps. Waking it costs more than a few idle turns.
const IDLE: u32 = 20;

/// A handle to the thread that ends turns. The thread ends when this is dropped.
pub(super) struct Turns {
    state: Arc<State>,
    thread: Thread,
}

#[derive(Default)]
struct State {
    /// The number of apps that run now.
    running: AtomicUsize,
    /// Whether the thread sleeps or is about to sleep.
    asleep: AtomicBool,
    ended: AtomicBool,
}

impl Turns {
    pub(super) fn start<'a>(engines: impl Iterator<Item = &'a Engine>) -> Result<Self> {
        let state = Arc::new(State::default());
        let (engines, shared) = (engines.map(Engine::weak).collect::<Vec<_>>(), state.clone());
        let advance = move || {
            let there = engines.iter().filter_map(EngineWeak::upgrade).inspect(Engine::increment_epoch);
            there.count() > 0
        };
        let thread = thread::Builder::new().name("turns".into()).spawn(move || shared.keep(advance));
        let thread = thread.context("cannot start a thread")?.thread().clone();
        Ok(Self { state, thread })
    }

    /// Makes the app of a store yield at the end of each turn.
    pub(super) fn apply<T>(store: &mut Store<T>) {
        store.set_epoch_deadline(1);
        // This uses tokio's own yield, with which tokio polls for I/O before the app's next turn, however many apps
        // compute. With wasmtime's yield, tokio does so only once in 61 turns.
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))));
    }

    /// Runs an app in turns.
    pub(super) async fn run<F: Future>(&self, app: F) -> F::Output {
        let mut app = pin!(app);
        poll_fn(|context| {
            let _running = self.enter();
            app.as_mut().poll(context)
        })
        .await
    }

    fn enter(&self) -> Running<'_> {
        // The count is incremented before the flag is read; the thread does the reverse. So at least one of both
        // notices the other.
        self.state.running.fetch_add(1, Ordering::SeqCst);
        if self.state.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(&self.state)
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// A guard that counts a running app.
struct Running<'a>(&'a State);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl State {
    /// The loop of the thread: calls `advance` once per turn while apps run, until it returns false.
    fn keep(&self, advance: impl Fn() -> bool) {
        let mut idle = 0;
        while !self.ended.load(Ordering::SeqCst) {
            idle = if self.running.load(Ordering::SeqCst) > 0 { 0 } else { idle + 1 };
            if idle < IDLE {
                thread::sleep(TURN);
                if !advance() {
                    return;
                }
                continue;
            }
            self.asleep.store(true, Ordering::SeqCst);
            while self.running.load(Ordering::SeqCst) == 0 && !self.ended.load(Ordering::SeqCst) {
                thread::park();
            }
            self.asleep.store(false, Ordering::SeqCst);
            idle = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Instant;

    use super::*;

    fn until(condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(20), "it never came");
            thread::yield_now();
        }
    }

    #[test]
    fn turns_end_while_an_app_runs_and_at_no_other_time() {
        let (state, count) = (Arc::new(State::default()), Arc::new(AtomicU64::new(0)));
        let (shared, counted) = (state.clone(), count.clone());
        let handle = thread::spawn(move || shared.keep(|| counted.fetch_add(1, Ordering::SeqCst) < u64::MAX));
        let turns = Turns { state: state.clone(), thread: handle.thread().clone() };
        for _ in 0..3 {
            until(|| state.asleep.load(Ordering::SeqCst));
            let before = count.load(Ordering::SeqCst);
            let running = turns.enter();
            until(|| count.load(Ordering::SeqCst) > before + 2 * u64::from(IDLE));
            drop(running);
        }
        until(|| state.asleep.load(Ordering::SeqCst));
        let before = count.load(Ordering::SeqCst);
        drop(turns);
        handle.join().expect("the thread ends when nobody needs it");
        assert_eq!(count.load(Ordering::SeqCst), before);
    }
}
