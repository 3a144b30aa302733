//! The resolver of names by DNS (RFC 1034, RFC 1035).
//!
//! The hickory crate encodes and decodes the messages. This module decides which server is asked, through which
//! interface and in which order, by UDP or by TCP, which messages are accepted, and what is cached.
//!
//! | Module | Contents |
//! |---|---|
//! | this file | [`Resolver`] and its results |
//! | `names`, `order` | parsing of names, special names, search domains; the order in which addresses are tried |
//! | `under_way` | the queries that are under way: each is sent once, however many tasks wait for it |
//! | `servers` | the order in which servers are asked, and retries |
//! | `exchange`, `question` | one query to one server, and the check that a message answers it |
//! | `answer`, `records` | the records of an answer that belong to the query |
//! | `cache` | the cache of answers |
//!
//! A query runs only in the futures that wait for it, without a task or a persistent connection. So nothing is left
//! when they are dropped, and an idle resolver has no socket.

mod answer;
mod cache;
mod exchange;
mod names;
mod order;
mod question;
mod records;
mod servers;
mod under_way;

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::sync::Arc;

use futures_util::future::join;
use hickory_proto::op::Query;
use hickory_proto::rr::{self, Name, RData, RecordType};
use xila_network_engine::buffer::Budget;

use self::answer::Answer;
use self::cache::Cache;
use self::exchange::Response;
use self::names::Special;
use self::records::Followed;
use self::servers::{Failure, Patience, Server};
use super::network::Network;
use crate::address::{Family, is_unicast, is_v4_mapped};
use crate::error::Denied;
use crate::policy::Operation;

pub use self::names::{MOST_DOMAINS, is_search_domain};
pub(crate) use self::under_way::UnderWay;

/// The cause why a name was not resolved. The corresponding error of `getaddrinfo` is in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ResolveError {
    /// The text is not a valid name \[EAI_NONAME\].
    #[error("not a name")]
    InvalidName,
    /// There is no such name: NXDOMAIN \[EAI_NONAME\].
    #[error("no such name")]
    NameNotFound,
    /// The name exists, but has no record of the requested type \[EAI_NODATA\].
    #[error("no such record")]
    NoRecords,
    /// No server is known, or none answered in time \[EAI_AGAIN\].
    #[error("no name server answers")]
    ServersUnreachable,
    /// The servers answered with a failure such as SERVFAIL, or with invalid messages \[EAI_FAIL\].
    #[error("the name servers failed")]
    ServerFailure,
    /// The guest's policy forbids the name, or the server that is to be asked \[EACCES\].
    #[error("the policy forbids the name")]
    AccessDenied,
    /// No host can have the address, for example an IPv4-mapped one. Only [`Resolver::reverse`] and [`Resolver::ask`]
    /// return this \[EINVAL\].
    #[error("no host has the address")]
    InvalidAddress,
}

impl From<Denied> for ResolveError {
    fn from(Denied: Denied) -> Self {
        Self::AccessDenied
    }
}

/// The data of a record, according to its type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RecordData {
    /// A or AAAA: an address.
    Address(IpAddr),
    /// CNAME, NS, PTR: another name.
    Name(String),
    /// MX (RFC 1035 section 3.3.9).
    Mx {
        /// Lower is better.
        preference: u16,
        /// The mail exchange.
        exchange: String,
    },
    /// TXT: its character strings, which may contain any octets (RFC 1035 section 3.3.14).
    Txt(Vec<Vec<u8>>),
    /// SRV (RFC 2782).
    Srv {
        /// Lower is better.
        priority: u16,
        /// The relative share among targets of the same priority.
        weight: u16,
        /// The service's port.
        port: u16,
        /// The service's host.
        target: String,
    },
    /// SOA (RFC 1035 section 3.3.13).
    Soa {
        /// The primary server.
        primary: String,
        /// The mailbox of the person responsible for the zone.
        mailbox: String,
        /// The zone's version.
        serial: u32,
        /// Seconds between refreshes.
        refresh: u32,
        /// Seconds between attempts.
        retry: u32,
        /// Seconds after which secondary servers stop answering for the zone.
        expire: u32,
        /// Seconds for which negative answers may be cached (RFC 2308).
        minimum: u32,
    },
    /// Any other type: the data as the server sent it, with uncompressed names.
    Other(Vec<u8>),
}

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// The name that the record belongs to, as an absolute name with its final dot.
    pub name: String,
    /// The number of the record's type: 1 is A, 28 is AAAA (RFC 1035 section 3.2.2).
    pub record_type: u16,
    /// The time to live in seconds: how long the record may be cached.
    pub ttl: u32,
    /// The data of the record.
    pub data: RecordData,
}

