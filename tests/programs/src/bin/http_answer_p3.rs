//! Answers requests by `wasi:http` 0.3: what to do is in the path.

use bindings::exports::wasi::http::handler::Guest;
use bindings::wasi::http::types::{ErrorCode, Fields, Request, Response};
use bindings::{wit_future, wit_stream};

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
        let (mut writer, contents) = wit_stream::new();
        let (trailers, no_trailers) = wit_future::new(|| Ok(None));
        let (response, sent) = Response::new(Fields::new(), Some(contents), no_trailers);
        // The body is written when this function has returned.
        wit_bindgen::spawn_local(async move {
            if path == "/echo" {
                let (result, consumed) = wit_future::new(|| Ok(()));
                let (mut body, ended) = Request::consume_body(request, consumed);
                while let Some(byte) = body.next().await {
                    let mut bytes = vec![byte];
                    let (_, more) = body.read(Vec::with_capacity(1 << 16)).await;
                    bytes.extend(more);
                    drop(writer.write_all(bytes).await);
                }
                ended.await.expect("a whole request");
                drop(result);
            } else {
                let authority = request.get_authority().unwrap_or_default();
                drop(writer.write_all(format!("{authority}{path}\n").into_bytes()).await);
            }
            drop(writer);
            drop(trailers.write(Ok(None)).await);
            drop(sent.await);
        });
        Ok(response)
    }
}
