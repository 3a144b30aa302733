#!/usr/bin/env bash
# The engine builds without the standard library, for a machine that has none as well.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

# Without an operating system, and with 32 bits: what is there of std by accident does not compile here.
bare=thumbv7em-none-eabi

check=(cargo check --package xila-network-engine --no-default-features)
"${check[@]}"

is_installed() { [ -d "$(rustc --print target-libdir --target "$bare")" ]; }

if ! is_installed && has rustup; then
    rustup --quiet target add "$bare" >&2 || true
fi
if is_installed; then
    "${check[@]}" --target "$bare"
else
    # A toolchain that was not brought by rustup's own server has no such target, in CI neither; the check above has been made.
    say "SKIPPING $bare, which rustup could not install"
fi
