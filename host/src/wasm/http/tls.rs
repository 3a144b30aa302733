//! How a guest connects by TLS, and the connections of `wasi:tls`: TLS over streams that the guest has from its sockets,
//! or from wherever else.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsConnector, client};
use wasmtime_wasi_tls::{Error, TlsProvider, TlsStream, TlsTransport};

use super::TlsRoots;
use super::forward::forward_to_field;
use crate::socket::TcpStream;

/// How many sessions a guest keeps to take them up again. rustls keeps eight of each server.
const MOST_SESSIONS: usize = 64;

/// How one guest connects: by the roots that it trusts, which it may share with others, and with sessions that it
/// shares with nobody. By a session that one guest begins and another takes up, a server would see that they have the
/// same host (RFC 8446 appendix C.4), and one guest could tell which servers another has connected to.
#[derive(Clone)]
pub(super) struct Client {
    roots: TlsRoots,
    sessions: Resumption,
}

impl Client {
    /// The client of a guest that has no sessions yet.
    pub(super) fn new(roots: TlsRoots) -> Self {
        Self { roots, sessions: Resumption::in_memory_sessions(MOST_SESSIONS) }
    }

    /// The configuration of a connection.
    ///
    /// # Errors
    /// As for [`TlsRoots::client`].
    pub(super) async fn config(&self) -> Result<ClientConfig, String> {
        let mut config = (*self.roots.client().await?).clone();
        config.resumption = self.sessions.clone();
        Ok(config)
    }
}

/// Makes the connections of one guest.
pub(super) struct Provider {
    client: Client,
}

impl Provider {
    pub(super) fn new(roots: TlsRoots) -> Self {
        Self { client: Client::new(roots) }
    }
}

impl TlsProvider for Provider {
    fn connect(
        &self,
        server_name: String,
        transport: Box<dyn TlsTransport>,
    ) -> Pin<Box<dyn Future<Output = Result<Box<dyn TlsStream>, Error>> + Send>> {
        let client = self.client.clone();
        Box::pin(async move {
            let server = ServerName::try_from(server_name).map_err(Error::msg)?;
            let config = client.config().await.map_err(Error::msg)?;
            let stream = connect(config, server, Joined(transport)).await?;
            Ok(Box::new(Stream(stream)) as Box<dyn TlsStream>)
        })
    }
}

/// Makes a connection of TLS over `transport`, to the server that proves to be `server`.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    config: ClientConfig,
    server: ServerName<'static>,
    transport: S,
) -> io::Result<client::TlsStream<S>> {
    TlsConnector::from(Arc::new(config)).connect(server, transport).await
}

/// A type of this crate, for which wasmtime-wasi-tls's trait can be implemented.
struct Stream(client::TlsStream<Joined<Box<dyn TlsTransport>>>);

impl TlsStream for Stream {}

forward_to_field!(Stream, 0);

/// A transport that is given several slices by one write.
///
/// When TLS is not agreed on, tokio-rustls 0.26 writes only once what is left to say, which is more than one record: the
/// alert that tells the server why is the last of them (RFC 8446 section 6.2). wasmtime-wasi-tls 48 has transports that
/// write the first slice alone.
struct Joined<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Joined<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Joined<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        TcpStream::write_joined(slices, |bytes| Pin::new(&mut self.0).poll_write(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// A transport that knows nothing of slices.
    #[derive(Default)]
    struct Plain(Vec<Vec<u8>>);

    impl AsyncWrite for Plain {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.0.push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn the_last_record_of_several_is_written_with_the_first() {
        let records = [IoSlice::new(b"change"), IoSlice::new(b""), IoSlice::new(b"alert")];
        let mut plain = Plain::default();
        assert_eq!(plain.write_vectored(&records).await.expect("room"), 6, "tokio writes the first slice by itself");
        let mut joined = Joined(Plain::default());
        assert_eq!(joined.write_vectored(&records).await.expect("room"), 11);
        assert_eq!(joined.0.0, [b"changealert"]);
    }
}
