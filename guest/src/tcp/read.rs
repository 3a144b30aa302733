//! The receiving half of a connection.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::{fmt, mem};

use wit_bindgen::{StreamReader, StreamResult};

use super::{Connection, Ending};
use crate::address::from_wit;
use crate::flight::Boxed;
use crate::{Error, Result};

/// The least that one read of the host's stream fetches. A read goes into memory that the operation owns, because the
/// operation may outlive the future that started it; so a small read by the caller still fetches this much at once.
const FEWEST: usize = 4 * 1024;
/// The most that one read of the host's stream fetches.
const MOST: usize = 256 * 1024;

/// The receiving half of a connection.
///
/// Dropping it tells the host to discard all data that arrives later.
pub struct ReadHalf {
    connection: Connection,
    state: State,
    /// `buffer[position..]` are the bytes that were fetched from the host and not returned to the caller yet. While a
    /// read is in flight, its operation owns the buffer that it fills.
    buffer: Vec<u8>,
    position: usize,
    ending: Ending,
}

enum State {
    /// No read is in flight.
    Idle(StreamReader<u8>),
    /// A read is in flight, whether a caller waits for it or not. It appends bytes to its buffer from index `from` on.
    Reading { operation: Boxed<(StreamReader<u8>, StreamResult, Vec<u8>)>, from: usize },
    /// The stream has ended.
    Ended,
}

impl ReadHalf {
    pub(super) fn new(connection: Connection) -> Self {
        let (stream, result) = connection.receive();
        Self { connection, state: State::Idle(stream), buffer: Vec::new(), position: 0, ending: Ending::new(result) }
    }

    /// Waits for bytes and copies those that have arrived into `buffer`; returns how many.
    ///
    /// 0 means that the peer has sent a FIN (or that `buffer` is empty). If the future is dropped, nothing is lost.
    /// After the connection has failed, each call returns the cause. [`Error::NetworkDown`] is no failure of the
    /// connection: when the interface is up again, reads continue.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buffer)).await
    }

    /// Fills `buffer`. [`Error::UnexpectedEnd`] if the peer's FIN comes before it is full.
    ///
    /// If the future is dropped, the bytes that have been copied so far are lost.
    pub async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]).await? {
                0 => return Err(Error::UnexpectedEnd),
                length => filled += length,
            }
        }
        Ok(())
    }

    /// Appends all bytes up to the peer's FIN to `buffer`; returns how many.
    pub async fn read_to_end(&mut self, buffer: &mut Vec<u8>) -> Result<usize> {
        let before = buffer.len();
        loop {
            let chunk = self.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(buffer.len() - before);
            }
            buffer.extend_from_slice(chunk);
            let length = chunk.len();
            self.consume(length);
        }
    }

    /// Waits for bytes and appends them to `buffer`, within its spare capacity; returns how many, and the buffer.
    ///
    /// This is the fastest way to read: the host writes directly into `buffer`, without a further copy. If the future
    /// is dropped, the buffer is lost, but no bytes: the next read returns them.
    pub async fn read_buf(&mut self, mut buffer: Vec<u8>) -> (Result<usize>, Vec<u8>) {
        let spare = buffer.capacity() - buffer.len();
        if spare == 0 {
            return (Ok(0), buffer);
        }
        // The caller's buffer can be used only if no read is in flight and no fetched bytes are left, so that bytes
        // keep their order.
        if self.position == self.buffer.len() && matches!(self.state, State::Idle(_)) {
            let from = buffer.len();
            let own = mem::take(&mut self.buffer);
            self.position = 0;
            self.start(buffer);
            let result = poll_fn(|cx| self.poll_fill(cx, FEWEST)).await;
            let filled = mem::replace(&mut self.buffer, own);
            self.buffer.clear();
            self.position = 0;
            return (result.map(|()| filled.len() - from), filled);
        }
        let result = self.fill_buf().await.map(|chunk| {
            let length = chunk.len().min(spare);
            buffer.extend_from_slice(&chunk[..length]);
            length
        });
        if let Ok(length) = result {
            self.consume(length);
        }
        (result, buffer)
    }

    /// Waits for bytes and returns a reference to them; an empty slice means that the peer has sent a FIN. The bytes
    /// stay until they are [consumed](Self::consume).
    pub async fn fill_buf(&mut self) -> Result<&[u8]> {
        poll_fn(|cx| self.poll_fill(cx, FEWEST)).await?;
        Ok(&self.buffer[self.position..])
    }

    /// Removes `length` bytes from the front of the slice that [`fill_buf`](Self::fill_buf) returns.
    pub fn consume(&mut self, length: usize) {
        self.position = (self.position + length).min(self.buffer.len());
    }

    /// [`read`](Self::read) for implementations of `poll` functions.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(self.poll_fill(cx, buffer.len()))?;
        let chunk = &self.buffer[self.position..];
        let length = chunk.len().min(buffer.len());
        buffer[..length].copy_from_slice(&chunk[..length]);
        self.consume(length);
        Poll::Ready(Ok(length))
    }

    /// [`fill_buf`](Self::fill_buf) for implementations of `poll` functions.
    pub fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8]>> {
        ready!(self.poll_fill(cx, FEWEST))?;
        Poll::Ready(Ok(&self.buffer[self.position..]))
    }

    /// This side's address and port.
    pub fn local_addr(&self) -> SocketAddr {
        from_wit(self.connection.local_address())
    }

    /// The peer's address and port.
    pub fn peer_addr(&self) -> SocketAddr {
        from_wit(self.connection.remote_address())
    }

    /// Waits until `buffer[position..]` is not empty, or the stream has ended without an error.
    fn poll_fill(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<Result<()>> {
        loop {
            if self.position < self.buffer.len() {
                return Poll::Ready(Ok(()));
            }
            match &mut self.state {
                State::Idle(_) => {
                    let mut buffer = mem::take(&mut self.buffer);
                    buffer.clear();
                    let wanted = wanted.clamp(FEWEST, MOST);
                    if buffer.capacity() < wanted {
                        buffer = Vec::with_capacity(wanted);
                    }
                    self.start(buffer);
                }
                State::Reading { operation, from } => {
                    let (stream, result, buffer) = ready!(operation.as_mut().poll(cx));
                    self.position = *from;
                    self.buffer = buffer;
                    self.state = match result {
                        StreamResult::Dropped => State::Ended,
                        StreamResult::Complete(_) | StreamResult::Cancelled => State::Idle(stream),
                    };
                }
                State::Ended => {
                    let result = ready!(self.ending.poll(cx));
                    if result == Err(Error::NetworkDown) {
                        // The connection continues when the interface is up again, and so does a new stream.
                        let (stream, result) = self.connection.receive();
                        self.state = State::Idle(stream);
                        self.ending = Ending::new(result);
                    }
                    return Poll::Ready(result);
                }
            }
        }
    }

    /// Starts a read into the spare capacity of `buffer`. Does nothing if a read is in flight or the stream has ended.
    fn start(&mut self, buffer: Vec<u8>) {
        self.state = match mem::replace(&mut self.state, State::Ended) {
            State::Idle(mut stream) => {
                let from = buffer.len();
                let operation = Box::pin(async move {
                    let mut buffer = buffer;
                    loop {
                        let result;
                        (result, buffer) = stream.read(buffer).await;
                        // No bytes, but not the end of the stream either: read again.
                        if result != StreamResult::Complete(0) {
                            return (stream, result, buffer);
                        }
                    }
                });
                State::Reading { operation, from }
            }
            other => other,
        };
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl fmt::Debug for ReadHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf").field("connection", &self.connection).finish_non_exhaustive()
    }
}
