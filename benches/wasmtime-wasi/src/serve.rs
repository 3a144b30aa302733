//! A component that answers requests by `wasi:http` 0.2, with a new instance for each, on the operating system's sockets.

use std::net::SocketAddr;

use anyhow::Result;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use wasmtime::component::Component;
use wasmtime::error::Context as _;
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig, Store};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::{State, floor, linker_p2};

/// Compiles the component. The returned future answers requests until accepting a connection fails.
pub(crate) fn serve(address: SocketAddr, path: &str) -> Result<impl Future<Output = Result<()>> + use<>> {
    let engine = engine()?;
    let component = Component::from_file(&engine, path).with_context(|| path.to_owned())?;
    let component = ProxyPre::new(linker_p2(&engine)?.instantiate_pre(&component)?)?;
    Ok(async move {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (connection, _) = listener.accept().await?;
            connection.set_nodelay(true)?;
            let component = component.clone();
            let service = service_fn(move |request| answer(component.clone(), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(connection), service));
        }
    })
}

/// An engine whose instances take their memory from a pool, as those of `xila-net serve` and `wasmtime serve` do.
fn engine() -> Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    pool.linear_memory_keep_resident(KEPT).table_keep_resident(KEPT).pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    Ok(Engine::new(config.concurrency_support(false).allocation_strategy(pool))?)
}

/// How many bytes of its memory an instance leaves to the next one, as in xila-net.
const KEPT: usize = 1 << 20;

async fn answer(component: ProxyPre<State>, request: Request<Incoming>) -> Result<Response<HyperOutgoingBody>> {
    let mut wasi = WasiCtx::builder();
    let [side, _] = floor::pair();
    let mut store = Store::new(component.engine(), State::new(wasi.inherit_stdio().build(), side));
    let (answer, answered) = oneshot::channel();
    let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
    let response = store.data_mut().http().new_response_outparam(answer)?;
    let work = tokio::spawn(async move {
        let proxy = component.instantiate_async(&mut store).await?;
        proxy.wasi_http_incoming_handler().call_handle(&mut store, request, response).await
    });
    match answered.await {
        Ok(response) => Ok(response?),
        Err(_) => {
            work.await??;
            Err(anyhow::anyhow!("the component has not answered"))
        }
    }
}
