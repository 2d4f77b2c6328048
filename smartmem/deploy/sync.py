"""Files to a device, only those that it does not have already: told by their hashes there."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from smartmem.deploy.adb import Adb
from smartmem.errors import DeviceError
from smartmem.runtime.manifest import sha256_of

# The slowest that is worth waiting for: USB 2 with a busy phone.
_LEAST_BYTES_PER_S = 1 << 20
_LEAST_S = 60.0


def limit_of(size_bytes: int) -> float:
    """Seconds that so many bytes may take."""
    return _LEAST_S + size_bytes / _LEAST_BYTES_PER_S


def hashes(adb: Adb, folder: str, limit_s: float) -> dict[str, str]:
    """SHA-256 of each file under a folder of the device, by its path in it."""
    place = shlex.quote(folder)
    command = f"[ ! -d {place} ] || {{ cd {place} && find . -type f -exec sha256sum {{}} + ; }}"
    rows = [line.split(None, 1) for line in adb.checked(command, limit_s).splitlines()]
    return {str(PurePosixPath(row[1])): row[0] for row in rows if len(row) == 2}


def push(
    adb: Adb,
    files: Mapping[str, Path],
    folder: str,
    progress: Callable[[str], None] = lambda _: None,
) -> int:
    """Makes ``folder`` have these files, by their paths in it; the bytes that were sent.

    Raises DeviceError where a file is not whole afterwards; a second try sends what is missing.
    """
    wanted = {name: sha256_of(path) for name, path in files.items()}
    limit_s = limit_of(sum(path.stat().st_size for path in files.values()))
    there = hashes(adb, folder, limit_s)
    changed = [name for name, digest in wanted.items() if there.get(name) != digest]
    by_folder: dict[str, list[str]] = {}
    for name in changed:
        by_folder.setdefault(str(PurePosixPath(folder, name).parent), []).append(name)
    for place, names in by_folder.items():
        sizes = sum(files[name].stat().st_size for name in names)
        progress(f"pushing {len(names)} files, {sizes / 1e6:.1f} MB")
        adb.checked(f"mkdir -p {shlex.quote(place)}")
        adb.push([files[name] for name in names], place, limit_of(sizes))
    if changed:
        _require_whole(adb, folder, {name: wanted[name] for name in changed}, limit_s)
    return sum(files[name].stat().st_size for name in changed)


def _require_whole(adb: Adb, folder: str, wanted: Mapping[str, str], limit_s: float) -> None:
    there = hashes(adb, folder, limit_s)
    broken: Sequence[str] = [name for name, digest in wanted.items() if there.get(name) != digest]
    if broken:
        raise DeviceError(
            f"{adb.serial}: {folder}/{broken[0]} is not what was pushed",
            hint="The device's storage may be failing; try again.",
        )
