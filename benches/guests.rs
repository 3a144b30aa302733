//! Two guest components that talk to one another through `xila:network` on one manager's `lo`, in one process.
//!
//! It runs `xila-net` (from the variable `XILA_NET`) with the example app `throughput` (from the folder `XILA_GUESTS`) at
//! both ends, each in a store of its own, and reads what they print. `just bench` builds both and says where they are.
//! Beside it, in the same run, what the kernel's loopback does between two native tokio tasks.

use core::time::Duration;
use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use xila_network_benches::pair::{self, Kernel};
use xila_network_benches::report::{Table, gigabits, median, microseconds};

type Result<T> = core::result::Result<T, Box<dyn Error>>;

const ROUNDS: usize = 5;
const BULK: Duration = Duration::from_millis(1_000);
const ROUND_TRIPS: usize = 10_000;

/// Gb/s of bulk TCP; p50 and p99 of a round trip, in microseconds.
type Figures = [f64; 3];

fn main() -> Result<()> {
    let (Some(command), Some(guests)) = (env::var_os("XILA_NET"), env::var_os("XILA_GUESTS")) else {
        println!("guests: skipped, as XILA_NET and XILA_GUESTS do not say where they are: run `just bench`");
        return Ok(());
    };
    let guests = Guests { command: command.into(), app: Path::new(&guests).join("throughput.wasm") };
    guests.check()?;
    let mut rounds: [Vec<Figures>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for (index, threads) in [1, 2].into_iter().enumerate() {
            rounds[index].push(guests.measure(threads)?);
            rounds[index + 2].push(kernel(threads)?);
        }
    }
    let mut table = Table::new(&["", "bulk TCP Gb/s", "64 bytes p50 us", "p99 us"]);
    let names =
        ["guests, 1 thread", "guests, 2 threads", "native on the kernel, 1 thread", "native on the kernel, 2 threads"];
    for (name, rounds) in names.into_iter().zip(&rounds) {
        let figure = |index: usize| median(&rounds.iter().map(|round| round[index]).collect::<Vec<_>>());
        let figures = (0..3).filter_map(figure).map(|figure| format!("{figure:.1}"));
        table.row([name.into()].into_iter().chain(figures));
    }
    table.print("Guest to guest through xila:network, one process (medians)");
    Ok(())
}

struct Guests {
    command: PathBuf,
    app: PathBuf,
}

impl Guests {
    fn check(&self) -> Result<()> {
        for file in [&self.command, &self.app] {
            if !file.exists() {
                return Err(format!("{} is not there: `just bench` builds it", file.display()).into());
            }
        }
        Ok(())
    }

    fn measure(&self, threads: usize) -> Result<Figures> {
        let seconds = BULK.as_secs_f64();
        let bulk =
            self.run(threads, "sink 127.0.0.1:9000", &format!("source 127.0.0.1:9000 --seconds {seconds} --wait 5"))?;
        let ping = self.run(threads, "pong 127.0.0.1:9000", &format!("ping 127.0.0.1:9000 {ROUND_TRIPS} --wait 5"))?;
        Ok([received(&bulk)?, after(&ping, "p50 ")?, after(&ping, "p99 ")?])
    }

    /// Runs two apps to their end; what they printed.
    fn run(&self, threads: usize, server: &str, client: &str) -> Result<String> {
        let app = |arguments: &str| format!("'{}' {arguments}", self.app.display());
        let output = Command::new(&self.command)
            .args(["run", "--threads", &threads.to_string()])
            .args(["--app", &app(server), "--app", &app(client)])
            .output()?;
        let printed = String::from_utf8(output.stdout)?;
        if output.status.success() {
            return Ok(printed);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(format!("{} ({client}): {}\n{printed}{complaint}", self.command.display(), output.status).into())
    }
}

/// The rate in `received N bytes in S s: ...`, in Gb/s.
fn received(printed: &str) -> Result<f64> {
    let line = printed.lines().find(|line| line.contains("received ")).ok_or("the sink has printed nothing")?;
    Ok(gigabits(after(line, "received ")? / after(line, " bytes in ")?))
}

/// The number that follows a phrase.
fn after(printed: &str, phrase: &str) -> Result<f64> {
    let (_, rest) = printed.split_once(phrase).ok_or_else(|| format!("no `{phrase}` in: {printed}"))?;
    let number: String = rest.chars().take_while(|char| char.is_ascii_digit() || *char == '.').collect();
    Ok(number.parse()?)
}

fn kernel(threads: usize) -> Result<Figures> {
    pair::runtime(threads)?.block_on(async {
        let bulk = pair::bulk(Kernel, BULK).await?;
        let times = pair::tcp_round_trips(Kernel, ROUND_TRIPS).await?;
        Ok([gigabits(bulk), microseconds(&times, 0.5), microseconds(&times, 0.99)])
    })
}
