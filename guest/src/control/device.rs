//! Character devices, which execute commands given by identifier and bytes.

use std::fmt;

use xila_network_commands::Command;
use xila_network_commands::command::{decode, encode};

use crate::bindings::control;
use crate::{Error, Result};

/// The rights with which a device file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Commands that only query.
    pub read: bool,
    /// Commands that change something.
    pub write: bool,
    /// Commands do not wait while the stack is busy; they fail with [`ResourceBusy`](Error::ResourceBusy).
    pub non_blocking: bool,
}

impl Access {
    /// Only commands that query.
    pub const READ: Self = Self { read: true, write: false, non_blocking: false };
    /// Only commands that change something.
    pub const WRITE: Self = Self { read: false, write: true, non_blocking: false };
    /// All commands.
    pub const READ_WRITE: Self = Self { read: true, write: true, non_blocking: false };

    fn to_wit(self) -> control::Access {
        let Self { read, write, non_blocking } = self;
        let mut access = control::Access::empty();
        access.set(control::Access::READ, read);
        access.set(control::Access::WRITE, write);
        access.set(control::Access::NON_BLOCKING, non_blocking);
        access
    }
}

/// An open character device.
pub struct DeviceFile(control::Device);

impl DeviceFile {
    /// The directory in which interfaces appear.
    pub const DIRECTORY: &str = "/devices/network";

    /// Opens a device by its path, such as `/devices/network/eth0`.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound) if the app may use no device of that path, [`AccessDenied`](Error::AccessDenied)
    /// if the host does not permit the rights in `access`, [`InvalidArgument`](Error::InvalidArgument) if `access`
    /// requests neither reading nor writing.
    pub fn open(path: &str, access: Access) -> Result<Self> {
        Ok(Self(control::Device::open(path, access.to_wit())?))
    }

    /// Opens the device of an interface by the interface's name.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of_interface(name: &str, access: Access) -> Result<Self> {
        Self::open(&format!("{}/{name}", Self::DIRECTORY), access)
    }

    /// Executes a command.
    ///
    /// # Errors
    /// [`NotSupported`](Error::NotSupported) if neither the stack nor the driver knows the command,
    /// [`AccessDenied`](Error::AccessDenied) if the file was not opened with the right that the command needs,
    /// [`InvalidArgument`](Error::InvalidArgument) also if the driver's answer is not a valid output of the command,
    /// and any error of the command itself.
    pub async fn control<C: Command>(&self, input: C::Input) -> Result<C::Output> {
        let output = self.0.control(C::ID.to_raw(), encode(&input)).await?;
        decode(&output).map_err(|_| Error::InvalidArgument)
    }

    /// Executes a command, given by its identifier and its encoded input; returns its encoded output.
    ///
    /// # Errors
    /// As [`control`](Self::control).
    pub async fn control_raw(&self, command: u32, input: &[u8]) -> Result<Vec<u8>> {
        Ok(self.0.control(command, input.to_vec()).await?)
    }
}

impl fmt::Debug for DeviceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeviceFile").field(&self.0).finish()
    }
}
