//! Name lookup of `wasi:sockets`.

use std::net::IpAddr;

use crate::socket::ResolveError;
use crate::wasm::NetworkCtx;

/// Why a name was not found, in the words that 0.2 and 0.3 have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wasm) enum NameError {
    /// The guest has no network, or its policy forbids the name \[EACCES\].
    AccessDenied,
    /// The text is neither a name nor an address \[EINVAL\].
    InvalidArgument,
    /// No such name, or none with an address \[EAI_NONAME, EAI_NODATA\].
    Unresolvable,
    /// No answer, or not now: another try may help \[EAI_AGAIN\].
    TemporaryFailure,
    /// The servers failed \[EAI_FAIL\].
    PermanentFailure,
}

impl From<ResolveError> for NameError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::InvalidName | ResolveError::InvalidAddress => Self::InvalidArgument,
            ResolveError::NameNotFound | ResolveError::NoRecords => Self::Unresolvable,
            ResolveError::AccessDenied => Self::AccessDenied,
            ResolveError::ServersUnreachable => Self::TemporaryFailure,
            ResolveError::ServerFailure => Self::PermanentFailure,
        }
    }
}

/// Begins to look a name up: the future does the rest, and is polled for the first time by who has it. Its addresses come in
/// the order in which they should be tried, at least one, IPv4 addresses always as such.
///
/// # Errors
/// [`NameError::AccessDenied`] for a guest without a network; [`NameError::TemporaryFailure`] where as many queries as it
/// may have are under way.
pub(in crate::wasm) fn resolve(
    ctx: &NetworkCtx,
    name: String,
) -> Result<impl Future<Output = Result<Vec<IpAddr>, NameError>> + Send + use<>, NameError> {
    let resolver = ctx.resolver().map_err(|_none| NameError::AccessDenied)?;
    let charge = ctx.quota().charge_query().map_err(|_limit| NameError::TemporaryFailure)?;
    Ok(async move {
        let _charge = charge;
        let addresses = resolver.resolve(&name, None).await?;
        Ok(addresses.into_iter().map(|address| address.to_canonical()).collect())
    })
}
