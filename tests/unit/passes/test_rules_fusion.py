"""DNNFusion's table of combinations, and which ops of a module stand in one kernel."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from unit.frontend.nets import imported_net

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir
from smartmem.passes import pipeline
from smartmem.passes.analysis.kernels import Edge, edges
from smartmem.passes.rules.fusion import TABLE, TYPES, combine, table

PAGE = Path(__file__).resolve().parents[3] / "docs" / "layouts.md"


def test_the_table_has_the_papers_colours() -> None:
    """23 of 25 cells are fused (the paper's code generation rules), 13 without asking."""
    assert len(TABLE) == 25
    colours = Counter(cell.colour for cell in TABLE.values())
    assert colours == {"green": 13, "yellow": 10, "red": 2}
    red = {pair for pair, cell in TABLE.items() if cell.colour == "red"}
    assert red == {("One-to-Many", "Many-to-Many"), ("Many-to-Many", "Many-to-Many")}
    assert all((cell.mapping is None) == (cell.colour == "red") for cell in TABLE.values())


def test_the_page_has_the_table() -> None:
    assert "\n".join(table()) in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("mapping", TYPES)
def test_elementwise_functions_change_no_type(mapping: Any) -> None:
    assert combine("One-to-One", mapping).mapping == mapping
    assert combine(mapping, "One-to-One").mapping == mapping
    assert combine(mapping, "One-to-One").colour == "green"
    assert combine(None, mapping).colour == "red"


MODULE = """
#last = #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">
#kernel = #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">
func.func @f(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<8x8x3x3xf32, #kernel>)
    -> (tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>) {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>,
    pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>}
    : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.elementwise"(%0) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>}
    : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  %2 = "layout.conv"(%1, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>,
    pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>}
    : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %3 = "layout.elementwise"(%x) {fn = "exp", operandSegmentSizes = array<i32: 1, 0, 0>}
    : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  %4 = "layout.elementwise"(%3) {fn = "neg", operandSegmentSizes = array<i32: 1, 0, 0>}
    : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  %5 = "layout.elementwise"(%3, %4) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>}
    : (tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  return %2, %5 : tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>
}
"""


def test_why_ops_are_or_are_not_in_one_kernel() -> None:
    with layout.context():
        module = ir.Module.parse(MODULE)
        pipeline.run(pipeline.fusing_passes("vulkan"), module)
        found = [_told(edge) for edge in edges(module, "vulkan")]
    assert found == [
        ("conv elementwise", "green", True, "one dispatch region, imposed on IREE"),
        (
            "elementwise conv",
            "green",
            False,
            "its reader would compute it again for every element that it sums or looks up",
        ),
        ("elementwise elementwise", "green", False, "2 ops read it: it lies in memory anyway"),
        ("elementwise elementwise", "green", False, "2 ops read it: it lies in memory anyway"),
        (
            "elementwise elementwise",
            "green",
            True,
            "left to IREE, which goes on in the kernel that makes an op's operand",
        ),
    ]


def _told(edge: Edge) -> tuple[str, str, bool, str]:
    row = edge.as_row()
    return f"{row['from']} {row['to']}", row["colour"], row["one_kernel"], row["reason"]


def test_the_types_on_the_way_are_those_of_views_too() -> None:
    with imported_net() as program:
        pipeline.run(pipeline.layout_passes("vulkan"), program.module)
        pipeline.run(pipeline.fusing_passes("vulkan"), program.module)
        rows = [edge.as_row() for edge in edges(program.module, "vulkan")]
    assert any(row["types"][1:-1] == ["Shuffle"] for row in rows)
    assert all(len(row["types"]) >= 2 and row["reason"] for row in rows)
    assert any(row["colour"] == "red" and not row["one_kernel"] for row in rows)
