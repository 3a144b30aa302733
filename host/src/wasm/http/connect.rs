//! A connection to a named host: resolution, attempts at its addresses, TLS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use wasmtime_wasi_http::Error;

use super::cooperative::Cooperative;
use super::link::Link;
use super::origin::Origin;
use super::pool::{Lease, Pool};
use super::{TlsRoots, failure, tls};
use crate::error;
use crate::platform::Clock;
use crate::policy::{Charge, Quota, SocketKind};
use crate::socket::{ConnectOptions, Network, OnOutage, Resolver, TcpStream};
use crate::wasm::NetworkCtx;

/// How long an address is tried alone before the next is tried too (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// The protocol that TLS announces, so that no server chooses HTTP/2 (RFC 7301).
const ALPN: &[u8] = b"http/1.1";

/// Makes the connections of one guest.
pub(super) struct Connector {
    network: Network,
    resolver: Resolver,
    quota: Quota,
    clock: Arc<dyn Clock>,
    roots: TlsRoots,
    pool: Arc<Pool>,
}

/// A connection, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Connector {
    /// # Errors
    /// If the guest has no network.
    pub(super) fn new(guest: &NetworkCtx, roots: TlsRoots) -> Result<Self, Error> {
        let none = |_: error::Error| Error::HttpRequestDenied;
        let clock = guest.clock().map_err(|error| Error::InternalError(Some(error.to_string())))?;
        let (network, resolver) = (guest.network(None).map_err(none)?, guest.resolver().map_err(none)?);
        let quota = guest.quota().clone();
        let pool = Arc::new(Pool::new(network.clone(), quota.clone(), clock.clone()));
        Ok(Self { network, resolver, quota, clock, roots, pool })
    }

    /// The clock by which the guest waits.
    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// A connection to the server of an origin that has answered a request before, if one waits for another.
    ///
    /// # Errors
    /// If the guest may have no connection more.
    pub(super) fn waiting(&self, origin: &Origin) -> Result<Option<Lease>, Error> {
        let Some(mut lease) = self.pool.take(origin) else { return Ok(None) };
        lease.link.charge = Some(self.quota.charge(SocketKind::Tcp, 0).map_err(failure::of_connection)?);
        Ok(Some(lease))
    }

    /// A new connection to the server of an origin.
    ///
    /// # Errors
    /// That of the name, of the connection or of TLS.
    pub(super) async fn connect(&self, origin: Origin) -> Result<Lease, Error> {
        // Before anything is sent, because without a valid name the server could not be verified.
        let server = origin.server_name()?;
        let (stream, charge) = self.reach(&self.resolve(origin.host()).await?, origin.port()).await?;
        // Below TLS, which reads for as long as a server sends nothing but empty records.
        let stream = Cooperative(stream);
        let stream: Box<dyn Stream> = match server {
            None => Box::new(stream),
            Some(server) => {
                let mut config = (*self.roots.client().await.map_err(|problem| {
                    tracing::warn!("no server can be verified: {problem}");
                    Error::ConfigurationError
                })?)
                .clone();
                config.alpn_protocols = vec![ALPN.to_vec()];
                let stream = tls::connect(Arc::new(config), server, stream).await;
                Box::new(stream.map_err(|error| {
                    tracing::info!("no TLS with {origin}: {error}");
                    failure::of_tls(&error)
                })?)
            }
        };
        Ok(self.pool.lease(origin, Link::new(stream, charge).await?))
    }

    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        let _charge = self.quota.charge_query().map_err(failure::of_connection)?;
        self.resolver.resolve(host, None).await.map_err(|error| failure::of_name(&error))
    }

    /// Connects to the first of the addresses that answers. Each is tried as soon as one before it has failed, or has
    /// had its head start; the attempts that are left when one succeeds are cancelled.
    async fn reach(&self, addresses: &[IpAddr], port: u16) -> Result<(TcpStream, Charge), Error> {
        let mut left = addresses.iter();
        let mut attempts = FuturesUnordered::new();
        let mut worst: Option<error::Error> = None;
        let mut failed = |error: error::Error| {
            let tells_more = |known: &error::Error| failure::informativeness(&error) > failure::informativeness(known);
            if worst.as_ref().is_none_or(tells_more) {
                worst = Some(error);
            }
        };
        loop {
            if let Some(address) = left.next() {
                attempts.push(self.attempt(SocketAddr::new(address.to_canonical(), port)));
            }
            let first = if left.len() == 0 {
                Some(attempts.next().await)
            } else {
                self.clock.within(HEAD_START, attempts.next()).await
            };
            match first {
                // The head start is over.
                None => {}
                Some(Some(Ok(connection))) => return Ok(connection),
                Some(Some(Err(error))) => failed(error),
                Some(None) if left.len() == 0 => break,
                Some(None) => {}
            }
        }
        Err(worst.map_or(Error::DestinationNotFound, failure::of_connection))
    }

    /// Tries one address. The policy is checked before anything is sent.
    async fn attempt(&self, remote: SocketAddr) -> error::Result<(TcpStream, Charge)> {
        let charge = self.quota.charge(SocketKind::Tcp, 0)?;
        let mut options = ConnectOptions::default();
        options.tcp.budget = Some(self.quota.memory().clone());
        let mut stream = self.quota.count(TcpStream::connect_with(&self.network, remote, options).await)?;
        // As for every socket of a guest of WASI: what is under way goes on when the interface is up again.
        stream.set_on_outage(OnOutage::Wait);
        Ok((stream, charge))
    }
}
