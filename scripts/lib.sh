# What the other scripts share. Sourced, never run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# `ip` lives in a folder that an ordinary user's PATH may lack.
PATH=$PATH:/usr/sbin:/sbin

# Messages go to standard error, so that a script's standard output can be its result.
say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }
fail() { say "$@"; exit 1; }

has() { command -v "$1" >/dev/null 2>&1; }

in_ci() { [ "${CI:-}" = true ]; }

# Whether packages can be installed here without asking anybody anything.
can_apt() { has apt-get && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# apt without questions. A package manager that is busy elsewhere is waited for.
apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2; }

# --no-remove: nothing that the machine's owner installed is worth less than our tests.
apt_install() { apt install -y --no-install-recommends --no-remove "$@"; }

# Where cargo writes, as an absolute path.
target_dir() {
    local target=${CARGO_TARGET_DIR:-target}
    case $target in
    /*) printf '%s\n' "$target" ;;
    *) printf '%s\n' "$root/$target" ;;
    esac
}

# Where the linkers for WebAssembly components are: every rustup toolchain ships them.
component_linkers() {
    local host linkers
    host=$(rustc -vV | sed -n 's/^host: //p')
    linkers=$(rustc --print sysroot)/lib/rustlib/$host/bin
    [ -x "$linkers/wasm-component-ld" ] || fail "no wasm-component-ld in $linkers: rustup's toolchain should bring it"
    printf '%s\n' "$linkers"
}

# Where Debian's package wasi-libc puts the library for WASI 0.2.
# shellcheck disable=SC2034 # used where this is sourced
debian_libc=/usr/lib/wasm32-wasip2
