//! Measures what a guest notices of a neighbour that floods their interface: the times of its round trips beside a
//! flood, in proportion to the times without one, for our sockets on `lo` and for the kernel's.
//!
//! The flood comes from a thread of its own, and each guest has its share of the interface (`Network::for_guest`). Each
//! figure is the median over several rounds, in which all measurements take turns.
//!
//! A second table has the same for apps: four of them on two threads, two of which take turns and two of which flood, by
//! `xila:network` and `std::net` on our stack and by `std::net` on wasmtime-wasi's sockets. It contains the wait for a
//! thread. `just bench` builds the programs and sets the variables for it, as for the benchmark `guests`.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::env;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use xila_network_benches::CHUNK;
use xila_network_benches::apps::{Neighbours, Pair};
use xila_network_benches::pair::{self, Kernel, Ours, Sockets};
use xila_network_benches::report::{Table, median, microseconds};
use xila_network_host::Manager;
use xila_network_host::platform::tokio::platform;

const ROUNDS: usize = 7;
const ROUND_TRIPS: usize = 20_000;
/// How long a bulk transfer of the flood lasts before the next begins.
const TRANSFER: Duration = Duration::from_millis(100);

/// What the neighbour does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    None,
    /// Bulk transfers over eight connections.
    Transfers,
    /// Datagrams to a socket that nobody reads.
    Datagrams,
    /// Connections that are opened and closed.
    Connections,
}

const FLOODS: [(Flood, &str); 4] = [
    (Flood::None, "quiet"),
    (Flood::Transfers, "beside 8 bulk transfers"),
    (Flood::Datagrams, "beside a flood of datagrams"),
    (Flood::Connections, "beside connections, opened and closed"),
];

/// The quantiles of the round trips over TCP and over UDP, in microseconds: p50, p99 and p50, p99.
type Figures = [f64; 4];

fn main() -> Result<(), Box<dyn Error>> {
    let mut ours: [Vec<Figures>; FLOODS.len()] = Default::default();
    let mut kernel: [Vec<Figures>; FLOODS.len()] = Default::default();
    for _ in 0..ROUNDS {
        for (index, (flood, _)) in FLOODS.into_iter().enumerate() {
            let runtime = pair::runtime(1)?;
            ours[index].push(runtime.block_on(async {
                let manager = Manager::new(platform());
                let guest = || Ours(manager.network().for_guest());
                measure(guest(), guest(), flood).await
            })?);
            kernel[index].push(runtime.block_on(measure(Kernel, Kernel, flood))?);
        }
    }
    let headings = ["", "TCP p50 (us)", "p99", "to quiet", "UDP p50 (us)", "p99", "to quiet"];
    for (title, rounds) in [("Our sockets on lo, beside a neighbour", ours), ("The kernel's sockets", kernel)] {
        let figures = rounds.map(|rounds| [0, 1, 2, 3].map(|part| middle(&rounds, part)));
        let quiet = figures[0];
        let mut table = Table::new(&headings);
        for ((_, name), [tcp_p50, tcp_p99, udp_p50, udp_p99]) in FLOODS.into_iter().zip(figures) {
            table.row([
                name.to_owned(),
                format!("{tcp_p50:.2}"),
                format!("{tcp_p99:.2}"),
                format!("{:.2}", tcp_p99 / quiet[1]),
                format!("{udp_p50:.2}"),
                format!("{udp_p99:.2}"),
                format!("{:.2}", udp_p99 / quiet[3]),
            ]);
        }
        table.print(title);
    }
    apps()
}

