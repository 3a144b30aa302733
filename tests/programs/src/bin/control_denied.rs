//! An app without any right to control interfaces is refused by every function, whether the interface or device exists
//! or not. Its sockets work.

use xila_network_programs::control::{Access, DeviceFile, Interface, watch};
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    assert_eq!(Interface::list().unwrap_err(), Error::AccessDenied);
    assert_eq!(watch().unwrap_err(), Error::AccessDenied);
    for name in ["lo", "nosuch0", ""] {
        assert_eq!(Interface::open(name).unwrap_err(), Error::AccessDenied, "{name:?}");
        for access in [Access::READ, Access::WRITE, Access::READ_WRITE, Access::default()] {
            let opened = DeviceFile::of_interface(name, access);
            assert_eq!(opened.unwrap_err(), Error::AccessDenied, "{name:?} {access:?}");
        }
    }
    assert_eq!(DeviceFile::open("/etc/passwd", Access::READ).unwrap_err(), Error::AccessDenied);
    connected(ipv4_loopback(0)).await;
}
