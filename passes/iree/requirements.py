"""What code for a target may ask of a Vulkan device, as iree-compile itself says it.

A trivial module is taken to where each executable carries the SPIR-V environment of its target:
version, capabilities, extensions and limits. Real kernels use a part of it.
"""

from smartmem.passes.iree.cache import Cache
from smartmem.passes.iree.driver import compile_to
from smartmem.passes.iree.environment import Requirements, parse
from smartmem.passes.target import Target

_PROBE = """func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = arith.addf %x, %x : tensor<4xf32>
  return %y : tensor<4xf32>
}
"""


def requirements(target: Target, cache: Cache | None = None) -> Requirements | None:
    """What ``target`` asks of a device; None for a CPU. About a second, then from the cache.

    Raises UserError for a name that iree-compile does not know.
    """
    if target.kind == "cpu":
        return None
    return parse(compile_to("executable-targets", _PROBE, target, cache or Cache.default()))
