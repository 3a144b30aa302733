#!/usr/bin/env bash
# Builds tests/programs/javascript/*.js as NAME.wasm in a folder, which is created if it does not exist:
#     javascript-programs.sh ENVIRONMENT FOLDER
# ENVIRONMENT is what javascript-packages.sh prints. A program contains the engine StarlingMonkey and is initialised
# while it is built, which takes a while: it is built only if one of its inputs has changed.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

environment=$1 folder=$2
sources=tests/programs/javascript
mkdir -p "$folder"

# The inputs of a program: all sources, because programs may import each other's modules, and this script.
made_of=$(cat "$sources"/*.js "$sources"/*.wit "$sources/package-lock.json" scripts/javascript-programs.sh)

for source in "$sources"/*.js; do
    name=$(basename "$source" .js)
    if [ -e "$folder/$name.wasm" ] && [ "$(cat "$folder/$name.made-of" 2>/dev/null)" = "$made_of" ]; then
        continue
    fi
    say "building $name"
    rm -f "$folder/$name.made-of"
    # Without `fetch-event` a program needs not export a handler of requests.
    "$environment/node_modules/.bin/componentize-js" --wit "$sources/program.wit" --world-name program \
        --disable fetch-event --out "$folder/$name.wasm" "$source" >&2
    printf '%s\n' "$made_of" >"$folder/$name.made-of"
done
