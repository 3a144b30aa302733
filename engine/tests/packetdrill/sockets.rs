//! File descriptors, and system calls that may have to wait.

use std::net::SocketAddr;

use super::kernel::{Connection, Errno, Kernel, Listener};
use super::script::{Call, Micros, When};
use super::settings::Settings;
use super::state::State;
use super::symbols;

/// What a file descriptor stands for.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    pub(crate) role: Role,
    pub(crate) settings: Settings,
    pub(crate) non_blocking: bool,
    /// Which connection it is on the wire.
    pub(crate) flow: Option<usize>,
    /// Octets of the peer's stream that were read.
    pub(crate) read: u32,
}

/// What a socket is used for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Fresh,
    Bound(SocketAddr),
    Listening(Listener, SocketAddr),
    /// Asked to connect; whether it is told to the caller is another matter.
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

    /// Its state, as TCP has it.
    pub(crate) fn state(&self, kernel: &mut Kernel) -> State {
        match self.role {
            Role::Fresh | Role::Bound(_) => State::Closed,
            Role::Listening(..) => State::Listen,
            Role::Connecting(connection) | Role::Connected(connection) => kernel.facts(connection).state,
        }
    }
}

/// How far a system call came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attempt {
    Done(i64),
    Failed(Errno),
    /// It has to wait.
    Blocks,
    /// It is done, but an answer is not what the script says.
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

/// A system call that waits.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) line: usize,
    pub(crate) call: Call,
    /// When it has to end; `None` where the script waits for it, however long.
    pub(crate) end: Option<Micros>,
    /// Octets that it has written so far.
    pub(crate) progress: usize,
    pub(crate) started: Micros,
}

impl Pending {
    /// `before` is when the event before this one was over, which relative times count from.
    pub(crate) fn new(line: usize, call: &Call, time: When, before: Micros, now: Micros) -> Self {
        let offset = if matches!(time, When::Relative(_)) { before } else { 0 };
        Self { line, call: call.clone(), end: call.end.map(|end| end + offset), progress: 0, started: now }
    }

    /// When it ends by itself: poll has a time.
    pub(crate) fn timeout(&self) -> Option<Micros> {
        let timeout = self.call.arguments.get(2).filter(|_| self.call.name == "poll").and_then(symbols::number)?;
        (timeout >= 0).then(|| self.started + timeout * 1000)
    }
}
