//! A DNS server for the hosts of a link: names of a zone of its own, and forwarding of everything else (RFC 1035).
//!
//! [`Server`] serves on the sockets of a [`Network`], by UDP and TCP (RFC 7766). What it knows comes from a source of
//! [`Names`]; for what it does not know it asks an [`Upstream`], if it has one.
//!
//! | Name | Answer |
//! |---|---|
//! | in the zone | A, AAAA; NODATA for other types and NXDOMAIN for unknown names, with SOA (RFC 2308) |
//! | reverse name of an address in the zone, or of the server's networks | PTR, or NXDOMAIN |
//! | reverse name of a loopback, link-local, unspecified or documentation address | PTR of `localhost`, or NXDOMAIN (RFC 6303) |
//! | `localhost` and below | the loopback addresses (RFC 6761 section 6.3) |
//! | in a file of hosts, if there is one | A, AAAA; NODATA for AAAA or A if it has none. Other types are the upstream's |
//! | `invalid`, `local`, `onion`, `test`, `alt` and below | NXDOMAIN: no server outside knows them (RFC 6761, RFC 6762, RFC 7686, RFC 9476) |
//! | `internal` and below | that of the upstream, which may be a private network's; NXDOMAIN without one |
//! | any other | the answer of the upstream as it is; REFUSED without one |
//!
//! | What clients can cause | Limit |
//! |---|---|
//! | queries that wait for the upstream | 1024 by UDP, 16 for each connection; one client has a quarter of the former |
//! | connections | 64, a quarter for one client; each ends after 10 seconds without a query |
//! | the length of a query | 4096 bytes |
//!
//! Beyond these limits a query is lost, as it could be on the way, and the client asks again; a connection is closed.
//!
//! | Module | Contents |
//! |---|---|
//! | this file | [`Server`] and what it is made of |
//! | `query` | what a server reads of a query |
//! | `respond` | what is answered to a query, without an upstream |
//! | `zone` | what is known about names |
//! | `forward` | queries to an upstream, and the check of its answers |
//! | `udp`, `tcp` | the sockets |
//! | `upstream` | DNS servers that are reached through a network, as an upstream |

mod forward;
mod query;
mod respond;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;
pub(crate) mod upstream;
mod zone;

use core::future::Future;
use core::net::{IpAddr, SocketAddr};
use core::pin::Pin;
use core::time::Duration;
use std::sync::Arc;

use futures_util::future::{join_all, select};
use hickory_proto::rr::Name;

use self::respond::Responder;
pub use self::upstream::Servers;
use crate::address::Cidr;
use crate::error::BindError;
use crate::platform::Platform;
use crate::socket::dns::is_search_domain;
use crate::socket::{ListenOptions, Network, OnOutage, TcpListener, UdpSocket};

/// The port of DNS servers.
pub const PORT: u16 = 53;
/// How long the upstream may take to answer a query. The client has asked again by then, or another server.
const PATIENCE: Duration = Duration::from_secs(5);

/// A source of names, in a zone or of hosts. It is asked for each query, in the task of the server, so it must not wait.
pub trait Names: Send + Sync + 'static {
    /// The addresses of a name, which is in lower case and relative to the zone: `server`, not `server.internal`.
    /// `None` if there is no such name; empty if it has no addresses at present, or only other names end in it.
    fn lookup(&self, name: &str) -> Option<Vec<IpAddr>>;

    /// The name of an address, relative to the zone.
    fn reverse(&self, address: IpAddr) -> Option<String>;
}

/// What carries a query and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP: an answer may be truncated.
    Udp,
    /// TCP: an answer is complete.
    Tcp,
}

/// Why there is no answer from an upstream. The client is told SERVFAIL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// No server answers.
    #[error("no name server answers")]
    Unreachable,
    /// The query cannot be sent; the text says why.
    #[error("the query cannot be sent: {0}")]
    Failed(String),
}

