//! What one guest may use: the context in its store.

use wasmtime::component::{HasData, ResourceTable};

use crate::error::{Error, Result};
use crate::policy::{Limits, Quota};
use crate::socket::Network;

/// What one guest may use, and what it holds.
///
/// Nothing, until it is given a network.
#[derive(Clone, Debug)]
pub struct NetworkCtx {
    network: Option<Network>,
    quota: Quota,
}

impl NetworkCtx {
    /// Starts with no network and the default [`Limits`].
    pub fn builder() -> NetworkCtxBuilder {
        NetworkCtxBuilder::default()
    }

    /// The account of what the guest holds.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// What a socket is created on: all that the guest may use, or the one interface that it names.
    pub(crate) fn network(&self, interface: Option<&str>) -> Result<Network> {
        let network = self.network.as_ref().ok_or(Error::NotFound)?;
        match interface {
            None => Ok(network.clone()),
            Some(name) => network.interface(name),
        }
    }
}

/// Builds a [`NetworkCtx`].
#[derive(Clone, Debug, Default)]
pub struct NetworkCtxBuilder {
    network: Option<Network>,
    limits: Limits,
}

impl NetworkCtxBuilder {
    /// Lets the guest use the interfaces of `network`. The last call counts.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = Some(network);
        self
    }

    /// How much the guest may hold at once.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The context.
    #[must_use]
    pub fn build(self) -> NetworkCtx {
        NetworkCtx { network: self.network, quota: Quota::new(self.limits) }
    }
}

/// A store's context and table, borrowed for one host call.
#[derive(Debug)]
pub struct NetworkCtxView<'a> {
    /// What the guest may use.
    pub ctx: &'a mut NetworkCtx,
    /// The table that keeps the guest's sockets.
    pub table: &'a mut ResourceTable,
}

/// Implemented by the data of a store whose guest uses `xila:network`.
pub trait NetworkView: Send + 'static {
    /// The context and the table.
    fn network(&mut self) -> NetworkCtxView<'_>;
}

impl<T: ?Sized + NetworkView> NetworkView for Box<T> {
    fn network(&mut self) -> NetworkCtxView<'_> {
        T::network(self)
    }
}

/// Tells the bindings that host functions work on a [`NetworkCtxView`].
#[derive(Debug)]
pub struct HasNetwork;

impl HasData for HasNetwork {
    type Data<'a> = NetworkCtxView<'a>;
}