/// The unmodified answer of one server to one query: CNAME records are not followed by further queries, and nothing is
/// cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The server that answered; `None` if no server was needed, as for `localhost`.
    pub server: Option<IpAddr>,
    /// The response code, with the bits that EDNS adds to it (RFC 6895 section 2.3): 0 is NOERROR, 3 is NXDOMAIN.
    pub code: u16,
    /// Whether the server is authoritative for the zone.
    pub is_authoritative: bool,
    /// Whether the answer came by TCP, because the answer by UDP was truncated or not trustworthy.
    pub by_tcp: bool,
    /// The records of the answer section, whatever names they belong to.
    pub records: Vec<Record>,
}

/// How names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverOptions {
    /// Search domains for names without a final dot. They come before the domains of the interfaces
    /// ([`Network::search_domains`]).
    pub search: Vec<String>,
    /// The minimum number of dots in a name for which the name itself is tried before the search domains (RFC 1535):
    /// `ndots` of resolv.conf(5).
    pub ndots: usize,
    /// How long one server may take to answer one query.
    pub timeout: Duration,
    /// How many times the list of servers is tried.
    pub attempts: usize,
    /// The size of the cache in bytes of memory. Each answer is cached for its time to live. One answer may take at
    /// most a sixteenth of the cache.
    pub cache: usize,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        Self { search: Vec::new(), ndots: 1, timeout: Duration::from_secs(5), attempts: 2, cache: 1 << 20 }
    }
}

impl ResolverOptions {
    const fn patience(&self) -> Patience {
        Patience { timeout: self.timeout, attempts: self.attempts }
    }
}

/// Resolves names through the DNS servers of a network's interfaces. Clones share the cache.
///
/// The DNS servers are those that the interfaces have when a query is made. The cache is kept when they change. While a
/// query is under way, the same query on the same interfaces is not sent again, whoever asks.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    /// The network on which the found addresses will be used.
    network: Network,
    /// The same interfaces with the host as the owner: the host sends the queries on behalf of everyone.
    asking: Network,
    options: ResolverOptions,
    cache: Cache,
}

/// The maximum number of queries for one name, when answers end with a CNAME record.
const MOST_QUERIES: usize = 8;

/// The cache may take one part in so many of a guest's memory.
const GUEST_SHARE: usize = 16;

impl Resolver {
    /// A resolver that asks the DNS servers of `network`'s interfaces, each through its interface.
    ///
    /// A search domain that is not a valid name is ignored.
    #[must_use]
    pub fn new(network: Network, options: ResolverOptions) -> Self {
        Self::with_budget(network, options, None)
    }

    /// Like [`new`](Self::new), for a guest: the cache is charged to the memory that the guest may hold, and takes at
    /// most a sixteenth of it.
    #[must_use]
    pub fn for_guest(network: Network, mut options: ResolverOptions, memory: &Budget) -> Self {
        options.cache = options.cache.min(memory.limit() / GUEST_SHARE);
        Self::with_budget(network, options, Some(memory.clone()))
    }

    fn with_budget(network: Network, options: ResolverOptions, budget: Option<Budget>) -> Self {
        let (asking, cache) = (network.for_host(), Cache::new(options.cache, budget));
        Self(Arc::new(Inner { network, asking, options, cache }))
    }

