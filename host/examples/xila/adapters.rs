//! The adapters that make the [`Platform`] of a network from parts of Xila, and the devices of Xila from interfaces of
//! the network.

mod clock;
mod devices;
pub(crate) mod node;
mod random;
mod tasks;

use std::sync::Arc;

use xila_network_host::platform::Platform;

use self::devices::Devices;
use self::random::RandomBytes;
use self::tasks::Tasks;
use crate::System;
use crate::xila::task;

/// The platform of this system. Its tasks are children of `system.task` and run on `system.executor`.
///
/// # Errors
/// The executor does not accept a task.
pub(crate) async fn platform(system: &System) -> Result<Platform, task::Error> {
    Ok(Platform {
        clock: clock::start(system).await?,
        spawner: Arc::new(Tasks::new(system)),
        random: Arc::new(RandomBytes(system.random)),
        devices: Some(Arc::new(Devices::new(system))),
        // Nothing is remembered, because Xila's network module has no folder of its own on the disk.
        memory: None,
    })
}
