//! Components, as executables of Xila's: each program on the interfaces that it was given, in a task of its own.

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
use crate::xila::file_system;
use crate::xila::time;
use crate::xila::virtual_file_system::File;

/// After how much work a program lets the other tasks of its executor run: about as many instructions.
const TURN: u64 = 100_000;

/// How many bytes a program may print.
const MOST_OUTPUT: usize = 1 << 20;

/// Runs components whose network is the one that it was made with, and which may look at its interfaces.
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
        // Xila's own programs give way by instructions, too.
        config.wasm_component_model_async(true).consume_fuel(true);
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        command::add_to_linker(&mut linker)?;
        Ok(Self { engine, linker, time: system.time, manager: manager.clone(), network })
    }

    /// Compiles the program that is the first of its arguments, while nothing else of this executor runs. Xila would
    /// have it in its virtual file system.
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
                    // Where not even that can be written, nobody reads it.
                    let _ = write_all(&mut standard.error, format!("{error:?}\n").as_bytes()).await;
                    Err(NonZeroUsize::MIN)
                }
            }
        })
    }
}

/// A program that is about to run.
struct Program {
    command: Command<State>,
    store: Store<State>,
    stdout: MemoryOutputPipe,
    stderr: MemoryOutputPipe,
}

impl Program {
    /// Runs the program to its end, writes what it has printed, and returns its status.
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

/// The time of day of Xila's, for programs.
struct WallClock(&'static time::Manager);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    /// 1970 where Xila's clock fails: programs have no error for that.
    fn now(&self) -> Duration {
        self.0.get_current_time().unwrap_or_default()
    }
}
