//! Name resolution, and other queries to DNS servers (RFC 1034, RFC 1035).

mod record;
mod response;

pub use record::{NoRecordType, Record, RecordData, RecordType};
pub use response::ResponseCode;

use std::fmt;
use std::net::IpAddr;

use crate::Error;
use crate::address::{Family, ip_from_wit, ip_to_wit};
use crate::bindings::dns;

/// Why a name was not resolved. The error name of `getaddrinfo` is given in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResolveError {
    /// The text is not a name \[EAI_NONAME\].
    InvalidName,
    /// There is no such name: NXDOMAIN \[EAI_NONAME\].
    NameNotFound,
    /// The name exists, but has no record of the requested type \[EAI_NODATA\].
    NoRecords,
    /// No server is known, or no server answered in time \[EAI_AGAIN\].
    ServersUnreachable,
    /// The servers answered with a failure: SERVFAIL and similar codes \[EAI_FAIL\].
    ServerFailure,
    /// Any other cause: the policy forbids it, the app has as many queries in progress as it may, it has no network at
    /// all, or no host can have the address that was given.
    Other(Error),
}

/// The addresses of a name, in the order in which they should be tried. Both families are queried at once. The list is
/// never empty.
///
/// An address written as text, with or without brackets, is returned without a query. `localhost` and names below it
/// resolve to the loopback addresses. A name without a final dot is also searched in the host's search domains.
///
/// # Errors
/// Each of [`ResolveError`].
pub async fn resolve(name: &str) -> Result<Vec<IpAddr>, ResolveError> {
    resolve_in(name, None).await
}

/// The addresses of a name in one family. Only this family is queried.
///
/// # Errors
/// Each of [`ResolveError`].
pub async fn resolve_family(name: &str, family: Family) -> Result<Vec<IpAddr>, ResolveError> {
    resolve_in(name, Some(family)).await
}

/// The addresses of a name, in one family if one is given.
pub(crate) async fn resolve_in(name: &str, family: Option<Family>) -> Result<Vec<IpAddr>, ResolveError> {
    let addresses = dns::resolve(name.to_owned(), family.map(Family::to_wit)).await?;
    Ok(addresses.into_iter().map(ip_from_wit).collect())
}

/// The records of one type that a name has, with the CNAME records that lead to them.
///
/// # Errors
/// Each of [`ResolveError`].
pub async fn lookup(name: &str, record_type: RecordType) -> Result<Vec<Record>, ResolveError> {
    let records = dns::lookup(name.to_owned(), record_type.0).await?;
    Ok(records.into_iter().map(Record::from_wit).collect())
}

/// The answer of one server to one question, unprocessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The server that answered; `None` if no server was needed, as for `localhost`.
    pub server: Option<IpAddr>,
    /// The response code.
    pub code: ResponseCode,
    /// The server is an authority for the zone.
    pub is_authoritative: bool,
    /// The answer came by TCP, because the answer by UDP was truncated or not trustworthy.
    pub by_tcp: bool,
    /// The records of the answer section, whatever name they belong to.
    pub records: Vec<Record>,
}

/// The answer of one server to one question: of `server`, which may be any server, or of the first of the interfaces'
/// servers that answers.
///
/// The name is absolute, with or without its final dot, and is queried as it is written: search domains and the cache
/// are not used. Aliases are not followed. A response that says that the name does not exist, or that the server
/// refuses, is an answer and not an error.
///
/// # Errors
/// [`ResolveError::InvalidName`], [`ResolveError::ServersUnreachable`], [`ResolveError::ServerFailure`] for a malformed
/// answer, and [`ResolveError::Other`] with [`Error::InvalidArgument`] if no host can have the server's address.
pub async fn ask(server: Option<IpAddr>, name: &str, record_type: RecordType) -> Result<Reply, ResolveError> {
    let reply = dns::ask(server.map(ip_to_wit), name.to_owned(), record_type.0).await?;
    let dns::ServerReply { server, code, authoritative, by_tcp, records } = reply;
    Ok(Reply {
        server: server.map(ip_from_wit),
        code: ResponseCode(code),
        is_authoritative: authoritative,
        by_tcp,
        records: records.into_iter().map(Record::from_wit).collect(),
    })
}

/// The names of an address, each with its final dot.
///
/// # Errors
/// Each of [`ResolveError`].
pub async fn reverse(address: IpAddr) -> Result<Vec<String>, ResolveError> {
    Ok(dns::reverse(ip_to_wit(address)).await?)
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Error::from(*self).fmt(f)
    }
}

impl std::error::Error for ResolveError {}

impl From<dns::ResolveError> for ResolveError {
    fn from(error: dns::ResolveError) -> Self {
        match error {
            dns::ResolveError::InvalidName => Self::InvalidName,
            dns::ResolveError::NameNotFound => Self::NameNotFound,
            dns::ResolveError::NoRecords => Self::NoRecords,
            dns::ResolveError::ServersUnreachable => Self::ServersUnreachable,
            dns::ResolveError::ServerFailure => Self::ServerFailure,
            dns::ResolveError::Other(code) => Self::Other(code.into()),
        }
    }
}

impl From<ResolveError> for Error {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::InvalidName => Self::InvalidName,
            ResolveError::NameNotFound => Self::NameNotFound,
            ResolveError::NoRecords => Self::NoRecords,
            ResolveError::ServersUnreachable => Self::ServersUnreachable,
            ResolveError::ServerFailure => Self::ServerFailure,
            ResolveError::Other(error) => error,
        }
    }
}
