"""Ops that look at whole rows, as a softmax does: which axes in memory a row lies along."""

from collections.abc import Sequence

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.attributes import ints, repr_of
from smartmem.dialects.layout.ops import LayerNormOp, ReduceOp, SoftmaxOp, shape


def row_axes(op: LayerNormOp | ReduceOp | SoftmaxOp) -> list[int]:
    """The physical axes of the input that ``op`` reduces."""
    order = repr_of(ir.RankedTensorType(op.input.type)).layout.order
    if isinstance(op, SoftmaxOp):
        return [order.index(ir.IntegerAttr(op.attributes["dim"]).value)]
    if isinstance(op, ReduceOp):
        return [place for place, axis in enumerate(order) if axis in ints(op.attributes["dims"])]
    count = ir.IntegerAttr(op.attributes["normalized_dims"]).value
    return [place for place, axis in enumerate(order) if axis >= len(order) - count]


def row_sizes(op: LayerNormOp | ReduceOp | SoftmaxOp) -> list[int]:
    """The physical shape of the input."""
    order = repr_of(ir.RankedTensorType(op.input.type)).layout.order
    return [shape(op.input)[axis] for axis in order]


def reduces_innermost(sizes: Sequence[int], axes: Sequence[int]) -> bool:
    """Whether the last axis of more than one element is among the reduced ``axes``."""
    inner = [a for a, size in enumerate(sizes) if size > 1][-1:]
    return not inner or inner[0] in axes


def runs(sizes: Sequence[int], axes: Sequence[int]) -> list[list[int]]:
    """``axes`` in order, split where an axis of more than one element stands between."""
    split: list[list[int]] = []
    for axis in sorted(axes):
        if split and all(sizes[a] == 1 for a in range(split[-1][-1] + 1, axis)):
            split[-1].append(axis)
        else:
            split.append([axis])
    return split
