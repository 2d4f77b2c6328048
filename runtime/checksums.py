"""Checksums of a weights archive: one for the whole file, and one for each chunk of it, so that
damage has a place.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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


def damaged_chunks(found: Checksums, expected_crc32: Sequence[int]) -> list[int]:
    """The numbers of the chunks that are not as they were written."""
    pairs = zip(found.chunks_crc32, expected_crc32, strict=False)
    return [number for number, (here, written) in enumerate(pairs) if here != written]


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
