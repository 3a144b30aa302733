//! Runs the measurements and prints their table.

use xila_network_benches::apps::Result;
use xila_network_benches::report::Comparison;
use xila_network_benches::taps::{FIGURES, Place, Programs, Runner, default_algorithm};

const ROUNDS: usize = 5;

/// The names of the figures, in the order of [`Runner::measure`], and the number of their decimals.
const MEASURED: [(&str, usize); FIGURES] = [
    ("bulk TCP, sending (Gb/s)", 2),
    ("bulk TCP, receiving (Gb/s)", 2),
    ("the same, from a kernel as it is (Gb/s)", 2),
    ("TCP round trip of 64 bytes, p50 (us)", 1),
    ("UDP round trip of 64 bytes, p50 (us)", 1),
    ("connections, one after another (1/s)", 1),
];

const RUNNERS: [(&str, Runner); 4] = [
    ("ours, TAP", Runner::Ours),
    ("on wasmtime-wasi, veth", Runner::WasmtimeWasi),
    ("native, veth", Runner::Native),
    ("native, no offloads", Runner::NativeWithoutOffloads),
];

pub(super) fn print() -> Result<()> {
    let Some(programs) = Programs::from_environment("tap", env!("CARGO_BIN_EXE_native_throughput"))? else {
        return Ok(());
    };
    let mut ways = RUNNERS.map(|(name, _)| (name, Vec::new()));
    for _ in 0..ROUNDS {
        for ((_, rounds), (_, runner)) in ways.iter_mut().zip(RUNNERS) {
            rounds.push(runner.measure(&programs, &Place::new(runner)?)?);
        }
    }
    Comparison { figures: MEASURED, ways: ways.into() }.print(&format!(
        "A std::net program and the kernel, which sends by Reno, or by its default, {} (medians; ours to each of the \
         others)",
        default_algorithm()?
    ));
    Ok(())
}
