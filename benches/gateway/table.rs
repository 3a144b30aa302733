//! Runs the measurements and prints their table.

use xila_network_benches::apps::Result;
use xila_network_benches::gateways::{FIGURES, Way};
use xila_network_benches::report::Comparison;
use xila_network_benches::taps::Programs;

const ROUNDS: usize = 5;

/// The names of the figures, in the order of [`Way::measure`], and the number of their decimals.
const MEASURED: [(&str, usize); FIGURES] = [
    ("bulk TCP, sending (Gb/s)", 2),
    ("bulk TCP, receiving (Gb/s)", 2),
    ("TCP round trip of 64 bytes, p50 (us)", 1),
    ("UDP round trip of 64 bytes, p50 (us)", 1),
    ("connections, one after another (1/s)", 0),
];

pub(super) fn print() -> Result<()> {
    let Some(programs) = Programs::from_environment("gateway", env!("CARGO_BIN_EXE_native_throughput"))? else {
        return Ok(());
    };
    let mut ways = vec![("ours", Vec::new(), Way::Ours)];
    for (way, name) in [(Way::Pasta, "pasta"), (Way::Slirp4netns, "slirp4netns"), (Way::Direct, "no gateway")] {
        if way.is_here() {
            ways.push((name, Vec::new(), way));
        } else {
            println!("gateway: without {name}, which is not installed");
        }
    }
    for _ in 0..ROUNDS {
        for (_, rounds, way) in &mut ways {
            rounds.push(way.measure(&programs)?);
        }
    }
    let ways = ways.into_iter().map(|(name, rounds, _)| (name, rounds)).collect();
    Comparison { figures: MEASURED, ways }
        .print("A std::net program and a server of the host's network (medians; our figure to each of the others)");
    Ok(())
}
