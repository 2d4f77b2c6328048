"""Look-ups and updates at positions known only at run time.

A look-up is one load per result element. An update is a search instead: each element of the result
asks which updates are meant for it, so no two invocations ever write to one place, and duplicates
have one defined result.
"""

from collections.abc import Callable, Sequence
from typing import Any

from smartmem.dialects._mlir import arith, ir, linalg, tensor
from smartmem.dialects.layout.maps import to_index_map
from smartmem.dialects.layout.ops import (
    GatherElementsOp,
    GatherOp,
    ScatterOp,
    ViewOp,
    element_type,
    shape,
)
from smartmem.passes.analysis.joins import producer
from smartmem.passes.analysis.reads import is_read_in_place
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
    index_constant,
    numbers,
    pointwise,
    whole,
    widened,
)
from smartmem.passes.lower.positions import computed
from smartmem.passes.lower.reduction import COMBINE, goes_unsigned, neutral, sign_flipped
from smartmem.passes.lower.registry import lowers


def _clamped(index: Any, size: int) -> tuple[Any, Any]:
    """``index`` brought into [0, size), and whether it was there."""
    zero, last = index_constant(0), index_constant(size - 1)
    inside = arith.AndIOp(
        scalars.compare("ge", index, zero), scalars.compare("le", index, last)
    ).result
    return scalars.minimum(scalars.maximum(index, zero), last), inside


def _looked_up(held: Any, size: int, position: Any, place: Callable[[Any], list[Any]]) -> Any:
    """The scalar of ``held`` at ``place(index)``; NaN or 0 where ``position`` is outside."""
    element = element_type(held)
    absent = 0 if isinstance(element, ir.IntegerType) else float("nan")
    index = arith.IndexCastOp(ir.IndexType.get(), position).result
    safe, inside = _clamped(index, size)
    item = tensor.ExtractOp(held, place(safe)).result
    return scalars.select(inside, item, constant(absent, element))


@lowers(GatherOp)
def gather(low: Lowering, op: Any) -> Any:
    """One load per result element.

    A position outside the table reads nothing: floats become NaN, integers 0.
    """
    axis: int = ir.IntegerAttr(op.attributes["dim"]).value
    table, indices = op.table, op.indices
    span = len(shape(indices))
    order, table_order = low.layout(op.result).order, low.layout(table).order
    loop = {a: p for p, a in enumerate(order)}
    held = whole(low.value(table))
    read = low.read(indices, [dim(loop[axis + i]) for i in range(span)])

    def place(safe: Any) -> list[Any]:
        logical: list[Any] = []
        for a in range(len(shape(table))):
            if a == axis:
                logical.append(safe)
            else:
                logical.append(linalg.IndexOp(loop[a if a < axis else a + span - 1]).result)
        return [logical[a] for a in table_order]

    def body(position: Any, _: Any) -> Any:
        return _looked_up(held, shape(table)[axis], position, place)

    sizes = low.physical_shape(op.result)
    out = empty(sizes, element_type(op.result))
    return generic([read], out, dims(range(len(sizes))), ["parallel"] * len(sizes), body)


@lowers(GatherElementsOp)
def gather_elements(low: Lowering, op: Any) -> Any:
    """One load per result element; outside the table as in ``gather``. Both operands may be read
    through their views.
    """
    axis: int = ir.IntegerAttr(op.attributes["dim"]).value
    table, table_place = _seen(low, op.table)
    indices, index_place = _seen(low, op.indices)
    sizes = shape(op.result)
    rank = len(sizes)

    def body(position: Any = None) -> Any:
        at = [linalg.IndexOp(a).result for a in range(rank)]
        if position is None:
            position = tensor.ExtractOp(indices, index_place(at)).result
        return _looked_up(
            table,
            shape(op.table)[axis],
            position,
            lambda safe: table_place([safe if a == axis else at[a] for a in range(rank)]),
        )

    reads = [Operand(indices, dims(range(rank)))] if _is_made(op.indices) else []
    return pointwise(reads, sizes, element_type(op.result), body)


def _is_made(value: Any) -> bool:
    """Whether ``value`` is in memory, not a view that is read through."""
    op = producer(value)
    return not isinstance(op, ViewOp) or not is_read_in_place(op)


