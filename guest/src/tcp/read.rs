//! The half of a connection that receives.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::{fmt, mem};

use wit_bindgen::{StreamReader, StreamResult};

use super::{Connection, Ending};
use crate::address::from_wit;
use crate::flight::Boxed;
use crate::{Error, Result};

/// A read of the component model's stream goes into memory that the operation owns, as the operation may outlive
/// whoever started it. A small one still fetches this much at once; a large one no more than the other.
const FEWEST: usize = 4 * 1024;
const MOST: usize = 256 * 1024;

/// The half of a connection that receives.
///
/// Dropping it tells the host to discard whatever else arrives.
pub struct ReadHalf {
    connection: Connection,
    state: State,
    /// What has arrived and was not handed out yet is `buffer[position..]`. While a read is in flight, the buffer that
    /// it fills is the one within it.
    buffer: Vec<u8>,
    position: usize,
    ending: Ending,
}

enum State {
    /// Left by [`Reading`](Self::Reading) when the operation is done.
    Idle(StreamReader<u8>),
    /// A read is in flight, whether somebody waits for it or not; what it brings begins at `from` of its buffer.
    Reading { operation: Boxed<(StreamReader<u8>, StreamResult, Vec<u8>)>, from: usize },
    /// The stream has ended.
    Ended,
}

impl ReadHalf {
    pub(super) fn new(connection: Connection) -> Self {
        let (stream, result) = connection.receive();
        Self { connection, state: State::Idle(stream), buffer: Vec::new(), position: 0, ending: Ending::new(result) }
    }

    /// Waits for bytes and copies what is there into `buffer`; returns how many.
    ///
    /// 0 means that the peer has sent FIN (or that `buffer` is empty). Dropping the future loses nothing. A connection
    /// that failed says why, each time it is asked.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buffer)).await
    }

    /// Fills `buffer`. [`Error::UnexpectedEnd`] if the peer's FIN comes before it is full.
    ///
    /// Dropping the future loses what has been copied so far.
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

    /// Appends everything up to the peer's FIN to `buffer`; returns how many bytes those were.
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
    /// This is the fast way: the host writes straight into `buffer`, and nothing is copied here. Dropping the future
    /// loses the buffer, but no bytes: the next read gets them.
    pub async fn read_buf(&mut self, mut buffer: Vec<u8>) -> (Result<usize>, Vec<u8>) {
        let spare = buffer.capacity() - buffer.len();
        if spare == 0 {
            return (Ok(0), buffer);
        }
        // Only an idle stream with nothing left over can take the caller's buffer: bytes keep their order.
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

    /// Waits for bytes and lends them; empty means that the peer has sent FIN. They stay until they are
    /// [consumed](Self::consume).
    pub async fn fill_buf(&mut self) -> Result<&[u8]> {
        poll_fn(|cx| self.poll_fill(cx, FEWEST)).await?;
        Ok(&self.buffer[self.position..])
    }

    /// Takes `length` bytes away from the front of what [`fill_buf`](Self::fill_buf) lends.
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

    /// Makes sure that `buffer[position..]` holds something, unless the stream has ended well.
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
                State::Ended => return self.ending.poll(cx),
            }
        }
    }

    /// Starts a read into the spare capacity of `buffer`. Does nothing unless the stream is idle.
    fn start(&mut self, buffer: Vec<u8>) {
        self.state = match mem::replace(&mut self.state, State::Ended) {
            State::Idle(mut stream) => {
                let from = buffer.len();
                let operation = Box::pin(async move {
                    let mut buffer = buffer;
                    loop {
                        let result;
                        (result, buffer) = stream.read(buffer).await;
                        // Nothing, and yet not the end: ask again.
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
