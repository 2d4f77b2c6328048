"""What each group of passes gains: models compiled with passes off, and on again group by group.

    python -m smartmem.benchmarks.ablation FILE NAME/SIZE... [--target llvmpipe] [--without-each]

Each step has the passes of those before it, too. All artefacts of a model are in one process and
are called in turn, round by round, so that all of them see the same machine; each is compared with
eager for two inputs first. Work is counted in IREE's stream phase, by the definitions of `smartmem
stats`. A row that is there already is measured anew. With
``--without-each`` no times are taken: each pass is left out by itself, and what is made compared
with eager (``make nightly`` asks that of all models, tiny). ``make bench-report`` renders the file
into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from smartmem.benchmarks.bench.results import commit
from smartmem.benchmarks.markdown import NONE, table

FORMAT = "smartmem ablation 1"
# The passes that each step adds to the one before it. A test holds that none is left out.
STEPS: dict[str, tuple[str, ...]] = {
    "none": (),
    "elimination": (
        "smartmem-eliminate-views",
        "smartmem-eliminate-concats",
        "smartmem-eliminate-pads",
    ),
    "selection": (
        "smartmem-select-paddings",
        "smartmem-select-layouts",
        "smartmem-select-orders",
        "smartmem-pack-textures",
    ),
    "fusion": (
        "smartmem-fuse-products",
        "smartmem-fuse-joins",
        "smartmem-fuse-reads",
        "smartmem-fuse-blocks",
    ),
    "rewriting": ("smartmem-rewrite-algebra", "smartmem-rewrite-scales"),
}
_COUNTED = ("dispatches", "copies", "fills", "layout_dispatches", "layout_bytes", "total_bytes")
_ROUNDS = 9


def disabled_in(step: str) -> list[str]:
    """The passes that are off in a step."""
    names = list(STEPS)
    later = names[names.index(step) + 1 :]
    return [name for group in later for name in STEPS[group]]


def main(argv: Sequence[str] | None = None) -> int:
    """Measures models into a file."""
    parser = argparse.ArgumentParser(prog="smartmem.benchmarks.ablation", description=__doc__)
    parser.add_argument("file", type=Path, help="the results: read, added to, and written")
    parser.add_argument("names", nargs="+", help="models of the suite, NAME/SIZE")
    parser.add_argument("--target", default="llvmpipe")
    parser.add_argument("--without-each", action="store_true", help="leave out one pass at a time")
    options = parser.parse_args(argv)
    kind, make = ("without", without_each) if options.without_each else ("rows", measure)
    for name in options.names:
        held = json.loads(options.file.read_text("utf-8")) if options.file.exists() else {}
        found = {**held.get(kind, {}), name: make(name, options.target)}
        document = {
            "rows": {},
            "without": {},
            **held,
            "format": FORMAT,
            "target": options.target,
            "commit": commit(),
            "iree": version("iree-base-compiler"),
            kind: dict(sorted(found.items())),
        }
        options.file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(name, flush=True)
    return 0


def measure(name: str, target: str) -> dict[str, Any]:
    """One model in all steps; a step that is not compiled has its ``error`` alone."""
    from smartmem.benchmarks.models import suite

    model, inputs = suite.build(name)
    steps: dict[str, dict[str, Any]] = {}
    sessions: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        for step in STEPS:
            disabled = disabled_in(step)
            steps[step], session = _made(model, inputs, target, Path(folder) / step, disabled)
            if session is not None:
                sessions[step] = session
        arrays = [tensor.numpy() for tensor in inputs]
        for _ in range(_ROUNDS):
            for step, session in sessions.items():
                started = time.perf_counter()
                session.run_flat(arrays)
                elapsed_ms = 1e3 * (time.perf_counter() - started)
                steps[step].setdefault("warm_ms", []).append(round(elapsed_ms, 3))
        devices = {(session.device.name, session.device.driver) for session in sessions.values()}
    ((device, driver),) = devices
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    return {"device": device, "driver": driver, "date": day, "steps": steps}


def without_each(name: str, target: str) -> dict[str, Any]:
    """One model with each pass off in turn: counts, and how far it is from eager."""
    from smartmem.benchmarks.models import suite

    model, inputs = suite.build(name)
    found: dict[str, Any] = {}
    for off in (off for names in STEPS.values() for off in names):
        with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
            found[off], _ = _made(model, inputs, target, Path(folder) / "net", [off])
    return found


def _made(
    model: Any, inputs: Any, target: str, out: Path, disabled: Sequence[str]
) -> tuple[dict[str, Any], Any]:
    """Counts of a model compiled without some passes, how far it is from eager, and its session;
    the ``error`` and None where it is not compiled.
    """
    from smartmem.compiler import compile_model
    from smartmem.errors import SmartmemError
    from smartmem.runtime.session import load
    from smartmem.verify import verify

    try:
        made = compile_model(model, inputs, targets=(target,), out=out, disabled_passes=disabled)
        session = load(out, target)
        checked = verify(session, model, inputs)
    except SmartmemError as error:
        return {"error": str(error).splitlines()[0]}, None
    report = made.reports[target]
    return {
        **{key: report[key] for key in _COUNTED},
        "equals_eager": checked.ok,
        "relative_l2": max(output.relative_l2 for output in checked.outputs),
        "executor": session.executor,
    }, session


def section(name: str, data: Mapping[str, Any]) -> str:
    """What one file adds to docs/performance.md."""
    rows = data["rows"]
    devices = ", ".join(dict.fromkeys(f"{r['device']} ({r['driver']})" for r in rows.values()))
    days = sorted({row["date"] for row in rows.values()})
    # Passes that came later than the record are not in it.
    known = {off for held in data["without"].values() for off in held}
    groups = "; ".join(
        f"*{step}*: {', '.join(n.removeprefix('smartmem-') for n in names if n in known)}"
        for step, names in STEPS.items()
        if names
    )
    columns = ["kernels", "of them layout", "their MB", "all MB", "warm, ms", "eager"]
    return "\n".join(
        [
            f"## {name}\n",
            f"What each group of passes gains, on {devices}, {' to '.join(dict.fromkeys(days))}, "
            f"commit {data['commit']}, IREE {data['iree']}. Each line has the passes of those "
            f"above it, too ({groups}). Kernels are dispatches, copies and fills; times are the "
            "median of the calls and the fastest; the last column is the relative L2 distance.\n",
            table(["model", "passes", *columns], _lines(rows)),
            "Kernels with one pass off; what is made is as near to eager as it has to be, where "
            "nothing else is said:\n",
            _without(data["without"]),
        ]
    )


def _without(rows: Mapping[str, Any]) -> str:
    passes = list(dict.fromkeys(off for held in rows.values() for off in held))
    lines = [
        [model, *(_kernels(held[name]) if name in held else NONE for name in passes)]
        for model, held in rows.items()
    ]
    return table(["model", *(name.removeprefix("smartmem-") for name in passes)], lines)


def _kernels(held: Mapping[str, Any]) -> str:
    if "error" in held:
        return "**fails**"
    count = str(held["dispatches"] + held["copies"] + held["fills"])
    return count if held["equals_eager"] else f"**WRONG** ({count})"


def _lines(rows: Mapping[str, Any]) -> Iterator[list[str]]:
    for model, row in rows.items():
        for step, held in row["steps"].items():
            sign = step if step == "none" else f"+ {step}"
            if "error" in held:
                yield [model, sign, *[NONE] * 5, held["error"].replace("|", "\\|")]
                continue
            times = held["warm_ms"]
            yield [
                model if step == "none" else "",
                sign,
                _kernels(held),
                str(held["layout_dispatches"]),
                f"{held['layout_bytes'] / 1e6:.2f}",
                f"{held['total_bytes'] / 1e6:.2f}",
                f"{median(times):.3g} ({min(times):.3g})",
                f"{held['relative_l2']:.1e}",
            ]


if __name__ == "__main__":
    raise SystemExit(main())
