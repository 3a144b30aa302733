//! Conversion of errors to those of `wasi:http`, which are the error types of RFC 9209.

use std::error::Error as StdError;
use std::io;

use tokio_rustls::rustls;
use wasmtime_wasi_http::Error;

use crate::error;
use crate::socket::ResolveError;

/// The error of a name that was not resolved.
pub(super) fn of_name(failure: &ResolveError) -> Error {
    let answered = |code: &str| Error::DnsError { rcode: Some(code.to_owned()), info_code: None };
    match failure {
        ResolveError::InvalidName | ResolveError::InvalidAddress => Error::HttpRequestUriInvalid,
        ResolveError::NameNotFound => answered("NXDOMAIN"),
        // The server knows the name, and that it has no address.
        ResolveError::NoRecords => answered("NOERROR"),
        ResolveError::ServerFailure => answered("SERVFAIL"),
        ResolveError::ServersUnreachable => Error::DnsTimeout,
        ResolveError::AccessDenied => Error::HttpRequestDenied,
    }
}

/// The error of a connection that was not made.
pub(super) fn of_connection(failure: error::Error) -> Error {
    use error::Error as E;
    match failure {
        E::AccessDenied => Error::DestinationIpProhibited,
        E::LimitReached | E::NoFreeSlot | E::ResourceBusy => Error::ConnectionLimitReached,
        E::ConnectionRefused => Error::ConnectionRefused,
        E::ConnectionReset | E::ConnectionAborted | E::BrokenPipe => Error::ConnectionTerminated,
        E::TimedOut => Error::ConnectionTimeout,
        E::RemoteUnreachable => Error::DestinationIpUnroutable,
        E::NetworkDown | E::NotFound | E::AddressNotAvailable | E::AddressInUse => Error::DestinationUnavailable,
        // No host has such an address, or nothing listens on port 0.
        E::InvalidArgument => Error::HttpRequestUriInvalid,
        other @ (E::InvalidIdentifier(_)
        | E::DuplicateIdentifier(_)
        | E::FailedToMountDevice(_)
        | E::NotSupported
        | E::InvalidState
        | E::PacketTooLarge
        | E::WouldBlock) => Error::InternalError(Some(other.to_string())),
    }
}

/// How much an error says of the peer: of several addresses that failed, the error that says most is returned.
pub(super) const fn informativeness(failure: &error::Error) -> u8 {
    use error::Error as E;
    match failure {
        E::RemoteUnreachable | E::NetworkDown | E::NotFound | E::AddressNotAvailable | E::InvalidArgument => 0,
        E::TimedOut => 1,
        _ => 2,
    }
}

/// The error of TLS that was not agreed on.
pub(super) fn of_tls(failure: &io::Error) -> Error {
    use rustls::Error as E;
    match failure.get_ref().and_then(|inner| inner.downcast_ref::<E>()) {
        Some(E::InvalidCertificate(_) | E::NoCertificatesPresented | E::UnsupportedNameType) => {
            Error::TlsCertificateError
        }
        Some(E::AlertReceived(alert)) => {
            Error::TlsAlertReceived { alert_id: Some(u8::from(*alert)), alert_message: Some(format!("{alert:?}")) }
        }
        Some(_) => Error::TlsProtocolError,
        None => of_stream(failure).unwrap_or(Error::TlsProtocolError),
    }
}

/// The error of a connection that failed while HTTP was spoken over it.
pub(super) fn of_http(failure: hyper::Error) -> Error {
    // The parser's own words are checked last, because a connection that is cut has its cause below them.
    let mut cause = failure.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return of_io(error);
        }
        if let Some(Error::HttpRequestBodySize(size)) = error.downcast_ref::<Error>() {
            return Error::HttpRequestBodySize(*size);
        }
        cause = error.source();
    }
    match failure {
        failure if failure.is_timeout() => Error::HttpResponseTimeout,
        // The body was shorter than its `content-length`.
        failure if failure.is_body_write_aborted() => Error::HttpRequestBodySize(None),
        failure if failure.is_parse_too_large() => Error::HttpResponseHeaderSectionSize(None),
        // The connection was closed before a response (`connection_terminated` of RFC 9209).
        failure if failure.is_incomplete_message() || failure.is_closed() || failure.is_canceled() => {
            Error::ConnectionTerminated
        }
        failure => Error::Hyper(failure),
    }
}

