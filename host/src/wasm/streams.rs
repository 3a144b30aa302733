//! The host's ends of the streams of guests: bytes to and from connections, and accepted connections.
//!
//! Bytes are copied once, between the guest's memory, which wasmtime lends for the duration of one call, and the
//! socket's queue. Every poll first tries the operation and waits only if it would block. Nothing is taken from one
//! side before the other has room for it, so a cancelled read or write has moved nothing.
//!
//! An interface that is only down does not end a connection. The streams of `wasi:sockets` wait meanwhile (see
//! [`OnOutage`](crate::socket::OnOutage)). Those of `xila:network` end with `network-down`, and the guest may take new
//! ones.

use std::future::{self, Ready, poll_fn};
use std::iter;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use wasmtime::component::{
    Destination, FutureReader, Lift, Lower, Resource, ResourceTable, Source, StreamConsumer, StreamProducer,
    StreamReader, StreamResult, VecBuffer,
};
use wasmtime::{AsContextMut, StoreContextMut};

use super::NetworkCtxView;
use super::connections::{Connection, Half, Listener};
use super::failure::{has_room, push};
use super::outcome::{Outcome, Resolver, outcome};
use crate::error::{Error, ReadError, Result};
use crate::platform::{Clock, Timer};

/// The number of bytes that are read at once if the stream's other end belongs to the host, too: when a guest passes
/// the stream of one connection to another connection.
const HOST_READ: usize = 64 << 10;

/// The maximum number of connections that one read of a stream returns.
const MOST_ACCEPTED: usize = 64;

/// A future for the guest with the result of a half.
type End<C> = FutureReader<Result<(), C>>;

/// Sends what the guest writes through the sending half of its connection. Returns a future that resolves when the peer
/// has received all of it. If the half was taken before, or there is no connection, the future has the error
/// `invalid-state`. `C` is the error code of the WIT package.
pub(super) fn send<C: Code>(
    mut store: impl AsContextMut,
    half: Option<Half>,
    mut data: StreamReader<u8>,
) -> wasmtime::Result<End<C>> {
    match half {
        Some(half) => {
            let (resolver, queued) = outcome();
            let connection = half.connection.clone();
            data.pipe(&mut store, SendConsumer { half, sent: resolver })?;
            FutureReader::new(store, coded(delivered(queued, connection)))
        }
        None => {
            data.close(&mut store)?;
            FutureReader::new(store, coded(no_half()))
        }
    }
}

/// Returns a stream of the data that arrives at the receiving half of a connection, and a future with the result at its
/// end. Otherwise like [`send`].
pub(super) fn receive<C: Code>(
    mut store: impl AsContextMut,
    half: Option<Half>,
) -> wasmtime::Result<(StreamReader<u8>, End<C>)> {
    match half {
        Some(half) => {
            let (received, end) = outcome();
            let stream = StreamReader::new(&mut store, ReceiveProducer { half, received })?;
            Ok((stream, FutureReader::new(store, coded(end))?))
        }
        None => Ok((StreamReader::new(&mut store, iter::empty())?, FutureReader::new(store, coded(no_half()))?)),
    }
}

/// The error code of a WIT package, as it is used in futures.
pub(super) trait Code: From<Error> + Lower + Lift + Send + Sync + 'static {}

impl<C: From<Error> + Lower + Lift + Send + Sync + 'static> Code for C {}

/// The result for a half that another call has taken, or of a socket without a connection.
fn no_half() -> Ready<Result<()>> {
    future::ready(Err(Error::InvalidState))
}

/// Converts the result of a stream for the guest.
pub(super) async fn coded<C: Code>(end: impl Future<Output = Result<()>>) -> wasmtime::Result<Result<(), C>> {
    Ok(end.await.map_err(C::from))
}

/// Consumes the data that the guest writes to the stream of [`send`]. It is dropped when the guest ends the stream;
/// then the FIN is sent.
struct SendConsumer {
    half: Half,
    sent: Resolver,
}

impl Drop for SendConsumer {
    fn drop(&mut self) {
        if !self.sent.is_resolved() {
            self.sent.resolve(self.half.connection.stream.shutdown(Shutdown::Write).map_err(Error::from));
        }
    }
}

