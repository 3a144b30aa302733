//! The signals that ask the program to end.

use std::io;

use futures_util::future::{self, Either};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT, which Ctrl-C sends, and SIGTERM. While this exists they do not end the process by themselves.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for a signal, and returns its exit status: 128 plus its number.
    pub(super) async fn received(&mut self) -> u8 {
        let interrupt = std::pin::pin!(self.interrupt.recv());
        let terminate = std::pin::pin!(self.terminate.recv());
        let kind = match future::select(interrupt, terminate).await {
            Either::Left(_) => SignalKind::interrupt(),
            Either::Right(_) => SignalKind::terminate(),
        };
        u8::try_from(128 + kind.as_raw_value()).unwrap_or(1)
    }
}
