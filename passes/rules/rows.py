"""Which reductions of rows, softmaxes and norms get a kernel of their own: facts, no change of IR.

Left alone, IREE makes two or three kernels of one on Vulkan: each reduction begins a new one. In a
dispatch region of its own it is one kernel that reads each row once from memory and then from the
cache. IREE deals a row to the lanes of a subgroup where they share it equally; else one invocation
reads it alone, three times from end to end, which keeps a GPU waiting (docs/kernels.md).
"""

from smartmem.dialects.layout.ops import AttentionOp, LayerNormOp, ReduceOp, SoftmaxOp, shape
from smartmem.passes.analysis.rows import reduces_innermost, row_axes, row_sizes, runs
from smartmem.passes.rules.windows import Verdict
from smartmem.passes.target import DeviceKind

# With more, IREE's distribution of loops over invocations is not to be trusted
# (docs/iree-miscompiles.md, 1).
_MOST_PARALLEL = 3


def row_kernel(op: LayerNormOp | ReduceOp | SoftmaxOp, device: DeviceKind, lanes: int) -> Verdict:
    """Whether ``op`` is given a dispatch region of its own, on a target of so many row_lanes."""
    if device != "vulkan":
        return Verdict(False, "fused by IREE's CPU code as it is")
    sizes, axes = row_sizes(op), row_axes(op)
    long = [axis for axis in axes if sizes[axis] > 1]
    if not reduces_innermost(sizes, axes):
        return Verdict(False, "rows do not lie innermost: results would pass between invocations")
    if len(long) > 1:
        return Verdict(False, "rows along several axes: a kernel for each reduction")
    if len(sizes) - len(axes) > _MOST_PARALLEL or len(sizes) == len(axes):
        return Verdict(False, "no row, or rows in more than three dims")
    return _shared_row(sizes[long[0]] if long else 1, lanes)


def column_kernel(op: ReduceOp, device: DeviceKind) -> Verdict:
    """Whether the reduction ``op`` of rows that lie apart is a kernel with what is made of it."""
    if device != "vulkan":
        return Verdict(False, "fused by IREE's CPU code as it is")
    sizes, axes = row_sizes(op), row_axes(op)
    if reduces_innermost(sizes, axes):
        return Verdict(False, "rows lie innermost: IREE fuses what follows")
    if len(runs(sizes, axes)) > 1:
        return Verdict(False, "rows along several axes: a kernel for each reduction")
    if len(sizes) - len(axes) > _MOST_PARALLEL:
        return Verdict(False, "rows in more than three dims")
    return Verdict(True, "one kernel for a reduction and the functions of its result")


def attention_row_kernel(op: AttentionOp, device: DeviceKind, lanes: int) -> Verdict:
    """Whether the softmax within ``op`` is one kernel: its rows are as long as there are keys."""
    if device != "vulkan":
        return Verdict(False, "fused by IREE's CPU code as it is")
    return _shared_row(shape(op.key)[-2], lanes)


def _shared_row(length: int, lanes: int) -> Verdict:
    """Whether a row of ``length`` elements is one kernel's work on a device of ``lanes``."""
    if length % lanes:
        return Verdict(False, f"rows of {length}: {lanes} lanes cannot share them equally")
    return Verdict(True, "one kernel for all passes over a row")