impl<D: 'static> StreamConsumer<D> for SendConsumer {
    type Item = u8;

    fn poll_consume(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let stream = &self.half.connection.stream;
        let mut source = source.as_direct(store);
        let bytes = source.remaining();
        // A write of zero bytes asks whether there is room.
        let written =
            if bytes.is_empty() { stream.poll_write_ready(cx).map_ok(|()| 0) } else { stream.poll_write(cx, bytes) };
        let written = written.map_ok(|written| {
            source.mark_read(written);
            StreamResult::Completed
        });
        stream_result(|error| end(&self.half, &self.sent, error), finish, written)
    }
}

/// Waits for the result of sending: the peer's acknowledgement of the FIN, or the first failure, either of a write or
/// of the connection while nothing was written. Before that it is not known whether everything was transmitted. While
/// the interface is down, the acknowledgement is waited for: it may come later.
async fn delivered(mut queued: Outcome, connection: Arc<Connection>) -> Result<()> {
    poll_fn(|cx| match Pin::new(&mut queued).poll(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Ready(Ok(())) | Poll::Pending => connection.stream.poll_closed_patiently(cx).map_err(Error::from),
    })
    .await
}

/// Produces the data that has arrived for the stream of [`receive`]. It is dropped when the guest drops the stream.
struct ReceiveProducer {
    half: Half,
    received: Resolver,
}

impl Drop for ReceiveProducer {
    fn drop(&mut self) {
        if !self.received.is_resolved() {
            // An error only means that the connection has failed. Then there is nothing to close, and writes return the
            // error.
            let _ = self.half.connection.stream.shutdown(Shutdown::Read);
            self.received.resolve(Ok(()));
        }
    }
}

impl<D: 'static> StreamProducer<D> for ReceiveProducer {
    type Item = u8;
    /// Never used: bytes are written directly to the destination.
    type Buffer = Option<u8>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let stream = &self.half.connection.stream;
        let mut destination = destination.as_direct(store, HOST_READ);
        let room = destination.remaining();
        // A read of zero items asks whether there is something to read.
        if room.is_empty() {
            let ready = stream.poll_read_ready(cx).map_ok(|()| StreamResult::Completed);
            return stream_result(|error| end(&self.half, &self.received, error), finish, ready);
        }
        let length = room.len();
        let mut read = match stream.poll_read(cx, room) {
            Poll::Ready(Ok(read)) => read,
            other => {
                let none = other.map_ok(|_| StreamResult::Completed);
                return stream_result(|error| end(&self.half, &self.received, error), finish, none);
            }
        };
        // If the data did not fill the room, it may have been the last. Reporting the end now saves the guest another
        // read.
        let mut last = (read == 0).then_some(Ok(()));
        while last.is_none() && read < length {
            match stream.try_read(&mut room[read..]) {
                Ok(0) => last = Some(Ok(())),
                Ok(more) => read += more,
                Err(ReadError::WouldBlock) => break,
                Err(error) => last = Some(Err(error.into())),
            }
        }
        destination.mark_written(read);
        Poll::Ready(Ok(match last {
            None => StreamResult::Completed,
            Some(Ok(())) => {
                self.received.resolve(Ok(()));
                StreamResult::Dropped
            }
            Some(Err(error)) => {
                end(&self.half, &self.received, error);
                StreamResult::Dropped
            }
        }))
    }
}

/// Passes the cause why the stream of a half ends to its future. If the interface is only down, the connection lives on,
/// and the guest may take the half again.
fn end(half: &Half, resolver: &Resolver, cause: Error) {
    if cause == Error::NetworkDown {
        half.give_back();
    }
    resolver.resolve(Err(cause));
}

