//! Components that answer requests: those that export `wasi:http/incoming-handler` 0.2 or `wasi:http/handler` 0.3.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{self, Either};
use http::uri::{Authority, Scheme};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::sync::{oneshot, watch};
use wasmtime::component::{Component, Linker};
use wasmtime::{Result, Store, format_err};
use wasmtime_wasi_http::{Error, FieldMap, WasiHttpView, p2, p3};

use super::asked::Asked;
use super::body::{Held, Timely};
use crate::platform::Clock;

/// The body of a response.
pub type Body = wasmtime_wasi_http::WasiBody;

/// A compiled and linked component, which is instantiated anew for each request.
pub struct Handler<T: 'static>(Pre<T>);

enum Pre<T: 'static> {
    P2(p2::bindings::ProxyPre<T>),
    P3(p3::bindings::ServicePre<T>),
}

/// The cause why a request has no response.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The component answered with an error instead of a response.
    #[error("it answered with an error: {0}")]
    Failed(Error),
    /// The component ended without an answer, or was ended. The result of its work says why.
    #[error("it ended without an answer")]
    Ended,
}

/// How long a component and its client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a component may take to answer, and to end when its response was sent.
    pub component: Duration,
    /// How long the client may take to send each part of the body of its request. While the component does not wait for
    /// one, no time passes.
    pub client: Duration,
}

/// A component has taken too long, and was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overdue {
    /// It did not answer within the time.
    #[error("it did not answer within {0:?}")]
    Response(Duration),
    /// It did not end within the time when its response was sent.
    #[error("it did not end within {0:?} after its response")]
    End(Duration),
}

/// The response of a component, as soon as its head is there. The work of the component has to be polled meanwhile.
#[derive(Debug)]
pub struct Answer(oneshot::Receiver<Result<Response<Body>, Unanswered>>);

impl Future for Answer {
    type Output = Result<Response<Body>, Unanswered>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(Unanswered::Ended)))
    }
}

impl<T: WasiHttpView + Send + 'static> Handler<T> {
    /// Links a component to its imports.
    ///
    /// # Errors
    /// If the component exports neither interface, or imports something that `linker` does not have.
    pub fn new(component: &Component, linker: &Linker<T>) -> Result<Self> {
        let instance = crate::wasm::command::link(component, linker)?;
        let exports = |interface| component.get_export_index(None, interface).is_some();
        if exports("wasi:http/handler@0.3.0") {
            return Ok(Self(Pre::P3(p3::bindings::ServicePre::new(instance)?)));
        }
        if exports("wasi:http/incoming-handler@0.2.0") {
            return Ok(Self(Pre::P2(p2::bindings::ProxyPre::new(instance)?)));
        }
        Err(format_err!(
            "this component answers no requests: it exports neither wasi:http/incoming-handler nor wasi:http/handler"
        ))
    }

    /// Lets a new instance of the component answer a request, in a store of its own.
    ///
    /// The second value is the work of the component. Without it being polled, neither the response comes nor its body.
    /// It ends when the component has ended and the body was sent or dropped; or with an error, when the component
    /// trapped, or was [`Overdue`] because it took longer than its [`Patience`]: to answer, or to end when the body was sent.
    /// The time for sending the body is not limited here. If the component traps, or this work is dropped, while the body
    /// is being written, the body ends with an error.
    pub fn call<B>(
        &self,
        store: Store<T>,
        asked: Asked<B>,
        clock: Arc<dyn Clock>,
        patience: Patience,
    ) -> (Answer, impl Future<Output = Result<()>> + Send + use<T, B>)
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Error>,
    {
        let Asked { request, authority } = asked;
        let (answer, answered) = oneshot::channel();
        let (stage, seen) = watch::channel(Stage::Asked);
        let reply = Reply { answer, stage, cut: Arc::default() };
        let limit = limit(seen.clone(), clock.clone(), patience.component);
        let late: fn(Option<B::Error>) -> Error = |error| error.map_or(Error::ConnectionReadTimeout, Into::into);
        let request = request.map(|body| Timely::new(body, clock, patience.client, late));
        let work: Pin<Box<dyn Future<Output = Result<()>> + Send>> = match &self.0 {
            Pre::P2(pre) => Box::pin(answer_p2(pre.clone(), store, request, reply)),
            Pre::P3(pre) => Box::pin(answer_p3(pre.clone(), store, request, authority, reply, seen)),
        };
        let work = async move {
            match future::select(work, pin!(limit)).await {
                Either::Left((ended, _)) => ended,
                Either::Right((overdue, _)) => Err(overdue.into()),
            }
        };
        (Answer(answered), work)
    }
}

