//! The time of day, from a device. The time may step, and reading it may fail.

use core::time::Duration;

use super::file_system::{DirectCharacterDevice, Error, Result};

/// The manager of time, which reads the device.
pub(crate) struct Manager(&'static dyn DirectCharacterDevice);

pub(crate) fn initialize(device: &'static dyn DirectCharacterDevice) -> &'static Manager {
    Box::leak(Box::new(Manager(device)))
}

/// The number of bytes that reading the device returns: 8 for the seconds and 4 for the nanoseconds, little-endian.
pub(crate) const READING: usize = 12;

impl Manager {
    /// The time since 1970.
    pub(crate) fn get_current_time(&self) -> Result<Duration> {
        let mut reading = [0; READING];
        if self.0.read(&mut reading, 0)? != READING {
            return Err(Error::InputOutput);
        }
        let [s0, s1, s2, s3, s4, s5, s6, s7, n0, n1, n2, n3] = reading;
        let (seconds, nanoseconds) = ([s0, s1, s2, s3, s4, s5, s6, s7], [n0, n1, n2, n3]);
        Ok(Duration::new(u64::from_le_bytes(seconds), u32::from_le_bytes(nanoseconds)))
    }
}
