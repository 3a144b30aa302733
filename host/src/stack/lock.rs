//! The lock of a stack: a mutex whose users take turns.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

/// A mutex that no thread can keep to itself by locking it again and again.
///
/// It is held for about a microsecond, and for some tens of them by a bulk transfer. So a thread that finds it locked
/// tries again for a while before it sleeps, because a thread that sleeps runs a hundred microseconds later. A thread
/// that has just unlocked the mutex would nearly always win it again from those that try, so whoever comes while others
/// wait lets one of them go first.
#[derive(Debug)]
pub(super) struct TurnLock<T> {
    value: Mutex<T>,
    /// The number of threads that try, and do not sleep.
    waiting: AtomicUsize,
    /// The number of times that one of these threads got the mutex.
    turns: AtomicUsize,
}

/// How often a thread looks whether the mutex is unlocked before it sleeps, and how long it waits between two looks, in
/// turns of a waiting loop, which take 5 to 40 ns each.
const LOOKS: usize = 512;
const PAUSE: usize = 2;
/// How often a thread looks whether one of those that wait got the mutex, before it no longer gives way: one of them may
/// have lost its processor.
const COURTESY: usize = 32;

impl<T> TurnLock<T> {
    pub(super) const fn new(value: T) -> Self {
        Self { value: Mutex::new(value), waiting: AtomicUsize::new(0), turns: AtomicUsize::new(0) }
    }

    /// Locks the mutex.
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.give_way();
        match self.value.try_lock() {
            Some(value) => value,
            None => self.wait(),
        }
    }

    /// Locks the mutex, unless it is locked.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.value.try_lock()
    }

    /// Waits until one of those that wait got the mutex, if there are any.
    fn give_way(&self) {
        let turn = self.turns.load(Ordering::Relaxed);
        let is_behind = || self.waiting.load(Ordering::Relaxed) > 0 && self.turns.load(Ordering::Relaxed) == turn;
        (0..COURTESY).take_while(|_| is_behind()).for_each(|_| pause());
    }

    #[cold]
    fn wait(&self) -> MutexGuard<'_, T> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let got = (0..LOOKS).find_map(|_| {
            pause();
            if self.value.is_locked() { None } else { self.value.try_lock() }
        });
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        if got.is_some() {
            self.turns.fetch_add(1, Ordering::Relaxed);
        }
        got.unwrap_or_else(|| self.value.lock())
    }
}

fn pause() {
    (0..PAUSE).for_each(|_| spin_loop());
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn one_thread_at_a_time_has_the_value_and_in_the_end_nobody_waits() {
        let lock = TurnLock::new(0_u64);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let mut value = lock.lock();
                        let before = *value;
                        spin_loop();
                        *value = before + 1;
                    }
                });
            }
        });
        assert_eq!(*lock.lock(), 80_000);
        assert_eq!(lock.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_waits_without_a_processor_holds_nobody_up() {
        let lock = TurnLock::new(());
        lock.waiting.fetch_add(1, Ordering::Relaxed);
        // The one that waits never gets a turn. This ends nevertheless.
        drop(lock.lock());
        assert_eq!(lock.turns.load(Ordering::Relaxed), 0, "it did not wait itself");
        let held = lock.lock();
        assert!(lock.try_lock().is_none());
        drop(held);
        assert!(lock.try_lock().is_some());
    }
}
