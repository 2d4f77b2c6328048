"""Steps become fewer and larger, and nothing else changes."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.passes.streaming.problems import chain, problems

from smartmem.passes.streaming.coarsen import coarsen, grouped
from smartmem.passes.streaming.problem import Problem


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problems(), st.integers(0, 400_000))
def test_what_a_plan_can_do_stays(problem: Problem, more_bytes: int) -> None:
    budget = problem.smallest_budget_bytes + more_bytes
    coarse = coarsen(problem, budget)
    assert sum(coarse.counts) == len(problem.steps)
    assert coarse.problem.total_bytes == problem.total_bytes
    assert abs(coarse.problem.compute_us - problem.compute_us) < 1e-6
    assert coarse.problem.smallest_budget_bytes <= budget
    assert grouped(problem, coarse.counts) == coarse


def test_steps_join_while_they_read_little() -> None:
    problem = chain([1024] * 8)
    assert coarsen(problem, 16 * 4096).counts == (4, 4)
    assert coarsen(problem, 4096).counts == (1,) * 8


def test_sections_stay_apart() -> None:
    problem = chain([1024] * 4)
    steps = (*problem.steps[:2], *(replace(step, section=1) for step in problem.steps[2:]))
    assert coarsen(replace(problem, steps=steps), 1 << 20).counts == (2, 2)
