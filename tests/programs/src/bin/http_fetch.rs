//! Sends one request by `wasi:http` 0.2, with or without a body, and prints the result.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use xila_network_programs::http::{Asked, report};
use xila_network_programs::p2::{StreamError, write_all};

fn main() {
    report(fetch(Asked::from_arguments()).map_err(|failure| match failure {
        Failure::Code(code) => format!("{code:?}"),
        Failure::Text(text) => text,
    }));
}

/// An error, which wasmtime-wasi-http 48 has a code for only up to the head of the response.
enum Failure {
    Code(ErrorCode),
    Text(String),
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

fn fetch(asked: Asked) -> Result<(u16, Vec<u8>), Failure> {
    let Asked { is_secure, authority, path, method, body, timeouts: [connect, first, between] } = asked;
    let request = OutgoingRequest::new(Fields::new());
    let method = if method == "GET" { Method::Get } else { Method::Other(method) };
    request.set_method(&method).expect("a method");
    request.set_scheme(Some(&if is_secure { Scheme::Https } else { Scheme::Http })).expect("a scheme");
    request.set_authority(Some(&authority)).expect("an authority");
    request.set_path_with_query(Some(&path)).expect("a path");
    let options = RequestOptions::new();
    options.set_connect_timeout(connect).expect("a timeout");
    options.set_first_byte_timeout(first).expect("a timeout");
    options.set_between_bytes_timeout(between).expect("a timeout");

    let outgoing = request.body().expect("a body");
    let response = outgoing_handler::handle(request, Some(options))?;
    if let Some(body) = body {
        let output = outgoing.write().expect("a stream");
        write_all(&output, &body);
    }
    OutgoingBody::finish(outgoing, None)?;

    let pollable = response.subscribe();
    let response = loop {
        match response.get() {
            Some(response) => break response.expect("it is taken once")?,
            None => pollable.block(),
        }
    };
    let incoming = response.consume().expect("a body");
    let input = incoming.stream().expect("a stream");
    let mut bytes = Vec::new();
    loop {
        match input.blocking_read(1 << 16) {
            Ok(more) => bytes.extend(more),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                let text = || Failure::Text(error.to_debug_string());
                return Err(wasip2::http::types::http_error_code(&error).map_or_else(text, Failure::Code));
            }
        }
    }
    drop(input);
    drop(IncomingBody::finish(incoming));
    Ok((response.status(), bytes))
}
