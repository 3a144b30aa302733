//! Random bytes from Xila's random device.

use xila_network_host::platform::Random;

use crate::xila::file_system::DirectCharacterDevice;

/// A source of random bytes that reads Xila's random device.
pub(super) struct RandomBytes(pub(super) &'static dyn DirectCharacterDevice);

impl Random for RandomBytes {
    /// # Panics
    /// If the device provides no bytes. Predictable numbers would be worse than a panic.
    fn fill(&self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.0.read(rest, 0) {
                Ok(0) => panic!("the random device gives no more bytes"),
                Ok(count) => rest = &mut rest[count..],
                Err(error) => panic!("the random device fails: {error:?}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xila::file_system::{DirectBaseOperations, MountOperations, Result, Size};

    /// A device that returns at most three bytes at once.
    struct Slow;

    impl DirectBaseOperations for Slow {
        fn read(&self, buffer: &mut [u8], _: Size) -> Result<usize> {
            let count = buffer.len().min(3);
            buffer[..count].fill(7);
            Ok(count)
        }

        fn write(&self, _: &[u8], _: Size) -> Result<usize> {
            unreachable!("nobody writes")
        }
    }

    impl MountOperations for Slow {}
    impl DirectCharacterDevice for Slow {}

    #[test]
    fn all_bytes_are_filled_though_the_device_returns_few_at_once() {
        let mut bytes = [0; 10];
        RandomBytes(&Slow).fill(&mut bytes);
        assert_eq!(bytes, [7; 10]);
    }
}
