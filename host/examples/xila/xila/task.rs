//! Tasks with names and parents, on executors of embassy, one for each thread.

use core::cell::RefCell;
use core::fmt;
use core::future::{Future, poll_fn};
use core::task::{Context, Poll, Waker};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};

use embassy_executor::raw::TaskStorage;
use embassy_executor::{Executor, SendSpawner};

/// The identifier of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskIdentifier(usize);

/// The identifier of an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpawnerIdentifier(usize);

/// The cause why a task was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// No executor was registered.
    NoSpawnerAvailable,
    /// The executor did not accept the task.
    FailedToSpawnTask,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

impl core::error::Error for Error {}

/// The tasks of a system.
pub(crate) struct Manager(Mutex<Tasks>);

#[derive(Default)]
struct Tasks {
    running: BTreeMap<TaskIdentifier, Metadata>,
    spawners: Vec<SendSpawner>,
    made: usize,
}

struct Metadata {
    name: String,
    parent: TaskIdentifier,
    spawner: SpawnerIdentifier,
}

impl Manager {
    /// The parent of the first task.
    pub(crate) const ROOT_TASK_IDENTIFIER: TaskIdentifier = TaskIdentifier(0);

    pub(crate) fn initialize() -> &'static Self {
        Box::leak(Box::new(Self(Mutex::default())))
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().expect("nobody panics while holding the lock")
    }

    pub(crate) fn register_spawner(&self, spawner: SendSpawner) -> SpawnerIdentifier {
        let mut tasks = self.tasks();
        tasks.spawners.push(spawner);
        SpawnerIdentifier(tasks.spawners.len() - 1)
    }

    /// Starts a task on an executor, or on the one with the fewest tasks if none is given. The memory of the task is
    /// never freed.
    ///
    /// In Xila the task need not be `Send`.
    pub(crate) async fn spawn<R, Fut>(
        &'static self,
        parent: TaskIdentifier,
        name: &str,
        spawner: Option<SpawnerIdentifier>,
        function: impl FnOnce(TaskIdentifier) -> Fut + Send + 'static,
    ) -> Result<(JoinHandle<R>, TaskIdentifier), Error>
    where
        R: Send + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        let (spawner, task) = {
            let mut tasks = self.tasks();
            let spawner = spawner.or_else(|| tasks.least_loaded()).ok_or(Error::NoSpawnerAvailable)?;
            tasks.made += 1;
            let task = TaskIdentifier(tasks.made);
            tasks.running.insert(task, Metadata { name: name.to_owned(), parent, spawner });
            (tasks.spawners[spawner.0], task)
        };
        let handle = JoinHandle(Arc::new(Mutex::new(Outcome { result: None, waiting: None })));
        let outcome = handle.0.clone();
        let future = move || async move {
            let result = function(task).await;
            self.tasks().running.remove(&task);
            let waiting = {
                let mut outcome = outcome.lock().expect("nobody panics while holding the lock");
                outcome.result = Some(result);
                outcome.waiting.take()
            };
            if let Some(waker) = waiting {
                waker.wake();
            }
        };
        let storage = Box::leak(Box::new(TaskStorage::new()));
        spawner.spawn(storage.spawn(future).map_err(|_| Error::FailedToSpawnTask)?);
        Ok((handle, task))
    }

    /// The names of the tasks that a task has started and that have not ended.
    pub(crate) fn children(&self, parent: TaskIdentifier) -> Vec<String> {
        let tasks = self.tasks();
        tasks.running.values().filter(|task| task.parent == parent).map(|task| task.name.clone()).collect()
    }
}

impl Tasks {
    fn least_loaded(&self) -> Option<SpawnerIdentifier> {
        let load = |spawner: &SpawnerIdentifier| self.running.values().filter(|task| task.spawner == *spawner).count();
        (0..self.spawners.len()).map(SpawnerIdentifier).min_by_key(load)
    }
}

/// A handle to wait for the result of a task.
pub(crate) struct JoinHandle<R>(Arc<Mutex<Outcome<R>>>);

struct Outcome<R> {
    result: Option<R>,
    waiting: Option<Waker>,
}

impl<R> JoinHandle<R> {
    fn is_finished(&self) -> bool {
        self.0.lock().expect("nobody panics while holding the lock").result.is_some()
    }

    /// Waits for the end of the task.
    pub(crate) async fn join(self) -> R {
        poll_fn(|context| {
            let mut outcome = self.0.lock().expect("nobody panics while holding the lock");
            match outcome.result.take() {
                Some(result) => Poll::Ready(result),
                None => {
                    outcome.waiting = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Runs a task, and the tasks that it starts, on an executor of this thread until the task has ended, as `#[task::run]`
/// does for a `main`. A panic of any of them is a panic of this thread.
pub(crate) fn run<R, Fut>(
    main: impl FnOnce(&'static Manager, TaskIdentifier, SpawnerIdentifier) -> Fut + Send + 'static,
) -> R
where
    R: Send + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    let manager = Manager::initialize();
    // Both closures use it. The first is called once, before the second.
    let ending = RefCell::new(None);
    Box::leak(Box::new(Executor::new())).run_until(
        |spawner| {
            let spawner = manager.register_spawner(spawner.make_send());
            let root = Manager::ROOT_TASK_IDENTIFIER;
            let started = manager.spawn(root, "Main", Some(spawner), move |task| main(manager, task, spawner));
            ending.replace(Some(block_on(started).expect("an executor that was registered takes a task").0));
        },
        || ending.borrow().as_ref().is_some_and(JoinHandle::is_finished),
    );
    block_on(ending.into_inner().expect("it was started").join())
}

/// Polls a future in a loop until it is ready. It is for futures that do not wait for other tasks of this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// Lets the other tasks of this thread run.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if core::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
