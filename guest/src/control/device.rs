//! Character devices: commands by identifier and bytes.

use std::fmt;

use xila_network_commands::Command;
use xila_network_commands::command::{decode, encode};

use crate::bindings::control;
use crate::{Error, Result};

/// What a device file is opened for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Commands that look.
    pub read: bool,
    /// Commands that change something.
    pub write: bool,
    /// Commands do not wait for a stack that is busy; they fail with [`ResourceBusy`](Error::ResourceBusy).
    pub non_blocking: bool,
}

impl Access {
    /// For looking.
    pub const READ: Self = Self { read: true, write: false, non_blocking: false };
    /// For changing.
    pub const WRITE: Self = Self { read: false, write: true, non_blocking: false };
    /// For both.
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
    /// [`NotFound`](Error::NotFound) where there is none that the app may use, [`AccessDenied`](Error::AccessDenied)
    /// where the host does not allow what `access` asks for, [`InvalidArgument`](Error::InvalidArgument) for access to
    /// nothing.
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
    /// [`NotSupported`](Error::NotSupported) where neither the stack nor the driver knows it,
    /// [`AccessDenied`](Error::AccessDenied) where the file is not open for what it does,
    /// [`InvalidArgument`](Error::InvalidArgument) also where the driver's answer is none of this command; and what the
    /// command itself fails with.
    pub async fn control<C: Command>(&self, input: C::Input) -> Result<C::Output> {
        let output = self.0.control(C::ID.to_raw(), encode(&input)).await?;
        decode(&output).map_err(|_| Error::InvalidArgument)
    }

    /// Executes a command by its identifier, with the bytes of its input, for those of its output.
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
