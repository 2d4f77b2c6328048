"""The order of runs on one device."""

from __future__ import annotations

import pytest

from smartmem.runtime.pool.ready import Job, Order, Ready


def served(ready: Ready, jobs: str, seconds: dict[str, float]) -> str:
    """The order in which these runs are taken, all waiting from the beginning."""
    for number, model in enumerate(jobs):
        ready.push(Job(model, (0.0,), number, lambda: ((), {})))
    order = ""
    while len(ready):
        job = ready.pop()
        order += job.model
        ready.served(job.model, seconds[job.model])
    return order


@pytest.mark.parametrize(("order", "expected"), [("fifo", "aaaaaabb"), ("fair", "abaabaaa")])
def test_a_model_asked_for_often_does_not_hold_up_another(order: Order, expected: str) -> None:
    """Runs of b take longer: fair shares are of time, not of runs."""
    assert served(Ready(order), "aaaaaabb", {"a": 5.0, "b": 13.0}) == expected


def test_a_model_that_was_idle_has_saved_nothing_up() -> None:
    """It gets its share from when it comes on, not all that it did not use before."""
    ready = Ready("fair")
    times = {"a": 1.0, "b": 1.0}
    assert served(ready, "aaaaaaaa", times) == "aaaaaaaa"
    assert served(ready, "aabbbb", times) == "bababb"


def test_the_smallest_rank_goes_first() -> None:
    ready = Ready("fair")
    for number, rank in enumerate((1.0, 0.0, 2.0)):
        ready.push(Job(f"m{number}", (rank,), number, lambda: ((), {})))
    assert ready.upcoming() == ["m1", "m0", "m2"]
    ready.drop()[1].result.cancel()
    assert len(ready) == 0


def test_cancelled_runs_are_not_waited_for() -> None:
    ready = Ready("fifo")
    jobs = [Job(name, (0.0,), number, lambda: ((), {})) for number, name in enumerate("aba")]
    for job in jobs:
        ready.push(job)
    jobs[0].result.cancel()
    assert ready.upcoming() == ["b", "a"]
