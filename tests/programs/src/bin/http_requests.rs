//! Sends requests by `wasi:http` 0.2, several at one time, for some seconds: `URL SECONDS AT-ONCE`. Prints how many were
//! answered.

use std::time::{Duration, Instant};

use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, FutureIncomingResponse, IncomingBody, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::io::poll::poll;
use xila_network_programs::p2::StreamError;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, seconds, at_once] = words.as_slice() else { panic!("usage: http_requests URL SECONDS AT-ONCE") };
    let target = url.strip_prefix("http://").expect("a URL that begins with http://");
    let (authority, path) = target.split_at(target.find('/').expect("a URL with a path"));
    let time = Duration::from_secs_f64(seconds.parse().expect("a number of seconds"));
    let at_once: usize = at_once.parse().expect("a number of requests");

    let start = Instant::now();
    let mut answered = 0;
    let mut pending: Vec<FutureIncomingResponse> = (0..at_once).map(|_| send(authority, path)).collect();
    while !pending.is_empty() {
        let pollables: Vec<_> = pending.iter().map(FutureIncomingResponse::subscribe).collect();
        let mut ready = poll(&pollables.iter().collect::<Vec<_>>());
        ready.sort_unstable();
        drop(pollables);
        // From the last one on, so that the places of the others stay as they are.
        for place in ready.into_iter().rev() {
            let response = pending.swap_remove(place as usize);
            receive(&response);
            answered += 1;
            if start.elapsed() < time {
                pending.push(send(authority, path));
            }
        }
    }
    let took = start.elapsed().as_secs_f64();
    println!("{answered} requests in {took:.3} s: {:.0} per second", f64::from(answered) / took);
}

fn send(authority: &str, path: &str) -> FutureIncomingResponse {
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    request.set_authority(Some(authority)).expect("an authority");
    request.set_path_with_query(Some(path)).expect("a path");
    let body = request.body().expect("a body");
    let response = outgoing_handler::handle(request, None).expect("a request");
    OutgoingBody::finish(body, None).expect("an empty body");
    response
}

/// Receives the whole response, whose head is there.
fn receive(response: &FutureIncomingResponse) {
    let response = response.get().expect("it is there").expect("it is taken once").expect("a response");
    assert_eq!(response.status(), 200);
    let body = response.consume().expect("a body");
    let input = body.stream().expect("a stream");
    let mut bytes = 0;
    loop {
        match input.blocking_read(1 << 16) {
            Ok(more) => bytes += more.len(),
            Err(StreamError::Closed) => break,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(bytes > 0, "an empty body");
    drop(input);
    drop(IncomingBody::finish(body));
}
