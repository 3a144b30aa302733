//! The devices of a native Xila: crates `drivers_std` and `drivers_shared`.

use std::io::Write as _;
use std::time::SystemTime;

use super::file_system::{DirectBaseOperations, DirectCharacterDevice, Error, MountOperations, Result, Size};
use super::time::READING;

/// A device that reads the operating system's clock.
pub(crate) struct TimeDevice;

impl DirectBaseOperations for TimeDevice {
    fn read(&self, buffer: &mut [u8], _: Size) -> Result<usize> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|_| Error::InputOutput)?;
        let (seconds, nanoseconds) =
            buffer.first_chunk_mut::<READING>().ok_or(Error::InvalidParameter)?.split_at_mut(size_of::<u64>());
        seconds.copy_from_slice(&now.as_secs().to_le_bytes());
        nanoseconds.copy_from_slice(&now.subsec_nanos().to_le_bytes());
        Ok(READING)
    }

    fn write(&self, _: &[u8], _: Size) -> Result<usize> {
        Err(Error::UnsupportedOperation)
    }
}

impl MountOperations for TimeDevice {}
impl DirectCharacterDevice for TimeDevice {}

/// A device that reads the operating system's random bytes.
pub(crate) struct RandomDevice;

impl DirectBaseOperations for RandomDevice {
    fn read(&self, buffer: &mut [u8], _: Size) -> Result<usize> {
        getrandom::fill(buffer).map_err(|_| Error::Other)?;
        Ok(buffer.len())
    }

    fn write(&self, _: &[u8], _: Size) -> Result<usize> {
        Err(Error::UnsupportedOperation)
    }
}

impl MountOperations for RandomDevice {}
impl DirectCharacterDevice for RandomDevice {}

/// A device that writes to the standard output of the process.
pub(crate) struct StandardOutDevice;

impl DirectBaseOperations for StandardOutDevice {
    fn read(&self, _: &mut [u8], _: Size) -> Result<usize> {
        Err(Error::UnsupportedOperation)
    }

    fn write(&self, buffer: &[u8], _: Size) -> Result<usize> {
        std::io::stdout().write(buffer).map_err(|_| Error::InputOutput)
    }
}

impl MountOperations for StandardOutDevice {}
impl DirectCharacterDevice for StandardOutDevice {}
