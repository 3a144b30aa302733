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
pub(super) struct Held<B> {
    body: B,
    stage: watch::Sender<Stage>,
    cut: Arc<AtomicBool>,
}

impl<B> Held<B> {
    pub(super) const fn new(body: B, stage: watch::Sender<Stage>, cut: Arc<AtomicBool>) -> Self {
        Self { body, stage, cut }
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
        let part = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let is_cut = part.is_none() && self.cut.load(Ordering::Acquire);
        Poll::Ready(if is_cut { Some(Err(Error::HttpResponseIncomplete)) } else { part })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && !self.cut.load(Ordering::Acquire)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use http_body_util::BodyExt as _;

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

    #[test]
    fn a_body_whose_component_was_ended_does_not_end_as_if_it_were_whole() {
        for is_cut in [false, true] {
            let (stage, _seen) = watch::channel(Stage::Answered);
            let empty = http_body_util::Empty::<Bytes>::new().map_err(|never: Infallible| match never {});
            let mut body = Held::new(empty, stage, Arc::new(AtomicBool::new(is_cut)));
            assert_eq!(body.is_end_stream(), !is_cut);
            match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(None) => assert!(!is_cut),
                Poll::Ready(Some(Err(Error::HttpResponseIncomplete))) => assert!(is_cut),
                other => panic!("{other:?}"),
            }
        }
    }
}
