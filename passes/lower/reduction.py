"""Reductions: one generic; a mean is the sum scaled."""

from collections.abc import Sequence
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.attributes import ints
from smartmem.dialects.layout.ops import ReduceOp, element_type, shape
from smartmem.passes.lower import scalars
from smartmem.passes.lower.builder import (
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

_COMBINE = {
    "sum": scalars.add,
    "mean": scalars.add,
    "prod": scalars.mul,
    "max": scalars.maximum,
    "min": scalars.minimum,
    "any": scalars.maximum,
    "all": scalars.minimum,
}


def neutral(kind: str, element: Any) -> float:
    """The value that changes nothing under ``kind``."""
    if kind in ("sum", "mean", "any"):
        return 0
    if kind in ("prod", "all"):
        return 1
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
    kept = [a for a in range(len(own)) if a not in axes]
    loops = ["reduction" if a in axes else "parallel" for a in range(len(own))]
    init = filled(neutral(kind, wide), [own[a] for a in kept], wide)

    def body(item: Any, total: Any) -> Any:
        return _COMBINE[kind](total, widened(item, wide))

    return generic([Operand(value, dims(range(len(own))))], init, dims(kept), loops, body)


@lowers(ReduceOp)
def reduce(low: Lowering, op: Any) -> Any:
    """The result keeps the order of the dims that are left."""
    kind = ir.StringAttr(op.attributes["kind"]).value
    removed = ints(op.attributes["dims"])
    order = low.layout(op.input).order
    total = reduced(low.value(op.input), [p for p, a in enumerate(order) if a in removed], kind)
    left = [a for a in order if a not in removed]
    result_order = [sorted(left)[a] for a in low.layout(op.result).order]
    element = element_type(op.result)
    if left == result_order and kind != "mean" and element_type(total) == element:
        return total
    count = 1
    for axis in removed:
        count *= shape(op.input)[axis]

    def finish(item: Any) -> Any:
        mean = scalars.div(item, constant(count, item.type)) if kind == "mean" else item
        return scalars.cast(mean, element)

    read = Operand(total, dims([result_order.index(a) for a in left]))
    return pointwise([read], low.physical_shape(op.result), element, finish)
