"""What our executor is told: every weight is there when a step of the plan reads it."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.passes.streaming.problems import chain, problems

from smartmem.passes.streaming.for_executor import told, told_with_plan
from smartmem.passes.streaming.problem import Problem
from smartmem.passes.streaming.record import plan_for
from smartmem.runtime.budget import Budget


def keys(problem: Problem) -> dict[str, str]:
    return {w.name: f"key of {w.name}" for w in problem.weights}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problems(), st.floats(0.0, 1.0))
def test_a_plan_keeps_its_promises(problem: Problem, share: float) -> None:
    least, most = problem.smallest_budget_bytes, problem.total_bytes
    budget = Budget(size_bytes=round(least + share * (most - least)))
    made = plan_for(problem, budget, solver_seconds=0.1)
    found = told_with_plan(made, len(problem.steps), keys(problem))
    assert found is not None and found.budget_bytes == made.budget_bytes
    if found.plan is None:
        assert made.plan.streamed_bytes == 0
        return
    starts = [*found.plan.steps, len(problem.steps)]
    assert starts[0] == 0 and starts == sorted(set(starts))
    order = [stay.start for stay in found.plan.stays]
    assert order == sorted(order)
    moving = {stay.weight for stay in found.plan.stays}
    for weight in problem.weights:
        key = keys(problem)[weight.name]
        if key not in moving:
            assert weight.name in made.plan.pinned
            continue
        for use in weight.uses:
            step = next(i for i in range(len(starts)) if starts[i] <= use < starts[i + 1])
            there = [
                s
                for s in found.plan.stays
                if s.weight == key and s.start <= s.first <= step <= s.last
            ]
            assert len(there) == 1


def test_times_are_of_the_commands_or_not_told() -> None:
    problem = chain([1000, 2000], time_us=12.5)
    found = told(problem, 2, keys(problem))
    assert found is not None and found.times_ns == (12500, 12500) and found.budget_bytes == 0
    assert json.loads(found.encode())["plan"] == {}
    assert told(problem, 3, keys(problem)) is None
    # A weight that is a part of an entry has no name of its own there.
    assert told(problem, 2, {"w0": "w0"}) is None
