"""What is free while a schedule is made: arena bytes at each tick, load capacity of each step.

Every weight that moves has its place kept during the steps that read it, and in the gaps before
them, from the start. So whatever is taken besides, each step's weights can still be loaded just
before it.
"""

from collections.abc import Iterable
from copy import copy

from smartmem.passes.streaming.plan import Load
from smartmem.passes.streaming.problem import Problem, Weight


class Room:
    """Free bytes by tick and free load capacity by step."""

    def __init__(self, problem: Problem, pinned: frozenset[str], arena_bytes: int) -> None:
        self.problem = problem
        moving = [problem.moving_bytes(row, pinned) for row in problem.read_by]
        self.memory = [arena_bytes - size for size in moving for _ in range(2)]
        self.capacity = [problem.hideable_bytes(step) for step in range(len(problem.steps))]

    @property
    def is_enough(self) -> bool:
        """Whether each step's own weights fit."""
        return min(self.memory, default=0) >= 0

    def fits(self, weight: Weight, ticks: Iterable[int]) -> bool:
        """Whether the weight can be there at all these ticks besides what is."""
        return all(self.memory[tick] >= weight.footprint_bytes for tick in ticks)

    def take(self, weight: Weight, ticks: Iterable[int], loads: Iterable[Load]) -> None:
        """Give the weight its place at ``ticks``, and its loads their capacity."""
        for tick in ticks:
            self.memory[tick] -= weight.footprint_bytes
        for load in loads:
            if not load.is_exposed:
                self.capacity[load.tick // 2] -= load.size_bytes

    def copy(self) -> "Room":
        """The same room, to try something in."""
        other = copy(self)
        other.memory, other.capacity = list(self.memory), list(self.capacity)
        return other


def chunks_of(problem: Problem, weight: Weight) -> int:
    """In how many parts a weight can be loaded; the last may be smaller."""
    return -(-weight.size_bytes // problem.chunk_bytes)


def chunk_cost_bytes(problem: Problem, weight: Weight) -> int:
    """The size of its chunks; the last one counts as a whole one."""
    return min(problem.chunk_bytes, weight.size_bytes)


def loads_of(problem: Problem, weight: Weight, chunks: Iterable[tuple[int, int]]) -> list[Load]:
    """Loads of so many chunks at such ticks: bytes follow each other as the ticks do."""
    loads: list[Load] = []
    start = 0
    for tick, count in sorted(chunks):
        end = min(start + count * problem.chunk_bytes, weight.size_bytes)
        loads.append(Load(tick, start, end - start))
        start = end
    return loads


def previous_use(weight: Weight, use: int) -> int | None:
    """The use before this one."""
    position = weight.uses.index(use)
    return weight.uses[position - 1] if position else None


def earliest_tick(before: int | None) -> int:
    """From when a weight can be loaded, whose use before this one was at ``before``."""
    return 0 if before is None else 2 * before + 2
