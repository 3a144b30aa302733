//! Requests that a component answers: `xila-net serve`.

mod client;
mod progress;
mod reply;
mod timer;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::FutureExt as _;
use futures_util::future::{self, Either};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use wasmtime_wasi_http::io::TokioIo;

use self::client::Client;
use self::progress::{Exchange, Progress, Reading};
use self::reply::Asker;
use self::timer::TokioTimer;
use super::app::AppPlan;
use super::arguments::ServeArguments;
use super::audit::AuditFile;
use super::component::{self, Answering};
use super::engines::Engines;
use super::mount::Mounted;
use super::output::Output;
use super::plan::Plan;
use super::turns::Turns;
use super::{run, say, values};
use crate::platform::Clock;
use crate::wasm::NetworkCtx;
use crate::wasm::command::State;
use crate::wasm::http::{Asked, Body, HttpConnection, HttpListener, Overdue, Patience, Refused, Unanswered};

/// How long a client may take to stop sending when its last response was sent.
const LEAVING: Duration = Duration::from_secs(5);

/// What answers requests, where, and how many at once.
#[derive(Debug)]
pub(super) struct ServePlan {
    app: AppPlan,
    address: SocketAddr,
    /// How many requests are answered at once.
    requests: usize,
    /// How long a request may wait for its turn, and take from then until its response begins, and how long the component
    /// to end after that; and how long its client may keep others waiting.
    patience: Patience,
}

impl ServePlan {
    /// Parses the options. Error messages name the option.
    pub(super) fn new(arguments: &ServeArguments, app: AppPlan) -> Result<Self, String> {
        let ServeArguments { address, requests, request_timeout, idle_timeout, run: _ } = arguments;
        Ok(Self {
            app,
            address: address.parse().map_err(|_| {
                format!("--addr {address}: not ADDRESS:PORT, such as 10.0.0.1:80, 0.0.0.0:80 or [::]:80")
            })?,
            requests: Some(values::whole(requests).map_err(|problem| format!("--requests {problem}"))?)
                .filter(|requests| (1..=Semaphore::MAX_PERMITS).contains(requests))
                .ok_or_else(|| format!("--requests {requests}: it takes at least 1"))?,
            patience: Patience {
                component: some_time("--request-timeout", request_timeout, "no component answers in no time")?,
                client: some_time("--idle-timeout", idle_timeout, "no client sends in no time")?,
            },
        })
    }

    /// The app whose component answers.
    pub(super) const fn app(&self) -> &AppPlan {
        &self.app
    }

    /// How many requests are answered at once.
    pub(super) const fn requests(&self) -> usize {
        self.requests
    }

    /// Reads the component, and tries whether its instances can have what the plan gives them.
    pub(super) fn read(&self, plan: &Plan) -> Result<Arc<Vec<u8>>> {
        let path: &Path = &self.app.component;
        let bytes = component::read([path])?.remove(path).context("the component was not read")?;
        run::wasi_apart_from_streams(plan, &self.app)?;
        Ok(bytes)
    }
}

/// A time that is not zero, for the reason given.
fn some_time(option: &str, text: &str, reason: &str) -> Result<Duration, String> {
    let time = values::duration(text).map_err(|problem| format!("{option} {problem}"))?;
    if time.is_zero() { Err(format!("{option} {text}: {reason}")) } else { Ok(time) }
}

/// Compiles the component, if the plan has one that answers requests.
pub(super) async fn compile(
    plan: &Plan,
    bytes: Option<&Arc<Vec<u8>>>,
    engines: &Arc<Engines>,
) -> Result<Option<Answering>> {
    let (Some(serve), Some(bytes)) = (&plan.serve, bytes) else { return Ok(None) };
    let (engines, bytes) = (engines.clone(), bytes.clone());
    let compiling = tokio::task::spawn_blocking(move || Answering::compile(&engines, &bytes));
    Ok(Some(compiling.await?.with_context(|| serve.app.component.display().to_string())?))
}

