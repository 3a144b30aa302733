//! Answers requests by `wasi:http` 0.2: what to do is in the path.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam, Scheme,
};
use xila_network_programs::http::{about, traces};
use xila_network_programs::p2::{StreamError, write_all};

struct Answer;

#[allow(unsafe_code, unused_qualifications, clippy::all)]
const _: () = {
    wasip2::http::proxy::export!(Answer);
};

fn main() {
    panic!("this program answers requests");
}

impl Guest for Answer {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        match path.as_str() {
            "/trap" => panic!("as it was asked to"),
            "/silence" => return,
            "/hang" => loop {
                wasip2::clocks::monotonic_clock::subscribe_duration(1_000_000_000).block();
            },
            "/spin" => loop {
                std::hint::spin_loop();
            },
            _ => {}
        }
        let headers = Fields::new();
        // The response has the trailers of the request.
        for names in request.headers().get("trailer") {
            headers.append("trailer", &names).expect("a field");
        }
        let response = OutgoingResponse::new(headers);
        let body = response.body().expect("a body");
        ResponseOutparam::set(out, Ok(response));
        let output = body.write().expect("a stream");
        let mut trailers = None;
        match path.as_str() {
            "/echo" => {
                let incoming = request.consume().expect("a body");
                let input = incoming.stream().expect("a stream");
                loop {
                    match input.blocking_read(1 << 16) {
                        Ok(bytes) => write_all(&output, &bytes),
                        Err(StreamError::Closed) => break,
                        Err(error) => panic!("{error:?}"),
                    }
                }
                drop(input);
                let end = IncomingBody::finish(incoming);
                end.subscribe().block();
                let fields = end.get().expect("they are ready").expect("they are taken once").expect("a whole body");
                trailers = fields.map(|fields| Fields::from_list(&fields.entries()).expect("fields"));
            }
            "/flood" => {
                while output.blocking_write_and_flush(&[0; 4096]).is_ok() {}
                println!("nobody reads the body");
                return;
            }
            "/half" => {
                output.blocking_write_and_flush(b"half").expect("a client");
                panic!("as it was asked to");
            }
            "/about" => {
                let scheme = match request.scheme() {
                    Some(Scheme::Http) => "http",
                    scheme => panic!("{scheme:?}"),
                };
                let authority = request.authority().unwrap_or_default();
                write_all(&output, about(scheme, &authority, request.headers().entries()).as_bytes());
            }
            "/traces" => write_all(&output, traces().as_bytes()),
            _ => {
                let words: Vec<String> = std::env::args().skip(1).collect();
                let authority = request.authority().unwrap_or_default();
                write_all(&output, format!("{authority}{path} {}\n", words.join(" ")).as_bytes());
            }
        }
        drop(output);
        OutgoingBody::finish(body, trailers).expect("a whole body");
    }
}
