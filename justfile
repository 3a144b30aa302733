# The one entry point: CI calls nothing else. Each recipe does its own set-up, on a machine with no more than rustup.

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments := true

export CARGO_TARGET_DIR := absolute_path(env("CARGO_TARGET_DIR", "target"))

# The tests, the demo and the benchmarks find the guest programs and the command line by these.
export XILA_GUESTS := CARGO_TARGET_DIR / "guests"
export XILA_NET := CARGO_TARGET_DIR / "debug/xila-net"

# Lists the recipes.
default:
    @just --list --unsorted

# Runs apps on two simulated stacks and then, with privileges, apps and a real peer over a TAP device.
demo: setup (apps "demo") command-line
    scripts/demo.sh

# Runs every test; arguments go to `cargo test`.
test *arguments: setup guests command-line
    scripts/minimal.sh
    cargo test --workspace --exclude xila-network-programs "$@"

# Checks formatting, clippy, documentation, imports, the tests of promises, dependencies, and the engine without std.
lint:
    scripts/layers.py
    scripts/promises.py
    scripts/deny.sh
    scripts/no-std.sh
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --exclude xila-network-programs --no-deps --all-features
    RUSTDOCFLAGS="-D warnings" cargo doc --package xila-network-programs --lib --no-deps --all-features

# Builds the documentation, in the target directory's doc/.
doc:
    cargo doc --workspace --exclude xila-network-programs --no-deps --all-features

# Runs the benchmarks; arguments go to `cargo bench`.
bench *arguments: apps
    cargo build --release --package xila-network-host --package xila-network-bench-peer --bins
    XILA_NET="$CARGO_TARGET_DIR/release/xila-net" XILA_BENCH_PEER="$CARGO_TARGET_DIR/release/wasmtime-wasi-run" \
        cargo bench --package xila-network-benches "$@"

# Formats the sources.
fmt:
    cargo fmt --all

# Builds every example app and test program as NAME.wasm in the target directory's guests/.
guests:
    @scripts/guests.sh

# Builds only the guests that are in Rust, or those that the demo needs.
[private]
apps languages="rust":
    @scripts/guests.sh "$1"

[private]
setup:
    @scripts/wasm-toolchain.sh >/dev/null
    @scripts/peers.sh

# Builds the command line. The features of dependencies depend on what is built together: with the workspace and one
# example, they are those of the tests' build, so wasmtime is compiled once, not twice.
[private]
command-line:
    cargo build --workspace --exclude xila-network-programs --bin xila-net --example embed
