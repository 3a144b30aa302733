//! Sends requests by `wasi:http` 0.3, as its [arguments](Asked) say, and prints the results.

use xila_network_programs::http::p3::wasi::http::client;
use xila_network_programs::http::p3::wasi::http::types::{
    ErrorCode, Fields, Method, Request, RequestOptions, Response, Scheme,
};
use xila_network_programs::http::p3::{wit_future, wit_stream};
use xila_network_programs::http::{Asked, Failure, Fetched, report, report_sent};
use xila_network_programs::join;
use xila_network_programs::p3::{FutureReader, StreamReader, StreamResult};

xila_network::main!(run);

async fn run() {
    let asked = Asked::from_arguments();
    let held = report(fetch(&asked).await);
    for next in asked.following() {
        drop(report(fetch(&next).await));
    }
    drop(held);
}

/// What is left of a response's body.
type Rest = (StreamReader<u8>, FutureReader<Result<Option<Fields>, ErrorCode>>);

async fn fetch(asked: &Asked) -> Result<(Fetched, Option<Rest>), Failure> {
    let [connect, first, between] = asked.timeouts;
    let options = RequestOptions::new();
    options.set_connect_timeout(connect).expect("a timeout");
    options.set_first_byte_timeout(first).expect("a timeout");
    options.set_between_bytes_timeout(between).expect("a timeout");
    let (writer, contents) = wit_stream::new();
    let (trailers, end) = wit_future::new(|| Ok(None));
    let contents = asked.body.is_some().then_some(contents);
    let (request, sent) = Request::new(Fields::from_list(&asked.headers)?, contents, end, Some(options));
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

    let mut pieces = asked.pieces().peekable();
    let mut ends = Some((writer, trailers));
    let mut write = async |piece: Option<&[u8]>, is_last: bool| {
        let Some((mut writer, trailers)) = ends.take() else { panic!("it has ended") };
        if let Some(piece) = piece {
            let rest = writer.write_all(piece.to_vec()).await;
            // What is left is not wanted; the result of the request says why.
            report_sent(piece.len() - rest.len(), piece.len());
        }
        if is_last {
            drop(writer);
            let fields = (!asked.trailers.is_empty()).then(|| Fields::from_list(&asked.trailers).expect("trailers"));
            let end = if asked.is_unfinished { Err(ErrorCode::InternalError(None)) } else { Ok(fields) };
            drop(trailers.write(end).await);
        } else {
            ends = Some((writer, trailers));
        }
    };
    let piece = pieces.next();
    let is_last = pieces.peek().is_none();
    let (response, ()) = join(client::send(request), write(piece, is_last)).await;
    let response = response?;
    let status = response.get_status_code();
    let (result, consumed) = wit_future::new(|| Ok(()));
    let (mut contents, ended) = Response::consume_body(response, consumed);
    let mut body = Vec::new();
    let mut expected = piece.map_or(0, <[u8]>::len);
    while let Some(piece) = pieces.next() {
        while body.len() < expected {
            let (end, more) = contents.read(Vec::with_capacity(1 << 16)).await;
            assert!(matches!(end, StreamResult::Complete(_)), "the body ends after {} bytes: {end:?}", body.len());
            body.extend(more);
        }
        write(Some(piece), pieces.peek().is_none()).await;
        expected += piece.len();
    }
    while body.len() < asked.most {
        let (end, more) = contents.read(Vec::with_capacity(1 << 16)).await;
        body.extend(more);
        if matches!(end, StreamResult::Dropped) {
            let trailers = ended.await?.map(|fields| fields.copy_all()).unwrap_or_default();
            drop(result);
            // The server has answered although it did not want the rest of the request.
            if let Err(code) = sent.await {
                println!("not all of the request was sent: {code:?}");
            }
            return Ok((Fetched { status, body, trailers }, None));
        }
    }
    body.truncate(asked.most);
    Ok((Fetched { status, body, trailers: Vec::new() }, asked.holds.then_some((contents, ended))))
}
