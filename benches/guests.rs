//! Two apps in one process that talk to each other through `xila:network` and, unmodified, through `std::net`, on the
//! `lo` of one manager; for comparison the same `std::net` program on wasmtime-wasi's own sockets, over the kernel's
//! loopback.
//!
//! It runs `xila-net` (from the variable `XILA_NET`) and `wasmtime-wasi-run` (`XILA_BENCH_PEER`) with the programs
//! `throughput` and `std_throughput` (from the folder `XILA_GUESTS`) at both ends, and reads what they print.
//! `just bench` builds the programs and sets the variables. The last column has two native tokio tasks on the kernel's
//! loopback.
//!
//! A second table shows the part of a round trip that no network could save: the cost of two guests that wake each
//! other by a host function that does nothing else, or by streams that their host joins. The programs are `floor` and
//! `std_floor`, and `wasmtime-wasi-run` runs them.

#[path = "guests/floor.rs"]
mod floor;

use core::time::Duration;
use std::env;
use std::path::{Path, PathBuf};

use xila_network_benches::apps::{FIGURES, Pair, Result};
use xila_network_benches::pair::{self, Kernel};
use xila_network_benches::report::{Table, gigabits, median, microseconds};

use Target::{Any, AtLeast, AtMost};
use floor::{FLOORS, Floor};

const ROUNDS: usize = 5;
const THREADS: [usize; 2] = [1, 2];

/// The figures, in the order of [`Pair::measure`], and the targets for their ratios to wasmtime-wasi's.
const MEASURED: [Measured; FIGURES] = [
    Measured { name: "bulk TCP, writes of 64 KiB (Gb/s)", digits: 1, targets: [AtLeast(6.0), AtLeast(4.0)] },
    Measured { name: "bulk TCP, writes of 1 KiB (Gb/s)", digits: 2, targets: [AtLeast(3.0), AtLeast(2.5)] },
    Measured { name: "TCP round trip of 64 bytes, p50 (us)", digits: 1, targets: [AtMost(3.0), AtMost(4.0)] },
    Measured { name: "TCP round trip of 64 bytes, p99 (us)", digits: 1, targets: [Any, Any] },
    Measured { name: "UDP round trip of 64 bytes, p50 (us)", digits: 1, targets: [AtMost(3.0), AtMost(4.0)] },
    Measured { name: "UDP round trip of 64 bytes, p99 (us)", digits: 1, targets: [Any, Any] },
    Measured { name: "connections, one after another (1/s)", digits: 0, targets: [AtLeast(5.0), AtLeast(5.0)] },
];

struct Measured {
    name: &'static str,
    digits: usize,
    /// The targets of `xila:network` and of `std::net`, for any number of threads.
    targets: [Target; 2],
}

#[derive(Clone, Copy)]
enum Target {
    /// No target: the ratio is only shown.
    Any,
    /// At least this many times the peer's figure.
    AtLeast(f64),
    /// At most the peer's figure divided by this.
    AtMost(f64),
}

fn main() -> Result<()> {
    let variables = ["XILA_NET", "XILA_BENCH_PEER", "XILA_GUESTS"].map(env::var_os);
    let [Some(ours), Some(peer), Some(guests)] = variables else {
        println!(
            "guests: skipped, as XILA_NET, XILA_BENCH_PEER and XILA_GUESTS do not say where they are: run `just bench`"
        );
        return Ok(());
    };
    let (ours, peer) = (PathBuf::from(ours), PathBuf::from(peer));
    let app = |name: &str| Path::new(&guests).join(name).with_extension("wasm");
    let floor = Floor::new(&peer, app);
    let [network, std, peer] = [
        Pair { command: ours.clone(), words: &["run", "--fail-fast"], app: app("throughput") },
        Pair { command: ours, words: &["run", "--fail-fast"], app: app("std_throughput") },
        Pair { command: peer, words: &[], app: app("std_throughput") },
    ];
    [&network, &std, &peer].into_iter().try_for_each(Pair::check)?;
    floor.check()?;
    let mut rounds: [Rounds; THREADS.len()] = Default::default();
    for _ in 0..ROUNDS {
        for (threads, rounds) in THREADS.into_iter().zip(&mut rounds) {
            rounds.network.push(network.measure(threads)?);
            rounds.std.push(std.measure(threads)?);
            rounds.peer.push(peer.measure(threads)?);
            rounds.native.push(native(threads)?);
            rounds.floors.push(floor.measure(threads)?);
        }
    }
    for (threads, rounds) in THREADS.into_iter().zip(&rounds) {
        let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
        print(&threads, rounds);
        floor::print(&threads, rounds);
    }
    Ok(())
}

