//! Servers of the tests: HTTP, with or without TLS, on a network of this project.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{self, HandshakeKind, ServerConfig};
use wasmtime_wasi_http::io::TokioIo;
use xila_network_host::socket::{ListenOptions, Network, TcpListener, TcpStream};
use xila_network_host::wasm::http::TlsRoots;

/// A server, which ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

/// What a server counts.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    answered: AtomicUsize,
    unanswered: AtomicUsize,
    resumed: AtomicUsize,
    refused: AtomicUsize,
    /// How many bytes of `/flood` were taken from it, which may not have been sent yet.
    flooded: AtomicUsize,
    /// Whether a response of `/flood` is not wanted any more.
    gone: watch::Sender<bool>,
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1; with TLS, if it has an acceptor.
    pub(crate) fn start(network: &Network, tls: Option<TlsAcceptor>) -> Self {
        Self::with(network, move |stream, seen| {
            let tls = tls.clone();
            async move {
                match tls {
                    None => converse(stream, seen).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => {
                            if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                                seen.resumed.fetch_add(1, Ordering::SeqCst);
                            }
                            converse(stream, seen).await;
                        }
                        // A client that does not trust the certificate ends the handshake, and says so.
                        Err(error) => {
                            if is_alert(&error) {
                                seen.refused.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    },
                }
            }
        })
    }

    /// Starts a server that reads the head of one request and says `bytes`.
    pub(crate) fn saying(network: &Network, bytes: &'static [u8]) -> Self {
        Self::with(network, move |mut stream, seen| async move {
            say(&mut stream, bytes, &seen).await;
        })
    }

    /// Starts a server that says `bytes` to the first request of each connection, and closes it when it has read the
    /// head of a second one.
    pub(crate) fn saying_once(network: &Network, bytes: &'static [u8]) -> Self {
        Self::with(network, move |mut stream, seen| async move {
            say(&mut stream, bytes, &seen).await;
            if is_asked(&mut stream).await {
                seen.unanswered.fetch_add(1, Ordering::SeqCst);
            }
        })
    }

    fn with<F>(network: &Network, converse: impl Fn(TcpStream, Arc<Seen>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(network, local, ListenOptions::default()).expect("a listener");
        let (address, seen) = (listener.local_addr(), Arc::new(Seen::default()));
        let shared = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(converse(stream, shared.clone()));
            }
        });
        Self { address, seen, task }
    }

    /// Ends the server, and waits until it has closed its listener.
    pub(crate) async fn end(mut self) {
        self.task.abort();
        assert!((&mut self.task).await.is_err_and(|error| error.is_cancelled()), "the server has ended by itself");
    }

    /// How many connections it has accepted.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// How many requests it has answered.
    pub(crate) fn requests(&self) -> usize {
        self.seen.answered.load(Ordering::SeqCst)
    }

    /// How many requests it has read and not answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.seen.unanswered.load(Ordering::SeqCst)
    }

    /// How many connections of TLS have taken up the session of an earlier one.
    pub(crate) fn resumed(&self) -> usize {
        self.seen.resumed.load(Ordering::SeqCst)
    }

    /// How many clients have told it that they do not speak TLS with it.
    pub(crate) fn refused(&self) -> usize {
        self.seen.refused.load(Ordering::SeqCst)
    }

    /// How many bytes of `/flood` were taken from it.
    pub(crate) fn flooded(&self) -> usize {
        self.seen.flooded.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether the client has said why there is no TLS.
fn is_alert(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::AlertReceived(_)))
}

/// Reads the head of a request; returns whether it was whole.
async fn is_asked(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

/// Says `bytes` to a request whose head is whole. It is counted before, so that whoever has the response finds it counted.
async fn say(stream: &mut TcpStream, bytes: &[u8], seen: &Seen) {
    if is_asked(stream).await {
        seen.answered.fetch_add(1, Ordering::SeqCst);
        // A client that has left is seen by the next read.
        let _left = stream.write_all(bytes).await;
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, seen: Arc<Seen>) {
    let service = service_fn(move |request| answer(request, seen.clone()));
    // Clients may leave before the end, and some tests make them.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// Answers by the path.
async fn answer(
    request: Request<Incoming>,
    seen: Arc<Seen>,
) -> hyper::Result<Response<UnsyncBoxBody<Bytes, hyper::Error>>> {
    let path = request.uri().path().to_owned();
    match path.as_str() {
        // Nothing ever.
        "/hang" => std::future::pending().await,
        // Nothing until nobody wants `/flood` any more.
        "/gone" => drop(seen.gone.subscribe().wait_for(|gone| *gone).await),
        _ => {}
    }
    seen.answered.fetch_add(1, Ordering::SeqCst);
    let mut response = Response::new(());
    let body = match path.as_str() {
        // The body of the request, when it is whole.
        "/echo" => full(request.into_body().collect().await?.to_bytes()),
        // The body of the request and its trailers, while they come.
        "/mirror" => {
            if let Some(names) = request.headers().get(header::TRAILER) {
                response.headers_mut().insert(header::TRAILER, names.clone());
            }
            request.into_body().boxed_unsync()
        }
        // A part of a body and nothing more.
        "/stall" => Stalled(Some(Bytes::from_static(b"begun"))).map_err(|never| match never {}).boxed_unsync(),
        // More than anybody reads.
        "/flood" => Flood(seen).map_err(|never| match never {}).boxed_unsync(),
        // What was asked.
        "/about" => {
            let mut lines = format!("{} {}\n", request.method(), request.uri());
            // In the order of their names.
            let mut fields: Vec<_> = request.headers().iter().collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            for (name, value) in fields {
                lines += &format!("{name}: {}\n", value.to_str().expect("text"));
            }
            request.into_body().collect().await?;
            full(lines.into())
        }
        "/moved" => {
            *response.status_mut() = hyper::StatusCode::FOUND;
            response.headers_mut().insert(header::LOCATION, header::HeaderValue::from_static("/new"));
            full(Bytes::new())
        }
        "/teapot" => {
            *response.status_mut() = hyper::StatusCode::IM_A_TEAPOT;
            full(Bytes::new())
        }
        // A greeting.
        _ => {
            let host = request.headers().get(header::HOST).map(|host| host.to_str().expect("text").to_owned());
            full(format!("{path} of {}", host.expect("a host")).into())
        }
    };
    Ok(response.map(|()| body))
}

fn full(bytes: Bytes) -> UnsyncBoxBody<Bytes, hyper::Error> {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A body of which one part comes, and nothing after it.
struct Stalled(Option<Bytes>);

impl Body for Stalled {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |part| Poll::Ready(Some(Ok(Frame::data(part)))))
    }
}

/// A body without an end.
struct Flood(Arc<Seen>);

impl Body for Flood {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        const PART: &[u8] = &[0; 1 << 14];
        self.0.flooded.fetch_add(PART.len(), Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(PART)))))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.gone.send_replace(true);
    }
}

/// A root that was made for one test, and a server with a certificate of it for `localhost` and `host.internal`.
pub(crate) fn authority() -> (String, TlsRoots, TlsAcceptor) {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().expect("a key")).expect("a root");
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["localhost", "host.internal"].map(str::to_owned)).expect("names");
    let certificate = certificate.signed_by(&key, &root).expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
        .expect("a certificate and its key");
    let pem = root.pem();
    let roots = TlsRoots::from_pem(pem.as_bytes()).expect("a root");
    (pem, roots, TlsAcceptor::from(Arc::new(config)))
}
