"""Which concatenations one kernel assembles, element by element: facts, no change of IR.

IREE writes a concat piece by piece. Where a piece is one run of memory, and a kernel of its own
makes it for nobody else, it is written in place, at no cost; any other (a view, a tensor that
somebody else reads too, an argument, a weight, channels of a channels-last image) is one copy each.
Where there are two or more of those, one kernel that asks for every element of the result which
piece it comes from takes their place: it reads through views, whole trees of joins, and functions
of elements that nobody else needs.

On a CPU copies are cheap and kernels cost little to start: there only what is made of one tensor is
as fast (measured: a mirrored border 1.5 against 1.4 ms, a decoder that joins skips 40 against 26).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from smartmem.dialects.layout.ops import (
    ConcatOp,
    ConvOp,
    ElementwiseOp,
    PoolOp,
    RelayoutOp,
    ViewOp,
    WeightOp,
    shape,
)
from smartmem.passes.analysis.blocks import block_of
from smartmem.passes.analysis.joins import (
    chain_end,
    is_assembled,
    is_link,
    joined_dim,
    pieces,
    producer,
    uses,
)
from smartmem.passes.rules.windows import Verdict, is_product
from smartmem.passes.target import DeviceKind

_LEAST_COPIES = 2
# Every piece is one load per element of the result: a kernel of many loads is slower than copies.
# Not reached by any model of the suite; a measurement would replace it.
_MOST_PIECES = 8
# Ops that are no kernels, only names or positions of elements.
_NO_KERNEL = (ConcatOp, ViewOp, RelayoutOp, WeightOp)


def assembly(op: Any, device: DeviceKind) -> Verdict:
    """Whether the chain that the concat ``op`` belongs to is assembled by one kernel."""
    joined = pieces(chain_end(op))
    scattered = _is_scattered(chain_end(op))
    copies = sum(scattered or _is_copied(piece) for piece in joined)
    if copies < _LEAST_COPIES:
        return Verdict(False, f"{len(joined) - copies} of {len(joined)} pieces written in place")
    if len(joined) > _MOST_PIECES:
        return Verdict(False, f"{len(joined)} pieces: as many loads per element")
    if device == "cpu" and len(set(_sources(joined))) > 1:
        return Verdict(False, f"{copies} copies run at the speed of memory on a CPU, loads do not")
    return Verdict(True, f"one kernel in place of {copies} copies")


def _sources(values: Iterable[Any]) -> Iterator[Any]:
    """The tensors in memory that ``values`` are made of; joins before them are decided."""
    for value in values:
        op = producer(value)
        joined = isinstance(op, ConcatOp) and (is_link(op) or is_assembled(op))
        seen_through = joined or isinstance(op, (ViewOp, RelayoutOp))
        inner = op if seen_through else absorbed(value)
        if inner is None:
            yield value
        else:
            yield from _sources(inner.operands)


def _is_scattered(op: Any) -> bool:
    """Whether a piece of the join is not one run of memory."""
    axis = joined_dim(op)
    if any(size > 1 for size in shape(op.result)[:axis]):
        return True
    return axis == 1 and (_is_read_as_image(op.result) or any(map(_is_image, pieces(op))))


def _is_read_as_image(value: Any) -> bool:
    """Whether a window reads ``value`` channels-last; a sum of products takes it as it comes."""
    readers = [use.owner.opview for use in value.uses]
    return any(
        isinstance(reader, PoolOp) or (isinstance(reader, ConvOp) and not is_product(reader))
        for reader in readers
    )


def _is_image(value: Any) -> bool:
    """Whether a window makes ``value``, elementwise ops between: it will lie channels-last."""
    op = producer(value)
    while isinstance(op, ElementwiseOp):
        op = next((p for v in op.operands if (p := producer(v)) is not None), None)
    return isinstance(op, (ConvOp, PoolOp))


def _is_copied(piece: Any) -> bool:
    """Whether ``piece`` has to be copied into its place."""
    op = producer(piece)
    return (
        op is None or isinstance(op, _NO_KERNEL) or uses(piece) > 1 or absorbed(piece) is not None
    )


def absorbed(value: Any) -> ElementwiseOp | None:
    """The op that makes ``value``, if it is computed where it is read: a function of elements for
    one reader, whose operands no kernel makes in which it could be computed at once.
    """
    op = producer(value)
    if not isinstance(op, ElementwiseOp) or uses(value) > 1 or block_of(op) is not None:
        return None
    return op if all(_is_given(operand) for operand in op.operands) else None


def _is_given(value: Any) -> bool:
    """Whether ``value`` lies in memory anyway."""
    op = producer(value)
    return op is None or isinstance(op, _NO_KERNEL) or uses(value) > 1