/// The connections and the work for them, which outlive the listener.
#[derive(Default)]
pub(super) struct Server {
    tasks: Mutex<JoinSet<()>>,
    /// Whether no further requests are taken. Each connection has a receiver.
    ending: watch::Sender<bool>,
}

impl Server {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!("a connection ended by a mistake in xila-net: {error}");
            }
        }
        tasks.spawn(task);
    }

    /// Lets the requests that are under way end, for at most so long, and takes no further ones.
    pub(super) async fn finish(&self, clock: &dyn Clock, patience: Duration) {
        self.ending.send_replace(true);
        if clock.within(patience, self.ending.closed()).await.is_none() {
            tracing::info!("after {patience:?} (--linger), requests are still under way, and are given up");
        }
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.shutdown().await;
    }
}

/// What every request needs.
struct Responder {
    plan: Arc<Plan>,
    name: String,
    app: AppPlan,
    patience: Patience,
    answering: Answering,
    /// One for all instances, which are one app together.
    network: NetworkCtx,
    clock: Arc<dyn Clock>,
    turns: Arc<Turns>,
    permits: Arc<Semaphore>,
    server: Arc<Server>,
}

/// A component that listens, and answers when it is [served](serve).
pub(super) struct Listening {
    address: SocketAddr,
    listener: HttpListener,
    responder: Arc<Responder>,
}

/// Listens. Clients may connect from now on.
pub(super) fn listen(
    plan: &Arc<Plan>,
    answering: Answering,
    mounted: &Mounted,
    audit: Option<&Arc<AuditFile>>,
    server: &Arc<Server>,
    turns: &Arc<Turns>,
) -> Result<Option<Listening>> {
    let Some(serve) = &plan.serve else { return Ok(None) };
    let network = run::network(plan, &serve.app, mounted, audit)?;
    let listener = HttpListener::bind(&network, serve.address).with_context(|| format!("--addr {}", serve.address))?;
    let responder = Arc::new(Responder {
        plan: plan.clone(),
        name: serve.app.name(),
        app: serve.app.clone(),
        patience: serve.patience,
        answering,
        network,
        clock: mounted.manager.platform().clock.clone(),
        turns: turns.clone(),
        permits: Arc::new(Semaphore::new(serve.requests)),
        server: server.clone(),
    });
    say(&format!("xila-net: {} answers at http://{}/", responder.name, listener.local_addr()));
    Ok(Some(Listening { address: serve.address, listener, responder }))
}

/// Answers requests, until `apps`, which run at the same time, or the plan's limit say otherwise. Returns the exit
/// status.
pub(super) async fn serve(plan: &Plan, listening: Listening, apps: impl Future<Output = Result<u8>>) -> Result<u8> {
    let Listening { address, listener, responder } = listening;
    let clock = responder.clock.clone();
    let began = clock.now();
    let apps = pin!(async {
        let status = apps.await?;
        if status == 0 || !plan.fail_fast {
            match plan.limit {
                Some(limit) => clock.wait(began + limit).await,
                None => future::pending().await,
            }
        }
        Ok(status)
    });
    let accepting = pin!(accept(listener, responder));
    match future::select(accepting, apps).await {
        Either::Left((Err(error), _)) => Err(error).with_context(|| format!("--addr {address}")),
        Either::Right((status, _)) => status,
    }
}

/// Accepts connections, until that fails.
async fn accept(listener: HttpListener, responder: Arc<Responder>) -> Result<Infallible> {
    loop {
        let connection = listener.accept().await?;
        let server = responder.server.clone();
        server.spawn(converse(responder.clone(), connection, server.ending.subscribe()));
    }
}

