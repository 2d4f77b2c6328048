"""Every op has its class in both systems; that of views and elementwise ops depends on operands."""

import inspect
from typing import Any

import pytest

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir
from smartmem.dialects.algebra import IndexMap
from smartmem.dialects.layout import build, ops
from smartmem.passes.rules import classes


def _names() -> list[str]:
    found = [c for _, c in inspect.getmembers(ops, inspect.isclass)]
    return sorted(c.OPERATION_NAME for c in found if hasattr(c, "OPERATION_NAME"))


def test_every_op_has_a_class() -> None:
    depending = {ops.ViewOp.OPERATION_NAME, ops.ElementwiseOp.OPERATION_NAME}
    table: dict[str, Any] = vars(classes)["_BY_NAME"]
    assert set(table) | depending == {n for n in _names() if n.startswith("layout.")}


VIEWS = [
    (IndexMap.reshape((4, 6), (2, 2, 6)), "reshape", "ILD-Fixed, Reorganize"),
    (IndexMap.permute((4, 6), (1, 0)), "transpose", "ILD-Fixed, Shuffle"),
    (IndexMap.slice((4, 6), (0, 1), (4, 3), (1, 2)), "slice", "ILI-Fixed, One-to-One"),
    (IndexMap.expand((4, 1), (4, 6)), "broadcast", "ILD-Fixed, One-to-Many"),
    (IndexMap.roll((4, 6), (1, 0)), "gather", "ILI-Fixed, One-to-Many"),
]


@pytest.mark.parametrize(("index_map", "movement", "expected"), VIEWS)
def test_views(index_map: IndexMap, movement: str, expected: str) -> None:
    with layout.context(), ir.Location.unknown():
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            value = build.splat(1.0, ir.F32Type.get(), index_map.codomain)
            view = build.view(value, index_map).owner.opview
            assert classes.movement(view) == movement
            assert str(classes.classify(view)) == expected


ELEMENTWISE = [
    ("tensor<2x3xf32>", "ILI-Variable, One-to-One"),
    ("tensor<3xf32>", "ILI-Variable, One-to-Many"),
    (
        'tensor<2x3xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>',
        "ILD-Variable, One-to-One",
    ),
]


@pytest.mark.parametrize(("other", "expected"), ELEMENTWISE)
def test_an_elementwise_op_depends_on_layouts_that_differ(other: str, expected: str) -> None:
    with layout.context():
        module = ir.Module.parse(
            f"func.func @f(%x: tensor<2x3xf32>, %y: {other}) -> tensor<2x3xf32> {{"
            '%0 = "layout.elementwise"(%x, %y) '
            '{fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : '
            f"(tensor<2x3xf32>, {other}) -> tensor<2x3xf32>"
            "return %0 : tensor<2x3xf32> }"
        )
        op = module.body.operations[0].regions[0].blocks[0].operations[0].opview
        assert str(classes.classify(op)) == expected
