#!/usr/bin/env python3
"""Checks that imports inside the host crate and inside the engine go in one direction (ARCHITECTURE.md has the layer
maps), and that the two import no more of smoltcp than they may.

A module may import from the layers below its own. Modules of one layer may import each other only in one direction.
Test code is not checked, because nothing depends on it.

    layers.py [ROOT]        prints file:line of each forbidden import and fails if there is one
"""

import re
import sys
from pathlib import Path

# The layers of each crate, the lowest first. `a::b` is the submodule b of module a; `a` alone is what a's own file
# declares.
HOST = [
    ["error", "address", "platform"],
    ["waiters"],
    ["device", "policy"],
    ["stack"],
    ["socket", "runner"],
    ["interface"],
    ["control"],
    ["manager"],
    ["services"],
    ["gateway"],
    ["publish"],
    ["wasm"],
    ["cli"],
]
ENGINE = [
    ["time", "random", "pages", "buffer", "wire"],
    ["slots", "ports", "timers", "frame", "ip"],
    ["link", "shares"],
    ["configure"],
    ["interface", "icmp"],
    # These types are declared in the file of `tcp`, but depend only on low layers, and lower submodules use them.
    ["tcp::ConnectionId", "tcp::ListenerId"],
    ["tcp::sequence", "tcp::tuple", "tcp::limiter", "tcp::error"],
    ["udp"],
    ["event"],
    ["tcp::segment", "tcp::congestion", "tcp::rtt", "tcp::scoreboard", "tcp::time_wait", "tcp::flows", "tcp::destinations"],
    ["tcp::options", "tcp::clock", "tcp::receive", "tcp::recovery"],
    ["tcp::state", "tcp::handshake", "tcp::send", "tcp::listener"],
    ["tcp::cookies", "tcp::half_open", "tcp::connection"],
    ["tcp::config"],
    ["tcp"],
    ["engine"],
]
# Submodules that count as part of their module: each holds methods of the type that the module's own file declares.
PARTS = {"tcp::operations": "tcp", "tcp::ingress": "tcp", "tcp::egress": "tcp"}


def allowed_in_engine(path, _file):
    """Allows smoltcp's header fields and checksums, and no more."""
    return path[:2] == ["smoltcp", "wire"]


def allowed_in_host(path, file):
    """As in the engine; the adapter for drivers may also import smoltcp's device trait and time."""
    is_adapter = file.as_posix() == "device/polled.rs"
    return path[:2] == ["smoltcp", "wire"] or (is_adapter and path[:2] in (["smoltcp", "phy"], ["smoltcp", "time"]))


CRATES = [
    ("host/src", HOST, allowed_in_host, "anything but smoltcp::wire, and phy for drivers"),
    ("engine/src", ENGINE, allowed_in_engine, "anything but smoltcp::wire"),
]

# Comments and literals, which may contain anything, including braces and `crate::`. The alternatives are in order of
# precedence; a lifetime such as 'a matches none of them. Nested block comments are not supported.
NOISE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|\bb?r(?P<hashes>\#*)".*?"(?P=hashes)|b?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'""",
    re.DOTALL,
)
TOKEN = re.compile(r"\w+|::|\S")


def tokens(text):
    """The tokens of a Rust source as (text, line)."""
    text = NOISE.sub(lambda noise: '""' + "\n" * noise.group().count("\n"), text)
    line, position, found = 1, 0, []
    for match in TOKEN.finditer(text):
        line += text.count("\n", position, match.start())
        position = match.start()
        found.append((match.group(), line))
    return found


def use_tree(found, at, prefix):
    """The paths of the use tree that starts at `at`, and the position of its end: `a::{b, c}` gives [a, b] and [a, c].
    New names after `as` are left out."""
    path, paths = list(prefix), []
    while at < len(found) and found[at][0] not in (",", "}", ";"):
        token, line = found[at]
        if token == "{":
            at += 1
            while at < len(found) and found[at][0] != "}":
                inner, at = use_tree(found, at, path)
                paths += inner
                at += at < len(found) and found[at][0] == ","
            return paths, at + 1
        if token == "as":
            at += 2
            continue
        if token != "::":
            path.append((token, line))
        at += 1
    return ([path] if len(path) > len(prefix) else []), at


