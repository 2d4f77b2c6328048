"""Fewer, larger steps: a plan needs no more places to wait than its budget makes use of.

Every step of a plan is a submission of its own, so dispatches in a row become one step while what
they read together is a small part of the budget. A step that reads more by itself stays alone, so
the smallest feasible budget does not change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from smartmem.passes.streaming.problem import Problem, Step

# A step reads at most this part of the budget, so that several are in memory at a time.
_PARTS = 16


@dataclass(frozen=True)
class Coarse:
    """The problem in larger steps; ``counts`` of the original ones are in each."""

    problem: Problem
    counts: tuple[int, ...]


def coarsen(problem: Problem, budget_bytes: int) -> Coarse:
    """Groups of steps of one section, each reading at most a sixteenth of the budget."""
    return grouped(problem, _counts(problem, budget_bytes // _PARTS))


def grouped(problem: Problem, counts: Sequence[int]) -> Coarse:
    """The first ``counts[0]`` steps as one, the next ``counts[1]`` as another, and so on."""
    step_of = [number for number, count in enumerate(counts) for _ in range(count)]
    weights = tuple(
        replace(w, uses=tuple(dict.fromkeys(step_of[use] for use in w.uses)))
        for w in problem.weights
    )
    originals = iter(problem.steps)
    steps = tuple(_merged(list(islice(originals, count))) for count in counts)
    return Coarse(replace(problem, steps=steps, weights=weights), tuple(counts))


def _counts(problem: Problem, limit_bytes: int) -> list[int]:
    """How many steps each group has."""
    counts: list[int] = []
    read: set[str] = set()
    for number, row in enumerate(problem.read_by):
        together = read | {w.name for w in row}
        size = problem.moving_bytes([problem.by_name[name] for name in together])
        is_first = number == 0 or problem.steps[number].section != problem.steps[number - 1].section
        if is_first or (size > limit_bytes and row):
            counts.append(1)
            read = {w.name for w in row}
        else:
            counts[-1] += 1
            read = together
    return counts


def _merged(steps: list[Step]) -> Step:
    """One step for several; it is called and counted as the one that takes longest."""
    longest = max(steps, key=lambda step: step.time_us)
    return replace(
        longest,
        time_us=sum(step.time_us for step in steps),
        capacity_bytes=sum(step.capacity_bytes for step in steps),
    )
