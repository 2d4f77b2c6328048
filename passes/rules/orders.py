"""In which order readers want a tensor that does not lie row-major: facts, no change of IR.

A convolution gives its result channels last. A group norm behind it wants each group in one row, a
graph output the model's own order. Where such readers and only such that do not mind are left, the
tensor is better written row-major than turned for each of them.
"""

from math import prod
from typing import Any, Literal

from smartmem.dialects import algebra
from smartmem.dialects.layout.ops import ConcatOp, ConvOp, ElementwiseOp, RelayoutOp, ViewOp, shape
from smartmem.dialects.layouts import Layout
from smartmem.passes.analysis.joins import is_assembled
from smartmem.passes.eliminate_views import index_map_of
from smartmem.passes.rules.windows import is_product, layout_of

Order = Literal["row-major", "own", "any"]


def order_asked(op: Any, value: Any) -> Order:
    """What the reader ``op`` asks of ``value``, which has a layout of its own: that it lie
    row-major, as it does, or nothing.
    """
    if isinstance(op, RelayoutOp):
        return "row-major" if layout_of(op.result).is_default else "own"
    if isinstance(op, ViewOp):
        return _view(op)
    if isinstance(op, ElementwiseOp):
        return _elementwise(op, value)
    if isinstance(op, ConcatOp) and is_assembled(op):
        return "row-major" if layout_of(op.result).is_default else "any"
    if isinstance(op, ConvOp) and op.input == value and is_product(op):
        return "any"
    return "own"


def _view(op: ViewOp) -> Order:
    """A view is free where the elements lie in memory as it shows them."""
    rank = len(shape(op.input))
    free_in = [
        layout
        for layout in (layout_of(op.input), Layout.row_major(rank))
        if _is_same_memory(op, layout)
    ]
    return "row-major" if free_in == [Layout.row_major(rank)] else "own"


def _is_same_memory(op: ViewOp, given: Layout) -> bool:
    if prod(shape(op.input)) != prod(shape(op.result)):
        return False
    shown = algebra.compose(index_map_of(op), given.to_logical_map(shape(op.input)))
    made = layout_of(op.result)
    sizes = [shape(op.input)[axis] for axis in given.order]
    return algebra.compose(made.to_physical_map(shape(op.result)), shown) == (
        algebra.IndexMap.reshape(tuple(sizes), tuple(shape(op.result)[a] for a in made.order))
    )


def _elementwise(op: ElementwiseOp, value: Any) -> Order:
    """Its loops run as its result lies, which follows from another operand that lies so."""
    own, made = layout_of(value), layout_of(op.result)
    if shape(value) != shape(op.result):
        return "own"
    if made.is_default:
        return "row-major"
    leads = any(
        v != value and shape(v) == shape(op.result) and layout_of(v) == made for v in op.operands
    )
    return "any" if leads and made == own else "own"
