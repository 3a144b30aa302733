#!/usr/bin/env bash
# Makes sure that this machine can build WebAssembly components, and prints with which toolchain: `rustup` (plain cargo)
# or `debian` (Debian's own Rust, see wasm-cargo.sh). It is quick when nothing is missing. XILA_WASM_TOOLCHAIN=rustup or
# =debian allows only that one.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root" # rustup picks the toolchain by folder

allowed=${XILA_WASM_TOOLCHAIN:-any}
case $allowed in any | rustup | debian) ;; *) fail "XILA_WASM_TOOLCHAIN is '$allowed': say rustup or debian" ;; esac
allows() { [ "$allowed" = any ] || [ "$allowed" = "$1" ]; }

backports_file=/etc/apt/sources.list.d/xila-network-backports.sources

rustup_is_ready() {
    local libraries
    libraries=$(rustc --print target-libdir --target wasm32-wasip2) && [ -d "$libraries" ]
}

is_bookworm() { (. /etc/os-release && [ "${ID:-}" = debian ] && [ "${VERSION_CODENAME:-}" = bookworm ]) 2>/dev/null; }

# The rustc-web of bookworm itself is too old: only its security suite has one that is new enough.
debian_is_ready() {
    local wanted have
    [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -e /usr/lib/wasm32-wasip2/crt1-command.o ] || return 1
    [ "$(dpkg-query -W -f '${db:Status-Status}' rust-web-src 2>/dev/null)" = installed ] || return 1
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    have=$(/usr/bin/rustc --version | cut -d ' ' -f 2)
    [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ]
}

# bookworm's own wasi-libc does not support components. Backports are taken from the mirror that this machine already
# uses.
add_backports() {
    local mirror key
    # shellcheck disable=SC2016 # apt's own placeholders
    read -r mirror key < <(
        apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI) $(SIGNED_BY)' 'Created-By: Packages' |
            awk '$1 == "bookworm" && $2 == "main" { print $3, $4; exit }'
    ) || fail "no apt source of this machine has bookworm's main component"
    case $key in /*) ;; *) key=/usr/share/keyrings/debian-archive-keyring.gpg ;; esac
    say "adding the bookworm-backports suite in $backports_file"
    printf '%s\n' 'Types: deb' "URIs: $mirror" 'Suites: bookworm-backports' 'Components: main' "Signed-By: $key" |
        as_root tee "$backports_file" >/dev/null
}

install_debian() {
    say "installing Debian's Rust for WebAssembly: rustc-web, cargo-web, rust-web-src, and wasi-libc from backports"
    apt update
    case $(apt-cache policy wasi-libc) in
    *bookworm-backports*) ;;
    *)
        add_backports
        apt update
        ;;
    esac
    apt_install rustc-web cargo-web rust-web-src wasi-libc/bookworm-backports
    debian_is_ready || fail "$(/usr/bin/rustc --version) is too old: add the bookworm-security suite to apt's sources"
}

if allows rustup && rustup_is_ready; then
    echo rustup
    exit
fi
# This is checked before rustup is asked to download, so that a download that always fails is not tried each time.
if allows debian && debian_is_ready; then
    echo debian
    exit
fi
if allows rustup && has rustup; then
    say "adding rustup's target wasm32-wasip2"
    if rustup target add wasm32-wasip2 >&2 && rustup_is_ready; then
        echo rustup
        exit
    fi
    say "rustup could not"
fi
if allows debian && is_bookworm && can_apt; then
    install_debian
    echo debian
    exit
fi
fail "cannot build for WebAssembly here. Run:  rustup target add wasm32-wasip2"
