//! Runs the measurements and prints their table.

use std::env;
use std::path::{Path, PathBuf};

use xila_network_benches::apps::Result;
use xila_network_benches::report::{Table, median};
use xila_network_benches::taps::{FIGURES, Place, Programs, Runner, default_algorithm};

const ROUNDS: usize = 5;

/// The names of the figures, in the order of [`Runner::measure`], and whether a higher figure is better.
const MEASURED: [(&str, bool); FIGURES] = [
    ("bulk TCP, sending (Gb/s)", true),
    ("bulk TCP, receiving (Gb/s)", true),
    ("the same, from a kernel as it is (Gb/s)", true),
    ("TCP round trip of 64 bytes, p50 (us)", false),
    ("UDP round trip of 64 bytes, p50 (us)", false),
    ("connections, one after another (1/s)", true),
];

pub(super) fn print() -> Result<()> {
    let variables = ["XILA_NET", "XILA_BENCH_PEER", "XILA_GUESTS"].map(env::var_os);
    let [Some(ours), Some(peer), Some(guests)] = variables else {
        println!(
            "tap: skipped, as XILA_NET, XILA_BENCH_PEER and XILA_GUESTS do not say where they are: run `just bench`"
        );
        return Ok(());
    };
    let native = env!("CARGO_BIN_EXE_native_throughput");
    let programs = Programs {
        ours: PathBuf::from(ours),
        peer: PathBuf::from(peer),
        guest: Path::new(&guests).join("std_throughput.wasm"),
        native: PathBuf::from(native),
    };
    programs.check()?;
    let runners = [Runner::Ours, Runner::WasmtimeWasi, Runner::Native, Runner::NativeWithoutOffloads];
    let mut rounds: [Vec<[f64; FIGURES]>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for (runner, rounds) in runners.into_iter().zip(&mut rounds) {
            rounds.push(runner.measure(&programs, &Place::new(runner)?)?);
        }
    }
    let column = |rounds: &[[f64; FIGURES]], at: usize| rounds.iter().map(|round| round[at]).collect::<Vec<_>>();
    let headings =
        ["", "ours, TAP", "on wasmtime-wasi, veth", "native, veth", "native, no offloads", "to it", "to native"];
    let mut table = Table::new(&headings);
    for (at, (name, more)) in MEASURED.into_iter().enumerate() {
        let digits = if more && name.contains('/') && name.contains("Gb") { 2 } else { 1 };
        let figure =
            |rounds: &Vec<_>| median(&column(rounds, at)).map_or_else(String::new, |it| format!("{it:.digits$}"));
        // Ratios are computed for each round: a temporary load of the machine then affects both sides of a ratio.
        let against = |other: &Vec<_>| {
            let ratios: Vec<f64> =
                column(&rounds[0], at).iter().zip(column(other, at)).map(|(ours, theirs)| ours / theirs).collect();
            median(&ratios).map_or_else(String::new, |ratio| format!("{ratio:.2}"))
        };
        let figures = rounds.iter().map(figure);
        table.row([name.to_owned()].into_iter().chain(figures).chain([against(&rounds[1]), against(&rounds[2])]));
    }
    table.print(&format!(
        "A std::net program and the kernel, which sends by Reno, or by its default, {} (medians; ours to the same program on \
         wasmtime-wasi, and to native)",
        default_algorithm()?
    ));
    Ok(())
}