/// Converts the result of polling a socket to that of a stream. An error ends the stream and is given to `end`. If the
/// guest cancels its read or write (`finish`) and nothing has happened yet, it gets it back.
fn stream_result(
    end: impl FnOnce(Error),
    finish: bool,
    progress: Poll<Result<StreamResult, impl Into<Error>>>,
) -> Poll<wasmtime::Result<StreamResult>> {
    match progress {
        Poll::Ready(Ok(result)) => Poll::Ready(Ok(result)),
        Poll::Ready(Err(error)) => {
            end(error.into());
            Poll::Ready(Ok(StreamResult::Dropped))
        }
        Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
        Poll::Pending => Poll::Pending,
    }
}

/// How long a stream of connections waits before it looks again whether the guest's table has room.
const RETRY: Duration = Duration::from_millis(100);

/// Produces a stream of connections: accepts them while the guest reads. `resource` makes a resource of each
/// connection.
///
/// A connection is accepted only when the guest may hold one more and its table has room for it. Until then the stream
/// waits, and the connection stays in the backlog.
pub(super) struct AcceptProducer<D: 'static, R> {
    listener: Arc<Listener>,
    ended: Resolver,
    clock: Arc<dyn Clock>,
    /// Wakes the task while the table is full: nothing else tells when there is room again.
    retry: Option<Box<dyn Timer>>,
    view: for<'a> fn(&'a mut D) -> NetworkCtxView<'a>,
    resource: R,
}

impl<D: 'static, R> AcceptProducer<D, R> {
    pub(super) fn new(
        listener: Arc<Listener>,
        ended: Resolver,
        clock: Arc<dyn Clock>,
        view: for<'a> fn(&'a mut D) -> NetworkCtxView<'a>,
        resource: R,
    ) -> Self {
        Self { listener, ended, clock, retry: None, view, resource }
    }

    /// Ready when a connection can be accepted without waiting, or accepting would fail.
    fn poll_ready(&mut self, cx: &mut Context<'_>, table: &mut ResourceTable) -> Poll<Result<()>> {
        ready!(self.listener.poll_ready_within_quota(cx))?;
        if has_room(table, 1) {
            self.retry = None;
            return Poll::Ready(Ok(()));
        }
        let timer = self.retry.get_or_insert_with(|| self.clock.timer());
        timer.set(Some(self.clock.now() + RETRY));
        timer.poll(cx).map(Ok)
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>, table: &mut ResourceTable) -> Poll<Result<Connection>> {
        ready!(self.poll_ready(cx, table))?;
        self.listener.poll_accept_within_quota(cx)
    }
}

impl<D: 'static, R> Drop for AcceptProducer<D, R> {
    fn drop(&mut self) {
        self.ended.resolve(Ok(()));
    }
}

impl<D, R, T> StreamProducer<D> for AcceptProducer<D, R>
where
    D: 'static,
    R: Fn(Connection) -> T + Send + Unpin + 'static,
    T: Send + 'static,
{
    type Item = Resource<T>;
    type Buffer = VecBuffer<Self::Item>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = self.get_mut();
        // If the host itself reads the stream, there is no count.
        let room = destination.remaining(&mut store).unwrap_or(1).min(MOST_ACCEPTED);
        let table = (this.view)(store.data_mut()).table;
        // A read of zero items asks whether there is something to read.
        if room == 0 {
            let ready = this.poll_ready(cx, table).map_ok(|()| StreamResult::Completed);
            return stream_result(|error| this.ended.resolve(Err(error)), finish, ready);
        }
        let mut accepted = Vec::new();
        let mut end = Poll::Pending;
        while accepted.len() < room {
            match this.poll_accept(cx, table).map_ok(|connection| push(table, (this.resource)(connection))) {
                Poll::Ready(Ok(Ok(handle))) => accepted.push(handle),
                Poll::Pending => break,
                Poll::Ready(Ok(Err(error)) | Err(error)) => {
                    end = Poll::Ready(Err(error));
                    break;
                }
            }
        }
        if accepted.is_empty() {
            return stream_result(|error| this.ended.resolve(Err(error)), finish, end);
        }
        destination.set_buffer(accepted.into());
        let more = match end {
            Poll::Pending => Poll::Ready(Ok(StreamResult::Completed)),
            failed => failed,
        };
        stream_result(|error| this.ended.resolve(Err(error)), finish, more)
    }
}
