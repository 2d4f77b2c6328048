"""What our executor is told of streaming: times of commands, and the plan for one budget.

The schedule's commands are the dispatches, copies and fills of the problem's steps, in that order;
the plan's steps are its coarse ones. No addresses: weights may take more on a device, which places
them itself (``runtime/native/src/stream_place.cpp``).
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate

from smartmem.passes.streaming.problem import Problem
from smartmem.passes.streaming.record import Record
from smartmem.runtime.stream_file import GivenPlan, GivenStay, StreamFile


def told(problem: Problem, commands: int, keys: Mapping[str, str]) -> StreamFile | None:
    """The times of a schedule of so many commands; None where those are not the problem's steps.

    ``keys``: the archive's entry of each weight by its name.
    """
    if len(problem.steps) != commands or set(keys) != {w.name for w in problem.weights}:
        return None
    times_ns = tuple(round(1e3 * step.time_us) for step in problem.steps)
    return StreamFile(round(problem.read_bytes_per_s), times_ns)


def told_with_plan(record: Record, commands: int, keys: Mapping[str, str]) -> StreamFile | None:
    """The same with the record's plan, where anything moves by it."""
    found = told(record.problem, commands, keys)
    if found is None:
        return None
    stays = sorted(record.plan.residencies, key=lambda s: (s.first_tick, s.last_use, s.weight))
    uses = {w.name: w.uses for w in record.coarse.problem.weights}
    rows = tuple(
        GivenStay(
            keys[stay.weight],
            stay.first_tick // 2,
            _first_use(uses[stay.weight], stay.first_tick),
            stay.last_use,
        )
        for stay in stays
    )
    plan = GivenPlan(_starts(record.coarse.counts), rows) if rows else None
    return StreamFile(found.read_bytes_per_s, found.times_ns, record.budget_bytes, plan)


def _first_use(uses: Sequence[int], first_tick: int) -> int:
    """The first step that reads a weight whose loading begins at a tick."""
    return next(use for use in uses if 2 * use >= first_tick)


def _starts(counts: Sequence[int]) -> tuple[int, ...]:
    """The first command of each step."""
    return tuple(accumulate(counts[:-1], initial=0))
