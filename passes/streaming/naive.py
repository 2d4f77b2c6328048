"""Plans that need no planning, to compare with: they take the memory they take.

FlashMem compares itself with the last two (section 5); the second is what always fits.
"""

from collections.abc import Callable
from dataclasses import replace

from smartmem.passes.streaming.packing import pack
from smartmem.passes.streaming.plan import Plan, Residency
from smartmem.passes.streaming.problem import Problem, Weight
from smartmem.passes.streaming.room import chunk_cost_bytes, chunks_of, loads_of


def load_all(problem: Problem) -> Plan:
    """Every weight stays: what all other engines do."""
    return Plan("load-all", tuple(w.name for w in problem.weights), (), 0)


def just_in_time(problem: Problem) -> Plan:
    """Each step's weights are loaded in the gap before it: the slowest, and the least memory."""
    return _prefetch(problem, "just-in-time", lambda _: -1)


def next_layer(problem: Problem) -> Plan:
    """Each step loads what the next one reads."""
    return _prefetch(problem, "next-layer", lambda step: step - 1)


def same_kind(problem: Problem) -> Plan:
    """Each step loads what the next step of its own kind reads."""

    def previous(step: int) -> int:
        kind = problem.steps[step].kind
        return next((s for s in reversed(range(step)) if problem.steps[s].kind == kind), -1)

    return _prefetch(problem, "same-kind", previous)


def _prefetch(problem: Problem, name: str, starter: Callable[[int], int]) -> Plan:
    """Loads for a step begin at ``starter(step)``, and are done before the step, wherever."""
    capacity = [problem.hideable_bytes(step) for step in range(len(problem.steps))]
    stays: list[Residency] = []
    for step, row in enumerate(problem.read_by):
        for weight in (w for w in row if not w.must_stay):
            first = starter(step)
            if first >= 0 and _is_there(weight, first, step):
                stays[:] = [_extended(s, weight, first, step) for s in stays]
                continue
            cost, left = chunk_cost_bytes(problem, weight), chunks_of(problem, weight)
            hidden = min(left, capacity[first] // cost) if first >= 0 else 0
            parts = [(2 * first + 1, hidden)] if hidden else []
            if left > hidden:
                parts.append((2 * step, left - hidden))
            if hidden:
                capacity[first] -= hidden * cost
            stays.append(Residency(weight.name, 0, step, tuple(loads_of(problem, weight, parts))))
    placed, arena = pack(problem, stays)
    pinned = tuple(w.name for w in problem.weights if w.must_stay)
    return Plan(name, pinned, placed, arena)


def _is_there(weight: Weight, first: int, step: int) -> bool:
    """Whether the weight was read at or after ``first`` already, so that it is there."""
    return any(first <= use < step for use in weight.uses)


def _extended(stay: Residency, weight: Weight, first: int, step: int) -> Residency:
    """The stay, through ``step`` where it is this weight's last one."""
    last = max(use for use in weight.uses if use < step)
    is_last = stay.weight == weight.name and stay.last_use == last and last >= first
    return replace(stay, last_use=step) if is_last else stay
