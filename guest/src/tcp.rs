//! TCP: listeners and streams.

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

/// How one direction of a connection ends. Asked for once the stream has, and remembered.
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

/// The resource, held by both halves and by operations in flight.
type Connection = Arc<TcpConnection>;
