"""Weights under a budget, measured: ``python -m smartmem.benchmarks.streaming FILE NAME...``.

Each model of the suite is compiled once and given several budgets; the artefacts share kernels and
archive and differ in their plans only. They run in turn, each in a process of its own, several
times over. ``docs/streaming.md`` is rendered from the recorded file: ``--render``.

Device memory is what IREE's own profile of memory calls reserved at most: weights and intermediate
tensors. Process memory is the high-water mark over what the process held before the model was
loaded: these, code and buffers for reading. Cold is from there to the first output, with the
archive thrown out of the file cache first. Outputs are compared bit by bit with the preloaded
artefact's.

With ``--executor smartmem`` one bundle without a budget runs in our executor, under budgets given
when it is loaded, beside itself with all weights loaded. Device memory is then what the executor
allocated at most, staging among it; what moved while steps ran is from its intervals.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from smartmem.benchmarks import streaming_verdict
from smartmem.benchmarks.bench.results import commit
from smartmem.benchmarks.markdown import with_tables

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "streaming.md"
BARS = ROOT / "benchmarks" / "results" / "streaming-bars.json"
_PRELOADED = "100%"
_LOADED = "none"
_SHARES = (_PRELOADED, "50%", "25%", "smallest")
_ROUNDS = 3
_WARM_RUNS = 8


def main(argv: Sequence[str] | None = None) -> int:
    """Measures models, or renders the page."""
    parser = argparse.ArgumentParser(prog="smartmem.benchmarks.streaming", description=__doc__)
    parser.add_argument("file", type=Path, help="the results: read, added to, and written")
    parser.add_argument("names", nargs="*", help="models of the suite, NAME or NAME/SIZE")
    parser.add_argument("--target", default="cpu")
    parser.add_argument("--executor", choices=("iree", "smartmem"), default="iree")
    parser.add_argument("--budget", help=argparse.SUPPRESS)
    parser.add_argument("--render", action="store_true", help="write the page")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.worker:
        print(json.dumps(_work(options.file, options.target, options.executor, options.budget)))
        return 0
    if options.names:
        data = json.loads(options.file.read_text(encoding="utf-8")) if options.file.exists() else {}
        data = {**machine(), "rows": data.get("rows", [])}
        for name in options.names:
            is_ours = options.executor == "smartmem"
            row = (measure_ours if is_ours else measure)(name, options.target)
            data["rows"] = [r for r in data["rows"] if _identity(r) != _identity(row)] + [row]
            options.file.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    if options.render:
        render(json.loads(options.file.read_text(encoding="utf-8")))
    return 0


def machine() -> dict[str, Any]:
    """What a record says of where it was made."""
    return {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "iree": version("iree-base-runtime"),
        "commit": commit(),
    }


def measure(name: str, target: str) -> dict[str, Any]:
    """One model under all budgets."""
    from smartmem.benchmarks.models import suite
    from smartmem.compiler import compile_model
    from smartmem.replan import replan
    from smartmem.runtime.bundle import Bundle

    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        whole = Path(folder) / "whole.smartmem"
        compile_model(*suite.build(name), targets=(target,), out=whole, budget=_PRELOADED)
        report = Bundle.open(whole).report(target)
        made = {_PRELOADED: whole}
        for share in _SHARES[1:]:
            smallest = report["streaming"]["smallest_budget_bytes"]
            total = report["streaming"]["weights_bytes"]
            wanted = smallest if share == "smallest" else total * int(share[:-1]) // 100
            if wanted >= smallest:
                out = Path(folder) / f"{share.rstrip('%')}.smartmem"
                made[share] = replan(whole, wanted, out=out).path
        plans = {k: Bundle.open(p).report(target)["streaming"] for k, p in made.items()}
        runs: dict[str, list[dict[str, Any]]] = {share: [] for share in made}
        device_bytes = {share: _reserved(path, target) for share, path in made.items()}
        for _ in range(_ROUNDS):
            for share, path in made.items():
                runs[share].append(_run(path, target))
    wanted_hash = runs[_PRELOADED][0]["outputs"]
    return {
        "model": name,
        "target": target,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "load_average": os.getloadavg()[0],
        "budgets": {
            share: {
                "plan": plans[share],
                "same_outputs": all(run["outputs"] == wanted_hash for run in runs[share]),
                "device_bytes": device_bytes[share],
                "peak_bytes": [run["peak_bytes"] for run in runs[share]],
                "cold_s": [run["cold_s"] for run in runs[share]],
                "warm_s": [run["warm_s"] for run in runs[share]],
                "cpu_s": [run["cpu_s"] for run in runs[share]],
            }
            for share in made
        },
    }


def _identity(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["model"], row["target"], row.get("executor", "iree")


def measure_ours(name: str, target: str) -> dict[str, Any]:
    """One model in our executor under all budgets, and with all its weights loaded."""
    from smartmem.benchmarks.models import suite
    from smartmem.compiler import compile_model

    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        path = Path(folder) / "model.smartmem"
        compile_model(*suite.build(name), targets=(target,), out=path)
        whole = _run(path, target, "smartmem", _PRELOADED)["streaming"]
        least = whole["smallest_budget_bytes"]
        wanted: dict[str, str | None] = {_LOADED: None, _PRELOADED: _PRELOADED}
        for share in _SHARES[1:-1]:
            size_bytes = whole["whole_budget_bytes"] * int(share[:-1]) // 100
            if size_bytes > least:
                wanted[share] = str(size_bytes)
        wanted[_SHARES[-1]] = str(least)
        runs: dict[str, list[dict[str, Any]]] = {share: [] for share in wanted}
        for _ in range(_ROUNDS):
            for share, budget in wanted.items():
                runs[share].append(_run(path, target, "smartmem", budget))
    outputs = runs[_LOADED][0]["outputs"]
    kept = ("cold_s", "warm_s", "cpu_s", "peak_bytes")
    return {
        "model": name,
        "target": target,
        "executor": "smartmem",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "load_average": os.getloadavg()[0],
        "budgets": {
            share: {
                "same_outputs": all(run["outputs"] == outputs for run in rows),
                "device_bytes": max(run["device_bytes"] for run in rows),
                "streaming": rows[-1]["streaming"],
                **{key: [run[key] for run in rows] for key in kept},
            }
            for share, rows in runs.items()
        },
    }


def _run(
    path: Path, target: str, executor: str = "iree", budget: str | None = None
) -> dict[str, Any]:
    command = [sys.executable, "-m", "smartmem.benchmarks.streaming", str(path), "--worker"]
    command += ["--target", target, "--executor", executor]
    command += [] if budget is None else ["--budget", budget]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def _work(path: Path, target: str, executor: Any, budget: str | None) -> dict[str, Any]:
    """In a process of its own: cold and warm times, peak memory, and a hash of the outputs."""
    from smartmem.arrays import random_inputs
    from smartmem.runtime.bundle import Bundle
    from smartmem.runtime.session import Session

    bundle = Bundle.open(path)
    inputs = random_inputs(bundle.manifest.inputs, seed=0)
    with bundle.weights.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    before_bytes = _resident("VmRSS")
    start = time.perf_counter()
    session = Session(bundle, target, executor=executor, budget=budget)
    outputs = session.run_flat(inputs)
    cold_s = time.perf_counter() - start
    times_s: list[float] = []
    busy_s = time.process_time()
    for _ in range(_WARM_RUNS):
        start = time.perf_counter()
        outputs = session.run_flat(inputs)
        times_s.append(time.perf_counter() - start)
    return {
        "cold_s": cold_s,
        "warm_s": median(times_s),
        "cpu_s": (time.process_time() - busy_s) / _WARM_RUNS,
        "peak_bytes": _resident("VmHWM") - before_bytes,
        **_ours(session.module, budget),
        "outputs": hashlib.sha256(b"".join(o.tobytes() for o in outputs)).hexdigest(),
    }


def _ours(module: Any, budget: str | None) -> dict[str, Any]:
    """What our executor tells of memory, and of how weights moved in the last run."""
    from smartmem.runtime import streaming
    from smartmem.runtime.executor import ExecutorModule

    if not isinstance(module, ExecutorModule):
        return {}
    moved = None if budget is None else streaming.summary(module)
    return {"device_bytes": module.device_memory()[1], "streaming": moved}


def _reserved(path: Path, target: str) -> int:
    """The most device memory that a run under the unmodified ``iree-run-module`` reserves."""
    import numpy as np

    from smartmem.arrays import random_inputs
    from smartmem.runtime.bundle import Bundle
    from smartmem.runtime.devices import select

    bundle = Bundle.open(path)
    device, entry = select(bundle.manifest, target)
    tools = Path(sys.executable).parent
    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        inputs = [Path(folder) / f"{i}.npy" for i in range(len(bundle.manifest.inputs))]
        arrays = random_inputs(bundle.manifest.inputs, seed=0)
        for file, array, spec in zip(inputs, arrays, bundle.manifest.inputs, strict=True):
            np.save(file, array.astype(spec.dtype))
        profile = Path(folder) / "profile"
        command = [
            str(tools / "iree-run-module"),
            f"--device={device.uri}",
            f"--module={bundle.vmfb(entry.name)}",
            f"--parameters={bundle.manifest.parameter_scope}={bundle.weights}",
            f"--function={bundle.manifest.entry}",
            *(f"--input=@{file}" for file in inputs),
            *(f"--output=@{folder}/out{i}.npy" for i in range(len(bundle.manifest.outputs))),
            "--device_profiling_mode=memory-events",
            f"--device_profiling_output={profile}",
        ]
        subprocess.run(command, check=True, capture_output=True)
        report = subprocess.run(
            [str(tools / "iree-profile"), "memory", str(profile)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    found = re.findall(r"pool_bytes_reserved_high_water=(\d+)", report)
    return max(map(int, found), default=0)


def _resident(field: str) -> int:
    """Bytes of this process, as Linux counts them."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def render(data: Mapping[str, Any]) -> None:
    """Writes the tables into the page, between its marks; those of the bars, too."""
    page = PAGE.read_text(encoding="utf-8")
    text = "\n".join([*tables(data), "", *bars_tables()])
    PAGE.write_text(with_tables(page, text), encoding="utf-8")


