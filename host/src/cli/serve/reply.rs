//! What becomes of a response on its way to who has asked, and the responses in place of the component's.

use std::convert::Infallible;

use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};

use crate::wasm::http::Body;

/// A response that says only that there is no other.
pub(super) fn of(status: StatusCode) -> Response<Body> {
    let text = format!("{status}\n");
    let body = Full::from(text).map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// What a response depends on of its request.
pub(super) struct Asker {
    version: Version,
    /// The request has the method HEAD, so that the response has no body.
    is_head: bool,
}

impl Asker {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self { version: request.version(), is_head: *request.method() == Method::HEAD }
    }

    /// The response as it is sent. Chunks are unknown to HTTP/1.0, so that a body of unknown length ends with the
    /// connection there (RFC 9112 section 6.3), which must not be said to go on then (section 9.3), as hyper would.
    pub(super) fn answer(&self, response: Response<Body>) -> Response<Body> {
        let ends_with_the_connection = self.version < Version::HTTP_11
            && !self.is_head
            && !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            && !response.headers().contains_key(CONTENT_LENGTH)
            && !response.body().is_end_stream()
            && response.body().size_hint().exact().is_none();
        if ends_with_the_connection { self.answer_last(response) } else { response }
    }

    /// The response, after which the connection is closed.
    pub(super) fn answer_last(&self, mut response: Response<Body>) -> Response<Body> {
        // To a response of another version, hyper would add `keep-alive` where the client has asked for that.
        *response.version_mut() = self.version;
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use wasmtime_wasi_http::io::TokioIo;

    use super::*;

    /// The head of what a client of HTTP/1.0 is answered, in lower case.
    async fn answered(method: &str, response: fn() -> Response<Body>) -> String {
        let (mut client, server) = tokio::io::duplex(1 << 10);
        client
            .write_all(format!("{method} / HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n").as_bytes())
            .await
            .expect("room");
        client.shutdown().await.expect("an open end");
        let service = service_fn(|request| async move { Ok::<_, Infallible>(Asker::of(&request).answer(response())) });
        let mut http = http1::Builder::new();
        http.half_close(true).serve_connection(TokioIo::new(server), service).await.expect("a response");
        let mut received = String::new();
        client.read_to_string(&mut received).await.expect("text");
        received.split("\r\n\r\n").next().expect("a head").to_ascii_lowercase()
    }

    fn streamed() -> Response<Body> {
        let part = Ok(Frame::data(Bytes::from_static(b"part")));
        Response::new(StreamBody::new(stream::iter([part])).boxed_unsync())
    }

    #[tokio::test]
    async fn http_1_0_is_promised_no_further_response_where_the_body_ends_with_the_connection() {
        let head = answered("GET", streamed).await;
        assert!(head.contains("connection: close") && !head.contains("keep-alive"), "{head}");
        let whole = || {
            let mut response = streamed();
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("4"));
            response
        };
        for head in [
            answered("GET", whole).await,
            answered("HEAD", streamed).await,
            answered("GET", || of(StatusCode::NOT_FOUND)).await,
        ] {
            assert!(head.contains("connection: keep-alive") && !head.contains("close"), "{head}");
        }
    }
}
