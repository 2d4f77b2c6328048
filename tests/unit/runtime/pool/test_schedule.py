"""Tasks released by the clock: who waits for whom, what is late, what fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count, pairwise
from typing import Any

import pytest
from unit.runtime.pool.fakes import FakeSource, Loads

from smartmem.errors import UserError
from smartmem.runtime.pool import Pool, Schedule, Task
from smartmem.runtime.pool.clock import Report, TaskReport

# Far above what a busy machine delays a thread by, for what must not be late.
PERIOD_S = 0.5


def numbered(name: str) -> Callable[..., str]:
    """A run that gives its name, a number, and what it was given."""
    numbers = count()
    return lambda *given: f"{name}{next(numbers)}({','.join(given)})"


def feed(*names: str) -> Callable[[Mapping[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]:
    return lambda outputs: (tuple(outputs[name] for name in names), {})


def row(report: Report, name: str) -> TaskReport:
    return next(task for task in report.tasks if task.model == name)


@contextmanager
def pool_of(*sources: FakeSource, budget_bytes: int = 100) -> Iterator[Pool]:
    with Pool(budget_bytes) as pool:
        for source in sources:
            pool.add(source.name, source)
        yield pool


def test_a_graph_hands_outputs_on() -> None:
    """The first run of each is before the clock starts, so that `latest` has something to take."""
    got: list[tuple[str, ...]] = []
    sources = (
        FakeSource("see", call=numbered("see")),
        FakeSource("map", call=numbered("map"), device="gpu"),
        FakeSource("plan", call=lambda *given: got.append(given)),
    )
    tasks = [
        Task("plan", PERIOD_S / 2, after=("see",), latest=("map",)),
        Task("see", PERIOD_S / 2),
        Task("map", 10 * PERIOD_S),
    ]
    with pool_of(*sources) as pool:
        schedule = Schedule(pool, tasks, {"plan": feed("see", "map")})
        report = schedule.run(PERIOD_S)
        assert not schedule.takes_turns
    assert report.ok, report
    assert [given[0] for given in got] == ["see0()", "see1()", "see2()"]
    assert {given[1] for given in got} <= {"map0()", "map1()"}
    plan = row(report, "plan")
    assert (plan.released, plan.finished) == (2, 2)
    data = report.to_json()["tasks"][0]
    assert 0 < data["min_s"] <= data["median_s"] <= data["max_s"] < PERIOD_S / 2


def test_a_model_that_fails_stops_only_those_that_wait_for_it() -> None:
    runs = count()

    def breaks(*_: Any) -> str:
        if next(runs) in (2, 3):
            raise RuntimeError("no picture")
        return "picture"

    sources = (
        FakeSource("see", call=breaks),
        FakeSource("plan", call=numbered("plan")),
        FakeSource("drive", call=numbered("drive")),
        FakeSource("other", call=numbered("other")),
    )
    period = PERIOD_S / 2
    tasks = [
        Task("see", period),
        Task("plan", period, after=("see",)),
        Task("drive", period, after=("plan", "see")),
        Task("other", period),
    ]
    with pool_of(*sources) as pool:
        report = Schedule(pool, tasks).run(5 * period)
    assert not report.ok
    see, plan, drive, other = report.tasks
    assert (see.released, see.finished, see.failed) == (5, 3, 2)
    assert see.error == "RuntimeError: no picture"
    assert (plan.finished, plan.skipped, plan.failed) == (3, 2, 0)
    assert (drive.finished, drive.skipped) == (3, 2)
    assert (other.finished, other.missed, other.failed) == (5, 0, 0)


def test_a_deadline_missed_stops_nobody() -> None:
    """One run takes far too long: it is late, those that it held up are late or given up, and what
    comes after is in time.
    """
    runs = count()

    def sometimes_slow() -> None:
        time.sleep(3.5 * PERIOD_S if next(runs) == 2 else 0)

    sources = (FakeSource("slow", call=sometimes_slow), FakeSource("next", call=numbered("next")))
    tasks = [Task("slow", PERIOD_S), Task("next", PERIOD_S, after=("slow",))]
    with pool_of(*sources) as pool:
        report = Schedule(pool, tasks).run(8 * PERIOD_S)
        missed = [e for e in pool.timeline if e.kind == "miss"]
    slow, after = report.tasks
    assert slow.released == after.released == 8
    assert slow.missed >= 3 and slow.finished >= 5
    assert after.missed + after.skipped >= 3 and after.finished >= 4
    assert slow.failed == after.failed == 0
    assert max(slow.responses_s) >= 3.5 * PERIOD_S
    assert len(missed) == slow.missed + after.missed


def test_models_that_do_not_fit_together_take_turns() -> None:
    loads = Loads()
    sources = [
        FakeSource(name, 6, loads, numbered(name), device, load_s=0.002)
        for name, device in (("a", "cpu"), ("b", "gpu"), ("c", "cpu"))
    ]
    tasks = [Task(name, PERIOD_S) for name in "abc"]
    with pool_of(*sources, budget_bytes=12) as pool:
        schedule = Schedule(pool, tasks)
        assert schedule.takes_turns
        admission = schedule.admit()
        assert admission.ok
        assert list(admission.utilisation) == ["all devices in turn"]
        # Each run counts its own load and one more, twice over.
        assert min(v.time_s for v in admission.verdicts) >= 2 * (0.002 + 0.002)
        report = schedule.run(3 * PERIOD_S)
        assert report.ok, report
        assert any(e.kind == "prefetch" for e in pool.timeline)
    assert loads.most <= 12


def test_what_waits_for_others_is_brought_before_what_comes_later() -> None:
    """One model fits beside the one that runs: the plan's, and not that of the next period."""
    loads = Loads()
    sources = [FakeSource(name, 1, loads, numbered(name)) for name in ("see", "plan", "map")]
    sources[0].call = lambda: time.sleep(0.05)
    tasks = [Task("see", PERIOD_S), Task("plan", PERIOD_S, after=("see",)), Task("map", PERIOD_S)]
    with pool_of(*sources, budget_bytes=2) as pool:
        assert Schedule(pool, tasks).run(3 * PERIOD_S).ok
        events = pool.timeline
    for before, after in pairwise(e for e in events if e.kind in ("run", "load")):
        assert (before.model, after.kind, after.model) != ("see", "load", "plan"), events


