//! The node of an interface in Xila's file system.

mod commands;

use std::sync::{Arc, Weak};

use xila_network_host::commands::{Command, command};
use xila_network_host::platform::{Access, CharacterDevice, DeviceFile};
use xila_network_host::{Error, commands as network_commands};

use self::commands::Call;
use crate::xila::file_system::{
    self, AnyByLayout, ControlCommandIdentifier, DirectBaseOperations, DirectCharacterDevice, MountOperations, Result,
    Size, define_command,
};
use crate::xila::virtual_file_system::File;

define_command!(
    /// Executes a command of the network: takes its identifier and the bytes of its input, and returns the bytes of its
    /// output.
    NETWORK_CONTROL, Write, b'X', 0, (u32, Vec<u8>), Vec<u8>
);

/// Executes a command of the network on a Xila file that is an interface.
///
/// # Errors
/// The error of the node, and `InputOutput` for an answer that cannot be decoded.
pub(crate) async fn control<C: Command>(file: &mut File, input: C::Input) -> Result<C::Output> {
    let output = file.control(NETWORK_CONTROL, &(C::ID.to_raw(), command::encode(&input))).await?;
    command::decode(&output).map_err(|network_commands::InvalidPayload| file_system::Error::InputOutput)
}

/// A Xila device for an interface. It refers to the interface only while that is mounted, because Xila never frees a
/// device.
pub(super) struct Node(Weak<dyn CharacterDevice>);

impl Node {
    pub(super) fn new(device: &Arc<dyn CharacterDevice>) -> Self {
        Self(Arc::downgrade(device))
    }

    /// Opens the interface for reading and writing, because Xila does not tell a device the access that a file was
    /// opened with. It is non-blocking, because Xila's files retry while a device is busy.
    fn open(&self) -> Result<DeviceFile> {
        let device = self.0.upgrade().ok_or(file_system::Error::NotMounted)?;
        DeviceFile::new(device, Access { non_blocking: true, ..Access::READ_WRITE }).map_err(|error| to_xila(&error))
    }
}

impl DirectBaseOperations for Node {
    fn read(&self, _: &mut [u8], _: Size) -> Result<usize> {
        Err(file_system::Error::UnsupportedOperation)
    }

    fn write(&self, _: &[u8], _: Size) -> Result<usize> {
        Err(file_system::Error::UnsupportedOperation)
    }

    fn control(&self, command: ControlCommandIdentifier, input: &AnyByLayout, output: &mut AnyByLayout) -> Result<()> {
        Call { interface: self.open()?, input, output }.execute(command)
    }
}

impl MountOperations for Node {}
impl DirectCharacterDevice for Node {}

/// Converts the error of a command to one of Xila.
fn to_xila(error: &Error) -> file_system::Error {
    match error {
        Error::ResourceBusy => file_system::Error::RessourceBusy,
        Error::NotSupported => file_system::Error::UnsupportedOperation,
        Error::AccessDenied => file_system::Error::PermissionDenied,
        Error::NotFound | Error::NetworkDown => file_system::Error::NotMounted,
        Error::InvalidArgument => file_system::Error::InvalidParameter,
        Error::AddressInUse | Error::DuplicateIdentifier(_) => file_system::Error::AlreadyExists,
        Error::AddressNotAvailable | Error::RemoteUnreachable => file_system::Error::NotFound,
        _ => file_system::Error::Other,
    }
}
