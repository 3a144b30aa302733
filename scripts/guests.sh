#!/usr/bin/env bash
# Builds every example app, every test program and the programs of the benchmarks as NAME.wasm in the folder guests/
# under the target directory:
#     guests.sh [rust | demo]
# With `rust`, it builds only those in Rust, which are all that the benchmarks need; with `demo`, those in JavaScript too.
# The others need packages from Python's index, and those in JavaScript need packages from npm's.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

languages=${1:-all}
case $languages in all | rust | demo) ;; *) fail "'$languages': say rust, demo, or nothing" ;; esac

toolchain=$(scripts/wasm-toolchain.sh)
built=$(target_dir)/wasm/wasm32-wasip2/release
guests=$(target_dir)/guests

# Resolving with the pinned cargo updates Cargo.lock, if that is allowed: the build itself may not change it.
locked=()
if in_ci; then locked=(--locked); fi
cargo tree ${locked[@]+"${locked[@]}"} --package xila-network --depth 0 >/dev/null

# The programs that cargo builds from a folder: NAME.rs and NAME/main.rs.
programs_in() {
    local path
    for path in "$1"/*.rs "$1"/*/main.rs; do
        [ -e "$path" ] || continue
        path=${path%/main.rs}
        basename "$path" .rs
    done
}

wanted=()
# Copies a program only if it has changed, so that caches by modification time compile only changed programs.
publish() {
    local name=$2 file="$1/$2.wasm"
    [ -e "$file" ] || fail "cargo did not write $file"
    case " ${wanted[*]-} " in *" $name "*) fail "two programs are named $name" ;; esac
    wanted+=("$name")
    # The copy gets a temporary name first, so that a test that starts meanwhile sees the old or the new program, never
    # a part.
    if ! cmp -s "$file" "$guests/$name.wasm"; then
        cp "$file" "$guests/.$name.new"
        mv "$guests/.$name.new" "$guests/$name.wasm"
    fi
}

mkdir -p "$guests"

examples=$(programs_in guest/examples)
if [ -n "$examples" ]; then
    scripts/wasm-cargo.sh "$toolchain" --package xila-network --features futures-io,embedded-io-async --examples
    for name in $examples; do publish "$built/examples" "$name"; done
fi

for folder in tests/programs benches/floor; do
    programs=$(programs_in "$folder/src/bin")
    if [ -n "$programs" ]; then
        scripts/wasm-cargo.sh "$toolchain" --manifest-path "$folder/Cargo.toml" --bins
        for name in $programs; do publish "$built" "$name"; done
    fi
done

if [ "$languages" = rust ]; then
    say "${#wanted[@]} programs in $guests"
    exit
fi

# Programs in other languages are built with packages of Python's index and of npm's, which some machines cannot reach.
without() {
    if in_ci; then fail "nothing to build the programs in $1 with, and in CI no test may be skipped"; fi
    say "SKIPPING the programs in $1, because there is nothing to build them with"
}

others=$(target_dir)/wasm/others
if [ "$languages" = all ]; then
    if environment=$(scripts/python-packages.sh componentize-py tests/programs/python/requirements.txt); then
        scripts/python-programs.sh "$environment" "$others"
        for source in tests/programs/python/*.py; do publish "$others" "$(basename "$source" .py)"; done
    else
        without Python
    fi
fi
if environment=$(scripts/javascript-packages.sh tests/programs/javascript); then
    scripts/javascript-programs.sh "$environment" "$others"
    for source in tests/programs/javascript/*.js; do publish "$others" "$(basename "$source" .js)"; done
else
    without JavaScript
fi
if [ "$languages" = demo ]; then
    say "${#wanted[@]} programs in $guests"
    exit
fi
if environment=$(scripts/python-packages.sh ziglang tests/programs/c/requirements.txt); then
    scripts/c-programs.sh "$environment" "$toolchain" "$others"
    for source in tests/programs/c/*.c; do publish "$others" "$(basename "$source" .c)"; done
else
    without C
fi

for file in "$guests"/*.wasm; do
    [ -e "$file" ] || continue
    case " ${wanted[*]-} " in *" $(basename "$file" .wasm) "*) ;; *) rm "$file" ;; esac
done

say "${#wanted[@]} programs in $guests"
