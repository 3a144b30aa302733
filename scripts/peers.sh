#!/usr/bin/env bash
# Makes sure of the programs that tests and the demo talk to or look with. Without them, what needs them is skipped,
# except in CI, where a skipped test would go unseen.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

# Each command with the Debian package that brings it.
peers=(ip:iproute2 ping:iputils-ping curl:curl python3:python3 tshark:tshark dnsmasq:dnsmasq-base radvd:radvd)

# Sets `missing` to the commands that are not here, `packages` to what would bring them.
look() {
    missing=() packages=()
    local peer
    for peer in "${peers[@]}"; do
        if ! has "${peer%%:*}"; then
            missing+=("${peer%%:*}")
            packages+=("${peer#*:}")
        fi
    done
}

look
[ ${#missing[@]} -gt 0 ] || exit 0

if can_apt; then
    say "installing ${packages[*]}"
    # Package lists may be absent or old.
    apt_install "${packages[@]}" || { apt update && apt_install "${packages[@]}"; } || say "apt could not"
    hash -r
    look
    [ ${#missing[@]} -gt 0 ] || exit 0
fi

if in_ci; then fail "missing in CI, where no test may be skipped: ${missing[*]}"; fi
say "SKIPPING the tests and parts of the demo that need: ${missing[*]}  (Debian packages: ${packages[*]})"
