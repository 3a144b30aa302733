#!/usr/bin/env python3
"""Checks that imports inside the host crate go one way (ARCHITECTURE.md has the layer map).

A module may import from the layers below its own. Modules of one layer may import each other only in one direction.
Test code is free: nothing is built upon it.

    layers.py [SOURCE_FOLDER]       prints file:line of each forbidden import and fails if there is one
"""

import re
import sys
from pathlib import Path

# Lowest first.
LAYERS = [
    ["error", "address", "platform"],
    ["device", "policy"],
    ["stack"],
    ["socket", "runner"],
    ["interface"],
    ["control"],
    ["manager"],
    ["wasm"],
    ["cli"],
]
RANK = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}

# Comments and literals may hold anything, braces and `crate::` included. Alternatives in order of precedence; a
# lifetime such as 'a is none of them. Block comments within block comments are not looked for.
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
    """Paths of the use tree that starts at `at`, and where it ends: `a::{b, c}` gives [a, b] and [a, c]. New names that
    `as` gives are left out."""
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
    """Every path of a source that names the crate: (words, line, enclosing inline modules)."""
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
        if token in ("crate", "super", "self") and following == "::":
            words = [token]
            while at + 2 < len(found) and found[at + 1][0] == "::" and re.match(r"\w|[*]", found[at + 2][0]):
                words.append(found[at + 2][0])
                at += 2
            yield words, line, inside
        at += 1


def from_root(words, home):
    """The words of a path from the crate's root, or None where it does not leave `home`'s surroundings."""
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
    """What the crate's root re-exports: name -> module."""
    found, names, at = tokens(text), {}, 0
    while at < len(found):
        if found[at][0] != "use":
            at += 1
            continue
        paths, at = use_tree(found, at + 1, [])
        for path in paths:
            words = [word for word, _ in path if word not in ("crate", "self")]
            names[words[-1]] = words[0]
    return names


def is_test(module):
    return any(name == "tests" or name.endswith("_tests") for name in module)


def main():
    source = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "host/src")
    exported = reexports((source / "lib.rs").read_text())
    wrong, sideways = [], {}
    files = [file for file in sorted(source.rglob("*.rs")) if file.name not in ("lib.rs", "main.rs")]
    for file in files:
        home = file.relative_to(source).with_suffix("").parts
        if home[0] == "bin" or is_test(home):
            continue
        home = home[:-1] if home[-1] == "mod" else home
        module = home[0]
        if module not in RANK:
            wrong.append((file, 1, f"module `{module}` has no layer: give it one in {Path(__file__).name}"))
            continue
        for words, line, inside in paths_of(file.read_text()):
            path = from_root(words, [*home, *inside])
            if path is None or is_test(inside) or not path:
                continue
            target = path[0] if path[0] in RANK else exported.get(path[0])
            if target == module:
                continue
            if target not in RANK:
                wrong.append((file, line, f"`{'::'.join(words)}`: cannot tell its layer, import it from its module"))
            elif RANK[target] > RANK[module]:
                wrong.append((file, line, f"`{module}` may not import `{target}`, a layer above it"))
            elif RANK[target] == RANK[module]:
                sideways.setdefault((module, target), (file, line))
    for (module, target), (file, line) in sideways.items():
        if (target, module) in sideways:
            wrong.append((file, line, f"`{module}` and `{target}` import each other"))
    for file, line, what in wrong:
        print(f"{file}:{line}: {what}", file=sys.stderr)
    print(f"layers: {len(files)} files, {len(wrong)} forbidden imports")
    sys.exit(bool(wrong))


main()