def test_the_models_of_a_schedule_stay_in_memory() -> None:
    loads = Loads()
    sources = [FakeSource(name, 4, loads, numbered(name)) for name in "abc"]
    with pool_of(*sources, budget_bytes=12) as pool:
        schedule = Schedule(pool, [Task("a", PERIOD_S), Task("b", PERIOD_S), Task("c", None)])
        background = threading.Timer(PERIOD_S, lambda: pool.submit("c"))
        background.start()
        assert schedule.run(3 * PERIOD_S).ok
        background.join()
        events = pool.timeline
    assert all(e.kind != "evict" for e in events)
    assert sum(e.kind == "run" and e.model == "c" for e in events) == 2


def test_what_the_schedule_does_not_know_cannot_be_asked_for() -> None:
    refused: list[str] = []

    def ask(pool: Pool) -> None:
        for attempt in (
            lambda: pool.submit("stranger"),
            lambda: Schedule(pool, [Task("a", 1.0)]).run(1.0),
        ):
            try:
                attempt()
            except UserError as error:
                refused.append(error.message)

    with pool_of(*(FakeSource(name) for name in ("a", "stranger"))) as pool:
        schedule = Schedule(pool, [Task("a", PERIOD_S)])
        timer = threading.Timer(PERIOD_S / 2, ask, (pool,))
        timer.start()
        assert schedule.run(2 * PERIOD_S).ok
        timer.join()
        assert pool.run("stranger") == ((), {})
    assert refused == [
        "model 'stranger' cannot run now: it is none of the tasks of the schedule that runs",
        "the pool runs a schedule already",
    ]


def test_a_pool_closed_under_a_schedule_ends_it() -> None:
    with pool_of(FakeSource("a", call=numbered("a"))) as pool:
        schedule = Schedule(pool, [Task("a", PERIOD_S / 5)])
        timer = threading.Timer(PERIOD_S, lambda: pool.close(cancel=True))
        timer.start()
        report = schedule.run(2 * PERIOD_S)
        timer.join()
    assert report.tasks[0].finished and report.tasks[0].failed
    assert report.tasks[0].error == "UserError: the pool is closed"


def test_what_is_measured_counts_with_a_margin() -> None:
    with pool_of(FakeSource("a", call=lambda: time.sleep(0.01)), FakeSource("b")) as pool:
        tasks = [Task("a", PERIOD_S), Task("b", PERIOD_S, time_s=0.125)]
        measured, given = Schedule(pool, tasks).admit(margin=4.0).verdicts
        assert measured.time_s >= 0.04 and given.time_s == 0.125
        refused = Schedule(pool, [Task("a", 0.012)]).admit(margin=4.0)
        assert refused.failing == "a" and "cpu would be used" in (refused.refusal or "")


def test_what_cannot_be_scheduled_is_refused() -> None:
    with pool_of(FakeSource("a")) as pool:
        with pytest.raises(UserError, match="no model 'b'"):
            Schedule(pool, [Task("b", 1.0)])
        with pytest.raises(UserError, match=r"a schedule of 0\.0 s"):
            Schedule(pool, [Task("a", 1.0)]).run(0.0)


def test_runs_longer_than_was_counted_are_told() -> None:
    loads = Loads()
    quick, slow = FakeSource("quick", 1, loads), FakeSource("slow", 1, loads)
    slow.call = lambda: time.sleep(0.01)
    tasks = [Task("quick", PERIOD_S), Task("slow", PERIOD_S)]
    with pool_of(quick, slow) as pool:
        schedule = Schedule(pool, tasks)
        assert schedule.run(PERIOD_S).tasks[1].overran == 0
        assert schedule.admit_times({"quick": 0.2, "slow": 0.005}).ok
        report = schedule.run(2 * PERIOD_S)
    assert [task.overran for task in report.tasks] == [0, 2]


def test_a_load_counts_where_models_take_turns() -> None:
    sources = [FakeSource(name, 1, load_s=0.02) for name in "ab"]
    tasks = [Task(name, PERIOD_S, time_s=0.001) for name in "ab"]
    with pool_of(*sources, budget_bytes=1) as pool:
        schedule = Schedule(pool, tasks)
        schedule.admit_times({"a": 0.01, "b": 0.2})
        report = schedule.run(2 * PERIOD_S)
        prefetched = sum(e.kind == "prefetch" and e.model == "a" for e in pool.timeline)
    over = [task.overran for task in report.tasks]
    # What came while nothing ran delayed nothing.
    assert over[0] >= 2 - prefetched and over[1] == 0
