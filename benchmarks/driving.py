"""The driving set under one pool: ``python -m smartmem.benchmarks.driving FILE [--size S]``.

Three models see (objects, surfaces, depth) and one plans with what they saw, each once a period:
all four on one device, or with ``--devices A,B`` the planner on the second. The period is chosen
so that the admission test counts a given utilisation; the set runs at several, those that are
refused too, and what was promised stands beside what happened. The tables of docs/pool.md are made
of the file: ``--render``.

``scene`` is the planner's feed in a file for ``smartmem pool``, too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartmem.benchmarks.bench.results import commit
from smartmem.benchmarks.markdown import NONE, table, with_tables
from smartmem.benchmarks.models.driving_planner import AGENT_FEATURES, LANE_FEATURES
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.pool import Pool, Schedule, Task
from smartmem.runtime.pool.periodic import Feed
from smartmem.runtime.tree import unflatten

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "pool.md"
SEEING = ("detector", "segmenter", "depth")
PLANNING = "planner"
MODELS = (*SEEING, PLANNING)
# Of the time that the admission test counts; the last is to be refused.
_SHARES = (0.25, 0.5, 0.8, 0.95, 1.2)
_MEASURED = 20

Array = NDArray[np.float32]


def scene(outputs: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> dict[str, Array]:
    """The planner's ``agents`` [1, a, t, 8] and ``lanes`` [1, l, p, 4] of what was seen; it has
    other inputs, too.

    An agent is a detected box (centre, size), its score and class, and the depth at its centre; it
    is taken to have stood still. A lane is a column of the image: how far up the surface's score
    stays the highest of its classes.
    """
    scores, classes, boxes = (np.asarray(part)[0] for part in outputs["detector"])
    depth = np.asarray(outputs["depth"][0])[0, 0]
    _, count, past, _ = shapes["agents"]
    made = np.zeros((1, count, past, AGENT_FEATURES), np.float32)
    for place, (score, kind, box) in enumerate(zip(scores, classes, boxes, strict=True)):
        if place == count:
            break
        centre, extent = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        column, row = np.clip(centre, 0, np.array(depth.shape[::-1]) - 1).astype(int)
        made[0, place] = (*centre, *extent, score, kind, depth[row, column], 1.0)
    surfaces = np.asarray(outputs["segmenter"])[0]
    _, lines, points, _ = shapes["lanes"]
    best = surfaces.argmax(0)
    drawn = np.zeros((1, lines, points, LANE_FEATURES), np.float32)
    for line, column in enumerate(np.linspace(0, best.shape[1] - 1, lines).astype(int)):
        rows = np.linspace(best.shape[0] - 1, 0, points).astype(int)
        for point, row in enumerate(rows):
            drawn[0, line, point] = (column, row, best[row, column], surfaces[:, row, column].max())
    return {"agents": made, "lanes": drawn}


def feeds(bundles: Mapping[str, Bundle]) -> dict[str, Feed]:
    """Images for the three that see, drawn once; for the planner what they saw."""
    from smartmem.arrays import random_inputs

    drawn = {
        name: random_inputs(bundle.manifest.inputs, seed)
        for seed, (name, bundle) in enumerate(bundles.items())
    }

    def feed(name: str, outputs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        manifest = bundles[name].manifest
        arrays = list(drawn[name])
        if name == PLANNING:
            shapes = {spec.name: spec.shape for spec in manifest.inputs}
            made = scene(outputs, shapes)
            arrays = [
                made.get(spec.name, a) for spec, a in zip(manifest.inputs, arrays, strict=True)
            ]
        args, kwargs = unflatten(manifest.input_tree, arrays)
        return args, kwargs

    return {name: lambda outputs, name=name: feed(name, outputs) for name in bundles}


def tasks(period_s: float, times_s: Mapping[str, float] | None = None) -> list[Task]:
    """The set: three that see, and a planner after them, all done within the period."""
    times = times_s or {}
    return [
        *(Task(name, period_s, time_s=times.get(name)) for name in SEEING),
        Task(PLANNING, period_s, after=SEEING, time_s=times.get(PLANNING)),
    ]


def measure(
    size: str, placements: Sequence[Sequence[str]], seconds: float, margin: float
) -> Iterator[dict[str, Any]]:
    """A row for each placement, budget and utilisation."""
    from smartmem.benchmarks.models import suite
    from smartmem.compiler import compile_model

    targets = tuple(dict.fromkeys(device for devices in placements for device in devices))
    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        bundles: dict[str, Bundle] = {}
        for name in MODELS:
            path = Path(folder) / f"{name}.smartmem"
            model, inputs = suite.build(f"driving-{name}/{size}")
            compile_model(model, inputs, targets=targets, out=path)
            bundles[name] = Bundle.open(path)
        sizes = [bundle.manifest.weights.bytes for bundle in bundles.values()]
        for devices in placements:
            placed = {name: devices[-1] if name == PLANNING else devices[0] for name in MODELS}
            for budget in (sum(sizes), max(*sizes, sum(sizes) * 2 // 3)):
                with Pool(budget) as pool:
                    for name, bundle in bundles.items():
                        pool.add(name, bundle.path, device=placed[name])
                    yield from _runs(pool, bundles, sum(sizes), placed, seconds, margin)


def _runs(
    pool: Pool,
    bundles: Mapping[str, Bundle],
    whole: int,
    placed: Mapping[str, str],
    seconds: float,
    margin: float,
) -> Iterator[dict[str, Any]]:
    """One budget at several utilisations; times are measured once."""
    made = feeds(bundles)
    found = Schedule(pool, tasks(3600.0), made).admit(margin, _MEASURED)
    busiest_s = 3600.0 * max(found.utilisation.values())
    for share in _SHARES:
        schedule = Schedule(pool, tasks(busiest_s / share), made)
        admission = schedule.admit_times({v.model: v.time_s for v in found.verdicts})
        began = len(pool.timeline)
        report = schedule.run(seconds)
        events = pool.timeline[began:]
        yield {
            "devices": dict(placed),
            "weights_bytes": whole,
            "budget_bytes": pool.memory.budget_bytes,
            "held_bytes_max": max(event.held_bytes for event in events),
            "takes_turns": schedule.takes_turns,
            "margin": margin,
            "period_s": busiest_s / share,
            "loads": sum(event.kind in ("load", "prefetch") for event in events),
            "admission": admission.to_json(),
            "report": report.to_json(),
            "load_average": os.getloadavg()[0],
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Measures the set, or renders the page."""
    parser = argparse.ArgumentParser(prog="smartmem.benchmarks.driving", description=__doc__)
    parser.add_argument("file", type=Path, help="the results: written, or read with --render")
    parser.add_argument("--size", default="tiny", choices=("full", "bench", "tiny"))
    parser.add_argument(
        "--devices", action="append", help="A, or A,B for the planner on B; may be repeated"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run")
    parser.add_argument("--margin", type=float, default=2.0, help="on what is measured")
    parser.add_argument("--render", action="store_true", help="write the page")
    options = parser.parse_args(argv)
    if not options.render:
        placements = [devices.split(",") for devices in options.devices or ["cpu"]]
        data: dict[str, Any] = {
            "size": options.size,
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "iree": version("iree-base-runtime"),
            "commit": commit(),
            "note": "Other work ran on the machine: load_average tells how much.",
            "rows": list(measure(options.size, placements, options.seconds, options.margin)),
        }
        options.file.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        return 0
    page = PAGE.read_text(encoding="utf-8")
    found = json.loads(options.file.read_text(encoding="utf-8"))
    PAGE.write_text(with_tables(page, "\n".join(tables(found))), encoding="utf-8")
    return 0


def tables(data: Mapping[str, Any]) -> Iterator[str]:
    """The page's table: a row for each placement, budget and utilisation."""
    busy = [row["load_average"] for row in data["rows"]]
    yield (
        f"The driving set ({data['size']}) on {data['cores']} cores ({data['system']}), IREE "
        f"{data['iree']}, {data['date']}. Other work ran on the machine (load average "
        f"{min(busy):.0f} to {max(busy):.0f}); what was measured counts "
        f"{data['rows'][0]['margin']:g} times.\n"
    )
    heads = (
        "three on, planner on",
        "budget MiB",
        "of weights",
        "held at most MiB",
        "in memory",
        "period ms",
        "used, as counted",
        "admitted",
        "planner promised ms",
        "planner min, median, max ms",
        "missed, of runs",
        "runs over their time",
    )
    yield table(heads, map(_cells, data["rows"]))


def _cells(row: Mapping[str, Any]) -> list[str]:
    admission, done = row["admission"], row["report"]["tasks"]
    planner = next(task for task in done if task["model"] == PLANNING)
    promised = next(v["bound_s"] for v in admission["verdicts"] if v["model"] == PLANNING)
    times = [planner[f"{key}_s"] for key in ("min", "median", "max")]
    lost = sum(task["missed"] + task["skipped"] + task["failed"] for task in done)
    return [
        f"{row['devices'][SEEING[0]]}, {row['devices'][PLANNING]}",
        f"{row['budget_bytes'] / 2**20:.2f}",
        f"{row['budget_bytes'] / row['weights_bytes']:.0%}",
        f"{row['held_bytes_max'] / 2**20:.2f}",
        "in turn" if row["takes_turns"] else "all",
        f"{row['period_s'] * 1e3:.2f}",
        f"{max(admission['utilisation'].values()):.0%}",
        "yes" if admission["ok"] else "no",
        f"{promised * 1e3:.2f}" if admission["ok"] else NONE,
        ", ".join(NONE if time_s is None else f"{time_s * 1e3:.2f}" for time_s in times),
        f"{lost} of {sum(task['released'] for task in done)}",
        str(sum(task["overran"] for task in done)),
    ]


if __name__ == "__main__":
    sys.exit(main())
