"""The steps of the ablation: each pass is in one, and the last has them all."""

from smartmem.benchmarks.ablation import STEPS, disabled_in, section
from smartmem.passes.pipeline import optional_passes


def test_every_optional_pass_is_added_by_one_step() -> None:
    added = [name for names in STEPS.values() for name in names]
    assert sorted(added) == sorted(optional_passes())
    assert sorted(disabled_in("none")) == sorted(added)
    assert disabled_in(list(STEPS)[-1]) == []


def test_a_section_tells_wrong_answers_and_failures() -> None:
    counts = dict.fromkeys(("dispatches", "copies", "fills", "layout_dispatches"), 2)
    held = {
        **counts,
        "layout_bytes": 1_000_000,
        "total_bytes": 4_000_000,
        "relative_l2": 0.5,
        "warm_ms": [3.0, 1.0, 2.0],
    }
    steps = {
        "none": {**held, "equals_eager": True},
        "elimination": {**held, "equals_eager": False},
        "selection": {"error": "iree-compile failed"},
    }
    row = {"device": "llvmpipe", "driver": "Mesa", "date": "2026-11-21", "steps": steps}
    without = {name: {**held, "equals_eager": True} for name in optional_passes()}
    without["smartmem-fuse-joins"] = {"error": "iree-compile failed"}
    data = {"commit": "abc", "iree": "3.13.0", "rows": {"net/tiny": row}}
    text = section("ablation", {**data, "without": {"net/tiny": without}})
    assert "| net/tiny | none | 6 | 2 | 1.00 | 4.00 | 2 (1) | 5.0e-01 |" in text
    assert "|  | + elimination | **WRONG** (6) | 2 | 1.00 | 4.00 | 2 (1) | 5.0e-01 |" in text
    assert "| net/tiny | + selection | - | - | - | - | - | iree-compile failed |" in text
    assert text.count("**fails**") == 1
