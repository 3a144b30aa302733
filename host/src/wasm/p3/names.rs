//! `wasi:sockets/ip-name-lookup` 0.3.

use wasmtime::component::Accessor;

use crate::wasm::p3::bindings::ip_name_lookup::{ErrorCode, Host, HostWithStore};
use crate::wasm::p3::bindings::types::IpAddress;
use crate::wasm::sockets::{self, NameError};
use crate::wasm::{HasNetwork, NetworkCtxView};

impl Host for NetworkCtxView<'_> {}

impl<T: Send + 'static> HostWithStore<T> for HasNetwork {
    async fn resolve_addresses(
        accessor: &Accessor<T, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<IpAddress>, ErrorCode>> {
        Ok(async {
            let query = accessor.with(|mut access| sockets::resolve(access.get().ctx, name))?;
            Ok(query.await?.into_iter().map(Into::into).collect())
        }
        .await)
    }
}

impl From<NameError> for ErrorCode {
    fn from(error: NameError) -> Self {
        match error {
            NameError::AccessDenied => Self::AccessDenied,
            NameError::InvalidArgument => Self::InvalidArgument,
            NameError::Unresolvable => Self::NameUnresolvable,
            NameError::TemporaryFailure => Self::TemporaryResolverFailure,
            NameError::PermanentFailure => Self::PermanentResolverFailure,
        }
    }
}
