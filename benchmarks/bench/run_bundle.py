"""What ``run.py`` of a bundle does: the weights drawn, then the harness, on one device.

Other contenders build from the suite's models, which the bundle holds too, with the same weights,
where the machine has what they need; else their rows say what is missing.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from smartmem.benchmarks.bench import overhead, peers, results
from smartmem.benchmarks.bench.harness import Harness, Limits, Plan
from smartmem.benchmarks.bench.peers import Peer
from smartmem.benchmarks.bench.recipe import write_weights
from smartmem.benchmarks.bench.results import Document, Row
from smartmem.benchmarks.bench.runner import check_present, describe
from smartmem.benchmarks.bench.table import line
from smartmem.benchmarks.bench.task import Candidate, Task
from smartmem.errors import MismatchError, SmartmemError, UserError
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.devices import Device, find, select
from smartmem.runtime.session import EXECUTORS, Executor
from smartmem.spelling import did_you_mean


def main(folder: Path, arguments: Sequence[str] | None = None) -> int:
    """Measure the bundle at ``folder``; the exit code, as of the command line of smartmem."""
    options = _options(arguments)
    try:
        if options.overhead is not None:
            _measure_overhead(folder, options)
            return 0
        rows = _measure(folder, options)
    except SmartmemError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return MismatchError.exit_code if any(row.status == "wrong" for row in rows) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the models of this bundle.")
    parser.add_argument("names", nargs="*", help="models; all of them without any")
    parser.add_argument("--device", default="auto", help="auto, cpu, vulkan, or a name")
    parser.add_argument("--against", default="", help="contenders besides smartmem, with commas")
    parser.add_argument("--executor", choices=EXECUTORS, default="auto", help="what runs them")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--budget", type=float, default=120.0, help="seconds of runs per model")
    parser.add_argument("--time-limit", type=float, default=300.0, help="seconds of one answer")
    parser.add_argument("--memory-limit", type=int, default=32768, help="MiB of one contender")
    parser.add_argument("--out", type=Path, default=Path("results.json"), help="the document")
    parser.add_argument(
        "--overhead",
        type=Path,
        metavar="FILE",
        help="only what a call on our own executor costs beside the GPU's time, into this file",
    )
    parser.add_argument("--resume", action="store_true", help="go on with --out")
    parser.add_argument(
        "--jobs",
        type=int,
        default=0,
        metavar="N",
        help="build all contenders of all models first, N at once, and keep that for later runs",
    )
    parser.add_argument("--build-only", action="store_true", help="with --jobs: measure nothing")
    return parser.parse_args(arguments)


def _measure(folder: Path, options: argparse.Namespace) -> list[Row]:
    index: dict[str, Any] = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    own = peers.ours(index.get("precision", "fp32"))
    contenders = peers.find([own, *(name for name in options.against.split(",") if name)])
    device = find(options.device)
    document = Document.start(options.out, resume=options.resume, compiled_with=index["versions"])
    document.devices[device.name] = describe(device)
    done = {row.key for row in document.rows}
    work: list[tuple[Harness, list[Peer]]] = []
    for row in _chosen(index["models"], options.names):
        key = (row["model"], row["size"], device.name)
        missing = [peer for peer in contenders if (*key, peer.name) not in done]
        if missing:
            task = _task(folder, row, device, options.executor)
            work.append((_harness(task, row, device, options, own, index["commit"]), missing))
    if options.jobs:
        with ThreadPoolExecutor(options.jobs) as pool:
            pairs = [(harness, peer) for harness, missing in work for peer in missing]
            list(pool.map(lambda pair: pair[0].build(pair[1]), pairs))
    for harness, missing in work if not options.build_only else ():
        for measured in harness.measure(missing):
            document.add([measured])
            print(line(measured), flush=True)
        check_present(device)
    return document.rows


def _harness(
    task: Task,
    row: dict[str, Any],
    device: Device,
    options: argparse.Namespace,
    own: str,
    commit: str,
) -> Harness:
    """What measures one model; one that does not suit the device is a contender that fails."""
    try:
        bundle = _draw_weights(task, _first_file(row))
        entry = select(bundle.manifest, device.uri)[1]
        candidate = Candidate.of_json(row["candidates"][entry.name])
    except SmartmemError as error:
        candidate = Candidate("", failure=str(error))
    return Harness(
        task,
        device.name,
        plan=Plan(options.runs, options.budget, again=True),
        limits=Limits(call_s=options.time_limit, memory_bytes=options.memory_limit << 20),
        prepared={own: [candidate]},
        commit=commit,
        keep_builds=options.jobs > 0,
    )


def _measure_overhead(folder: Path, options: argparse.Namespace) -> None:
    index: dict[str, Any] = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    device = find(options.device)
    rows: list[dict[str, Any]] = []
    for row in _chosen(index["models"], options.names):
        task = _task(folder, row, device, "smartmem")
        file = _first_file(row)
        _draw_weights(task, file)
        rows.append(overhead.measure(task, file, options.runs))
        print(overhead.line(rows[-1]), flush=True)
        document = {"format": overhead.FORMAT, "commit": index["commit"], "rows": rows}
        results.write(options.overhead, document)


def _chosen(models: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    known = {row["model"]: row for row in models}
    for name in names:
        if name not in known:
            raise UserError(
                f"the bundle has no model {name!r}.{did_you_mean(name, known)}",
                hint=f"It has {', '.join(known)}.",
            )
    return [known[name] for name in dict.fromkeys(names)] if names else list(models)


def _task(folder: Path, row: dict[str, Any], device: Device, executor: Executor) -> Task:
    place = folder / "models" / row["model"]
    return Task(
        row["model"],
        row["size"],
        device.target,
        device.uri,
        device.kind,
        place,
        executor=executor,
    )


def _first_file(row: dict[str, Any]) -> str:
    """The folder of the compiled model: one holds all its targets."""
    return str(next(iter(row["candidates"].values()))["file"])


def _draw_weights(task: Task, file: str) -> Bundle:
    """The compiled model with its weights, drawn here where they are not there yet."""
    bundle = Bundle.open(task.folder / file)
    write_weights(task.folder, bundle.path, bundle.manifest)
    return bundle
