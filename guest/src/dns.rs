//! Names (RFC 1034, RFC 1035).

mod record;
mod response;

pub use record::{NoRecordType, Record, RecordData, RecordType};
pub use response::ResponseCode;

use std::fmt;
use std::net::IpAddr;

use crate::Error;
use crate::address::{Family, ip_from_wit, ip_to_wit};
use crate::bindings::dns;

/// Why a name was not found. In brackets the name that `getaddrinfo` has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResolveError {
    /// The text is no name \[EAI_NONAME\].
    InvalidName,
    /// There is no such name: NXDOMAIN \[EAI_NONAME\].
    NameNotFound,
    /// The name exists, but has no record of the kind asked for \[EAI_NODATA\].
    NoRecords,
    /// No server is known, or none answered in time \[EAI_AGAIN\].
    ServersUnreachable,
    /// The servers answered that they failed: SERVFAIL and its kin \[EAI_FAIL\].
    ServerFailure,
    /// The policy forbids it, or as many queries as may be are under way.
    Other(Error),
}

/// The addresses of a name, both families asked at once, in the order in which they should be tried. Never empty.
///
/// An address written as text is its own answer, in brackets too; `localhost` and names below it are the loopback
/// addresses. A name without a final dot is also looked for in the host's search domains.
///
/// # Errors
/// Each of [`ResolveError`].
pub async fn resolve(name: &str) -> Result<Vec<IpAddr>, ResolveError> {
    resolve_in(name, None).await
}

/// The addresses of a name in one family. Only they are asked for.
///
/// # Errors
/// Each of [`ResolveError`].
pub async fn resolve_family(name: &str, family: Family) -> Result<Vec<IpAddr>, ResolveError> {
    resolve_in(name, Some(family)).await
}

/// The addresses of a name, in one family where one is given.
pub(crate) async fn resolve_in(name: &str, family: Option<Family>) -> Result<Vec<IpAddr>, ResolveError> {
    let addresses = dns::resolve(name.to_owned(), family.map(Family::to_wit)).await?;
    Ok(addresses.into_iter().map(ip_from_wit).collect())
}

/// The records of one kind that a name has, with the CNAME records that lead to them.
///
/// # Errors
/// Each of [`ResolveError`].
pub async fn lookup(name: &str, record_type: RecordType) -> Result<Vec<Record>, ResolveError> {
    let records = dns::lookup(name.to_owned(), record_type.0).await?;
    Ok(records.into_iter().map(Record::from_wit).collect())
}

/// What one server answered to one question, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Who answered; `None` where no server was needed, as for `localhost`.
    pub server: Option<IpAddr>,
    /// The response code.
    pub code: ResponseCode,
    /// The server speaks for the zone.
    pub is_authoritative: bool,
    /// The answer came by TCP: by UDP it was cut off, or not to be believed.
    pub by_tcp: bool,
    /// The records of the answer section, whosoever they are.
    pub records: Vec<Record>,
}

/// What one server answers to one question: `server`, whoever that is, or the first of the interfaces' that answers.
///
/// The name is absolute, with or without its final dot, and is asked for as it is written: in no search domain, and
/// without a look at what is kept. Aliases are not followed. That there is no such name, or that the server refuses, is
/// an answer.
///
/// # Errors
/// [`ResolveError::InvalidName`], [`ResolveError::ServersUnreachable`], [`ResolveError::ServerFailure`] for an answer
/// that makes no sense, and [`ResolveError::Other`] with [`Error::InvalidArgument`] for an address that no host can
/// have.
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
