//! Answers requests by `wasi:http` 0.3: what to do is in the path.

use bindings::exports::wasi::http::handler::Guest;
use bindings::wasi::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use bindings::{wit_future, wit_stream};
use wit_bindgen::StreamResult;
use xila_network_programs::http::{about, traces};

#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::use_self)]
#[allow(clippy::semicolon_if_nothing_returned, clippy::needless_pass_by_value)]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit/deps/wasi-clocks-0.3.wit", "wit/wasi-http-0.3.wit"],
        inline: "
            package xila:answers;

            world server {
                import wasi:http/types@0.3.0;
                export wasi:http/handler@0.3.0;
            }
        ",
        world: "xila:answers/server",
        generate_all,
        type_section_suffix: "http-server-p3",
    });
}

struct Answer;

#[allow(unsafe_code, unused_qualifications, clippy::all)]
const _: () = {
    bindings::export!(Answer with_types_in bindings);
};

fn main() {
    panic!("this program answers requests");
}

impl Guest for Answer {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        match path.as_str() {
            "/trap" => panic!("as it was asked to"),
            "/error" => return Err(ErrorCode::InternalError(Some("as it was asked to".into()))),
            // A task that waits for nothing would be a deadlock, which is a trap.
            "/hang" => std::thread::sleep(std::time::Duration::from_secs(3600)),
            _ => {}
        }
        let headers = Fields::new();
        // The response has the trailers of the request.
        for names in request.get_headers().get("trailer") {
            headers.append("trailer", &names).expect("a field");
        }
        let (mut writer, contents) = wit_stream::new();
        let (trailers, end) = wit_future::new(|| Ok(None));
        let (response, sent) = Response::new(headers, Some(contents), end);
        // The body is written when this function has returned.
        wit_bindgen::spawn_local(async move {
            let mut fields = None;
            match path.as_str() {
                "/echo" => {
                    let (result, consumed) = wit_future::new(|| Ok(()));
                    let (mut body, ended) = Request::consume_body(request, consumed);
                    loop {
                        let (end, bytes) = body.read(Vec::with_capacity(1 << 16)).await;
                        drop(writer.write_all(bytes).await);
                        if matches!(end, StreamResult::Dropped) {
                            break;
                        }
                    }
                    fields = ended.await.expect("a whole request");
                    drop(result);
                }
                "/flood" => {
                    while writer.write_all(vec![0; 4096]).await.is_empty() {}
                    println!("nobody reads the body");
                    return;
                }
                "/half" => {
                    drop(writer.write_all(b"half".to_vec()).await);
                    panic!("as it was asked to");
                }
                "/about" => {
                    let scheme = match request.get_scheme() {
                        Some(Scheme::Http) => "http",
                        scheme => panic!("{scheme:?}"),
                    };
                    let authority = request.get_authority().unwrap_or_default();
                    let text = about(scheme, &authority, request.get_headers().copy_all());
                    drop(writer.write_all(text.into_bytes()).await);
                }
                "/traces" => drop(writer.write_all(traces().into_bytes()).await),
                _ => {
                    let authority = request.get_authority().unwrap_or_default();
                    drop(writer.write_all(format!("{authority}{path}\n").into_bytes()).await);
                }
            }
            drop(writer);
            drop(trailers.write(Ok(fields)).await);
            drop(sent.await);
        });
        Ok(response)
    }
}
