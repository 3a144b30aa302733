//! Runs a plan: reads the files, mounts the interfaces, runs the apps, and returns the exit status.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::{self, Either};
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::task::JoinSet;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use super::app::AppPlan;
use super::audit::AuditFile;
use super::component::{self, Ending, Program, Sources};
use super::engines::Engines;
use super::memory;
use super::mount::{Missing, Mounted, World};
use super::output::Output;
use super::plan::Plan;
use super::publish;
use super::say;
use super::serve::{self, ServePlan, Server};
use super::signals::Signals;
use super::table;
use super::turns::Turns;
use crate::gateway;
use crate::platform::{self, Memory, Platform};
use crate::wasm::NetworkCtx;
use crate::wasm::command::State;
use crate::wasm::http::HttpCtx;

/// The exit status for an app that trapped: 128 and SIGABRT's number.
const TRAPPED: u8 = 134;

/// The time that connections have to close after Ctrl-C.
const GOODBYE: Duration = Duration::from_secs(1);

/// The running apps. Each returns its index in the plan and how it ended.
type Apps = JoinSet<(usize, Ending)>;

/// Runs the plan and returns the exit status.
///
/// Steps that can fail without side effects come first, then steps with side effects, then the apps.
pub(super) async fn run(plan: &Arc<Plan>) -> Result<u8> {
    let mut signals = Signals::new().context("cannot wait for signals")?;
    let sources = component::read(plan.apps.iter().map(|app| app.component.as_path()))?;
    let contexts = plan.apps.iter().map(|app| wasi(plan, app)).collect::<Result<Vec<_>>>()?;
    let served = plan.serve.as_ref().map(|serve| serve.read(plan)).transpose()?;
    let audit = audit(plan)?;
    let platform = Platform { memory: memory(plan), ..platform::tokio::platform() };
    if plan.needs_host_sockets() {
        gateway::raise_file_limit();
    }
    let mounted = Mounted::new(plan, platform, World::Real)?;
    let published = publish::start(plan, &mounted)?;

    let mut apps = Apps::new();
    let server = Arc::new(Server::default());
    let outcome = {
        let inputs = (&sources, served.as_ref());
        let work = pin!(work(plan, inputs, contexts, audit.as_ref(), &mounted, &mut apps, &server));
        let signal = pin!(signals.received());
        match future::select(work, signal).await {
            Either::Left((status, _)) => status.map(|status| (status, plan.linger)),
            Either::Right((status, _)) => Ok((status, plan.linger.min(GOODBYE))),
        }
    };
    // After success or failure, apps and interfaces are shut down in order, unless a further signal cuts this short.
    let mut status = outcome.as_ref().map_or(1, |(status, _)| *status);
    {
        let patience = outcome.as_ref().map_or(plan.linger.min(GOODBYE), |(_, patience)| *patience);
        let end = pin!(async {
            server.finish(&*mounted.manager.platform().clock, plan.linger).await;
            end(plan, &mut apps, &mounted, patience).await;
        });
        let signal = pin!(signals.received());
        if let Either::Right((signal, _)) = future::select(end, signal).await {
            status = signal;
        }
    }
    if plan.statistics {
        say(table::table(&mounted.manager.interfaces(), &mounted.hubs).trim_end());
    }
    drop(published);
    let unmounted = mounted.unmount();
    if let Some(audit) = audit {
        audit.finish();
    }
    outcome?;
    unmounted?;
    Ok(status)
}

/// The store that remembers interfaces between runs, if any interface of the plan is remembered.
fn memory(plan: &Plan) -> Option<Arc<dyn Memory>> {
    plan.interfaces.iter().any(|interface| interface.kind.is_remembered()).then(memory::of_the_user).flatten()
}

