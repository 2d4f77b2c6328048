"""The judge itself: what counts as right, which samples are taken, what a dying process costs."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from smartmem.benchmarks.operators import workers
from smartmem.benchmarks.operators.claims import _by_name
from smartmem.benchmarks.operators.compare import RESOLUTION, TOLERANCE, difference
from smartmem.benchmarks.operators.page import page
from smartmem.benchmarks.operators.results import Row, amend, record, recorded, rows
from smartmem.benchmarks.operators.samples import SampleId, spread


def test_floats_are_compared_by_relative_distance() -> None:
    x = torch.linspace(1, 9, 100)
    assert difference(x, x * (1 + TOLERANCE / 2)) is None
    assert "relative L2 2.0e-04" in str(difference(x, x * (1 + TOLERANCE * 2)))


def test_rounding_around_1_is_no_fault_of_a_small_result() -> None:
    zeros = torch.zeros(100)
    assert difference(zeros, zeros + RESOLUTION / 2) is None
    assert difference(zeros, zeros + RESOLUTION * 2) is not None


def test_nan_and_infinities_must_stand_at_their_places() -> None:
    x = torch.tensor([1.0, torch.nan, torch.inf, -torch.inf])
    assert difference(x, x.clone()) is None
    for place, value in ((0, torch.nan), (1, 0.0), (2, 1e30), (2, -torch.inf)):
        other = x.clone()
        other[place] = value
        assert difference(x, other) == "NaN or infinities differ"


def test_the_rest_must_be_equal() -> None:
    x = torch.tensor([1, 2, 3])
    assert difference(x, torch.tensor([1, 2, 4])) == "1 of 3 elements differ"
    assert "expected (3,) torch.int64" in str(difference(x, x.int()))
    assert "is (3, 1)" in str(difference(x, x[:, None]))
    assert difference((x, 3), [x, 3]) is None
    assert difference((x, 3), [x, 4]) == "result 1: is 4, expected 3"
    assert difference((x, x), [x]) == "1 results, expected 2"


def test_samples_are_spread_evenly() -> None:
    assert spread(3, None) == [0, 1, 2]
    assert spread(3, 5) == [0, 1, 2]
    assert spread(100, 3) == [0, 50, 99]
    assert spread(100, 1) == [0]
    assert spread(0, 2) == []


def test_an_entry_has_one_place() -> None:
    assert _by_name({"a": "x y", "b": "z"}) == {"x": "a", "y": "a", "z": "b"}
    with pytest.raises(ValueError, match="y stands twice"):
        _by_name({"a": "x y", "b": "y"})


@pytest.mark.nightly
def test_a_dying_process_costs_one_sample(tmp_path: Path) -> None:
    """An entry that does not exist ends the process; the others are judged all the same."""
    ids = [SampleId("sigmoid", 0), SampleId("no.such.entry", 0), SampleId("exp", 1)]
    found = {outcome.sample: outcome for outcome in workers.run([ids], "cpu", 1)}
    assert [found[which].status for which in ids] == ["passed", "error", "passed"]
    assert found[ids[1]].detail == "the process died"

    ops = [which.op for which in ids]
    path = tmp_path / "operators.json"
    how = {"target": "cpu", "seconds": 1, "samples_per_entry": 1}
    record(rows(found.values(), ops), path, commit="0", **how)
    document = recorded(path)
    assert document["rows"] == [replace(row, commit="0") for row in rows(found.values(), ops)]
    assert "| `exp` | 1 of 1 |" in page({"cpu": document})


def test_entries_judged_anew_replace_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "operators.json"
    old = [Row("exp", 1, {"passed": 1}), Row("log", 1, {"wrong": 1})]
    how = {"target": "cpu", "samples_per_entry": None}
    record(old, path, commit="0", seconds=1, **how)
    new = [Row("log", 2, {"passed": 2}), Row("sin", 3, {"passed": 3})]
    amend(new, path, commit="1", seconds=2.4, **how)
    document = recorded(path)
    assert [(r.op, r.samples, r.commit) for r in document["rows"]] == [
        ("exp", 1, "0"),
        ("log", 2, "1"),
        ("sin", 3, "1"),
    ]
    assert (document["target"], document["seconds"]) == ("cpu", 3)
    amend(new, tmp_path / "new.json", commit="1", seconds=2, **how)
    assert [row.op for row in recorded(tmp_path / "new.json")["rows"]] == ["log", "sin"]
