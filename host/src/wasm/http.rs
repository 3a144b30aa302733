//! `wasi:http` 0.2 and 0.3, and `wasi:tls`, over the guest's own sockets.
//!
//! wasmtime-wasi-http and wasmtime-wasi-tls have the WIT interfaces. This module makes the connections: a request of a
//! guest resolves its name by the guest's resolver and connects by a socket of the guest's [network](NetworkCtx), so
//! that the guest's policy, limits and rates hold for it as for every other socket of the guest. The operating system's
//! network is never used.
//!
//! | Module | Contents |
//! |---|---|
//! | this file | [`HttpCtx`], and linking |
//! | `send` | one request and its response, with their timeouts |
//! | `origin` | the server that a URI names |
//! | `connect` | a connection to it: resolution, attempts at its addresses, TLS |
//! | `link` | HTTP over one connection, for one request after another |
//! | `read_first` | streams of which what has arrived is read before a failure is told |
//! | `pool` | the connections that wait for a further request |
//! | `body` | bodies whose parts have to come in time, or that come back |
//! | `roots` | the certificates that servers are verified by |
//! | `tls` | how a guest connects by TLS, and the connections of `wasi:tls` |
//! | `failure` | conversion of errors to those of `wasi:http` |
//! | `coding` | the transfer codings of messages |
//! | `asked` | the requests that components may be called with |
//! | `handler` | components that answer requests |
//! | `listener` | the connections over which requests come |
//! | `forward` | types whose bytes are those of a stream within |
//! | `cooperative` | streams that let other tasks have a turn |
//!
//! All of this runs on a tokio runtime, which wasmtime-wasi-http needs. So it cannot be used in a
//! [simulation](crate::platform::simulated).

mod asked;
mod body;
mod coding;
mod connect;
mod cooperative;
mod failure;
mod forward;
mod handler;
mod link;
mod listener;
mod origin;
mod pool;
mod read_first;
mod roots;
mod send;
mod tls;

pub use asked::{Asked, Refused};
pub use handler::{Answer, Body, Handler, Overdue, Patience, Unanswered};
pub use listener::{HttpConnection, HttpListener};
pub use roots::{InvalidRoots, TlsRoots};

use std::fmt;
use std::sync::Arc;

use http::Request;
use wasmtime::Result;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};
use wasmtime_wasi_tls::{WasiTlsCtx, WasiTlsCtxBuilder, WasiTlsCtxView, WasiTlsView};

use self::connect::Connector;
use super::NetworkCtx;

/// What one guest needs for `wasi:http` and `wasi:tls`: its network, and the certificates that it trusts.
pub struct HttpCtx {
    http: WasiHttpCtx,
    tls: WasiTlsCtx,
    outgoing: Outgoing,
}

impl HttpCtx {
    /// The context of the guest that has `network`. Servers are verified by `roots`.
    #[must_use]
    pub fn new(network: &NetworkCtx, roots: TlsRoots) -> Self {
        let tls = WasiTlsCtxBuilder::new().provider(Box::new(tls::Provider::new(roots.clone()))).build();
        let outgoing = Outgoing { network: network.clone(), roots, connector: None };
        Self { http: WasiHttpCtx::new(), tls, outgoing }
    }

    /// The view that [`WasiHttpView::http`] returns. `table` is the store's table, which must be the same as that of the
    /// other WASI interfaces.
    pub fn http<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView { hooks: &mut self.outgoing, table, ctx: &mut self.http }
    }

    /// The view that [`WasiTlsView::tls`] returns. `table` as for [`http`](Self::http).
    pub fn tls<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiTlsCtxView<'a> {
        WasiTlsCtxView { table, ctx: &mut self.tls }
    }
}

impl fmt::Debug for HttpCtx {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outgoing, .. } = self;
        let mut debug = formatter.debug_struct("HttpCtx");
        debug.field("network", &outgoing.network).field("roots", &outgoing.roots).finish_non_exhaustive()
    }
}

/// Adds `wasi:http` 0.2 and 0.3, and `wasi:tls` 0.2 and 0.3, to `linker`, which has the rest of WASI by
/// [`command::add_to_linker`](super::command::add_to_linker).
///
/// # Errors
/// If the linker has one of the interfaces already.
pub fn add_to_linker<T: WasiHttpView + WasiTlsView + 'static>(linker: &mut Linker<T>) -> Result<()> {
    add_p2_to_linker(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)?;
    wasmtime_wasi_tls::p3::add_to_linker(linker)
}

/// Adds only `wasi:http` 0.2 and `wasi:tls` 0.2, for an engine without concurrency support:
/// [`command::add_p2_to_linker`](super::command::add_p2_to_linker) says when that is of use.
///
/// # Errors
/// If the linker has one of the interfaces already.
pub fn add_p2_to_linker<T: WasiHttpView + WasiTlsView + 'static>(linker: &mut Linker<T>) -> Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    // Without this the interface would be linked without its functions, because it is a draft.
    let mut options = wasmtime_wasi_tls::p2::LinkOptions::default();
    options.tls(true);
    wasmtime_wasi_tls::p2::add_to_linker(linker, &options)
}

/// Sends the requests of one guest.
struct Outgoing {
    network: NetworkCtx,
    roots: TlsRoots,
    /// Made for the first request. It holds no part of the guest's context, whose end is what closes the guest's quota.
    connector: Option<Arc<Connector>>,
}

impl Outgoing {
    fn connector(&mut self) -> Result<Arc<Connector>, Error> {
        let connector = match &mut self.connector {
            Some(connector) => connector,
            none => none.insert(Arc::new(Connector::new(&self.network, self.roots.clone())?)),
        };
        Ok(connector.clone())
    }
}

/// A response, and the work of its connection, which has to be polled while the bodies are sent and received.
type Exchange = (http::Response<WasiBody>, Work);

/// What remains to be done for a request; its result is that of the transmission.
type Work = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        // Why the guest could not take the response. That needs nothing here: dropping the response ends its connection.
        _outcome: Work,
    ) -> Box<dyn Future<Output = Result<Exchange, Error>> + Send> {
        let connector = self.connector();
        Box::new(async move { send::send(&*connector?, request, options.unwrap_or_default()).await })
    }
}
