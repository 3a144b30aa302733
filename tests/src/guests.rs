//! Runs guest programs: each is found by its name, compiled once per process, and run in a store of its own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, fmt, thread};

use anyhow::{Context as _, Result, bail};
use tokio::sync::{Mutex, OnceCell};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use xila_network_host::Manager;
use xila_network_host::platform::Access;
use xila_network_host::policy::{Limits, Policy};
use xila_network_host::socket::Network;
use xila_network_host::wasm::NetworkCtx;
use xila_network_host::wasm::command::{self, Command, State};
use xila_network_host::wasm::http::{self, HttpCtx, TlsRoots};

/// How long a program may run before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long what a program held may stay when its store is gone.
const RELEASE: Duration = Duration::from_secs(5);

/// How often a program that spins yields to other tasks.
const EPOCH: Duration = Duration::from_millis(5);

/// How much a program may print.
const MOST_OUTPUT: usize = 1 << 20;

/// A guest program with its arguments, network and limits.
#[derive(Clone, Debug)]
pub struct Guest {
    name: String,
    arguments: Vec<String>,
    network: Option<Network>,
    control: Option<(Manager, Access)>,
    limits: Limits,
    policy: Option<Policy>,
    roots: Option<TlsRoots>,
    resources: Option<usize>,
}

impl Guest {
    /// The program `NAME.wasm`, without arguments and without a network.
    pub fn new(name: &str) -> Self {
        let (name, limits) = (name.to_owned(), Limits::default());
        let (policy, roots) = (None, None);
        Self { name, arguments: Vec::new(), network: None, control: None, limits, policy, roots, resources: None }
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<A: fmt::Display>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.to_string()));
        self
    }

    /// Lets the program use a network.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = Some(network);
        self
    }

    /// Permits the program to control the interfaces of its network, which is a network of `manager`.
    #[must_use]
    pub fn control(mut self, manager: &Manager, access: Access) -> Self {
        self.control = Some((manager.clone(), access));
        self
    }

    /// Limits the resources that the program may hold.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Restricts what the program may do on its network.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// The certificates by which the program's servers are verified, instead of those of this machine.
    #[must_use]
    pub fn tls_roots(mut self, roots: TlsRoots) -> Self {
        self.roots = Some(roots);
        self
    }

    /// Limits the entries of the program's table of resources.
    #[must_use]
    pub fn resources(mut self, most: usize) -> Self {
        self.resources = Some(most);
        self
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    /// If the program cannot be found or instantiated. A trap or a stuck program is no error, but an [`Ending`].
    pub async fn run(self) -> Result<Exit> {
        let program = program(&self.name).await?;
        let stdout = MemoryOutputPipe::new(MOST_OUTPUT);
        let stderr = MemoryOutputPipe::new(MOST_OUTPUT);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(stdout.clone()).stderr(stderr.clone()).arg(&self.name).args(&self.arguments);
        let mut network = NetworkCtx::builder().limits(self.limits);
        if let Some(usable) = self.network {
            network = network.network(usable);
        }
        if let Some((manager, access)) = &self.control {
            network = network.control(manager, *access);
        }
        if let Some(policy) = self.policy {
            network = network.policy(policy);
        }
        let mut state = State::new(wasi.build(), network.build());
        if let Some(roots) = self.roots {
            state.http = HttpCtx::new(&state.network, roots);
        }
        if let Some(most) = self.resources {
            state.table.set_max_capacity(most);
        }
        let quota = state.network.quota().clone();

        let mut store = Store::new(engine(), state);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let outcome = tokio::time::timeout(PATIENCE, program.run(&mut store)).await;
        drop(store);

        let ending = match outcome {
            Err(_) => Ending::Stuck,
            Ok(Ok(status)) => Ending::Status(status.code()),
            Ok(Err(trap)) => Ending::Trap(format!("{trap:?}")),
        };
        // The tasks of `wasi:http` end with the store, but on another thread.
        let released = async {
            while quota.usage() != Default::default() {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(RELEASE, released).await.is_err() {
            bail!("{}: its store is gone, and {:?} is still held", self.name, quota.usage());
        }
        let text = |pipe: MemoryOutputPipe| String::from_utf8_lossy(&pipe.contents()).into_owned();
        Ok(Exit { name: self.name, ending, stdout: text(stdout), stderr: text(stderr) })
    }

    /// Runs the program, which must succeed; returns what it printed.
    ///
    /// # Panics
    /// If it fails, with everything that it printed.
    pub async fn succeed(self) -> String {
        let name = self.name.clone();
        let exit = self.run().await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(exit.ending == Ending::Status(0), "{exit}");
        exit.stdout
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It returned, or called `exit`.
    Status(i32),
    /// It trapped; with the cause and the stack.
    Trap(String),
    /// It was stopped after a minute.
    Stuck,
}

/// The results of a program.
#[derive(Clone, Debug)]
pub struct Exit {
    name: String,
    /// How it ended.
    pub ending: Ending,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, ending, stdout, stderr } = self;
        match ending {
            Ending::Status(status) => writeln!(f, "{name} ended with status {status}")?,
            Ending::Trap(trap) => writeln!(f, "{name} trapped: {trap}")?,
            Ending::Stuck => writeln!(f, "{name} was stuck after {PATIENCE:?}")?,
        }
        write!(f, "--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// The engine of all programs.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config.wasm_component_model_async(true).epoch_interruption(true);
        let engine = Engine::new(&config).expect("an engine with what wasmtime was built with");
        let ticker = engine.weak();
        thread::spawn(move || {
            while let Some(engine) = ticker.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(EPOCH);
            }
        });
        engine
    })
}

