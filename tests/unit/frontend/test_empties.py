"""Tensors without elements never reach the dialect: they are constants, or left out."""

from typing import Any

import pytest
import torch
from nets import Function
from torch import Tensor
from unit.frontend.nets import imported

from smartmem.frontend import empties
from smartmem.frontend.registry import Refusal

_INPUTS = (torch.zeros(0, 3), torch.ones(2, 3))


def text_of(function: Any, *inputs: Tensor) -> str:
    """The imported module."""
    with imported(Function(function), *inputs) as program:
        return str(program.module)


def test_inputs_and_outputs_without_elements_are_no_arguments() -> None:
    inputs = (torch.zeros(0, 3), torch.zeros(2, 3))
    with imported(Function(lambda e, x: (e * 2, x * 2, x[:, :0])), *inputs) as program:
        assert [s.shape for s in program.inputs] == [(0, 3), (2, 3)]
        assert [s.is_empty for s in program.outputs] == [True, False, True]
        main = str(program.module).splitlines()[1]
    assert "(%arg0: tensor<2x3xf32>) -> tensor<2x3xf32>" in main


def test_what_reads_only_such_tensors_is_computed_at_compile_time() -> None:
    text = text_of(lambda e, x: x + e.sum(0) + e.new_zeros(5, 0).amax(0).sum(), *_INPUTS)
    assert "layout.reduce" not in text
    assert "tensor<0x" not in text


def test_a_sum_of_no_products_is_no_contraction() -> None:
    text = text_of(lambda e, x: torch.addmm(x, x.new_zeros(2, 0), e), *_INPUTS)
    assert "layout.contract" not in text


def test_joins_leave_them_out() -> None:
    assert "layout.concat" not in text_of(lambda e, x: torch.cat([e, x, e]), *_INPUTS)


def test_other_readers_are_refused() -> None:
    with pytest.raises(Refusal, match="without elements beside others"):
        empties.rule("relu.default")