/// The error of a body that has begun: a connection that ends within it leaves the response incomplete
/// (`http_response_incomplete` of RFC 9209).
pub(super) fn of_body(failure: hyper::Error) -> Error {
    match of_http(failure) {
        Error::ConnectionTerminated => Error::HttpResponseIncomplete,
        other => other,
    }
}

/// The error that hyper has met with while it read or wrote: one of TLS, of the connection, or its own of a body.
fn of_io(failure: &io::Error) -> Error {
    if failure.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        return of_tls(failure);
    }
    of_stream(failure).unwrap_or_else(|| {
        // hyper 1.12 tells apart what is wrong with chunks and trailers (RFC 9112 section 7.1) by words alone.
        let words = failure.to_string();
        if words.contains("chunk trailers") {
            Error::HttpResponseTrailerSectionSize(None)
        } else if words.contains("chunk") {
            Error::HttpResponseTransferCoding(Some("chunked".to_owned()))
        } else {
            Error::HttpProtocolError
        }
    })
}

/// The error of a stream, if it is one of the connection.
fn of_stream(failure: &io::Error) -> Option<Error> {
    match failure.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Some(Error::ConnectionTerminated),
        io::ErrorKind::TimedOut => Some(Error::ConnectionReadTimeout),
        io::ErrorKind::NetworkDown | io::ErrorKind::HostUnreachable => Some(Error::DestinationUnavailable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use http_body_util::{BodyExt as _, Empty};
    use hyper::client::conn::http1;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use wasmtime_wasi_http::io::TokioIo;

    use super::*;

    #[test]
    fn a_denial_of_the_policy_and_an_answer_of_the_peer_are_told_apart() {
        assert!(matches!(of_name(&ResolveError::AccessDenied), Error::HttpRequestDenied));
        assert!(matches!(of_connection(error::Error::AccessDenied), Error::DestinationIpProhibited));
        assert!(matches!(of_connection(error::Error::ConnectionRefused), Error::ConnectionRefused));
        assert!(matches!(of_connection(error::Error::LimitReached), Error::ConnectionLimitReached));
        assert!(
            matches!(of_name(&ResolveError::NameNotFound), Error::DnsError { rcode: Some(code), .. } if code == "NXDOMAIN")
        );
    }

    #[test]
    fn the_cause_of_a_failed_handshake_is_found_within_the_error_of_the_stream() {
        let within = |error: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let unknown = rustls::CertificateError::UnknownIssuer;
        assert!(matches!(of_tls(&within(rustls::Error::InvalidCertificate(unknown))), Error::TlsCertificateError));
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        assert!(matches!(of_tls(&within(alert)), Error::TlsAlertReceived { alert_id: Some(40), .. }));
        assert!(matches!(of_tls(&within(rustls::Error::DecryptError)), Error::TlsProtocolError));
        assert!(matches!(of_tls(&io::ErrorKind::UnexpectedEof.into()), Error::ConnectionTerminated));
    }

    /// Why the body of a response is not whole, of which a server says the chunks.
    async fn failure_of(chunks: &str) -> Error {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await.expect("a connection");
        let connection = tokio::spawn(connection);
        let serve = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(far.read_u8().await.expect("a request"));
            }
            let said = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
            far.write_all(said.as_bytes()).await.expect("a client");
        };
        let ask = async {
            let response = sender.send_request(Request::new(Empty::<Bytes>::new())).await.expect("a head");
            of_body(response.into_body().collect().await.expect_err("it is not whole"))
        };
        let (failure, ()) = tokio::join!(ask, serve);
        connection.abort();
        failure
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_body_is_no_error_of_tls() {
        let coding =
            |failure| matches!(failure, Error::HttpResponseTransferCoding(Some(coding)) if coding == "chunked");
        for chunks in ["x\r\n", "2\r\nabc\r\n", "fffffffffffffffff\r\n"] {
            assert!(coding(failure_of(chunks).await), "{chunks:?}");
        }
        let trailers = format!("0\r\na: {}\r\n\r\n", "b".repeat(1 << 17));
        assert!(matches!(failure_of(&trailers).await, Error::HttpResponseTrailerSectionSize(_)));
        assert!(matches!(failure_of("0\r\na b: c\r\n\r\n").await, Error::HttpProtocolError));
    }
}
