"""Addresses in the arena: stays that overlap in time must not overlap in memory.

This is dynamic storage allocation: first fit in a few orders. Between weights of like sizes, as
models have them, little is lost.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from smartmem.passes.streaming.plan import Residency
from smartmem.passes.streaming.problem import Problem


@dataclass(frozen=True, slots=True)
class _Box:
    """A stay as a rectangle: ticks ``first`` to ``last``, so many bytes."""

    number: int
    first: int
    last: int
    size: int


# In which order stays get their addresses; the best order wins.
_ORDERS: tuple[Callable[[_Box], tuple[int, ...]], ...] = (
    lambda box: (box.first, -box.size),
    lambda box: (-box.size, box.first),
    lambda box: (box.first - box.last, -box.size),
    lambda box: (-box.size * (box.last - box.first), box.first),
)


def pack(problem: Problem, stays: Sequence[Residency]) -> tuple[tuple[Residency, ...], int]:
    """The stays with addresses, in the order of their first ticks, and the bytes they take."""
    ordered = sorted(stays, key=lambda stay: (stay.first_tick, stay.weight))
    boxes = [
        _Box(i, s.first_tick, s.last_tick, problem.by_name[s.weight].footprint_bytes)
        for i, s in enumerate(ordered)
    ]
    packed = (_place(sorted(boxes, key=order)) for order in _ORDERS)
    offsets, arena = min(packed, key=lambda result: result[1])
    return tuple(replace(s, offset=offsets[i]) for i, s in enumerate(ordered)), arena


def _place(boxes: Sequence[_Box]) -> tuple[dict[int, int], int]:
    """Each box in turn at the lowest address that is free all the time it needs."""
    placed: list[tuple[int, int, int, int]] = []
    offsets: dict[int, int] = {}
    for box in boxes:
        others = [
            (start, end)
            for start, end, first, last in placed
            if first <= box.last and box.first <= last
        ]
        offset = 0
        for start, end in sorted(others):
            if start - offset >= box.size:
                break
            offset = max(offset, end)
        offsets[box.number] = offset
        placed.append((offset, offset + box.size, box.first, box.last))
    return offsets, max((end for _, end, _, _ in placed), default=0)
