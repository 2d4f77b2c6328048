"""Every model of the suite, tiny, stays right with any one of the passes left out."""

import pytest

from smartmem.benchmarks.ablation import without_each
from smartmem.benchmarks.models import suite

# At tiny size they are what depth-anything-s and gptneo-s are.
ELSEWHERE = {"depth-anything-l", "gptneo-1.3b", "gptneo-2.7b"}


@pytest.mark.nightly
@pytest.mark.parametrize("target", ["cpu", pytest.param("llvmpipe", marks=pytest.mark.vulkan)])
@pytest.mark.parametrize("name", [name for name in suite.names() if name not in ELSEWHERE])
def test_any_pass_can_be_left_out(name: str, target: str) -> None:
    found = without_each(f"{name}/tiny", target)
    wrong = {off: held for off, held in found.items() if not held.get("equals_eager")}
    assert wrong == {}
