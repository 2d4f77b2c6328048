"""Which views a contraction reads through, and how it splits its loops for them."""

import pytest

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir
from smartmem.dialects.algebra import Expand, Slice
from smartmem.dialects.layout.ops import ViewOp
from smartmem.passes.analysis.reads import Reading, common_parts, split, through
from smartmem.passes.base import block_ops, functions
from smartmem.passes.rules.reads import read_in_place

_LINEAR = """
func.func @f(%x: tensor<4x8x16xf32>) -> tensor<32x8xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<16x8xf32>
  %v = "layout.view"(%x) {index_map = affine_map<(t, c) -> (t mod 4, t floordiv 4, c)>}
     : (tensor<4x8x16xf32>) -> tensor<32x16xf32>
  %0 = "layout.contract"(%v, %w) {indexing_maps = [affine_map<(i, j, k) -> (i, k)>,
     affine_map<(i, j, k) -> (k, j)>, affine_map<(i, j, k) -> (i, j)>]}
     : (tensor<32x16xf32>, tensor<16x8xf32>) -> tensor<32x8xf32>
  return %0 : tensor<32x8xf32>
}
"""


@pytest.mark.parametrize(("promotes", "taken"), [(False, True), (True, False)])
def test_tiles_in_shared_memory_want_the_rows_of_a_linear_layer_in_one_loop(
    promotes: bool, taken: bool
) -> None:
    with layout.context():
        module = ir.Module.parse(_LINEAR)
        (function,) = functions(module)
        (view,) = (op for op in block_ops(function) if isinstance(op, ViewOp))
        assert read_in_place(view, "vulkan", promotes).taken == taken
        reading = through(view, (0, 2))
    assert reading == Reading((), ((0, 1), (0, 0), (2, 0)), {0: (8, 4), 2: (16,)})


def test_loops_are_cut_wherever_one_of_the_operands_is() -> None:
    halves = Reading((), ((0, 0), (0, 1)), {0: (2, 12)})
    thirds = Reading((), ((0, 1), (0, 0), (1, 0)), {0: (8, 3), 1: (5,)})
    common = common_parts([halves, thirds])
    assert common == {0: (2, 4, 3), 1: (5,)}
    assert split(halves, common) == [(0, 0), (0, 1), (0, 2)]
    assert split(thirds, common) == [(0, 2), (0, 0), (0, 1), (1, 0)]


def test_cuts_that_do_not_nest_have_no_common_loops() -> None:
    cut = [Reading((), ((0, 0), (0, 1)), {0: sizes}) for sizes in ((2, 3), (3, 2))]
    assert common_parts(cut) is None


def test_a_loop_of_one_step_has_no_part() -> None:
    assert common_parts([Reading.plain((0, 1), (1, 4))]) == {0: (), 1: (4,)}


def test_a_slice_is_cut_out_of_the_split_tensor() -> None:
    text = """
      func.func @f(%x: tensor<5x24xf32>) -> tensor<2x4x5xf32> {
        %v = "layout.view"(%x) {index_map = affine_map<(h, d, t) -> (t, h * 4 + d + 8)>}
           : (tensor<5x24xf32>) -> tensor<2x4x5xf32>
        return %v : tensor<2x4x5xf32>
      }"""
    with layout.context():
        module = ir.Module.parse(text)
        (function,) = functions(module)
        (view,) = (op for op in block_ops(function) if isinstance(op, ViewOp))
        reading = through(view, (0, 1, 2))
    assert reading is not None
    assert reading.steps == (
        Expand(((5,), (6, 4))),
        Slice((0, 2, 0), (5, 2, 4), (1, 1, 1)),
    )
    assert reading.axes == ((2, 0), (0, 0), (1, 0))
