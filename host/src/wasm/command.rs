//! Commands: components that export `wasi:cli/run`, such as any program in Rust, C, Go or Python that is built for
//! WASI.

mod unlinked;

use wasmtime::component::{Component, ComponentExportIndex, HasData, InstancePre, Linker, ResourceTable};
use wasmtime::{Result, Store, format_err};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};
#[cfg(feature = "http")]
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};
#[cfg(feature = "http")]
use wasmtime_wasi_tls::{WasiTlsCtxView, WasiTlsView};

#[cfg(feature = "http")]
use super::http::{HttpCtx, TlsRoots};
use super::{NetworkCtx, NetworkCtxView, NetworkView, clocks, p2, p3};
use crate::platform::simulated::Simulation;

/// Adds everything that a program may import to `linker`: `xila:network`, `wasi:sockets` 0.2 and 0.3 on the guest's
/// network, and wasmtime-wasi's interfaces 0.2 and 0.3 for everything else. Programs wait by the
/// [clock](super::NetworkCtxBuilder::clock) of their network. `wasi:http` and `wasi:tls` are added apart, by the module
/// `http` of the feature of that name.
///
/// wasmtime-wasi's own sockets are not added, so no guest reaches the operating system's network, whatever its
/// [`WasiCtx`] says. [`WasiView::ctx`] and [`NetworkView::network`] must return the same table, because both use the
/// streams and pollables in it.
///
/// # Errors
/// If the linker has one of the interfaces already.
pub fn add_to_linker<T: WasiView + NetworkView>(linker: &mut Linker<T>) -> Result<()> {
    super::add_to_linker(linker)?;
    add_p2_to_linker(linker)?;
    p3::add_to_linker(linker)?;
    clocks::add_p3_to_linker(linker)?;
    add_wasi_3(linker)
}

/// Adds only what a program of WASI 0.2 may import: `wasi:sockets` 0.2 on the guest's network, and wasmtime-wasi's
/// interfaces for everything else. [`add_to_linker`] includes all of it.
///
/// This is for an engine without [`Config::concurrency_support`](wasmtime::Config::concurrency_support), which
/// `xila:network` and WASI 0.3 need and a program of WASI 0.2 does not. Without it, wasmtime keeps no record of a task
/// for each call of a host function, and a program that sends small messages saves a sixth of its time.
///
/// # Errors
/// If the linker has one of the interfaces already.
pub fn add_p2_to_linker<T: WasiView + NetworkView>(linker: &mut Linker<T>) -> Result<()> {
    p2::add_to_linker(linker)?;
    clocks::add_p2_to_linker(linker)?;
    add_wasi_2(linker)
}

/// Adds `wasi:cli/imports` 0.2 without sockets and the monotonic clock.
fn add_wasi_2<T: WasiView>(linker: &mut Linker<T>) -> Result<()> {
    use wasmtime_wasi::p2::bindings::clocks::wall_clock;
    use wasmtime_wasi::p2::bindings::{cli, filesystem, random};
    use wasmtime_wasi_io::bindings::wasi::io;

    io::error::add_to_linker::<T, HasTable>(linker, |data| data.ctx().table)?;
    io::poll::add_to_linker::<T, HasTable>(linker, |data| data.ctx().table)?;
    io::streams::add_to_linker::<T, HasTable>(linker, |data| data.ctx().table)?;
    wall_clock::add_to_linker::<T, WasiClocks>(linker, T::clocks)?;
    filesystem::types::add_to_linker::<T, WasiFilesystem>(linker, T::filesystem)?;
    filesystem::preopens::add_to_linker::<T, WasiFilesystem>(linker, T::filesystem)?;
    random::random::add_to_linker::<T, WasiRandom>(linker, T::random)?;
    random::insecure::add_to_linker::<T, WasiRandom>(linker, T::random)?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(linker, T::random)?;
    cli::environment::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::exit::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(linker, T::cli)
}

/// Adds `wasi:cli/imports` 0.3 without sockets and the monotonic clock.
fn add_wasi_3<T: WasiView + 'static>(linker: &mut Linker<T>) -> Result<()> {
    use wasmtime_wasi::p3::bindings::clocks::{system_clock, types};
    use wasmtime_wasi::p3::{cli, filesystem, random};

    cli::add_to_linker(linker)?;
    types::add_to_linker::<T, WasiClocks>(linker, T::clocks)?;
    system_clock::add_to_linker::<T, WasiClocks>(linker, T::clocks)?;
    filesystem::add_to_linker(linker)?;
    random::add_to_linker(linker)
}

/// The marker type that tells the bindings of `wasi:io` that host functions work on the table.
struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// The data of a program's store, for hosts that need nothing else there.
pub struct State {
    /// Everything except the network: arguments, standard streams, folders.
    pub wasi: WasiCtx,
    /// The network that the program may use.
    pub network: NetworkCtx,
    /// What the program needs for `wasi:http` and `wasi:tls`, if these are [linked](super::http::add_to_linker).
    #[cfg(feature = "http")]
    pub http: HttpCtx,
    /// The table of resources of all of them.
    pub table: ResourceTable,
}

