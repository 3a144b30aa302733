//! Serves pages over HTTP: `http-server ADDRESS:PORT [--requests N] [FILE]`.
//!
//! `/` is the file, or without a file a page that mentions the other paths. `/bytes/N` is a body of N pseudo-random
//! bytes (at most 1e12), which are the same each time: bytes 8i to 8i+7 are splitmix64 of i, least significant byte
//! first. With `--requests N`, the program ends when N requests have been answered.

#[path = "support/hyper_io.rs"]
mod hyper_io;
mod support;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use xila_network::{TcpListener, TcpStream};

use hyper_io::HyperIo;
use support::Arguments;

xila_network::main!(run);

type Page = Either<Full<Bytes>, Generated>;

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::parse("http-server ADDRESS:PORT [--requests N] [FILE]", &["requests"]);
    let address: SocketAddr = arguments.next("ADDRESS:PORT");
    let file: Option<String> = arguments.next_if_any("a file");
    arguments.finish();
    let page = match file {
        Some(path) => Bytes::from(std::fs::read(&path).map_err(|error| format!("cannot read {path}: {error}"))?),
        None => Bytes::from_static(b"It works. /bytes/N is N bytes to try the network with.\n"),
    };
    let work = Rc::new(Work { left: Cell::new(arguments.option("requests")), waiting: RefCell::default() });

    let listener = TcpListener::bind(address)?;
    println!("listening on http://{}/", listener.local_addr());
    loop {
        let accepted = poll_fn(|cx| match work.poll_done(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => listener.poll_accept(cx).map(Some),
        });
        let Some(accepted) = accepted.await else { return Ok(()) };
        let (stream, peer) = accepted?;
        let (page, work) = (page.clone(), Rc::clone(&work));
        xila_network::spawn(async move {
            if let Err(error) = serve(stream, page, work).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

/// Answers the requests of one connection, until the peer ends it or no more requests are to be answered.
async fn serve(stream: TcpStream, page: Bytes, work: Rc<Work>) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(&request, page.clone());
        println!("{} {} {}", request.method(), request.uri(), response.status().as_u16());
        work.count();
        async move { Ok::<_, Infallible>(response) }
    });
    let mut connection = pin!(hyper::server::conn::http1::Builder::new().serve_connection(HyperIo(stream), service));
    let mut ending = false;
    poll_fn(|cx| {
        if !ending && work.poll_done(cx).is_ready() {
            ending = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    })
    .await
}

fn answer(request: &Request<Incoming>, page: Bytes) -> Response<Page> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    match request.uri().path() {
        "/" => Response::new(Either::Left(Full::new(page))),
        path => match path.strip_prefix("/bytes/").map(str::parse::<u64>) {
            Some(Ok(length)) if length <= 1_000_000_000_000 => {
                let mut response = Response::new(Either::Right(Generated { position: 0, length }));
                let binary = HeaderValue::from_static("application/octet-stream");
                response.headers_mut().insert(CONTENT_TYPE, binary);
                response
            }
            Some(_) => text(StatusCode::BAD_REQUEST, "/bytes/N takes a number up to 1000000000000\n"),
            None => text(StatusCode::NOT_FOUND, "there is no such page\n"),
        },
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Page> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from_static(text.as_bytes()))));
    *response.status_mut() = status;
    response
}

/// How many requests are still to be answered, and the tasks to wake when none are left.
struct Work {
    left: Cell<Option<u64>>,
    waiting: RefCell<Vec<Waker>>,
}

impl Work {
    fn count(&self) {
        let left = self.left.get().map(|left| left.saturating_sub(1));
        self.left.set(left);
        if left == Some(0) {
            self.waiting.take().into_iter().for_each(Waker::wake);
        }
    }

    fn poll_done(&self, cx: &Context<'_>) -> Poll<()> {
        if self.left.get() == Some(0) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// A body that is generated while it is sent.
struct Generated {
    position: u64,
    length: u64,
}

impl Body for Generated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        const CHUNK: u64 = 64 * 1024;
        if self.position == self.length {
            return Poll::Ready(None);
        }
        // A chunk begins at a multiple of 8, so that only the last number of the body may be incomplete.
        let count = CHUNK.min(self.length - self.position);
        let first = self.position / 8;
        let mut data: Vec<u8> = (first..first + count.div_ceil(8)).flat_map(|i| splitmix64(i).to_le_bytes()).collect();
        data.truncate(count as usize);
        self.position += count;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(data)))))
    }

    fn is_end_stream(&self) -> bool {
        self.position == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length - self.position)
    }
}

/// The `i`th output of Steele, Lea and Flood's generator.
fn splitmix64(i: u64) -> u64 {
    let mut z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
