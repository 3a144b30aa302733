//! An end of a link: a process of this same program in the end's namespace, and the lines that it prints.
//!
//! An end is a process and not a thread, so that each end has its own runtime and is scheduled separately, and an end
//! that hangs can be killed.

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

/// The first argument of a process that is an end.
pub const END: &str = "--end";

/// Whose TCP an end has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The TCP of the host crate.
    Ours,
    /// The TCP of the kernel.
    Kernel,
}

/// The size of each buffer of our sockets; `None` for the default.
pub type Buffer = Option<usize>;

/// The congestion control of both ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Congestion {
    /// CUBIC.
    #[default]
    Cubic,
    /// BBR, in whichever version the stack has.
    Bbr,
}

impl Congestion {
    /// The kernel's name of the algorithm.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
        }
    }
}

/// The settings of sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The buffers of our sockets.
    pub buffer: Buffer,
    /// The congestion control of all sockets.
    pub congestion: Congestion,
}

/// A process at an end of a link. It is killed when this is dropped.
#[derive(Debug)]
pub struct Endpoint {
    child: Child,
    lines: Receiver<String>,
}

impl Endpoint {
    /// Starts a process that performs a role at an end.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub fn start(world: &World, side: Side, kind: Kind, role: &Role, settings: Settings) -> io::Result<Self> {
        let kind_word = match kind {
            Kind::Ours => "ours",
            Kind::Kernel => "kernel",
        };
        let address = side.address(kind).to_string();
        let buffer = settings.buffer.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let mut command = Command::new(env::current_exe()?);
        command.args([END, kind_word, &address, &buffer, settings.congestion.name()]).args(role.to_words());
        // The child ends when its standard input is closed, so it never survives this process.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = world.namespace(side).run(|| command.spawn())?;
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(io::Result::ok);
            // If the receiver is gone, the lines no longer matter.
            let _ = lines.into_iter().try_for_each(|line| sender.send(line));
        });
        Ok(Self { child, lines })
    }

    /// The next line that the process prints.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if no line comes until the deadline; [`io::ErrorKind::UnexpectedEof`] if the process
    /// has ended.
    pub fn line(&self, deadline: Instant) -> io::Result<String> {
        self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).map_err(|error| match error {
            RecvTimeoutError::Timeout => io::ErrorKind::TimedOut.into(),
            RecvTimeoutError::Disconnected => io::ErrorKind::UnexpectedEof.into(),
        })
    }

    /// Waits until the process listens.
    ///
    /// # Errors
    /// If it prints something else, or nothing for ten seconds.
    pub fn await_listening(&self) -> io::Result<()> {
        let line = self.line(Instant::now() + Duration::from_secs(10))?;
        if line == LISTENING { Ok(()) } else { Err(io::Error::other(format!("an end says {line:?}"))) }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The line that an end prints when it accepts connections.
const LISTENING: &str = "listening";

/// The number of bytes that a sender writes, or a receiver reads, by one call.
const CHUNK: usize = 256 * 1024;

/// Runs this process as an end, with the arguments after [`END`].
///
/// # Errors
/// If the arguments are not those of [`Endpoint::start`], or the role fails.
pub fn run(words: &[String]) -> Result<()> {
    let [kind, address, buffer, congestion, role @ ..] = words else { return Err("an end takes more words".into()) };
    let (address, role) = (address.parse()?, Role::from_words(role)?);
    let buffer = if buffer == "-" { None } else { Some(buffer.parse()?) };
    let all = [Congestion::Cubic, Congestion::Bbr];
    let congestion = all.into_iter().find(|known| known.name() == congestion).ok_or("there is no such algorithm")?;
    thread::spawn(|| {
        // Nothing is ever written to standard input: this waits until it is closed.
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(1);
    });
    match kind.as_str() {
        "ours" => ours::run(address, Settings { buffer, congestion }, role),
        "kernel" => kernel::run(address, congestion, role),
        other => Err(format!("there are no ends of the kind {other:?}").into()),
    }
}

/// Prints a receiver's result: how many bytes were received in which time.
fn print_received(bytes: u64, time: Duration) {
    println!("{bytes} {}", time.as_secs_f64());
}

/// Treats a reset as the regular end of a source: when the sink's time is over, it closes the connection while data is
/// in flight, which resets the connection.
fn until_reset(sent: io::Result<()>) -> io::Result<()> {
    match sent {
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => Ok(()),
        result => result,
    }
}
