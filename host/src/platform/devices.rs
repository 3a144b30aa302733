//! Character devices by path, through which programs send commands to interfaces.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use xila_network_commands::{CommandId, Direction};

use crate::error::{Error, Result};

/// A device that executes commands.
pub trait CharacterDevice: Send + Sync {
    /// Executes a command: decodes its payload from `input` and appends the encoded result to `output`. `access` is the
    /// access that the file was opened with; the direction of the command has been checked against it.
    ///
    /// # Errors
    /// [`Error::NotSupported`] for an unknown command; [`Error::InvalidArgument`] for a payload that cannot be decoded;
    /// [`Error::ResourceBusy`] for a non-blocking file while the device is busy; the error of the command itself. After
    /// an error nothing has changed, and nothing is in `output`.
    fn control(&self, access: Access, command: CommandId, input: &[u8], output: &mut Vec<u8>) -> Result<()>;
}

/// The access that a file is opened with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Commands that read the state are allowed.
    pub read: bool,
    /// Commands that change the state are allowed.
    pub write: bool,
    /// Commands do not wait for a busy device.
    pub non_blocking: bool,
}

impl Access {
    /// Read access.
    pub const READ: Self = Self { read: true, write: false, non_blocking: false };
    /// Write access.
    pub const WRITE: Self = Self { read: false, write: true, non_blocking: false };
    /// Read and write access.
    pub const READ_WRITE: Self = Self { read: true, write: true, non_blocking: false };

    /// Whether this access is not more than `most` allows.
    #[must_use]
    pub const fn is_within(self, most: Self) -> bool {
        (most.read || !self.read) && (most.write || !self.write)
    }
}

/// The file system in which interfaces appear.
///
/// Paths are absolute, their parts separated by single slashes, as in `/devices/network/eth0`.
pub trait DeviceFileSystem: Send + Sync {
    /// Makes a directory and its missing parents. It is no error if the directory exists.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an invalid path; [`Error::FailedToMountDevice`] if a device exists at a part of
    /// the path.
    fn create_directory(&self, path: &str) -> Result<()>;

    /// Adds a device at a path, in an existing directory.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an invalid path; [`Error::DuplicateIdentifier`] if the path exists;
    /// [`Error::NotFound`] if the directory does not exist.
    fn mount_character_device(&self, path: &str, device: Arc<dyn CharacterDevice>) -> Result<()>;

    /// Removes a device. Open files stay open, and the device decides how it answers them.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no device at the path.
    fn remove(&self, path: &str) -> Result<()>;

    /// Opens a device.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no device at the path; [`Error::InvalidArgument`] for neither read nor write
    /// access.
    fn open(&self, path: &str, access: Access) -> Result<DeviceFile>;
}

/// An open device.
#[derive(Clone)]
pub struct DeviceFile {
    device: Arc<dyn CharacterDevice>,
    access: Access,
}

impl DeviceFile {
    /// An open file of `device`, for implementations of [`DeviceFileSystem`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for neither read nor write access.
    pub fn new(device: Arc<dyn CharacterDevice>, access: Access) -> Result<Self> {
        if !access.read && !access.write {
            return Err(Error::InvalidArgument);
        }
        Ok(Self { device, access })
    }

    /// Executes a command and appends its encoded result to `output`.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] if the file's access does not allow the direction of the command;
    /// [`Error::NotSupported`] for a number that no command can have; else as for [`CharacterDevice::control`].
    pub fn control(&self, command: u32, input: &[u8], output: &mut Vec<u8>) -> Result<()> {
        let command = CommandId::from_raw(command);
        let allowed = match command.direction() {
            Some(Direction::Get) => self.access.read,
            Some(Direction::Set) => self.access.write,
            None => return Err(Error::NotSupported),
        };
        if !allowed {
            return Err(Error::AccessDenied);
        }
        let before = output.len();
        let result = self.device.control(self.access, command, input, output);
        if result.is_err() {
            output.truncate(before);
        }
        result
    }
}

impl fmt::Debug for DeviceFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DeviceFile").field("access", &self.access).finish_non_exhaustive()
    }
}

/// A file system in memory, for hosts that have no own one.
#[derive(Default)]
pub struct InMemory(RwLock<BTreeMap<String, Node>>);

enum Node {
    Directory,
    Device(Arc<dyn CharacterDevice>),
}

/// Whether a path is absolute, without empty parts and without `.` and `..`.
fn is_path(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

impl DeviceFileSystem for InMemory {
    fn create_directory(&self, path: &str) -> Result<()> {
        if !is_path(path) {
            return Err(Error::InvalidArgument);
        }
        let mut nodes = self.0.write();
        let ends = path.match_indices('/').skip(1).map(|(end, _)| end).chain([path.len()]);
        let directories: Vec<&str> = ends.map(|end| &path[..end]).collect();
        if directories.iter().any(|directory| matches!(nodes.get(*directory), Some(Node::Device(_)))) {
            return Err(Error::FailedToMountDevice(format!("a device is in the way of {path}")));
        }
        for directory in directories {
            nodes.insert(directory.to_owned(), Node::Directory);
        }
        Ok(())
    }

    fn mount_character_device(&self, path: &str, device: Arc<dyn CharacterDevice>) -> Result<()> {
        if !is_path(path) {
            return Err(Error::InvalidArgument);
        }
        let mut nodes = self.0.write();
        if nodes.contains_key(path) {
            return Err(Error::DuplicateIdentifier(path.to_owned()));
        }
        match path.rsplit_once('/') {
            Some(("", _)) => {}
            Some((directory, _)) if matches!(nodes.get(directory), Some(Node::Directory)) => {}
            Some(_) | None => return Err(Error::NotFound),
        }
        nodes.insert(path.to_owned(), Node::Device(device));
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<()> {
        let mut nodes = self.0.write();
        match nodes.get(path) {
            Some(Node::Device(_)) => {
                nodes.remove(path);
                Ok(())
            }
            Some(Node::Directory) | None => Err(Error::NotFound),
        }
    }

    fn open(&self, path: &str, access: Access) -> Result<DeviceFile> {
        match self.0.read().get(path) {
            Some(Node::Device(device)) => DeviceFile::new(device.clone(), access),
            Some(Node::Directory) | None => Err(Error::NotFound),
        }
    }
}