/// Answers the requests of one connection. `ending` is held until it is closed.
async fn converse(responder: Arc<Responder>, connection: HttpConnection, mut ending: watch::Receiver<bool>) {
    let (peer, local) = (connection.peer_addr(), connection.local_addr());
    let (clock, patience) = (responder.clock.clone(), responder.patience.client);
    let progress = Arc::new(Progress::default());
    let mut client = Client::new(connection, progress.clone(), clock.clone(), patience);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer).header_read_timeout(patience);
    let service = service_fn({
        let progress = progress.clone();
        move |request| {
            // At once, because hyper reads on before it first polls what is returned.
            let (request, exchange) = progress.begin(request);
            Box::pin(respond(responder.clone(), request, exchange, local))
        }
    });
    let mut conversation = http.serve_connection(TokioIo::new(&mut client), service);
    let ended = {
        let ended = poll_fn(|cx| conversation.poll_without_shutdown(cx));
        let asked_to_end = pin!(ending.wait_for(|ending| *ending));
        match future::select(ended, asked_to_end).await {
            Either::Left((ended, _)) => Some(ended),
            Either::Right(_) => None,
        }
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut conversation).graceful_shutdown();
            poll_fn(|cx| conversation.poll_without_shutdown(cx)).await
        }
    };
    drop(conversation);
    let is_stuck = client.is_stuck();
    let connection = client.into_inner();
    let is_answered = match &ended {
        Ok(()) => true,
        // hyper has answered what is no request, and the rest of it may still come.
        Err(error) => error.is_parse(),
    };
    if let Err(error) = ended {
        tracing::info!("the connection of {peer} has failed: {error}");
    }
    if is_answered {
        let patience = if *ending.borrow() && progress.is_over() { Duration::ZERO } else { LEAVING };
        leave(connection, &*clock, patience).await;
    } else if is_stuck {
        // Otherwise the stack would keep what the client does not take.
        connection.abort();
    }
}

/// Closes a connection whose last response was sent. What the client still sends, such as the rest of a request that
/// was not read, is read for a while: otherwise the connection would be reset, and the client might lose the response
/// (RFC 9112 section 9.6). Without patience, only what has come is read.
async fn leave(mut connection: HttpConnection, clock: &dyn Clock, patience: Duration) {
    if connection.shutdown().await.is_ok() {
        let mut nowhere = tokio::io::sink();
        let rest = tokio::io::copy(&mut connection, &mut nowhere);
        if patience.is_zero() {
            drop(rest.now_or_never());
        } else {
            clock.within(patience, rest).await;
        }
    }
}

/// Answers one request, which has come to the address `local`: by the component, or in its place by a status that says
/// what is wrong.
async fn respond(
    responder: Arc<Responder>,
    request: Request<Reading<Incoming>>,
    exchange: Exchange,
    local: SocketAddr,
) -> Result<Response<Body>, Infallible> {
    let asked = format!("{} {}", request.method(), request.uri());
    tracing::info!("a client asks for {asked}");
    let asker = Asker::of(&request);
    let response = match Asked::new(request, local) {
        Ok(request) => match responder.ask(request).await {
            Ok(response) => asker.answer(response),
            Err(status) => asker.answer(reply::of(status)),
        },
        Err(refused) => {
            tracing::info!("{asked}: {refused}");
            asker.answer_last(reply::of(match refused {
                Refused::Invalid(_) => StatusCode::BAD_REQUEST,
                Refused::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            }))
        }
    };
    tracing::info!("{asked}: {}", response.status());
    Ok(response.map(|body| exchange.until_the_end_of(body).boxed_unsync()))
}

