//! The two streams of a connection, for `wasi:io/streams` 0.2.
//!
//! A permit to write is room in the socket's send queue. So a permitted write is queued completely in the call, and no
//! task is needed to write the rest later.

use std::future::poll_fn;
use std::net::Shutdown;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError, StreamResult};

use crate::error::{Error, ReadError, WriteError};
use crate::socket::TcpStream;
use crate::wasm::connections::Connection;

/// The maximum number of bytes that one read returns and one write is permitted. Each call makes a list of up to this
/// size.
const MOST: usize = 256 << 10;

/// The halves that a socket shares with its streams. A half is closed when both the socket and its stream are dropped,
/// as in wasmtime-wasi. Dropping only a stream closes nothing; `shutdown` does.
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
        // An error only means that the connection has failed. Then there is nothing to close, and writes return the
        // error.
        let _ = self.0.stream.shutdown(Shutdown::Read);
    }
}

struct Sending(Arc<Connection>);

impl Drop for Sending {
    /// Closes the sending half: a FIN follows the written data.
    fn drop(&mut self) {
        let _ = self.0.stream.shutdown(Shutdown::Write);
    }
}

/// The input stream of a connection.
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
            // A read of zero bytes succeeds on an open stream and fails on a closed one.
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
            // An error also makes it ready: the read returns the error.
            poll_fn(|cx| self.stream().poll_read_ready(cx).map(|_| ())).await;
        }
    }
}

/// The output stream of a connection.
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

    /// Converts the result of a write. Any error ends the stream; after a shutdown of the half, the stream is closed
    /// without an error.
    fn convert_result<T>(&mut self, result: Result<T, WriteError>) -> StreamResult<T> {
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
        self.permit = self.convert_result(promised)?;
        Ok(self.permit)
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.check_open()?;
        if bytes.len() > self.permit {
            return Err(StreamError::trap("more is written than was permitted"));
        }
        self.permit = 0;
        // Nobody else writes, so there is at least as much room as was permitted.
        let written = self.stream().try_write(&bytes);
        let written = self.convert_result(written)?;
        if written == bytes.len() { Ok(()) } else { Err(StreamError::trap("what was permitted is not taken whole")) }
    }

    /// Does nothing: written data is sent as soon as the peer's window allows.
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

/// Wraps the cause why a stream ended, so that `network-error-code` can return its code.
fn failed(error: impl Into<Error>) -> StreamError {
    StreamError::LastOperationFailed(error.into().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_a_stream_s_end_has_an_error_code() {
        for (failure, expected) in [
            (failed(ReadError::ConnectionReset), Error::ConnectionReset),
            (failed(WriteError::TimedOut), Error::TimedOut),
        ] {
            let StreamError::LastOperationFailed(error) = failure else { panic!("{failure:?}") };
            assert_eq!(error.downcast_ref::<Error>(), Some(&expected));
        }
    }
}