def paths_of(text):
    """Every path of a source that names the crate or smoltcp: (words, line, enclosing inline modules)."""
    found = tokens(text)
    scopes, opened, at = [], 0, 0  # scopes: (module name, brace depth)
    while at < len(found):
        token, line = found[at]
        following = found[at + 1][0] if at + 1 < len(found) else ""
        if token == "mod" and at + 2 < len(found) and found[at + 2][0] == "{":
            opened += 1
            scopes.append((following, opened))
            at += 3
            continue
        if token == "{":
            opened += 1
        elif token == "}":
            if scopes and scopes[-1][1] == opened:
                scopes.pop()
            opened -= 1
        inside = [name for name, _ in scopes]
        if token == "use" and (following in ("crate", "super", "self", "{", "::") or following.isidentifier()):
            paths, at = use_tree(found, at + 1, [])
            for path in paths:
                yield [word for word, _ in path], path[-1][1], inside
            continue
        if token == "pub" and following == "(":  # a visibility is not an import
            while at < len(found) and found[at][0] != ")":
                at += 1
            continue
        if token in ("crate", "super", "self", "smoltcp") and following == "::":
            words = [token]
            while at + 2 < len(found) and found[at + 1][0] == "::" and re.match(r"\w|[*]", found[at + 2][0]):
                words.append(found[at + 2][0])
                at += 2
            yield words, line, inside
        at += 1


def from_root(words, home):
    """The words of a path from the crate's root, or None if the path does not begin with crate, super or self."""
    if words[0] == "crate":
        return words[1:]
    if words[0] not in ("super", "self"):
        return None
    home = list(home)
    while words and words[0] in ("super", "self"):
        if words[0] == "super" and home:
            home.pop()
        words = words[1:]
    return home + words


def reexports(text):
    """The names that a module's file imports by `use`: name -> module, either a submodule or a module of the crate."""
    found, names, at = tokens(text), {}, 0
    while at < len(found):
        if found[at][0] != "use":
            at += 1
            continue
        paths, at = use_tree(found, at + 1, [])
        for path in paths:
            words = [word for word, _ in path if word not in ("crate", "self")]
            if words:
                names[words[-1]] = words[0]
    return names


def is_test(module):
    return any(name == "tests" or name.endswith("_tests") for name in module)


class Map:
    """Which layer each module of a crate is in."""

    def __init__(self, source, layers):
        self.rank = {module: rank for rank, layer in enumerate(layers) for module in layer}
        self.exported = reexports((source / "lib.rs").read_text())
        # The imports of the modules whose submodules have their own layers.
        divided = {module.split("::")[0] for module in self.rank if "::" in module}
        self.inside = {module: reexports((source / f"{module}.rs").read_text()) for module in divided}

    def module(self, path):
        """The module with a layer to which a path from the crate's root leads, or None."""
        module = path[0] if path[0] in self.rank or path[0] in self.inside else self.exported.get(path[0])
        if module in self.inside and len(path) > 1:
            origin = self.inside[module].get(path[1])
            for room in (f"{module}::{path[1]}", f"{module}::{origin}"):
                room = PARTS.get(room, room)
                if room in self.rank:
                    return room
            if origin in self.rank:
                return origin
        return module if module in self.rank else None

    def home(self, path):
        """The module that a file belongs to, or None if it has no layer."""
        if path[0] in self.inside and len(path) > 1:
            room = "::".join(path[:2])
            room = PARTS.get(room, room)
            return room if room in self.rank else None
        return path[0] if path[0] in self.rank else None


def check(source, layers, allowed, what):
    """The forbidden imports of a crate, as (file, line, problem), and the number of checked files."""
    layered = Map(source, layers)
    rank = layered.rank
    wrong, sideways = [], {}
    files = [file for file in sorted(source.rglob("*.rs")) if file.name not in ("lib.rs", "main.rs")]
    for file in files:
        home = file.relative_to(source).with_suffix("").parts
        if home[0] == "bin" or is_test(home):
            continue
        home = home[:-1] if home[-1] == "mod" else home
        module = layered.home(home)
        if module is None:
            name = "::".join(home[:2])
            wrong.append((file, 1, f"module `{name}` has no layer: give it one in {Path(__file__).name}"))
            continue
        for words, line, inside in paths_of(file.read_text()):
            if is_test(inside):
                continue
            if words[0] == "smoltcp" and not allowed(words, file.relative_to(source)):
                wrong.append((file, line, f"`{'::'.join(words)}`: this crate may not import {what}"))
            path = from_root(words, [*home, *inside])
            if not path:
                continue
            target = layered.module(path)
            if target == module:
                continue
            if target is None:
                wrong.append((file, line, f"`{'::'.join(words)}`: cannot tell its layer, import it from its module"))
            elif rank[target] > rank[module]:
                wrong.append((file, line, f"`{module}` may not import `{target}`, a layer above it"))
            elif rank[target] == rank[module]:
                sideways.setdefault((module, target), (file, line))
    for (module, target), (file, line) in sideways.items():
        if (target, module) in sideways:
            wrong.append((file, line, f"`{module}` and `{target}` import each other"))
    return wrong, len(files)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent)
    wrong, count = [], 0
    for folder, layers, allowed, what in CRATES:
        found, files = check(root / folder, layers, allowed, what)
        wrong += found
        count += files
    for file, line, what in wrong:
        print(f"{file}:{line}: {what}", file=sys.stderr)
    print(f"layers: {count} files, {len(wrong)} forbidden imports")
    sys.exit(bool(wrong))


main()
