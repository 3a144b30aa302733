#!/usr/bin/env bash
# Runs `cargo build --release` for WebAssembly components with the toolchain that wasm-toolchain.sh found:
#     wasm-cargo.sh rustup|debian [arguments of cargo build]
set -euo pipefail
source "$(dirname "$0")/lib.sh"

toolchain=$1
shift
cd "$root"

# A separate target directory: this may be another compiler, and cargo locks a target directory while it builds.
CARGO_TARGET_DIR=$(target_dir)/wasm
export CARGO_TARGET_DIR

# The host's release profile keeps line tables. In a guest they would be most of its size, and the names of functions
# are enough.
export CARGO_PROFILE_RELEASE_DEBUG=none CARGO_PROFILE_RELEASE_STRIP=debuginfo
# A guest is built without link-time optimisation: it gains nothing by it, it would take several times as long, and
# wit-component fails to merge the descriptions of worlds in two crates of one guest.
export CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

# --locked: Debian's cargo is another version, and only the pinned version may write Cargo.lock.
build=(build --release --locked --target wasm32-wasip2)

if [ "$toolchain" = rustup ]; then
    exec cargo "${build[@]}" "$@"
fi

# Debian has no standard library for this target, so it is built from source, which needs the nightly switches.
# The component linker is not in Debian.
linkers=$(component_linkers)
libc=$debian_libc

# These variables would override the target's flags below, and the linker would not find its libraries.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
export CARGO_TARGET_WASM32_WASIP2_LINKER=$linkers/wasm-component-ld
export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="-Clink-self-contained=no -L$libc -Clink-arg=$libc/crt1-command.o -Clink-arg=--wasm-ld-path=$linkers/gcc-ld/wasm-ld"
# cargo finds rustc by PATH or by RUSTC, and both may refer to rustup's.
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 PATH=/usr/bin:$PATH
exec /usr/bin/cargo "${build[@]}" -Zbuild-std=std,panic_abort "$@"
