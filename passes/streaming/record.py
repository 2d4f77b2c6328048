"""A plan together with what it was made for: what ``plan.json`` keeps, and what is shown of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from smartmem.passes.streaming import naive
from smartmem.passes.streaming.coarsen import Coarse, coarsen, grouped
from smartmem.passes.streaming.plan import Plan
from smartmem.passes.streaming.planner import SOLVER_SECONDS, Planned, check_budget, plan
from smartmem.passes.streaming.problem import Problem
from smartmem.runtime.budget import Budget

# What the trade-off curve shows, in shares of the way from the smallest budget to all weights.
_CURVE = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
# Those of them that are measured: each is a model to be written.
_MEASURED = (0.0, 0.1, 0.2, 0.5, 1.0)
# Of a run with the budget that ``auto`` chooses over one with all weights in memory.
_AUTO_SLOWDOWN = 1.5
# The solver's part of a point of the curve: the greedy plan is within a few per cent.
_CURVE_SECONDS = 0.5


@dataclass(frozen=True)
class Record:
    """``problem`` has a step for each dispatch; ``coarse`` is what was planned."""

    problem: Problem
    budget_bytes: int
    coarse: Coarse
    planned: Planned

    @property
    def plan(self) -> Plan:
        return self.planned.plan

    def to_json(self) -> dict[str, Any]:
        """Plain data, the same for the same model: how long planning took is not in it."""
        return {
            "budget_bytes": self.budget_bytes,
            "counts": list(self.coarse.counts),
            "proven": self.planned.proven,
            "bound_us": self.planned.bound_us,
            "plan": self.plan.to_json(),
            "problem": self.problem.to_json(),
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Record":
        """The record that ``to_json`` wrote."""
        problem = Problem.from_json(data["problem"])
        coarse = grouped(problem, data["counts"])
        made = Plan.from_json(data["plan"])
        latency = made.latency_us(coarse.problem)
        planned = Planned(made, latency, data["bound_us"], data["proven"], 0.0)
        return Record(problem, data["budget_bytes"], coarse, planned)

    def summary(self) -> dict[str, Any]:
        """The numbers of a plan."""
        problem, made = self.coarse.problem, self.plan
        return {
            "budget_bytes": self.budget_bytes,
            "smallest_budget_bytes": self.problem.smallest_budget_bytes,
            "weights_bytes": problem.total_bytes,
            "peak_weight_bytes": made.peak_bytes(problem),
            "pinned_bytes": made.pinned_bytes(problem),
            "arena_bytes": made.arena_bytes,
            "streamed_bytes": made.streamed_bytes,
            "exposed_bytes": made.exposed_bytes,
            "predicted_us": self.planned.latency_us,
            "predicted_preloaded_us": problem.compute_us,
            "bound_us": self.planned.bound_us,
            "gap": self.planned.gap,
            "proven": self.planned.proven,
            "planner": made.planner,
            "submissions": len(self.coarse.counts),
        }


def plan_for(problem: Problem, budget: Budget, solver_seconds: float = SOLVER_SECONDS) -> Record:
    """The plan of a model under a budget.

    Raises UserError for a budget below the smallest feasible one, which it names.
    """
    size_bytes = cheapest(problem) if budget.is_auto else budget.of(problem.total_bytes)
    check_budget(problem, size_bytes)
    coarse = coarsen(problem, size_bytes)
    return Record(problem, size_bytes, coarse, plan(coarse.problem, size_bytes, solver_seconds))


def compared(record: Record) -> list[dict[str, Any]]:
    """What plans that need no planning would take, in the same steps: memory, and time."""
    problem = record.coarse.problem
    plans = [make(problem) for make in (naive.just_in_time, naive.next_layer, naive.same_kind)]
    return [
        {
            "planner": made.planner,
            "peak_weight_bytes": made.peak_bytes(problem),
            "predicted_us": made.latency_us(problem),
        }
        for made in plans
    ]


def cheapest(problem: Problem) -> int:
    """The smallest budget whose predicted latency is at most 1.5 times that of all weights in
    memory, to a 64th of the way between the smallest and all.
    """
    least, most = problem.smallest_budget_bytes, problem.total_bytes
    good = most
    while good - least > (most - problem.smallest_budget_bytes) // 64 + 1:
        middle = (least + good) // 2
        # The solver's plan, made in the end, is no slower than the greedy one.
        made = plan_for(problem, Budget(size_bytes=middle), solver_seconds=0.0)
        if made.planned.latency_us <= _AUTO_SLOWDOWN * problem.compute_us:
            good = middle
        else:
            least = middle
    return good


def curve(problem: Problem) -> list[dict[str, Any]]:
    """Summaries of plans from the smallest budget to that of all weights."""
    return [
        plan_for(problem, Budget(size_bytes=size), _CURVE_SECONDS).summary()
        for size in curve_budgets(problem, _CURVE)
    ]


def curve_budgets(problem: Problem, shares: Sequence[float] = _MEASURED) -> list[int]:
    """Budgets in bytes, at such shares of the way from the smallest to all weights."""
    least, most = problem.smallest_budget_bytes, problem.total_bytes
    return list(dict.fromkeys(least + round(share * (most - least)) for share in shares))
