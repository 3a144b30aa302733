//! The smallest host: a network, and a program that uses it.
//!
//! ```sh
//! just guests && cargo run --package xila-network-host --example embed -- target/guests/ping.wasm -c 3 127.0.0.1
//! ```

use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Result, Store};
use wasmtime_wasi::WasiCtx;
use xila_network_host::wasm::NetworkCtx;
use xila_network_host::wasm::command::{self, Command, State, Status};
use xila_network_host::{Manager, platform};

/// Runs the program whose path is the first argument.
async fn run(arguments: &[String]) -> Result<Status> {
    let manager = Manager::new(platform::tokio::platform()); // with the interface `lo`; `mount_interface` adds others
    let engine = Engine::new(Config::new().wasm_component_model_async(true))?;
    let mut linker = Linker::new(&engine);
    command::add_to_linker(&mut linker)?; // xila:network, wasi:sockets and the rest of WASI
    let program = Command::new(&Component::from_file(&engine, &arguments[0])?, &linker)?;
    let network = NetworkCtx::builder().network(manager.network()).build();
    let wasi = WasiCtx::builder().inherit_stdio().args(arguments).build();
    program.run(&mut Store::new(&engine, State::new(wasi, network))).await
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    std::process::exit(runtime.block_on(run(&arguments))?.code());
}

#[cfg(test)]
#[path = "support/mod.rs"]
mod support;

#[cfg(test)]
#[tokio::test]
async fn it_runs_a_program_on_its_loopback() {
    assert_eq!(run(&[support::guest("tcp_echo").display().to_string()]).await.unwrap().code(), 0);
}