/// Compiles the components, starts the apps, and waits for them; answers requests, if the plan says so. The status is
/// that of the app that fails first, or 0.
async fn work(
    plan: &Arc<Plan>,
    (sources, served): (&Sources, Option<&Arc<Vec<u8>>>),
    contexts: Vec<WasiCtx>,
    audit: Option<&Arc<AuditFile>>,
    mounted: &Mounted,
    apps: &mut Apps,
    server: &Arc<Server>,
) -> Result<u8> {
    let engines = Arc::new(Engines::new(plan.serve.as_ref().map(ServePlan::requests))?);
    let turns = Arc::new(Turns::start(engines.each())?);
    let compiling = future::try_join(compile(plan, sources, &engines), serve::compile(plan, served, &engines));
    let ((programs, answering), ()) = future::try_join(compiling, configuration(plan, mounted)).await?;
    // Apps that are clients of the server find it there.
    let listening = match answering {
        Some(answering) => serve::listen(plan, answering, mounted, audit, server, &turns)?,
        None => None,
    };
    for (index, ((app, program), wasi)) in plan.apps.iter().zip(programs).zip(contexts).enumerate() {
        let state = state(plan, app, mounted, audit, wasi)?;
        let turns = turns.clone();
        apps.spawn(async move { (index, turns.run(program.run(state)).await) });
    }

    let apps = stream::poll_fn(|context| apps.poll_join_next(context));
    let waiting = wait(plan, mounted, apps.map(|ended| ended.context("an app ended by a mistake in xila-net")));
    match listening {
        Some(listening) => serve::serve(plan, listening, waiting).await,
        None => waiting.await,
    }
}

/// Waits for the apps, or for the end of their time. The status is that of the app that fails first, or 0.
pub(super) async fn wait(
    plan: &Plan,
    mounted: &Mounted,
    apps: impl Stream<Item = Result<(usize, Ending)>>,
) -> Result<u8> {
    let mut apps = pin!(apps);
    let (mut first_failure, mut ended_so_far) = (0, 0);
    let waiting = async {
        while let Some(ended) = apps.next().await {
            let (index, ending) = ended?;
            ended_so_far += 1;
            let status = report(plan, index, ending);
            if first_failure == 0 {
                first_failure = status;
            }
            if status != 0 && plan.fail_fast {
                break;
            }
        }
        anyhow::Ok(())
    };
    match plan.limit {
        None => waiting.await?,
        Some(limit) => match mounted.manager.platform().clock.within(limit, waiting).await {
            Some(ended) => ended?,
            None => tracing::info!("{limit:?} are over (--for): {ended_so_far} of {} apps had ended", plan.apps.len()),
        },
    }
    Ok(first_failure)
}

/// Creates the file of `--audit`, if the plan has one.
pub(super) fn audit(plan: &Plan) -> Result<Option<Arc<AuditFile>>> {
    plan.audit.as_deref().map(|path| AuditFile::create(path).map(Arc::new)).transpose()
}

/// The data of an app's store.
pub(super) fn state(
    plan: &Plan,
    app: &AppPlan,
    mounted: &Mounted,
    audit: Option<&Arc<AuditFile>>,
    wasi: WasiCtx,
) -> Result<State> {
    Ok(state_on(plan, network(plan, app, mounted, audit)?, wasi))
}

/// The data of a store whose network is made already.
pub(super) fn state_on(plan: &Plan, network: NetworkCtx, wasi: WasiCtx) -> State {
    let http = HttpCtx::new(&network, plan.tls_roots.clone());
    State { wasi, network, http, table: ResourceTable::new() }
}

/// What an app may do on its interfaces, and hold.
pub(super) fn network(
    plan: &Plan,
    app: &AppPlan,
    mounted: &Mounted,
    audit: Option<&Arc<AuditFile>>,
) -> Result<NetworkCtx> {
    let network = match &app.interfaces {
        None => mounted.manager.network(),
        Some(names) => mounted.manager.network_of(names.iter().map(String::as_str))?,
    };
    let mut context = NetworkCtx::builder().network(network).label(app.name()).limits(app.limits);
    if let Some(policy) = &plan.policy {
        context = context.policy(policy.of(app).map_err(anyhow::Error::msg)?);
    }
    if let Some(audit) = audit.cloned() {
        context = context.audit(move |denial| audit.write(&denial));
    }
    if let Some(access) = plan.control {
        context = context.control(&mounted.manager, access);
    }
    Ok(context.build())
}

