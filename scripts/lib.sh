# Functions that the other scripts share. This file is sourced, never run. shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# `ip` is in a folder that may be missing in an ordinary user's PATH.
PATH=$PATH:/usr/sbin:/sbin

# Messages go to standard error, so that a script's standard output can be its result.
say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }
fail() { say "$@"; exit 1; }

has() { command -v "$1" >/dev/null 2>&1; }

in_ci() { [ "${CI:-}" = true ]; }

# Whether packages can be installed here without asking for a password.
can_apt() { has apt-get && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# Runs apt without questions. If another package manager is running, waits for it.
apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2; }

# --no-remove: the tests must not remove any package that the machine's owner has installed.
apt_install() { apt install -y --no-install-recommends --no-remove "$@"; }

# The absolute path of cargo's target directory.
target_dir() {
    local target=${CARGO_TARGET_DIR:-target}
    case $target in
    /*) printf '%s\n' "$target" ;;
    *) printf '%s\n' "$root/$target" ;;
    esac
}

# The folder of the linkers for WebAssembly components, which every rustup toolchain contains.
component_linkers() {
    local host linkers
    host=$(rustc -vV | sed -n 's/^host: //p')
    linkers=$(rustc --print sysroot)/lib/rustlib/$host/bin
    [ -x "$linkers/wasm-component-ld" ] || fail "no wasm-component-ld in $linkers: rustup's toolchain should bring it"
    printf '%s\n' "$linkers"
}

# The folder of the library for WASI 0.2 in Debian's package wasi-libc. shellcheck disable=SC2034 # used where this is
# sourced
debian_libc=/usr/lib/wasm32-wasip2
