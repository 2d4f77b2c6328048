"""Which views a contraction reads through, and how it splits its loops for them."""

import pytest

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir
from smartmem.dialects.algebra import Expand, Slice
from smartmem.dialects.layout.ops import ConvOp, ViewOp
from smartmem.passes.analysis.reads import Reading, common_parts, split, through
from smartmem.passes.base import block_ops, functions
from smartmem.passes.rules.reads import patches_in_place, read_in_place
from smartmem.passes.target import resolve

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


_PATCHES = """
func.func @f(%x: tensor<1x3x16x{width}xf32>) -> tensor<1x16x4x4xf32> {{
  %w = "layout.weight"() {{encoding = #layout.dense, key = "w"}} : ()
     -> tensor<16x3x4x{kernel}xf32, #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">>
  %0 = "layout.conv"(%x, %w) {{dilations = array<i64: 1, 1>, groups = 1 : i64,
     pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 4, {stride}>}}
     : (tensor<1x3x16x{width}xf32>, tensor<16x3x4x{kernel}xf32, #layout.repr<array<i64: 2, 3, 1, 0>,
        [], [], "buffer">>) -> tensor<1x16x4x4xf32>
  return %0 : tensor<1x16x4x4xf32>
}}
"""


@pytest.mark.parametrize(
    ("target", "kernel", "stride", "reason"),
    [
        ("llvmpipe", 4, 4, "read in place by the sum of products"),
        ("adreno", 4, 4, "read in place by the sum of products"),
        ("llvmpipe", 2, 2, "its reader would read it in steps, not vec4"),
        ("llvmpipe", 4, 2, "no windows side by side"),
        ("nvidia", 4, 4, "tiles in shared memory want the sum in one loop"),
        ("ada", 4, 4, "no tiles of ours for the target"),
        ("cpu", 4, 4, "packed by IREE's CPU code, in any order"),
    ],
)
def test_patches_are_read_in_place_where_there_are_tiles(
    target: str, kernel: int, stride: int, reason: str
) -> None:
    width = 3 * stride + kernel
    for_target = resolve(target)
    with layout.context():
        module = ir.Module.parse(_PATCHES.format(kernel=kernel, stride=stride, width=width))
        (function,) = functions(module)
        (conv,) = (op for op in block_ops(function) if isinstance(op, ConvOp))
        verdict = patches_in_place(conv, for_target.kind, for_target.kernels)
    assert verdict.reason == reason
    assert verdict.taken == reason.startswith("read in place")
