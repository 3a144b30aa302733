//! Computes for a while without ever waiting, and says when it is done: the host must go on serving others meanwhile.
//!
//! Takes the number of milliseconds to spin for (default 1500), unlike the other programs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use xila_network_programs::pattern;

xila_network::main!(run);

async fn run() {
    let milliseconds = std::env::args().nth(1).map_or(1500, |word| word.parse().expect("a number of milliseconds"));
    let start = Instant::now();
    let mut rounds = 0u64;
    while start.elapsed() < Duration::from_millis(milliseconds) {
        // Long enough between two looks at the clock that no call to the host serves as a pause.
        for seed in 0..200 {
            black_box(pattern(black_box(seed), 16 * 1024));
        }
        rounds += 1;
    }
    println!("{rounds} rounds");
}
