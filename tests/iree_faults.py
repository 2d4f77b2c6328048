"""Modules that IREE 3.13 builds wrong for Vulkan (docs/iree-miscompiles.md), and repaired forms."""

from dataclasses import dataclass

# The names of the targets they are wrong for are IREE's own.
_BASELINE = "vp_android_baseline_2022"


@dataclass(frozen=True)
class Module:
    """A module in linalg, and the target to build it for."""

    text: str
    target: str


def _depthwise(channels: int, loops: str) -> str:
    """A depthwise convolution whose parallel loops stand in the order ``loops``."""
    order = f"{', '.join(loops)}, i, j"
    return f"""
func.func @main(%x: tensor<{channels}x6x6xf32>, %w: tensor<{channels}x3x3xf32>)
    -> tensor<{channels}x4x4xf32> {{
  %z = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<{channels}x4x4xf32>
  %f = linalg.fill ins(%z : f32) outs(%e : tensor<{channels}x4x4xf32>)
    -> tensor<{channels}x4x4xf32>
  %r = linalg.generic {{
    indexing_maps = [affine_map<({order}) -> (c, h + i, w + j)>,
                     affine_map<({order}) -> (c, i, j)>,
                     affine_map<({order}) -> (c, h, w)>],
    iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}}
    ins(%x, %w : tensor<{channels}x6x6xf32>, tensor<{channels}x3x3xf32>)
    outs(%f : tensor<{channels}x4x4xf32>) {{
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }} -> tensor<{channels}x4x4xf32>
  return %r : tensor<{channels}x4x4xf32>
}}"""


def _padded(barrier: bool) -> str:
    """A pointwise convolution that stores into the middle of a padded tensor."""
    held = "%q" if barrier else "%r"
    fence = "%q = util.optimization_barrier %r : tensor<32x4x16xf32>" if barrier else ""
    return f"""
func.func @main(%x: tensor<16x4x16xf32>, %w: tensor<32x16xf32>) -> tensor<32x6x18xf32> {{
  %z = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<32x4x16xf32>
  %i = linalg.fill ins(%z : f32) outs(%e : tensor<32x4x16xf32>) -> tensor<32x4x16xf32>
  %r = linalg.generic {{
    indexing_maps = [affine_map<(a, b, c, k) -> (k, b, c)>, affine_map<(a, b, c, k) -> (a, k)>,
                     affine_map<(a, b, c, k) -> (a, b, c)>],
    iterator_types = ["parallel", "parallel", "parallel", "reduction"]}}
    ins(%x, %w : tensor<16x4x16xf32>, tensor<32x16xf32>) outs(%i : tensor<32x4x16xf32>) {{
  ^bb0(%a: f32, %b: f32, %c: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %c, %m : f32
    linalg.yield %s : f32 }} -> tensor<32x4x16xf32>
  {fence}
  %p = tensor.pad {held} low[0, 1, 1] high[0, 1, 1] {{
  ^bb0(%i0: index, %i1: index, %i2: index):
    tensor.yield %z : f32 }} : tensor<32x4x16xf32> to tensor<32x6x18xf32>
  return %p : tensor<32x6x18xf32>
}}"""


# A patch embedding on an image in NCHW: one reduction over a window and its channels.
_WINDOW = """
func.func @main(%x: tensor<3x14x4x14x4xf32>, %w: tensor<4x4x3x24xf32>) -> tensor<24x14x14xf32> {
  %z = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<24x14x14xf32>
  %i = linalg.fill ins(%z : f32) outs(%e : tensor<24x14x14xf32>) -> tensor<24x14x14xf32>
  %r = linalg.generic {
    indexing_maps = [affine_map<(o, h, w, c, i, j) -> (c, h, i, w, j)>,
                     affine_map<(o, h, w, c, i, j) -> (i, j, c, o)>,
                     affine_map<(o, h, w, c, i, j) -> (o, h, w)>],
    iterator_types = ["parallel", "parallel", "parallel",
                      "reduction", "reduction", "reduction"]}
    ins(%x, %w : tensor<3x14x4x14x4xf32>, tensor<4x4x3x24xf32>)
    outs(%i : tensor<24x14x14xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %c, %m : f32
    linalg.yield %s : f32 } -> tensor<24x14x14xf32>
  return %r : tensor<24x14x14xf32>
}"""

# The least of a row of 40 integers, none of them below 1.
_EXTREME = """
func.func @main(%x: tensor<6x40xi32>) -> tensor<6xi32> {
  %z = arith.constant 2147483647 : i32
  %e = tensor.empty() : tensor<6xi32>
  %i = linalg.fill ins(%z : i32) outs(%e : tensor<6xi32>) -> tensor<6xi32>
  %r = linalg.generic {
    indexing_maps = [affine_map<(a, k) -> (a, k)>, affine_map<(a, k) -> (a)>],
    iterator_types = ["parallel", "reduction"]}
    ins(%x : tensor<6x40xi32>) outs(%i : tensor<6xi32>) {
  ^bb0(%a: i32, %c: i32):
    %m = arith.minsi %a, %c : i32
    linalg.yield %m : i32 } -> tensor<6xi32>
  return %r : tensor<6xi32>
}"""

FAULTS = {
    "a race between the ops of one dispatch": Module(_depthwise(8, "hwc"), _BASELINE),
    "a race, 24 channels": Module(_depthwise(24, "hwc"), _BASELINE),
    "a store that is rounded down": Module(_padded(barrier=False), "ampere"),
    "a reduction over several loops": Module(_WINDOW, "llvmpipe"),
    "an extreme of signed integers": Module(_EXTREME, "llvmpipe"),
}
RIGHT = {
    "loops in the order of memory": Module(_depthwise(24, "chw"), _BASELINE),
    "a fence before the pad": Module(_padded(barrier=True), "ampere"),
    "unsigned": Module(_EXTREME.replace("minsi", "minui"), "llvmpipe"),
}
