//! A connection to a named host: resolution, attempts at its addresses, TLS.

use std::collections::VecDeque;
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
use super::read_first::ReadFirst;
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
    client: tls::Client,
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
        Ok(Self { network, resolver, quota, clock, client: tls::Client::new(roots), pool })
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
        let stream = ReadFirst::new(Cooperative(stream));
        let stream: Box<dyn Stream> = match server {
            None => Box::new(stream),
            Some(server) => {
                let mut config = self.client.config().await.map_err(|problem| {
                    tracing::warn!("no server can be verified: {problem}");
                    Error::ConfigurationError
                })?;
                config.alpn_protocols = vec![ALPN.to_vec()];
                let stream = tls::connect(config, server, stream).await;
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

    /// Connects to the first of the addresses that answers.
    async fn reach(&self, addresses: &[IpAddr], port: u16) -> Result<(TcpStream, Charge), Error> {
        let attempt = |address: IpAddr| self.attempt(SocketAddr::new(address.to_canonical(), port));
        let reached = first_of(&*self.clock, addresses, attempt).await;
        reached.map_err(|worst| worst.map_or(Error::DestinationNotFound, failure::of_connection))
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

/// The connection to the first of the addresses that answers. Each is tried as soon as one before it has failed, or has
/// had its head start; the attempts that are left when one succeeds are cancelled. An address for which the guest has no
/// socket left is tried again when an attempt that is under way has ended and given back its own.
///
/// # Errors
/// That which says most of those of the addresses. `None` if there are no addresses.
async fn first_of<T, F>(
    clock: &dyn Clock,
    addresses: &[IpAddr],
    attempt: impl Fn(IpAddr) -> F,
) -> Result<T, Option<error::Error>>
where
    F: Future<Output = error::Result<T>>,
{
    let mut left: VecDeque<_> = addresses.iter().copied().collect();
    let mut attempts = FuturesUnordered::new();
    let mut worst: Option<error::Error> = None;
    // Whether the next address waits for the end of an attempt.
    let mut is_full = false;
    loop {
        if !is_full && let Some(address) = left.pop_front() {
            let tried = attempt(address);
            attempts.push(async move { (address, tried.await) });
        }
        let first = if is_full || left.is_empty() {
            Some(attempts.next().await)
        } else {
            clock.within(HEAD_START, attempts.next()).await
        };
        match first {
            // The head start is over.
            None => {}
            Some(Some((_, Ok(connection)))) => return Ok(connection),
            Some(Some((address, Err(error::Error::LimitReached)))) if !attempts.is_empty() => {
                left.push_front(address);
                is_full = true;
            }
            Some(Some((_, Err(error)))) => {
                is_full = false;
                worst = Some(more_informative(worst, error));
            }
            // Nothing is under way.
            Some(None) if left.is_empty() => return Err(worst),
            Some(None) => is_full = false,
        }
    }
}

/// The error that says more of the peer; the first if both say as much.
fn more_informative(known: Option<error::Error>, other: error::Error) -> error::Error {
    match known {
        Some(known) if failure::informativeness(&other) <= failure::informativeness(&known) => known,
        _ => other,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::error::Error as E;
    use crate::platform::simulated::Simulation;

    /// What an address does: the time that an attempt takes, and its result.
    type Manner = (Duration, Result<(), E>);

    /// The address that a guest with so many sockets reaches, or the error; and the addresses in the order in which they
    /// had a socket.
    fn reached(sockets: usize, manners: &[Manner]) -> (Result<u8, Option<E>>, Vec<u8>) {
        let simulation = Simulation::new(1);
        let clock = simulation.platform().clock;
        let (free, tried) = (Cell::new(sockets), RefCell::new(Vec::new()));
        let addresses: Vec<_> = (0_u8..).take(manners.len()).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        let attempt = |address: IpAddr| {
            let IpAddr::V4(address) = address else { panic!("{address}") };
            let last = address.octets()[3];
            let (free, tried) = (&free, &tried);
            let (takes, result) = &manners[usize::from(last)];
            let waits = simulation.sleep(*takes);
            async move {
                if free.get() == 0 {
                    return Err(E::LimitReached);
                }
                tried.borrow_mut().push(last);
                free.set(free.get() - 1);
                let held = scopeguard::guard((), |()| free.set(free.get() + 1));
                waits.await;
                drop(held);
                result.clone().map(|()| last)
            }
        };
        let first = simulation.block_on(first_of(&*clock, &addresses, attempt));
        assert_eq!(free.get(), sockets, "what is left is cancelled");
        (first, tried.into_inner())
    }

    const SLOW: Duration = Duration::from_secs(9);
    const FAST: Duration = Duration::from_millis(1);

    #[test]
    fn an_address_is_tried_when_the_one_before_has_failed_or_had_its_head_start() {
        assert_eq!(reached(9, &[(FAST, Ok(())), (FAST, Ok(()))]), (Ok(0), vec![0]));
        assert_eq!(reached(9, &[(FAST, Err(E::ConnectionRefused)), (FAST, Ok(()))]), (Ok(1), vec![0, 1]));
        assert_eq!(reached(9, &[(SLOW, Ok(())), (SLOW, Ok(())), (FAST, Ok(()))]), (Ok(2), vec![0, 1, 2]));
        let fails = [(FAST, Err(E::RemoteUnreachable)), (SLOW, Err(E::ConnectionRefused)), (SLOW, Err(E::TimedOut))];
        assert_eq!(reached(9, &fails), (Err(Some(E::ConnectionRefused)), vec![0, 1, 2]));
        assert_eq!(reached(9, &[]), (Err(None), vec![]));
    }

    #[test]
    fn an_address_without_a_socket_waits_for_that_of_another() {
        let fails = || (SLOW, Err(E::TimedOut));
        assert_eq!(reached(1, &[fails(), (FAST, Ok(())), (FAST, Ok(()))]), (Ok(1), vec![0, 1]));
        assert_eq!(reached(2, &[fails(), fails(), fails(), (FAST, Ok(()))]), (Ok(3), vec![0, 1, 2, 3]));
        assert_eq!(reached(1, &[(SLOW, Ok(())), (FAST, Ok(()))]), (Ok(0), vec![0]));
        assert_eq!(reached(0, &[fails(), fails()]), (Err(Some(E::LimitReached)), vec![]));
    }
}
