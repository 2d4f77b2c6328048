"""Which tensors become halves: by their values where those are known, else by who makes and reads
them; and that ops computed in half give the bits that rounding a float32 result gives.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.functions import FUNCTIONS
from smartmem.dialects.layout.weights import archive_entry
from smartmem.frontend.export import export
from smartmem.frontend.importer import import_program
from smartmem.passes import pipeline, select_precision
from smartmem.passes.base import block_ops, functions
from smartmem.passes.lower.elementwise import ON_SCALARS
from smartmem.passes.rules import precision
from smartmem.passes.rules.precision import Values
from smartmem.passes.select_precision import SelectPrecisionPass

Tensor = torch.Tensor


def values(array: Any) -> Values:
    return Values(np.asarray(array, np.float32))


def chosen(model: nn.Module, *inputs: Tensor, keep: tuple[str, ...] = ()) -> dict[str, Any]:
    """The summary, and by key the element type of each weight, as ``weights``."""
    with layout.context():
        program = import_program(export(model.eval(), inputs, {}))
        step = SelectPrecisionPass(lambda op: Values(archive_entry(op).held(program.weights)), keep)
        pipeline.run(pipeline.layout_passes("vulkan", precision=step), program.module)
        assert program.module.operation.verify()
        found = select_precision.summary(program.module)
        ops = [op for function in functions(program.module) for op in block_ops(function)]
        found["weights"] = {
            ir.StringAttr(op.attributes["key"]).value: str(
                ir.RankedTensorType(op.operation.results[0].type).element_type
            )
            for op in ops
            if op.operation.name == "layout.weight"
        }
        found["reasons"] = [row["reason"] for row in found["float32"]]
        return found


class Net(nn.Module):
    """A function of inputs and one weight ``w``, between two linear layers."""

    def __init__(self, w: Tensor, body: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.last = nn.Linear(64, 64), nn.Linear(64, 64)
        self.w = nn.Parameter(w)
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(self.first(x), self.w))


def net(body: Callable[[Tensor, Tensor], Tensor], w: Tensor | None = None) -> dict[str, Any]:
    return chosen(Net(torch.randn(64, 64) if w is None else w, body), torch.randn(8, 64))


@pytest.mark.parametrize("size", [1.0, 300.0, 1e-3])
def test_ordinary_weights_are_rounded(size: float) -> None:
    found = net(lambda x, w: torch.tanh(x @ w), torch.randn(64, 64) * size)
    assert found["weights"]["w"] == "f16"
    assert found["products_of_halves"] == found["products"] == 3


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda w: w.index_put_((torch.tensor(3), torch.tensor(5)), torch.tensor(7e4)), "7e+04"),
        (lambda w: w.mul_(1e-7), "below the normal halves"),
        (lambda w: w[7].mul_(1e-7), "below the normal halves"),
        (lambda w: w[:, 7].mul_(1e-7), "below the normal halves"),
    ],
)
def test_weights_that_do_not_fit_stay(spoil: Callable[[Tensor], Tensor], reason: str) -> None:
    w = torch.randn(64, 64)
    spoil(w)
    found = net(lambda x, w: torch.tanh(x @ w), w)
    assert found["weights"]["w"] == "f32"
    assert found["weights"]["last.weight"] == "f16"
    assert any(reason in row for row in found["reasons"])


def test_infinities_are_halves() -> None:
    assert not values([1.0, float("inf"), -float("inf"), float("nan")]).overflows()
    assert not values([[1.0, float("inf")], [0.0, 2.0]]).loses_digits()
    assert not values(np.zeros((3, 3))).loses_digits()
    assert not values(np.zeros((0, 3))).loses_digits()
    assert values([65504.0]).is_exact()
    assert not values([65520.0]).is_exact()
    assert not values([0.1]).is_exact()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (lambda x, w: (x * x).sum(-1, keepdim=True).sqrt() + x, "a square"),
        (lambda x, w: x.exp() + x, "exp"),
        (lambda x, w: x.cumsum(-1), "a sum of elements"),
        (lambda x, w: x * 5000.0 - x, "a product with 5e+03"),
        (lambda x, w: x / 1e-4 - x, "a quotient with 0.0001"),
        (lambda x, w: torch.where(x > 0, x, -3.4e38).amax(-1, keepdim=True) + x, "3.4e+38"),
        (lambda x, w: torch.clamp(x, min=1e6) - x, "a bound of 1e+06"),
        (lambda x, w: x + torch.arange(8)[:, None] * x, "a number made of an integer"),
        (lambda x, w: torch.relu(x @ (w.abs() + 100)), "weights add up"),
    ],
)
def test_what_may_leave_the_range_stays(body: Any, reason: str) -> None:
    found = net(body)
    assert any(reason in row for row in found["reasons"]), found["reasons"]


@pytest.mark.parametrize(
    "body",
    [
        lambda x, w: torch.clamp(x, -3.4e38, 3.4e38) @ w,
        lambda x, w: torch.maximum(x, torch.tensor(-1e9)) @ w,
        lambda x, w: torch.where(x > 0, x, -float("inf")).sigmoid() @ w,
        lambda x, w: (x * x).mean(-1, keepdim=True).add(1e-6).rsqrt() * x @ w,
        lambda x, w: (x.exp() / x.exp().sum(-1, keepdim=True)) @ w,
        lambda x, w: nn.functional.layer_norm(x * x, (64,)) @ w,
    ],
)
def test_a_bounded_result_fits_again(body: Any) -> None:
    """The last two products read halves: nothing of the range is left to fear."""
    found = net(body)
    assert found["products_of_halves"] == 3
    assert found["weights"]["last.weight"] == found["weights"]["w"] == "f16"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (lambda x, w: (x @ w).softmax(-1), "the exponents of a softmax"),
        (lambda x, w: x + (x @ w).argmax(-1, keepdim=True).float(), "what is ordered"),
        (lambda x, w: (x @ w).floor() + x, "the operand of floor"),
        (lambda x, w: (x * w[:8]).sin() + x, "the operand of sin"),
    ],
)
def test_readers_that_need_digits_get_them(body: Any, reason: str) -> None:
    found = net(body)
    assert any(reason in row for row in found["reasons"]), found["reasons"]


def test_angles_need_the_digits_of_weights() -> None:
    assert net(lambda x, w: (x @ w).sin())["weights"]["w"] == "f32"
    assert net(lambda x, w: (x @ w).softmax(-1))["weights"]["w"] == "f16"


def test_small_parameters_stay() -> None:
    found = net(lambda x, w: x * w[0])
    assert found["weights"]["first.bias"] == "f32"
    assert "a weight of few elements" in found["reasons"]


def test_modules_that_are_named_stay() -> None:
    model = Net(torch.randn(64, 64), lambda x, w: torch.tanh(x @ w))
    found = chosen(model, torch.randn(8, 64), keep=("last*",))
    assert found["weights"]["last.weight"] == "f32"
    assert found["weights"]["first.weight"] == found["weights"]["w"] == "f16"
    assert "asked for" in found["reasons"]


def test_integers_and_other_floats_are_left_alone() -> None:
    class Ids(nn.Module):
        def forward(self, i: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
            return i * 3, h * 2

    found = chosen(Ids(), torch.arange(9), torch.randn(3).to(torch.bfloat16))
    assert found["half"]["tensors"] == found["half"]["weights"] == 0
    assert found["float32"] == []


def test_the_tables_name_functions() -> None:
    named = precision.ROUNDS_ALIKE | precision.BOUNDED | precision.GROWING | precision.INVERTING
    assert named | frozenset().union(*precision.NEEDS.values()) <= FUNCTIONS.keys()
    assert FUNCTIONS.keys() - {"cast"} <= ON_SCALARS.keys()
    assert not precision.BOUNDED & precision.GROWING


@pytest.mark.parametrize("function", [np.add, np.subtract, np.multiply])
def test_arithmetic_of_halves_rounds_alike(function: Any) -> None:
    """In half and in float32 rounded once: the same bits, over a million pairs, overflow too."""
    bits = np.random.default_rng(3).integers(0, 1 << 16, (2, 1_000_000), np.uint16)
    a, b = bits.view(np.float16)
    with np.errstate(all="ignore"):
        exact = function(a.astype(np.float64), b.astype(np.float64)).astype(np.float16)
        through = function(a.astype(np.float32), b.astype(np.float32)).astype(np.float16)
    number = ~np.isnan(exact)
    assert np.array_equal(exact[number].view(np.uint16), through[number].view(np.uint16))
