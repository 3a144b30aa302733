#!/usr/bin/env bash
# Checks the licences, duplicates and sources of all dependencies by deny.toml, and known advisories if their database
# is here. Installs cargo-deny in the target directory if it is missing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

version=0.20.2

tools=$(target_dir)/tools
PATH=$tools/bin:$PATH
if ! has cargo-deny; then
    say "installing cargo-deny $version in $tools"
    # Without optimisations, because to compile it takes much longer than to run it. It is not built in the target
    # directory, where it would share nothing with the project and stay behind.
    env -u CARGO_TARGET_DIR cargo install cargo-deny --version "$version" --locked --debug --root "$tools"
fi

# The database is not fetched here: it is at GitHub, which CI cannot reach, and a lint must not fail because of the day.
has_advisories=false
if compgen -G "${CARGO_HOME:-${HOME:-}/.cargo}/advisory-dbs/advisory-db-*/" >/dev/null; then has_advisories=true; fi
$has_advisories || say "SKIPPING advisories: there is no database of them. Fetch it by: cargo deny fetch db"

# The fuzzers' workspaces have a runtime of their own, and lack many of the project's dependencies.
for manifest in Cargo.toml engine/fuzz/Cargo.toml host/fuzz/Cargo.toml; do
    deny=(cargo-deny --manifest-path "$manifest" --config deny.toml --locked)
    # What deny.toml allows has to be there: in this workspace, or for exceptions in those of the fuzzers.
    unused=(--allow license-exception-not-encountered)
    if [ "$manifest" != Cargo.toml ]; then
        unused+=(--allow license-not-encountered --allow unmatched-skip --allow unnecessary-skip)
    fi
    say "$manifest"
    "${deny[@]}" check --hide-inclusion-graph --deny warnings "${unused[@]}" bans licenses sources
    if $has_advisories; then "${deny[@]}" --offline check --hide-inclusion-graph --deny warnings advisories; fi
done
