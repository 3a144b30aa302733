//! An example of a host on another runtime: Xila, with a network and programs that use it.
//!
//! ```sh
//! just guests && cargo run --package xila-network-host --example xila -- target/guests
//! ```
//!
//! | Module | Contents |
//! |---|---|
//! | [`xila`] | a model of Xila: tasks on embassy's executor, files, time and random devices, executables |
//! | [`adapters`] | adapters that make the network's platform from these |
//! | [`component`] | an additional kind of executables: WebAssembly components on wasmtime |
//!
//! The only runtime is embassy's. This is for native builds of Xila: the host crate needs the standard library, and
//! wasmtime needs executable memory. A microcontroller or a browser could use the engine alone, which needs neither.

mod adapters;
mod component;
mod xila;

#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod tests;

use core::num::NonZeroUsize;
use std::error::Error;
use std::path::{Path, PathBuf};

use xila_network_host::address::Cidr;
use xila_network_host::commands::commands::GetMtu;
use xila_network_host::control::DIRECTORY;
use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::{InterfaceConfig, Manager, MountError};

use self::adapters::node;
use self::component::Component;
use self::xila::drivers::{RandomDevice, StandardOutDevice, TimeDevice};
use self::xila::executable::{Standard, execute};
use self::xila::file_system::{self, DirectCharacterDevice};
use self::xila::task::{self, JoinHandle, SpawnerIdentifier, TaskIdentifier};
use self::xila::time;
use self::xila::virtual_file_system::{File, VirtualFileSystem};

/// Any error, to be shown to people.
type Failure = Box<dyn Error + Send + Sync>;

/// The device that programs print to.
const STANDARD_OUT: &str = "/devices/standard_out";

/// A system that has started, as its first task uses it.
#[derive(Clone, Copy)]
struct System {
    tasks: &'static task::Manager,
    task: TaskIdentifier,
    executor: SpawnerIdentifier,
    files: &'static VirtualFileSystem,
    time: &'static time::Manager,
    random: &'static dyn DirectCharacterDevice,
}

impl System {
    /// Starts the parts that a network needs, in Xila's own order: tasks, which exist already, then time, files, and
    /// the devices in them.
    async fn start(
        tasks: &'static task::Manager,
        task: TaskIdentifier,
        executor: SpawnerIdentifier,
    ) -> file_system::Result<Self> {
        let time = time::initialize(&TimeDevice);
        let files = VirtualFileSystem::initialize();
        files.mount_character_device(task, "/devices/random", RandomDevice).await?;
        files.mount_character_device(task, STANDARD_OUT, StandardOutDevice).await?;
        Ok(Self { tasks, task, executor, files, time, random: &RandomDevice })
    }

    /// The files that a program writes to. Both are the file at `path`.
    async fn standard(&self, path: &str) -> file_system::Result<Standard> {
        let out = File::open(self.files, self.task, path).await?;
        let error = File::open(self.files, self.task, path).await?;
        Ok(Standard { out, error })
    }
}

/// Mounts two interfaces on one cable: `a`, 10.0.0.1, and `b`, 10.0.0.2.
fn mount_interfaces(manager: &Manager) -> Result<(), MountError> {
    let cable = Hub::new(manager.platform(), HubOptions::default());
    for (name, address) in [("a", [10, 0, 0, 1]), ("b", [10, 0, 0, 2])] {
        let addresses = Cidr::new(address.into(), 24).into_iter().collect();
        let config = InterfaceConfig { addresses, link_local: false, ..InterfaceConfig::default() };
        manager.mount_interface(name, cable.port(), config)?;
    }
    Ok(())
}

/// Starts a program as a task of its own. It may use only the given interfaces.
async fn start(
    system: &System,
    manager: &Manager,
    interfaces: &[&str],
    program: &Path,
    arguments: &[&str],
    output: &str,
) -> Result<JoinHandle<Result<(), NonZeroUsize>>, Failure> {
    let component = Component::new(system, manager, manager.network_of(interfaces.iter().copied())?)?;
    let path = program.with_extension("wasm").into_os_string().into_string().map_err(|_| "its path is no text")?;
    let arguments = [path].into_iter().chain(arguments.iter().map(|&argument| argument.to_owned())).collect();
    let standard = system.standard(output).await?;
    Ok(execute(system.tasks, system.task, &component, arguments, standard, Some(system.executor)).await?)
}

fn main() -> Result<(), Failure> {
    let programs =
        std::env::args_os().nth(1).ok_or("say which folder has the guest programs, such as target/guests")?;
    let programs = PathBuf::from(programs);
    task::run(move |tasks, task, executor| async move {
        let system = System::start(tasks, task, executor).await?;
        let manager = Manager::initialize(adapters::platform(&system).await?)?;
        mount_interfaces(&manager)?;
        for name in system.files.entries(DIRECTORY).await {
            let path = format!("{DIRECTORY}/{name}");
            let mut file = File::open(system.files, task, &path).await?;
            println!("{path}: MTU {}", node::control::<GetMtu>(&mut file, ()).await?);
        }

        // The client starts first, and retries until the server answers.
        let arguments = ["10.0.0.1:80", "1000000"];
        let client =
            start(&system, &manager, &["b"], &programs.join("std_tcp_client"), &arguments, STANDARD_OUT).await?;
        let server =
            start(&system, &manager, &["a"], &programs.join("std_tcp_server"), &arguments, STANDARD_OUT).await?;
        for ending in [client.join().await, server.join().await] {
            ending.map_err(|status| format!("a program ended with {status}"))?;
        }
        Ok(())
    })
}
