//! The two streams of a connection, for `wasi:io/streams` 0.2.
//!
//! A permit to write is room in the socket's send queue, so that what was permitted is queued at once and whole, and no
//! task is needed to write it later.

use std::future::poll_fn;
use std::net::Shutdown;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError, StreamResult};

use crate::error::{Error, ReadError, WriteError};
use crate::socket::TcpStream;
use crate::wasm::connections::Connection;

/// The most that one read returns, and one write is permitted. A list of this size is made for each call.
const MOST: usize = 256 << 10;

/// What a socket shares with its streams: each half is closed when neither has it any more, as in wasmtime-wasi. Dropping
/// a stream alone is no order to close anything; `shutdown` is.
#[derive(Clone)]
pub(super) struct Ends {
    receiving: Arc<Receiving>,
    sending: Arc<Sending>,
}

impl Ends {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { receiving: Arc::new(Receiving(connection.clone())), sending: Arc::new(Sending(connection)) }
    }
}

struct Receiving(Arc<Connection>);

impl Drop for Receiving {
    fn drop(&mut self) {
        // Only a connection that has failed has nothing to close, and whoever writes learns of that.
        let _ = self.0.stream.shutdown(Shutdown::Read);
    }
}

struct Sending(Arc<Connection>);

impl Drop for Sending {
    /// FIN follows what was written.
    fn drop(&mut self) {
        let _ = self.0.stream.shutdown(Shutdown::Write);
    }
}

/// What has arrived.
pub(super) struct TcpInput {
    end: Arc<Receiving>,
    ended: bool,
}

impl TcpInput {
    pub(super) fn new(ends: &Ends) -> Self {
        Self { end: ends.receiving.clone(), ended: false }
    }

    fn stream(&self) -> &TcpStream {
        &self.end.0.stream
    }
}

impl InputStream for TcpInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.ended {
            return Err(StreamError::Closed);
        }
        let read = match size {
            // Nothing is what an open stream has always, and a closed one has not.
            0 => self.stream().try_peek(&mut [0]).map(|there| (there > 0).then(Bytes::new)),
            _ => self.stream().try_read_vec(size.min(MOST)).map(|read| (!read.is_empty()).then(|| read.into())),
        };
        match read {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => {
                self.ended = true;
                Err(StreamError::Closed)
            }
            Err(ReadError::WouldBlock) => Ok(Bytes::new()),
            Err(error) => {
                self.ended = true;
                Err(failed(error))
            }
        }
    }
}

#[wasmtime_wasi_io::async_trait]
impl Pollable for TcpInput {
    async fn ready(&mut self) {
        if !self.ended {
            // Why it cannot be read is for the read to say.
            poll_fn(|cx| self.stream().poll_read_ready(cx).map(|_| ())).await;
        }
    }
}

/// What is sent.
pub(super) struct TcpOutput {
    end: Arc<Sending>,
    permit: usize,
    ended: bool,
}

impl TcpOutput {
    pub(super) fn new(ends: &Ends) -> Self {
        Self { end: ends.sending.clone(), permit: 0, ended: false }
    }

    fn stream(&self) -> &TcpStream {
        &self.end.0.stream
    }

    /// Whatever a write fails with is how the stream ended. The half that was shut down is simply closed.
    fn settle<T>(&mut self, result: Result<T, WriteError>) -> StreamResult<T> {
        result.map_err(|error| {
            self.ended = true;
            if error == WriteError::BrokenPipe { StreamError::Closed } else { failed(error) }
        })
    }

    fn check_open(&self) -> StreamResult<()> {
        if self.ended { Err(StreamError::Closed) } else { Ok(()) }
    }
}

#[wasmtime_wasi_io::async_trait]
impl OutputStream for TcpOutput {
    fn check_write(&mut self) -> StreamResult<usize> {
        self.check_open()?;
        let promised = self.stream().promise(MOST);
        self.permit = self.settle(promised)?;
        Ok(self.permit)
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.check_open()?;
        if bytes.len() > self.permit {
            return Err(StreamError::trap("more is written than was permitted"));
        }
        self.permit = 0;
        // Nobody else writes, so there is at least the room that was permitted.
        let written = self.stream().try_write(&bytes);
        let written = self.settle(written)?;
        if written == bytes.len() { Ok(()) } else { Err(StreamError::trap("what was permitted is not taken whole")) }
    }

    /// What is written leaves as soon as the peer's window allows, whether asked to or not.
    fn flush(&mut self) -> StreamResult<()> {
        self.check_open()
    }
}

#[wasmtime_wasi_io::async_trait]
impl Pollable for TcpOutput {
    async fn ready(&mut self) {
        if !self.ended {
            poll_fn(|cx| self.stream().poll_write_ready(cx).map(|_| ())).await;
        }
    }
}

/// How a stream ended, as the error that `network-error-code` knows.
fn failed(error: impl Into<Error>) -> StreamError {
    StreamError::LastOperationFailed(error.into().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_stream_ended_is_an_error_that_has_a_code() {
        for (failure, expected) in [
            (failed(ReadError::ConnectionReset), Error::ConnectionReset),
            (failed(WriteError::TimedOut), Error::TimedOut),
        ] {
            let StreamError::LastOperationFailed(error) = failure else { panic!("{failure:?}") };
            assert_eq!(error.downcast_ref::<Error>(), Some(&expected));
        }
    }
}
