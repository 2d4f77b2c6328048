"""Loops of elementwise kernels as few as those of the sum of products they follow.

    %1 = sum of products : 1024x320            %1 = sum of products : 1024x320
    %2 = expand %1 : 1x32x32x320        ==>    %3 = add of %1 and %b : 1024x320
    %3 = add of %2 and %b                      %2 = expand %3 : 1x32x32x320

In a kernel of its own (``regions.py``) a reshape between a sum and what follows it is in the way of
the tiles; outside, IREE moves it away.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.ops import element_type, shape
from smartmem.passes.lower.builder import (
    Body,
    Operand,
    dims,
    expanded,
    pointwise,
    reassociated,
    without_units,
)

Groups = Sequence[Sequence[int]]


def pointwise_merged(
    operands: Sequence[Operand], sizes: Sequence[int], element: Any, body: Body
) -> Any | None:
    """``pointwise`` over loops of extents ``sizes``, computed in the loops of the sum that makes
    one of ``operands`` in this kernel; None where those are not fewer.
    """
    groups = _groups(operands, sizes)
    if groups is None:
        return None
    fewer = [_in_groups(operand, groups) for operand in operands]
    made = pointwise(fewer, [prod(sizes[i] for i in group) for group in groups], element, body)
    return expanded(made, _with_units(groups, sizes))


def transposed_merged(value: Any, sources: Sequence[int], sizes: Sequence[int]) -> Any:
    """``value`` as ``sizes``, dim ``i`` of which is axis ``sources[i]``."""
    exprs = dims([list(sources).index(axis) for axis in range(len(sources))])
    read, element = [Operand(value, exprs)], element_type(value)
    made = pointwise_merged(read, sizes, element, lambda s: s)
    return pointwise(read, sizes, element, lambda s: s) if made is None else made


def _read(operand: Operand) -> list[int]:
    """The loops along which an operand's axes run."""
    return [ir.AffineDimExpr(expr).position for expr in operand.exprs]


def _groups(operands: Sequence[Operand], sizes: Sequence[int]) -> list[list[int]] | None:
    """The loops that can run as one each, those of a single step left out; None where no operand
    is made in fewer loops, or another is read in an order that keeps them apart.
    """
    long = [loop for loop, size in enumerate(sizes) if size > 1]
    for operand in operands:
        axes = _expanded_axes(operand.value)
        if axes is None:
            continue
        read = _read(operand)
        groups = [[read[axis] for axis in group if sizes[read[axis]] > 1] for group in axes]
        groups = sorted(group for group in groups if group)
        if [loop for group in groups for loop in group] != long:
            continue
        if all(_fits(other, groups, sizes) for other in operands):
            return groups
    return None


def _expanded_axes(value: Any) -> list[list[int]] | None:
    """The axes of ``value`` by the axis of which they are parts in this kernel; None where
    ``value`` is not made by expanding axes here.
    """
    made = value.owner
    inside = not isinstance(made, ir.Block) and (
        made.operation.block == ir.InsertionPoint.current.block
    )
    if not inside or made.name != "tensor.expand_shape":
        return None
    nested = [ir.ArrayAttr(group) for group in made.attributes["reassociation"]]
    axes = [[ir.IntegerAttr(axis).value for axis in group] for group in nested]
    before = _expanded_axes(made.operands[0])
    if before is None:
        return axes
    return [[axis for part in group for axis in axes[part]] for group in before]


def _fits(operand: Operand, groups: Groups, sizes: Sequence[int]) -> bool:
    """Whether the axes of ``operand`` run along whole groups."""
    read = [loop for loop in _read(operand) if sizes[loop] > 1]
    for group in groups:
        if not set(group) & set(read):
            continue
        first = read.index(group[0]) if group[0] in read else len(read)
        if read[first : first + len(group)] != list(group):
            return False
    return True


def _in_groups(operand: Operand, groups: Groups) -> Operand:
    """``operand`` with the axes of each group as one, and without those of one element."""
    long = [axis for axis, size in enumerate(shape(operand.value)) if size > 1]
    if not long:
        return Operand(without_units(operand.value, []), ())
    read = _read(operand)
    number = {loop: n for n, group in enumerate(groups) for loop in group}
    axes: list[list[int]] = []
    loops: list[int] = []
    for axis in range(len(read)):
        own = number[read[axis]] if axis in long else None
        if axes and (own is None or not loops or own == loops[-1]):
            axes[-1].append(axis)
        else:
            axes.append([axis])
        if own is not None and (not loops or own != loops[-1]):
            loops.append(own)
    return Operand(reassociated(operand.value, axes), dims(loops))


def _with_units(groups: Groups, sizes: Sequence[int]) -> list[list[int]]:
    """Per group the sizes of its loops, those of a single step among them."""
    split: list[list[int]] = [[] for _ in groups]
    place = 0
    for loop, size in enumerate(sizes):
        while size > 1 and loop not in groups[place]:
            place += 1
        split[place].append(size)
    return split
