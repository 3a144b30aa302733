//! Tasks of the network, as tasks of Xila's.

use xila_network_host::platform::{Spawner, Task};

use crate::System;
use crate::xila::task::{self, SpawnerIdentifier, TaskIdentifier};

/// Starts tasks as children of one, on one executor.
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
    /// Where the executor takes no task: an interface that nothing runs would fail without a word.
    fn spawn(&self, task: Task) {
        // There it is asynchronous, though it waits for nothing that the tasks of this thread do.
        let started = self.tasks.spawn(self.parent, "Network interface", Some(self.executor), move |_| task);
        if let Err(error) = task::block_on(started) {
            panic!("no task can be started: {error:?}");
        }
    }
}
