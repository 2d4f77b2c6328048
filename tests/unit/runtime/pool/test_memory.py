"""Which models stay in memory, and which go."""

from __future__ import annotations

import pytest
from unit.runtime.pool.fakes import FakeSource, Loads

from smartmem.errors import UserError
from smartmem.runtime.pool.memory import Memory


class Bench:
    """A memory with models of given sizes."""

    def __init__(self, budget_bytes: int, **sizes: int) -> None:
        self.events: list[tuple[str, str]] = []
        self.upcoming: list[str] = []
        self.loads = Loads()
        self.memory = Memory(
            budget_bytes,
            lambda: 0.0,
            lambda kind, model, start, held: self.events.append((kind, model)),
            lambda: self.upcoming,
        )
        self.sources = {name: FakeSource(name, size, self.loads) for name, size in sizes.items()}
        for name, source in self.sources.items():
            self.memory.add(name, source)

    def use(self, *names: str) -> None:
        for name in names:
            self.memory.acquire(name)
            self.memory.release(name)

    @property
    def held(self) -> str:
        return "".join(sorted(name for name, size in self.loads.held.items() if size))


def test_the_coldest_goes_first() -> None:
    """A model run often stays, though it was not the last one to run."""
    bench = Bench(3, a=1, b=1, c=1, d=1)
    bench.use("a", "a", "a", "b", "b", "c", "d")
    assert bench.held == "abd"
    bench.use("c")
    assert bench.held == "abc"


def test_heat_fades() -> None:
    bench = Bench(2, a=1, b=1, c=1)
    bench.use(*"aaaa", *["b"] * 40, "c")
    assert bench.held == "bc"
    bench.use(*["c"] * 60, "a")
    assert bench.held == "ac"


def test_what_is_waited_for_goes_last() -> None:
    bench = Bench(2, a=1, b=1, c=1)
    bench.use("a", "a", "b")
    bench.upcoming = ["b"]
    bench.use("c")
    assert bench.held == "bc"


def test_of_those_waited_for_the_last_one_goes() -> None:
    bench = Bench(2, a=1, b=1, c=1)
    bench.use("a", "b")
    bench.upcoming = ["c", "a", "b"]
    bench.memory.prefetch("c")
    assert bench.held == "ac"


def test_nothing_goes_where_it_would_not_help() -> None:
    bench = Bench(4, a=2, b=1, c=3)
    bench.use("b")
    bench.memory.acquire("a")
    bench.memory.prefetch("c")
    assert bench.held == "ab"
    bench.memory.release("a")
    bench.memory.prefetch("c")
    assert bench.held == "bc"


def test_a_model_gets_what_is_free_up_to_all_it_can_use() -> None:
    bench = Bench(10, a=2, b=6)
    bench.sources["a"].most = 7
    bench.use("a")
    assert bench.sources["a"].budgets == [7]
    bench.use("b")
    assert bench.held == "b"
    bench.use("a")
    assert bench.sources["a"].budgets == [7, 4]
    assert bench.loads.most == 10


def test_pinned_models_stay_and_leave_each_other_room() -> None:
    bench = Bench(10, a=2, b=3, c=4, d=6)
    bench.sources["a"].most = bench.sources["b"].most = 10
    bench.use("a")
    bench.memory.pin(("a", "b"))
    bench.use("a", "b", "c", "a", "b")
    assert bench.held == "abc"
    assert ("evict", "a") in bench.events and ("evict", "b") not in bench.events
    with pytest.raises(UserError, match="take 6 bytes, and scheduled models keep 5"):
        bench.memory.acquire("d")
    bench.memory.pin(())
    bench.use("d")
    assert "d" in bench.held


def test_a_load_that_fails_gives_its_room_back() -> None:
    bench = Bench(4, a=3, b=4)
    bench.sources["a"].load_error = OSError("the disk is gone")
    for _ in range(3):
        with pytest.raises(OSError, match="the disk is gone"):
            bench.memory.acquire("a")
    bench.memory.prefetch("a")
    assert bench.memory.held_bytes == 0
    bench.use("b")
    bench.sources["a"].load_error = None
    bench.use("a")
    assert bench.held == "a"
