"""Functions of elements that a sum of products computes as it reads an operand (``fuse_reads``)."""

from collections.abc import Callable, Iterator
from typing import Any

from smartmem.dialects._mlir import arith, ir
from smartmem.dialects.layout.ops import ElementwiseOp, shape
from smartmem.passes.analysis.joins import producer
from smartmem.passes.lower.builder import Lowering, constant, without_units
from smartmem.passes.lower.elementwise import on_elements

Function = Callable[..., Any]


def itself(item: Any) -> Any:
    """The element that is read."""
    return item


def scalar_of(value: Any) -> float | None:
    """The number that all elements of ``value`` are, if it is such a constant."""
    op = producer(value)
    if op is None or not isinstance(op, arith.ConstantOp):
        return None
    held = op.attributes["value"]
    is_float = isinstance(held, ir.DenseFPElementsAttr)
    return float(ir.FloatAttr(held.get_splat_value()).value) if is_float and held.is_splat else None


def function_of(op: ElementwiseOp) -> Function:
    """``op`` on one element of each operand that is read; constants are part of it."""
    fixed = [(scalar_of(v), ir.RankedTensorType(v.type).element_type) for v in op.operands]

    def function(*items: Any) -> Any:
        given = iter(items)
        every = [next(given) if n is None else constant(n, element) for n, element in fixed]
        return on_elements(op, every)

    return function


def broadcast(low: Lowering, op: ElementwiseOp) -> Iterator[tuple[Any, Any, list[int]]]:
    """The operands of ``op`` that are read; of each the physical tensor without the axes along
    which it repeats, and the axis of the result that each of its axes is.
    """
    target = shape(op.result)
    for v in op.operands:
        if scalar_of(v) is not None:
            continue
        own, order = shape(v), low.layout(v).order
        lead = len(target) - len(own)
        kept = [p for p, axis in enumerate(order) if own[axis] == target[lead + axis]]
        # A view that is read through is no tensor yet.
        held = None if own == target else without_units(low.value(v), kept)
        yield v, held, [lead + order[p] for p in kept]
