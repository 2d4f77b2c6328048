"""The recorded measurements of streaming: on the page as they are, and what they show."""

import json

import pytest

from smartmem.benchmarks import streaming

RECORDED = streaming.ROOT / "benchmarks" / "results" / "streaming-two-cores.json"
MIB = 1 << 20


@pytest.fixture(scope="module")
def data() -> dict:
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def test_the_page_has_the_recorded_numbers(data: dict) -> None:
    page = streaming.PAGE.read_text(encoding="utf-8")
    assert "\n".join(streaming.tables(data)) in page
    assert "\n".join(streaming.bars_tables()).strip() in page


def test_outputs_were_the_same_and_memory_was_as_planned(data: dict) -> None:
    for row in streaming.rows_of(data, "iree"):
        whole = row["budgets"]["100%"]
        for share, found in row["budgets"].items():
            assert found["same_outputs"], (row["model"], share)
            planned = whole["plan"]["peak_weight_bytes"] - found["plan"]["peak_weight_bytes"]
            measured = whole["device_bytes"] - found["device_bytes"]
            assert abs(planned - measured) < MIB, (row["model"], share)


def test_our_executor_kept_its_budgets(data: dict) -> None:
    rows = streaming.rows_of(data, "smartmem")
    assert rows
    for row in rows:
        for share, found in row["budgets"].items():
            assert found["same_outputs"], (row["model"], share)
            if (moved := found["streaming"]) is None:
                continue
            held = moved["fixed_bytes"] + moved["pinned_bytes"] + moved["arena_bytes"]
            assert held <= moved["budget_bytes"] and moved["staging_bytes"] <= 16 * MIB
            assert moved["hidden_ms"] <= moved["moving_ms"]
