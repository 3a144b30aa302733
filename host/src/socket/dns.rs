//! Names (RFC 1034, RFC 1035).
//!
//! Messages, exchanges and the cache are hickory's. Which server is asked, through which interface and in which order,
//! is decided here: hickory's own pool knows nothing of interfaces, gives up on a query when the first server was silent
//! for as long as it may be, and takes SERVFAIL for an answer.
//!
//! A query runs wholly in the future that waits for it: there is no task and no connection beside it, so nothing is left
//! when it is dropped, and an idle resolver holds no socket.

mod cache;
mod names;
mod order;
mod records;
mod runtime;
mod servers;

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use futures_util::future::join;
use hickory_resolver::proto::op::{Message, Query};
use hickory_resolver::proto::rr::{self, Name, RData, RecordType};

use self::cache::Cache;
use self::names::Special;
use self::records::Followed;
use super::network::Network;
use crate::address::{Family, is_v4_mapped};

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
    /// The address is an IPv4-mapped one, which is no host's: [`Resolver::reverse`] only \[EINVAL\].
    #[error("no host has the address")]
    InvalidAddress,
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

/// How names are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverOptions {
    /// Domains that a name without a final dot is also looked for in.
    pub search: Vec<String>,
    /// How long one server may take to answer one query.
    pub timeout: Duration,
    /// How often the servers are asked in turn.
    pub attempts: usize,
    /// How many answers are kept, each for its time to live.
    pub cache: usize,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        Self { search: Vec::new(), timeout: Duration::from_secs(5), attempts: 2, cache: 1024 }
    }
}

/// Finds names on the interfaces of a network. Clones share the cache.
///
/// The DNS servers are those that the interfaces have when a query is made. The cache is kept when they change.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    network: Network,
    options: ResolverOptions,
    /// The search domains that are names.
    search: Vec<Name>,
    cache: Cache,
}

/// How many queries one question may take because answers end with a CNAME record.
const MOST_QUERIES: usize = 8;

impl Resolver {
    /// A resolver that asks the DNS servers of `network`'s interfaces, each through its interface.
    ///
    /// A search domain that is no name is left out.
    #[must_use]
    pub fn new(network: Network, options: ResolverOptions) -> Self {
        let search = options.search.iter().filter_map(|domain| match names::parse(domain) {
            Ok(name) => Some(name),
            Err(error) => {
                tracing::warn!(domain, %error, "a search domain is left out");
                None
            }
        });
        let (search, cache) = (search.collect(), Cache::new(options.cache, network.platform()));
        Self(Arc::new(Inner { network, options, search, cache }))
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
                    Some(Special::Loopback) => names::LOOPBACK.to_vec(),
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
            Some(Special::Loopback) => names::loopback_records(&name, record_type),
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
        let found = self.0.records(&Name::from(address), RecordType::PTR).await?;
        let names = found.iter().filter_map(|record| match &record.data {
            RData::PTR(name) => Some(records::text(name)),
            _ => None,
        });
        Ok(names.collect())
    }
}

impl Inner {
    async fn search_addresses(&self, name: &Name, family: Option<Family>) -> Result<Vec<IpAddr>, ResolveError> {
        let mut failure = None;
        for candidate in names::candidates(name, &self.search) {
            match self.addresses(&candidate, family).await {
                Ok(addresses) => return Ok(addresses),
                Err(error) => failure = Some(names::search_failure(failure, error)?),
            }
        }
        Err(failure.unwrap_or(ResolveError::InvalidName))
    }

    async fn search_records(&self, name: &Name, record_type: RecordType) -> Result<Vec<rr::Record>, ResolveError> {
        let mut failure = None;
        for candidate in names::candidates(name, &self.search) {
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
            let message = self.answer(Query::query(owner.clone(), record_type)).await?;
            match records::follow(&message, &owner, record_type, &mut found)? {
                Followed::Found => return Ok(found),
                Followed::Elsewhere(name) => owner = name,
            }
        }
        Err(ResolveError::ServerFailure)
    }

    async fn answer(&self, query: Query) -> Result<Message, ResolveError> {
        if let Some(kept) = self.cache.get(&query) {
            return kept;
        }
        let response = servers::ask(&self.network, &self.options, &query).await?;
        self.cache.keep(query, response)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { network, options, search: _, cache: _ } = &*self.0;
        formatter.debug_struct("Resolver").field("network", network).field("options", options).finish_non_exhaustive()
    }
}
