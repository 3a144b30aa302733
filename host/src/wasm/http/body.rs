//! Bodies whose parts have to come in time.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{oneshot, watch};
use wasmtime_wasi_http::{Error, WasiBody};

use super::handler::Stage;
use crate::platform::{Clock, Timer};

/// A body of which each part has to come within a time from when it was first asked for. While nobody asks, no time
/// passes. `error` becomes the error of a part that does not come.
pub(super) struct Timely<B, F> {
    body: B,
    clock: Arc<dyn Clock>,
    timer: Box<dyn Timer>,
    patience: Duration,
    /// Whether a part was asked for that has not come.
    waits: bool,
    error: F,
}

impl<B, F> Timely<B, F> {
    pub(super) fn new(body: B, clock: Arc<dyn Clock>, patience: Duration, error: F) -> Self {
        let timer = clock.timer();
        Self { body, clock, timer, patience, waits: false, error }
    }
}

impl<B, E, F> Body for Timely<B, F>
where
    B: Body<Data = Bytes, Error = E> + Unpin,
    F: Fn(Option<E>) -> Error + Unpin,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(part) = Pin::new(&mut this.body).poll_frame(cx) {
            this.waits = false;
            return Poll::Ready(part.map(|part| part.map_err(|error| (this.error)(Some(error)))));
        }
        if !this.waits {
            this.waits = true;
            this.timer.set(Some(this.clock.now() + this.patience));
        }
        this.timer.poll(cx).map(|()| Some(Err((this.error)(None))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How long the end of a response may wait for its connection.
const SETTLING: Duration = Duration::from_millis(10);

/// The body of a response, whose end waits a moment until its connection is ready for the next request. Otherwise a
/// program that sends the next request at once would be faster than the task of the connection, and would need a new
/// connection.
pub(super) struct Settled<B> {
    body: B,
    /// Closed when the connection is ready, or will not be used again.
    settled: oneshot::Receiver<Infallible>,
    clock: Arc<dyn Clock>,
    /// Armed once the body has ended. The server may not have read the request yet, or it is not whole yet.
    timer: Option<Box<dyn Timer>>,
}

impl<B> Settled<B> {
    pub(super) const fn new(body: B, settled: oneshot::Receiver<Infallible>, clock: Arc<dyn Clock>) -> Self {
        Self { body, settled, clock, timer: None }
    }
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for Settled<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if this.timer.is_none() {
            let part = ready!(Pin::new(&mut this.body).poll_frame(cx));
            if part.is_some() {
                return Poll::Ready(part);
            }
        }
        if this.settled.is_terminated() || Pin::new(&mut this.settled).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        let timer = this.timer.get_or_insert_with(|| {
            let mut timer = this.clock.timer();
            timer.set(Some(this.clock.now() + SETTLING));
            timer
        });
        timer.poll(cx).map(|()| None)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.settled.is_terminated()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a request, which comes back when it is dropped, if nothing of it was taken by then: the same request may
/// be sent again.
pub(super) struct Lent {
    /// `None` only once this is being dropped.
    body: Option<WasiBody>,
    owner: Option<oneshot::Sender<WasiBody>>,
}

impl Lent {
    /// A body that comes back to the receiver.
    pub(super) fn new(body: WasiBody) -> (Self, oneshot::Receiver<WasiBody>) {
        let (owner, back) = oneshot::channel();
        (Self { body: Some(body), owner: Some(owner) }, back)
    }

    /// A body that does not come back.
    pub(super) const fn given(body: WasiBody) -> Self {
        Self { body: Some(body), owner: None }
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let part = ready!(Pin::new(body).poll_frame(cx));
        if part.is_some() {
            self.owner = None;
        }
        Poll::Ready(part)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(owner)) = (self.body.take(), self.owner.take()) {
            // Nobody waits for it if the request was sent.
            drop(owner.send(body));
        }
    }
}

/// The body of a response, which tells when it was sent, or nobody wants it any more: when it is dropped. If its
/// component was ended before it, it ends with an error.
///
/// An error comes only when the body is asked once more. hyper 1.12 drops what it has not sent yet when a body fails,
/// which may be the whole response with its head. It sends everything whenever a body has nothing for the moment.
pub(super) struct Held<B> {
    body: B,
    stage: watch::Sender<Stage>,
    cut: Arc<AtomicBool>,
    /// The error to come.
    failure: Option<Error>,
}

impl<B> Held<B> {
    pub(super) const fn new(body: B, stage: watch::Sender<Stage>, cut: Arc<AtomicBool>) -> Self {
        Self { body, stage, cut, failure: None }
    }
}

impl<B> Drop for Held<B> {
    fn drop(&mut self) {
        self.stage.send_replace(Stage::Sent);
    }
}

impl<B: Body<Error = Error> + Unpin> Body for Held<B> {
    type Data = B::Data;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, Error>>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        let failure = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Err(failure)) => failure,
            None if self.cut.load(Ordering::Acquire) => Error::HttpResponseIncomplete,
            part => return Poll::Ready(part),
        };
        self.failure = Some(failure);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.failure.is_none() && self.body.is_end_stream() && !self.cut.load(Ordering::Acquire)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::VecDeque;

    use futures_util::stream;
    use http::Response;
    use http_body_util::{BodyExt as _, StreamBody};
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use wasmtime_wasi_http::io::TokioIo;

    use super::*;
    use crate::platform::simulated::Simulation;

    /// A body whose parts come at once, until it has none left and waits for ever.
    struct Endless(VecDeque<Bytes>);

    impl Body for Endless {
        type Data = Bytes;
        type Error = Error;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
            self.0.pop_front().map_or(Poll::Pending, |part| Poll::Ready(Some(Ok(Frame::data(part)))))
        }
    }

    #[test]
    fn time_passes_only_while_a_part_is_waited_for() {
        let simulation = Simulation::new(1);
        let clock = simulation.platform().clock;
        let parts = [Bytes::from_static(b"a"), Bytes::from_static(b"b")].into();
        let second = Duration::from_secs(1);
        let late = |error: Option<Error>| error.unwrap_or(Error::ConnectionReadTimeout);
        let mut body = Timely::new(Endless(parts), clock.clone(), second, late);
        simulation.block_on(async {
            for _ in 0..2 {
                // Longer than a part may take.
                simulation.sleep(3 * second).await;
                let part = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
                assert!(matches!(part, Some(Ok(_))));
            }
            let asked = clock.now();
            let part = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            assert!(matches!(part, Some(Err(Error::ConnectionReadTimeout))));
            assert_eq!(clock.now(), asked + second);
        });
    }

    /// A body that gives its parts at once.
    fn parts(parts: impl IntoIterator<Item = Result<&'static str, Error>>) -> impl Body<Data = Bytes, Error = Error> {
        let frames = parts.into_iter().map(|part| part.map(|data| Frame::data(Bytes::from(data))));
        StreamBody::new(stream::iter(frames.collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn a_body_whose_component_was_ended_does_not_end_as_if_it_were_whole() {
        for is_cut in [false, true] {
            let (stage, _seen) = watch::channel(Stage::Answered);
            let body = Held::new(parts([Ok("half")]), stage, Arc::new(AtomicBool::new(is_cut)));
            match body.collect().await {
                Ok(whole) => assert!(!is_cut, "{whole:?}"),
                Err(Error::HttpResponseIncomplete) => assert!(is_cut),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// What a client receives of a response with this body.
    async fn received<B>(body: B) -> String
    where
        B: Body<Data = Bytes, Error = Error> + Send + 'static,
    {
        let (mut client, server) = tokio::io::duplex(1 << 10);
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("room");
        let body = Cell::new(Some(body));
        let service = service_fn(|_request| {
            let response = Response::new(body.take().expect("one request"));
            async { Ok::<_, Infallible>(response) }
        });
        let served = http1::Builder::new().serve_connection(TokioIo::new(server), service).await;
        assert!(served.is_err_and(|error| error.is_user()), "the body fails");
        let mut received = String::new();
        client.read_to_string(&mut received).await.expect("text");
        received
    }

    #[tokio::test]
    async fn what_was_written_before_an_error_is_sent() {
        let written = || parts([Ok("half"), Err(Error::ConnectionTerminated)]);
        assert_eq!(received(written()).await, "", "hyper sends it by itself: Held need not do so any more");
        for cut in [false, true] {
            let (stage, _seen) = watch::channel(Stage::Answered);
            let sent = received(Held::new(written(), stage, Arc::new(AtomicBool::new(cut)))).await;
            assert!(sent.starts_with("HTTP/1.1 200 OK\r\n") && sent.ends_with("\r\n4\r\nhalf\r\n"), "{sent}");
        }
    }
}
