//! `wasmtime-wasi-run --threads N --app "component.wasm args..." [--app ...]`: the peer of `xila-net run`. It runs
//! components as wasmtime-wasi's documentation describes, on that crate's own sockets, which are those of the operating
//! system. The programs of the crate `benches/floor` need no sockets: each two of them take turns through the module
//! `floor`.
//!
//! With `--serve ADDRESS:PORT`, the first app answers requests there, as by `xila-net serve`, until the process is ended.

mod floor;
mod serve;

use std::collections::BTreeMap;
use std::iter;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, p2, p3};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView, default_hooks};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wasmtime-wasi-run: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let mut threads = 1;
    let mut apps = Vec::new();
    let mut serve: Option<SocketAddr> = None;
    let mut words = std::env::args().skip(1);
    while let Some(option) = words.next() {
        let value = words.next().with_context(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--threads" => threads = value.parse().context("--threads")?,
            "--app" => apps.push(shell_words::split(&value).context("--app")?),
            "--serve" => serve = Some(value.parse().context("--serve")?),
            _ => bail!("there is no option {option}"),
        }
    }
    // As in xila-net, also for one thread: the apps run on that thread, and not on this one, which waits for them.
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    match serve {
        Some(address) => {
            let path = apps.first().and_then(|words| words.first()).context("--app names no component")?;
            runtime.block_on(async { tokio::spawn(serve::serve(address, path)?).await? })
        }
        None => runtime.block_on(run(apps)),
    }
}

/// Runs all apps at once, each as a task with a store of its own.
async fn run(apps: Vec<Vec<String>>) -> Result<()> {
    let engines = Engines::new()?;
    let mut programs = BTreeMap::new();
    for path in apps.iter().filter_map(|words| words.first()) {
        if !programs.contains_key(path) {
            programs.insert(path.clone(), compile(&engines, path).with_context(|| path.clone())?);
        }
    }
    let mut tasks = JoinSet::new();
    for (words, side) in apps.iter().zip(iter::repeat_with(floor::pair).flatten()) {
        let program = words.first().and_then(|path| programs.get(path)).context("--app names no component")?.clone();
        let mut wasi = WasiCtx::builder();
        wasi.inherit_stdio().args(words).inherit_network().allow_tcp(true).allow_udp(true).allow_ip_name_lookup(true);
        let mut store = Store::new(program.engine(), State::new(wasi.build(), side));
        tasks.spawn(async move { program.run(&mut store).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??.map_err(|()| anyhow::anyhow!("an app has failed"))?;
    }
    Ok(())
}

/// Two engines, as in xila-net: calls cost less on an engine without concurrency support, which WASI 0.2 programs do
/// not need.
///
/// Unlike xila-net's, these engines have no epoch interruption: these apps need not check the epoch in their loops.
struct Engines {
    p2: Engine,
    all: Engine,
}

impl Engines {
    fn new() -> Result<Self> {
        let mut config = Config::new();
        config.concurrency_support(false);
        Ok(Self { p2: Engine::new(&config)?, all: Engine::default() })
    }
}

fn compile(engines: &Engines, path: &str) -> Result<Program> {
    compile_p2(&engines.p2, path).or_else(|_| compile_any(&engines.all, path))
}

/// What programs of WASI 0.2 may import.
fn linker_p2(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    floor::add_blocking_to_linker(&mut linker)?;
    Ok(linker)
}

fn compile_p2(engine: &Engine, path: &str) -> Result<Program> {
    let component = Component::from_file(engine, path)?;
    let linker = linker_p2(engine)?;
    Ok(Program::Wasi2(p2::bindings::CommandPre::new(linker.instantiate_pre(&component)?)?))
}

fn compile_any(engine: &Engine, path: &str) -> Result<Program> {
    let component = Component::from_file(engine, path)?;
    let mut linker = Linker::new(engine);
    p2::add_to_linker_async(&mut linker)?;
    p3::add_to_linker(&mut linker)?;
    floor::add_to_linker(&mut linker)?;
    let instance = linker.instantiate_pre(&component)?;
    // As in xila-net: a program with the `run` of 0.3 also has the `run` of 0.2, from the standard library.
    Ok(match p3::bindings::CommandPre::new(instance.clone()) {
        Ok(command) => Program::Wasi3(command),
        Err(_) => Program::Wasi2(p2::bindings::CommandPre::new(instance)?),
    })
}

/// A component by the version of `wasi:cli/run` that it exports.
#[derive(Clone)]
enum Program {
    Wasi2(p2::bindings::CommandPre<State>),
    Wasi3(p3::bindings::CommandPre<State>),
}

impl Program {
    fn engine(&self) -> &Engine {
        match self {
            Self::Wasi2(command) => command.engine(),
            Self::Wasi3(command) => command.engine(),
        }
    }

    async fn run(&self, store: &mut Store<State>) -> wasmtime::Result<Result<(), ()>> {
        match self {
            Self::Wasi2(command) => {
                let command = command.instantiate_async(&mut *store).await?;
                command.wasi_cli_run().call_run(store).await
            }
            Self::Wasi3(command) => {
                let command = command.instantiate_async(&mut *store).await?;
                store.run_concurrent(async |store| command.wasi_cli_run().call_run(store).await).await?
            }
        }
    }
}

struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    side: floor::Side,
}

impl State {
    fn new(wasi: WasiCtx, side: floor::Side) -> Self {
        Self { wasi, http: WasiHttpCtx::new(), table: ResourceTable::new(), side }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: default_hooks(), table: &mut self.table, ctx: &mut self.http }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
