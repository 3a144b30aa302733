//! One request and its response over one connection, with their timeouts.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{self, Either, FutureExt as _};
use http::uri::Scheme;
use http::{Request, Uri};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::body::Timely;
use super::connect::Connector;
use super::{Exchange, Work, failure};

/// How long each step may take if the guest sets no timeout.
const PATIENCE: Duration = Duration::from_secs(600);

/// Sends a request over a connection of its own. Dropping the future ends the connection, and so does dropping the work
/// that is returned with the response.
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
    let clock = connector.clock().clone();
    let uri = std::mem::take(request.uri_mut());
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    let connecting = connector.connect(uri.scheme().unwrap_or(&Scheme::HTTPS), authority);
    let connecting = clock.within(connect_timeout.unwrap_or(PATIENCE), connecting);
    let stream = connecting.await.ok_or(Error::ConnectionTimeout)??;
    *request.uri_mut() = target(&uri)?;

    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failure::of_http)?;
    let mut connection = connection.fuse();
    let response = {
        let sending = pin!(clock.within(first_byte_timeout.unwrap_or(PATIENCE), sender.send_request(request)));
        match future::select(sending, &mut connection).await {
            Either::Left((response, _)) => response,
            // The connection has ended, so the response, or the error, is there.
            Either::Right((Ok(()), response)) => response.await,
            Either::Right((Err(error), _)) => return Err(failure::of_http(error)),
        }
    };
    let response = response.ok_or(Error::ConnectionReadTimeout)?.map_err(failure::of_http)?;

    let patience = between_bytes_timeout.unwrap_or(PATIENCE);
    let late = |error: Option<hyper::Error>| error.map_or(Error::ConnectionReadTimeout, failure::of_body);
    let response = response.map(|body| Timely::new(body, clock, patience, late).boxed_unsync());
    let work: Work = Box::new(async move {
        // hyper must not be asked again after it has ended.
        if future::FusedFuture::is_terminated(&connection) {
            return Ok(());
        }
        connection.await.map_err(failure::of_http)
    });
    Ok((response, work))
}

/// The target of a request that goes to its server and not to a proxy: only the path and the query, of which the path is
/// not empty (RFC 9112 section 3.2.1).
fn target(uri: &Uri) -> Result<Uri, Error> {
    let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    path.parse().map_err(|_invalid| Error::HttpRequestUriInvalid)
}

#[cfg(test)]
mod tests {
    use super::*;

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
