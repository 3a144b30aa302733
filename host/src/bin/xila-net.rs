//! Runs WebAssembly apps on a network of their own; `xila-net run --help` says how.

use std::process::ExitCode;

fn main() -> ExitCode {
    xila_network_host::cli::main()
}
