//! An unmodified `std::net` program that talks to the kernel: on our stack over a TAP device, and for comparison the
//! same program on wasmtime-wasi's own sockets, and natively, over a veth pair. The other end is the same program,
//! native, in a network namespace of its own.
//!
//! It needs root, `/dev/net/tun` and iproute2, and finds the programs by the same variables as `guests` (`XILA_NET`,
//! `XILA_BENCH_PEER`, `XILA_GUESTS`): `just bench` builds the programs and sets the variables.

use xila_network_benches::apps::Result;

#[cfg(target_os = "linux")]
#[path = "tap/table.rs"]
mod table;

#[cfg(target_os = "linux")]
fn main() -> Result<()> {
    table::print()
}

#[cfg(not(target_os = "linux"))]
fn main() -> Result<()> {
    println!("tap: skipped: it takes Linux");
    Ok(())
}