impl State {
    /// The state of a program that has not started. With feature `http`, it verifies servers by the roots that the
    /// operating system trusts; another [`HttpCtx`] may be put in its place.
    #[must_use]
    pub fn new(wasi: WasiCtx, network: NetworkCtx) -> Self {
        #[cfg(feature = "http")]
        let http = HttpCtx::new(&network, TlsRoots::of_the_host());
        Self {
            wasi,
            network,
            #[cfg(feature = "http")]
            http,
            table: ResourceTable::new(),
        }
    }
}

#[cfg(feature = "http")]
impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.http.http(&mut self.table)
    }
}

#[cfg(feature = "http")]
impl WasiTlsView for State {
    fn tls(&mut self) -> WasiTlsCtxView<'_> {
        self.http.tls(&mut self.table)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl NetworkView for State {
    fn network(&mut self) -> NetworkCtxView<'_> {
        NetworkCtxView { ctx: &mut self.network, table: &mut self.table }
    }
}

/// The approximate number of instructions in a program's turn in a simulation. With ten turns in a millisecond, these
/// are a thousand million per second.
const TURN: u64 = 100_000;

/// A compiled and linked program, which can be run any number of times.
pub struct Command<T: 'static> {
    instance: InstancePre<T>,
    run: ComponentExportIndex,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(i32);

impl Status {
    /// 0 if the program returned success, 1 if it returned an error, else the code that it passed to `exit`.
    #[must_use]
    pub const fn code(self) -> i32 {
        self.0
    }
}

impl<T: Send + 'static> Command<T> {
    /// Links a component to its imports.
    ///
    /// # Errors
    /// If the component does not export `wasi:cli/run`, or imports something that `linker` does not have.
    pub fn new(component: &Component, linker: &Linker<T>) -> Result<Self> {
        let instance = link(component, linker)?;
        let run = find_run(component)?;
        Ok(Self { instance, run })
    }

    /// Runs the program to its end, including the tasks that are left when it returns, because they are part of it.
    ///
    /// # Errors
    /// The trap of the program.
    pub async fn run(&self, store: &mut Store<T>) -> Result<Status> {
        match self.call(store).await {
            Ok(Ok(())) => Ok(Status(0)),
            Ok(Err(())) => Ok(Status(1)),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(status)) => Ok(Status(*status)),
                None => Err(error),
            },
        }
    }

    /// Like [`run`](Self::run), but [in turns](Simulation::in_turns) of a simulation, which are measured by the fuel of
    /// an engine with [`Config::consume_fuel`](wasmtime::Config::consume_fuel).
    ///
    /// # Errors
    /// The trap of the program, or an error if the engine does not consume fuel.
    pub async fn simulate(&self, simulation: &Simulation, store: &mut Store<T>) -> Result<Status> {
        store.set_fuel(u64::MAX)?;
        store.fuel_async_yield_interval(Some(TURN))?;
        simulation.in_turns(self.run(store)).await
    }

    async fn call(&self, store: &mut Store<T>) -> Result<Result<(), ()>> {
        let instance = self.instance.instantiate_async(&mut *store).await?;
        let run = instance.get_typed_func::<(), (Result<(), ()>,)>(&mut *store, &self.run)?;
        // An engine without concurrency support has no `run_concurrent`, and no tasks that could be left.
        if store.concurrent_resource_table().is_none() {
            return Ok(run.call_async(store, ()).await?.0);
        }
        store
            .run_concurrent(async |accessor| {
                let (result,) = run.call_concurrent(accessor, ()).await?;
                std::future::poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
                Ok(result)
            })
            .await?
    }
}

impl<T> Clone for Command<T> {
    fn clone(&self) -> Self {
        Self { instance: self.instance.clone(), run: self.run }
    }
}

/// Links a component to its imports; an error says which imports have no counterpart, and what to do about it.
pub(super) fn link<T: 'static>(component: &Component, linker: &Linker<T>) -> Result<InstancePre<T>> {
    linker.instantiate_pre(component).map_err(|error| match unlinked::message(component, &format!("{error:#}")) {
        Some(message) => error.context(message),
        None => error.context("it needs what this host does not have"),
    })
}

/// Finds the function that runs a component. The asynchronous `run` of `wasi:cli` 0.3 is preferred: a component that
/// exports it may wait in it, and may not work with the `run` of 0.2, which the standard library also adds.
fn find_run(component: &Component) -> Result<ComponentExportIndex> {
    for interface in ["wasi:cli/run@0.3.0", "wasi:cli/run@0.2.0"] {
        if let Some(interface) = component.get_export_index(None, interface) {
            return component
                .get_export_index(Some(&interface), "run")
                .ok_or_else(|| format_err!("its wasi:cli/run has no function run"));
        }
    }
    Err(format_err!(
        "this component is no command: it exports no wasi:cli/run; build it as a program, not as a library"
    ))
}
