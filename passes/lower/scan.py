"""Running sums and the like.

A short row is one reduction per element, over the elements before it. A long one is cut into
blocks: scan each, scan their totals, combine. Both are parallel, and the sums of few terms each are
more exact than one long running sum.
"""

from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.ops import ScanOp, element_type, shape
from smartmem.passes.lower import scalars
from smartmem.passes.lower.builder import (
    Lowering,
    Operand,
    accumulator,
    constant,
    dim,
    dims,
    expanded,
    filled,
    generic,
    narrowed,
    number,
    numbers,
    padded,
    pointwise,
    reassociated,
    sliced,
    widened,
)
from smartmem.passes.lower.reduction import COMBINE, goes_unsigned, neutral, sign_flipped
from smartmem.passes.lower.registry import lowers

# Each element of a block reads half the block on average, each block costs a step of the next
# level: 64 needs two levels up to rows of 4096.
_BLOCK = 64


def _logaddexp(a: Any, b: Any) -> Any:
    """log(e^a + e^b); the larger where it is infinite."""
    top, low = scalars.maximum(a, b), scalars.minimum(a, b)
    soft = scalars.SCALARS["log1p"](scalars.exp(scalars.sub(low, top)))
    size = scalars.SCALARS["abs"](top)
    infinite = scalars.compare("eq", size, constant(float("inf"), top.type))
    return scalars.select(infinite, top, scalars.add(top, soft))


_COMBINE = {**COMBINE, "logaddexp": _logaddexp}


def _neutral(kind: str, element: Any) -> float:
    return float("-inf") if kind == "logaddexp" else neutral(kind, element)


@lowers(ScanOp)
def scan(low: Lowering, op: Any) -> Any:
    """Along one logical dim, in the input's own order."""
    order = low.layout(op.input).order
    if order != low.layout(op.result).order:
        raise ValueError("scan keeps the layout of its input")
    axis = order.index(ir.IntegerAttr(op.attributes["dim"]).value)
    kind = ir.StringAttr(op.attributes["kind"]).value
    held, element = low.value(op.input), element_type(op.result)
    wide = accumulator(element)
    rank = len(order)
    value = pointwise(
        [Operand(held, dims(range(rank)))], shape(held), wide, lambda s: widened(s, wide)
    )
    value = value if wide != element else held
    if goes_unsigned(low, kind, element):
        return sign_flipped(_scanned(low, sign_flipped(value), axis, f"u{kind}", True))
    return narrowed(_scanned(low, value, axis, kind, True), element)


def _scanned(low: Lowering, value: Any, axis: int, kind: str, inclusive: bool) -> Any:
    """``value`` scanned along a physical axis; each element's own value counts if ``inclusive``."""
    own = shape(value)
    size = own[axis]
    if size <= _BLOCK:
        return _short(low, value, axis, kind, inclusive)
    element = element_type(value)
    count = -(-size // _BLOCK)
    high = [count * _BLOCK - size if a == axis else 0 for a in range(len(own))]
    fill = number(_neutral(kind, element), element)
    whole = padded(value, [0] * len(own), high, fill)
    groups = [[count, _BLOCK] if a == axis else [s] for a, s in enumerate(own)]
    blocks = low.fenced(expanded(whole, groups))
    inner = _short(low, blocks, axis + 1, kind, inclusive)
    before = _scanned(low, _totals(low, blocks, axis + 1, kind), axis, kind, False)
    rank = len(own) + 1
    kept = [a for a in range(rank) if a != axis + 1]
    joined = pointwise(
        [Operand(before, dims(kept)), Operand(inner, dims(range(rank)))],
        shape(blocks),
        element,
        lambda earlier, item: _COMBINE[kind](earlier, item),
    )
    merged = [[a] for a in range(axis)] + [[axis, axis + 1]] + [[a] for a in range(axis + 2, rank)]
    return sliced(reassociated(joined, merged), [0] * len(own), own, [1] * len(own))


def _short(low: Lowering, value: Any, axis: int, kind: str, inclusive: bool) -> Any:
    """One reduction per element: over the row, of what stands before it."""
    own, element = shape(value), element_type(value)
    rank, nothing = len(own), _neutral(kind, element)
    places = numbers(low, own[axis])

    def body(item: Any, other: Any, here: Any, total: Any) -> Any:
        counts = scalars.compare("le" if inclusive else "lt", other, here)
        return _COMBINE[kind](total, scalars.select(counts, item, constant(nothing, element)))

    result = generic(
        [
            Operand(value, tuple(dim(rank if a == axis else a) for a in range(rank))),
            Operand(places, (dim(rank),)),
            Operand(places, (dim(axis),)),
        ],
        filled(nothing, own, element),
        dims(range(rank)),
        ["parallel"] * rank + ["reduction"],
        body,
    )
    return low.fenced(result)


def _totals(low: Lowering, value: Any, axis: int, kind: str) -> Any:
    """Each row combined whole."""
    own, element = shape(value), element_type(value)
    kept = [a for a in range(len(own)) if a != axis]
    result = generic(
        [Operand(value, dims(range(len(own))))],
        filled(_neutral(kind, element), [own[a] for a in kept], element),
        dims(kept),
        ["reduction" if a == axis else "parallel" for a in range(len(own))],
        lambda item, total: _COMBINE[kind](total, item),
    )
    return low.fenced(result)