impl Responder {
    /// The component's response, or the status for there being none. Dropping the future ends the component.
    async fn ask(&self, request: Asked<Reading<Incoming>>) -> Result<Response<Body>, StatusCode> {
        let permit = self.clock.within(self.patience.component, self.permits.clone().acquire_owned()).await;
        // The semaphore is never closed, so this is the time.
        let permit = permit.and_then(Result::ok).ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
        let state = self.state().map_err(|error| self.complain(&error))?;
        let store = self.answering.store(state);
        let (answer, work) = self.answering.handler.call(store, request, self.clock.clone(), self.patience);
        let turns = self.turns.clone();
        let mut working = Working(tokio::spawn(async move {
            let ended = turns.run(work).await;
            drop(permit);
            ended
        }));
        match answer.await {
            Ok(response) => {
                let name = self.name.clone();
                self.server.spawn(async move {
                    // The response has begun. The client sees that it does not end as it should.
                    if let Some(problem) = working.problem().await {
                        say(&format!("xila-net: {name} failed: {problem:?}"));
                    }
                });
                Ok(response)
            }
            Err(Unanswered::Failed(error)) => Err(self.complain(&error.into())),
            Err(Unanswered::Ended) => match working.problem().await {
                None => Err(self.complain(&anyhow::anyhow!("it ended without an answer"))),
                Some(problem) if problem.is::<Overdue>() => {
                    self.complain(&problem);
                    Err(StatusCode::GATEWAY_TIMEOUT)
                }
                Some(problem) => Err(self.complain(&problem)),
            },
        }
    }

    /// The data of the store for one request. Instances have no standard input, which they would take from each other.
    fn state(&self) -> Result<State> {
        let mut wasi = run::wasi_apart_from_streams(&self.plan, &self.app)?;
        wasi.stdout(Output::Standard).stderr(Output::Error);
        Ok(run::state_on(&self.plan, self.network.clone(), wasi.build()))
    }

    /// Reports why there is no response. The client is only told that there is none.
    fn complain(&self, problem: &anyhow::Error) -> StatusCode {
        say(&format!("xila-net: {} failed: {problem:?}", self.name));
        StatusCode::INTERNAL_SERVER_ERROR
    }
}

/// The task in which a component works. Dropping this ends it.
struct Working(JoinHandle<wasmtime::Result<()>>);

impl Working {
    /// Waits for the end of the component; returns what went wrong.
    async fn problem(&mut self) -> Option<anyhow::Error> {
        match (&mut self.0).await {
            Ok(ended) => ended.err().map(anyhow::Error::from),
            Err(error) => Some(error.into()),
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::arguments::{Command, CommandLine};

    fn plan(words: &[&str]) -> Result<Plan, String> {
        let line = CommandLine::try_parse_from([&["xila-net", "serve"], words].concat());
        match line.unwrap_or_else(|error| panic!("{error}")).command {
            Command::Serve(arguments) => Plan::serving(&arguments),
            Command::Run(_) | Command::Policy(_) => panic!("another command"),
        }
    }

    #[test]
    fn the_component_is_served_and_the_apps_run() {
        let plan = plan(&["--app", "b.wasm x", "a.wasm", "--addr", "[::1]:80", "--", "-v"]).expect("a plan");
        let serve = plan.serve.expect("something to serve");
        assert_eq!((serve.app.name().as_str(), &*serve.app.arguments), ("a.wasm", &["-v".to_owned()][..]));
        let patience = Patience { component: Duration::from_secs(30), client: Duration::from_secs(60) };
        assert_eq!((serve.requests, serve.patience), (100, patience));
        assert_eq!(plan.apps.iter().map(AppPlan::name).collect::<Vec<_>>(), ["b.wasm"]);
    }

    #[test]
    fn mistakes_name_the_option() {
        for (option, text, word) in [
            ("--addr", "localhost", "not ADDRESS:PORT"),
            ("--requests", "0", "at least 1"),
            ("--requests", "-1", "not a whole number"),
            ("--request-timeout", "0", "in no time"),
            ("--request-timeout", "5", "needs a unit"),
            ("--idle-timeout", "0", "in no time"),
            ("--simulate", "1", "in real time"),
        ] {
            let given = format!("{option}={text}");
            let mut words = vec!["a.wasm", &given];
            if option != "--addr" {
                words.push("--addr=127.0.0.1:80");
            }
            let problem = plan(&words).expect_err(option);
            assert!(problem.starts_with(option) && problem.contains(word), "{problem}");
        }
    }
}
