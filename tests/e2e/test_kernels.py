"""Kernels with our tiles compute what eager computes, in both pipelines the rule chooses from."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from nets import Function

from smartmem.compiler import compile_model
from smartmem.passes import target as targets
from smartmem.passes.iree.cache import Cache
from smartmem.runtime.session import load

pytestmark = pytest.mark.vulkan

CASES = {
    # Rows, columns and depth in whole tiles; a batch; a split of heads in the store.
    "MatmulPromoteVectorize": (
        lambda a, b: torch.relu(a @ b),
        (torch.randn(96, 64), torch.randn(64, 128)),
    ),
    # The rows of a head, and the head between rows and columns.
    "MatmulPromoteVectorize, a batch inside": (
        lambda q, v: F.scaled_dot_product_attention(q, q, v).transpose(0, 1) + 1,
        (torch.randn(3, 96, 32), torch.randn(3, 96, 64)),
    ),
    "BaseVectorize": (
        lambda a, b: (a @ b).view(2, 49, 3, 8).permute(0, 2, 1, 3) + 1,
        (torch.randn(2, 49, 24), torch.randn(24, 24)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_gpus_tiles_on_software_vulkan(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = dict(targets.known_targets())
    limits = known["nvidia"].kernels
    assert limits is not None
    # The tiles of a GPU, for the subgroups and the shared memory of the software device.
    small = replace(limits, least_threads=8, shared_bytes=32768, plain=True)
    known["llvmpipe"] = replace(known["llvmpipe"], kernels=small)
    monkeypatch.setattr(targets, "known_targets", lambda: known)
    function, inputs = CASES[case]
    made = compile_model(
        Function(function).eval(),
        inputs,
        targets=("llvmpipe",),
        out=tmp_path / "net.smartmem",
        cache=Cache(None),
    )
    plan = (made.path / "targets" / "llvmpipe" / "plan.json").read_text(encoding="utf-8")
    assert f'"pipeline": "{case.partition(",")[0]}"' in plan
    wanted = function(*inputs)
    found = load(made.path, device="llvmpipe")(*inputs)
    assert float((found - wanted).norm() / wanted.norm()) <= 1e-5
