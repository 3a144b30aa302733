//! Fetches a page over HTTP: `http-get URL [-o FILE] [--wait SECONDS]` writes the body to standard output, or to a
//! file.

#[path = "support/hyper_io.rs"]
mod hyper_io;
mod support;

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use hyper::{Request, Response, Uri};

use hyper_io::HyperIo;
use support::Arguments;

xila_network::main!(run);

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::parse("http-get URL [-o FILE] [--wait SECONDS]", &["o", "wait"]);
    let url: Uri = arguments.next("a URL such as http://192.0.2.1/index.html");
    arguments.finish();
    let (server, port) = server_of(&url).unwrap_or_else(|problem| arguments.fail(&problem));
    let output: Option<String> = arguments.option("o");

    let stream = support::connect((server, port), arguments.option("wait"))
        .await
        .map_err(|error| format!("cannot connect to {server}:{port}: {error}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(HyperIo(stream)).await?;
    xila_network::spawn(async move {
        // An error here also fails the request or the body, and is reported there.
        let _ = connection.await;
    });

    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let host = url.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, concat!("http-get/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if !response.status().is_success() {
        return Err(format!("the server answered {}", response.status()).into());
    }

    match output {
        Some(path) => {
            let file = File::create(&path).map_err(|error| format!("cannot write {path}: {error}"))?;
            copy_body(response, file).await
        }
        None => copy_body(response, io::stdout().lock()).await,
    }
}

/// Writes the body to `output`, and checks that it is complete.
async fn copy_body(response: Response<Incoming>, mut output: impl Write) -> Result<(), Box<dyn Error>> {
    let promised = match response.headers().get(CONTENT_LENGTH) {
        Some(length) => Some(length.to_str()?.parse::<u64>()?),
        None => None,
    };
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        output.write_all(&data)?;
        length += data.len() as u64;
    }
    output.flush()?;
    match promised {
        Some(promised) if promised != length => Err(format!("{length} bytes came of {promised}").into()),
        _ => Ok(()),
    }
}

/// The server's name or address, and its port.
fn server_of(url: &Uri) -> Result<(&str, u16), String> {
    match url.scheme_str() {
        Some("http") => {}
        Some(scheme) => return Err(format!("{scheme} is not spoken here, only http")),
        None => return Err(format!("{url} does not begin with http://")),
    }
    let host = url.host().filter(|host| !host.is_empty()).ok_or_else(|| format!("{url} names no server"))?;
    Ok((host, url.port_u16().unwrap_or(80)))
}
