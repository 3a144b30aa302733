#!/usr/bin/env bash
# Builds tests/programs/python/*.py as NAME.wasm in a folder, which is made if need be:
#     python-programs.sh ENVIRONMENT FOLDER
# ENVIRONMENT is what python-packages.sh prints. A program is CPython with its modules, which takes a while: it is built
# only if something that it is made of has changed.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

environment=$1 folder=$2
sources=tests/programs/python
mkdir -p "$folder"

# CPython leaves its caches beside the sources: let it have copies.
copies=$folder/python
rm -rf "$copies"
mkdir "$copies"
cp "$sources"/*.py "$copies"

# Programs may import each other's modules, so each is made of all of them. This script is how.
made_of=$(cat "$sources"/*.py "$sources"/*.wit "$sources/requirements.txt" scripts/python-programs.sh)

for source in "$sources"/*.py; do
    name=$(basename "$source" .py)
    if [ -e "$folder/$name.wasm" ] && [ "$(cat "$folder/$name.made-of" 2>/dev/null)" = "$made_of" ]; then
        continue
    fi
    say "building $name"
    rm -f "$folder/$name.made-of"
    "$environment/bin/componentize-py" --quiet --wit-path "$sources/program.wit" --world program \
        componentize --python-path "$copies" --output "$folder/$name.wasm" "$name" >&2
    printf '%s\n' "$made_of" >"$folder/$name.made-of"
done
