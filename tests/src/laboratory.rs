//! Runs guests and their stacks in one simulation: time, random numbers and the programs' turns are derived from one
//! seed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::policy::Quota;
use xila_network_host::socket::Network;
use xila_network_host::wasm::command::{self, Command, State, Status};
use xila_network_host::wasm::{NetworkCtx, surround};

use crate::guests::path;

/// How much a program may print.
const MOST_OUTPUT: usize = 1 << 20;

/// The time at which the simulation begins, since 1970.
const BEGAN: Duration = Duration::from_secs(1_767_225_600);

/// A program that was compiled for simulations.
#[derive(Clone)]
pub struct Program {
    engine: Engine,
    command: Command<State>,
    name: Arc<str>,
}

/// The output and the resources of a program, which can be read after it has ended or was stopped.
#[derive(Clone)]
pub struct Output {
    stdout: MemoryOutputPipe,
    quota: Quota,
}

impl Output {
    /// What the program has printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&self.stdout.contents()).into_owned()
    }

    /// The network resources that the program holds.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.quota
    }
}

impl Program {
    /// Compiles the program `NAME.wasm`.
    ///
    /// # Errors
    /// If it cannot be found or compiled.
    pub fn compile(name: &str) -> Result<Self> {
        let mut config = Config::new();
        config.consume_fuel(true).cranelift_nan_canonicalization(true);
        let engine = Engine::new(&config)?;
        let path = path(name)?;
        let bytes = std::fs::read(&path).with_context(|| format!("{}: run `just guests` first", path.display()))?;
        let component = Component::new(&engine, bytes)?;
        let mut linker = Linker::new(&engine);
        command::add_to_linker(&mut linker)?;
        let command = Command::new(&component, &linker)?;
        Ok(Self { engine, command, name: name.into() })
    }

    /// Returns a future that runs the program on a network of the simulation, and a handle to its output. Dropping the
    /// future stops the program.
    ///
    /// # Panics
    /// The future panics if the program traps or fails.
    pub fn run(
        &self,
        simulation: &Simulation,
        network: Network,
        arguments: &[&str],
    ) -> (impl Future<Output = ()> + Send + use<>, Output) {
        let (run, output) = self.start(simulation, NetworkCtx::builder().network(network).build(), arguments);
        let (name, printed) = (self.name.clone(), output.clone());
        let run = async move {
            let status = run.await.unwrap_or_else(|trap| panic!("{name} trapped: {trap:?}"));
            assert_eq!(status.code(), 0, "{name}: {}", printed.printed());
        };
        (run, output)
    }

    /// Like [`run`](Self::run), with a context of the test's own. The future returns how the program has ended, or its
    /// trap.
    pub fn start(
        &self,
        simulation: &Simulation,
        context: NetworkCtx,
        arguments: &[&str],
    ) -> (impl Future<Output = wasmtime::Result<Status>> + Send + use<>, Output) {
        let stdout = MemoryOutputPipe::new(MOST_OUTPUT);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(stdout.clone()).stderr(stdout.clone()).arg(&self.name).args(arguments);
        surround(&mut wasi, &simulation.platform(), BEGAN);
        let output = Output { stdout, quota: context.quota().clone() };
        let state = State::new(wasi.build(), context);
        let (program, simulation) = (self.clone(), simulation.clone());
        let run = async move {
            let mut store = Store::new(&program.engine, state);
            program.command.simulate(&simulation, &mut store).await
        };
        (run, output)
    }
}
