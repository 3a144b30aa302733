//! Names (RFC 1034, RFC 1035).
//!
//! Messages are read and written by hickory. Which server is asked, through which interface and in which order, by UDP or by
//! TCP, which messages are believed and what is kept of them, is decided here.
//!
//! | Room | Holds |
//! |---|---|
//! | this file | the resolver |
//! | `names`, `order` | names as they are written, where they are looked for, and which address is tried first |
//! | `under_way` | questions that are being asked: each once, however many wait |
//! | `servers` | which servers are asked, and in which order |
//! | `exchange`, `question` | one question to one server, and which messages answer it |
//! | `answer`, `records` | what an answer says of what was asked for |
//! | `cache` | answers that are kept |
//!
//! A query runs wholly in the futures that wait for it: there is no task and no connection beside it, so nothing is left
//! when they are dropped, and an idle resolver holds no socket.

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

/// Why a name was not found. In brackets the name that `getaddrinfo` has for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ResolveError {
    /// The text is no name \[EAI_NONAME\].
    #[error("not a name")]
    InvalidName,
    /// There is no such name: NXDOMAIN \[EAI_NONAME\].
    #[error("no such name")]
    NameNotFound,
    /// The name exists, but has no record of the kind asked for \[EAI_NODATA\].
    #[error("no such record")]
    NoRecords,
    /// No server is known, or none answered in time \[EAI_AGAIN\].
    #[error("no name server answers")]
    ServersUnreachable,
    /// The servers answered that they failed: SERVFAIL and its kin \[EAI_FAIL\].
    #[error("the name servers failed")]
    ServerFailure,
    /// The guest's policy forbids the name, or the server that is to be asked \[EACCES\].
    #[error("the policy forbids the name")]
    AccessDenied,
    /// No host has the address, an IPv4-mapped one perhaps: [`Resolver::reverse`] and [`Resolver::ask`] only \[EINVAL\].
    #[error("no host has the address")]
    InvalidAddress,
}

impl From<Denied> for ResolveError {
    fn from(Denied: Denied) -> Self {
        Self::AccessDenied
    }
}

/// The parts of a record that its kind has.
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
    /// TXT: its character strings, which may be any octets (RFC 1035 section 3.3.14).
    Txt(Vec<Vec<u8>>),
    /// SRV (RFC 2782).
    Srv {
        /// Lower is better.
        priority: u16,
        /// Share among those of one priority.
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
        /// The mailbox of who is responsible.
        mailbox: String,
        /// The zone's version.
        serial: u32,
        /// Seconds between refreshes.
        refresh: u32,
        /// Seconds between attempts.
        retry: u32,
        /// Seconds after which the zone is no longer known.
        expire: u32,
        /// Seconds for which "no such name" may be kept.
        minimum: u32,
    },
    /// Any other kind: its data as the server sent it, names uncompressed.
    Other(Vec<u8>),
}

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Whose record it is, as an absolute name with the final dot.
    pub name: String,
    /// Its kind by its number: 1 is A, 28 is AAAA (RFC 1035 section 3.2.2).
    pub record_type: u16,
    /// For how many seconds it may be kept.
    pub ttl: u32,
    /// What it says.
    pub data: RecordData,
}

/// What one server answered to one question, as it came: nothing of it is looked for elsewhere, and nothing is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Who answered; `None` where no server was needed, as for `localhost`.
    pub server: Option<IpAddr>,
    /// The response code, with the bits that EDNS adds to it (RFC 6895 section 2.3): 0 is NOERROR, 3 is NXDOMAIN.
    pub code: u16,
    /// The server speaks for the zone.
    pub is_authoritative: bool,
    /// The answer came by TCP: by UDP it was cut off, or not to be believed.
    pub by_tcp: bool,
    /// The records of the answer section, whosoever they are.
    pub records: Vec<Record>,
}

/// How names are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverOptions {
    /// Domains that a name without a final dot is also looked for in, before those that the interfaces know
    /// ([`Network::search_domains`]).
    pub search: Vec<String>,
    /// How many dots a name has at least that is first asked for as it is, and in the search domains only then (RFC 1535):
    /// `ndots` of resolv.conf(5).
    pub ndots: usize,
    /// How long one server may take to answer one query.
    pub timeout: Duration,
    /// How often the servers are asked in turn.
    pub attempts: usize,
    /// How many bytes of memory the answers may take that are kept, each for its time to live. One answer is given a
    /// sixteenth at most.
    pub cache: usize,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        Self { search: Vec::new(), ndots: 1, timeout: Duration::from_secs(5), attempts: 2, cache: 1 << 20 }
    }
}

