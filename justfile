# The one entry point: CI calls nothing else. Each recipe does its own set-up, on a machine with no more than rustup.

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments := true

export CARGO_TARGET_DIR := absolute_path(env("CARGO_TARGET_DIR", "target"))

# Where the tests, the demo and the benchmarks find the guest programs and the command line.
export XILA_GUESTS := CARGO_TARGET_DIR / "guests"
export XILA_NET := CARGO_TARGET_DIR / "debug/xila-net"

# What there is to run.
default:
    @just --list --unsorted

# Apps on two simulated stacks, then, with privileges, apps and a real peer over a TAP device.
demo: setup apps command-line
    scripts/demo.sh

# Every test; arguments go to `cargo test`.
test *arguments: setup guests command-line
    scripts/minimal.sh
    cargo test --workspace --exclude xila-network-programs "$@"

# Formatting, clippy and documentation with warnings as errors, the direction of imports, and the engine without std.
lint:
    scripts/layers.py
    scripts/no-std.sh
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

# The documentation, in the target directory's doc/.
doc:
    cargo doc --workspace --no-deps --all-features

# The benchmarks; arguments go to `cargo bench`.
bench *arguments: apps
    cargo build --release --package xila-network-host --package xila-network-bench-peer --bins
    XILA_NET="$CARGO_TARGET_DIR/release/xila-net" XILA_BENCH_PEER="$CARGO_TARGET_DIR/release/wasmtime-wasi-run" \
        cargo bench --package xila-network-benches "$@"

# Formats the sources.
fmt:
    cargo fmt --all

# Every example app and test program as NAME.wasm in the target directory's guests/.
guests:
    @scripts/guests.sh

# Those of them that are in Rust.
[private]
apps:
    @scripts/guests.sh rust

[private]
setup:
    @scripts/wasm-toolchain.sh >/dev/null
    @scripts/peers.sh

# Features of dependencies depend on what else is built. With the workspace and one example beside it, they are those of the
# tests' build, and wasmtime is compiled once, not twice.
[private]
command-line:
    cargo build --workspace --exclude xila-network-programs --bin xila-net --example embed
