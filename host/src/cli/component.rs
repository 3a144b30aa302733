//! Components: read, compiled and run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use anyhow::{Context as _, Result, bail};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};

use super::turns::Turns;
use crate::wasm::{self, NetworkCtx, NetworkCtxView, NetworkView};

/// The files of components, each read once.
pub(super) type Sources = BTreeMap<PathBuf, Arc<Vec<u8>>>;

/// Reads the components and makes sure that they are such, which the first eight bytes tell.
pub(super) fn read<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Sources> {
    let mut sources = Sources::new();
    for path in paths {
        if !sources.contains_key(path) {
            let bytes = fs::read(path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => anyhow::anyhow!("{}: there is no such file", path.display()),
                _ => anyhow::anyhow!("{}: cannot read it: {error}", path.display()),
            })?;
            check_preamble(&bytes).with_context(|| path.display().to_string())?;
            sources.insert(path.to_owned(), Arc::new(bytes));
        }
    }
    Ok(sources)
}

/// The component model's `Binary.md`: magic, version and layer. Layer 0 is a core module, 1 a component.
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

/// An app's program, ready to be run any number of times.
#[derive(Clone)]
pub(super) struct Program {
    instance: InstancePre<State>,
    run: ComponentExportIndex,
}

impl Program {
    /// Compiles a component. Takes long: not for a thread that serves others.
    pub(super) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Self> {
        let component = Component::new(engine, bytes)?;
        let run = find_run(&component)?;
        let mut linker = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasm::add_to_linker(&mut linker)?;
        let instance = linker.instantiate_pre(&component).map_err(anyhow::Error::from);
        let instance = instance.context("it needs what xila-net does not offer")?;
        Ok(Self { instance, run })
    }

    /// Runs the program to its end, in a store of its own.
    pub(super) async fn run(self, state: State) -> Ending {
        let mut store = Store::new(self.instance.engine(), state);
        Turns::apply(&mut store);
        match self.call(&mut store).await {
            Ok(Ok(())) => Ending::Status(0),
            Ok(Err(())) => Ending::Status(1),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                // What the process cannot return is a failure all the same.
                Some(I32Exit(status)) => Ending::Status(u8::try_from(*status).unwrap_or(1)),
                None => Ending::Trap(format!("{error:?}")),
            },
        }
    }

    async fn call(self, store: &mut Store<State>) -> wasmtime::Result<Result<(), ()>> {
        let instance = self.instance.instantiate_async(&mut *store).await?;
        let run = instance.get_typed_func::<(), (Result<(), ()>,)>(&mut *store, &self.run)?;
        store
            .run_concurrent(async |accessor| {
                let (result,) = run.call_concurrent(accessor, ()).await?;
                // The tasks that the app has spawned are part of it.
                std::future::poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
                Ok(result)
            })
            .await?
    }
}

/// How an app ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It returned, or called `exit`.
    Status(u8),
    /// It trapped; the cause and the stack.
    Trap(String),
}

/// The function that runs a component. One that exports the asynchronous `run` of `wasi:cli` 0.3 may wait in it, and
/// refuses to be run by that of 0.2, which the standard library adds.
fn find_run(component: &Component) -> Result<ComponentExportIndex> {
    for interface in ["wasi:cli/run@0.3.0", "wasi:cli/run@0.2.0"] {
        if let Some(interface) = component.get_export_index(None, interface) {
            return component.get_export_index(Some(&interface), "run").context("its wasi:cli/run has no function run");
        }
    }
    bail!("this component is no command: it exports no wasi:cli/run; build it as a program, not as a library")
}

/// What an app's store holds.
pub(super) struct State {
    pub(super) wasi: WasiCtx,
    pub(super) network: NetworkCtx,
    pub(super) table: ResourceTable,
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

/// The engine of all apps.
pub(super) fn engine() -> Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model_async(true).epoch_interruption(true);
    Ok(Engine::new(&config)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_told_apart() {
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
        let engine = engine().expect("an engine");
        // The empty component: a preamble and nothing else.
        let Err(problem) = Program::compile(&engine, b"\0asm\x0d\0\x01\0") else { panic!("it is no command") };
        assert!(problem.to_string().contains("exports no wasi:cli/run"), "{problem}");
        let Err(problem) = Program::compile(&engine, b"\0asm\x0d\0\x01\0\xff\xff") else { panic!("it is damaged") };
        assert!(!problem.to_string().is_empty());
    }
}
