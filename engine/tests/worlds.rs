//! Simulated worlds: two engines that communicate over a simulated link, under virtual time.
//!
//! Each world is generated from a seed: a link that may lose, delay, duplicate, reorder, mark or damage packets,
//! devices that may be full, small buffers, and owners that perform their operations in an order of their own. The
//! environment variable `XILA_WORLDS` sets the number of worlds, and `XILA_FIRST_WORLD` the first seed.

#[path = "worlds/mod.rs"]
mod worlds;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use worlds::{Plan, World};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs a world. If nothing may fail in it, also runs it with the same owners over a perfect link.
fn check(seed: u64) {
    let plan = Plan::new(seed);
    let twin = (plan.orderly && !plan.fragile && seed.is_multiple_of(4)).then(|| plan.over_a_perfect_link());
    let outcomes = World::new(plan).run();
    if let Some(twin) = twin {
        assert_eq!(outcomes, World::new(twin).run(), "seed {seed}: not the same as over a perfect link");
    }
}

#[test]
fn everything_written_is_read_and_nothing_is_left_over() {
    let (count, first) = (number("XILA_WORLDS", 300), number("XILA_FIRST_WORLD", 0));
    let next = AtomicU64::new(first);
    let failed = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return;
            }
            if catch_unwind(AssertUnwindSafe(|| check(seed))).is_err() {
                failed.lock().expect("nobody panics with it").push(seed);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(4));
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().expect("nobody panicked with it");
    assert!(failed.is_empty(), "{} of {count} worlds have failed: {:?}", failed.len(), &failed[..failed.len().min(40)]);
}
