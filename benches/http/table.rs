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
    let [mut ours, mut theirs] = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        ours.push(Host::Gateway.measure(&programs)?);
        theirs.push(Host::WasmtimeWasi.measure(&programs)?);
    }
    let ways = vec![("ours, gateway", ours), ("wasmtime-wasi-http, kernel", theirs)];
    Comparison { figures: MEASURED, ways }.print("Requests by wasi:http (medians)");
    Ok(())
}
