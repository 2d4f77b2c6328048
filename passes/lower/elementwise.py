"""Elementwise functions: one ``linalg.generic`` in the physical order of the result."""

from collections.abc import Sequence
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.ops import ElementwiseOp, element_type, shape
from smartmem.passes.lower.builder import Lowering, pointwise
from smartmem.passes.lower.floats import FLOATS
from smartmem.passes.lower.registry import lowers
from smartmem.passes.lower.scalars import SCALARS, cast
from smartmem.passes.lower.special import SPECIAL
from smartmem.passes.lower.trigonometry import TRIGONOMETRY

ON_SCALARS = {**SCALARS, **FLOATS, **TRIGONOMETRY, **SPECIAL}


@lowers(ElementwiseOp)
def elementwise(low: Lowering, op: Any) -> Any:
    """Loops follow the result's memory; broadcast operands drop the axes they repeat along."""
    target, element = shape(op.result), element_type(op.result)
    order = low.layout(op.result).order
    loops = {axis: position for position, axis in enumerate(order)}
    operands = [low.read_broadcast(v, loops, target) for v in op.operands]

    return pointwise(
        operands, low.physical_shape(op.result), element, lambda *values: on_elements(op, values)
    )


def on_elements(op: Any, values: Sequence[Any]) -> Any:
    """The function of an elementwise op on one element of each operand."""
    fn = ir.StringAttr(op.attributes["fn"]).value
    if fn == "cast":
        return cast(values[0], element_type(op.result))
    return ON_SCALARS[fn](*values)