/// A program, compiled when it is first needed.
async fn program(name: &str) -> Result<Command<State>> {
    type Programs = HashMap<String, std::sync::Arc<OnceCell<Command<State>>>>;
    static PROGRAMS: OnceLock<Mutex<Programs>> = OnceLock::new();
    let program = PROGRAMS.get_or_init(Mutex::default).lock().await.entry(name.to_owned()).or_default().clone();
    let path = path(name)?;
    let compiled = program.get_or_try_init(|| async { tokio::task::spawn_blocking(move || load(&path)).await? });
    compiled.await.cloned()
}

fn load(path: &Path) -> Result<Command<State>> {
    let bytes = std::fs::read(path).with_context(|| format!("{}: run `just guests` first", path.display()))?;
    let component = Component::new(engine(), bytes)?;
    let mut linker = Linker::new(engine());
    command::add_to_linker(&mut linker)?;
    http::add_to_linker(&mut linker)?;
    Ok(Command::new(&component, &linker)?)
}

/// Compiles the program `name`, unless it is compiled already. Used for large programs, so that the time for compiling
/// does not count as running time.
///
/// # Panics
/// If the program cannot be found or compiled.
pub async fn compile(name: &str) {
    program(name).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
}

/// Whether the program `name` was built: this machine may lack the tools for its language. If not, its test is skipped
/// with a message.
///
/// It also compiles the program: this takes so long for the engine of a language that programs which wait for each other
/// would time out.
///
/// # Panics
/// If there is no folder of programs, or in CI if the program is missing.
pub async fn is_ready(name: &str) -> bool {
    let path = path(name).expect("a folder of programs");
    let is_built = path.exists();
    if is_built {
        compile(name).await;
    } else {
        assert!(env::var_os("CI").is_none(), "{} is missing, and CI counts on this test", path.display());
        println!("skipped: {} is missing: `just guests` says why it was not built", path.display());
    }
    is_built
}

/// The path of the program `name`, whether it was built or not.
///
/// # Errors
/// If there is no folder of programs.
pub fn path(name: &str) -> Result<PathBuf> {
    Ok(folder()?.join(name).with_extension("wasm"))
}

/// The folder of the programs: `XILA_GUESTS`, or else the folder `guests` of the target directory of this test.
fn folder() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("XILA_GUESTS") {
        return Ok(folder.into());
    }
    let test = env::current_exe()?;
    test.ancestors()
        .map(|folder| folder.join("guests"))
        .find(|folder| folder.is_dir())
        .context("there are no guest programs: run `just guests`, or name their folder in XILA_GUESTS")
}
