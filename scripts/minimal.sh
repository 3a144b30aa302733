#!/usr/bin/env bash
# Checks that the host crate without its default features builds, and depends on neither tokio nor wasmtime.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

options=(--package xila-network-host --no-default-features)
tree=$(cargo tree "${options[@]}" --edges normal --prefix none --format '{p}')
if found=$(grep -E '^(tokio|wasmtime)(-[a-z-]+)? ' <<<"$tree"); then
    fail "the host crate without default features still depends on: $found"
fi
cargo check "${options[@]}"
