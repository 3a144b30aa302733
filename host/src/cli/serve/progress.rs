//! How far the requests of a connection have come.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Request;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

/// How far the latest request of a connection has come. The connection and the request share it.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    stage: Stage,
    /// Whether the body of the request has not been read to its end.
    is_unread: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// No request is under way. Initial. Left when the head of a request was read.
    #[default]
    Idle,
    /// A request has no whole response yet. Left when the body of the response is dropped.
    Answering,
    /// hyper may have a part of the response. Left when it has written everything that it had.
    Sending,
}

impl Progress {
    /// A request begins, whose body tells when it was read. The second value is held until the response is whole.
    pub(super) fn begin<B: Body>(self: &Arc<Self>, request: Request<B>) -> (Request<Reading<B>>, Exchange) {
        *self.0.lock() = State { stage: Stage::Answering, is_unread: !request.body().is_end_stream() };
        (request.map(|body| Reading { body, progress: self.clone() }), Exchange(self.clone()))
    }

    /// Everything that hyper had was written.
    pub(super) fn flushed(&self) {
        let mut state = self.0.lock();
        if state.stage == Stage::Sending {
            state.stage = Stage::Idle;
        }
    }

    /// Whether a request is under way, whose response was not written whole.
    pub(super) fn is_answering(&self) -> bool {
        self.0.lock().stage != Stage::Idle
    }

    /// Whether all requests were read whole and answered.
    pub(super) fn is_over(&self) -> bool {
        let state = self.0.lock();
        state.stage == Stage::Idle && !state.is_unread
    }
}

/// A request that is being answered. Dropped when its response is whole or is given up.
pub(super) struct Exchange(Arc<Progress>);

impl Exchange {
    /// The body of the response, with which this ends.
    pub(super) const fn until_the_end_of<B>(self, body: B) -> Answering<B> {
        Answering { body, _exchange: self }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.0.lock().stage = Stage::Sending;
    }
}

/// The body of a request.
pub(super) struct Reading<B> {
    body: B,
    progress: Arc<Progress>,
}

impl<B: Body + Unpin> Body for Reading<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let is_last = match &frame {
            None => true,
            Some(Ok(frame)) => frame.is_trailers() || self.body.is_end_stream(),
            Some(Err(_)) => false,
        };
        if is_last {
            self.progress.0.lock().is_unread = false;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response.
pub(super) struct Answering<B> {
    body: B,
    _exchange: Exchange,
}

impl<B: Body + Unpin> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Empty, Full};

    use super::*;

    #[tokio::test]
    async fn a_request_is_over_when_it_was_read_and_its_response_written() {
        let progress = Arc::new(Progress::default());
        assert!(progress.is_over());
        let (request, exchange) = progress.begin(Request::new(Full::new(Bytes::from_static(b"body"))));
        // hyper flushes at other times too.
        progress.flushed();
        assert!(progress.is_answering());
        drop(exchange.until_the_end_of(Empty::<Bytes>::new()));
        assert!(progress.is_answering() && !progress.is_over(), "hyper has the end");
        progress.flushed();
        assert!(!progress.is_answering() && !progress.is_over(), "its body was not read");
        request.into_body().collect().await.expect("a body");
        assert!(progress.is_over());
    }
}
