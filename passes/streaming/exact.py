"""The schedule as a constraint problem: FlashMem's OPG (section 3.1), for OR-Tools CP-SAT.

For a weight w that moves, read at step i, and the ticks t before it:

    live[w, t]     its place is taken from t on         live[w, t] => live[w, t + 1]
    count[w, t]    chunks loaded during the step of t   count[w, t] > 0 => live[w, t]      (C1)
    exposed[w]     chunks loaded in the gap before i
    kept[w]        it is still there from its use before
    sum(count) + exposed = chunks, or 0 where kept                                         (C0)
    at every tick, the bytes of what is live fit what is free of the arena                 (C2)
    at every step, the bytes loaded fit what can be hidden behind it                       (C3)
    minimise exposed bytes first, then byte-ticks in memory

Differences from the paper: exposed loads take the place of its relaxed capacity, so that a budget
that fits has a plan always; residency is bounded, not what moves at a time; a weight goes straight
to its place, so unified and texture memory are one.

The window rolls from the last step back, each window with what the later ones left free, and the
greedy schedule as a hint: what the solver does not better in its time stays greedy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from smartmem.passes.streaming.greedy import Stays, moving, serve
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

# So many steps that a window of a transformer holds about one block: some hundred decisions.
_WINDOW_STEPS = 16
# How many steps ahead of its use a weight may be loaded; the greedy schedule looks further.
_LOOK_AHEAD_STEPS = 12
# A byte exposed is worth so many byte-ticks of memory: more than a weight ever waits.
_EXPOSED_WEIGHT = 8 * _LOOK_AHEAD_STEPS
# Sizes in the objective, so that sums stay far below 2^63.
_UNIT_BYTES = 256


@dataclass(frozen=True)
class Solved:
    """``proven``: each window was solved to its optimum."""

    stays: list[Residency]
    proven: bool


def schedule(
    problem: Problem,
    pinned: frozenset[str],
    arena_bytes: int,
    patience: int | None,
    seconds: float,
) -> Solved | None:
    """As ``greedy.schedule``, but no window worse than it is, within about ``seconds`` in all.

    The limit is the solver's deterministic time, close to seconds: the same problem gives the same
    schedule everywhere.
    """
    room = Room(problem, pinned, arena_bytes)
    if not room.is_enough:
        return None
    stays, proven = Stays(), True
    starts = range(0, len(problem.steps), _WINDOW_STEPS)
    for start in reversed(starts):
        steps = range(start, min(start + _WINDOW_STEPS, len(problem.steps)))
        jobs = _solve(room, steps, pinned, seconds / len(starts))
        if jobs is None or _exposed(jobs) > _greedy_exposed(room, steps, pinned, patience):
            proven = False
            for step in reversed(steps):
                serve(room, step, pinned, stays, patience)
            continue
        proven = proven and all(job.proven for job in jobs)
        for job in jobs:
            room.take(job.weight, job.ticks, job.loads)
            stays.add(job.weight, job.use, job.loads)
    return Solved(stays.done, proven)


@dataclass(frozen=True)
class _Job:
    """One use of a weight and how it is served: no loads where the weight waited for it."""

    weight: Weight
    use: int
    ticks: range
    loads: tuple[Load, ...]
    proven: bool


def _exposed(jobs: Sequence[_Job]) -> int:
    return sum(load.size_bytes for job in jobs for load in job.loads if load.is_exposed)


def _greedy_exposed(room: Room, steps: range, pinned: frozenset[str], patience: int | None) -> int:
    trial, stays = room.copy(), Stays()
    for step in reversed(steps):
        serve(trial, step, pinned, stays, patience)
    return sum(load.size_bytes for r in stays.done for load in r.loads if load.is_exposed)


class _Variables:
    """The decisions about one use of a weight."""

    def __init__(self, model: Any, room: Room, weight: Weight, use: int) -> None:
        self.weight, self.use = weight, use
        problem = room.problem
        self.chunks, self.cost = chunks_of(problem, weight), chunk_cost_bytes(problem, weight)
        before = previous_use(weight, use)
        floor = earliest_tick(before)
        ticks: list[int] = []
        for tick in range(2 * use - 1, max(floor, 2 * (use - _LOOK_AHEAD_STEPS)) - 1, -1):
            if not room.fits(weight, (tick,)):
                break
            ticks.append(tick)
        name = f"{weight.name}:{use}"
        self.live = {t: model.new_bool_var(f"live {name} {t}") for t in ticks}
        self.count = {
            t: model.new_int_var(0, min(self.chunks, room.capacity[t // 2] // self.cost), "")
            for t in ticks
            if t % 2
        }
        self.exposed = model.new_int_var(0, self.chunks, f"exposed {name}")
        reaches = before is not None and len(ticks) == 2 * use - floor
        self.kept = model.new_bool_var(f"kept {name}") if reaches else 0
        for later, earlier in pairwise(ticks):
            model.add_implication(self.live[earlier], self.live[later])
        for tick, count in self.count.items():
            model.add(count <= self.chunks * self.live[tick])
        if reaches:
            for live in self.live.values():
                model.add_implication(self.kept, live)
        model.add(sum(self.count.values()) + self.exposed == self.chunks * (1 - self.kept))

    def job(self, solver: Any, problem: Problem, proven: bool) -> _Job:
        """What the solver decided."""
        if not isinstance(self.kept, int) and solver.boolean_value(self.kept):
            ticks = range(min(self.live, default=2 * self.use), 2 * self.use)
            return _Job(self.weight, self.use, ticks, (), proven)
        parts = [(t, int(solver.value(c))) for t, c in self.count.items() if solver.value(c)]
        exposed = int(solver.value(self.exposed))
        if exposed:
            parts.append((2 * self.use, exposed))
        loads = tuple(loads_of(problem, self.weight, parts))
        return _Job(self.weight, self.use, range(loads[0].tick, 2 * self.use), loads, proven)


def _solve(room: Room, steps: range, pinned: frozenset[str], seconds: float) -> list[_Job] | None:
    """Serves the steps of one window; None where the solver found nothing in its time.

    The jobs come in the order in which a weight's later use stands before its earlier ones.
    """
    from ortools.sat.python import cp_model

    model: Any = cp_model.CpModel()
    uses = [
        _Variables(model, room, weight, step)
        for step in reversed(steps)
        for weight in moving(room.problem, step, pinned)
    ]
    if not uses:
        return []
    for tick in sorted({t for use in uses for t in use.live}):
        taken = [u.weight.footprint_bytes * u.live[tick] for u in uses if tick in u.live]
        model.add(sum(taken) <= room.memory[tick])
    for tick in sorted({t for use in uses for t in use.count}):
        moved = [u.cost * u.count[tick] for u in uses if tick in u.count]
        model.add(sum(moved) <= room.capacity[tick // 2])
    model.minimize(
        sum(_EXPOSED_WEIGHT * -(-u.cost // _UNIT_BYTES) * u.exposed for u in uses)
        + sum(u.weight.footprint_bytes // _UNIT_BYTES * v for u in uses for v in u.live.values())
    )
    solver: Any = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = seconds
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    proven = status == cp_model.OPTIMAL
    return [use.job(solver, room.problem, proven) for use in uses]
