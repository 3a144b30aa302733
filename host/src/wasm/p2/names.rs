//! `wasi:sockets/ip-name-lookup` 0.2.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::vec;

use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use super::bindings::ip_name_lookup::{Host, HostResolveAddressStream};
use super::bindings::network::{ErrorCode, IpAddress};
use super::network::{Network, SocketError};
use crate::wasm::NetworkCtxView;
use crate::wasm::failure::{get_mut, push};
use crate::wasm::sockets::{NameError, resolve};

/// The resource of a `resolve-address-stream` handle. The query progresses while the guest asks or waits for its
/// result.
pub struct ResolveAddressStream(Query);

enum Query {
    /// The query is under way.
    Waiting(Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, NameError>> + Send>>),
    /// The addresses that the guest has not taken yet.
    Found(vec::IntoIter<IpAddr>),
    Failed(NameError),
}

impl ResolveAddressStream {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<&mut vec::IntoIter<IpAddr>, NameError>> {
        if let Query::Waiting(query) = &mut self.0 {
            self.0 = match ready!(query.as_mut().poll(cx)) {
                Ok(addresses) => Query::Found(addresses.into_iter()),
                Err(error) => Query::Failed(error),
            };
        }
        match &mut self.0 {
            Query::Waiting(_) => Poll::Pending,
            Query::Found(addresses) => Poll::Ready(Ok(addresses)),
            Query::Failed(error) => Poll::Ready(Err(*error)),
        }
    }
}

#[wasmtime_wasi_io::async_trait]
impl Pollable for ResolveAddressStream {
    async fn ready(&mut self) {
        poll_fn(|cx| self.poll(cx).map(|_| ())).await;
    }
}

impl Host for NetworkCtxView<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        self.check_network(&network)?;
        let query = resolve(self.ctx, name)?;
        let mut stream = ResolveAddressStream(Query::Waiting(Box::pin(query)));
        // Errors that need no query, such as an invalid name, are returned at once.
        if let Poll::Ready(Err(error)) = stream.poll(&mut Context::from_waker(Waker::noop())) {
            return Err(error.into());
        }
        Ok(push(self.table, stream)?)
    }
}

impl HostResolveAddressStream for NetworkCtxView<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        match get_mut(self.table, &stream)?.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(addresses) => Ok(addresses?.next().map(Into::into)),
            Poll::Pending => Err(SocketError::Code(ErrorCode::WouldBlock)),
        }
    }

    fn subscribe(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, stream)
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}

impl From<NameError> for SocketError {
    fn from(error: NameError) -> Self {
        Self::Code(match error {
            NameError::AccessDenied => ErrorCode::AccessDenied,
            NameError::InvalidArgument => ErrorCode::InvalidArgument,
            NameError::Unresolvable => ErrorCode::NameUnresolvable,
            NameError::TemporaryFailure => ErrorCode::TemporaryResolverFailure,
            NameError::PermanentFailure => ErrorCode::PermanentResolverFailure,
        })
    }
}
