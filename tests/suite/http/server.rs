//! Servers of the tests: HTTP, with or without TLS, on a network of this project.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use wasmtime_wasi_http::io::TokioIo;
use xila_network_host::socket::{ListenOptions, Network, TcpListener};
use xila_network_host::wasm::http::TlsRoots;

/// A server, which ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// How many requests it has answered.
    pub(crate) answered: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1; with TLS, if it has an acceptor.
    pub(crate) fn start(network: &Network, tls: Option<TlsAcceptor>) -> Self {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(network, local, ListenOptions::default()).expect("a listener");
        let (address, answered) = (listener.local_addr(), Arc::new(AtomicUsize::new(0)));
        let count = answered.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (tls, count) = (tls.clone(), count.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, count).await,
                        // A client that does not trust the certificate ends the handshake.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, count).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, answered, task }
    }

    /// Ends the server, and waits until it has closed its listener.
    pub(crate) async fn end(mut self) {
        self.task.abort();
        assert!((&mut self.task).await.is_err_and(|error| error.is_cancelled()), "the server has ended by itself");
    }

    pub(crate) fn requests(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, answered: Arc<AtomicUsize>) {
    let service = service_fn(move |request| answer(request, answered.clone()));
    // Clients may leave before the end, and some tests make them.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// Answers by the path: the body of the request, nothing ever, a part of a body and nothing more, or a greeting.
async fn answer(
    request: Request<Incoming>,
    answered: Arc<AtomicUsize>,
) -> Result<Response<http_body_util::Either<Full<Bytes>, Stalled>>, Infallible> {
    let path = request.uri().path().to_owned();
    if path == "/hang" {
        std::future::pending::<()>().await;
    }
    answered.fetch_add(1, Ordering::SeqCst);
    if path == "/stall" {
        return Ok(Response::new(http_body_util::Either::Right(Stalled(Some(Bytes::from_static(b"begun"))))));
    }
    let host = request.headers().get("host").map(|host| host.to_str().expect("text").to_owned());
    let body = match path.as_str() {
        "/echo" => request.into_body().collect().await.expect("a body").to_bytes(),
        _ => format!("{path} of {}", host.expect("a host")).into(),
    };
    Ok(Response::new(http_body_util::Either::Left(Full::new(body))))
}

/// A body of which one part comes, and nothing after it.
pub(crate) struct Stalled(Option<Bytes>);

impl hyper::body::Body for Stalled {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        match self.0.take() {
            Some(part) => std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(part)))),
            None => std::task::Poll::Pending,
        }
    }
}

/// A root that was made for one test, and a server with a certificate of it for `localhost`.
pub(crate) fn authority() -> (String, TlsRoots, TlsAcceptor) {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().expect("a key")).expect("a root");
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["localhost".to_owned()]).expect("a name");
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
