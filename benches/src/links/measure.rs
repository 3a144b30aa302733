//! One run of each kind of measurement, on a link of its own.

use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use super::endpoint::{Endpoint, Kind, Role, Settings};
use super::way::{Conditions, Counts};
use super::world::{Side, World};

/// The port of the first server; a second one uses the next port.
const PORT: u16 = 5000;

/// How long an end may take, after its time is over, to print its result.
const PATIENCE: Duration = Duration::from_secs(20);

/// The link of one run.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The conditions of the link.
    pub conditions: Conditions,
    /// The seed of losses and reordering.
    pub seed: u64,
    /// The file to capture the frames of the sender's end to.
    pub capture: Option<&'a Path>,
    /// The settings of the ends' sockets.
    pub settings: Settings,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Figures: bits per second of payload, or milliseconds.
    pub figures: Vec<f64>,
    /// Failures that occurred.
    pub failures: Vec<String>,
    /// The counts of the frames, beginning with those from the sender.
    pub counts: [Counts; 2],
}

impl Link<'_> {
    /// Measures one connection: the payload per second that the receiver gets, for the given time from the first byte
    /// on.
    ///
    /// # Errors
    /// If the link cannot be made; the same holds for the other measurements. Failures of an end are in
    /// [`Run::failures`].
    pub fn goodput(&self, sender: Kind, receiver: Kind, time: Duration) -> io::Result<Run> {
        self.flows(&[sender], receiver, time)
    }

    /// Measures two connections to the kernel at the same time: the payload per second of each.
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
        // The first connection has a larger share of the link for a while, so the order alternates.
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
            // A connection that stalls or fails gets a figure too.
            figures.push(sink.line(deadline).and_then(|line| rate(&line)).unwrap_or_else(|error| {
                failures.push(error.to_string());
                0.0
            }));
        }
        drop((sources, sinks));
        Ok(Run { figures, failures, counts: world.finish()? })
    }

    /// Measures fetches of `bytes` bytes each from a server by the kernel, `at_once` at the same time: the milliseconds
    /// of each. A fetch that is not done after `limit` counts as if it had ended then.
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

/// The bits per second in the line that a sink prints.
fn rate(line: &str) -> io::Result<f64> {
    let parsed = line.split_once(' ').and_then(|(bytes, seconds)| {
        let (bytes, seconds) = (bytes.parse::<u64>().ok()?, seconds.parse::<f64>().ok()?);
        Some(bytes as f64 * 8.0 / seconds)
    });
    parsed.ok_or_else(|| io::Error::other(format!("an end says {line:?}")))
}
