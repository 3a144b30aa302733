//! Compares the sockets of the host crate on `lo`, on one thread and on two, with the kernel's through tokio.
//!
//! Each figure is the median over several rounds, in which all measurements take turns.

use core::time::Duration;
use std::error::Error;
use std::io;

use xila_network_benches::CHUNK;
use xila_network_benches::pair::{self, Kernel, Ours, Sockets};
use xila_network_benches::report::{Table, gigabits, median, microseconds};
use xila_network_host::Manager;
use xila_network_host::platform::tokio::platform;

const ROUNDS: usize = 7;
const BULK: Duration = Duration::from_millis(300);
const ROUND_TRIPS: usize = 5_000;
const CONNECTIONS: usize = 1_000;

const MEASURED: [&str; 6] = [
    "bulk TCP, writes of 64 KiB (Gb/s)",
    "TCP round trip of 64 bytes, p50 (us)",
    "TCP round trip of 64 bytes, p99 (us)",
    "UDP round trip of 64 bytes, p50 (us)",
    "UDP round trip of 64 bytes, p99 (us)",
    "connections, one after another (1/s)",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut rounds: [Vec<[f64; 6]>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for (index, threads) in [1, 2].into_iter().enumerate() {
            let runtime = pair::runtime(threads)?;
            rounds[index].push(runtime.block_on(async {
                let manager = Manager::new(platform());
                measure(Ours(manager.network())).await
            })?);
            rounds[index + 2].push(runtime.block_on(measure(Kernel))?);
        }
    }
    let mut table = Table::new(&["", "ours, 1 thread", "2 threads", "kernel, 1 thread", "2 threads"]);
    for (index, name) in MEASURED.into_iter().enumerate() {
        let figures =
            rounds.iter().filter_map(|rounds| median(&rounds.iter().map(|round| round[index]).collect::<Vec<_>>()));
        let digits = if index == MEASURED.len() - 1 { 0 } else { 2 };
        table.row([name.into()].into_iter().chain(figures.map(|figure| format!("{figure:.digits$}"))));
    }
    table.print("Sockets of the host crate on the loopback interface");
    Ok(())
}

async fn measure(sockets: impl Sockets) -> io::Result<[f64; 6]> {
    let bulk = pair::bulk(sockets.clone(), BULK, CHUNK).await?;
    let tcp = pair::tcp_round_trips(sockets.clone(), ROUND_TRIPS).await?;
    let udp = pair::udp_round_trips(sockets.clone(), ROUND_TRIPS).await?;
    let connections = pair::connections(sockets, CONNECTIONS).await?;
    Ok([
        gigabits(bulk),
        microseconds(&tcp, 0.5),
        microseconds(&tcp, 0.99),
        microseconds(&udp, 0.5),
        microseconds(&udp, 0.99),
        connections,
    ])
}
