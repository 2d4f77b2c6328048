"""Softmax and layer norm as reductions and elementwise generics over rows, which IREE tiles
together.

Statistics are kept in f32 for 16-bit floats. A row that is wholly masked (all -inf) has softmax 0,
as in PyTorch's attention.
"""

from collections.abc import Sequence
from typing import Any

from smartmem.dialects._mlir import ir, math
from smartmem.dialects.layout.ops import LayerNormOp, SoftmaxOp, element_type, shape
from smartmem.passes.analysis.blocks import block_of
from smartmem.passes.lower import scalars
from smartmem.passes.lower.builder import (
    Lowering,
    Operand,
    accumulator,
    constant,
    dims,
    pointwise,
    widened,
)
from smartmem.passes.lower.reduction import needs_own_kernel, reduced_from, stepwise
from smartmem.passes.lower.registry import lowers


def _rows(value: Any, statistic: Any, axes: Sequence[int]) -> list[Operand]:
    """``value`` and, broadcast along ``axes``, a statistic of its rows."""
    rank = len(shape(value))
    kept = [a for a in range(rank) if a not in axes]
    return [Operand(value, dims(range(rank))), Operand(statistic, dims(kept))]


def _statistic(low: Lowering, value: Any, axes: Sequence[int], kind: str, apart: bool) -> Any:
    """A reduction of each row, kept out of its readers' kernels where ``apart``."""
    total = stepwise(low, value, axes, kind)
    return low.fenced(total) if apart else total


def softmax_rows(
    low: Lowering,
    value: Any,
    axis: int,
    element: Any,
    *,
    log: bool = False,
    masked: bool = False,
    apart: bool = False,
    in_one: bool = False,
) -> Any:
    """Softmax of a physical tensor along one axis, or its logarithm.

    ``masked`` where a whole row may be -inf; ``apart`` where each step needs a kernel of its own;
    ``in_one`` where all are one: powers are then computed twice, since a kernel that kept them
    would need shared memory for whole rows.
    """
    wide = accumulator(element_type(value))
    own = shape(value)
    top = _statistic(low, value, [axis], "max", apart)

    def held(item: Any, peak: Any) -> Any:
        """What is kept of an element: its power, or of that the exponent."""
        if masked:
            nothing = scalars.compare("eq", peak, constant(float("-inf"), peak.type))
            peak = scalars.select(nothing, constant(0, peak.type), peak)
        exponent = scalars.sub(widened(item, wide), widened(peak, wide))
        return exponent if log else scalars.exp(exponent)

    def power(kept: Any) -> Any:
        return scalars.exp(kept) if log else kept

    def share(kept: Any, whole: Any) -> Any:
        if masked:
            nothing = scalars.compare("eq", whole, constant(0, wide))
            whole = scalars.select(nothing, constant(1, wide), whole)
        if log:
            return scalars.cast(scalars.sub(kept, math.LogOp(whole).result), element)
        return scalars.cast(scalars.div(kept, whole), element)

    if in_one:
        read = _rows(value, top, [axis])
        total = reduced_from(read, own, [axis], lambda v, t: power(held(v, t)), wide)
        rows = [*read, _rows(value, total, [axis])[1]]
        return pointwise(rows, own, element, lambda v, t, s: share(held(v, t), s))
    kept = pointwise(_rows(value, top, [axis]), own, wide, held)
    kept = low.fenced(kept) if apart else kept
    powers = pointwise([Operand(kept, dims(range(len(own))))], own, wide, power) if log else kept
    total = _statistic(low, powers, [axis], "sum", apart)
    return pointwise(_rows(kept, total, [axis]), own, element, share)


@lowers(SoftmaxOp)
def softmax(low: Lowering, op: Any) -> Any:
    """Along one logical dim, in the input's own order."""
    order = low.layout(op.input).order
    if order != low.layout(op.result).order:
        raise ValueError("softmax keeps the layout of its input")
    axis = order.index(ir.IntegerAttr(op.attributes["dim"]).value)
    return softmax_rows(
        low,
        low.value(op.input),
        axis,
        element_type(op.result),
        log=ir.BoolAttr(op.attributes["log"]).value,
        apart=needs_own_kernel(low, op, [axis]),
        in_one=block_of(op) is not None,
    )


@lowers(LayerNormOp)
def layer_norm(low: Lowering, op: Any) -> Any:
    """Mean, then variance of the centred values, then one elementwise pass."""
    order = low.layout(op.input).order
    if order != low.layout(op.result).order:
        raise ValueError("layer_norm keeps the layout of its input")
    own = shape(op.input)
    count = ir.IntegerAttr(op.attributes["normalized_dims"]).value
    normalized = range(len(own) - count, len(own))
    axes = [p for p, a in enumerate(order) if a in normalized]
    size = 1
    for axis in normalized:
        size *= own[axis]
    value, element = low.value(op.input), element_type(op.result)
    wide = accumulator(element)
    epsilon = ir.FloatAttr(op.attributes["eps"]).value
    apart = needs_own_kernel(low, op, axes)
    total = _statistic(low, value, axes, "sum", apart)

    def centred(item: Any, whole: Any) -> Any:
        return scalars.sub(widened(item, wide), scalars.div(whole, constant(size, wide)))

    def square(item: Any, whole: Any) -> Any:
        difference = centred(item, whole)
        return scalars.mul(difference, difference)

    squares = pointwise(_rows(value, total, axes), shape(value), wide, square)
    variance = _statistic(low, squares, axes, "sum", apart)
    rank, kept = len(order), [p for p in range(len(order)) if p not in axes]
    affine = [v for v in (op.weight, op.bias) if v is not None]
    loops = {a: p for p, a in enumerate(order)}
    operands = [
        Operand(value, dims(range(rank))),
        Operand(total, dims(kept)),
        Operand(variance, dims(kept)),
        *[low.read_broadcast(v, loops, own) for v in affine],
    ]

    def normalise(item: Any, whole: Any, spread: Any, *scale_and_shift: Any) -> Any:
        mean_square = scalars.div(spread, constant(size, wide))
        factor = math.RsqrtOp(scalars.add(mean_square, constant(epsilon, wide))).result
        result = scalars.mul(centred(item, whole), factor)
        for combine, operand in zip((scalars.mul, scalars.add), scale_and_shift, strict=False):
            result = combine(result, widened(operand, wide))
        return scalars.cast(result, element)

    return pointwise(operands, shape(value), element, normalise)
