"""Peers on a small model of the suite: each agrees with eager, or its row says what is missing."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from smartmem.benchmarks.bench.contenders.stock_iree import VARIANTS
from smartmem.benchmarks.bench.peers import PEERS
from smartmem.cli.main import main


def measured(against: str, out: Path, model: str = "vit-tiny") -> dict[str, Any]:
    """The row of one peer on the CPU."""
    arguments = ["bench", model, "--size", "tiny", "--device", "cpu", "--against", against]
    assert main([*arguments, "--runs", "3", "--out", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    return next(row for row in rows if row["contender"] == against)


@pytest.mark.nightly
def test_stock_iree_is_the_best_of_its_variants(tmp_path: Path) -> None:
    row = measured("iree", tmp_path / "bench.json")
    assert row["status"] == "ok", row["reason"]
    assert 0 < row["relative_l2"] <= 1e-4
    assert row["counts"]["dispatches"] > 0
    times = {c["name"]: c["ms"] for c in row["candidates"] if c["status"] == "ok"}
    whole = [f"{name}, attention whole" for name in VARIANTS]
    assert [c["name"] for c in row["candidates"]] == [*VARIANTS, *whole]
    assert row["variant"] == min(times, key=lambda name: times[name])


@pytest.mark.nightly
def test_inductor(tmp_path: Path) -> None:
    row = measured("inductor", tmp_path / "bench.json")
    assert row["status"] == "ok", row["reason"]
    assert row["compile_s"] > 0


# MNN's approximations of attention are beyond the tolerance.
@pytest.mark.parametrize(
    ("name", "model"), [("ncnn", "vit-tiny"), ("ort", "vit-tiny"), ("mnn", "mobilenet-v2")]
)
def test_peers_that_are_installed_on_demand(name: str, model: str, tmp_path: Path) -> None:
    row = measured(name, tmp_path / "bench.json", model)
    if all(find_spec(module) for module in PEERS[name].needs):
        assert row["status"] == "ok", row["reason"]
        assert 0 < row["relative_l2"] <= 1e-4
    else:
        assert row["status"] == "not installed"
        assert "make bench-setup" in row["reason"]
