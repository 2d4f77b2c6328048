"""Archives are those that IREE reads, with checksums in what it calls metadata."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from iree.runtime import ParameterIndex

from smartmem.runtime.archive import PART_BYTES, write_archive

CASES = {
    "one": {"a": np.arange(3, dtype=np.uint8)},
    "some": {
        "b.weight@[1, 0]": np.arange(5, dtype=np.int8),
        "a": np.arange(100, dtype=np.float32).reshape(4, 25).T,
        "é": np.arange(4096, dtype=np.float32),
        "scalar": np.array(3.0),
    },
    "no whole parts": {"z": np.arange(PART_BYTES // 2 + 5, dtype=np.int32)},
    "whole pages": {"x" * 300: np.zeros(4096, np.uint8), "y": np.ones(8192, np.uint8)},
}


@pytest.mark.parametrize("case", CASES)
def test_iree_reads_what_was_written(case: str, tmp_path: Path) -> None:
    arrays = CASES[case]
    write_archive(tmp_path / "ours.irpa", arrays)
    assert (tmp_path / "ours.irpa").stat().st_size % 4096 == 0
    index = ParameterIndex()
    index.load(str(tmp_path / "ours.irpa"))
    entries = dict(index.items())
    assert list(entries) == sorted(arrays)
    for key, entry in entries.items():
        content = np.ascontiguousarray(arrays[key]).tobytes()
        assert bytes(entry.file_view) == content
        size, *sums = np.frombuffer(entry.metadata, np.uint32).tolist()
        parts = [content[i : i + size] for i in range(0, len(content), size)]
        assert (size, sums) == (PART_BYTES, [zlib.crc32(part) for part in parts])


def test_an_archive_without_entries_can_be_read(tmp_path: Path) -> None:
    write_archive(tmp_path / "none.irpa", {})
    index = ParameterIndex()
    index.load(str(tmp_path / "none.irpa"))
    assert list(index.items()) == []