/// Finds names on the interfaces of a network. Clones share the cache.
///
/// The DNS servers are those that the interfaces have when a query is made. The cache is kept when they change. A question
/// that is being asked by anybody on the same interfaces is not asked again meanwhile.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    /// Whose addresses are looked for.
    network: Network,
    /// The same interfaces, where the host asks for whoever wants to know.
    asking: Network,
    options: ResolverOptions,
    cache: Cache,
}

/// How many queries one question may take because answers end with a CNAME record.
const MOST_QUERIES: usize = 8;

/// What part of a guest's memory its cache may take.
const GUEST_SHARE: usize = 16;

impl Resolver {
    /// A resolver that asks the DNS servers of `network`'s interfaces, each through its interface.
    ///
    /// A search domain that is no name is left out.
    #[must_use]
    pub fn new(network: Network, options: ResolverOptions) -> Self {
        Self::with_budget(network, options, None)
    }

    /// As [`new`](Self::new), for a guest: what is kept is part of the memory that the guest may hold, and takes a sixteenth
    /// of that at most.
    #[must_use]
    pub fn for_guest(network: Network, mut options: ResolverOptions, memory: &Budget) -> Self {
        options.cache = options.cache.min(memory.limit() / GUEST_SHARE);
        Self::with_budget(network, options, Some(memory.clone()))
    }

    fn with_budget(network: Network, options: ResolverOptions, budget: Option<Budget>) -> Self {
        let (asking, cache) = (network.for_host(), Cache::new(options.cache, budget));
        Self(Arc::new(Inner { network, asking, options, cache }))
    }

    /// The addresses of a name, in the order in which they should be tried (RFC 6724 section 6, the families taking turns
    /// as RFC 8305 section 4 has it). Never empty.
    ///
    /// An address written as text is its own answer, with or without the brackets of `[::1]`; `localhost` and names below
    /// it are the loopback addresses (RFC 6761 section 6.3). Where one family fails, the other's addresses are the answer.
    ///
    /// # Errors
    /// Each of [`ResolveError`].
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

    /// The records of one kind that a name has, with the CNAME records that lead to them.
    ///
    /// # Errors
    /// Each of [`ResolveError`].
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

    /// The names of an address, each with its final dot. That of the loopback addresses is `localhost.`.
    ///
    /// # Errors
    /// Each of [`ResolveError`].
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

    /// What one server answers to one question: `server`, whoever that is, or the first of the interfaces' that answers. The
    /// name is absolute, with or without its final dot, and is asked for as it is written; with `None` for the server,
    /// `localhost` and names below it are not asked for.
    ///
    /// The question leaves by the way that leads to the server. It is for tools that show what servers say: that there is no
    /// such name, or that the server refuses, is an answer.
    ///
    /// # Errors
    /// [`ResolveError::InvalidName`]; [`ResolveError::InvalidAddress`]; [`ResolveError::ServersUnreachable`];
    /// [`ResolveError::ServerFailure`] for an answer that makes no sense.
    pub async fn ask(&self, server: Option<IpAddr>, name: &str, record_type: u16) -> Result<Reply, ResolveError> {
        let mut name = names::parse(name)?;
        name.set_fqdn(true);
        let record_type = RecordType::from(record_type);
        let servers = match server {
            Some(address) if !is_unicast(address) || is_v4_mapped(address) => return Err(ResolveError::InvalidAddress),
            Some(address) => {
                // Whoever picks the server could as well send the question himself.
                let route = self.0.network.route(None, address).ok();
                let server = SocketAddr::new(address, exchange::PORT);
                self.0.network.check_to(Operation::UdpSend, route.as_ref(), server)?;
                vec![Server { address, network: self.0.asking.clone() }]
            }
            None => {
                self.0.check(&name)?;
                match names::special(&name) {
                    Some(special) => return Ok(names::reply(special, &name, record_type)),
                    None => servers::known(&self.0.asking),
                }
            }
        };
        match self.0.ask(servers, &Query::query(name, record_type)).await {
            Ok(response) | Err(Failure::Refusal(response)) => Ok(response.reply()),
            Err(failure @ (Failure::Silence | Failure::Nonsense)) => Err(failure.into()),
        }
    }
}

impl Inner {
    /// The names that a name may stand for. It is looked for in the domains of the options, then in those that the
    /// interfaces know now.
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

    /// The addresses of an absolute name, both families asked at once.
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

    async fn ask(&self, servers: Vec<Server>, query: &Query) -> Result<Arc<Response>, Failure> {
        let ResolverOptions { timeout, attempts, .. } = self.options;
        UnderWay::ask(&self.asking, servers, Patience { timeout, attempts }, query).await
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
