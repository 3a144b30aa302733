//! One run of each kind of measurement, on a link of its own.

use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use super::endpoint::{Endpoint, Kind, Role, Settings};
use super::way::{Conditions, Counts};
use super::world::{Side, World};

/// The port that is listened on, and the one beside it.
const PORT: u16 = 5000;

/// How long after its time an end may still say what it has found.
const PATIENCE: Duration = Duration::from_secs(20);

/// The link of one run.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// What it does to frames.
    pub conditions: Conditions,
    /// What the loss and the reordering come from.
    pub seed: u64,
    /// Where what passes the sender's end is written to.
    pub capture: Option<&'a Path>,
    /// What the ends' sockets are set to.
    pub settings: Settings,
}

/// What a run has found.
#[derive(Clone, Debug)]
pub struct Run {
    /// Figures: bits per second of payload, or milliseconds.
    pub figures: Vec<f64>,
    /// What did not go as it should.
    pub failures: Vec<String>,
    /// What became of the frames, the sender's first.
    pub counts: [Counts; 2],
}

impl Link<'_> {
    /// One connection: the sender's payload per second at the receiver, for so long from the first byte on.
    ///
    /// # Errors
    /// If the link cannot be made; so for all. What an end does wrong is among [`Run::failures`].
    pub fn goodput(&self, sender: Kind, receiver: Kind, time: Duration) -> io::Result<Run> {
        self.flows(&[sender], receiver, time)
    }

    /// Two connections to the kernel at the same time: the payload per second of each.
    ///
    /// # Errors
    /// See [`goodput`](Self::goodput).
    pub fn share(&self, senders: [Kind; 2], time: Duration) -> io::Result<Run> {
        self.flows(&senders, Kind::Kernel, time)
    }

    fn flows(&self, senders: &[Kind], receiver: Kind, time: Duration) -> io::Result<Run> {
        let world = World::new(self.conditions, self.seed, self.capture)?;
        let address = Side::Receiver.address(receiver);
        let sinks = (PORT..).zip(senders).map(|(port, _)| {
            let sink = Endpoint::start(&world, Side::Receiver, receiver, &Role::Sink { port, time }, self.settings)?;
            sink.await_listening()?;
            Ok((port, sink))
        });
        let sinks = sinks.collect::<io::Result<Vec<_>>>()?;
        // Who is first has more of the link for a while, so it is each one's turn.
        let mut order: Vec<usize> = (0..senders.len()).collect();
        order.rotate_left(self.seed as usize % senders.len());
        let sources = order.into_iter().map(|index| {
            let to = SocketAddr::new(address, sinks[index].0);
            Endpoint::start(&world, Side::Sender, senders[index], &Role::Source { to }, self.settings)
        });
        let sources = sources.collect::<io::Result<Vec<_>>>()?;
        let (mut figures, mut failures) = (Vec::new(), Vec::new());
        let deadline = Instant::now() + time + PATIENCE;
        for (_, sink) in &sinks {
            // A connection that stands still or breaks has a figure too.
            figures.push(sink.line(deadline).and_then(|line| rate(&line)).unwrap_or_else(|error| {
                failures.push(error.to_string());
                0.0
            }));
        }
        drop((sources, sinks));
        Ok(Run { figures, failures, counts: world.finish()? })
    }

    /// Fetches of so many bytes each from a server, `at_once` at the same time, by the kernel: the milliseconds that
    /// each took. What is not done after `limit` counts as if it had ended then.
    ///
    /// # Errors
    /// See [`goodput`](Self::goodput).
    pub fn fetch(&self, server: Kind, bytes: u64, count: usize, at_once: usize, limit: Duration) -> io::Result<Run> {
        let world = World::new(self.conditions, self.seed, self.capture)?;
        let serving = Endpoint::start(&world, Side::Sender, server, &Role::Serve { port: PORT }, self.settings)?;
        serving.await_listening()?;
        let from = SocketAddr::new(Side::Sender.address(server), PORT);
        let role = Role::Fetch { from, bytes, count, at_once, limit };
        let fetching = Endpoint::start(&world, Side::Receiver, Kind::Kernel, &role, Settings::default())?;
        let (mut figures, mut failures) = (Vec::new(), Vec::new());
        let deadline = Instant::now() + limit + PATIENCE;
        let mut unfinished = 0;
        loop {
            let line = match fetching.line(deadline) {
                Ok(line) => line,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => {
                    failures.push(error.to_string());
                    break;
                }
            };
            let time = line.strip_prefix("unfinished ");
            unfinished += usize::from(time.is_some());
            match time.unwrap_or(&line).parse() {
                Ok(time) => figures.push(time),
                Err(_) => failures.push(line),
            }
        }
        if figures.len() < count {
            failures.push(format!("{} of {count} fetches were begun", figures.len() + failures.len()));
        }
        if unfinished > 0 {
            failures.push(format!("{unfinished} fetches were cut off at the limit"));
        }
        drop((fetching, serving));
        Ok(Run { figures, failures, counts: world.finish()? })
    }
}

/// Bits per second, of what a sink prints.
fn rate(line: &str) -> io::Result<f64> {
    let parsed = line.split_once(' ').and_then(|(bytes, seconds)| {
        let (bytes, seconds) = (bytes.parse::<u64>().ok()?, seconds.parse::<f64>().ok()?);
        Some(bytes as f64 * 8.0 / seconds)
    });
    parsed.ok_or_else(|| io::Error::other(format!("an end says {line:?}")))
}
