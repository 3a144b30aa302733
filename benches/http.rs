//! Requests by `wasi:http`: of components that send them, and of components that answer them, by `xila-net` through its
//! gateway and over a TAP device, and by wasmtime-wasi-http on the kernel's sockets. The peers are native, in a network
//! namespace of their own.
//!
//! It needs root, `/dev/net/tun` and iproute2, and finds the programs by the same variables as `guests` (`XILA_NET`,
//! `XILA_BENCH_PEER`, `XILA_GUESTS`): `just bench` builds the programs and sets the variables.

use xila_network_benches::apps::Result;

#[cfg(target_os = "linux")]
#[path = "http/table.rs"]
mod table;

#[cfg(target_os = "linux")]
fn main() -> Result<()> {
    table::print()
}

#[cfg(not(target_os = "linux"))]
fn main() -> Result<()> {
    println!("http: skipped: it takes Linux");
    Ok(())
}
