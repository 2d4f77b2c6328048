"""Which functions of elements a sum of products computes as it reads its operand, instead of a
kernel that writes them out: facts, no change of IR.

A channel's scale before a projection (squeeze and excitation), an activation of what is read
elsewhere, too: no kernel that makes an operand of theirs can go on with them, and alone they read
and write whole images. In the product each thread computes them again for its columns: one more
operation beside a dozen products, where tiles of ours vectorise it. IREE promotes no such operand
to shared memory, so this is for targets whose tiles are read straight from memory.
"""

from typing import Any

from smartmem.dialects import algebra
from smartmem.dialects._mlir import arith, ir
from smartmem.dialects.algebra import Transpose
from smartmem.dialects.layout.maps import contraction_dims
from smartmem.dialects.layout.ops import (
    ConcatOp,
    ContractOp,
    ConvOp,
    ElementwiseOp,
    PadOp,
    RelayoutOp,
    ViewOp,
    WeightOp,
    element_type,
    shape,
)
from smartmem.passes.analysis.joins import is_assembled, producer, uses
from smartmem.passes.analysis.products import Patches
from smartmem.passes.analysis.reads import memory_map
from smartmem.passes.rules.kernels import KernelLimits, tile_contraction
from smartmem.passes.rules.reads import merged_product
from smartmem.passes.rules.windows import Verdict, is_product, layout_of, window_of
from smartmem.passes.target import DeviceKind

# One instruction each; a root or a power would be computed once per few columns.
_CHEAP = ("add", "sub", "mul", "neg", "relu", "maximum", "minimum")


def computed_as_read(op: ElementwiseOp, device: DeviceKind, limits: KernelLimits | None) -> Verdict:
    """Whether the one reader of ``op``, a sum of products, computes it."""
    if device != "vulkan":
        return Verdict(False, "packed by IREE's CPU code, which computes it then")
    if limits is None:
        return Verdict(False, "no tiles of ours for the target")
    if limits.shared_bytes:
        return Verdict(False, "tiles in shared memory hold operands as they lie")
    if ir.StringAttr(op.attributes["fn"]).value not in _CHEAP:
        return Verdict(False, "too dear to be computed for every few columns")
    readers = [use.owner.opview for use in op.result.uses]
    if len(readers) != 1 or not isinstance(readers[0], (ContractOp, ConvOp)):
        return Verdict(False, "not read by one sum of products")
    full = [v for v in op.operands if shape(v) == shape(op.result)]
    if not full or not isinstance(element_type(op.result), (ir.F32Type, ir.F16Type)):
        return Verdict(False, "nothing of its shape and of floats is read")
    if any(layout_of(v) != layout_of(op.result) for v in full):
        return Verdict(False, "its operands lie in another order")
    if any(_is_table(v) for v in op.operands):
        return Verdict(False, "a constant in memory is one more thing to bind")
    if not all(_lies_in_memory(v) for v in full):
        return Verdict(False, "the kernel that makes its operand goes on with it")
    return _has_tiles(readers[0], op.result, limits)


def _lies_in_memory(value: Any) -> bool:
    """Whether ``value`` is written out whether or not this function reads it: not so a view that
    moves elements, a join or a border, which the function's own kernel would read through.
    """
    op = producer(value)
    if isinstance(op, (ConcatOp, PadOp, RelayoutOp)):
        return False
    if isinstance(op, ViewOp):
        steps = algebra.factor(memory_map(op))
        moves = steps is None or any(isinstance(step, Transpose) for step in steps)
        return not moves and not is_assembled(producer(op.input)) and _lies_in_memory(op.input)
    return op is None or isinstance(op, WeightOp) or uses(value) > 1


def _is_table(value: Any) -> bool:
    """Whether ``value`` is a constant of several numbers."""
    op = producer(value)
    if op is None or not isinstance(op, arith.ConstantOp):
        return False
    held = op.attributes["value"]
    return not (isinstance(held, ir.DenseFPElementsAttr) and held.is_splat)


def _has_tiles(reader: ContractOp | ConvOp, value: Any, limits: KernelLimits) -> Verdict:
    if isinstance(reader, ConvOp):
        if reader.input != value or not is_product(reader):
            return Verdict(False, "read by a window, which would compute it for each of its places")
        if any(size > 1 for size in window_of(reader).kernel):
            return Verdict(False, "windows of several elements are copied, or read as they lie")
        patches = Patches.of(reader)
        maps = (patches.image, patches.weight, patches.result)
        product = merged_product(maps, patches.extents)
    else:
        if reader.lhs == reader.rhs:
            return Verdict(False, "both operands of a sum of products")
        logical, _ = contraction_dims(reader.attributes["indexing_maps"])
        tensors = (reader.lhs, reader.rhs, reader.result)
        extents = {
            loop: size
            for loops, v in zip(logical, tensors, strict=True)
            for loop, size in zip(loops, shape(v), strict=True)
        }
        maps = tuple(
            tuple(loops[axis] for axis in layout_of(v).order)
            for loops, v in zip(logical, tensors, strict=True)
        )
        product = merged_product(maps, tuple(extents[d] for d in range(len(extents))))
    if tile_contraction(product, limits) is None:
        return Verdict(False, "no tiles for the sizes of its reader")
    return Verdict(True, "computed by the sum of products as it reads")