/// Measures and prints the table of apps.
fn apps() -> Result<(), Box<dyn Error>> {
    const NEIGHBOURS: [(Neighbours, &str); 3] = [
        (Neighbours::Absent, "quiet"),
        (Neighbours::Transfer, "beside a bulk transfer"),
        (Neighbours::Connections, "beside connections, opened and closed"),
    ];
    const THREADS: usize = 2;
    let variables = ["XILA_NET", "XILA_BENCH_PEER", "XILA_GUESTS"].map(env::var_os);
    let [Some(ours), Some(peer), Some(guests)] = variables else {
        println!("apps: skipped, as XILA_NET, XILA_BENCH_PEER and XILA_GUESTS do not say where they are: `just bench`");
        return Ok(());
    };
    let (ours, peer) = (PathBuf::from(ours), PathBuf::from(peer));
    let app = |name: &str| Path::new(&guests).join(name).with_extension("wasm");
    let pairs = [
        ("xila:network", Pair { command: ours.clone(), words: &["run", "--fail-fast"], app: app("throughput") }),
        ("std::net", Pair { command: ours, words: &["run", "--fail-fast"], app: app("std_throughput") }),
        ("on wasmtime-wasi", Pair { command: peer, words: &[], app: app("std_throughput") }),
    ];
    let mut rounds: [[Vec<[f64; 2]>; NEIGHBOURS.len()]; 3] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, pair), rounds) in pairs.iter().zip(&mut rounds) {
            pair.check()?;
            for ((neighbours, _), rounds) in NEIGHBOURS.into_iter().zip(rounds) {
                rounds.push(pair.round_trips_beside(THREADS, neighbours)?);
            }
        }
    }
    for ((name, _), rounds) in pairs.iter().zip(rounds) {
        let figures = rounds.map(|rounds| [0, 1].map(|part| middle(&rounds, part)));
        let mut table = Table::new(&["", "TCP p99 (us)", "to quiet", "UDP p99 (us)", "to quiet"]);
        for ((_, neighbours), [tcp, udp]) in NEIGHBOURS.into_iter().zip(figures) {
            let [tcp_ratio, udp_ratio] = [tcp / figures[0][0], udp / figures[0][1]].map(|ratio| format!("{ratio:.2}"));
            table.row([neighbours.to_owned(), format!("{tcp:.1}"), tcp_ratio, format!("{udp:.1}"), udp_ratio]);
        }
        table.print(&format!("Four apps on {THREADS} threads, {name}"));
    }
    Ok(())
}

fn middle<const N: usize>(rounds: &[[f64; N]], part: usize) -> f64 {
    median(&rounds.iter().map(|round| round[part]).collect::<Vec<_>>()).unwrap_or(f64::NAN)
}

/// The round trips of `guest` while `neighbour` floods.
async fn measure<S: Sockets>(guest: S, neighbour: S, flood: Flood) -> io::Result<Figures> {
    let ends = Arc::new(AtomicBool::new(false));
    let flooding = (flood != Flood::None).then(|| {
        let ends = ends.clone();
        thread::spawn(move || pair::runtime(1)?.block_on(run(neighbour, flood, &ends)))
    });
    let tcp = pair::tcp_round_trips(guest.clone(), ROUND_TRIPS).await;
    let udp = pair::udp_round_trips(guest, ROUND_TRIPS).await;
    ends.store(true, Ordering::Relaxed);
    if let Some(flooding) = flooding {
        flooding.join().map_err(|_panic| io::Error::other("the flood has panicked"))??;
    }
    let (tcp, udp) = (tcp?, udp?);
    Ok([microseconds(&tcp, 0.5), microseconds(&tcp, 0.99), microseconds(&udp, 0.5), microseconds(&udp, 0.99)])
}

async fn run<S: Sockets>(neighbour: S, flood: Flood, ends: &AtomicBool) -> io::Result<()> {
    let (sending, sent_to) = (neighbour.bind().await?.0, neighbour.bind().await?);
    while !ends.load(Ordering::Relaxed) {
        match flood {
            Flood::None => return Ok(()),
            Flood::Transfers => {
                let transfers = [(); 8].map(|()| tokio::spawn(pair::bulk(neighbour.clone(), TRANSFER, CHUNK)));
                for transfer in transfers {
                    transfer.await.map_err(io::Error::other)??;
                }
            }
            Flood::Datagrams => {
                for _ in 0..1000 {
                    S::send_to(&sending, &[0x5a; 1000], sent_to.1).await?;
                }
            }
            Flood::Connections => {
                pair::connections(neighbour.clone(), 100).await?;
            }
        }
    }
    Ok(())
}
