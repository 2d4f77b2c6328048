"""Which int64 results may need more than 32 bits, and which cannot or are no numbers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smartmem.frontend.export import export
from smartmem.frontend.narrow import narrow_ops

# Each case exports a model through torch.
pytestmark = pytest.mark.slow

IDS = torch.arange(6).reshape(2, 3)


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def found(function: Callable[[Tensor], Any], x: Tensor = IDS) -> list[str]:
    rows = narrow_ops(export(Function(function), (x,)))
    assert all("test_narrow.py:" in row.location for row in rows)
    return [row.op.split(".")[1] for row in rows]


WIDE: dict[str, tuple[Callable[[Tensor], Any], list[str]]] = {
    "sum": (lambda x: x.sum(-1) + 1, ["sum"]),
    "product": (lambda x: {"out": x * x}, ["mul"]),
    "cumsum, moved": (lambda x: x.cumsum(0).T.reshape(-1), ["cumsum"]),
    "power and shift": (lambda x: (x**3, x << 4), ["pow", "__lshift__"]),
    "whole sum of floats": (lambda x: torch.sum(x / 2, dtype=torch.int64), ["sum"]),
    "sum of int32": (lambda x: x.int().sum(), ["sum"]),
}
NARROW: dict[str, Callable[[Tensor], Any]] = {
    "a position": lambda x: torch.ones(40)[(x * 3).sum(-1)],
    "a position among int64": lambda x: torch.arange(40)[x * 3],
    "a count": lambda x: (x > 2).sum(),
    "a sum of bytes": lambda x: x.to(torch.uint8).sum(),
    "a float's sum": lambda x: x.float().sum(),
    "a comparison": lambda x: x * 5 > 3,
    "constants": lambda x: (x + 1, torch.arange(5) * 7),
}


@pytest.mark.parametrize(("function", "ops"), WIDE.values(), ids=WIDE)
def test_numbers_that_reach_an_output(function: Callable[[Tensor], Any], ops: list[str]) -> None:
    assert found(function) == ops


@pytest.mark.parametrize("function", NARROW.values(), ids=NARROW)
def test_what_cannot_be_wide(function: Callable[[Tensor], Any]) -> None:
    assert found(function) == []
