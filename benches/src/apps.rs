//! Runs pairs of apps with a command, and parses the figures that they print.

use core::time::Duration;
use std::error::Error;
use std::path::PathBuf;
use std::process::{Child, Command, Output};

use crate::report::gigabits;

/// The result type of the benchmarks.
pub type Result<T> = core::result::Result<T, Box<dyn Error>>;

const ADDRESS: &str = "127.0.0.1:9000";
const BULK: Duration = Duration::from_millis(700);
const CONNECTING: Duration = Duration::from_millis(500);
const ROUND_TRIPS: usize = 5_000;

/// How long the neighbours of a pair flood: longer than the round trips take.
const FLOODING: Duration = Duration::from_secs(2);
const NEIGHBOURS: &str = "127.0.0.1:9100";

/// What two more apps do while a pair measures round trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbours {
    /// There are none.
    Absent,
    /// A bulk transfer.
    Transfer,
    /// Connections that are opened and closed.
    Connections,
}

/// How many figures [`Pair::measure`] returns.
pub const FIGURES: usize = 7;
/// The index of the p50 of round trips over TCP.
pub const TCP_P50: usize = 2;
/// The index of the p50 of round trips over UDP.
pub const UDP_P50: usize = 4;

/// One program at both ends. One command runs both ends, each as an app with a store of its own.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The command that runs components.
    pub command: PathBuf,
    /// The words that come before `--threads N --app '...' --app '...'`.
    pub words: &'static [&'static str],
    /// The component.
    pub app: PathBuf,
}

impl Pair {
    /// # Errors
    /// If a file is missing.
    pub fn check(&self) -> Result<()> {
        let missing = |file: &&PathBuf| !file.exists();
        match [&self.command, &self.app].iter().copied().find(missing) {
            Some(file) => Err(format!("{} is not there: `just bench` builds it", file.display()).into()),
            None => Ok(()),
        }
    }

    /// Measures everything once, on the given number of threads: bulk TCP with writes of 64 KiB and of 1 KiB (Gb/s), a
    /// round trip of 64 bytes over TCP (p50 and p99, in microseconds), the same over UDP, connections per second.
    ///
    /// # Errors
    /// If an app fails, or does not print what it should.
    pub fn measure(&self, threads: usize) -> Result<[f64; FIGURES]> {
        let bulk = |chunk: usize| {
            let source = format!("source {ADDRESS} --seconds {} --chunk {chunk} --wait 5", BULK.as_secs_f64());
            received(&self.run(threads, &[&format!("sink {ADDRESS}"), &source])?)
        };
        let (bulk_64k, bulk_1k) = (bulk(64 * 1024)?, bulk(1024)?);
        let round_trips = |server: &str, client: &str| {
            let client = format!("{client} {ADDRESS} {ROUND_TRIPS} --wait 5");
            self.run(threads, &[&format!("{server} {ADDRESS}"), &client])
        };
        let (tcp, udp) = (round_trips("pong", "ping")?, round_trips("udp-pong", "udp-ping")?);
        let connect = format!("connect {ADDRESS} --seconds {} --wait 5", CONNECTING.as_secs_f64());
        let connections = self.run(threads, &[&format!("accept {ADDRESS}"), &connect])?;
        Ok([
            bulk_64k,
            bulk_1k,
            after(&tcp, "p50 ")?,
            after(&tcp, "p99 ")?,
            after(&udp, "p50 ")?,
            after(&udp, "p99 ")?,
            after(&connections, " s: ")?,
        ])
    }

    /// The p50 in microseconds of the same number of round trips of a program that takes turns without a network, in
    /// the given modes. The app in the second mode measures.
    ///
    /// # Errors
    /// As [`Self::measure`].
    pub fn turns(&self, threads: usize, follow: &str, lead: &str) -> Result<f64> {
        after(&self.run(threads, &[follow, &format!("{lead} {ROUND_TRIPS}")])?, "p50 ")
    }

    /// The p99 in microseconds of round trips of 64 bytes over TCP, and over UDP, while two more apps of the same
    /// program do what `neighbours` says.
    ///
    /// # Errors
    /// As [`Self::measure`].
    pub fn round_trips_beside(&self, threads: usize, neighbours: Neighbours) -> Result<[f64; 2]> {
        let (server, client) = match neighbours {
            Neighbours::Absent => ("", ""),
            Neighbours::Transfer => ("sink", "source"),
            Neighbours::Connections => ("accept", "connect"),
        };
        let server = format!("{server} {NEIGHBOURS}");
        let client = format!("{client} {NEIGHBOURS} --seconds {} --wait 5", FLOODING.as_secs_f64());
        let p99 = |pong: &str, ping: &str| {
            let pong = format!("{pong} {ADDRESS}");
            let ping = format!("{ping} {ADDRESS} {ROUND_TRIPS} --wait 5");
            let apps = [pong.as_str(), &ping, &server, &client];
            let apps = if neighbours == Neighbours::Absent { &apps[..2] } else { &apps[..] };
            after(&self.run(threads, apps)?, "p99 ")
        };
        Ok([p99("pong", "ping")?, p99("udp-pong", "udp-ping")?])
    }

    /// Runs apps with the given arguments to their end; returns what they printed.
    fn run(&self, threads: usize, apps: &[&str]) -> Result<String> {
        let app = |arguments: &&str| ["--app".to_owned(), format!("'{}' {arguments}", self.app.display())];
        let output = Command::new(&self.command)
            .args(self.words)
            .args(["--threads", &threads.to_string()])
            .args(apps.iter().flat_map(app))
            .output()?;
        printed(output).map_err(|problem| format!("{} ({}): {problem}", self.command.display(), apps.join(", ")).into())
    }
}

/// The rate in `received N bytes in S s: ...`, in Gb/s.
pub(crate) fn received(printed: &str) -> Result<f64> {
    let line = printed.lines().find(|line| line.contains("received ")).ok_or("the sink has printed nothing")?;
    Ok(gigabits(after(line, "received ")? / after(line, " bytes in ")?))
}

/// The number that follows a phrase.
pub(crate) fn after(printed: &str, phrase: &str) -> Result<f64> {
    let (_, rest) = printed.split_once(phrase).ok_or_else(|| format!("no `{phrase}` in: {printed}"))?;
    let number: String = rest.chars().take_while(|char| char.is_ascii_digit() || *char == '.').collect();
    Ok(number.parse()?)
}

/// Waits for a program; returns its output.
pub(crate) fn end(child: Child) -> Result<String> {
    printed(child.wait_with_output()?)
}

/// The output of a program that has succeeded.
fn printed(output: Output) -> Result<String> {
    let Output { status, stdout, stderr } = output;
    let printed = String::from_utf8(stdout)?;
    if status.success() {
        return Ok(printed);
    }
    Err(format!("{status}: {printed}{}", String::from_utf8_lossy(&stderr)).into())
}

/// A process that is ended when this is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing else can be done about a process that cannot be ended.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}
