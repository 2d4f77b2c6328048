"""What a laid-out module will cost, before IREE has seen it: kernels, and memory between them.

An estimate. Ops are grouped as IREE is seen to fuse them: views that are slices, transposes or
reshapes cost nothing, an elementwise op joins the kernel that makes its operand where nobody else
reads it, and every other op is a kernel of its own (``_dispatches`` has those that are several).

Memory is what results of kernels hold from the kernel that makes them to the last that reads them,
the scores within an attention, and the padded copies that convolutions read which have no kernel
of their own (for Vulkan, IREE fills all of them at the start of a call). The module's results are
apart, as in ``iree/count.py``.

Held against iree-compile 3.13 in ``tests/e2e/test_check.py``: dispatches within 30 %, memory within
a factor of two.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

from smartmem.dialects import algebra
from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import ops
from smartmem.dialects.layout.attributes import ints
from smartmem.dialects.layout.ops import shape
from smartmem.passes.base import block_ops, functions, result_bytes
from smartmem.passes.eliminate_views import index_map_of
from smartmem.passes.rules.rows import attention_row_kernel, row_kernel
from smartmem.passes.rules.windows import own_kernel
from smartmem.passes.target import DeviceKind

# Dispatches of ops that are not one. Counted in what iree-compile 3.13 makes of our lowering.
_ROW_PASSES = 2
_ATTENTION_PRODUCTS = 2
_NO_KERNEL = ("layout.weight", "arith.constant", "func.return")


@dataclass(frozen=True)
class Estimate:
    """``dispatches`` of one call, ``peak_transient_bytes`` at the worst of them, and the largest
    tensor of the module, weights included.
    """

    dispatches: int
    peak_transient_bytes: int
    largest_tensor_bytes: int


@dataclass(eq=False)
class _Kernel:
    """A group of ops; ``value`` is what it leaves in memory, read for the last time by kernel
    number ``last``.
    """

    number: int
    dispatches: int
    value: Any
    scratch_bytes: int = 0
    padded_bytes: int = 0
    last: int = field(default=-1)
    is_result: bool = False


def estimate(module: Any, device: DeviceKind, lanes: int = 1) -> Estimate:
    """The cost of one call of the module's functions, after ``pipeline.layout_passes``; ``lanes``
    are the target's row_lanes.
    """
    kernels: list[_Kernel] = []
    stored: list[Any] = []
    for function in functions(module):
        makers: dict[Any, _Kernel | None] = dict.fromkeys(function.arguments)
        stored.extend(function.arguments)
        for op in block_ops(function):
            if isinstance(op, ops.WeightOp):
                stored.append(op.result)
            _place(op, makers, kernels, device, lanes)
    largest = max(map(result_bytes, [*stored, *(k.value for k in kernels)]), default=0)
    return Estimate(sum(k.dispatches for k in kernels), _peak(kernels, device), largest)


def grouping(function: Any, device: DeviceKind, lanes: int = 1) -> dict[Any, int | None]:
    """The number of the kernel that makes each value of a function; None for arguments and what no
    kernel makes.
    """
    kernels: list[_Kernel] = []
    makers: dict[Any, _Kernel | None] = dict.fromkeys(function.arguments)
    for op in block_ops(function):
        _place(op, makers, kernels, device, lanes)
    return {value: kernel and kernel.number for value, kernel in makers.items()}


def is_gather(view: Any) -> bool:
    """Whether a view is read element by element, at computed positions."""
    return algebra.factor(index_map_of(view)) is None


def _place(
    op: Any,
    makers: dict[Any, _Kernel | None],
    kernels: list[_Kernel],
    device: DeviceKind,
    lanes: int,
) -> None:
    """Puts an op into a kernel, or makes one for it."""
    name = op.operation.name
    read = [kernel for value in op.operation.operands if (kernel := makers.get(value))]
    if name == "func.return":
        for kernel in read:
            kernel.is_result = True
        return
    free = isinstance(op, ops.ViewOp) and not is_gather(op)
    home = read[0] if free and read else _joined(op, makers)
    if home is None and not free and name not in _NO_KERNEL:
        home = _Kernel(
            len(kernels),
            _dispatches(op, device, lanes),
            op.operation.results[0],
            scratch_bytes=_scores_bytes(op),
            padded_bytes=_padded_bytes(op, device),
        )
        kernels.append(home)
    for kernel in read:
        kernel.last = max(kernel.last, home.number if home else kernel.number)
    if home is not None and not free:
        home.value = op.operation.results[0]
    for result in op.operation.results:
        makers[result] = home


def _joined(op: Any, makers: dict[Any, _Kernel | None]) -> _Kernel | None:
    """The kernel an elementwise op is fused into: that of an operand only it reads."""
    if not isinstance(op, ops.ElementwiseOp):
        return None
    result = op.operation.results[0]
    for value in op.operation.operands:
        kernel = makers.get(value)
        if kernel is not None and shape(value) == shape(result) and _uses(value) == 1:
            return kernel
    return None


def _dispatches(op: Any, device: DeviceKind, lanes: int) -> int:
    if isinstance(op, ops.ArgsortOp):
        # Keys, positions, and a merge for each doubling of the sorted runs.
        dim: int = ir.IntegerAttr(op.attributes["dim"]).value
        row = shape(op.operation.operands[0])[dim]
        return 2 + (row - 1).bit_length()
    if isinstance(op, ops.AttentionOp):
        in_one = attention_row_kernel(op, device, lanes).taken
        return _ATTENTION_PRODUCTS + (1 if in_one else _ROW_PASSES)
    if isinstance(op, (ops.LayerNormOp, ops.SoftmaxOp)):
        return 1 if row_kernel(op, device, lanes).taken else _ROW_PASSES
    return 1


def _uses(value: Any) -> int:
    return sum(1 for _ in value.uses)


def _padded_bytes(op: Any, device: DeviceKind) -> int:
    """Bytes of a convolution's input with its border; 0 without one, or where the kernel reads it
    as it is.
    """
    if not isinstance(op, ops.ConvOp) or own_kernel(op, device).taken:
        return 0
    low, high = ints(op.attributes["pad_low"]), ints(op.attributes["pad_high"])
    if not any((*low, *high)):
        return 0
    window = shape(op.input)[2:]
    sizes = [size + a + b for size, a, b in zip(window, low, high, strict=True)]
    return result_bytes(op.input) // prod(window) * prod(sizes)


def _scores_bytes(op: Any) -> int:
    """Bytes between the dispatches of one op: attention's scores, as f32."""
    if not isinstance(op, ops.AttentionOp):
        return 0
    *batch, queries, _ = shape(op.operation.operands[0])
    keys = shape(op.operation.operands[1])[-2]
    return 4 * queries * keys * prod(batch)


def _peak(kernels: list[_Kernel], device: DeviceKind) -> int:
    peak = 0
    for now in kernels:
        filled = kernels[now.number :] if device == "vulkan" else [now]
        held = now.scratch_bytes + sum(k.padded_bytes for k in filled)
        for kernel in kernels[: now.number + 1]:
            if not kernel.is_result and kernel.last >= now.number:
                held += result_bytes(kernel.value)
        peak = max(peak, held)
    return peak


def tensor_ops(module: Any) -> Iterator[Any]:
    """The layout ops of the module, in program order."""
    for function in functions(module):
        yield from (o for o in block_ops(function) if o.operation.name.startswith("layout."))
