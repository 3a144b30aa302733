//! Randomness, from a device that is read.

use xila_network_host::platform::Random;

use crate::xila::file_system::DirectCharacterDevice;

/// The bytes of Xila's random device.
pub(super) struct RandomBytes(pub(super) &'static dyn DirectCharacterDevice);

impl Random for RandomBytes {
    /// # Panics
    /// Where the device gives none. Numbers that can be guessed would be worse than none.
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

    /// Gives no more than three bytes at once.
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
    fn all_bytes_are_random_though_the_device_gives_few_at_once() {
        let mut bytes = [0; 10];
        RandomBytes(&Slow).fill(&mut bytes);
        assert_eq!(bytes, [7; 10]);
    }
}
