//! The sending half of a connection.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::{fmt, mem};

use wit_bindgen::{StreamResult, StreamWriter};

use super::{Connection, Ending};
use crate::address::from_wit;
use crate::bindings::wit_stream;
use crate::flight::Boxed;
use crate::{Error, Result};

/// The most bytes that one write copies from the caller's memory.
const MOST: usize = 64 * 1024;

/// The sending half of a connection.
///
/// Dropping it sends a FIN after the written bytes.
pub struct WriteHalf {
    connection: Connection,
    state: State,
    /// Tells the operation in flight to cancel itself when it is polled next.
    cancel: Arc<AtomicBool>,
    /// A buffer that the next write reuses for its copy.
    spare: Vec<u8>,
    /// Bytes of a cancelled write that the host took nevertheless: see [`write`](Self::write).
    taken: Vec<u8>,
    /// How many bytes a write has written that ended in [`poll_flush`](Self::poll_flush): the result of the `poll_write`
    /// that is repeated after it.
    flushed: usize,
    ending: Ending,
}

enum State {
    /// No write is in flight.
    Idle(StreamWriter<u8>),
    /// A write is in flight. It was started by a `poll` call that the caller will repeat, or by a future that still
    /// waits.
    Writing(Boxed<Written>),
    /// The host has dropped its end: the connection failed.
    Broken,
    /// This half was shut down.
    ShutDown,
}

/// The result of a write.
struct Written {
    stream: StreamWriter<u8>,
    result: StreamResult,
    /// How many bytes the host took.
    length: usize,
    /// The bytes that the host did not take, in the buffer that was given to the write.
    rest: Vec<u8>,
}

impl WriteHalf {
    pub(super) fn new(connection: Connection) -> Self {
        let (writer, ending) = start_sending(&connection);
        Self {
            connection,
            state: State::Idle(writer),
            cancel: Arc::default(),
            spare: Vec::new(),
            taken: Vec::new(),
            flushed: 0,
            ending,
        }
    }

    /// Waits until the host takes bytes from the front of `data`; returns how many.
    ///
    /// After the connection has failed, each call returns the cause. [`Error::NetworkDown`] is no failure of the
    /// connection: when the interface is up again, writes continue, and no byte that was written is lost.
    ///
    /// If the future is dropped, no bytes of `data` are sent, except those that the host has taken at that moment. Such
    /// bytes are remembered: if the next write begins with them, they count as written, so that repeating a cancelled
    /// write sends nothing twice.
    pub async fn write(&mut self, data: &[u8]) -> Result<usize> {
        let mut attempt = Attempt { half: self, data, done: false };
        poll_fn(|cx| attempt.poll(cx)).await
    }

