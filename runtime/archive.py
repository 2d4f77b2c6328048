"""Write IREE's parameter archive (.irpa), version 0: what both runtimes read weights from.

    header | one entry per array | names and checksums | the arrays' bytes, each aligned

Written here and not by IREE, so that a machine without it can make a bundle's weights anew.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = 0x41505249  # "IRPA"
_DATA_ENTRY = 2
_ALIGNMENT = 64
# Files end on a page.
_FILE_ALIGNMENT = 4096

# magic, version, bytes of the header, 0, 0, entries; offset and length of entries, names, data
_HEADER = struct.Struct("<IHHQQQQ6Q8x")
_HEADER_BYTES = 88
# bytes of the entry, its kind, 0; offset and length of its name, and of its checksums; alignment;
# offset and length of its data
_ENTRY = struct.Struct("<QIQ2Q2QQ2Q")
_SUM = struct.Struct("<I")
# Of what one checksum is.
PART_BYTES = 1 << 20


def write_archive(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes the arrays' row-major bytes under their keys, in the order of keys; OSError.

    Each entry's metadata are checksums of its bytes: the size of a part, then the CRC-32 of each
    part, numbers of 32 bits. IREE's runtime ignores them; ours compares what it streams with them.
    """
    keys = sorted(arrays)
    entries, names, data_bytes = bytearray(), bytearray(), 0
    places: list[int] = []
    sums_at: list[int] = []
    for key in keys:
        name = key.encode()
        names_at = len(names)
        names += name + bytes(-len(name) % _SUM.size)
        sums_at.append(len(names))
        names += _SUM.pack(PART_BYTES) * (1 + -(-arrays[key].nbytes // PART_BYTES))
        places.append(_aligned(data_bytes, _ALIGNMENT))
        data_bytes = places[-1] + arrays[key].nbytes
        entries += bytes(-len(entries) % 16)
        name_place, sums_place = (names_at, len(name)), (sums_at[-1], len(names) - sums_at[-1])
        data_place = (places[-1], arrays[key].nbytes)
        entries += _ENTRY.pack(
            _ENTRY.size, _DATA_ENTRY, 0, *name_place, *sums_place, _ALIGNMENT, *data_place
        )
    names_start = _HEADER.size + len(entries)
    data_start = _aligned(names_start + len(names), _ALIGNMENT)
    header = _HEADER.pack(
        *(_MAGIC, 0, 0, _HEADER_BYTES, 0, 0, len(keys)),
        *(_HEADER.size, len(entries), names_start, len(names), data_start, data_bytes),
    )
    with path.open("wb") as file:
        file.write(header + entries + names)
        for key, place, sums in zip(keys, places, sums_at, strict=True):
            content = np.ascontiguousarray(arrays[key]).reshape(-1).view(np.uint8).data
            file.write(bytes(data_start + place - file.tell()))
            file.write(content)
            _put_sums(names, sums + _SUM.size, content)
        end = max(data_start + data_bytes, file.tell())
        file.write(bytes(_aligned(end, _FILE_ALIGNMENT) - file.tell()))
        file.seek(names_start)
        file.write(names)


def _put_sums(names: bytearray, place: int, content: memoryview) -> None:
    """The checksums of an entry's parts, one after another from ``place`` on."""
    for start in range(0, len(content), PART_BYTES):
        _SUM.pack_into(names, place, zlib.crc32(content[start : start + PART_BYTES]))
        place += _SUM.size


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
