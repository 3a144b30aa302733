#!/usr/bin/env bash
# `cargo build --release` for WebAssembly components with whichever toolchain wasm-toolchain.sh found:
#     wasm-cargo.sh rustup|debian [arguments of cargo build]
set -euo pipefail
source "$(dirname "$0")/lib.sh"

toolchain=$1
shift
cd "$root"

# A target directory of its own: this may be another compiler, and cargo locks a target directory while it builds.
CARGO_TARGET_DIR=$(target_dir)/wasm
export CARGO_TARGET_DIR

# The host's release profile keeps line tables; in a guest, whose functions' names are enough, they are most of its size.
export CARGO_PROFILE_RELEASE_DEBUG=none CARGO_PROFILE_RELEASE_STRIP=debuginfo
# Nor is a guest linked as one: it gains nothing by it, takes several times as long, and wit-component fails to merge the
# descriptions of worlds that two crates of one guest carry.
export CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

# --locked: Debian's cargo is another version, and only the pinned one may write Cargo.lock.
build=(build --release --locked --target wasm32-wasip2)

if [ "$toolchain" = rustup ]; then
    exec cargo "${build[@]}" "$@"
fi

# Debian has no standard library for this target, so it is built from source, which needs the nightly switches.
# The component linker is not in Debian.
linkers=$(component_linkers)
libc=$debian_libc

# These would go before the target's own flags and leave the linker without its libraries.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
export CARGO_TARGET_WASM32_WASIP2_LINKER=$linkers/wasm-component-ld
export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="-Clink-self-contained=no -L$libc -Clink-arg=$libc/crt1-command.o -Clink-arg=--wasm-ld-path=$linkers/gcc-ld/wasm-ld"
# cargo finds rustc by PATH or by RUSTC, and both may name rustup's.
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 PATH=/usr/bin:$PATH
exec /usr/bin/cargo "${build[@]}" -Zbuild-std=std,panic_abort "$@"
