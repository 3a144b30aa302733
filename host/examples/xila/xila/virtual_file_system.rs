//! The virtual file system: files by path. A mounted node exists until it is removed; its device is never freed.

use std::collections::BTreeMap;
use std::sync::RwLock;

use super::file_system::{AnyByLayout, ControlCommand, DirectCharacterDevice, Error, Result};
use super::task::{self, TaskIdentifier};

/// The file system in memory. Xila's own also checks the permissions of a task's user.
#[derive(Default)]
pub(crate) struct VirtualFileSystem(RwLock<BTreeMap<String, Node>>);

#[derive(Clone, Copy)]
enum Node {
    Directory,
    Device(&'static dyn DirectCharacterDevice),
}

impl VirtualFileSystem {
    /// Makes a file system with Xila's initial directories.
    pub(crate) fn initialize() -> &'static Self {
        let files = Self::default();
        for directory in ["/", "/devices"] {
            files.nodes_mut().insert(directory.to_owned(), Node::Directory);
        }
        Box::leak(Box::new(files))
    }

    fn nodes_mut(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Node>> {
        self.0.write().expect("nobody panics while holding the lock")
    }

    fn node(&self, path: &str) -> Result<Node> {
        self.0.read().expect("nobody panics while holding the lock").get(path).copied().ok_or(Error::NotFound)
    }

    pub(crate) async fn create_directory(&self, _task: TaskIdentifier, path: &str) -> Result<()> {
        self.insert(path, Node::Directory)
    }

    pub(crate) async fn mount_character_device(
        &self,
        _task: TaskIdentifier,
        path: &str,
        device: impl DirectCharacterDevice + 'static,
    ) -> Result<()> {
        device.mount()?;
        self.insert(path, Node::Device(Box::leak(Box::new(device))))
    }

    fn insert(&self, path: &str, node: Node) -> Result<()> {
        let directory = path.rsplit_once('/').ok_or(Error::InvalidParameter)?.0;
        if !matches!(self.node(if directory.is_empty() { "/" } else { directory })?, Node::Directory) {
            return Err(Error::InvalidParameter);
        }
        let mut nodes = self.nodes_mut();
        if nodes.contains_key(path) {
            return Err(Error::AlreadyExists);
        }
        nodes.insert(path.to_owned(), node);
        Ok(())
    }

    pub(crate) async fn remove(&self, _task: TaskIdentifier, path: &str) -> Result<()> {
        self.nodes_mut().remove(path).map(drop).ok_or(Error::NotFound)
    }

    /// The names in a directory.
    pub(crate) async fn entries(&self, directory: &str) -> Vec<String> {
        let nodes = self.0.read().expect("nobody panics while holding the lock");
        let within = |path: &String| Some(path.strip_prefix(directory)?.strip_prefix('/')?.to_owned());
        nodes.keys().filter_map(within).filter(|name| !name.contains('/')).collect()
    }
}

/// An open device. The device does not learn the access that it was opened with.
pub(crate) struct File(&'static dyn DirectCharacterDevice);

impl File {
    pub(crate) async fn open(files: &VirtualFileSystem, _task: TaskIdentifier, path: &str) -> Result<Self> {
        match files.node(path)? {
            Node::Device(device) => Ok(Self(device)),
            Node::Directory => Err(Error::InvalidParameter),
        }
    }

    pub(crate) async fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        when_not_busy(|| self.0.write(buffer, 0)).await
    }

    pub(crate) async fn control<C: ControlCommand>(&mut self, _: C, input: &C::Input) -> Result<C::Output> {
        let input = AnyByLayout::new(input.clone());
        let mut output = AnyByLayout::new(C::Output::default());
        when_not_busy(|| self.0.control(C::IDENTIFIER, &input, &mut output)).await?;
        Ok(core::mem::take(output.cast_mutable()?))
    }
}

/// Retries an operation while the device is busy: devices do not wait, so their files do.
async fn when_not_busy<R>(mut operation: impl FnMut() -> Result<R>) -> Result<R> {
    loop {
        match operation() {
            Err(Error::RessourceBusy) => task::yield_now().await,
            result => return result,
        }
    }
}
