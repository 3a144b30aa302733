#!/usr/bin/env bash
# Builds tests/programs/python/*.py as NAME.wasm in a folder, which is created if it does not exist:
#     python-programs.sh ENVIRONMENT FOLDER
# ENVIRONMENT is what python-packages.sh prints. The world of a program is in NAME.wit, or else in program.wit. A program
# contains CPython with its modules, which takes a while to build: it is built only if one of its inputs has changed.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

environment=$1 folder=$2
sources=tests/programs/python
mkdir -p "$folder"

# CPython writes its caches beside the sources, so it gets copies of them.
copies=$folder/python
rm -rf "$copies"
mkdir "$copies"
cp "$sources"/*.py "$copies"

# The inputs of a program: all sources, because programs may import each other's modules, and this script.
made_of=$(cat "$sources"/*.py "$sources"/*.wit "$sources/requirements.txt" scripts/python-programs.sh)

for source in "$sources"/*.py; do
    name=$(basename "$source" .py)
    if [ -e "$folder/$name.wasm" ] && [ "$(cat "$folder/$name.made-of" 2>/dev/null)" = "$made_of" ]; then
        continue
    fi
    world=$sources/$name.wit
    [ -e "$world" ] || world=$sources/program.wit
    say "building $name"
    rm -f "$folder/$name.made-of"
    "$environment/bin/componentize-py" --quiet --wit-path "$world" --world program \
        componentize --python-path "$copies" --output "$folder/$name.wasm" "$name" >&2
    printf '%s\n' "$made_of" >"$folder/$name.made-of"
done