impl<T> Clone for Handler<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Pre::P2(pre) => Pre::P2(pre.clone()),
            Pre::P3(pre) => Pre::P3(pre.clone()),
        })
    }
}

impl<T> std::fmt::Debug for Handler<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self.0 {
            Pre::P2(_) => "Handler(0.2)",
            Pre::P3(_) => "Handler(0.3)",
        })
    }
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The component has to answer.
    Asked,
    /// The head of the response is there. Left when the body is dropped.
    Answered,
    /// The body was sent, or nobody wants it any more. Final.
    Sent,
}

/// What a component answers with, once.
struct Reply {
    answer: oneshot::Sender<Result<Response<Body>, Unanswered>>,
    stage: watch::Sender<Stage>,
    cut: Arc<AtomicBool>,
}

/// Sets a flag when a component is ended, unless it has ended by itself: what it has written of a body is not the whole
/// then, although its streams are closed as if it were. This has to be dropped before the store.
struct Ending(Option<Arc<AtomicBool>>);

impl Ending {
    /// The component has ended by itself.
    fn by_itself(mut self) {
        self.0 = None;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(cut) = &self.0 {
            cut.store(true, Ordering::Release);
        }
    }
}

impl Reply {
    fn send(self, response: Result<Response<Body>, Error>) {
        let Self { answer, stage, cut } = self;
        let held = response.map_err(Unanswered::Failed).map(|response| {
            stage.send_replace(Stage::Answered);
            response.map(|body| Held::new(body, stage, cut).boxed_unsync())
        });
        // Whoever asked may not wait any more. The body is dropped then, which says so to the component.
        drop(answer.send(held));
    }
}

/// Returns when a component has taken too long.
async fn limit(mut stage: watch::Receiver<Stage>, clock: Arc<dyn Clock>, patience: Duration) -> Overdue {
    if clock.within(patience, stage.wait_for(|stage| *stage != Stage::Asked)).await.is_none() {
        return Overdue::Response(patience);
    }
    // An error means that there will be no body: the component has dropped what it had to answer by.
    drop(stage.wait_for(|stage| *stage == Stage::Sent).await);
    clock.wait(clock.now() + patience).await;
    Overdue::End(patience)
}

async fn answer_p2<T, B>(
    pre: p2::bindings::ProxyPre<T>,
    mut store: Store<T>,
    request: Request<B>,
    reply: Reply,
) -> Result<()>
where
    T: WasiHttpView + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Error>,
{
    let ending = Ending(Some(reply.cut.clone()));
    let request = store.data_mut().http().new_incoming_request(p2::bindings::http::types::Scheme::Http, request)?;
    let respond = move |response: Result<_, p2::bindings::http::types::ErrorCode>| {
        reply.send(response.map_err(Error::from));
    };
    let response = store.data_mut().http().new_response_outparam_from_callback(respond)?;
    let proxy = pre.instantiate_async(&mut store).await?;
    proxy.wasi_http_incoming_handler().call_handle(&mut store, request, response).await?;
    ending.by_itself();
    Ok(())
}

async fn answer_p3<T, B>(
    pre: p3::bindings::ServicePre<T>,
    mut store: Store<T>,
    request: Request<B>,
    host: Authority,
    reply: Reply,
    mut stage: watch::Receiver<Stage>,
) -> Result<()>
where
    T: WasiHttpView + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Error>,
{
    let ending = Ending(Some(reply.cut.clone()));
    let (head, body) = request.into_parts();
    let headers = FieldMap::new_immutable(store.data_mut().http().hooks, head.headers);
    let target = head.uri.into_parts().path_and_query;
    let (request, _received) =
        p3::Request::new(head.method, Some(Scheme::HTTP), Some(host), target, headers, None, body);
    // The component may wait for this, and need not have read the request.
    let mut sending = stage.clone();
    let sent = async move {
        drop(sending.wait_for(|stage| *stage == Stage::Sent).await);
        Ok(())
    };
    let service = pre.instantiate_async(&mut store).await?;
    store
        .run_concurrent(async |accessor| {
            let response = match service.handle(accessor, request).await? {
                Ok(response) => accessor.with(|store| response.into_http(store, sent)).map(Ok)?,
                Err(code) => Err(Error::from(code)),
            };
            reply.send(response);
            // The component's other tasks may still write the body, which passes through this store. The error means
            // that there is no body.
            drop(stage.wait_for(|stage| *stage == Stage::Sent).await);
            std::future::poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            wasmtime::error::Ok(())
        })
        .await??;
    ending.by_itself();
    Ok(())
}
