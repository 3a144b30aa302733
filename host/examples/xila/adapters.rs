//! What Xila has, as the [`Platform`] of a network: each piece of it, and each of Xila's from the other side.

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
/// Where the executor takes no task.
pub(crate) async fn platform(system: &System) -> Result<Platform, task::Error> {
    Ok(Platform {
        clock: clock::start(system).await?,
        spawner: Arc::new(Tasks::new(system)),
        random: Arc::new(RandomBytes(system.random)),
        devices: Some(Arc::new(Devices::new(system))),
        // Nothing is remembered: Xila's network module has no place of its own on the disk.
        memory: None,
    })
}
