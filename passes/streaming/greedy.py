"""A schedule by one rule: from the last step back, each load as late as it can be hidden.

Loads are jobs with deadlines on one channel; filling the latest free time first, latest deadline
first, hides all of them if any order does, were memory no matter. Late loads also keep arrivals
short, so it takes little memory. Where memory or time runs out, the rest of the weight is loaded in
the gap before its step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from smartmem.passes.streaming.plan import Load, Residency
from smartmem.passes.streaming.problem import Problem, Weight
from smartmem.passes.streaming.room import (
    Room,
    chunk_cost_bytes,
    chunks_of,
    earliest_tick,
    loads_of,
    previous_use,
)

# How many steps ahead of its use a weight may be loaded. On a problem of GPTNeo-2.7B's size no plan
# got faster with more.
LOOK_AHEAD_STEPS = 32


def schedule(
    problem: Problem, pinned: frozenset[str], arena_bytes: int, patience: int | None = None
) -> list[Residency] | None:
    """Stays of all weights that move, without addresses (offset 0); None where the arena is
    smaller than what one step reads.

    ``patience``: after how many steps without a use a weight is loaded again even where it could
    have stayed.
    """
    room = Room(problem, pinned, arena_bytes)
    if not room.is_enough:
        return None
    stays = Stays()
    for step in reversed(range(len(problem.steps))):
        serve(room, step, pinned, stays, patience)
    return stays.done


@dataclass
class Stays:
    """Residencies found so far, and the last use of those that have no loads yet."""

    done: list[Residency] = field(default_factory=list[Residency])
    last_use: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, weight: Weight, use: int, loads: Sequence[Load]) -> None:
        """The weight is loaded for ``use``, or (no loads) is still there from the one before."""
        last = self.last_use.setdefault(weight.name, use)
        if loads:
            self.done.append(Residency(weight.name, 0, last, tuple(loads)))
            del self.last_use[weight.name]


def moving(problem: Problem, step: int, pinned: frozenset[str]) -> list[Weight]:
    """The weights a step reads that are not pinned, the largest first."""
    row = [w for w in problem.read_by[step] if w.name not in pinned and not w.must_stay]
    return sorted(row, key=lambda w: (-w.size_bytes, w.name))


def serve(
    room: Room, step: int, pinned: frozenset[str], stays: Stays, patience: int | None
) -> None:
    """Bring what one step reads; all later steps are served already."""
    for weight in moving(room.problem, step, pinned):
        before = previous_use(weight, step)
        if before is not None and _waits(room, weight, before, step, patience):
            stays.add(weight, step, ())
        else:
            stays.add(weight, step, _late_loads(room, weight, step, earliest_tick(before)))


def _waits(room: Room, weight: Weight, before: int, step: int, patience: int | None) -> bool:
    """Keeps the weight in the arena between two uses, where that is possible and wanted."""
    between = range(2 * before + 2, 2 * step)
    if patience is not None and step - before > patience:
        return False
    if not room.fits(weight, between):
        return False
    room.take(weight, between, ())
    return True


def _late_loads(room: Room, weight: Weight, step: int, floor: int) -> list[Load]:
    """Loads for a use at ``step``, none before tick ``floor``; takes the room they need."""
    problem = room.problem
    cost = chunk_cost_bytes(problem, weight)
    left = chunks_of(problem, weight)
    parts: list[tuple[int, int]] = []
    for tick in range(2 * step - 1, max(floor, 2 * (step - LOOK_AHEAD_STEPS)) - 1, -1):
        if not left or room.memory[tick] < weight.footprint_bytes:
            break
        count = min(left, room.capacity[tick // 2] // cost) if tick % 2 else 0
        if count:
            parts.append((tick, count))
            left -= count
    if left:
        parts.append((2 * step, left))
    loads = loads_of(problem, weight, parts)
    room.take(weight, range(loads[0].tick, 2 * step), loads)
    return loads
