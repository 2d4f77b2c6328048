"""A streaming plan: which weights are pinned, and when and where the others are in memory."""

from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from smartmem.passes.streaming.problem import Problem


@dataclass(frozen=True)
class Load:
    """Bytes ``start`` to ``start + size_bytes`` of a weight, moved at a tick."""

    tick: int
    start: int
    size_bytes: int

    @property
    def is_exposed(self) -> bool:
        """Whether it stands in a gap, so that the next step waits for it."""
        return self.tick % 2 == 0


@dataclass(frozen=True)
class Residency:
    """One stay of a weight in the arena, at ``offset``: from its first load through ``last_use``.

    A weight may stay several times, loaded anew each time.
    """

    weight: str
    offset: int
    last_use: int
    loads: tuple[Load, ...]

    @property
    def first_tick(self) -> int:
        """When its place must be free."""
        return self.loads[0].tick

    @property
    def last_tick(self) -> int:
        """When its place is needed for the last time."""
        return 2 * self.last_use + 1


@dataclass(frozen=True)
class Plan:
    """``pinned`` weights are loaded once and stay; all others pass through an arena.

    ``planner`` says which method made the plan.
    """

    planner: str
    pinned: tuple[str, ...]
    residencies: tuple[Residency, ...]
    arena_bytes: int

    @property
    def streamed_bytes(self) -> int:
        """What one run loads."""
        return sum(load.size_bytes for r in self.residencies for load in r.loads)

    @property
    def exposed_bytes(self) -> int:
        """What of that delays a step."""
        return sum(load.size_bytes for r in self.residencies for load in r.loads if load.is_exposed)

    def pinned_bytes(self, problem: Problem) -> int:
        """Memory of the weights that stay."""
        return sum(problem.by_name[name].footprint_bytes for name in self.pinned)

    def peak_bytes(self, problem: Problem) -> int:
        """Weight memory of the plan: what a budget bounds."""
        return self.pinned_bytes(problem) + self.arena_bytes

    def latency_us(self, problem: Problem) -> float:
        """One run: all steps, and all exposed loads."""
        return problem.compute_us + problem.read_us(self.exposed_bytes)

    def occupied_bytes(self, problem: Problem) -> list[int]:
        """Of the arena, what is in use at each tick."""
        change = [0] * (2 * len(problem.steps) + 1)
        for stay in self.residencies:
            size = problem.by_name[stay.weight].footprint_bytes
            change[stay.first_tick] += size
            change[stay.last_tick + 1] -= size
        return list(accumulate(change))[:-1]

    def loaded_bytes(self, problem: Problem) -> list[int]:
        """What is loaded at each tick."""
        loaded = [0] * (2 * len(problem.steps))
        for stay in self.residencies:
            for load in stay.loads:
                loaded[load.tick] += load.size_bytes
        return loaded

    def to_json(self) -> dict[str, Any]:
        """Plain data, from which ``from_json`` makes the plan again."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Plan":
        """The plan that ``to_json`` wrote."""
        stays = tuple(
            Residency(
                row["weight"],
                row["offset"],
                row["last_use"],
                tuple(Load(**load) for load in row["loads"]),
            )
            for row in data["residencies"]
        )
        return Plan(data["planner"], tuple(data["pinned"]), stays, data["arena_bytes"])
