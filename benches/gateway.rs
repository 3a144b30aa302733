//! An app that reaches the host's network without privileges: through our gateway, and for comparison through passt's
//! `pasta`, through slirp4netns, and directly. The app is a `std::net` program: for us a component, for the others the
//! same program built for this machine. The other end is a native one.
//!
//! It needs root, to make the host's network, and finds the programs by the same variables as `guests` (`XILA_NET`,
//! `XILA_BENCH_PEER`, `XILA_GUESTS`): `just bench` builds the programs and sets the variables. `pasta` and slirp4netns are
//! packages of most distributions (`passt`, `slirp4netns`).

use xila_network_benches::apps::Result;

#[cfg(target_os = "linux")]
#[path = "gateway/table.rs"]
mod table;

#[cfg(target_os = "linux")]
fn main() -> Result<()> {
    table::print()
}

#[cfg(not(target_os = "linux"))]
fn main() -> Result<()> {
    println!("gateway: skipped: it takes Linux");
    Ok(())
}
