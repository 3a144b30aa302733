//! Where a published app may listen.

use core::fmt;
use core::net::SocketAddr;
use std::sync::Arc;

/// The addresses and ports at which an app may listen, in the order in which they are tried. They are asked for with
/// each new peer, because the app's interfaces may have other addresses by then.
#[derive(Clone)]
pub struct Targets(Arc<dyn Fn() -> Vec<SocketAddr> + Send + Sync>);

impl Targets {
    /// Targets that a function tells. It is called for each new peer, and must not block.
    pub fn from_fn(targets: impl Fn() -> Vec<SocketAddr> + Send + Sync + 'static) -> Self {
        Self(Arc::new(targets))
    }

    /// The targets at present.
    pub(super) fn now(&self) -> Vec<SocketAddr> {
        (self.0)()
    }
}

/// Targets that stay the same.
impl From<Vec<SocketAddr>> for Targets {
    fn from(targets: Vec<SocketAddr>) -> Self {
        Self::from_fn(move || targets.clone())
    }
}

impl fmt::Debug for Targets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Targets").field(&self.now()).finish()
    }
}
