"""Reductions: one generic; a mean is the sum scaled."""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

from smartmem.dialects._mlir import arith, ir
from smartmem.dialects.layout.attributes import ints
from smartmem.dialects.layout.ops import ElementwiseOp, ReduceOp, element_type, shape
from smartmem.passes.analysis.blocks import block_of
from smartmem.passes.analysis.rows import reduces_innermost, runs
from smartmem.passes.lower import scalars
from smartmem.passes.lower.builder import (
    Body,
    Lowering,
    Operand,
    accumulator,
    constant,
    dims,
    filled,
    generic,
    pointwise,
    widened,
)
from smartmem.passes.lower.registry import lowers
from smartmem.passes.lower.structure import moves_innermost

COMBINE: dict[str, Callable[[Any, Any], Any]] = {
    "sum": scalars.add,
    "mean": scalars.add,
    "prod": scalars.mul,
    "max": scalars.maximum,
    "min": scalars.minimum,
    "umax": lambda a, b: arith.MaxUIOp(a, b).result,
    "umin": lambda a, b: arith.MinUIOp(a, b).result,
    "any": scalars.maximum,
    "all": scalars.minimum,
}


def neutral(kind: str, element: Any) -> float:
    """The value that changes nothing under ``kind``."""
    if kind in ("sum", "mean", "any"):
        return 0
    if kind in ("prod", "all"):
        return 1
    if kind in ("umax", "umin"):
        return 0 if kind == "umax" else -1
    if not isinstance(element, ir.IntegerType):
        return float("-inf") if kind == "max" else float("inf")
    width = ir.IntegerType(element).width
    if width == 1:
        return 0 if kind == "max" else 1
    return -(2 ** (width - 1)) if kind == "max" else 2 ** (width - 1) - 1


def reduced(value: Any, axes: Sequence[int], kind: str) -> Any:
    """Physical ``value`` reduced over physical ``axes``, kept in the accumulator's type."""
    own, element = shape(value), element_type(value)
    wide = accumulator(element) if kind in ("sum", "mean", "prod") else element
    read = [Operand(value, dims(range(len(own))))]
    return reduced_from(read, own, axes, lambda item: widened(item, wide), wide, kind)


def reduced_from(
    inputs: Sequence[Operand],
    sizes: Sequence[int],
    axes: Sequence[int],
    function: Body,
    element: Any,
    kind: str = "sum",
) -> Any:
    """``function`` of each element of ``inputs``, a scalar of type ``element``, reduced over the
    loops ``axes`` of those of extents ``sizes``.
    """
    kept = [a for a in range(len(sizes)) if a not in axes]
    loops = ["reduction" if a in axes else "parallel" for a in range(len(sizes))]
    init = filled(neutral(kind, element), [sizes[a] for a in kept], element)

    def body(*scalars_and_total: Any) -> Any:
        *items, total = scalars_and_total
        return COMBINE[kind](total, function(*items))

    return generic(inputs, init, dims(kept), loops, body)


def stepwise(low: Lowering, value: Any, axes: Sequence[int], kind: str) -> Any:
    """``reduced``; on Vulkan one run of neighbouring axes at a time, innermost first, because a
    subgroup reduction over several loops is wrong there (docs/iree-miscompiles.md). Extremes
    of integers go unsigned there (``goes_unsigned``).

    What reduces all axes takes the innermost first: the sum to one number of a product with a
    tensor of fewer dims does not compile on the CPU, and is such a subgroup reduction on Vulkan.
    """
    if goes_unsigned(low, kind, element_type(value)):
        return sign_flipped(stepwise(low, sign_flipped(value), axes, f"u{kind}"))
    if len(axes) == len(shape(value)) > 1:
        inner = low.fenced(reduced(value, axes[-1:], kind))
        return stepwise(low, inner, axes[:-1], kind)
    if low.device != "vulkan":
        return reduced(value, axes, kind)
    *outer, inner = runs(shape(value), axes)
    value = reduced(value, inner, kind)
    for run in reversed(outer):
        value = reduced(low.fenced(value), run, kind)
    return value


def goes_unsigned(low: Lowering, kind: str, element: Any) -> bool:
    """Whether ``kind`` over ``element`` must be taken as ``umax`` or ``umin`` of ``sign_flipped``
    values: IREE's subgroup reductions for Vulkan fill up with wrong neutral elements of the signed
    kinds (docs/iree-miscompiles.md).
    """
    integer = isinstance(element, ir.IntegerType) and ir.IntegerType(element).width > 1
    return low.device == "vulkan" and integer and kind in ("max", "min")


def sign_flipped(value: Any) -> Any:
    """Integers with the sign bit turned over: their unsigned order is the signed one of before."""
    own, element = shape(value), element_type(value)
    read = Operand(value, dims(range(len(own))))
    sign, turn = -(2 ** (ir.IntegerType(element).width - 1)), scalars.SCALARS["bit_xor"]
    return pointwise([read], own, element, lambda item: turn(item, constant(sign, element)))


def needs_own_kernel(low: Lowering, op: Any, axes: Sequence[int]) -> bool:
    """Whether the reductions of ``op`` over physical ``axes`` must not share a kernel on Vulkan.

    A kernel that reduces and then uses the result beside the unreduced value gives its innermost
    loop to thread x in both halves. Where that is not the reduced axis, results pass between
    invocations without a barrier (docs/iree-miscompiles.md). It may not be because of the layout,
    or because IREE fuses a transpose before or after. In a block neither is the case.
    """
    if low.device != "vulkan" or block_of(op) is not None:
        return False
    sizes = low.physical_shape(op.input)
    if len(runs(sizes, axes)) > 1 or not reduces_innermost(sizes, axes):
        return True
    return any(moves_innermost(low, view) for view in _neighbours(op))


def _neighbours(op: Any) -> Iterator[Any]:
    """The ops that IREE may fuse with ``op``, through any number of elementwise ops."""
    yield from _fusable(op, lambda one: [v.owner for v in one.operands])
    yield from _fusable(op, lambda one: [use.owner for v in one.results for use in v.uses])


def _fusable(op: Any, following: Callable[[Any], list[Any]]) -> Iterator[Any]:
    pending, seen = following(op.operation), list[Any]()
    while pending:
        owner = pending.pop()
        if isinstance(owner, ir.Block) or owner in seen:
            continue
        seen.append(owner)
        yield owner.opview
        if isinstance(owner.opview, ElementwiseOp):
            pending += following(owner)


@lowers(ReduceOp)
def reduce(low: Lowering, op: Any) -> Any:
    """The result keeps the order of the dims that are left."""
    kind = ir.StringAttr(op.attributes["kind"]).value
    removed = ints(op.attributes["dims"])
    order = low.layout(op.input).order
    axes = [p for p, a in enumerate(order) if a in removed]
    total = stepwise(low, low.value(op.input), axes, kind)
    left = [a for a in order if a not in removed]
    result_order = [sorted(left)[a] for a in low.layout(op.result).order]
    element = element_type(op.result)
    if left != result_order or kind == "mean" or element_type(total) != element:
        count = prod(shape(op.input)[axis] for axis in removed)
        read = Operand(total, dims([result_order.index(a) for a in left]))
        total = pointwise(
            [read],
            low.physical_shape(op.result),
            element,
            lambda item: _finished(item, count if kind == "mean" else 1, element),
        )
    return low.fenced(total) if needs_own_kernel(low, op, axes) else total


def _finished(item: Any, count: int, element: Any) -> Any:
    mean = item if count == 1 else scalars.div(item, constant(count, item.type))
    return scalars.cast(mean, element)
