//! Reading, compiling and running of components.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use anyhow::{Context as _, Result, anyhow, bail};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

use super::engines::{AppEngine, Engines};
use super::turns::Turns;
use crate::platform::simulated::Simulation;
use crate::wasm::command::{Command, State, Status};
use crate::wasm::http::Handler;

/// The contents of the components' files, each read once.
pub(super) type Sources = BTreeMap<PathBuf, Arc<Vec<u8>>>;

/// Reads the components, and checks by their first eight bytes that they are components.
pub(super) fn read<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Sources> {
    let mut sources = Sources::new();
    for path in paths {
        if !sources.contains_key(path) {
            let bytes = fs::read(path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => anyhow!("{}: there is no such file", path.display()),
                _ => anyhow!("{}: cannot read it: {error}", path.display()),
            })?;
            check_preamble(&bytes).with_context(|| path.display().to_string())?;
            sources.insert(path.to_owned(), Arc::new(bytes));
        }
    }
    Ok(sources)
}

/// Checks the preamble by the component model's `Binary.md`: magic, version and layer. Layer 0 is a core module, layer
/// 1 a component.
fn check_preamble(bytes: &[u8]) -> Result<()> {
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => bail!(
            "this is a core module, not a component; build it for wasm32-wasip2, or make a component of it with \
             `wasm-tools component new`"
        ),
        _ => bail!("this is not a WebAssembly component; build one for wasm32-wasip2"),
    }
}

/// The compiled program of an app, which can be run any number of times.
#[derive(Clone)]
pub(super) struct Program {
    engine: Engine,
    command: Command<State>,
}

impl Program {
    /// Compiles a component. This takes long, so do not call it on a thread that runs other tasks.
    pub(super) fn compile(engines: &Engines, bytes: &[u8]) -> Result<Self> {
        compile(engines.of_programs(), bytes, Command::new).map(|(engine, command)| Self { engine, command })
    }

    /// Runs the program to its end, in a store of its own.
    pub(super) async fn run(self, state: State) -> Ending {
        let mut store = Store::new(&self.engine, state);
        Turns::apply(&mut store);
        self.command.run(&mut store).await.into()
    }

    /// Like [`run`](Self::run), for a program that was compiled by the [engines of a simulation](Engines::simulated).
    pub(super) async fn simulate(self, simulation: &Simulation, state: State) -> Ending {
        let mut store = Store::new(&self.engine, state);
        self.command.simulate(simulation, &mut store).await.into()
    }
}

/// The compiled component that answers requests.
pub(super) struct Answering {
    engine: Engine,
    pub(super) handler: Handler<State>,
}

impl Answering {
    /// Compiles a component, as [`Program::compile`] does.
    pub(super) fn compile(engines: &Engines, bytes: &[u8]) -> Result<Self> {
        compile(engines.of_answering(), bytes, Handler::new).map(|(engine, handler)| Self { engine, handler })
    }

    /// A store for one request.
    pub(super) fn store(&self, state: State) -> Store<State> {
        let mut store = Store::new(&self.engine, state);
        Turns::apply(&mut store);
        store
    }
}

/// Compiles a component for the first of some engines that runs it.
fn compile<'a, P>(
    engines: impl Iterator<Item = &'a AppEngine>,
    bytes: &[u8],
    link: fn(&Component, &Linker<State>) -> wasmtime::Result<P>,
) -> Result<(Engine, P)> {
    let mut first_that_runs_it = Err(anyhow!("there is no engine"));
    for AppEngine { engine, link: add } in engines {
        let compile = || {
            let component = Component::new(engine, bytes)?;
            let mut linker = Linker::new(engine);
            add(&mut linker)?;
            anyhow::Ok((engine.clone(), link(&component, &linker)?))
        };
        first_that_runs_it = first_that_runs_it.or_else(|_| compile());
    }
    first_that_runs_it
}

/// How an app ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It returned, or called `exit`.
    Status(u8),
    /// It trapped, with the cause and the call stack as text.
    Trap(String),
}

impl From<wasmtime::Result<Status>> for Ending {
    fn from(ended: wasmtime::Result<Status>) -> Self {
        match ended {
            // A status that a process cannot return is a failure, too.
            Ok(status) => Self::Status(u8::try_from(status.code()).unwrap_or(1)),
            Err(trap) => Self::Trap(format!("{trap:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_not_components_are_refused_with_the_reason() {
        check_preamble(b"\0asm\x0d\0\x01\0rest").expect("a component");
        for (bytes, word) in [
            (&b"\0asm\x01\0\0\0"[..], "core module"),
            (b"(component)", "not a WebAssembly component"),
            (b"\0asm\x0d\0\x01", "not a WebAssembly component"),
            (b"", "not a WebAssembly component"),
        ] {
            let problem = check_preamble(bytes).expect_err("no component").to_string();
            assert!(problem.contains(word), "{problem}");
        }
    }

    #[test]
    fn a_component_that_is_no_command_is_refused() {
        let engines = Engines::new(None).expect("engines");
        // The empty component, which is only a preamble.
        let Err(problem) = Program::compile(&engines, b"\0asm\x0d\0\x01\0") else { panic!("it is no command") };
        assert!(problem.to_string().contains("exports no wasi:cli/run"), "{problem}");
        let Err(problem) = Program::compile(&engines, b"\0asm\x0d\0\x01\0\xff\xff") else { panic!("it is damaged") };
        assert!(!problem.to_string().is_empty());
    }
}
