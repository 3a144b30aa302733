//! The connections of `wasi:tls`: TLS over streams that the guest has from its sockets, or from wherever else.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsConnector, client};
use wasmtime_wasi_tls::{Error, TlsProvider, TlsStream, TlsTransport};

use super::TlsRoots;
use super::forward::forward_to_field;

/// Makes the connections of one guest.
pub(super) struct Provider {
    roots: TlsRoots,
}

impl Provider {
    pub(super) const fn new(roots: TlsRoots) -> Self {
        Self { roots }
    }
}

impl TlsProvider for Provider {
    fn connect(
        &self,
        server_name: String,
        transport: Box<dyn TlsTransport>,
    ) -> Pin<Box<dyn Future<Output = Result<Box<dyn TlsStream>, Error>> + Send>> {
        let roots = self.roots.clone();
        Box::pin(async move {
            let server = ServerName::try_from(server_name).map_err(Error::msg)?;
            let config = roots.client().await.map_err(Error::msg)?;
            let stream = connect(config, server, transport).await?;
            Ok(Box::new(Stream(stream)) as Box<dyn TlsStream>)
        })
    }
}

/// Makes a connection of TLS over `transport`, to the server that proves to be `server`.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
    transport: S,
) -> io::Result<client::TlsStream<S>> {
    TlsConnector::from(config).connect(server, transport).await
}

/// A type of this crate, for which wasmtime-wasi-tls's trait can be implemented.
struct Stream(client::TlsStream<Box<dyn TlsTransport>>);

impl TlsStream for Stream {}

forward_to_field!(Stream, 0);