def _seen(low: Lowering, value: Any) -> tuple[Any, Callable[[list[Any]], list[Any]]]:
    """The tensor in memory that elements of ``value`` are loaded from, and where in it one is."""
    if _is_made(value):
        return whole(low.value(value)), lambda at: at
    view: Any = producer(value)
    index_map = to_index_map(
        ir.AffineMapAttr(view.attributes["index_map"]).value, shape(value), shape(view.input)
    )
    order = low.layout(view.input).order

    def place(at: list[Any]) -> list[Any]:
        logical = [computed(expr, at) for expr in index_map.results]
        return [logical[axis] for axis in order]

    return whole(low.value(view.input)), place


@lowers(ScatterOp)
def scatter(low: Lowering, op: Any) -> Any:
    """Per element of the result, a search through all updates of its row: n x m comparisons."""
    axis: int = ir.IntegerAttr(op.attributes["dim"]).value
    kind = ir.StringAttr(op.attributes["kind"]).value
    values = low.value(op.input), low.value(op.indices), whole(low.value(op.updates))
    if kind == "set":
        return _latest(low, *values, axis)
    if goes_unsigned(low, kind, element_type(op.input)):
        value, indices, updates = values
        flipped = sign_flipped(value), indices, sign_flipped(updates)
        return sign_flipped(_combined(low, *flipped, axis, f"u{kind}"))
    return _combined(low, *values, axis, kind)


def _combined(low: Lowering, value: Any, indices: Any, updates: Any, axis: int, kind: str) -> Any:
    """All updates of each element, then its own value; loops in the order of the result, the
    updates innermost.
    """
    own, element, wide = shape(value), element_type(value), accumulator(element_type(value))
    rank = len(own)
    at = [dim(rank if a == axis else a) for a in range(rank)]
    position = Operand(indices, (dim(rank),) if len(shape(indices)) == 1 else tuple(at))
    nothing = neutral(kind, wide)

    def gathered(index: Any, here: Any, update: Any, total: Any) -> Any:
        meant = scalars.compare("eq", index, here)
        item = scalars.select(meant, widened(update, wide), constant(nothing, wide))
        return COMBINE[kind](total, item)

    total = generic(
        [position, Operand(numbers(low, own[axis]), (dim(axis),)), Operand(updates, tuple(at))],
        filled(nothing, own, wide),
        dims(range(rank)),
        ["parallel"] * rank + ["reduction"],
        gathered,
    )
    reads = [Operand(v, dims(range(rank))) for v in (value, low.fenced(total))]

    def joined(item: Any, change: Any) -> Any:
        return scalars.cast(COMBINE[kind](widened(item, wide), change), element)

    return pointwise(reads, own, element, joined)


def _latest(low: Lowering, value: Any, indices: Any, updates: Any, axis: int) -> Any:
    """First which update is the last one for each element, then that update."""
    own, element = shape(value), element_type(value)
    rank = len(own)
    shared = len(shape(indices)) == 1
    loops = [own[axis]] if shared else list(own)
    winner = low.fenced(_last_match(low, indices, loops, 0 if shared else axis))
    reads = [
        Operand(value, dims(range(rank))),
        Operand(winner, (dim(axis),) if shared else dims(range(rank))),
    ]

    def body(item: Any, update: Any) -> Any:
        number = scalars.sub(update, constant(1, update.type))
        index = arith.IndexCastOp(ir.IndexType.get(), number).result
        safe, found = _clamped(index, shape(updates)[axis])
        place = [safe if a == axis else linalg.IndexOp(a).result for a in range(rank)]
        return scalars.select(found, tensor.ExtractOp(updates, place).result, item)

    return pointwise(reads, own, element, body)


def _last_match(low: Lowering, indices: Any, sizes: Sequence[int], axis: int) -> Any:
    """Per element of ``sizes``, the number of the last of ``indices`` along ``axis`` that names it,
    counted from 1; 0 for none.
    """
    integer = ir.IntegerType.get_signless(32)
    rank = len(sizes)
    at = tuple(dim(rank if a == axis else a) for a in range(rank))

    def later(position: Any, here: Any, number: Any, last: Any) -> Any:
        meant = scalars.compare("eq", position, here)
        counted = scalars.add(number, constant(1, integer))
        return scalars.maximum(last, scalars.select(meant, counted, constant(0, integer)))

    return generic(
        [
            Operand(indices, at),
            Operand(numbers(low, sizes[axis]), (dim(axis),)),
            Operand(numbers(low, shape(indices)[axis]), (dim(rank),)),
        ],
        filled(0, sizes, integer),
        dims(range(rank)),
        ["parallel"] * rank + ["reduction"],
        later,
    )
