"""Fewer, larger steps: a plan needs no more places to wait than its budget makes use of.

Every step of a plan is a submission of its own, so dispatches in a row become one step while what
they read together is a small part of the budget. A step that reads more by itself stays alone, so
the smallest feasible budget does not change.
"""

from dataclasses import dataclass, replace

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
    groups = _groups(problem, budget_bytes // _PARTS)
    step_of = [number for number, group in enumerate(groups) for _ in group]
    weights = tuple(
        replace(w, uses=tuple(dict.fromkeys(step_of[use] for use in w.uses)))
        for w in problem.weights
    )
    steps = tuple(_merged([problem.steps[number] for number in group]) for group in groups)
    counts = tuple(len(group) for group in groups)
    return Coarse(replace(problem, steps=steps, weights=weights), counts)


def _groups(problem: Problem, limit_bytes: int) -> list[list[int]]:
    groups: list[list[int]] = []
    read: set[str] = set()
    for number, row in enumerate(problem.read_by):
        together = read | {w.name for w in row}
        size = problem.moving_bytes([problem.by_name[name] for name in together])
        is_first = number == 0 or problem.steps[number].section != problem.steps[number - 1].section
        if is_first or (size > limit_bytes and row):
            groups.append([number])
            read = {w.name for w in row}
        else:
            groups[-1].append(number)
            read = together
    return groups


def _merged(steps: list[Step]) -> Step:
    """One step for several; it is called and counted as the one that takes longest."""
    longest = max(steps, key=lambda step: step.time_us)
    return replace(
        longest,
        time_us=sum(step.time_us for step in steps),
        capacity_bytes=sum(step.capacity_bytes for step in steps),
    )
