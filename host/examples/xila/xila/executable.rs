//! Executables: programs of any kind.

use core::future::Future;
use core::num::NonZeroUsize;
use core::pin::Pin;

use super::task::{self, JoinHandle, SpawnerIdentifier, TaskIdentifier};
use super::virtual_file_system::File;

/// The future of a program, which ends with success or with a status. In Xila it need not be `Send`.
pub(crate) type MainFuture = Pin<Box<dyn Future<Output = Result<(), NonZeroUsize>> + Send>>;

/// The files that a program writes to. Xila's type also has one to read from.
pub(crate) struct Standard {
    pub(crate) out: File,
    pub(crate) error: File,
}

/// Runs programs of one kind.
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