    /// The addresses of a name, in the order in which they should be tried (RFC 6724 section 6, with alternating
    /// families as in RFC 8305 section 4). Never empty.
    ///
    /// An address as text is returned as it is, with or without the brackets of `[::1]`. `localhost` and names below it
    /// have the loopback addresses (RFC 6761 section 6.3). If the query for one family fails, the addresses of the
    /// other are returned.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub async fn resolve(&self, name: &str, family: Option<Family>) -> Result<Vec<IpAddr>, ResolveError> {
        let mut addresses = match names::literal(name) {
            Some(address) => vec![address],
            None => {
                let name = names::parse(name)?;
                match names::special(&name) {
                    Some(Special::Loopback) => {
                        self.0.check(&name)?;
                        for address in names::LOOPBACK {
                            self.0.learn(&name, address, names::LOOPBACK_TTL);
                        }
                        names::LOOPBACK.to_vec()
                    }
                    Some(Special::Nowhere) => return Err(ResolveError::NameNotFound),
                    None => self.0.search_addresses(&name, family).await?,
                }
            }
        };
        addresses.retain(|address| family.is_none_or(|family| Family::of(*address) == family));
        if addresses.is_empty() {
            return Err(ResolveError::NoRecords);
        }
        let source = |address| self.0.network.route(None, address).ok().map(|(_, source)| source);
        Ok(order::for_trying(addresses, source))
    }

    /// The records of one type that a name has, with the CNAME records that lead to them.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub async fn lookup(&self, name: &str, record_type: u16) -> Result<Vec<Record>, ResolveError> {
        let name = names::parse(name)?;
        let record_type = RecordType::from(record_type);
        let found = match names::special(&name) {
            Some(Special::Loopback) => {
                self.0.check(&name)?;
                names::loopback_records(&name, record_type)
            }
            Some(Special::Nowhere) => return Err(ResolveError::NameNotFound),
            None => self.0.search_records(&name, record_type).await?,
        };
        let found: Vec<Record> = found.iter().map(records::from_wire).collect();
        if found.is_empty() { Err(ResolveError::NoRecords) } else { Ok(found) }
    }

    /// The names of an address, each with its final dot. The loopback addresses have the name `localhost.`.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub async fn reverse(&self, address: IpAddr) -> Result<Vec<String>, ResolveError> {
        if is_v4_mapped(address) {
            return Err(ResolveError::InvalidAddress);
        }
        if names::LOOPBACK.contains(&address) {
            return Ok(vec!["localhost.".into()]);
        }
        let name = Name::from(address);
        self.0.check(&name)?;
        let found = self.0.records(&name, RecordType::PTR).await?;
        let names = found.iter().filter_map(|record| match &record.data {
            RData::PTR(name) => Some(records::text(name)),
            _ => None,
        });
        Ok(names.collect())
    }

    /// Asks one server one question: `server`, or if that is `None` the first server of the interfaces that answers.
    /// The name is absolute, with or without its final dot, and no search domains are tried. With `None` for the
    /// server, `localhost` and the names below it are answered without a query.
    ///
    /// The query follows the route to `server`. This is for tools that show what servers answer: an answer such as
    /// NXDOMAIN or REFUSED is a result here, not an error.
    ///
    /// # Errors
    /// [`ResolveError::InvalidName`]; [`ResolveError::InvalidAddress`]; [`ResolveError::ServersUnreachable`];
    /// [`ResolveError::ServerFailure`] for an invalid answer.
    pub async fn ask(&self, server: Option<IpAddr>, name: &str, record_type: u16) -> Result<Reply, ResolveError> {
        let mut name = names::parse(name)?;
        name.set_fqdn(true);
        let record_type = RecordType::from(record_type);
        let servers = match server {
            Some(address) if !is_unicast(address) || is_v4_mapped(address) => return Err(ResolveError::InvalidAddress),
            Some(address) => {
                // Whoever picks the server could as well send the question himself, so the guest's own rules and rates
                // hold for it, and nobody joins the query.
                let route = self.0.network.route(None, address).ok();
                let server = SocketAddr::new(address, exchange::PORT);
                self.0.network.check_to(Operation::UdpSend, route.as_ref(), server)?;
                let server = Server { address, network: self.0.network.clone() };
                let asked = servers::ask(vec![server], self.0.options.patience(), Query::query(name, record_type));
                return replied(asked.await);
            }
            None => {
                self.0.check(&name)?;
                match names::special(&name) {
                    Some(special) => return Ok(names::reply(special, &name, record_type)),
                    None => servers::known(&self.0.asking),
                }
            }
        };
        replied(self.0.ask(servers, &Query::query(name, record_type)).await)
    }
}

/// The reply of a server, whatever it says.
fn replied(asked: Result<Arc<Response>, Failure>) -> Result<Reply, ResolveError> {
    match asked {
        Ok(response) | Err(Failure::Refusal(response)) => Ok(response.reply()),
        Err(failure @ (Failure::Silence | Failure::Nonsense | Failure::Denied)) => Err(failure.into()),
    }
}

impl Inner {
    /// The absolute names to try for a name: with the search domains of the options, then with those of the interfaces
    /// at present.
    fn candidates(&self, name: &Name) -> Vec<Name> {
        if name.is_fqdn() {
            return vec![name.clone()];
        }
        let told = self.network.search_domains();
        let domains = names::domains(self.options.search.iter().chain(&told).map(String::as_str));
        names::candidates(name, &domains, self.options.ndots)
    }

    /// Fails where the policy denies the resolution of a name.
    fn check(&self, name: &Name) -> Result<(), Denied> {
        self.network.guard().map_or(Ok(()), |guard| guard.check_name(name))
    }

    /// Rules about the name are about this address now.
    fn learn(&self, name: &Name, address: IpAddr, ttl: u32) {
        if let Some(guard) = self.network.guard() {
            guard.learn(name, address, Duration::from_secs(ttl.into()));
        }
    }

