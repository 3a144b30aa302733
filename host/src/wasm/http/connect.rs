//! A connection to a named host: resolution, attempts at its addresses, TLS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::uri::{Authority, Scheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::pki_types::ServerName;
use wasmtime_wasi_http::Error;

use super::forward::forward_to_field;
use super::{TlsRoots, failure, tls};
use crate::error;
use crate::platform::Clock;
use crate::policy::{Quota, SocketKind};
use crate::socket::{ConnectOptions, Network, OnOutage, Resolver, TcpStream};
use crate::wasm::NetworkCtx;
use crate::wasm::connections::Connection;

/// How long an address is tried alone before the next is tried too (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// The ports of schemes without one (RFC 9110 section 4.2).
const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// The protocol that TLS announces, so that no server chooses HTTP/2 (RFC 7301).
const ALPN: &[u8] = b"http/1.1";

/// Makes the connections of one guest.
pub(super) struct Connector {
    network: Network,
    resolver: Resolver,
    quota: Quota,
    clock: Arc<dyn Clock>,
    roots: TlsRoots,
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
        Ok(Self { network, resolver, quota: guest.quota().clone(), clock, roots })
    }

    /// The clock by which the guest waits.
    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Connects to the server of an origin.
    ///
    /// # Errors
    /// That of the name, of the connection or of TLS.
    pub(super) async fn connect(&self, scheme: &Scheme, authority: &Authority) -> Result<Box<dyn Stream>, Error> {
        // A user name is not part of an origin, and would become part of the header `host`.
        if authority.as_str().contains('@') || authority.host().is_empty() || !has_valid_port(authority) {
            return Err(Error::HttpRequestUriInvalid);
        }
        let host = authority.host();
        let is_secure = *scheme == Scheme::HTTPS;
        // Before anything is sent, because without a valid name the server could not be verified.
        let server = is_secure.then(|| server_name(host)).transpose()?;
        let port = authority.port_u16().unwrap_or(if is_secure { HTTPS } else { HTTP });
        let connection = self.reach(&self.resolve(host).await?, port).await?;
        match server {
            None => Ok(Box::new(connection)),
            Some(server) => {
                let mut config = (*self.roots.client().await.map_err(|problem| {
                    tracing::warn!("no server can be verified: {problem}");
                    Error::ConfigurationError
                })?)
                .clone();
                config.alpn_protocols = vec![ALPN.to_vec()];
                let stream = tls::connect(Arc::new(config), server, connection).await;
                Ok(Box::new(stream.map_err(|error| {
                    tracing::info!("no TLS with {authority}: {error}");
                    failure::of_tls(&error)
                })?))
            }
        }
    }

    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        let _charge = self.quota.charge_query().map_err(failure::of_connection)?;
        self.resolver.resolve(host, None).await.map_err(|error| failure::of_name(&error))
    }

    /// Connects to the first of the addresses that answers. Each is tried as soon as one before it has failed, or has
    /// had its head start; the attempts that are left when one succeeds are cancelled.
    async fn reach(&self, addresses: &[IpAddr], port: u16) -> Result<Connection, Error> {
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
    async fn attempt(&self, remote: SocketAddr) -> error::Result<Connection> {
        let charge = self.quota.charge(SocketKind::Tcp, 0)?;
        let mut options = ConnectOptions::default();
        options.tcp.budget = Some(self.quota.memory().clone());
        let mut stream = self.quota.count(TcpStream::connect_with(&self.network, remote, options).await)?;
        // As for every socket of a guest of WASI: what is under way goes on when the interface is up again.
        stream.set_on_outage(OnOutage::Wait);
        Ok(Connection { stream, _charge: charge })
    }
}

/// Whether the port is a number that ports have, if there is one. `Authority` takes any number, and has no port then.
fn has_valid_port(authority: &Authority) -> bool {
    authority.as_str().len() == authority.host().len() || authority.port_u16().is_some()
}

/// The name that a server has to prove.
fn server_name(host: &str) -> Result<ServerName<'static>, Error> {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(literal.to_owned()).map_err(|_invalid| Error::HttpRequestUriInvalid)
}

forward_to_field!(Connection, stream);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_beyond_all_ports_is_not_taken_for_none() {
        let is_valid = |text: &str| has_valid_port(&text.parse().expect("an authority"));
        assert!(["example.org", "example.org:80", "[::1]", "[::1]:80"].into_iter().all(is_valid));
        assert!(!["example.org:99999", "example.org:", "[::1]:99999"].into_iter().any(is_valid));
    }

    #[test]
    fn a_server_is_verified_by_its_name_or_its_address() {
        assert!(matches!(server_name("example.org"), Ok(ServerName::DnsName(_))));
        for literal in ["192.0.2.1", "[2001:db8::1]"] {
            assert!(matches!(server_name(literal), Ok(ServerName::IpAddress(_))), "{literal}");
        }
        assert!(matches!(server_name("a b"), Err(Error::HttpRequestUriInvalid)));
    }
}
