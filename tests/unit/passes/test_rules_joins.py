"""Which concatenations one kernel assembles, and why the others stay."""

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.ops import ConcatOp
from smartmem.passes.base import block_ops, functions
from smartmem.passes.rules.joins import Verdict, assembly
from smartmem.passes.target import DeviceKind


def verdicts(body: str, device: DeviceKind = "vulkan") -> list[Verdict]:
    """The answers for the concats of a function of %x, %y : tensor<2x3xf32>."""
    with layout.context():
        module = ir.Module.parse(
            "func.func @f(%x: tensor<2x3xf32>, %y: tensor<2x3xf32>) -> tensor<4x3xf32> {"
            + body
            + "}"
        )
        (function,) = functions(module)
        return [assembly(op, device) for op in block_ops(function) if isinstance(op, ConcatOp)]


_CONCAT = '"layout.concat"({}) {{dim = 0}} : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<4x3xf32>'
_RETURN = "return %c : tensor<4x3xf32>"


def _softmax(name: str, source: str) -> str:
    return (
        f'{name} = "layout.softmax"({source}) {{dim = 1, log = false}} : '
        "(tensor<2x3xf32>) -> tensor<2x3xf32>\n"
    )


def _neg(name: str, source: str) -> str:
    return (
        f'{name} = "layout.elementwise"({source}) '
        '{fn = "neg", operandSegmentSizes = array<i32: 1, 0, 0>} : '
        "(tensor<2x3xf32>) -> tensor<2x3xf32>\n"
    )


def test_two_copies_are_one_kernel() -> None:
    (verdict,) = verdicts(f"%c = {_CONCAT.format('%x, %y')}\n{_RETURN}")
    assert verdict == Verdict(True, "one kernel in place of 2 copies")


def test_a_piece_made_for_the_join_is_written_in_place() -> None:
    (verdict,) = verdicts(_softmax("%s", "%y") + f"%c = {_CONCAT.format('%x, %s')}\n{_RETURN}")
    assert verdict == Verdict(False, "1 of 2 pieces written in place")


def test_a_piece_that_somebody_else_reads_is_a_copy() -> None:
    (verdict,) = verdicts(
        _softmax("%s", "%y")
        + _softmax("%t", "%s")
        + f"%d = {_CONCAT.format('%x, %s')}\n"
        + f"%c = {_CONCAT.format('%x, %t')}\n{_RETURN}"
    )[:1]
    assert verdict.taken


def test_a_function_of_what_lies_in_memory_is_computed_where_it_is_read() -> None:
    (verdict,) = verdicts(_neg("%n", "%y") + f"%c = {_CONCAT.format('%x, %n')}\n{_RETURN}")
    assert verdict.taken


def test_an_epilogue_stays_with_its_kernel() -> None:
    body = _softmax("%s", "%y") + _neg("%n", "%s")
    (verdict,) = verdicts(body + f"%c = {_CONCAT.format('%x, %n')}\n{_RETURN}")
    assert not verdict.taken


def test_a_cpu_copies_what_is_made_of_two_tensors() -> None:
    assert not verdicts(f"%c = {_CONCAT.format('%x, %y')}\n{_RETURN}", "cpu")[0].taken
    assert verdicts(f"%c = {_CONCAT.format('%x, %x')}\n{_RETURN}", "cpu")[0].taken


def test_channels_of_images_are_no_runs_of_memory() -> None:
    conv = (
        '{} = "layout.conv"(%i, %k) {{dilations = array<i64: 1, 1>, groups = 1, '
        "pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>}} : "
        "(tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>\n"
    )
    splat = "{} = arith.constant dense<1.0> : {}\n"
    body = (
        splat.format("%i", "tensor<1x2x4x4xf32>")
        + splat.format("%k", "tensor<2x2x1x1xf32>")
        + conv.format("%a")
        + conv.format("%b")
        + '%d = "layout.concat"(%a, %b) {dim = 1} : '
        "(tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x4x4x4xf32>\n"
        + f"%c = {_CONCAT.format('%x, %y')}\n{_RETURN}"
    )
    assert verdicts(body)[0] == Verdict(True, "one kernel in place of 2 copies")


def _joined_for(kernel: int) -> Verdict:
    """Channels joined for a convolution of windows of ``kernel``."""
    out = 5 - kernel
    body = f"""func.func @f(%x: tensor<1x3x4x4xf32>, %w: tensor<2x6x{kernel}x{kernel}xf32>)
        -> tensor<1x2x{out}x{out}xf32> {{
      %y = "layout.softmax"(%x) {{dim = 3, log = false}} : (tensor<1x3x4x4xf32>)
        -> tensor<1x3x4x4xf32>
      %z = "layout.softmax"(%x) {{dim = 2, log = false}} : (tensor<1x3x4x4xf32>)
        -> tensor<1x3x4x4xf32>
      %c = "layout.concat"(%y, %z) {{dim = 1}} : (tensor<1x3x4x4xf32>, tensor<1x3x4x4xf32>)
        -> tensor<1x6x4x4xf32>
      %r = "layout.conv"(%c, %w) {{dilations = array<i64: 1, 1>, groups = 1 : i64,
        pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>}} :
        (tensor<1x6x4x4xf32>, tensor<2x6x{kernel}x{kernel}xf32>) -> tensor<1x2x{out}x{out}xf32>
      return %r : tensor<1x2x{out}x{out}xf32>
    }}"""
    with layout.context():
        module = ir.Module.parse(body)
        (function,) = functions(module)
        (join,) = (op for op in block_ops(function) if isinstance(op, ConcatOp))
        return assembly(join, "vulkan")


def test_channels_for_windows_are_scattered_and_those_for_a_matmul_are_not() -> None:
    assert _joined_for(3).taken
    assert _joined_for(1) == Verdict(False, "2 of 2 pieces written in place")
