//! Sends requests by `wasi:http` 0.2, as its [arguments](Asked) say, and prints the results.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use xila_network_programs::http::{Asked, Failure, Fetched, Field, report, report_sent};
use xila_network_programs::p2::{InputStream, OutputStream, StreamError};

fn main() {
    let asked = Asked::from_arguments();
    let held = report(fetch(&asked));
    for next in asked.following() {
        drop(report(fetch(&next)));
    }
    drop(held);
}

/// A response that is being read; `None` where it was given up.
struct Answer(Option<(InputStream, IncomingBody, IncomingResponse)>);

impl Answer {
    fn wait(pending: &FutureIncomingResponse) -> Result<Self, Failure> {
        pending.subscribe().block();
        let response = pending.get().expect("it is ready").expect("it is taken once")?;
        let incoming = response.consume().expect("a body");
        let input = incoming.stream().expect("a stream");
        Ok(Self(Some((input, incoming, response))))
    }

    fn status(&self) -> u16 {
        let Some((_, _, response)) = &self.0 else { panic!("it was given up") };
        response.status()
    }

    /// The next bytes, or `None` at the end.
    fn read(&self) -> Result<Option<Vec<u8>>, Failure> {
        let Some((input, _, _)) = &self.0 else { panic!("it was given up") };
        match input.blocking_read(1 << 16) {
            Ok(more) => Ok(Some(more)),
            Err(StreamError::Closed) => Ok(None),
            // wasmtime-wasi-http 48 has a code for an error only up to the head of the response.
            Err(StreamError::LastOperationFailed(error)) => {
                let code = wasip2::http::types::http_error_code(&error);
                Err(code.map_or_else(|| Failure(error.to_debug_string()), Failure::from))
            }
        }
    }

    /// The trailers, after the whole body.
    fn trailers(&mut self) -> Result<Vec<Field>, Failure> {
        let Some((input, incoming, _)) = self.0.take() else { panic!("it was given up") };
        drop(input);
        let trailers = IncomingBody::finish(incoming);
        trailers.subscribe().block();
        let fields = trailers.get().expect("they are ready").expect("they are taken once")?;
        Ok(fields.map(|fields| fields.entries()).unwrap_or_default())
    }
}

fn fetch(asked: &Asked) -> Result<(Fetched, Answer), Failure> {
    let [connect, first, between] = asked.timeouts;
    let request = OutgoingRequest::new(Fields::from_list(&asked.headers)?);
    let method = if asked.method == "GET" { Method::Get } else { Method::Other(asked.method.clone()) };
    request.set_method(&method).expect("a method");
    let scheme = match asked.scheme.as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    request.set_scheme(Some(&scheme)).expect("a scheme");
    request.set_authority(Some(&asked.authority)).map_err(|()| Failure("no authority".into()))?;
    request.set_path_with_query(Some(&asked.path)).expect("a path");
    let options = RequestOptions::new();
    options.set_connect_timeout(connect).expect("a timeout");
    options.set_first_byte_timeout(first).expect("a timeout");
    options.set_between_bytes_timeout(between).expect("a timeout");

    let outgoing = request.body().expect("a body");
    let pending = outgoing_handler::handle(request, Some(options))?;
    let (mut answer, mut body) = (None, Vec::new());
    if let Some(whole) = &asked.body {
        let output = outgoing.write().expect("a stream");
        let mut sent = 0;
        for piece in asked.pieces() {
            let now = send(&output, piece);
            sent += now;
            // What is left is not wanted; the response says why.
            if now < piece.len() {
                break;
            }
            if asked.rounds > 1 {
                let answer = match &answer {
                    Some(answer) => answer,
                    None => answer.insert(Answer::wait(&pending)?),
                };
                while body.len() < sent {
                    body.extend(answer.read()?.expect("more bytes"));
                }
            }
        }
        report_sent(sent, whole.len());
    }
    let trailers = (!asked.trailers.is_empty()).then(|| Fields::from_list(&asked.trailers)).transpose()?;
    if asked.is_unfinished {
        drop(outgoing);
    } else {
        OutgoingBody::finish(outgoing, trailers)?;
    }

    let mut answer = match answer {
        Some(answer) => answer,
        None => Answer::wait(&pending)?,
    };
    let status = answer.status();
    while body.len() < asked.most {
        let Some(more) = answer.read()? else {
            let trailers = answer.trailers()?;
            return Ok((Fetched { status, body, trailers }, answer));
        };
        body.extend(more);
    }
    body.truncate(asked.most);
    if !asked.holds {
        answer.0 = None;
    }
    Ok((Fetched { status, body, trailers: Vec::new() }, answer))
}

/// Writes bytes until the stream is closed, and returns their number.
fn send(output: &OutputStream, bytes: &[u8]) -> usize {
    let pollable = output.subscribe();
    let mut sent = 0;
    while sent < bytes.len() {
        match output.check_write() {
            Ok(0) => pollable.block(),
            Ok(permit) => {
                let now = usize::try_from(permit).expect("a permit").min(bytes.len() - sent);
                if output.write(&bytes[sent..sent + now]).is_err() {
                    break;
                }
                sent += now;
            }
            Err(_) => break,
        }
    }
    sent
}
