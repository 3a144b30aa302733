//! Name resolution of `wasi:sockets`.

use std::net::IpAddr;

use crate::socket::ResolveError;
use crate::wasm::NetworkCtx;

/// The cause why a name was not resolved, as 0.2 and 0.3 share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wasm) enum NameError {
    /// The guest has no network, or its policy forbids the name \[EACCES\].
    AccessDenied,
    /// The text is neither a valid name nor an address \[EINVAL\].
    InvalidArgument,
    /// The name does not exist, or has no address \[EAI_NONAME, EAI_NODATA\].
    Unresolvable,
    /// No server answered, or too many queries are under way: another try may succeed \[EAI_AGAIN\].
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

/// Starts to resolve a name. The returned future does the work, from its first poll on. Its addresses are in the order
/// in which they should be tried. There is at least one, and IPv4 addresses are never IPv4-mapped.
///
/// # Errors
/// [`NameError::AccessDenied`] for a guest without a network; [`NameError::TemporaryFailure`] if the guest's limit of
/// queries is reached.
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
