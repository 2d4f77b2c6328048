"""The plan for a budget: the fastest run whose weight memory never exceeds it.

The budget is hard, time is soft. Pinned weights and an arena share the budget: what is pinned need
not be loaded again, what is arena lets loads run ahead. So arenas of several sizes are tried, the
rest of the budget pinned where loads are exposed; then the solver betters the best of them.
FlashMem's tiers are in it: exposed loads are its relaxed capacity (tier 1), pinning what is exposed
its incremental preload (tier 2), the greedy schedule its last resort (tier 3).
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from smartmem.errors import UserError
from smartmem.passes.streaming import exact, greedy, naive
from smartmem.passes.streaming.check import violations
from smartmem.passes.streaming.packing import pack
from smartmem.passes.streaming.plan import Plan, Residency
from smartmem.passes.streaming.problem import Problem, Weight

# Arenas tried: the budget, and each time this much less of it.
_ARENA_STEP = 1.5
_ARENAS = 10
# In each round of pinning, so much of what is exposed is pinned; then the schedule is made anew.
_PINS_PER_ROUND = 1 / 6
_PIN_ROUNDS = 16
# Steps after which a weight that is read again is loaded again; None: it stays where it can.
_PATIENCE = (4, None)
# Tries to make a schedule fit the addresses of its arena, each in a smaller one.
_PACKINGS = 6
SOLVER_SECONDS = 20.0


@dataclass(frozen=True)
class Planned:
    """A plan, its predicted latency, and the least that any plan for this budget could have.

    ``proven``: nothing is exposed, or no window of the schedule can be bettered with these weights
    pinned.
    """

    plan: Plan
    latency_us: float
    bound_us: float
    proven: bool
    seconds: float

    @property
    def gap(self) -> float:
        """How much slower the plan is than the bound, as a fraction of it."""
        return self.latency_us / self.bound_us - 1 if self.bound_us else 0.0


@dataclass(frozen=True)
class _Choice:
    """A plan with what the solver needs to better it."""

    plan: Plan
    patience: int | None


def plan(problem: Problem, budget_bytes: int, solver_seconds: float = SOLVER_SECONDS) -> Planned:
    """The best plan found; the checker has passed it. Without ``solver_seconds`` the greedy one.

    Raises UserError for a budget below the smallest feasible one, which it names.
    """
    check_budget(problem, budget_bytes)
    started = time.perf_counter()
    proven = True
    if problem.total_bytes <= budget_bytes:
        best = naive.load_all(problem)
    else:
        choice = _greedy(problem, budget_bytes)
        best, proven = choice.plan, not choice.plan.exposed_bytes
        if solver_seconds > 0:
            best, proven = _bettered(problem, budget_bytes, choice, solver_seconds)
    wrong = violations(problem, best, budget_bytes)
    if wrong:
        raise AssertionError(f"the {best.planner} planner made a wrong plan: {wrong[0]}")
    seconds = time.perf_counter() - started
    return Planned(best, best.latency_us(problem), bound_us(problem, budget_bytes), proven, seconds)


def check_budget(problem: Problem, budget_bytes: int) -> None:
    """Raises UserError for a budget that no plan can keep."""
    smallest = problem.smallest_budget_bytes
    if budget_bytes < smallest:
        raise UserError(
            f"a budget of {budget_bytes} bytes is too small for the weights of this model: the "
            f"smallest feasible budget is {smallest} bytes, since one step reads that much",
            hint=f"Give at least {-(-smallest // 1024)}KiB.",
        )


def bound_us(problem: Problem, budget_bytes: int) -> float:
    """What no run can beat: the bytes over the budget must be loaded in each run, and only so many
    can be hidden.
    """
    over = sum(w.size_bytes for w in problem.weights) - budget_bytes
    hidden = sum(problem.hideable_bytes(step) for step in range(len(problem.steps)))
    return problem.compute_us + problem.read_us(max(0, over - hidden))


def _cost(problem: Problem, candidate: Plan) -> tuple[float, int, int]:
    """Faster first; then moving less; then the smaller one."""
    return candidate.latency_us(problem), candidate.streamed_bytes, candidate.peak_bytes(problem)


def _greedy(problem: Problem, budget_bytes: int) -> _Choice:
    """The best over arenas and patience; loading just in time fits any feasible budget."""
    last_resort = naive.just_in_time(problem)
    choices = [_Choice(_filled(problem, last_resort, budget_bytes), 0)]
    is_reread = any(len(w.uses) > 1 for w in problem.weights)
    choices += [
        choice
        for patience in (_PATIENCE if is_reread else _PATIENCE[:1])
        for arena in _arenas(problem, budget_bytes)
        if (choice := _pinned_up(problem, budget_bytes, arena, patience)) is not None
    ]
    return min(choices, key=lambda choice: _cost(problem, choice.plan))


def _arenas(problem: Problem, budget_bytes: int) -> Iterator[int]:
    fixed = sum(w.footprint_bytes for w in problem.weights if w.must_stay)
    most = budget_bytes - fixed
    yield from (int(most / _ARENA_STEP**power) for power in range(_ARENAS))


def _pinned_up(
    problem: Problem, budget_bytes: int, arena: int, patience: int | None
) -> _Choice | None:
    """Pins what the arena cannot hold, then what is exposed, as far as the budget goes."""
    pinned = _forced(problem, arena)
    best: Plan | None = None
    for _ in range(_PIN_ROUNDS):
        left = budget_bytes - arena - _footprint(problem, pinned)
        if left < 0:
            break
        stays = greedy.schedule(problem, pinned, arena, patience)
        if stays is None:
            break
        # Addresses are dear to find and change no latency: only where they may be wanted.
        if best is None or _exposed_bytes(stays) < best.exposed_bytes:
            best = _addressed(problem, pinned, stays, arena, patience) or best
        more = _to_pin(problem, stays, left)
        if not more:
            break
        pinned |= more
    return None if best is None else _Choice(_filled(problem, best, budget_bytes), patience)


def _exposed_bytes(stays: Sequence[Residency]) -> int:
    return sum(load.size_bytes for s in stays for load in s.loads if load.is_exposed)


def _footprint(problem: Problem, names: frozenset[str]) -> int:
    return sum(problem.by_name[name].footprint_bytes for name in names)


def _forced(problem: Problem, arena: int) -> frozenset[str]:
    """What must stay, and the largest weights of the steps that read more than the arena."""
    pinned = {w.name for w in problem.weights if w.must_stay}
    for row in problem.read_by:
        largest = sorted(
            (w for w in row if w.name not in pinned), key=lambda w: (w.footprint_bytes, w.name)
        )
        while sum(w.footprint_bytes for w in largest) > arena:
            pinned.add(largest.pop().name)
    return frozenset(pinned)


def _to_pin(problem: Problem, stays: Sequence[Residency], left: int) -> frozenset[str]:
    """Some of the weights with the largest exposed share, spread over the model, that fit."""
    exposed: dict[str, int] = {}
    for stay in stays:
        exposed[stay.weight] = exposed.get(stay.weight, 0) + _exposed_bytes([stay])

    def share(weight: Weight) -> float:
        return exposed[weight.name] / weight.footprint_bytes

    able = [problem.by_name[n] for n, size in exposed.items() if size]
    able = [w for w in able if w.footprint_bytes <= left]
    if not able:
        return frozenset()
    most = max(share(w) for w in able)
    group = sorted((w for w in able if share(w) >= 0.9 * most), key=lambda w: (w.uses, w.name))
    stride = max(1, round(1 / _PINS_PER_ROUND)) if len(group) > 1 / _PINS_PER_ROUND else 1
    chosen: set[str] = set()
    for weight in group[::stride]:
        if weight.footprint_bytes <= left:
            chosen.add(weight.name)
            left -= weight.footprint_bytes
    return frozenset(chosen)


def _addressed(
    problem: Problem,
    pinned: frozenset[str],
    stays: Sequence[Residency],
    arena: int,
    patience: int | None,
) -> Plan | None:
    """The schedule with addresses inside ``arena``: where they do not fit, it is made anew with
    less memory. None where that did not help.
    """
    limit = arena
    for _ in range(_PACKINGS):
        placed, needed = pack(problem, stays)
        if needed <= arena:
            names = tuple(w.name for w in problem.weights if w.name in pinned)
            return Plan("greedy", names, placed, needed)
        limit -= max(needed - arena, arena // 16)
        again = greedy.schedule(problem, pinned, limit, patience)
        if again is None:
            return None
        stays = again
    return None


def _filled(problem: Problem, candidate: Plan, budget_bytes: int) -> Plan:
    """Pins more, the largest first, as long as the budget has room: what stays need not move."""
    left = budget_bytes - candidate.peak_bytes(problem)
    pinned = set(candidate.pinned)
    for weight in sorted(problem.weights, key=lambda w: (-w.size_bytes, w.name)):
        if weight.name not in pinned and weight.footprint_bytes <= left:
            pinned.add(weight.name)
            left -= weight.footprint_bytes
    stays = [s for s in candidate.residencies if s.weight not in pinned]
    placed, arena = pack(problem, stays)
    if arena > candidate.arena_bytes:
        placed, arena = tuple(stays), candidate.arena_bytes
    names = tuple(w.name for w in problem.weights if w.name in pinned)
    return Plan(candidate.planner, names, placed, arena)


def _bettered(
    problem: Problem, budget_bytes: int, choice: _Choice, seconds: float
) -> tuple[Plan, bool]:
    """The solver's schedule for the same pins, where it is better and its addresses fit."""
    held = choice.plan
    limit = budget_bytes - held.pinned_bytes(problem)
    solved = exact.schedule(problem, frozenset(held.pinned), limit, choice.patience, seconds)
    if solved is None:
        return held, not held.exposed_bytes
    placed, needed = pack(problem, solved.stays)
    found = Plan("cp-sat", held.pinned, placed, needed)
    if needed <= limit and _cost(problem, found) < _cost(problem, held):
        return found, solved.proven
    return held, not held.exposed_bytes
