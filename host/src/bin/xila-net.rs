//! The command `xila-net`, which runs WebAssembly apps on a network of their own. See `xila-net run --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    xila_network_host::cli::main()
}