/// The answer of an [`Upstream`], to come.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, UpstreamError>> + Send + 'a>>;

/// Who knows the names outside of the zone.
pub trait Upstream: Send + Sync + 'static {
    /// Asks with a query message, whose transaction identifier is random, and returns the answer as it came. By
    /// [`Transport::Tcp`] the answer should be complete. The message is without the length that precedes it on TCP.
    ///
    /// The caller drops the future after five seconds, and checks that the answer is one to the query.
    fn ask<'a>(&'a self, query: &'a [u8], transport: Transport) -> Answering<'a>;
}

/// What a server answers.
#[derive(Clone)]
pub struct Config {
    /// The zone, such as `internal`.
    pub zone: String,
    /// The names in the zone.
    pub names: Arc<dyn Names>,
    /// Whether the upstream may know further names in the zone. Without that, there are none.
    pub is_shared: bool,
    /// Names that are known here without asking anybody, as those in a file of hosts (hosts(5)). They are absolute, but
    /// without a final dot.
    pub hosts: Option<Arc<dyn Names>>,
    /// The networks of the zone. There is no name for their other addresses, and nobody else is asked for one.
    pub networks: Vec<Cidr>,
    /// Who is asked for other names; `None` refuses them.
    pub upstream: Option<Arc<dyn Upstream>>,
}

/// Why there is no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// The zone is not a name that hosts could search.
    #[error("the zone is not a domain such as internal")]
    Zone,
    /// A socket cannot be bound.
    #[error("cannot bind a socket: {0}")]
    Bind(#[from] BindError),
}

/// A DNS server.
pub struct Server {
    responder: Responder,
    platform: Platform,
    sockets: Vec<UdpSocket>,
    listeners: Vec<TcpListener>,
}

/// What the sockets of a server share.
struct Service<'a> {
    responder: &'a Responder,
    platform: &'a Platform,
}

impl Server {
    /// Binds the sockets of a server, one for UDP and one for TCP at each address. It serves once it [runs](Self::run).
    ///
    /// # Errors
    /// See [`ServeError`].
    pub fn bind(network: &Network, local: &[SocketAddr], config: Config) -> Result<Self, ServeError> {
        let zone = Some(config.zone.as_str()).filter(|zone| zone.is_ascii() && is_search_domain(zone));
        let mut zone = zone.and_then(|zone| Name::from_ascii(zone).ok()).ok_or(ServeError::Zone)?;
        zone.set_fqdn(true);
        let mut sockets: Vec<UdpSocket> =
            local.iter().map(|local| UdpSocket::bind(network, *local)).collect::<Result<_, _>>()?;
        let listen = |local: &SocketAddr| TcpListener::bind(network, *local, ListenOptions::default());
        let mut listeners: Vec<TcpListener> = local.iter().map(listen).collect::<Result<_, _>>()?;
        // An interface that is down for a while does not end the service.
        sockets.iter_mut().for_each(|socket| socket.set_on_outage(OnOutage::WaitWhileDown));
        listeners.iter_mut().for_each(|listener| listener.set_on_outage(OnOutage::WaitWhileDown));
        let responder = Responder::new(zone.to_lowercase(), config);
        Ok(Self { responder, platform: network.platform().clone(), sockets, listeners })
    }

    /// Serves, until the interface of its sockets has ended. While that is down, the service waits.
    pub async fn run(self) {
        let Self { responder, platform, sockets, listeners } = &self;
        let service = Service { responder, platform };
        let udp = join_all(sockets.iter().map(|socket| udp::serve(&service, socket)));
        let tcp = join_all(listeners.iter().map(|listener| tcp::serve(&service, listener)));
        // Both end with their interface. What is left of the other has no use then.
        select(core::pin::pin!(udp), core::pin::pin!(tcp)).await;
    }
}

impl core::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Server").field("sockets", &self.sockets.len()).finish_non_exhaustive()
    }
}
