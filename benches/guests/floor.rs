//! Compares round trips with their minimum: the time that wasmtime needs for two guests that take turns without a
//! network.

use std::path::{Path, PathBuf};

use xila_network_benches::apps::{Pair, Result, TCP_P50, UDP_P50};
use xila_network_benches::report::{Table, median};

use super::{Rounds, times};

/// How two guests may wake each other, in the order of [`Floor::measure`].
const CALLS: usize = 0;
const STREAMS: usize = 1;
const BLOCKING: usize = 2;
pub(super) const FLOORS: usize = 3;

/// The programs `floor` and `std_floor`.
pub(super) struct Floor {
    concurrent: Pair,
    blocking: Pair,
}

impl Floor {
    /// `app` returns the path of a program.
    pub(super) fn new(command: &Path, app: impl Fn(&str) -> PathBuf) -> Self {
        let pair = |name| Pair { command: command.to_owned(), words: &[], app: app(name) };
        Self { concurrent: pair("floor"), blocking: pair("std_floor") }
    }

    pub(super) fn check(&self) -> Result<()> {
        self.concurrent.check()?;
        self.blocking.check()
    }

    /// The p50 of a round trip in microseconds: by asynchronous functions, by streams, and by blocking functions.
    pub(super) fn measure(&self, threads: usize) -> Result<[f64; FLOORS]> {
        Ok([
            self.concurrent.turns(threads, "follow", "lead")?,
            self.concurrent.turns(threads, "pong", "ping")?,
            self.blocking.turns(threads, "follow", "lead")?,
        ])
    }
}

/// Prints both times in microseconds and their ratios: the median of each column.
pub(super) fn print(threads: &str, rounds: &Rounds) {
    let Rounds { network, std, peer, native: _, floors } = rounds;
    let rows = [
        ("xila:network, TCP; floor by streams", network, TCP_P50, STREAMS),
        ("xila:network, TCP; floor by asynchronous functions", network, TCP_P50, CALLS),
        ("xila:network, UDP; floor by asynchronous functions", network, UDP_P50, CALLS),
        ("std::net, TCP; floor by blocking functions", std, TCP_P50, BLOCKING),
        ("std::net, UDP; floor by blocking functions", std, UDP_P50, BLOCKING),
        ("on wasmtime-wasi, TCP; the same floor", peer, TCP_P50, BLOCKING),
        ("on wasmtime-wasi, UDP; the same floor", peer, UDP_P50, BLOCKING),
    ];
    let mut table = Table::new(&["", "round trip (us)", "of which floor (us)", "to the floor"]);
    for (name, measured, figure, floor) in rows {
        let column = |value: fn(f64, f64) -> f64| {
            let values: Vec<f64> =
                measured.iter().zip(floors).map(|(round, floors)| value(round[figure], floors[floor])).collect();
            median(&values)
        };
        let microseconds = |value| column(value).map_or_else(String::new, |it| format!("{it:.1}"));
        table.row([
            name.to_owned(),
            microseconds(|round_trip, _| round_trip),
            microseconds(|_, floor| floor),
            column(|round_trip, floor| round_trip / floor).map_or_else(String::new, times),
        ]);
    }
    table.print(&format!(
        "Round trips of 64 bytes beside guests with no network between them, {threads} (p50, medians)"
    ));
}
