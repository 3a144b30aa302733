//! Runs the measurements and prints their table.

use xila_network_benches::apps::Result;
use xila_network_benches::report::Comparison;
use xila_network_benches::requests::{FIGURES, Host};
use xila_network_benches::taps::Programs;

const ROUNDS: usize = 5;

/// The names of the figures, in the order of [`Host::measure`], and the number of their decimals.
const MEASURED: [(&str, usize); FIGURES] = [
    ("sent, one after another (1/s)", 0),
    ("sent, 8 at a time (1/s)", 0),
    ("answered, of 1 client (1/s)", 0),
    ("answered, of 8 clients (1/s)", 0),
];

pub(super) fn print() -> Result<()> {
    let Some(programs) = Programs::from_environment("http", env!("CARGO_BIN_EXE_native_throughput"))? else {
        return Ok(());
    };
    // Ours by either way is compared with wasmtime-wasi-http.
    for (name, ours) in [("ours, gateway", Host::Gateway), ("ours, TAP", Host::Tap)] {
        let [mut rounds, mut others] = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            rounds.push(ours.measure(&programs)?);
            others.push(Host::WasmtimeWasi.measure(&programs)?);
        }
        let ways = vec![(name, rounds), ("wasmtime-wasi-http, kernel", others)];
        Comparison { figures: MEASURED, ways }.print("Requests by wasi:http (medians)");
    }
    Ok(())
}
