//! TCP: listeners, streams and their halves, and their options.
//!
//! A read or write of the component model's stream runs on memory that it owns, since it may outlive the future of its
//! caller. `read` and `write` hold the two halves of a connection, `stream` joins them, `attempts` divides the time of
//! a connect among the addresses of a name, and `traits` implements the traits of other crates.

mod attempts;
mod listener;
mod options;
mod read;
mod stream;
#[cfg(any(feature = "futures-io", feature = "embedded-io-async"))]
mod traits;
mod write;

pub use listener::{Incoming, TcpListener};
pub use options::{
    CongestionControl, ConnectOptions, KeepAlive, ListenOptions, RecoveryState, TcpOptions, TcpState, TcpStatistics,
};
pub use read::ReadHalf;
pub use stream::TcpStream;
pub use write::WriteHalf;

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use wit_bindgen::FutureReader;

use crate::bindings::tcp::TcpConnection;
use crate::bindings::types::ErrorCode;
use crate::flight::Boxed;
use crate::{Error, Result};

/// The result with which one direction of a connection ends. It is read from the host's future once, after the stream
/// has ended, and stored.
enum Ending {
    Asked(Boxed<Result<(), ErrorCode>>),
    Known(Result<()>),
}

impl Ending {
    fn new(result: FutureReader<Result<(), ErrorCode>>) -> Self {
        Self::Asked(Box::pin(result.into_future()))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Self::Asked(result) = self {
            *self = Self::Known(ready!(result.as_mut().poll(cx)).map_err(Error::from));
        }
        match self {
            Self::Known(result) => Poll::Ready(*result),
            Self::Asked(_) => Poll::Pending,
        }
    }
}

/// The connection resource, shared by both halves and by operations in flight.
type Connection = Arc<TcpConnection>;
