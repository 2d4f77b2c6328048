"""Another shape for a workgroup, where a target's drivers are known to break the one at hand.

Drivers for Adreno are reported to give wrong numbers now and then for tiled products in workgroups
of 8x8 and 4x16, and right ones for other shapes of as many threads (docs/android.md). Which shapes
a target avoids stands in its file; here is what is done instead: the same loops, dealt otherwise.

    8 x 8 threads, each holds 4 columns and 4 rows   ==>   16 x 4, 4 columns and 4 rows each
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import prod

# Threads in x, y, z.
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Dealt:
    """A loop of the result: its trip count, how many iterations a thread holds, and the threads."""

    extent: int
    held: int
    threads: int


def shape_of(loops: Sequence[Dealt]) -> Shape:
    """The workgroup whose x, y, z these loops are, the innermost first."""
    x, y, z = (*(loop.threads for loop in loops), 1, 1, 1)[:3]
    return x, y, z


def redeal(loops: Sequence[Dealt], avoided: Collection[Shape]) -> tuple[Dealt, ...] | None:
    """``loops`` (innermost first, at most three) in a shape that is not avoided; None where there
    is none.

    A tile divides its loop afterwards as it did before, and the innermost loop, whose iterations
    are the lanes of vectors, is held as it was. As many threads as can be, no more than before;
    among those the most held by each, and the most along x. Where a tile leaves a rest, or is
    larger than its loop, only its threads become fewer.
    """
    most = prod(loop.threads for loop in loops)
    found = (
        dealt for dealt in _combined(loops, most, innermost=True) if shape_of(dealt) not in avoided
    )
    return max(found, key=_worth, default=None)


def _worth(loops: Sequence[Dealt]) -> tuple[int, ...]:
    threads = [loop.threads for loop in loops]
    return prod(threads), prod(loop.held for loop in loops), *threads


def _combined(
    loops: Sequence[Dealt], most: int, *, innermost: bool = False
) -> Iterator[tuple[Dealt, ...]]:
    if not loops:
        yield ()
        return
    for first in _ways(loops[0], most, keeps=innermost):
        for rest in _combined(loops[1:], most // first.threads):
            yield first, *rest


def _ways(loop: Dealt, most: int, *, keeps: bool) -> Iterator[Dealt]:
    """How a loop can be dealt to at most ``most`` threads; ``keeps``: with what a thread holds."""
    has_rest = loop.extent % (loop.held * loop.threads) != 0
    whole = loop.held * loop.threads if has_rest else loop.extent
    for held in (n for n in range(1, loop.held + 1) if loop.held % n == 0):
        if (keeps or has_rest) and held != loop.held:
            continue
        for threads in range(1, min(most, whole // held) + 1):
            if whole % (held * threads) == 0:
                yield Dealt(loop.extent, held, threads)
