//! HTTP/1.1 over one connection, for one request after another.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn, with_ambient_tokio_runtime};
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::io::TokioIo;

use super::body::Lent;
use super::connect::Stream;
use super::failure;
use crate::platform::Clock;
use crate::policy::Charge;

/// How many fields a response has at most. hyper's own limit of 100 is too few for some servers, which set many cookies.
/// How many bytes they take is limited by hyper's buffer all the same.
const MOST_FIELDS: usize = 1000;

/// How long the end of a connection may take that is closed in peace.
const CLOSING: Duration = Duration::from_secs(2);

/// A connection over which HTTP is spoken. Dropping it closes the connection at once.
pub(super) struct Link {
    sender: SendRequest<Lent>,
    /// The task that reads and writes. It ends with the connection, and the connection with it.
    connection: AbortOnDropJoinHandle<hyper::Result<()>>,
    /// The charge for the socket, while it is the guest's.
    pub(super) charge: Option<Charge>,
}

impl Link {
    /// # Errors
    /// As for [`failure::of_http`].
    pub(super) async fn new(stream: Box<dyn Stream>, charge: Charge) -> Result<Self, Error> {
        let mut http = http1::Builder::new();
        // A value on several lines is one with spaces between them (RFC 9112 section 5.2).
        http.max_headers(MOST_FIELDS).allow_obsolete_multiline_headers_in_responses(true);
        let (sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(failure::of_http)?;
        Ok(Self { sender, connection: spawn(connection), charge: Some(charge) })
    }

    /// Whether the last request and its response are over, and the server has left the connection open.
    pub(super) fn is_idle(&self) -> bool {
        self.sender.is_ready()
    }

    /// Sends a request; returns the response when its head is there. The link must be new or idle.
    pub(super) async fn send(&mut self, request: Request<Lent>) -> hyper::Result<Response<Incoming>> {
        self.sender.send_request(request).await
    }

    /// Waits until the link is idle or has ended.
    ///
    /// # Errors
    /// Why it has ended, if it has ended before the request and the response had.
    pub(super) async fn finish(&mut self) -> Result<(), Error> {
        if self.sender.ready().await.is_ok() {
            return Ok(());
        }
        match (&mut *self.connection).await {
            Ok(ended) => ended.map_err(failure::of_http),
            Err(ended) => Err(Error::InternalError(Some(ended.to_string()))),
        }
    }

    /// Closes an idle link so that the server is told: with TLS, a connection ends with an alert (RFC 8446 section 6.1).
    /// A server that does not take it gets a moment, for which `permit` is held.
    pub(super) fn close(self, clock: Arc<dyn Clock>, permit: OwnedSemaphorePermit) {
        let Self { sender, mut connection, charge } = self;
        if !sender.is_ready() {
            return;
        }
        // Without anybody who may send a request, the connection comes to its end.
        drop(sender);
        let closing = async move {
            if clock.within(CLOSING, &mut *connection).await.is_none() {
                drop(connection.cancel().await);
            }
            drop((permit, charge));
        };
        // This goes on although the guest may be gone meanwhile.
        drop(with_ambient_tokio_runtime(|| tokio::spawn(closing)));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll};

    use http_body_util::{BodyExt as _, Empty};
    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::platform::simulated::Simulation;
    use crate::policy::{Limits, Quota, SocketKind};

    /// A stream that remembers whether it was shut down, and that may not let itself be.
    struct Polite {
        stream: DuplexStream,
        is_told: Arc<AtomicBool>,
        ends: bool,
    }

    impl AsyncRead for Polite {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_read(cx, buffer)
        }
    }

    impl AsyncWrite for Polite {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.is_told.store(true, Ordering::SeqCst);
            if self.ends { Poll::Ready(Ok(())) } else { Poll::Pending }
        }
    }

    fn charge(quota: &Quota) -> Charge {
        quota.charge(SocketKind::Tcp, 0).expect("a charge")
    }

    /// A link that is idle, the server's end of it, and whether that was told of its end.
    async fn idle(quota: &Quota, ends: bool) -> (Link, DuplexStream, Arc<AtomicBool>) {
        let (stream, far) = tokio::io::duplex(1 << 10);
        let is_told = Arc::new(AtomicBool::new(false));
        let stream = Polite { stream, is_told: is_told.clone(), ends };
        let mut link = Link::new(Box::new(stream), charge(quota)).await.expect("a link");
        link.finish().await.expect("it is idle");
        (link, far, is_told)
    }

    async fn is_closed(far: &mut DuplexStream) {
        let read = tokio::time::timeout(Duration::from_secs(20), far.read(&mut [0])).await;
        assert_eq!(read.expect("it is not closed").expect("the end"), 0);
    }

    #[tokio::test]
    async fn an_idle_link_ends_in_peace_and_in_time() {
        let simulation = Simulation::new(1);
        let quota = Quota::new(Limits::default());
        for ends in [true, false] {
            let permits = Arc::new(Semaphore::new(1));
            let permit = permits.clone().try_acquire_owned().expect("a permit");
            let (link, mut far, is_told) = idle(&quota, ends).await;
            link.close(simulation.platform().clock, permit);
            while !is_told.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
            if !ends {
                assert_eq!((permits.available_permits(), quota.usage().sockets), (0, 1), "it still ends");
                simulation.advance(CLOSING);
            }
            is_closed(&mut far).await;
            drop(permits.acquire().await.expect("the permit is given back"));
            assert_eq!(quota.usage().sockets, 0);
        }
    }

    #[tokio::test]
    async fn a_link_that_is_dropped_ends_at_once() {
        let (link, mut far, is_told) = idle(&Quota::new(Limits::default()), false).await;
        drop(link);
        is_closed(&mut far).await;
        assert!(!is_told.load(Ordering::SeqCst));
    }

    /// The response to a request, of which a server says the fields.
    async fn answered(fields: &str) -> hyper::Result<Response<Incoming>> {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let mut link = Link::new(Box::new(near), charge(&Quota::new(Limits::default()))).await.expect("a link");
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = Request::get("/").body(Lent::given(body)).expect("a request");
        let serve = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(far.read_u8().await.expect("a request"));
            }
            let said = format!("HTTP/1.1 204 No Content\r\n{fields}\r\n");
            far.write_all(said.as_bytes()).await.expect("a client");
        };
        tokio::join!(link.send(request), serve).0
    }

    #[tokio::test]
    async fn a_value_on_several_lines_is_one_value() {
        let response = answered("a: one,\r\n  two\r\n\tthree\r\nb: four\r\n").await.expect("a response");
        let value = response.headers()["a"].to_str().expect("text");
        assert_eq!(value.split_ascii_whitespace().collect::<Vec<_>>(), ["one,", "two", "three"]);
        assert!(!value.contains(['\r', '\n']), "{value:?}");
        assert_eq!(response.headers()["b"], "four");
    }

    #[tokio::test]
    async fn a_response_has_many_fields_and_not_any_number() {
        let fields = |count: usize| "set-cookie: a=b\r\n".repeat(count);
        let response = answered(&fields(MOST_FIELDS)).await.expect("a response");
        assert_eq!(response.headers().len(), MOST_FIELDS);
        assert!(answered(&fields(MOST_FIELDS + 1)).await.expect_err("too many").is_parse_too_large());
    }
}