    /// Those of the [candidates](Self::candidates) that the policy allows to be asked for.
    fn allowed_candidates(&self, name: &Name) -> Result<Vec<Name>, ResolveError> {
        let mut candidates = self.candidates(name);
        let were_there = !candidates.is_empty();
        candidates.retain(|candidate| self.check(candidate).is_ok());
        if were_there && candidates.is_empty() { Err(ResolveError::AccessDenied) } else { Ok(candidates) }
    }

    async fn search_addresses(&self, name: &Name, family: Option<Family>) -> Result<Vec<IpAddr>, ResolveError> {
        let mut failure = None;
        for candidate in self.allowed_candidates(name)? {
            match self.addresses(&candidate, family).await {
                Ok(addresses) => return Ok(addresses),
                Err(error) => failure = Some(names::search_failure(failure, error)?),
            }
        }
        Err(failure.unwrap_or(ResolveError::InvalidName))
    }

    async fn search_records(&self, name: &Name, record_type: RecordType) -> Result<Vec<rr::Record>, ResolveError> {
        let mut failure = None;
        for candidate in self.allowed_candidates(name)? {
            match self.records(&candidate, record_type).await {
                Ok(records) => return Ok(records),
                Err(error) => failure = Some(names::search_failure(failure, error)?),
            }
        }
        Err(failure.unwrap_or(ResolveError::InvalidName))
    }

    /// The addresses of an absolute name. Both families are queried at once.
    async fn addresses(&self, name: &Name, family: Option<Family>) -> Result<Vec<IpAddr>, ResolveError> {
        let of_kind = async |kind| {
            let found = self.records(name, kind).await?;
            Ok(found.iter().filter_map(records::address).collect::<Vec<_>>())
        };
        match family {
            Some(Family::V4) => of_kind(RecordType::A).await,
            Some(Family::V6) => of_kind(RecordType::AAAA).await,
            None => match join(of_kind(RecordType::AAAA), of_kind(RecordType::A)).await {
                (Ok(six), Ok(four)) => Ok([six, four].concat()),
                (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
                (Err(one), Err(other)) => Err(names::joint_failure(one, other)),
            },
        }
    }

    /// The records of an absolute name. Never empty.
    async fn records(&self, name: &Name, record_type: RecordType) -> Result<Vec<rr::Record>, ResolveError> {
        let (mut owner, mut found) = (name.clone(), Vec::new());
        for _ in 0..MOST_QUERIES {
            let answer = self.answer(Query::query(owner.clone(), record_type)).await?;
            found.extend(answer.records(self.network.platform().clock.now()));
            match answer.end()? {
                Followed::Found => {
                    // Of a chain of names, the one that holds for the shortest time says how long the address is the name's.
                    let ttl = found.iter().map(|record| record.ttl).min().unwrap_or(0);
                    for address in found.iter().filter_map(records::address) {
                        self.learn(name, address, ttl);
                    }
                    return Ok(found);
                }
                Followed::Elsewhere(name) => owner = name.clone(),
            }
        }
        Err(ResolveError::ServerFailure)
    }

    async fn answer(&self, query: Query) -> Result<Arc<Answer>, ResolveError> {
        let now = || self.network.platform().clock.now();
        if let Some(kept) = self.cache.get(&query, now()) {
            return Ok(kept);
        }
        let response = self.ask(servers::known(&self.asking), &query).await?;
        let answer = Arc::new(Answer::read(&response, &query)?);
        self.cache.keep(query, answer.clone(), now());
        Ok(answer)
    }

    /// Asks servers of the interfaces, on behalf of the guest: the query is the host's, and counts as a packet of the
    /// guest, who waits if it has used its rates.
    async fn ask(&self, servers: Vec<Server>, query: &Query) -> Result<Arc<Response>, Failure> {
        let (owner, clock) = (self.network.owner(), &*self.network.platform().clock);
        while let Err(ready) = owner.may_send(clock.now()) {
            clock.wait(ready).await;
        }
        owner.sent(exchange::length(query), 1, clock.now());
        UnderWay::ask(&self.asking, servers, self.options.patience(), query).await
    }
}

impl Response {
    fn reply(&self) -> Reply {
        let Self { message, server, by_tcp, arrived: _ } = self;
        Reply {
            server: Some(*server),
            code: message.response_code.into(),
            is_authoritative: message.authoritative,
            by_tcp: *by_tcp,
            records: message.answers.iter().map(records::from_wire).collect(),
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { network, asking: _, options, cache: _ } = &*self.0;
        formatter.debug_struct("Resolver").field("network", network).field("options", options).finish_non_exhaustive()
    }
}
