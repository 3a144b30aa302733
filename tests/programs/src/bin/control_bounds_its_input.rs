//! A device refuses input that is longer than any command's, for every command, and continues to work.

use xila_network::control::{Access, Command, DeviceFile, commands};
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    let lo = DeviceFile::of_interface("lo", Access::READ_WRITE).unwrap();
    for command in [commands::GetMtu::ID.to_raw(), commands::SetMtu::ID.to_raw(), 0x1180_0001] {
        for length in [(64 << 10) + 1, 1 << 20] {
            let result = lo.control_raw(command, &vec![0; length]).await;
            assert_eq!(result, Err(Error::InvalidArgument), "{command:#x}, {length} bytes");
        }
    }
    // The loopback's driver has no commands, and reports this for the longest input too.
    assert_eq!(lo.control_raw(0x1180_0001, &[0; 64 << 10]).await, Err(Error::NotSupported));
    assert_eq!(lo.control::<commands::GetMtu>(()).await, Ok(65_535));
}
