"""Pooling: a generic over result and window, in the result's order, or IREE's named op where it has
a kernel of its own; an average divides by a count known now.
"""

from typing import Any

import numpy as np

from smartmem.dialects._mlir import arith, ir, linalg
from smartmem.dialects.layout.attributes import ints
from smartmem.dialects.layout.build import number, tensor_of
from smartmem.dialects.layout.ops import PoolOp, element_type, shape
from smartmem.passes.analysis.blocks import block_of
from smartmem.passes.analysis.windows import Window
from smartmem.passes.lower import scalars
from smartmem.passes.lower.builder import (
    Lowering,
    Operand,
    accumulator,
    constant,
    dim,
    dims,
    empty,
    filled,
    generic,
    pointwise,
    widened,
)
from smartmem.passes.lower.reduction import neutral
from smartmem.passes.lower.registry import lowers
from smartmem.passes.lower.windows import named_window, pad_physical

_NAMED = {"max": linalg.PoolingNhwcMaxOp, "sum": linalg.PoolingNhwcSumOp}


@lowers(PoolOp)
def pool(low: Lowering, op: Any) -> Any:
    """Largest or mean element of every window."""
    kind = ir.StringAttr(op.attributes["kind"]).value
    window = Window.of(op, ints(op.attributes["kernel"]))
    element = element_type(op.result)
    wide = accumulator(element) if kind == "avg" else element
    combine, name = (scalars.add, "sum") if kind == "avg" else (scalars.maximum, "max")
    x = pad_physical(low, op, window, neutral(name, element))
    # The window's extent is not readable from x: an operand without contents carries it.
    extent = empty(window.kernel, element)
    init = filled(neutral(name, wide), low.physical_shape(op.result), wide)
    if block_of(op) is not None:
        total = named_window(_NAMED[name], [x, extent], init, window)
        return total if kind == "max" else _averaged(low, op, total, window, wide)
    order = low.layout(op.result).order
    rank, spatial = len(order), len(window.kernel)
    loop = {axis: position for position, axis in enumerate(order)}
    offset = [rank + i for i in range(spatial)]
    reader = [
        dim(loop[2 + i]) * window.strides[i] + dim(offset[i]) * window.dilations[i]
        for i in range(spatial)
    ]
    x_exprs = low.write(op.input, [dim(loop[0]), dim(loop[1]), *reader])
    total = generic(
        [Operand(x, x_exprs), Operand(extent, dims(offset))],
        init,
        dims(range(rank)),
        ["parallel"] * rank + ["reduction"] * spatial,
        lambda item, _, sofar: combine(sofar, widened(item, wide)),
    )
    return total if kind == "max" else _averaged(low, op, total, window, wide)


def _averaged(low: Lowering, op: Any, total: Any, window: Window, wide: Any) -> Any:
    element = element_type(op.result)
    sizes = low.physical_shape(op.result)
    counts = _valid_counts(op, window)
    loop = {axis: position for position, axis in enumerate(low.layout(op.result).order)}
    read = Operand(total, dims(range(len(sizes))))
    if ir.BoolAttr(op.attributes["count_include_pad"]).value or (counts == counts.flat[0]).all():
        full = int(np.prod(window.kernel))
        whole = (
            full if ir.BoolAttr(op.attributes["count_include_pad"]).value else int(counts.flat[0])
        )
        return pointwise(
            [read],
            sizes,
            element,
            lambda s: scalars.cast(scalars.div(s, constant(whole, wide)), element),
        )
    kind = tensor_of(counts.shape, wide)
    held = ir.DenseElementsAttr.get([number(float(c), wide) for c in counts.flat], type=kind)
    divisor = Operand(
        arith.ConstantOp(kind, held).result, dims([loop[2 + i] for i in range(counts.ndim)])
    )
    return pointwise(
        [read, divisor], sizes, element, lambda s, c: scalars.cast(scalars.div(s, c), element)
    )


def _valid_counts(op: Any, window: Window) -> Any:
    """How many elements of each window lie inside the input, [*spatial of the result]."""
    per_dim: list[Any] = []
    for i, size in enumerate(shape(op.input)[2:]):
        starts = np.arange(shape(op.result)[2 + i]) * window.strides[i] - window.pad_low[i]
        taps = starts[:, None] + np.arange(window.kernel[i]) * window.dilations[i]
        per_dim.append(((taps >= 0) & (taps < size)).sum(1))
    counts = np.ones([len(c) for c in per_dim], dtype=np.int64)
    for i, c in enumerate(per_dim):
        counts = counts * c.reshape([-1 if j == i else 1 for j in range(len(per_dim))])
    return counts
