"""Joins and borders that one kernel assembles: per element of the result, where it comes from.

Pieces that are views of one tensor, such as a mirrored border, become one load at a position that
is chosen; pieces of several tensors one load each, of which one is kept. Only ever a kernel of its
own or part of an elementwise one: positions that are computed cost too much inside a contraction.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeGuard

from smartmem.dialects._mlir import arith, ir, linalg, tensor
from smartmem.dialects.layout.attributes import ints
from smartmem.dialects.layout.maps import to_index_map
from smartmem.dialects.layout.ops import (
    ElementwiseOp,
    PadOp,
    RelayoutOp,
    ViewOp,
    element_type,
    shape,
)
from smartmem.passes.analysis.blocks import block_of
from smartmem.passes.analysis.joins import is_assembled, joined_dim, pieces, producer
from smartmem.passes.analysis.reads import is_read_in_place
from smartmem.passes.lower import scalars
from smartmem.passes.lower.builder import (
    Lowering,
    dims,
    empty,
    generic,
    index_constant,
    whole,
)
from smartmem.passes.lower.elementwise import on_elements
from smartmem.passes.lower.positions import computed
from smartmem.passes.rules.joins import absorbed

Position = tuple[Any, ...]


def assemble(low: Lowering, op: Any) -> Any:
    """The physical result of the concat ``op``, read through all that it is made of."""
    held = _Leaves(low, op.result)
    return _by_position(low, op.result, lambda at: _read(held, op.result, at))


def is_read_through(op: Any) -> bool:
    """Whether the assembled concat ``op`` is never written out: who reads it computes positions
    anyway, or only shows parts of it to functions of elements and to borders.
    """
    views = [use.owner.opview for use in op.result.uses]
    return all(
        isinstance(view, ViewOp) and not is_read_in_place(view) and _shows_elements(view)
        for view in views
    )


def _shows_elements(view: ViewOp) -> bool:
    readers = [use.owner.opview for use in view.result.uses]
    return all(
        isinstance(reader, PadOp)
        or (isinstance(reader, ElementwiseOp) and block_of(reader) is None)
        for reader in readers
    )


def shown(low: Lowering, op: Any) -> Any:
    """The physical result of the view ``op`` of a concat that is read through."""
    held = _Leaves(low, op.result)
    return _by_position(low, op.result, lambda at: _read(held, op.result, at))


def bordered(low: Lowering, op: Any) -> Any:
    """The physical result of the pad ``op``, read through all that its input is made of."""
    held = _Leaves(low, op.input)
    starts, sizes = ints(op.attributes["low"]), shape(op.input)

    def element(at: Position) -> Any:
        local: list[Any] = []
        within: list[Any] = []
        for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
            place = at[axis]
            if size == shape(op.result)[axis]:
                local.append(place)
                continue
            place = arith.SubIOp(place, index_constant(start)).result
            last = index_constant(size - 1)
            within.append(scalars.compare("ge", place, index_constant(0)))
            within.append(scalars.compare("le", place, last))
            local.append(scalars.minimum(scalars.maximum(place, index_constant(0)), last))
        inside = reduce(scalars.SCALARS["bit_and"], within)
        border = arith.ConstantOp(element_type(op.result), op.attributes["value"]).result
        return scalars.select(inside, _read(held, op.input, tuple(local)), border)

    return _by_position(low, op.result, element)


def _by_position(low: Lowering, result: Any, element: Callable[[Position], Any]) -> Any:
    """A kernel that computes each element of ``result`` from its position per logical axis."""
    sizes, order = low.physical_shape(result), low.layout(result).order

    def body(_: Any) -> Any:
        at: list[Any] = [None] * len(order)
        for loop, axis in enumerate(order):
            at[axis] = linalg.IndexOp(loop).result
        return element(tuple(at))

    rank = len(sizes)
    init = empty(sizes, element_type(result))
    return generic([], init, dims(range(rank)), ["parallel"] * rank, body)


class _Leaves:
    """The tensors in memory that an assembly reads, each made ready before the kernel."""

    def __init__(self, low: Lowering, value: Any) -> None:
        self._low = low
        self._ready: dict[Any, Any] = {}
        self._prepare(value)

    def _prepare(self, value: Any) -> None:
        op = producer(value)
        if is_assembled(op):
            for piece in pieces(op):
                self._prepare(piece)
        elif _is_position(op):
            self._prepare(op.input)
        elif (function := absorbed(value)) is not None:
            for operand in function.operands:
                self._prepare(operand)
        elif value not in self._ready:
            self._ready[value] = whole(self._low.value(value))

    def load(self, value: Any, at: Position) -> Any:
        """One element, at a position per logical axis."""
        order = self._low.layout(value).order
        return tensor.ExtractOp(self._ready[value], [at[axis] for axis in order]).result


def _is_position(op: Any) -> TypeGuard[ViewOp | RelayoutOp]:
    """Whether ``op`` only says where elements lie: not what ends a block and leaves a tensor."""
    return isinstance(op, (ViewOp, RelayoutOp)) and block_of(op) is None


def _through_views(value: Any, at: Position) -> tuple[Any, Position]:
    """What the views above ``value`` look at, and where."""
    while _is_position(op := producer(value)):
        if isinstance(op, ViewOp):
            affine = ir.AffineMapAttr(op.attributes["index_map"]).value
            index_map = to_index_map(affine, shape(op.result), shape(op.input))
            at = tuple(computed(expr, at) for expr in index_map.results)
        value = op.input
    return value, at


def _collapsed(value: Any, at: Position) -> tuple[Any, Position]:
    """``value`` at ``at`` as an element of one tensor, through all joins of views of one tensor."""
    value, at = _through_views(value, at)
    op = producer(value)
    if not is_assembled(op):
        return value, at
    parts = [_collapsed(piece, local) for piece, local in _located(op, at)]
    source = parts[0][0]
    if any(s != source for s, _ in parts):
        return value, at
    chosen = parts[-1][1]
    for (_, local), inside in zip(reversed(parts[:-1]), reversed(_before(op, at)), strict=True):
        chosen = tuple(
            other if mine == other else scalars.select(inside, mine, other)
            for mine, other in zip(local, chosen, strict=True)
        )
    return _collapsed(source, chosen)


def _read(held: _Leaves, value: Any, at: Position) -> Any:
    """The element of ``value`` at ``at``, as a scalar."""
    value, at = _collapsed(value, at)
    op = producer(value)
    if is_assembled(op):
        kept = [_read(held, piece, local) for piece, local in _located(op, at, clamped=True)]
        chosen = kept[-1]
        for item, inside in zip(reversed(kept[:-1]), reversed(_before(op, at)), strict=True):
            chosen = scalars.select(inside, item, chosen)
        return chosen
    function = absorbed(value)
    if function is not None:
        items = [_read(held, v, _broadcast(v, at)) for v in function.operands]
        return on_elements(function, items)
    return held.load(value, at)


def _located(op: Any, at: Position, *, clamped: bool = False) -> list[tuple[Any, Position]]:
    """Each piece of a join, and ``at`` counted from its start; clamped into it where it is loaded
    from even if another piece is meant.
    """
    axis, first = joined_dim(op), 0
    located: list[tuple[Any, Position]] = []
    for piece in pieces(op):
        size = shape(piece)[axis]
        place = arith.SubIOp(at[axis], index_constant(first)).result if first else at[axis]
        if clamped:
            last = index_constant(size - 1)
            place = scalars.minimum(scalars.maximum(place, index_constant(0)), last)
        located.append((piece, (*at[:axis], place, *at[axis + 1 :])))
        first += size
    return located


def _before(op: Any, at: Position) -> list[Any]:
    """Per piece but the last, whether ``at`` lies before its end."""
    axis, end = joined_dim(op), 0
    inside: list[Any] = []
    for piece in pieces(op)[:-1]:
        end += shape(piece)[axis]
        inside.append(scalars.compare("lt", at[axis], index_constant(end)))
    return inside


def _broadcast(value: Any, at: Sequence[Any]) -> Position:
    """``at`` for an operand that is repeated along some axes, as in NumPy."""
    own = shape(value)
    lead = len(at) - len(own)
    return tuple(
        index_constant(0) if size == 1 else at[lead + axis] for axis, size in enumerate(own)
    )
