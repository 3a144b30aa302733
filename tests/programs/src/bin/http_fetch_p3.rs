//! Sends one request by `wasi:http` 0.3, with or without a body, and prints the result.

use xila_network_programs::http::p3::wasi::http::client;
use xila_network_programs::http::p3::wasi::http::types::{
    ErrorCode, Fields, Method, Request, RequestOptions, Response, Scheme,
};
use xila_network_programs::http::p3::{wit_future, wit_stream};
use xila_network_programs::http::{Asked, report};
use xila_network_programs::join;

xila_network::main!(run);

async fn run() {
    report(fetch(Asked::from_arguments()).await);
}

async fn fetch(asked: Asked) -> Result<(u16, Vec<u8>), ErrorCode> {
    let Asked { is_secure, authority, path, method, body, timeouts: [connect, first, between] } = asked;
    let options = RequestOptions::new();
    options.set_connect_timeout(connect).expect("a timeout");
    options.set_first_byte_timeout(first).expect("a timeout");
    options.set_between_bytes_timeout(between).expect("a timeout");
    let (mut writer, contents) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (request, sent) = Request::new(Fields::new(), body.is_some().then_some(contents), no_trailers, Some(options));
    request.set_method(&if method == "GET" { Method::Get } else { Method::Other(method) }).expect("a method");
    request.set_scheme(Some(&if is_secure { Scheme::Https } else { Scheme::Http })).expect("a scheme");
    request.set_authority(Some(&authority)).expect("an authority");
    request.set_path_with_query(Some(&path)).expect("a path");

    let writing = async {
        if let Some(body) = body {
            // What is left was not wanted; the result of the request says why.
            drop(writer.write_all(body).await);
        }
        drop(writer);
        drop(trailers.write(Ok(None)).await);
    };
    let (response, ()) = join(client::send(request), writing).await;
    let response = response?;
    let status = response.get_status_code();
    let (result, consumed) = wit_future::new(|| Ok(()));
    let (contents, ended) = Response::consume_body(response, consumed);
    let bytes = contents.collect().await;
    ended.await?;
    drop(result);
    sent.await?;
    Ok((status, bytes))
}
