//! An example of a custom driver: a [radio](radio), with commands that the stack does not know and that apps call.
//!
//! The interfaces `here` and `there` are two radios. An app, `guest/examples/tune.rs`, tunes the first to the channel
//! of the second, and then gets an answer from it.
//!
//! ```sh
//! just guests && cargo run --package xila-network-host --example driver -- target/guests/tune.wasm here 6 10.0.0.2
//! ```

mod commands;
mod radio;

#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod tests;

use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Result, Store};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use xila_network_host::address::Cidr;
use xila_network_host::commands::{Command as _, command::encode};
use xila_network_host::platform::{self, Access};
use xila_network_host::wasm::NetworkCtx;
use xila_network_host::wasm::command::{self, Command, State, Status};
use xila_network_host::{InterfaceConfig, Manager};

use self::radio::Radio;

/// The channel of the remote radio.
const CHANNEL: u8 = 6;

/// A manager whose interfaces `here`, 10.0.0.1, and `there`, 10.0.0.2, are radios. They are tuned to different
/// channels.
fn radios() -> Result<Manager> {
    let manager = Manager::without_loopback(platform::tokio::platform());
    let names = [("here", [10, 0, 0, 1]), ("there", [10, 0, 0, 2])];
    for (radio, (name, address)) in Radio::pair().into_iter().zip(names) {
        let addresses = Cidr::new(address.into(), 24).into_iter().collect();
        manager.mount_interface(name, radio, InterfaceConfig { addresses, ..InterfaceConfig::default() })?;
    }
    // The host can also call a driver's commands, on the interface's node.
    let node = manager.devices().open("/devices/network/there", Access::WRITE)?;
    node.control(commands::SetChannel::ID.to_raw(), &encode(&CHANNEL), &mut Vec::new())?;
    Ok(manager)
}

/// Runs the app whose path is the first argument on the interface `here`, which the app may change. Returns its status
/// and its output.
async fn run(manager: &Manager, arguments: &[String]) -> Result<(Status, String)> {
    let engine = Engine::new(Config::new().wasm_component_model_async(true))?;
    let mut linker = Linker::new(&engine);
    command::add_to_linker(&mut linker)?;
    let app = Command::new(&Component::from_file(&engine, &arguments[0])?, &linker)?;
    let network = NetworkCtx::builder().network(manager.network_of(["here"])?).control(manager, Access::READ_WRITE);
    let output = MemoryOutputPipe::new(1 << 16);
    let wasi = WasiCtx::builder().args(arguments).stdout(output.clone()).stderr(output.clone()).build();
    let state = State::new(wasi, network.build());
    let status = app.run(&mut Store::new(&engine, state)).await?;
    Ok((status, String::from_utf8_lossy(&output.contents()).into_owned()))
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (status, output) = runtime.block_on(async { run(&radios()?, &arguments).await })?;
    print!("{output}");
    std::process::exit(status.code());
}
