"""The bars of streaming: each is met or missed by the numbers that it names."""

import copy
from typing import Any

import pytest

from smartmem.benchmarks import streaming_verdict

MIB = 1 << 20


def a_run(weights_mib: int, warm_s: float, cold_s: float, **streaming: int) -> dict[str, Any]:
    return {
        "startup_s": 0.5,
        "load_s": 0.3,
        "cold_s": cold_s,
        "warm_s": warm_s,
        "cpu_s": warm_s,
        "read_bytes_per_s": 1e9,
        "outputs": "same",
        "weights_peak_bytes": weights_mib * MIB,
        "average_device_bytes": weights_mib * MIB,
        "streaming": {"staging_bytes": 0, "streamed_bytes": 0, **streaming},
    }


def good() -> dict[str, Any]:
    ways = {
        "all": a_run(100, 1.0, 2.0),
        "100%": a_run(100, 1.0, 2.0),
        "auto": a_run(20, 1.2, 1.5),
        "half": a_run(50, 1.1, 1.7, streamed_bytes=60 * MIB, staging_bytes=16 * MIB),
        "smallest": a_run(10, 1.3, 1.5, staging_bytes=16 * MIB),
        "next layer": a_run(30, 2.5, 3.0),
        "iree cpu, auto": a_run(20, 1.2, 1.0),
        "stock iree cpu": a_run(100, 1.0, 2.5),
    }
    row = {
        "model": "net",
        "smallest_budget_bytes": 10 * MIB,
        "whole_budget_bytes": 100 * MIB,
        "largest_command_bytes": 10 * MIB,
        "ways": {way: [run] for way, run in ways.items()},
    }
    plans = [{"budget_bytes": MIB, "seconds": 10.0, "cpu_s": 10.0, "gap": 0.1}]
    return {"rows": [row], "planner": {"plans": plans}}


def missed(data: dict[str, Any]) -> list[str]:
    return [name for name, _, _, is_met in streaming_verdict.bars(data) if not is_met]


def test_all_are_met() -> None:
    assert missed(good()) == []
    assert len(list(streaming_verdict.bars(good()))) == 13


@pytest.mark.parametrize(
    ("way", "change", "bar"),
    [
        ("auto", {"weights_peak_bytes": 40 * MIB}, "weight memory at the default budget"),
        ("half", {"streaming": {"staging_bytes": 17 * MIB, "streamed_bytes": 0}}, "staging"),
        ("half", {"outputs": "other"}, "outputs"),
        ("100%", {"warm_s": 1.1}, "warm, all fits"),
        ("half", {"warm_s": 1.2}, "warm at half over preloaded"),
        ("next layer", {"warm_s": 2.0}, "warm at half, next-layer"),
        ("auto", {"cold_s": 1.9}, "cold at auto"),
        ("all", {"cold_s": 1.4}, "cold start, all"),
        ("stock iree cpu", {"cold_s": 1.9}, "cold start, stock"),
    ],
)
def test_each_can_be_missed(way: str, change: dict[str, Any], bar: str) -> None:
    data = copy.deepcopy(good())
    data["rows"][0]["ways"][way][0].update(change)
    assert any(name.startswith(bar) for name in missed(data))


def test_the_smallest_budget_and_the_planner_can_miss_theirs() -> None:
    data = good()
    data["rows"][0]["smallest_budget_bytes"] = 29 * MIB
    data["planner"]["plans"][0]["seconds"] = 151
    first, second = missed(data)
    assert first.startswith("smallest budget") and second.startswith("planner")


def test_a_model_that_fails_is_told_and_counts_for_nothing() -> None:
    data = good()
    data["rows"].append({"model": "other", "failed": "no memory"})
    assert missed(data) == []
    assert "other: no memory" in list(streaming_verdict.tables(data))
    shown = "\n".join(streaming_verdict.page(data))
    assert "other: no memory" in shown and "staging" in shown
    # Once is no measurement of time.
    assert "warm" not in shown
