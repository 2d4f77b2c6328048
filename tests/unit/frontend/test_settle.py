"""Sizes that constants decide are fixed; those that inputs decide stay unknown."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smartmem.frontend.export import export
from smartmem.frontend.graph import is_static

COLUMNS = torch.tensor([True, False, True])
REPEATS = torch.tensor([1, 2, 0])


class Masked(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("mask", torch.tensor([[True, False], [True, True], [False, True]]))

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


X = torch.arange(24.0).reshape(4, 2, 3)
CASES: dict[str, Callable[[Any, Tensor], Any]] = {
    "mask": lambda net, x: x[..., COLUMNS] * 2,
    "mask, then a view": lambda net, x: x[..., COLUMNS].reshape(-1, 2, 2) @ torch.ones(2, 2),
    "mask of two dims": lambda net, x: x.permute(2, 1, 0)[net.mask],
    "mask made of constants": lambda net, x: x[:, :, (net.mask & net.mask[:1]).any(1)],
    "repeats": lambda net, x: x.repeat_interleave(REPEATS, 2).relu(),
    "nonzero": lambda net, x: x[net.mask.nonzero()[:, 0]] + 1,
}


@pytest.mark.parametrize("function", CASES.values(), ids=CASES)
def test_constants_decide_sizes(function: Callable[[Any, Tensor], Any]) -> None:
    net = Masked(function)
    program = export(net, (X,))
    assert all(is_static(n) for n in program.graph.nodes if "val" in n.meta)
    torch.testing.assert_close(program.module()(X), net(X))
    calls = [n for n in program.graph.nodes if n.op == "call_function"]
    assert any("test_settle.py" in n.meta.get("stack_trace", "") for n in calls)


def test_the_given_program_is_left_alone() -> None:
    source = torch.export.export(Masked(CASES["mask"]).eval(), (X,))
    before = set(source.constants)
    export(source, (X,))
    assert set(source.constants) == before


def test_inputs_that_decide_sizes_are_left() -> None:
    program = export(Masked(lambda net, x: x[x > 0]), (X,))
    assert not all(is_static(n) for n in program.graph.nodes if "val" in n.meta)
