#!/usr/bin/env bash
# Checks that the engine builds without the standard library, also for a target that has none.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

# A target with 32 bits and without an operating system: an accidental use of std does not compile here.
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
    # A toolchain that does not come from rustup's own server does not have this target, not even in CI; the first check
    # has been made.
    say "SKIPPING $bare, which rustup could not install"
fi
