#!/usr/bin/env python3
"""Checks that every promise in SECURITY.md names tests that exist.

A promise is a row of a table whose columns are `Promise` and `Tests`. The second column has, in backticks, the path of
a file and the names of tests in it, then perhaps another file and its tests. Each name must be a function of that file
that is a test and is not ignored.

    promises.py [ROOT]      prints each test that is missing and fails if there is one
"""

import re
import sys
from pathlib import Path

HEAD = re.compile(r"\|\s*Promise\s*\|\s*Tests\s*\|")
# Macros that make tests of the functions in them.
MACROS = re.compile(r"^\s*(?:\w+::)*(?:tests|proptest)!\s*[{(]", re.MULTILINE)


def rows(text):
    """The rows of the tables of promises: (line, promise, the contents of the second column's backticks)."""
    is_inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            is_inside = False
        elif HEAD.match(line):
            is_inside = True
        elif is_inside and not re.match(r"\|[-|: ]+$", line):
            # The text of a promise may have backticks with a | between them, but no test's name has one.
            promise, tests = line.strip().strip("|").rsplit("|", 1)
            yield number, promise.strip(), re.findall(r"`([^`]+)`", tests)


def is_test(source, name):
    """Whether a source has a test function of this name that is run."""
    function = rf"^([ \t]*)(?:pub(?:\([\w ]+\))? )?(?:async )?fn {re.escape(name)}\b"
    for function in re.finditer(function, source, re.MULTILINE):
        attributes = []
        for line in reversed(source[: function.start()].splitlines()):
            line = line.strip()
            if line.startswith("#["):
                attributes.append(line)
            elif not line.startswith("//"):
                break
        if any(line.startswith("#[ignore") for line in attributes):
            return False
        if any(re.match(r"#\[(tokio::)?test\b", line) for line in attributes):
            return True
        # Inside of a macro that adds the attribute.
        if function.group(1) and MACROS.search(source[: function.start()]):
            return True
    return False


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent)
    document = root / "SECURITY.md"
    wrong, promises, tests = [], 0, set()
    for line, promise, names in rows(document.read_text()):
        promises += 1
        file, count = None, 0
        for name in names:
            if "/" in name:
                file, known = root / name, set()
                if not file.is_file():
                    wrong.append((line, f"there is no file {name}"))
                continue
            count += 1
            if file is None:
                wrong.append((line, f"`{name}` has no file in front of it"))
            elif name in known:
                wrong.append((line, f"`{name}` is named twice"))
            elif file.is_file() and not is_test(file.read_text(), name):
                wrong.append((line, f"{file.relative_to(root)} has no test `{name}` that is run"))
            else:
                known.add(name)
                tests.add((file, name))
        if count == 0:
            wrong.append((line, f"no test proves: {promise}"))
    if promises == 0:
        wrong.append((1, "there are no promises"))
    for line, what in wrong:
        print(f"{document}:{line}: {what}", file=sys.stderr)
    print(f"promises: {promises} with {len(tests)} tests, {len(wrong)} wrong")
    sys.exit(bool(wrong))


main()