/// Stops the apps that still run, and gives connections time to end.
async fn end(plan: &Plan, apps: &mut Apps, mounted: &Mounted, patience: Duration) {
    apps.shutdown().await;
    let left = mounted.settle(patience).await;
    warn_of(left, plan, patience);
}

/// Warns of connections that have not ended in the time that they were given at the end.
pub(super) fn warn_of(left: u64, plan: &Plan, patience: Duration) {
    // After a signal or an error the time may be shorter than that of the option.
    let option = if patience == plan.linger { " (--linger)" } else { "" };
    match left {
        0 => {}
        1 => tracing::warn!("a connection did not end within {patience:?}{option}: data may be lost"),
        left => tracing::warn!("{left} connections did not end within {patience:?}{option}: data may be lost"),
    }
}

/// Waits for the configuration of interfaces with `dhcp` and `autoconf`, and reports what is missing when the time is
/// over.
pub(super) async fn configuration(plan: &Plan, mounted: &Mounted) -> Result<()> {
    let patience = plan.wait;
    if patience > Duration::ZERO {
        for Missing { interface, configuration, is_awaited } in mounted.configured(patience).await {
            let why = if is_awaited { format!("after {patience:?} (--wait)") } else { "as no router answers".into() };
            say(&format!("xila-net: {interface} has no {configuration} {why}; going on without"));
        }
    }
    Ok(())
}

/// Compiles each component once, and returns the programs of the apps in their order.
async fn compile(plan: &Plan, sources: &Sources, engines: &Arc<Engines>) -> Result<Vec<Program>> {
    let compiling = sources.iter().map(|(path, bytes)| {
        let (engines, bytes) = (engines.clone(), bytes.clone());
        let task = tokio::task::spawn_blocking(move || Program::compile(&engines, &bytes));
        async move { anyhow::Ok((path, task.await?.with_context(|| path.display().to_string())?)) }
    });
    let programs = future::try_join_all(compiling).await?;
    in_order(plan, &programs)
}

/// The program of each app, in the order of the apps.
pub(super) fn in_order<P: AsRef<Path>>(plan: &Plan, programs: &[(P, Program)]) -> Result<Vec<Program>> {
    let program = |app: &AppPlan| {
        let found = programs.iter().find(|(path, _)| path.as_ref() == app.component);
        found.map(|(_, program)| program.clone()).with_context(|| format!("{} was not compiled", app.name()))
    };
    plan.apps.iter().map(program).collect()
}

/// The WASI context of an app: everything apart from the network, that is arguments, environment, standard streams and
/// folders.
fn wasi(plan: &Plan, app: &AppPlan) -> Result<WasiCtx> {
    let mut wasi = wasi_apart_from_streams(plan, app)?;
    wasi.inherit_stdin().stdout(Output::Standard).stderr(Output::Error);
    Ok(wasi.build())
}

/// Arguments, environment and folders of an app.
pub(super) fn wasi_apart_from_streams(plan: &Plan, app: &AppPlan) -> Result<WasiCtxBuilder> {
    let mut wasi = WasiCtx::builder();
    wasi.arg(app.name()).args(&app.arguments);
    wasi.envs(&plan.environment);
    for folder in &plan.directories {
        wasi.preopened_dir(&folder.host, &folder.guest, FsPerms::ReadWrite)
            .map_err(anyhow::Error::from)
            .with_context(|| format!("--dir {}: cannot open the folder", folder.host.display()))?;
    }
    Ok(wasi)
}

/// Reports how an app failed, if it did, and returns the exit status.
fn report(plan: &Plan, index: usize, ending: Ending) -> u8 {
    let name = plan.apps.get(index).map(AppPlan::name).unwrap_or_default();
    match ending {
        Ending::Status(0) => 0,
        Ending::Status(status) => {
            // A single app has reported the error itself, and its status is the status of the program.
            if plan.apps.len() > 1 {
                say(&format!("xila-net: {name} failed with status {status}"));
            }
            status
        }
        Ending::Trap(cause) => {
            say(&format!("xila-net: {name} trapped: {cause}"));
            TRAPPED
        }
    }
}
