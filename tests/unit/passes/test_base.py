"""Helpers of passes, and the gains that passes report."""

import pytest

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir
from smartmem.passes import pipeline
from smartmem.passes.base import block_ops, erase_unused, functions, result_bytes
from smartmem.passes.eliminate_views import EliminateViewsPass

VIEWS = """
func.func @f(%x: tensor<4x6xf32>) -> (tensor<6x4xf32>, tensor<24xf32>) {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (j, i)>}
    : (tensor<4x6xf32>) -> tensor<6x4xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i, j) -> (j, i)>}
    : (tensor<6x4xf32>) -> tensor<4x6xf32>
  %2 = "layout.view"(%1) {index_map = affine_map<(i) -> (i floordiv 6, i mod 6)>}
    : (tensor<4x6xf32>) -> tensor<24xf32>
  return %0, %2 : tensor<6x4xf32>, tensor<24xf32>
}
"""


def test_eliminate_views_reports_what_it_gained() -> None:
    with layout.context():
        report = EliminateViewsPass().run(ir.Module.parse(VIEWS))
    assert report.name == "smartmem-eliminate-views"
    assert dict(report.gains) == {
        "views_before": 3,
        "views_after": 2,
        "view_bytes_before": 3 * 96,
        "view_bytes_after": 2 * 96,
    }


def test_a_second_run_gains_nothing() -> None:
    with layout.context():
        module = ir.Module.parse(VIEWS)
        EliminateViewsPass().run(module)
        once = str(module)
        gains = EliminateViewsPass().run(module).gains
        assert str(module) == once
    assert gains["views_before"] == gains["views_after"]


def test_every_pass_reports_under_its_name() -> None:
    with layout.context():
        module = ir.Module.parse(VIEWS)
        steps = [*pipeline.layout_passes("cpu"), *pipeline.lowering_passes("cpu")]
        reports = pipeline.run(steps, module)
    assert [r.name for r in reports] == [s.name for s in steps]
    gains = {r.name: r.gains for r in reports}
    assert gains["smartmem-select-layouts"] == {"relayouts": 0, "relayout_bytes": 0}
    assert gains["smartmem-lower-to-linalg"] == {"layout_ops_lowered": 2}


def test_erase_unused_keeps_what_is_read() -> None:
    with layout.context():
        module = ir.Module.parse(
            """
            func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
              %0 = arith.constant dense<1.0> : tensor<4xf32>
              %1 = arith.addf %x, %x : tensor<4xf32>
              %2 = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<4xf32>
              return %x : tensor<4xf32>
            }
            """
        )
        function = next(functions(module))
        assert erase_unused(function) == 2
        assert [op.operation.name for op in block_ops(function)] == ["arith.addf", "func.return"]


@pytest.mark.parametrize(
    ("kind", "size_bytes"),
    [
        ("tensor<4x6xf32>", 96),
        ("tensor<4xf16>", 8),
        ("tensor<8xi1>", 8),
        ("tensor<f32>", 4),
        ("tensor<2xindex>", 16),
    ],
)
def test_result_bytes(kind: str, size_bytes: int) -> None:
    with layout.context():
        module = ir.Module.parse(f"func.func @f(%x: {kind}) {{ return }}")
        function = next(functions(module))
        assert result_bytes(function.regions[0].blocks[0].arguments[0]) == size_bytes
