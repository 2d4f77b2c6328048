"""The bars' measurement on a tiny model: every way of running it gives the same, within budget."""

import json
from pathlib import Path

import pytest

from smartmem.benchmarks import streaming_bars, streaming_verdict

pytestmark = [pytest.mark.vulkan, pytest.mark.native, pytest.mark.slow]


def test_a_tiny_model_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bars.json"
    assert streaming_bars.main([str(file), "vit/tiny", "--quick", "--memory-only"]) == 0
    data = json.loads(file.read_text(encoding="utf-8"))
    (row,) = data["rows"]
    assert "failed" not in row, row
    assert streaming_verdict.has_same_bits(row)
    assert row["smallest_budget_bytes"] <= 1.01 * row["largest_command_bytes"] + 256
    ways = {way: runs[0] for way, runs in row["ways"].items()}
    whole = row["whole_budget_bytes"]
    assert ways["all"]["weights_peak_bytes"] >= 0.95 * whole
    assert ways["smallest"]["weights_peak_bytes"] <= row["smallest_budget_bytes"] + 4096
    assert (
        ways["half"]["weights_peak_bytes"] <= max(whole // 2, row["smallest_budget_bytes"]) + 4096
    )
    assert ways["next layer"]["streaming"]["steps"] > ways["half"]["streaming"]["steps"]
    for run in ways.values():
        assert 0 < run["startup_s"] < run["startup_s"] + run["load_s"] < run["cold_s"]
    assert "outputs: the same bits" in capsys.readouterr().out
