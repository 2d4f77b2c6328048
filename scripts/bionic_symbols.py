"""What Android's C library offers an arm64 application: names from its symbol maps, for one API.

    python scripts/bionic_symbols.py BIONIC 28 > tests/unit/runtime/data/bionic-28-arm64.txt

BIONIC is a checkout of https://android.googlesource.com/platform/bionic; the maps are those that
the NDK's own stub libraries are made of (libc, libm and libdl).
"""

import re
import sys
from pathlib import Path

MAPS = ("libc/libc.map.txt", "libm/libm.map.txt", "libdl/libdl.map.txt")
ARCHES = {"arm", "arm64", "riscv64", "x86", "x86_64"}
# Not for applications.
HIDDEN = {"platform-only", "apex", "llndk", "systemapi"}
# Android's names of releases, where a map has them in place of a number.
CODENAMES = {"L": 21, "M": 23, "N": 24, "O": 26, "P": 28, "Q": 29, "R": 30, "S": 31}
_BLOCK = re.compile(r"^(\w+) \{(.*)$")
_SYMBOL = re.compile(r"^\s+(\w+);(.*)$")


def tags_of(comment: str) -> set[str]:
    """The words after a line's number sign."""
    return set(comment.partition("#")[2].split())


def is_offered(tags: set[str], api: int) -> bool:
    """Whether a symbol, or a block of them, is there for an arm64 application at this API."""
    if tags & HIDDEN or (tags & ARCHES and "arm64" not in tags):
        return False
    for name in ("introduced-arm64", "introduced"):
        for tag in tags:
            key, _, value = tag.partition("=")
            if key == name:
                # A release without a number here is newer than all that have one.
                since = int(value) if value.isdigit() else CODENAMES.get(value, 99)
                return since <= api
    return True


def symbols(text: str, api: int) -> set[str]:
    """Names that a symbol map has for this API."""
    found: set[str] = set()
    is_open = False
    for line in text.splitlines():
        if block := _BLOCK.match(line):
            private = block[1].endswith(("_PRIVATE", "_PLATFORM", "_DEPRECATED"))
            is_open = not private and is_offered(tags_of(block[2]), api)
        elif is_open and (symbol := _SYMBOL.match(line)) and is_offered(tags_of(symbol[2]), api):
            found.add(symbol[1])
    return found


def main() -> None:
    bionic, api = Path(sys.argv[1]), int(sys.argv[2])
    found: set[str] = set()
    for name in MAPS:
        found |= symbols((bionic / name).read_text(encoding="utf-8"), api)
    print("\n".join(sorted(found)))


if __name__ == "__main__":
    main()
