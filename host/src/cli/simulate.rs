//! Runs a plan in a simulation: in virtual time, on one thread, with all random numbers from one seed.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::cli::OutputFile;

use super::app::AppPlan;
use super::audit::AuditFile;
use super::component::{self, Program, Sources};
use super::engines::Engines;
use super::mount::{Mounted, World};
use super::plan::Plan;
use super::{run, say, table};
use crate::platform::Platform;
use crate::platform::simulated::Simulation;
use crate::wasm::surround;

/// The time since 1970 at which each simulation begins: the start of the year 2026.
const BEGAN: Duration = Duration::from_secs(1_767_225_600);

/// Runs the plan and returns the exit status.
///
/// # Errors
/// As for [`run`](run::run), and if all apps wait for something that cannot happen any more.
pub(super) fn simulate(plan: &Plan, seed: u64) -> Result<u8> {
    let sources = component::read(plan.apps.iter().map(|app| app.component.as_path()))?;
    let simulation = Simulation::new(seed);
    let platform = simulation.platform();
    let contexts = plan.apps.iter().map(|app| wasi(plan, app, &platform)).collect::<Result<Vec<_>>>()?;
    let audit = run::audit(plan)?;
    let mounted = Mounted::new(plan, platform, World::Simulated { began: BEGAN })?;
    let programs = compile(plan, &sources)?;
    let outcome = simulation
        .try_block_on(work(plan, &simulation, programs, contexts, audit.as_ref(), &mounted))
        .map_err(|_stalled| {
            anyhow::anyhow!(
                "the apps wait for one another, or for what cannot happen any more: no clock is to wake any"
            )
        });
    // This ends, because a connection whose peer does not answer times out.
    let settled = simulation.try_block_on(mounted.settle(plan.linger));
    if let Ok(left) = settled {
        run::warn_of(left, plan, plan.linger);
    }
    if plan.statistics {
        say(table::table(&mounted.manager.interfaces(), &mounted.hubs).trim_end());
    }
    let unmounted = mounted.unmount();
    if let Some(audit) = audit {
        audit.finish();
    }
    let status = outcome??;
    settled.context("the connections do not end")?;
    unmounted?;
    Ok(status)
}

async fn work(
    plan: &Plan,
    simulation: &Simulation,
    programs: Vec<Program>,
    contexts: Vec<WasiCtx>,
    audit: Option<&Arc<AuditFile>>,
    mounted: &Mounted,
) -> Result<u8> {
    run::configuration(plan, mounted).await?;
    let apps = FuturesUnordered::new();
    for (index, ((app, program), wasi)) in plan.apps.iter().zip(programs).zip(contexts).enumerate() {
        let state = run::state(plan, app, mounted, audit, wasi)?;
        apps.push(async move { (index, program.simulate(simulation, state).await) });
    }
    run::wait(plan, mounted, apps.map(Ok)).await
}

/// Compiles each component once, and returns the programs of the apps in their order.
fn compile(plan: &Plan, sources: &Sources) -> Result<Vec<Program>> {
    let engines = Arc::new(Engines::simulated()?);
    let compile = |(path, bytes): (&std::path::PathBuf, &Arc<Vec<u8>>)| {
        let program = Program::compile(&engines, bytes).with_context(|| path.display().to_string())?;
        anyhow::Ok((path.clone(), program))
    };
    let programs = sources.iter().map(compile).collect::<Result<Vec<_>>>()?;
    run::in_order(plan, &programs)
}

/// The WASI context of an app, which is everything but the network. There is no standard input, because a user types in
/// real time.
fn wasi(plan: &Plan, app: &AppPlan, platform: &Platform) -> Result<WasiCtx> {
    let mut wasi = run::wasi_apart_from_streams(plan, app)?;
    wasi.stdout(output(&io::stdout())?).stderr(output(&io::stderr())?);
    surround(&mut wasi, platform, BEGAN);
    Ok(wasi.build())
}

/// A standard stream that is written to at once, without another thread.
fn output(stream: &impl AsFd) -> Result<OutputFile> {
    let Ok(stream) = stream.as_fd().try_clone_to_owned() else { bail!("a standard stream is closed") };
    Ok(OutputFile::new(stream.into()))
}
