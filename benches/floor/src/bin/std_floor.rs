//! The minimum round-trip time of unmodified programs, measured by two instances: `std_floor follow` and
//! `std_floor lead COUNT` take turns by a host function that blocks.

use std::process::exit;
use std::time::Instant;

use xila_network_bench_floor::{arguments, report, turns};

fn main() {
    match arguments() {
        (mode, Some(count)) if mode == "lead" => lead(count),
        (mode, None) if mode == "follow" => while turns::take_turn_blocking() {},
        _ => {
            eprintln!("error: say follow, or lead COUNT");
            exit(1);
        }
    }
}

/// Each round trip is one turn of the other guest: from the end of this guest's turn to the start of its next.
fn lead(count: usize) {
    assert!(turns::take_turn_blocking(), "the other guest has ended");
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        assert!(turns::take_turn_blocking(), "the other guest has ended");
        times.push(start.elapsed());
    }
    report(times);
}