/// The figures of each round: of `xila:network`, `std::net` on our stack, `std::net` on wasmtime-wasi, native tasks,
/// and guests without a network.
#[derive(Default)]
struct Rounds {
    network: Vec<[f64; FIGURES]>,
    std: Vec<[f64; FIGURES]>,
    peer: Vec<[f64; FIGURES]>,
    native: Vec<[f64; FIGURES]>,
    floors: Vec<[f64; FLOORS]>,
}

fn print(threads: &str, rounds: &Rounds) {
    let Rounds { network, std, peer, native, floors: _ } = rounds;
    let headings =
        ["", "xila:network", "std::net", "on wasmtime-wasi", "xila:network to it", "std::net to it", "native, kernel"];
    let mut table = Table::new(&headings);
    for (index, measured) in MEASURED.iter().enumerate() {
        let column = |rounds: &[[f64; FIGURES]]| rounds.iter().map(|round| round[index]).collect::<Vec<_>>();
        let figure =
            |rounds| median(&column(rounds)).map_or_else(String::new, |it| format!("{it:.*}", measured.digits));
        let compared = |rounds, wanted| {
            // Ratios are computed for each round: a temporary load of the machine then affects both sides of a ratio.
            let ratios: Vec<f64> = column(rounds).iter().zip(column(peer)).map(|(ours, peer)| ours / peer).collect();
            median(&ratios).map_or_else(String::new, |ratio| verdict(ratio, wanted))
        };
        let [target_of_network, target_of_std] = measured.targets;
        table.row([
            measured.name.to_owned(),
            figure(network),
            figure(std),
            figure(peer),
            compared(network, target_of_network),
            compared(std, target_of_std),
            figure(native),
        ]);
    }
    table.print(&format!("App to app in one process, {threads} (medians; ratios with their targets)"));
}

/// A ratio, and whether it meets its target.
fn verdict(ratio: f64, target: Target) -> String {
    let (met, target) = match target {
        Any => return times(ratio),
        AtLeast(least) => (ratio >= least, format!("at least {least}x")),
        AtMost(divisor) => (ratio <= 1.0 / divisor, format!("at most 1/{divisor}")),
    };
    format!("{} ({}: {target})", times(ratio), if met { "met" } else { "missed" })
}

fn times(ratio: f64) -> String {
    if ratio < 1.0 { format!("1/{:.1}", 1.0 / ratio) } else { format!("{ratio:.1}x") }
}

/// The same figures between two native tasks.
fn native(threads: usize) -> Result<[f64; FIGURES]> {
    const BULK: Duration = Duration::from_millis(300);
    const ROUND_TRIPS: usize = 5_000;
    const CONNECTIONS: usize = 1_000;
    pair::runtime(threads)?.block_on(async {
        let bulk_64k = pair::bulk(Kernel, BULK, 64 * 1024).await?;
        let bulk_1k = pair::bulk(Kernel, BULK, 1024).await?;
        let tcp = pair::tcp_round_trips(Kernel, ROUND_TRIPS).await?;
        let udp = pair::udp_round_trips(Kernel, ROUND_TRIPS).await?;
        let connections = pair::connections(Kernel, CONNECTIONS).await?;
        Ok([
            gigabits(bulk_64k),
            gigabits(bulk_1k),
            microseconds(&tcp, 0.5),
            microseconds(&tcp, 0.99),
            microseconds(&udp, 0.5),
            microseconds(&udp, 0.99),
            connections,
        ])
    })
}
