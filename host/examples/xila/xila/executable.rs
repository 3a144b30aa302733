//! Programs, whatever they are made of.

use core::future::Future;
use core::num::NonZeroUsize;
use core::pin::Pin;

use super::task::{self, JoinHandle, SpawnerIdentifier, TaskIdentifier};
use super::virtual_file_system::File;

/// How a program ends: well, or with a status. Xila does not ask that it can be sent to another thread.
pub(crate) type MainFuture = Pin<Box<dyn Future<Output = Result<(), NonZeroUsize>> + Send>>;

/// The files that a program writes to. Xila's has one to read from, too.
pub(crate) struct Standard {
    pub(crate) out: File,
    pub(crate) error: File,
}

/// What runs programs of one kind.
pub(crate) trait ExecutableTrait: Sync {
    fn main(&self, standard: Standard, arguments: Vec<String>) -> MainFuture;
}

/// Starts a program as a task.
pub(crate) async fn execute(
    tasks: &'static task::Manager,
    parent: TaskIdentifier,
    executable: &dyn ExecutableTrait,
    arguments: Vec<String>,
    standard: Standard,
    spawner: Option<SpawnerIdentifier>,
) -> Result<JoinHandle<Result<(), NonZeroUsize>>, task::Error> {
    let name = arguments.first().cloned().unwrap_or_default();
    let main = executable.main(standard, arguments);
    Ok(tasks.spawn(parent, &name, spawner, move |_| main).await?.0)
}
