//! File descriptors, and system calls that may block.

use std::net::SocketAddr;

use super::kernel::{Connection, Errno, Kernel, Listener};
use super::script::{Call, Micros, When};
use super::settings::Settings;
use super::state::State;
use super::symbols;

/// The socket behind a file descriptor.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    pub(crate) role: Role,
    pub(crate) settings: Settings,
    pub(crate) non_blocking: bool,
    /// The flow on the wire that it belongs to.
    pub(crate) flow: Option<usize>,
    /// How many octets of the peer's stream were read.
    pub(crate) read: u32,
}

/// The use of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Fresh,
    Bound(SocketAddr),
    Listening(Listener, SocketAddr),
    /// Connecting. Whether the caller was told the result is tracked elsewhere.
    Connecting(Connection),
    Connected(Connection),
}

impl Socket {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { role: Role::Fresh, settings, non_blocking: false, flow: None, read: 0 }
    }

    pub(crate) const fn connection(&self) -> Option<Connection> {
        match self.role {
            Role::Connecting(connection) | Role::Connected(connection) => Some(connection),
            Role::Fresh | Role::Bound(_) | Role::Listening(..) => None,
        }
    }

    /// Its TCP state.
    pub(crate) fn state(&self, kernel: &mut Kernel) -> State {
        match self.role {
            Role::Fresh | Role::Bound(_) => State::Closed,
            Role::Listening(..) => State::Listen,
            Role::Connecting(connection) | Role::Connected(connection) => kernel.facts(connection).state,
        }
    }
}

/// The result of trying a system call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attempt {
    Done(i64),
    Failed(Errno),
    /// It blocks.
    Blocks,
    /// It has finished, but a result differs from the script.
    Wrong(String),
    Unsupported(String),
}

impl From<Result<usize, Errno>> for Attempt {
    fn from(result: Result<usize, Errno>) -> Self {
        match result {
            Ok(length) => Self::Done(i64::try_from(length).expect("a length")),
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<Result<(), Errno>> for Attempt {
    fn from(result: Result<(), Errno>) -> Self {
        Self::from(result.map(|()| 0_usize))
    }
}

/// A system call that blocks.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) line: usize,
    pub(crate) call: Call,
    /// When it must end; `None` if the script waits for it without a limit.
    pub(crate) end: Option<Micros>,
    /// How many octets it has written so far.
    pub(crate) progress: usize,
    pub(crate) started: Micros,
}

impl Pending {
    /// `before` is when the previous event ended, which relative times count from.
    pub(crate) fn new(line: usize, call: &Call, time: When, before: Micros, now: Micros) -> Self {
        let offset = if matches!(time, When::Relative(_)) { before } else { 0 };
        Self { line, call: call.clone(), end: call.end.map(|end| end + offset), progress: 0, started: now }
    }

    /// When it ends by itself: the timeout of `poll`.
    pub(crate) fn timeout(&self) -> Option<Micros> {
        let timeout = self.call.arguments.get(2).filter(|_| self.call.name == "poll").and_then(symbols::number)?;
        (timeout >= 0).then(|| self.started + timeout * 1000)
    }
}
