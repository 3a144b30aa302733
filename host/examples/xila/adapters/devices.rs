//! Xila's virtual file system as the file system where interfaces appear.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock, RwLockWriteGuard};

use xila_network_host::platform::{Access, CharacterDevice, DeviceFile, DeviceFileSystem};
use xila_network_host::{Error, Result};

use super::node::Node;
use crate::System;
use crate::xila::file_system;
use crate::xila::task::{TaskIdentifier, block_on};
use crate::xila::virtual_file_system::VirtualFileSystem;

/// The devices of a network, each with a node in Xila's file system.
///
/// Files that are opened through this type are found in its own list, and keep the access that they were opened with.
/// Files that are opened through Xila's file system use the [`Node`]. Xila's functions are asynchronous, and this type
/// blocks on them. If the file system is busy that may take long, so interfaces are mounted while the system starts, or
/// from a thread of their own.
pub(super) struct Devices {
    files: &'static VirtualFileSystem,
    task: TaskIdentifier,
    mounted: RwLock<BTreeMap<String, Arc<dyn CharacterDevice>>>,
}

impl Devices {
    pub(super) fn new(system: &System) -> Self {
        Self { files: system.files, task: system.task, mounted: RwLock::default() }
    }

    fn mounted(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<dyn CharacterDevice>>> {
        self.mounted.write().expect("nobody panics while holding the lock")
    }
}

impl DeviceFileSystem for Devices {
    fn create_directory(&self, path: &str) -> Result<()> {
        let ends = path.match_indices('/').skip(1).map(|(end, _)| end).chain([path.len()]);
        for directory in ends.map(|end| &path[..end]) {
            match block_on(self.files.create_directory(self.task, directory)) {
                Ok(()) | Err(file_system::Error::AlreadyExists) => {}
                Err(error) => return Err(from_xila(error)),
            }
        }
        Ok(())
    }

    fn mount_character_device(&self, path: &str, device: Arc<dyn CharacterDevice>) -> Result<()> {
        let mut mounted = self.mounted();
        if mounted.contains_key(path) {
            return Err(Error::DuplicateIdentifier(path.to_owned()));
        }
        // Nodes are files, so the node of an earlier start of the system may still be on the disk.
        match block_on(self.files.remove(self.task, path)) {
            Ok(()) | Err(file_system::Error::NotFound) => {}
            Err(error) => return Err(from_xila(error)),
        }
        let node = Node::new(&device);
        block_on(self.files.mount_character_device(self.task, path, node)).map_err(from_xila)?;
        mounted.insert(path.to_owned(), device);
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<()> {
        self.mounted().remove(path).ok_or(Error::NotFound)?;
        block_on(self.files.remove(self.task, path)).map_err(from_xila)
    }

    fn open(&self, path: &str, access: Access) -> Result<DeviceFile> {
        let device = self.mounted().get(path).cloned().ok_or(Error::NotFound)?;
        DeviceFile::new(device, access)
    }
}

/// Converts an error of Xila's file system to one of the network.
fn from_xila(error: file_system::Error) -> Error {
    match error {
        file_system::Error::PermissionDenied => Error::AccessDenied,
        file_system::Error::NotFound | file_system::Error::NotMounted => Error::NotFound,
        file_system::Error::UnsupportedOperation => Error::NotSupported,
        file_system::Error::RessourceBusy => Error::ResourceBusy,
        file_system::Error::InvalidParameter => Error::InvalidArgument,
        file_system::Error::AlreadyExists | file_system::Error::InputOutput | file_system::Error::Other => {
            Error::FailedToMountDevice(format!("{error:?}"))
        }
    }
}
