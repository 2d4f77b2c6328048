"""Render docs/kernels.md's tables from the recorded measurements: ``make docs`` runs this.

For each contraction: IREE's own kernel, the best tile of those tried, and the tile the rule in
``passes/rules/kernels.py`` chooses today (empty where that tile was not among those tried).
"""

import json
from collections.abc import Iterator, Mapping
from math import exp, log
from pathlib import Path
from typing import Any

from smartmem.benchmarks.markdown import with_tables
from smartmem.passes.rules.kernels import Contraction, KernelConfig, tile_contraction
from smartmem.passes.target import known_targets
from smartmem.passes.tuning.database import shipped

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "kernels-nvidia-h200.json"
TUNING = ROOT / "benchmarks" / "results" / "tuning-llvmpipe.json"
SOFTWARE = ROOT / "benchmarks" / "results" / "kernels-llvmpipe.json"
PAGE = ROOT / "docs" / "kernels.md"


def contraction(row: Mapping[str, Any]) -> Contraction:
    """The contraction that a recorded row measured."""
    lhs, rhs, result = (tuple(row[name]) for name in ("lhs", "rhs", "result"))
    return Contraction(tuple(row["extents"]), lhs, rhs, result)


def chosen_us(row: Mapping[str, Any]) -> float | None:
    """Time of the tile the rule chooses: IREE's where it chooses none; None where not measured."""
    limits = known_targets()["nvidia"].kernels
    assert limits is not None
    config = tile_contraction(contraction(row), limits)
    if config is None:
        return row["iree_us"]
    return min((t["us"] for t in row["tried"] if _is(t, config)), default=None)


def _is(tried: Mapping[str, Any], config: KernelConfig) -> bool:
    tiles = tuple(map(tuple, (tried["workgroup"], tried["thread"], tried["reduction"])))
    return (tried["pipeline"], *tiles) == (
        config.pipeline,
        config.workgroup,
        config.thread,
        config.reduction,
    )


def _geometric_mean(values: list[float]) -> float:
    return exp(sum(map(log, values)) / len(values))


def _model_rows(data: Mapping[str, Any]) -> Iterator[str]:
    yield "| model | GPU ms, IREE's kernels | GPU ms, ours | wall ms, IREE's | wall ms, ours |"
    yield "|---|---|---|---|---|"
    for name, row in data["models"].items():
        gpu = (row[side]["gpu_ms"] for side in ("iree", "smartmem"))
        wall = (min(row[side]["wall_ms"]) for side in ("iree", "smartmem"))
        cells = [*(f"{v:.2f}" for v in gpu), *(f"{v:.1f}" for v in wall)]
        yield f"| {name} | {' | '.join(cells)} |"


def _contraction_rows(data: Mapping[str, Any]) -> Iterator[str]:
    yield "| loops | result | second operand | IREE µs | best tried µs | rule µs |"
    yield "|---|---|---|---|---|---|"
    for row in data["contractions"]:
        if not row["tried"]:
            continue
        rule = chosen_us(row)
        best = min(row["iree_us"], *(t["us"] for t in row["tried"]))
        cells = [
            " x ".join(map(str, row["extents"])),
            " ".join(f"d{d}" for d in row["result"]),
            " ".join(f"d{d}" for d in row["rhs"]),
            f"{row['iree_us']:.1f}",
            f"{best:.1f}",
            "" if rule is None else f"{rule:.1f}",
        ]
        yield f"| {' | '.join(cells)} |"


def _software(data: Mapping[str, Any]) -> Iterator[str]:
    """What was measured on the software device."""
    yield (
        f"{data['device']}, {data['driver']}, {data['date']}, IREE {data['iree']}. "
        f"{data['method']}."
    )
    case = data["tile_that_does_not_divide"]
    good, bad = case["dividing"], case["not_dividing"]
    yield ""
    yield (
        f"Loops {' x '.join(map(str, case['extents']))}: {good['ms']:.0f} ms with workgroups of "
        f"{good['workgroup'][1]} rows, {bad['ms']:.0f} ms with {bad['workgroup'][1]}, which do not "
        "divide."
    )


def _tuned(data: Mapping[str, Any]) -> Iterator[str]:
    """What the shipped tuning database gains on whole models, and on its contractions."""
    rows = data["models"]
    first = rows[0]
    yield (
        f"{first['device']}, {first['driver']}, {first['date']}, IREE {data['iree']}: models "
        "compiled with the shipped tuning database and without, called in turn, least of 15; times "
        "of all threads on processors. Tuned dispatches are those the database has tiles for."
    )
    yield ""
    yield "| model | ms, the rule's tiles | ms, tuned | tuned dispatches | relative L2, tuned |"
    yield "|---|---|---|---|---|"
    for row in sorted(rows, key=lambda row: row["model"]):
        yield (
            f"| {row['model']} | {row['rule_ms']:.2f} | {row['tuned_ms']:.2f} "
            f"| {row['tuned_dispatches']} | {row['relative_l2']['tuned']:.1e} |"
        )
    entries = shipped("llvmpipe").entries.values()
    by_rule = [e.rule_us / e.us for e in entries if e.rule_us]
    by_iree = [e.iree_us / e.us for e in entries if e.iree_us]
    yield ""
    yield (
        f"For its {len(entries)} contractions the tuned tiles are {_geometric_mean(by_rule):.2f} "
        f"times as fast as the rule's in the geometric mean, and {_geometric_mean(by_iree):.2f} "
        "times as fast as IREE's own."
    )


def tables(data: Mapping[str, Any], software: Mapping[str, Any], tuned: Mapping[str, Any]) -> str:
    """The generated part of the page."""
    known = [(r["iree_us"], u) for r in data["contractions"] if (u := chosen_us(r)) is not None]
    changed = [iree / us for iree, us in known if us != iree]
    summary = (
        f"{data['device']}, driver {data['driver']}, {data['date']}, IREE {data['iree']}, target "
        f"`{data['target']}`. {data['method']}.\n\nOf {len(known)} contractions with a measured "
        f"choice the rule changes {len(changed)}: {_geometric_mean(changed):.1f} times as fast as "
        f"IREE's own in the geometric mean, {min(changed):.2f} at worst, {max(changed):.0f} at "
        "best."
    )
    gpu = [summary, "", *_model_rows(data), "", *_contraction_rows(data)]
    return "\n".join([*gpu, "", *_software(software), "", *_tuned(tuned)])


def rendered(page: str) -> str:
    """``page`` with its tables made anew from the recorded results."""
    files = (RESULTS, SOFTWARE, TUNING)
    return with_tables(page, tables(*(json.loads(f.read_text(encoding="utf-8")) for f in files)))


def main() -> None:
    """Write the page."""
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
