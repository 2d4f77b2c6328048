"""Write IREE's parameter archive (.irpa), version 0: what both runtimes read weights from.

    header | one entry per array | names | the arrays' bytes, each aligned

Written here and not by IREE, so that a machine without it can make a bundle's weights anew.
"""

from __future__ import annotations

import struct
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
# bytes of the entry, its kind, 0; offset and length of its name; 0, 0; alignment; offset and
# length of its data
_ENTRY = struct.Struct("<QIQ2Q2QQ2Q")


def write_archive(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes the arrays' row-major bytes under their keys, in the order of keys; OSError."""
    keys = sorted(arrays)
    entries, names, data_bytes = bytearray(), bytearray(), 0
    places: list[int] = []
    for key in keys:
        name = key.encode()
        places.append(_aligned(data_bytes, _ALIGNMENT))
        data_bytes = places[-1] + arrays[key].nbytes
        entries += bytes(-len(entries) % 16)
        name_place, data_place = (len(names), len(name)), (places[-1], arrays[key].nbytes)
        entries += _ENTRY.pack(
            _ENTRY.size, _DATA_ENTRY, 0, *name_place, 0, 0, _ALIGNMENT, *data_place
        )
        names += name
    names_start = _HEADER.size + len(entries)
    data_start = _aligned(names_start + len(names), _ALIGNMENT)
    header = _HEADER.pack(
        *(_MAGIC, 0, 0, _HEADER_BYTES, 0, 0, len(keys)),
        *(_HEADER.size, len(entries), names_start, len(names), data_start, data_bytes),
    )
    with path.open("wb") as file:
        file.write(header + entries + names)
        for key, place in zip(keys, places, strict=True):
            file.write(bytes(data_start + place - file.tell()))
            file.write(np.ascontiguousarray(arrays[key]).reshape(-1).view(np.uint8).data)
        end = max(data_start + data_bytes, file.tell())
        file.write(bytes(_aligned(end, _FILE_ALIGNMENT) - file.tell()))


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
