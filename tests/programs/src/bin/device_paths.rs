//! The app can open the devices of its own interfaces by their paths, and no other paths.
//!
//! The host must let the program use `lo`, but not `eth0`.

use xila_network_programs::control::commands::GetKind;
use xila_network_programs::control::{Access, DeviceFile, Interface, Kind};
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    assert_eq!(Interface::list().unwrap(), ["lo"]);
    for access in [Access::READ, Access::READ_WRITE, Access { non_blocking: true, ..Access::READ }] {
        let file = DeviceFile::open("/devices/network/lo", access).unwrap();
        assert_eq!(file.control::<GetKind>(()).await, Ok(Kind::Loopback));
    }
    DeviceFile::open("/devices/network/lo", Access::WRITE).unwrap();

    let long = format!("/devices/network/{}", "a".repeat(1 << 20));
    for path in [
        "",
        "/",
        ".",
        "lo",
        "/lo",
        "/devices",
        "/devices/network",
        "/devices/network/",
        "/devices/network/eth0",
        "/devices/network/nosuch0",
        "/devices/network/lo/",
        "/devices/network/lo/lo",
        "/devices/network//lo",
        "/devices/network/./lo",
        "/devices/network/../network/lo",
        "/devices/network/lo/../lo",
        "/devices/network/lo\0",
        "/devices/network/LO",
        "//devices/network/lo",
        "/../devices/network/lo",
        "devices/network/lo",
        "/etc/passwd",
        &long,
    ] {
        for access in [Access::READ, Access::READ_WRITE] {
            assert_eq!(DeviceFile::open(path, access).unwrap_err(), Error::NotFound, "{path:.60}");
        }
    }
    for name in ["eth0", "nosuch0", "", "../network/lo", "LO"] {
        assert_eq!(Interface::open(name).unwrap_err(), Error::NotFound, "{name:?}");
    }
    for access in [Access::default(), Access { non_blocking: true, ..Access::default() }] {
        let opened = DeviceFile::open("/devices/network/lo", access);
        assert_eq!(opened.unwrap_err(), Error::InvalidArgument, "{access:?}");
    }
}
