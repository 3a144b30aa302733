#!/usr/bin/env bash
# Makes sure that there is a Python environment in the target directory, with the packages that a requirements file
# pins, and prints its folder. It is quick when nothing is missing:
#     python-packages.sh NAME REQUIREMENTS
set -euo pipefail
source "$(dirname "$0")/lib.sh"

name=$1 requirements=$2
environment=$(target_dir)/python/$name

# The copy of the requirements is written last, so that an interrupted installation is repeated. It is also repeated if
# the environment's Python no longer works.
if cmp -s "$requirements" "$environment/requirements.txt" && "$environment/bin/python" -m pip show --quiet "$name" >&2; then
    echo "$environment"
    exit
fi

create() { rm -rf "$environment" && has python3 && python3 -m venv "$environment" >&2; }

if ! create; then
    can_apt || fail "no Python with venv and pip (Debian package: python3-venv)"
    say "installing python3-venv"
    # The package lists may be missing or outdated.
    apt_install python3-venv || { apt update && apt_install python3-venv; } || fail "apt could not"
    hash -r
    create || fail "python3 -m venv does not work"
fi
say "installing what $requirements names"
"$environment/bin/pip" install --quiet --disable-pip-version-check --retries 1 --require-hashes --requirement "$requirements" >&2 ||
    fail "pip could not install what $requirements names"
cp "$requirements" "$environment/requirements.txt"
echo "$environment"