def bars_tables() -> Iterator[str]:
    """What ``streaming_bars`` recorded, where there is a record."""
    if BARS.exists():
        data = json.loads(BARS.read_text(encoding="utf-8"))
        yield "Against the bars:"
        yield ""
        yield from streaming_verdict.page(data)


def tables(data: Mapping[str, Any]) -> Iterator[str]:
    """The page's tables: one row for each model and budget."""
    busy = [row["load_average"] for row in data["rows"]]
    yield (
        f"Measured on {data['cores']} cores ({data['system']}), IREE {data['iree']}; medians of "
        "processes taken in turn. Load average of the host "
        f"{min(busy):.0f} to {max(busy):.0f}: above the number of cores, wall times (warm, cold) "
        "are mostly waiting, CPU times and memory are not."
    )
    yield ""
    yield (
        "| model, target | budget | weights planned MiB | device MiB | process MiB | warm ms "
        "| CPU ms | cold ms | predicted ms | same bits |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for row in rows_of(data, "iree"):
        for share, found in row["budgets"].items():
            plan = found["plan"]
            cells = [
                f"{row['model']}, {row['target']}",
                "all" if share == _PRELOADED else share,
                f"{plan['peak_weight_bytes'] / 2**20:.1f}",
                f"{found['device_bytes'] / 2**20:.1f}",
                f"{median(found['peak_bytes']) / 2**20:.0f}",
                *(f"{1e3 * median(found[key]):.1f}" for key in ("warm_s", "cpu_s", "cold_s")),
                f"{plan['predicted_us'] / 1e3:.1f}",
                "yes" if found["same_outputs"] else "NO",
            ]
            yield f"| {' | '.join(cells)} |"
    yield ""
    yield "In our executor:"
    yield ""
    yield (
        "| model, target | budget | weights on the device MiB | staging MiB | device at most MiB "
        "| read in a run MiB | warm ms | CPU ms | cold ms | moving ms | of it hidden ms "
        "| same bits |"
    )
    yield "|" + "---|" * 12
    for row in rows_of(data, "smartmem"):
        for share, found in row["budgets"].items():
            yield f"| {' | '.join(_our_cells(row, share, found))} |"


def rows_of(data: Mapping[str, Any], executor: str) -> list[dict[str, Any]]:
    """The recorded rows of an executor."""
    return [row for row in data["rows"] if row.get("executor", "iree") == executor]


def _our_cells(row: Mapping[str, Any], share: str, found: Mapping[str, Any]) -> list[str]:
    moved = found["streaming"]
    held = ("fixed_bytes", "pinned_bytes", "arena_bytes")
    sizes = (
        [sum(moved[key] for key in held), moved["staging_bytes"], found["device_bytes"]]
        if moved
        else [None, 0, found["device_bytes"]]
    )
    return [
        f"{row['model']}, {row['target']}",
        {_LOADED: "none: all loaded", _PRELOADED: "all"}.get(share, share),
        *("" if size is None else f"{size / 2**20:.1f}" for size in sizes),
        f"{moved['streamed_bytes'] / 2**20:.1f}" if moved else "0.0",
        *(f"{1e3 * median(found[key]):.1f}" for key in ("warm_s", "cpu_s", "cold_s")),
        *(f"{moved[key]:.1f}" if moved else "" for key in ("moving_ms", "hidden_ms")),
        "yes" if found["same_outputs"] else "NO",
    ]


if __name__ == "__main__":
    sys.exit(main())
