//! Devices, and commands whose payloads are values in memory.

use core::any::Any;
use core::fmt;

/// A number of bytes, or a position in a file.
pub(crate) type Size = u64;

/// The errors of files and devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    PermissionDenied,
    NotFound,
    AlreadyExists,
    NotMounted,
    UnsupportedOperation,
    /// The device is busy. Files retry until the result is another.
    RessourceBusy,
    InvalidParameter,
    InputOutput,
    Other,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

impl core::error::Error for Error {}

pub(crate) type Result<T> = core::result::Result<T, Error>;

/// The operations of a device without state for each open file. They must not block.
pub(crate) trait DirectBaseOperations: Send + Sync {
    fn read(&self, buffer: &mut [u8], absolute_position: Size) -> Result<usize>;

    fn write(&self, buffer: &[u8], absolute_position: Size) -> Result<usize>;

    fn control(&self, command: ControlCommandIdentifier, input: &AnyByLayout, output: &mut AnyByLayout) -> Result<()> {
        let _ = (command, input, output);
        Err(Error::UnsupportedOperation)
    }
}

/// What a device does when it is mounted.
pub(crate) trait MountOperations {
    fn mount(&self) -> Result<()> {
        Ok(())
    }
}

/// A device that is a file.
pub(crate) trait DirectCharacterDevice: DirectBaseOperations + MountOperations {}

/// A payload in memory that both sides share. Xila checks its type by its size; here it is checked by its type
/// identifier.
pub(crate) struct AnyByLayout(Box<dyn Any + Send + Sync>);

impl AnyByLayout {
    pub(crate) fn new(value: impl Any + Send + Sync) -> Self {
        Self(Box::new(value))
    }

    pub(crate) fn cast<T: Any>(&self) -> Result<&T> {
        self.0.downcast_ref().ok_or(Error::InvalidParameter)
    }

    pub(crate) fn cast_mutable<T: Any>(&mut self) -> Result<&mut T> {
        self.0.downcast_mut().ok_or(Error::InvalidParameter)
    }
}

/// The direction of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlDirectionFlags {
    Read = 1,
    Write = 2,
}

/// The identifier of a command: from the highest bit down, direction (2 bits), size of input and output together (14),
/// kind (8) and number (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ControlCommandIdentifier(usize);

impl ControlCommandIdentifier {
    pub(crate) const fn new<I, O>(direction: ControlDirectionFlags, kind: u8, number: u8) -> Self {
        let size = (size_of::<I>() + size_of::<O>()) & 0x3fff;
        Self((direction as usize) << 30 | size << 16 | (kind as usize) << 8 | number as usize)
    }
}

/// A command of a device.
pub(crate) trait ControlCommand {
    type Input: Clone + Send + Sync + 'static;
    type Output: Default + Send + Sync + 'static;
    const IDENTIFIER: ControlCommandIdentifier;
}

/// Defines a command: `define_command!(NAME, Read or Write, kind, number, Input, Output)`.
macro_rules! define_command {
    ($(#[$about:meta])* $name:ident, $direction:ident, $kind:literal, $number:literal, $input:ty, $output:ty) => {
        $(#[$about])*
        #[allow(non_camel_case_types)]
        pub(crate) struct $name;

        impl $crate::xila::file_system::ControlCommand for $name {
            type Input = $input;
            type Output = $output;
            const IDENTIFIER: $crate::xila::file_system::ControlCommandIdentifier =
                $crate::xila::file_system::ControlCommandIdentifier::new::<$input, $output>(
                    $crate::xila::file_system::ControlDirectionFlags::$direction,
                    $kind,
                    $number,
                );
        }
    };
}
pub(crate) use define_command;
