"""Which functions of elements a sum of products computes as it reads its operand."""

import pytest

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.ops import ElementwiseOp
from smartmem.passes.analysis.reads import is_read_in_place
from smartmem.passes.base import block_ops, functions
from smartmem.passes.fuse_blocks import FuseBlocksPass
from smartmem.passes.fuse_reads import FuseReadsPass
from smartmem.passes.rules.factors import computed_as_read
from smartmem.passes.rules.windows import Verdict
from smartmem.passes.target import DeviceKind, resolve

_LAST = '#layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">'
_KERNEL = '#layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">'
_WEIGHT = f"tensor<32x16x1x1xf32, {_KERNEL}>"
_IMAGE = f"tensor<1x16x8x8xf32, {_LAST}>"

# A channel's scale before a projection; the image has another reader, or none.
_SCALED = f"""
func.func @f(%x: tensor<1x16x8x8xf32, {_LAST}>, %s: tensor<1x16x1x1xf32>)
    -> (tensor<1x32x8x8xf32, {_LAST}>, {_IMAGE}) {{
  %w = "layout.weight"() {{encoding = #layout.dense, key = "w"}} : () -> {_WEIGHT}
  %c = arith.constant dense<1.0> : tensor<f32>
  %i = "layout.elementwise"(%x) {{fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>}}
     : ({_IMAGE}) -> {_IMAGE}
  %0 = "layout.elementwise"(%i, OTHER) {{fn = "FN", operandSegmentSizes = array<i32: 1, 1, 0>}}
     : ({_IMAGE}, KIND) -> {_IMAGE}
  %1 = "layout.conv"(%0, %w) {{dilations = array<i64: 1, 1>, groups = 1,
     pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>}}
     : ({_IMAGE}, {_WEIGHT}) -> tensor<1x32x8x8xf32, {_LAST}>
  return %1, RETURNED : tensor<1x32x8x8xf32, {_LAST}>, {_IMAGE}
}}
"""
_SCALE, _NUMBER = ("%s", "tensor<1x16x1x1xf32>"), ("%c", "tensor<f32>")


def text(fn: str = "mul", other: tuple[str, str] = _SCALE, returned: str = "%i") -> str:
    filled = _SCALED.replace("FN", fn).replace("OTHER", other[0]).replace("KIND", other[1])
    return filled.replace("RETURNED", returned)


def verdict(code: str, device: DeviceKind = "vulkan", target: str = "llvmpipe") -> Verdict:
    """Of the last function of elements."""
    limits = resolve(target).kernels
    with layout.context():
        module = ir.Module.parse(code)
        (function,) = functions(module)
        *_, last = [op for op in block_ops(function) if isinstance(op, ElementwiseOp)]
        return computed_as_read(last, device, limits)


@pytest.mark.parametrize("fn", ["mul", "add", "maximum"])
@pytest.mark.parametrize("other", [_SCALE, _NUMBER], ids=["per channel", "number"])
def test_a_cheap_function_is_computed_by_its_reader(fn: str, other: tuple[str, str]) -> None:
    assert verdict(text(fn, other)).taken


def test_what_the_kernel_before_goes_on_with_is_left_to_it() -> None:
    found = verdict(text(returned="%x"))
    assert (found.taken, found.reason) == (
        False,
        "the kernel that makes its operand goes on with it",
    )


@pytest.mark.parametrize(
    ("code", "device", "target", "reason"),
    [
        (text("pow"), "vulkan", "llvmpipe", "too dear"),
        (text(returned="%0"), "vulkan", "llvmpipe", "one sum"),
        (text(), "vulkan", "nvidia", "shared memory"),
        (text(), "cpu", "cpu", "CPU"),
        (text(other=_NUMBER).replace("8x8", "1x1"), "vulkan", "llvmpipe", "no tiles"),
    ],
    ids=["a power", "two readers", "shared memory", "a CPU", "a single row"],
)
def test_others_are_kernels_of_their_own(
    code: str, device: DeviceKind, target: str, reason: str
) -> None:
    found = verdict(code, device, target)
    assert not found.taken
    assert reason in found.reason


def test_it_is_marked_and_joins_no_block() -> None:
    limits = resolve("llvmpipe").kernels
    with layout.context():
        module = ir.Module.parse(text())
        report = FuseReadsPass(limits=limits).run(module)
        FuseBlocksPass().run(module)
        assert report.gains["functions_computed_as_read"] == 1
        (function,) = functions(module)
        found = [op for op in block_ops(function) if isinstance(op, ElementwiseOp)]
        assert [is_read_in_place(op) for op in found] == [False, True]