    /// Writes all of `data`. If the future is dropped, a part of it may have been sent.
    pub async fn write_all(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let length = self.write(data).await?;
            data = &data[length..];
        }
        Ok(())
    }

    /// Writes all of `data` and returns the buffer: empty, with its capacity, or with the bytes that could not be
    /// written.
    ///
    /// This is the fastest way to write: the host reads directly from `data`, without a further copy. If the future is
    /// dropped, the buffer is lost, and a part of it may have been sent.
    pub async fn write_buf(&mut self, mut data: Vec<u8>) -> (Result<()>, Vec<u8>) {
        // A write that was started by a `poll` function has other data, which must be sent first.
        if let Err(error) = poll_fn(|cx| self.poll_flush(cx)).await {
            return (Err(error), data);
        }
        if !self.taken.is_empty() && data.starts_with(&self.taken) {
            data.drain(..self.taken.len());
        }
        self.taken.clear();
        self.flushed = 0;
        if data.is_empty() {
            return (Ok(()), data);
        }
        let State::Idle(stream) = &mut self.state else {
            return (poll_fn(|cx| self.poll_broken(cx)).await, data);
        };
        let rest = stream.write_all(data).await;
        if rest.is_empty() {
            return (Ok(()), rest);
        }
        self.state = State::Broken;
        (poll_fn(|cx| self.poll_broken(cx)).await, rest)
    }

    /// Sends a FIN after the written bytes: the peer reads all of them and then the end. The other half stays open.
    ///
    /// Does not wait for the peer: [`acknowledged`](Self::acknowledged) does. Calling it again has no effect.
    pub async fn shutdown(&mut self) -> Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    /// Sends a FIN, unless it was sent before, and waits until the peer has acknowledged all written bytes.
    pub async fn acknowledged(&mut self) -> Result<()> {
        self.shutdown().await?;
        poll_fn(|cx| self.ending.poll(cx)).await
    }

    /// [`write`](Self::write) for implementations of `poll` functions. After [`Poll::Pending`], the next call must be
    /// given the same bytes, possibly with more after them.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if let length @ 1.. = mem::take(&mut self.flushed) {
            return Poll::Ready(Ok(length.min(data.len())));
        }
        loop {
            match &mut self.state {
                State::Idle(_) => {
                    if !self.taken.is_empty() {
                        let taken = mem::take(&mut self.taken);
                        if data.starts_with(&taken) {
                            return Poll::Ready(Ok(taken.len()));
                        }
                    }
                    self.start(&data[..data.len().min(MOST)]);
                }
                State::Writing(operation) => {
                    let written = ready!(operation.as_mut().poll(cx));
                    if let length @ 1.. = self.finish(written) {
                        return Poll::Ready(Ok(length.min(data.len())));
                    }
                }
                State::Broken | State::ShutDown => return self.poll_broken(cx).map(|result| result.map(|()| 0)),
            }
        }
    }

    /// Waits until the write in flight, if there is one, has ended. What it has written is the result of the
    /// [`poll_write`](Self::poll_write) that is repeated.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let State::Writing(operation) = &mut self.state {
            let written = ready!(operation.as_mut().poll(cx));
            self.flushed = self.finish(written);
        }
        Poll::Ready(Ok(()))
    }

    /// [`shutdown`](Self::shutdown) for implementations of `poll` functions.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_flush(cx))?;
        match self.state {
            State::Broken => match ready!(self.poll_broken(cx)) {
                // The connection continues, with a new stream, and can be shut down.
                Err(Error::NetworkDown) => {
                    self.state = State::ShutDown;
                    Poll::Ready(Ok(()))
                }
                result => Poll::Ready(result),
            },
            State::ShutDown => Poll::Ready(Ok(())),
            State::Idle(_) | State::Writing(_) => {
                // Dropping this end of the stream tells the host to send the FIN.
                self.state = State::ShutDown;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// This side's address and port.
    pub fn local_addr(&self) -> SocketAddr {
        from_wit(self.connection.local_address())
    }

    /// The peer's address and port.
    pub fn peer_addr(&self) -> SocketAddr {
        from_wit(self.connection.remote_address())
    }

    /// The reason why writing is not possible. Never `Ok`.
    fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if matches!(self.state, State::ShutDown) {
            return Poll::Ready(Err(Error::BrokenPipe));
        }
        let result = ready!(self.ending.poll(cx));
        if result == Err(Error::NetworkDown) {
            // The connection continues when the interface is up again, and so does a new stream.
            let (writer, ending) = start_sending(&self.connection);
            self.state = State::Idle(writer);
            self.ending = ending;
        }
        Poll::Ready(result.and(Err(Error::BrokenPipe)))
    }

    /// Starts a write of a copy of `data`. Does nothing unless the half is idle.
    fn start(&mut self, data: &[u8]) {
        let mut copy = mem::take(&mut self.spare);
        copy.clear();
        copy.extend_from_slice(data);
        self.state = match mem::replace(&mut self.state, State::Broken) {
            State::Idle(stream) => {
                self.cancel.store(false, Ordering::Relaxed);
                State::Writing(Box::pin(write_once(stream, copy, Arc::clone(&self.cancel))))
            }
            other => other,
        };
    }

    /// Handles the end of the write in flight; returns how many bytes the host took.
    fn finish(&mut self, written: Written) -> usize {
        self.spare = written.rest;
        self.state = match written.result {
            StreamResult::Dropped => State::Broken,
            StreamResult::Complete(_) | StreamResult::Cancelled => State::Idle(written.stream),
        };
        written.length
    }

    /// Cancels the write of `data`, which is in flight, and remembers the bytes that the host has already taken.
    fn give_up(&mut self, data: &[u8]) {
        let State::Writing(operation) = &mut self.state else {
            return;
        };
        self.cancel.store(true, Ordering::Relaxed);
        if let Poll::Ready(written) = operation.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            let length = self.finish(written).min(data.len());
            self.taken.extend_from_slice(&data[..length]);
        }
    }
}

/// Makes the stream to send through, and what its result will be.
fn start_sending(connection: &Connection) -> (StreamWriter<u8>, Ending) {
    let (writer, reader) = wit_stream::new::<u8>();
    (writer, Ending::new(connection.send(reader)))
}

/// One write. If `cancel` is set, it cancels itself at the next poll and still reports how many bytes the host took.
async fn write_once(mut stream: StreamWriter<u8>, data: Vec<u8>, cancel: Arc<AtomicBool>) -> Written {
    let before = data.len();
    let (result, rest) = {
        let mut write = pin!(stream.write(data));
        poll_fn(|cx| match cancel.load(Ordering::Relaxed) {
            true => Poll::Ready(write.as_mut().cancel()),
            false => write.as_mut().poll(cx),
        })
        .await
    };
    let length = before - rest.remaining();
    Written { stream, result, length, rest: rest.into_vec() }
}

/// The write of a future. It is cancelled if the future is dropped before the write is done.
struct Attempt<'a> {
    half: &'a mut WriteHalf,
    data: &'a [u8],
    done: bool,
}

impl Attempt<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        let poll = self.half.poll_write(cx, self.data);
        self.done = poll.is_ready();
        poll
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.half.give_up(self.data);
        }
    }
}

impl fmt::Debug for WriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").field("connection", &self.connection).finish_non_exhaustive()
    }
}
