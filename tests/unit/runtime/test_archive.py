"""Archives are those that IREE writes, byte for byte."""

from pathlib import Path

import numpy as np
import pytest
from iree.runtime import ParameterIndex

from smartmem.runtime.archive import write_archive

CASES = {
    "one": {"a": np.arange(3, dtype=np.uint8)},
    "some": {
        "b.weight@[1, 0]": np.arange(5, dtype=np.int8),
        "a": np.arange(100, dtype=np.float32).reshape(4, 25).T,
        "é": np.arange(4096, dtype=np.float32),
        "scalar": np.array(3.0),
    },
    "whole pages": {"x" * 300: np.zeros(4096, np.uint8), "y": np.ones(8192, np.uint8)},
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_bytes_as_iree(case: str, tmp_path: Path) -> None:
    arrays = CASES[case]
    write_archive(tmp_path / "ours", arrays)
    index = ParameterIndex()
    for key in sorted(arrays):
        index.add_buffer(key, np.ascontiguousarray(arrays[key]).reshape(-1).view(np.uint8))
    index.create_archive_file(str(tmp_path / "theirs"))
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_an_archive_without_entries_can_be_read(tmp_path: Path) -> None:
    write_archive(tmp_path / "none.irpa", {})
    index = ParameterIndex()
    index.load(str(tmp_path / "none.irpa"))
    assert list(index.items()) == []
