//! The tasks of the network as tasks of Xila.

use xila_network_host::platform::{Spawner, Task};

use crate::System;
use crate::xila::task::{self, SpawnerIdentifier, TaskIdentifier};

/// Starts tasks as children of one task, on one executor.
pub(super) struct Tasks {
    tasks: &'static task::Manager,
    parent: TaskIdentifier,
    executor: SpawnerIdentifier,
}

impl Tasks {
    pub(super) fn new(system: &System) -> Self {
        Self { tasks: system.tasks, parent: system.task, executor: system.executor }
    }
}

impl Spawner for Tasks {
    /// # Panics
    /// If the executor does not accept the task: an interface without its task would fail silently.
    fn spawn(&self, task: Task) {
        // Xila's function is asynchronous, but does not wait for other tasks of this thread, so it can be blocked on.
        let started = self.tasks.spawn(self.parent, "Network interface", Some(self.executor), move |_| task);
        if let Err(error) = task::block_on(started) {
            panic!("no task can be started: {error:?}");
        }
    }
}
