#!/usr/bin/env bash
# Makes sure that there is a folder in the target directory with the npm packages that build the JavaScript programs, as
# a lock file pins them, and prints its path. It is quick when nothing is missing:
#     javascript-packages.sh FOLDER
# FOLDER contains package.json and package-lock.json.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

pinned=$1
environment=$(target_dir)/javascript

# The copy of the lock file is written last, so that an interrupted installation is repeated.
if has node && cmp -s "$pinned/package-lock.json" "$environment/installed.json"; then
    echo "$environment"
    exit
fi

if ! has node || ! has npm; then
    can_apt || fail "no node with npm (Debian packages: nodejs npm)"
    say "installing nodejs and npm"
    # The package lists may be missing or outdated.
    apt_install nodejs npm || { apt update && apt_install nodejs npm; } || fail "apt could not"
    hash -r
    has node && has npm || fail "apt has installed no node with npm"
fi
say "installing what $pinned/package-lock.json names"
rm -rf "$environment"
mkdir -p "$environment"
cp "$pinned/package.json" "$pinned/package-lock.json" "$environment"
# The packages need no scripts of their own, and none are run.
npm ci --prefix "$environment" --ignore-scripts --no-audit --no-fund --loglevel error >&2 ||
    fail "npm could not install what $pinned/package-lock.json names"
cp "$pinned/package-lock.json" "$environment/installed.json"
echo "$environment"
