#!/usr/bin/env bash
# Installs the programs that tests and the demo use as peers or to inspect traffic, if they are missing. If that is not
# possible, the tests that need them are skipped, except in CI, where nobody would notice a skipped test.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

# Each command, with the Debian package that contains it.
peers=(ip:iproute2 ping:iputils-ping curl:curl python3:python3 tshark:tshark dnsmasq:dnsmasq-base radvd:radvd
    ab:apache2-utils)

# Sets `missing` to the commands that are not installed, and `packages` to the packages that contain them.
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
    # The package lists may be missing or outdated.
    apt_install "${packages[@]}" || { apt update && apt_install "${packages[@]}"; } || say "apt could not"
    hash -r
    look
    [ ${#missing[@]} -gt 0 ] || exit 0
fi

if in_ci; then fail "missing in CI, where no test may be skipped: ${missing[*]}"; fi
say "SKIPPING the tests and parts of the demo that need: ${missing[*]}  (Debian packages: ${packages[*]})"
