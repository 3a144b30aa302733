//! Components as executables of Xila: each program runs in its own task, on the interfaces that it was given.

use core::num::NonZeroUsize;
use core::time::Duration;

use wasmtime::component::{self, Linker};
use wasmtime::{Config, Engine, Result, Store};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{HostWallClock, WasiCtx};
use xila_network_host::Manager;
use xila_network_host::platform::Access;
use xila_network_host::socket::Network;
use xila_network_host::wasm::NetworkCtx;
use xila_network_host::wasm::command::{self, Command, State};

use crate::System;
use crate::xila::executable::{ExecutableTrait, MainFuture, Standard};
use crate::xila::virtual_file_system::File;
use crate::xila::{file_system, time};

/// The approximate number of instructions after which a program yields to the other tasks of its executor.
const TURN: u64 = 100_000;

/// The maximum number of bytes that a program may print.
const MOST_OUTPUT: usize = 1 << 20;

/// Runs components on the network that it was made with. The components may read the state of its interfaces.
pub(crate) struct Component {
    engine: Engine,
    linker: Linker<State>,
    time: &'static time::Manager,
    manager: Manager,
    network: Network,
}

impl Component {
    pub(crate) fn new(system: &System, manager: &Manager, network: Network) -> Result<Self> {
        let mut config = Config::new();
        // Xila's own programs also yield after a number of instructions.
        config.wasm_component_model_async(true).consume_fuel(true);
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        command::add_to_linker(&mut linker)?;
        Ok(Self { engine, linker, time: system.time, manager: manager.clone(), network })
    }

    /// Compiles the program whose path is the first argument. Other tasks of this executor do not run meanwhile. Xila
    /// itself would read the program from its virtual file system.
    fn program(&self, arguments: &[String]) -> Result<Program> {
        let path = arguments.first().map_or("", |path| path);
        let command = Command::new(&component::Component::from_file(&self.engine, path)?, &self.linker)?;
        let (stdout, stderr) = (MemoryOutputPipe::new(MOST_OUTPUT), MemoryOutputPipe::new(MOST_OUTPUT));
        let mut wasi = WasiCtx::builder();
        wasi.args(arguments).stdout(stdout.clone()).stderr(stderr.clone()).wall_clock(WallClock(self.time));
        let network = NetworkCtx::builder().network(self.network.clone()).control(&self.manager, Access::READ).build();
        let state = State::new(wasi.build(), network);
        let mut store = Store::new(&self.engine, state);
        store.set_fuel(u64::MAX)?;
        store.fuel_async_yield_interval(Some(TURN))?;
        Ok(Program { command, store, stdout, stderr })
    }
}

impl ExecutableTrait for Component {
    fn main(&self, mut standard: Standard, arguments: Vec<String>) -> MainFuture {
        let program = self.program(&arguments);
        Box::pin(async move {
            let ending = match program {
                Ok(program) => program.run(&mut standard).await,
                Err(error) => Err(error),
            };
            match ending {
                Ok(status) => NonZeroUsize::new(status).map_or(Ok(()), Err),
                Err(error) => {
                    // If this cannot be written either, the message is lost.
                    let _ = write_all(&mut standard.error, format!("{error:?}\n").as_bytes()).await;
                    Err(NonZeroUsize::MIN)
                }
            }
        })
    }
}

/// A program that is ready to run.
struct Program {
    command: Command<State>,
    store: Store<State>,
    stdout: MemoryOutputPipe,
    stderr: MemoryOutputPipe,
}

impl Program {
    /// Runs the program to its end, writes its output, and returns its status.
    async fn run(self, standard: &mut Standard) -> Result<usize> {
        let Self { command, mut store, stdout, stderr } = self;
        let ending = command.run(&mut store).await;
        drop(store);
        write_all(&mut standard.out, &stdout.contents()).await?;
        write_all(&mut standard.error, &stderr.contents()).await?;
        Ok(ending?.code().unsigned_abs() as usize)
    }
}

async fn write_all(file: &mut File, bytes: &[u8]) -> file_system::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = file.write(rest).await?;
        rest = rest.get(count..).filter(|_| count > 0).ok_or(file_system::Error::InputOutput)?;
    }
    Ok(())
}

/// Xila's time of day, for programs.
struct WallClock(&'static time::Manager);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    /// Returns 1970 if Xila's clock fails, because programs have no error for that.
    fn now(&self) -> Duration {
        self.0.get_current_time().unwrap_or_default()
    }
}
