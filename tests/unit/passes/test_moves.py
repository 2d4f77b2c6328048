"""What became of each layout transformation: followed through the passes and IREE's kernels."""

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir
from smartmem.passes import moves, pipeline
from smartmem.passes.iree.count import Work
from smartmem.passes.target import DeviceKind

# Two permutes that cancel, a slice, and a convolution with a border.
MODULE = """
func.func @main(%x: tensor<1x4x6x5xf32>) -> tensor<1x8x6x4xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<8x4x3x3xf32> loc("m.py":9:1)
  %0 = "layout.view"(%x) {index_map = affine_map<(n, h, w, c) -> (n, c, h, w)>} : (tensor<1x4x6x5xf32>) -> tensor<1x6x5x4xf32> loc("m.py":6:1)
  %1 = "layout.view"(%0) {index_map = affine_map<(n, c, h, w) -> (n, h, w, c)>} : (tensor<1x6x5x4xf32>) -> tensor<1x4x6x5xf32> loc("m.py":7:1)
  %2 = "layout.view"(%1) {index_map = affine_map<(n, c, h, w) -> (n, c, h, w + 1)>} : (tensor<1x4x6x5xf32>) -> tensor<1x4x6x4xf32> loc("m.py":8:1)
  %3 = "layout.conv"(%2, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x4x6x4xf32>, tensor<8x4x3x3xf32>) -> tensor<1x8x6x4xf32> loc("m.py":9:1)
  return %3 : tensor<1x8x6x4xf32>
}
"""  # noqa: E501 -- as MLIR prints it


def traced(device: DeviceKind) -> list[moves.Move]:
    with layout.context():
        module = ir.Module.parse(MODULE)
        found = moves.number(module)
        pipeline.run(pipeline.layout_passes(device), module)
        return moves.trace(found, module, device)


def test_what_is_composed_away_is_removed_and_what_is_added_is_told() -> None:
    rows = [(m.op, m.at, m.added, m.fate) for m in traced("cpu")]
    assert rows[:2] == [
        ("transpose", "m.py:6", False, "removed"),
        ("transpose", "m.py:7", False, "removed"),
    ]
    # The slice writes channels-last at once, so it is a transpose by now.
    assert rows[2] == ("slice", "m.py:8", False, "folded")
    assert ("border", "m.py:9", True, "kept") in rows
    assert [op for op, _, added, _ in rows if added] == ["relayout", "border"]


def test_a_border_read_in_the_kernel_is_folded() -> None:
    (border,) = (m for m in traced("vulkan") if m.op == "border")
    assert border.fate == "folded"
    assert "inside the kernel" in border.reason


def test_only_lines_with_a_layout_kernel_keep_what_stands_there() -> None:
    kernel = Work("copy", "copy", 64, 64, 2, None, "m.py:9")
    compute = Work("conv", "compute", 64, 64, 1, "arith.addf", "m.py:8")
    settled = moves.settle(traced("cpu"), [kernel, compute])
    (border,) = (m for m in settled if m.op == "border")
    assert (border.fate, border.bytes_after) == ("kept", 256)
    (border,) = (m for m in moves.settle(traced("cpu"), [compute]) if m.op == "border")
    assert (border.fate, border.bytes_after) == ("folded", 0)
