//! Computes for a while without waiting, and prints when it is done: the host must serve other programs meanwhile.
//!
//! Unlike the other programs, it takes the number of milliseconds to spin as its argument (default 1500).

use std::hint::black_box;
use std::time::{Duration, Instant};

use xila_network_programs::pattern;

xila_network::main!(run);

async fn run() {
    let milliseconds = std::env::args().nth(1).map_or(1500, |word| word.parse().expect("a number of milliseconds"));
    let start = Instant::now();
    let mut rounds = 0u64;
    while start.elapsed() < Duration::from_millis(milliseconds) {
        // The work between two reads of the clock is long enough that the calls to the host do not serve as pauses.
        for seed in 0..200 {
            black_box(pattern(black_box(seed), 16 * 1024));
        }
        rounds += 1;
    }
    println!("{rounds} rounds");
}
