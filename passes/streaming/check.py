"""Whether a plan does what it must, whoever made it.

Written from the rules alone: it walks the plan byte by byte and tick by tick, and shares no code
with the planners.

* Completeness (FlashMem's C0): when a step runs, every weight it reads is pinned or whole in the
  arena, and it is loaded once for each stay.
* Loading distance (C1): a weight has its place from its first load on, through its last use.
* Memory (C2): pinned weights and arena fit the budget, stays fit the arena, and no two of them
  share a byte at one tick. This bounds what is in memory, not only what is moved at a time.
* Load capacity (C3) and the file's bandwidth: what moves during a step is hidden behind it.
"""

from collections.abc import Iterator
from itertools import pairwise

from smartmem.passes.streaming.plan import Plan, Residency
from smartmem.passes.streaming.problem import ALIGNMENT_BYTES, Problem, Weight


def violations(problem: Problem, plan: Plan, budget_bytes: int) -> list[str]:
    """What is wrong with the plan, in words; empty where nothing is."""
    return [
        *_pins(problem, plan),
        *_loads(problem, plan),
        *_reads(problem, plan),
        *_memory(problem, plan, budget_bytes),
        *_capacity(problem, plan),
    ]


def _pins(problem: Problem, plan: Plan) -> Iterator[str]:
    known = {w.name for w in problem.weights}
    for name in plan.pinned:
        if name not in known:
            yield f"{name} is pinned, but no weight"
    if len(set(plan.pinned)) != len(plan.pinned):
        yield "a weight is pinned twice"
    for weight in problem.weights:
        if weight.must_stay and weight.name not in plan.pinned:
            yield f"{weight.name} must stay, but is not pinned"


def _loads(problem: Problem, plan: Plan) -> Iterator[str]:
    """Each stay loads every byte once, in time, in chunks."""
    for stay in plan.residencies:
        weight = _weight(problem, stay)
        if weight is None:
            yield f"{stay.weight} is streamed, but no weight"
            continue
        if stay.weight in plan.pinned:
            yield f"{stay.weight} is both pinned and streamed"
        first_use = next((u for u in weight.uses if 2 * u + 1 > stay.first_tick), None)
        position = 0
        for load in sorted(stay.loads, key=lambda item: item.start):
            if load.start != position or load.size_bytes <= 0:
                yield f"{stay.weight}: byte {position} is loaded never or twice"
            if load.start % problem.chunk_bytes:
                yield f"{stay.weight}: a load starts at {load.start}, inside a chunk"
            if load.tick < stay.first_tick or load.tick < 0:
                yield f"{stay.weight}: loaded before it has a place"
            if first_use is None or load.tick > 2 * first_use:
                yield f"{stay.weight}: loaded at tick {load.tick}, too late for its use"
            position = load.start + load.size_bytes
        if position != weight.size_bytes:
            yield f"{stay.weight}: {position} of {weight.size_bytes} bytes are loaded"


def _reads(problem: Problem, plan: Plan) -> Iterator[str]:
    stays: dict[str, list[Residency]] = {}
    for stay in plan.residencies:
        stays.setdefault(stay.weight, []).append(stay)
    for weight in problem.weights:
        if weight.name in plan.pinned:
            continue
        for use in weight.uses:
            at = 2 * use + 1
            there = [s for s in stays.get(weight.name, ()) if s.first_tick < at <= s.last_tick]
            if len(there) != 1:
                yield f"step {use} reads {weight.name}, which is there {len(there)} times"


def _memory(problem: Problem, plan: Plan, budget_bytes: int) -> Iterator[str]:
    pinned = sum(w.footprint_bytes for w in problem.weights if w.name in plan.pinned)
    if pinned + plan.arena_bytes > budget_bytes:
        yield f"{pinned + plan.arena_bytes} bytes in memory, over the budget of {budget_bytes}"
    known = [(stay, w) for stay in plan.residencies if (w := _weight(problem, stay))]
    for stay, weight in known:
        if stay.offset < 0 or stay.offset + weight.footprint_bytes > plan.arena_bytes:
            yield f"{stay.weight} lies outside the arena"
        if stay.offset % ALIGNMENT_BYTES:
            yield f"{stay.weight} lies at {stay.offset}, not aligned"
    for tick in range(2 * len(problem.steps)):
        live = sorted(
            (stay.offset, stay.offset + weight.footprint_bytes, stay.weight)
            for stay, weight in known
            if stay.first_tick <= tick <= stay.last_tick
        )
        for (_, end, one), (start, _, other) in pairwise(live):
            if start < end:
                yield f"{one} and {other} share memory at tick {tick}"


def _capacity(problem: Problem, plan: Plan) -> Iterator[str]:
    loads = [load for stay in plan.residencies for load in stay.loads]
    for step, facts in enumerate(problem.steps):
        moved = sum(load.size_bytes for load in loads if load.tick == 2 * step + 1)
        if moved > facts.capacity_bytes:
            yield f"{moved} bytes during step {step}, whose capacity is {facts.capacity_bytes}"
        if moved * 1e6 > facts.time_us * problem.read_bytes_per_s:
            yield f"{moved} bytes during step {step}, more than the file gives in its time"


def _weight(problem: Problem, stay: Residency) -> Weight | None:
    return next((w for w in problem.weights if w.name == stay.weight and stay.loads), None)
