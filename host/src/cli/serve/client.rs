//! The connection of a client, as hyper reads and writes it: what the client does not do in time is an error or the end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::progress::Progress;
use crate::platform::{Clock, Instant, Timer};

/// How long a client that sends no more is taken to wait for its response while nothing is sent to it.
///
/// One that has closed only its sending half waits, one that has closed the connection is gone, and both have sent the
/// same: the end of the stream. hyper takes the second for granted, or the first (`half_close`), with which a component
/// would work on for nobody. A client that is gone resets the connection as soon as it is sent something, so this decides
/// only for a component that sends nothing for long.
const HALF_CLOSED: Duration = Duration::from_secs(5);

/// A connection, until it is taken back.
pub(super) struct Client<S> {
    stream: S,
    progress: Arc<Progress>,
    clock: Arc<dyn Clock>,
    /// How long the client may take none of what is to be sent.
    patience: Duration,
    /// Armed while the client takes nothing.
    taking: Box<dyn Timer>,
    takes_nothing: bool,
    /// Whether the client has taken nothing for too long.
    is_stuck: bool,
    /// Armed while the end of the stream is held back.
    waiting: Box<dyn Timer>,
    /// When the client's last was read, or something was sent to it after that.
    silent_since: Option<Instant>,
}

impl<S> Client<S> {
    pub(super) fn new(stream: S, progress: Arc<Progress>, clock: Arc<dyn Clock>, patience: Duration) -> Self {
        let (taking, waiting) = (clock.timer(), clock.timer());
        Self {
            stream,
            progress,
            clock,
            patience,
            taking,
            takes_nothing: false,
            is_stuck: false,
            waiting,
            silent_since: None,
        }
    }

    /// Whether the client has taken nothing of what was to be sent for too long.
    pub(super) const fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// The connection itself, whose end is nobody's concern any more.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Client<S> {
    /// Holds back the end of the stream for a while if a request is under way.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let filled = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > filled || !this.progress.is_answering() {
            return Poll::Ready(Ok(()));
        }
        let since = *this.silent_since.get_or_insert_with(|| this.clock.now());
        this.waiting.set(Some(since + HALF_CLOSED));
        this.waiting.poll(cx).map(Ok)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Client<S> {
    /// Fails if the client has taken nothing for too long.
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Poll::Ready(written) = Pin::new(&mut this.stream).poll_write(cx, bytes) {
            this.takes_nothing = false;
            if this.silent_since.is_some() {
                this.silent_since = Some(this.clock.now());
            }
            return Poll::Ready(written);
        }
        if !this.takes_nothing {
            this.takes_nothing = true;
            this.taking.set(Some(this.clock.now() + this.patience));
        }
        ready!(this.taking.poll(cx));
        this.is_stuck = true;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// hyper does this only when it has written everything that it had.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.progress.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;
    use crate::platform::simulated::Simulation;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A connection, the client's end of it, and how far its requests have come.
    fn client(clock: &Arc<dyn Clock>) -> (Client<DuplexStream>, DuplexStream, Arc<Progress>) {
        let (near, far) = tokio::io::duplex(16);
        let progress = Arc::new(Progress::default());
        (Client::new(near, progress.clone(), clock.clone(), PATIENCE), far, progress)
    }

    #[test]
    fn a_client_that_takes_nothing_is_stuck_in_time() {
        let simulation = Simulation::new(1);
        let clock = simulation.platform().clock;
        simulation.block_on(async {
            let (mut client, mut far, _) = client(&clock);
            let began = clock.now();
            client.write_all(&[0; 16]).await.expect("room");
            simulation.sleep(PATIENCE / 2).await;
            far.read_exact(&mut [0; 8]).await.expect("what was written");
            let error = client.write_all(&[0; 16]).await.expect_err("there is no room");
            assert_eq!((error.kind(), client.is_stuck()), (io::ErrorKind::TimedOut, true));
            assert_eq!(clock.now(), began + PATIENCE / 2 + PATIENCE, "it has taken something meanwhile");
        });
    }

    #[test]
    fn the_end_waits_for_the_response_and_for_what_is_sent_of_it() {
        let simulation = Simulation::new(1);
        let clock = simulation.platform().clock;
        simulation.block_on(async {
            let (mut client, mut far, progress) = client(&clock);
            far.shutdown().await.expect("an open end");
            let (_request, exchange) = progress.begin(Request::new(Empty::<Bytes>::new()));
            let began = clock.now();
            let read = clock.within(HALF_CLOSED / 2, client.read(&mut [0])).await;
            assert!(read.is_none(), "it has ended at once");
            client.write_all(b"part").await.expect("room");
            assert_eq!(client.read(&mut [0]).await.expect("the end"), 0);
            assert_eq!(clock.now(), began + HALF_CLOSED / 2 + HALF_CLOSED);

            // A response that is whole is no reason to wait once it was written.
            let began = clock.now();
            client.write_all(b"part").await.expect("room");
            drop(exchange);
            client.flush().await.expect("an open end");
            assert_eq!(client.read(&mut [0]).await.expect("the end"), 0);
            assert_eq!(clock.now(), began);
        });
    }
}
