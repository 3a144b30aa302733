//! The standard streams that apps write to.

use std::io;

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, stderr, stdout};

/// A standard stream of this process for an app. A separate thread writes and may block, so a pipe that nobody reads
/// delays only the app that writes to it, not the network.
#[derive(Clone, Copy, Debug)]
pub(super) enum Output {
    Standard,
    Error,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        match self {
            Self::Standard => io::IsTerminal::is_terminal(&io::stdout()),
            Self::Error => io::IsTerminal::is_terminal(&io::stderr()),
        }
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        match self {
            Self::Standard => Box::new(stdout()),
            Self::Error => Box::new(stderr()),
        }
    }
}
