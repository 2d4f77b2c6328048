"""What became of each layout transformation of the graph: removed, folded into a kernel, or kept.

``number`` gives every op that only moves elements a number before the passes run; ``trace`` finds
after them which are left, and which copies the passes added; ``settle`` compares that with the
kernels IREE made. An op is *removed* when no op of its number is left; *folded* where it is read in
place, or where no kernel that only moves elements stands at its Python line; else it is *kept*.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.attributes import repr_of
from smartmem.dialects.layout.ops import ConcatOp, ConvOp, PadOp, PoolOp, RelayoutOp, ViewOp
from smartmem.passes.analysis.joins import is_assembled
from smartmem.passes.analysis.numbers import number_of, set_number
from smartmem.passes.base import block_ops, functions, place, result_bytes
from smartmem.passes.iree.count import LAYOUT_KINDS, Work
from smartmem.passes.rules.classes import Movement, movement
from smartmem.passes.rules.joins import assembly
from smartmem.passes.rules.windows import own_kernel, window_of
from smartmem.passes.target import DeviceKind

Fate = Literal["removed", "folded", "kept"]


@dataclass(frozen=True)
class Move:
    """A layout transformation: what it is, where it stands in the model, what it would move as a
    kernel of its own (``bytes_before``, read and written), and what became of it.

    ``added``: by our passes, not by the model. ``bytes_after`` is shared by all moves of one line.
    """

    op: str
    at: str
    bytes_before: int
    added: bool = False
    fate: Fate = "removed"
    reason: str = "one index map with its neighbours"
    bytes_after: int = 0


def _moving(module: Any) -> Iterator[Any]:
    for function in functions(module):
        for op in block_ops(function):
            if isinstance(op, (ViewOp, ConcatOp, PadOp, RelayoutOp)):
                yield op


def _name(op: Any) -> str:
    return movement(op) if isinstance(op, ViewOp) else op.operation.name.removeprefix("layout.")


def _move(op: Any) -> Move:
    return Move(_name(op), place(op.location), 2 * result_bytes(op.operation.results[0]))


def number(module: Any) -> list[Move]:
    """The moving ops of an imported module in program order, each marked with its index."""
    found = list(_moving(module))
    for index, op in enumerate(found):
        set_number(op, index)
    return [_move(op) for op in found]


def trace(found: Sequence[Move], module: Any, device: DeviceKind) -> list[Move]:
    """``found`` after the layout passes, with the copies and window borders that are left.

    What may be a kernel of its own counts as kept, until ``settle`` has seen the kernels.
    """
    moves = list(found)
    added: list[Move] = []
    for op in _moving(module):
        fate, reason = _fate(op, device)
        index = number_of(op)
        if index is None:
            added.append(replace(_move(op), added=True, fate=fate, reason=reason))
        else:
            moves[index] = replace(moves[index], op=_name(op), fate=fate, reason=reason)
    for function in functions(module):
        added += [_border(op, device) for op in block_ops(function) if _has_border(op)]
    return [*moves, *added]


def _fate(op: Any, device: DeviceKind) -> tuple[Fate, str]:
    """What became of ``op``, which is still there, and why."""
    if all(is_assembled(use.owner.opview) for use in op.operation.results[0].uses):
        return "folded", "read by the kernel that assembles a join"
    if isinstance(op, RelayoutOp):
        order = repr_of(ir.RankedTensorType(op.result.type)).layout.order
        readers = sorted({use.owner.name.removeprefix("layout.") for use in op.result.uses})
        return "kept", f"{' and '.join(readers)} takes its dims in the order {list(order)}"
    if isinstance(op, ConcatOp):
        return "kept", assembly(op, device).reason
    if isinstance(op, PadOp):
        return "kept", "a border that no window reads by itself"
    return _VIEWS[movement(op)]


_VIEWS: dict[Movement, tuple[Fate, str]] = {
    "reshape": ("folded", "the same elements in the same order"),
    "slice": ("folded", "read in place"),
    "transpose": ("kept", "its reader wants another order than its producer gives"),
    "broadcast": ("kept", "repeated where its reader cannot repeat it"),
    "gather": ("kept", "no chain of reshapes, slices and one transpose gives this order"),
}


def _has_border(op: Any) -> bool:
    return isinstance(op, (ConvOp, PoolOp)) and any(
        (*window_of(op).pad_low, *window_of(op).pad_high)
    )


def _border(op: Any, device: DeviceKind) -> Move:
    """The border of a window, which IREE would write into a padded copy of the input."""
    verdict = own_kernel(op, device)
    fate: Fate = "folded" if verdict.taken else "kept"
    size = 2 * result_bytes(op.input)
    return Move("border", place(op.location), size, True, fate, verdict.reason)


def settle(moves: Sequence[Move], table: Sequence[Work]) -> list[Move]:
    """``moves`` with only those kept at whose line a kernel only moves elements."""
    left: dict[str, int] = {}
    for work in table:
        if work.kind in LAYOUT_KINDS and work.location is not None:
            left[work.location] = left.get(work.location, 0) + work.bytes
    return [_settled(move, left.get(move.at.partition(" (")[0])) for move in moves]


def _settled(move: Move, bytes_left: int | None) -> Move:
    if move.fate != "kept":
        return move
    if bytes_left is None:
        return replace(move, fate="folded", reason="part of the kernel that makes or reads it")
    return replace(move, bytes_after=bytes_left)


def as_json(moves: Sequence[Move]) -> list[dict[str, Any]]:
    """Rows for ``report.json``."""
    return [asdict(move) for move in moves]
