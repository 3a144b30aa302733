//! The executor of a simulation: it runs tasks on one thread, in the order in which they were woken.

use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::task::Wake;

use parking_lot::Mutex;

use super::Stalled;
use crate::platform::Task;

/// Runs tasks, and one future of a `block_on`.
///
/// It owns its tasks, so that dropping the last waker of a task never drops the task's future: that could happen
/// anywhere, even while a lock is held.
pub(super) struct Executor {
    tasks: Mutex<Tasks>,
    ready: Mutex<VecDeque<Arc<Node>>>,
}

#[derive(Default)]
struct Tasks {
    nodes: BTreeMap<u64, Arc<Node>>,
    next: u64,
}

/// A task, or the future of a `block_on`, that can be woken.
struct Node {
    executor: Weak<Executor>,
    number: u64,
    /// Whether it is in the ready queue, so that a task that is woken twice runs once.
    queued: AtomicBool,
    state: Mutex<State>,
}

enum State {
    /// A task that waits or is queued. It becomes `Elsewhere` while the task runs, and `Done` when the task has ended.
    Task(Task),
    /// A task that is running now, or the future of a `block_on`, which is held by that call.
    Elsewhere,
    /// A task or a `block_on` that has ended. It may still be woken.
    Done,
}

impl Wake for Node {
    fn wake(self: Arc<Self>) {
        if let Some(executor) = self.executor.upgrade()
            && !self.queued.swap(true, Ordering::AcqRel)
        {
            executor.ready.lock().push_back(self);
        }
    }
}

impl Executor {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { tasks: Mutex::default(), ready: Mutex::default() })
    }

    pub(super) fn spawn(self: &Arc<Self>, task: Task) {
        let mut tasks = self.tasks.lock();
        let number = tasks.next;
        tasks.next += 1;
        let node = self.node(number, State::Task(task));
        tasks.nodes.insert(number, node.clone());
        drop(tasks);
        node.wake();
    }

    fn node(self: &Arc<Self>, number: u64, state: State) -> Arc<Node> {
        Arc::new(Node {
            executor: Arc::downgrade(self),
            number,
            queued: AtomicBool::new(false),
            state: Mutex::new(state),
        })
    }

    /// Runs tasks until `future` is ready. Calls `pass_time` to make something ready when nothing is.
    pub(super) fn block_on<T>(
        self: &Arc<Self>,
        future: impl Future<Output = T>,
        mut pass_time: impl FnMut() -> bool,
    ) -> Result<T, Stalled> {
        let mut future = pin!(future);
        let root = self.node(u64::MAX, State::Elsewhere);
        let waker = Waker::from(root.clone());
        let mut output = None;
        waker.wake_by_ref();
        loop {
            self.run_until(&mut |node| {
                if !Arc::ptr_eq(node, &root) {
                    return None;
                }
                if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    output = Some(value);
                }
                Some(output.is_some())
            });
            if let Some(value) = output {
                *root.state.lock() = State::Done;
                return Ok(value);
            }
            if !pass_time() {
                *root.state.lock() = State::Done;
                return Err(Stalled { tasks: self.tasks.lock().nodes.len() });
            }
        }
    }

    /// Runs tasks until none is ready.
    pub(super) fn run_ready(&self) {
        self.run_until(&mut |_| None);
    }

    /// Runs ready nodes until none is left. `root` runs the nodes that it knows, and returns whether to stop then.
    ///
    /// This may be called by a running task (`advance` within `block_on`). A node that runs further up the call stack
    /// cannot run here; if it was woken, it is put back to the front of the queue at the end.
    fn run_until(&self, root: &mut dyn FnMut(&Arc<Node>) -> Option<bool>) {
        let mut outer = Vec::new();
        loop {
            let Some(node) = self.ready.lock().pop_front() else {
                break;
            };
            let state = core::mem::replace(&mut *node.state.lock(), State::Elsewhere);
            match state {
                State::Task(task) => {
                    node.queued.store(false, Ordering::Release);
                    self.run(&node, task);
                }
                State::Done => *node.state.lock() = State::Done,
                State::Elsewhere => {
                    node.queued.store(false, Ordering::Release);
                    match root(&node) {
                        Some(true) => break,
                        Some(false) => {}
                        None => {
                            node.queued.store(true, Ordering::Release);
                            outer.push(node);
                        }
                    }
                }
            }
        }
        let mut ready = self.ready.lock();
        outer.into_iter().rev().for_each(|node| ready.push_front(node));
    }

    fn run(&self, node: &Arc<Node>, mut task: Task) {
        let waker = Waker::from(node.clone());
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            *node.state.lock() = State::Task(task);
        } else {
            *node.state.lock() = State::Done;
            let removed = self.tasks.lock().nodes.remove(&node.number);
            drop(removed);
        }
    }

    /// Drops every task, including tasks that are spawned by dropping others.
    pub(super) fn drop_tasks(&self) {
        self.ready.lock().clear();
        loop {
            let nodes = core::mem::take(&mut self.tasks.lock().nodes);
            if nodes.is_empty() {
                break;
            }
            for node in nodes.into_values() {
                let state = core::mem::replace(&mut *node.state.lock(), State::Done);
                drop(state);
            }
        }
        self.ready.lock().clear();
    }
}
