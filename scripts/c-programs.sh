#!/usr/bin/env bash
# Builds tests/programs/c/*.c as NAME.wasm in a folder, which is created if it does not exist:
#     c-programs.sh ENVIRONMENT rustup|debian FOLDER
# ENVIRONMENT is what python-packages.sh prints.
#
# The compiler is zig's clang, with zig's headers of wasi-libc. zig has this library only for WASI 0.1, which has no
# sockets. So the programs are linked with the same library and the same linker as Rust programs; a macro enables the
# sockets of WASI 0.2 in the headers.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

environment=$1 toolchain=$2 folder=$3
sources=tests/programs/c
mkdir -p "$folder"

linkers=$(component_linkers)
if [ "$toolchain" = rustup ]; then
    rust=$(rustc --print target-libdir --target wasm32-wasip2)
    libc=$rust/self-contained
    # Rust's runtime library has the functions that clang expects in its own.
    runtime=("$rust"/libcompiler_builtins-*.rlib)
else
    libc=$debian_libc
    runtime=()
fi

# zig's caches belong in the target directory, not in the user's home.
ZIG_GLOBAL_CACHE_DIR=$(target_dir)/zig-cache
export ZIG_GLOBAL_CACHE_DIR ZIG_LOCAL_CACHE_DIR=$ZIG_GLOBAL_CACHE_DIR

for source in "$sources"/*.c; do
    name=$(basename "$source" .c)
    "$environment/bin/python" -m ziglang cc -target wasm32-wasi -D__wasilibc_use_wasip2 \
        -std=c11 -Wall -Wextra -Werror -O2 -c "$source" -o "$folder/$name.o" >&2
    "$linkers/wasm-component-ld" --wasm-ld-path "$linkers/gcc-ld/wasm-ld" "$libc/crt1-command.o" "$folder/$name.o" \
        -L "$libc" -lc ${runtime[@]+"${runtime[@]}"} -o "$folder/$name.wasm" >&2
done
