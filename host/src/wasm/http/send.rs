//! One request and its response, with their timeouts.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{self, Either};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use tokio::sync::{Notify, oneshot};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::body::{Lent, Settled, Timely};
use super::connect::Connector;
use super::origin::Origin;
use super::pool::Lease;
use super::{Exchange, coding, failure};
use crate::platform::Clock;

/// How long each step may take if the guest sets no timeout.
const PATIENCE: Duration = Duration::from_secs(600);

/// How many interim responses a server may send before the response (RFC 9110 section 15.2).
const MOST_INTERIM: usize = 100;

/// Sends a request over a connection that waits for one, or over a new one. Dropping the future ends the connection, and
/// so does dropping the work that is returned with the response before the response has ended.
///
/// # Errors
/// If the server cannot be reached or does not answer. The timeout to connect covers everything up to the request: the
/// name, the connection and TLS. That for the first byte covers the time from then until the head of the response.
pub(super) async fn send(
    connector: &Connector,
    mut request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<Exchange, Error> {
    let RequestOptions { connect_timeout, first_byte_timeout, between_bytes_timeout } = options;
    // What follows would be the bytes of a tunnel, of which `wasi:http` knows nothing (RFC 9110 section 9.3.6).
    if *request.method() == Method::CONNECT {
        return Err(Error::HttpRequestMethodInvalid);
    }
    let origin = Origin::of(request.uri())?;
    *request.uri_mut() = target(request.uri())?;
    let clock = connector.clock();
    let first_byte = first_byte_timeout.unwrap_or(PATIENCE);
    let between_bytes = between_bytes_timeout.unwrap_or(PATIENCE);

    // A server may close a connection at the moment when a request is sent over it, and nobody knows then whether the
    // request was heard. So only requests are sent over used connections that may be sent again, because they are to
    // change nothing (RFC 9110 sections 9.2.1 and 9.2.2).
    if request.method().is_safe()
        && let Some(lease) = connector.waiting(&origin)?
    {
        let (head, body) = request.into_parts();
        let (body, back) = Lent::new(body);
        match ask(lease, Request::from_parts(head.clone(), body), clock, first_byte).await {
            Err(Error::ConnectionTerminated) => {
                let body = back.await.map_err(|_begun| Error::ConnectionTerminated)?;
                request = Request::from_parts(head, body);
            }
            asked => return Ok(exchange(asked?, clock, between_bytes)),
        }
    }
    let connecting = clock.within(connect_timeout.unwrap_or(PATIENCE), connector.connect(origin));
    let lease = connecting.await.ok_or(Error::ConnectionTimeout)??;
    let asked = ask(lease, request.map(Lent::given), clock, first_byte).await?;
    Ok(exchange(asked, clock, between_bytes))
}

/// Sends a request over one connection; returns the response when its head is there.
async fn ask(
    mut lease: Lease,
    mut request: Request<Lent>,
    clock: &Arc<dyn Clock>,
    patience: Duration,
) -> Result<(Lease, Response<Incoming>), Error> {
    let flood = limit_interim(&mut request);
    let response = {
        let response = pin!(clock.within(patience, lease.link.send(request)));
        match future::select(response, pin!(flood.notified())).await {
            Either::Left((response, _)) => response.ok_or(Error::ConnectionReadTimeout)?,
            Either::Right(((), _)) => return Err(Error::HttpProtocolError),
        }
    };
    let response = response.map_err(failure::of_http)?;
    check(&response)?;
    Ok((lease, response))
}

/// Refuses a response that a program could only misunderstand.
fn check<B: Body>(response: &Response<B>) -> Result<(), Error> {
    // No program can ask for another protocol, because the field `upgrade` is forbidden to it (RFC 9110 section 7.8).
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::HttpUpgradeFailed);
    }
    // A response without a body may say how another one would be coded (RFC 9112 section 6.1).
    match coding::not_understood(response.headers()) {
        Some(coding) if !response.body().is_end_stream() => Err(Error::HttpResponseTransferCoding(Some(coding))),
        _ => Ok(()),
    }
}

/// What is told when a server sends too many interim responses to a request.
fn limit_interim(request: &mut Request<Lent>) -> Arc<Notify> {
    let (flood, seen) = (Arc::new(Notify::new()), AtomicUsize::new(0));
    let told = flood.clone();
    hyper::ext::on_informational(request, move |_interim| {
        if seen.fetch_add(1, Ordering::Relaxed) == MOST_INTERIM {
            told.notify_one();
        }
    });
    flood
}

/// The exchange whose response has begun on a connection. Each further part of it has to come in time.
fn exchange(
    (mut lease, response): (Lease, Response<Incoming>),
    clock: &Arc<dyn Clock>,
    patience: Duration,
) -> Exchange {
    let late = |error: Option<hyper::Error>| error.map_or(Error::ConnectionReadTimeout, failure::of_body);
    let (settling, settled) = oneshot::channel();
    let response = response.map(|body| {
        let timely = Timely::new(body, clock.clone(), patience, late);
        Settled::new(timely, settled, clock.clone()).boxed_unsync()
    });
    let work = async move {
        // wasmtime-wasi-http 48 asks once, at the beginning, whether the work has failed. If it has, a program of 0.3 is
        // told that instead of the response, although this is there.
        tokio::task::yield_now().await;
        let finished = lease.link.finish().await;
        drop(lease);
        drop(settling);
        finished
    };
    (response, Box::new(work))
}

/// The target of a request that goes to its server and not to a proxy: only the path and the query, of which the path is
/// not empty (RFC 9112 section 3.2.1).
fn target(uri: &Uri) -> Result<Uri, Error> {
    let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    path.parse().map_err(|_invalid| Error::HttpRequestUriInvalid)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;

    #[test]
    fn a_response_is_refused_that_is_coded_or_that_changes_the_protocol() {
        let checked = |status: u16, coding: &str, body: &'static str| {
            let response = Response::builder().status(status).header("transfer-encoding", coding);
            check(&response.body(Full::new(Bytes::from(body))).expect("a response"))
        };
        assert!(checked(200, "chunked", "body").is_ok());
        assert!(checked(304, "gzip, chunked", "").is_ok());
        let refused = checked(200, "gzip, chunked", "body");
        assert!(matches!(refused, Err(Error::HttpResponseTransferCoding(Some(coding))) if coding == "gzip, chunked"));
        assert!(matches!(checked(101, "", ""), Err(Error::HttpUpgradeFailed)));
    }

    #[test]
    fn a_server_is_sent_the_path_and_the_query_alone() {
        for (uri, expected) in [
            ("http://example.org/a?b=c", "/a?b=c"),
            ("https://example.org:8443", "/"),
            ("http://[2001:db8::1]/?x", "/?x"),
            ("http://example.org?x", "/?x"),
        ] {
            let target = target(&uri.parse().expect("a URI")).expect("a target");
            assert_eq!(target.to_string(), expected, "{uri}");
        }
        let empty = Uri::builder().scheme("http").authority("example.org").path_and_query("").build();
        assert_eq!(target(&empty.expect("a URI")).expect("a target").to_string(), "/");
    }
}
