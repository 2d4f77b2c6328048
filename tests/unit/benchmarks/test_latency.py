"""The recorded errors of predicted latencies are those of the shipped table, and meet the bar."""

import json

from smartmem.benchmarks import latency
from smartmem.passes.tuning.latency import for_target

RESULTS = latency.ROOT / "benchmarks" / "results" / "latency-llvmpipe.json"
# Median of models that the cost model has not seen.
BAR = 0.15


def test_the_record_is_of_the_shipped_table() -> None:
    held = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert held == latency.record(for_target("llvmpipe"))
    assert held["median_absolute_error"] <= BAR


def test_the_page_is_of_the_record() -> None:
    page = latency.PAGE.read_text(encoding="utf-8")
    assert latency.rendered(page, json.loads(RESULTS.read_text(encoding="utf-8"))) == page
