//! What runs at an end of a link: a process of this same program in the end's namespace, and what it says.
//!
//! A process and not a thread, so that each end has a runtime and a scheduling of its own, and what hangs can be
//! killed.

mod kernel;
mod ours;
mod role;

use core::time::Duration;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;
use std::{env, thread};

use super::world::{Side, World};
use crate::apps::Result;

pub use role::Role;

/// The first word of the command line of a process that is an end.
pub const END: &str = "--end";

/// Whose TCP an end has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The host crate's.
    Ours,
    /// The kernel's.
    Kernel,
}

/// The sizes of our sockets' buffers, both ways; `None` for what they have by themselves.
pub type Buffer = Option<usize>;

/// How both ends send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Congestion {
    /// By CUBIC.
    #[default]
    Cubic,
    /// By BBR, of whichever version it is.
    Bbr,
}

impl Congestion {
    /// The kernel's name of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
        }
    }
}

/// What sockets are set to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The buffers of ours.
    pub buffer: Buffer,
    /// How all send.
    pub congestion: Congestion,
}

/// A process at an end of a link. It is killed when this is dropped.
#[derive(Debug)]
pub struct Endpoint {
    child: Child,
    lines: Receiver<String>,
}

impl Endpoint {
    /// Starts a process for what is to be done at an end.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(world: &World, side: Side, kind: Kind, role: &Role, settings: Settings) -> io::Result<Self> {
        let kind_word = match kind {
            Kind::Ours => "ours",
            Kind::Kernel => "kernel",
        };
        let address = side.address(kind).to_string();
        let buffer = settings.buffer.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let mut command = Command::new(env::current_exe()?);
        command.args([END, kind_word, &address, &buffer, settings.congestion.name()]).args(role.to_words());
        // The child ends when its standard input does: it survives this process in no case.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = world.namespace(side).run(|| command.spawn())?;
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(io::Result::ok);
            // An end that nobody listens to any more says nothing that matters.
            let _ = lines.into_iter().try_for_each(|line| sender.send(line));
        });
        Ok(Self { child, lines })
    }

    /// The next line that it prints.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if none comes until the deadline; [`io::ErrorKind::UnexpectedEof`] if the process
    /// has ended.
    pub fn line(&self, deadline: Instant) -> io::Result<String> {
        self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).map_err(|error| match error {
            RecvTimeoutError::Timeout => io::ErrorKind::TimedOut.into(),
            RecvTimeoutError::Disconnected => io::ErrorKind::UnexpectedEof.into(),
        })
    }

    /// Waits until it listens.
    ///
    /// # Errors
    /// If it says something else, or nothing for ten seconds.
    pub fn await_listening(&self) -> io::Result<()> {
        let line = self.line(Instant::now() + Duration::from_secs(10))?;
        if line == LISTENING { Ok(()) } else { Err(io::Error::other(format!("an end says {line:?}"))) }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an end prints once it can be connected to.
const LISTENING: &str = "listening";

/// The size of what a sender writes and a receiver reads at once.
const CHUNK: usize = 256 * 1024;

/// Is an end, as the words after [`END`] say.
///
/// # Errors
/// If the words are not those of [`Endpoint::start`], or what is to be done fails.
pub fn run(words: &[String]) -> Result<()> {
    let [kind, address, buffer, congestion, role @ ..] = words else { return Err("an end takes more words".into()) };
    let (address, role) = (address.parse()?, Role::from_words(role)?);
    let buffer = if buffer == "-" { None } else { Some(buffer.parse()?) };
    let all = [Congestion::Cubic, Congestion::Bbr];
    let congestion = all.into_iter().find(|known| known.name() == congestion).ok_or("there is no such algorithm")?;
    thread::spawn(|| {
        // Nothing is ever written: this waits for the end.
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(1);
    });
    match kind.as_str() {
        "ours" => ours::run(address, Settings { buffer, congestion }, role),
        "kernel" => kernel::run(address, congestion, role),
        other => Err(format!("there are no ends of the kind {other:?}").into()),
    }
}

/// What a receiver prints: how much came in how long.
fn print_received(bytes: u64, time: Duration) {
    println!("{bytes} {}", time.as_secs_f64());
}

/// How a source ends: when the sink has enough, it closes the connection with data on its way, which is reset.
fn until_reset(sent: io::Result<()>) -> io::Result<()> {
    match sent {
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => Ok(()),
        result => result,
    }
}
