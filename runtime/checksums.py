"""Checksums of a weights archive: one for the whole file, and one for each chunk of it, so that
damage has a place.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from smartmem.errors import UserError

CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Checksums:
    """SHA-256 of the file in hexadecimal, and CRC-32 of its chunks."""

    sha256: str
    chunks_crc32: tuple[int, ...]


def checksums(path: Path) -> Checksums:
    """Reads the file once."""
    whole = hashlib.sha256()
    parts: list[int] = []
    for chunk in _chunks(path):
        whole.update(chunk)
        parts.append(zlib.crc32(chunk))
    return Checksums(whole.hexdigest(), tuple(parts))


def check_content(path: Path, expected: Checksums) -> None:
    """UserError where the file is not as it was written; names the first chunk that differs."""
    found = checksums(path)
    if found.sha256 == expected.sha256:
        return
    pairs = zip(found.chunks_crc32, expected.chunks_crc32, strict=False)
    damaged = [number for number, (here, written) in enumerate(pairs) if here != written]
    place = ""
    if damaged:
        start = damaged[0] * CHUNK_BYTES
        end = min(start + CHUNK_BYTES, path.stat().st_size)
        count = f"{len(damaged)} of {len(found.chunks_crc32)} chunks"
        place = f" in {count}, first chunk {damaged[0]} (bytes {start} to {end})"
    raise UserError(
        f"{path}: its hash differs from the manifest's{place}; the file is damaged or was replaced",
        hint="Compile the model again, or copy the folder again.",
    )


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
