"""Our executor behind Python: arrays of any kind go in, and come out."""

from pathlib import Path

import numpy as np
import pytest
from unit.runtime.native_bundle import TARGET, write_bundle

from smartmem.runtime.dtypes import dtype_of
from smartmem.runtime.session import load

pytestmark = [pytest.mark.vulkan, pytest.mark.native]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int32", "uint8"])
@pytest.mark.parametrize("kind", ["plain", "read-only", "transposed"])
def test_what_goes_in_comes_out(dtype: str, kind: str, tmp_path: Path) -> None:
    session = load(write_bundle(tmp_path / "net.smartmem", dtype), TARGET, executor="smartmem")
    x = np.arange(16).reshape(8, 2).astype(dtype_of(dtype)).T
    if kind != "transposed":
        x = np.ascontiguousarray(x)
    x.flags.writeable = kind != "read-only"
    unread, empty = np.zeros(4, np.int64), np.zeros((0, 3), np.float32)
    copied, sevens = session.run_flat([x, unread, empty])
    assert np.array_equal(copied, x)
    assert copied.dtype == dtype_of("int64" if dtype == "int32" else dtype)
    assert sevens.tolist() == [1, 2, 7, 7]
