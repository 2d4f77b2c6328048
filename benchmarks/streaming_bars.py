"""The bars of streaming, one record: ``python -m smartmem.benchmarks.streaming_bars FILE NAME...``.

For each model of the suite (without names FlashMem's eleven): how much memory weights take at the
default budget (``auto``), half of them and the smallest feasible one, against preloading in the
same executor; cold start against preloading and against stock IREE; warm runs against preloading,
against what reading alone takes, and against next-layer prefetch, whose plan is given to our
executor like any other. Ours is measured on ``--target`` (llvmpipe), IREE's runtime on the CPU.
Processes run in turn, ``--rounds`` times over; outputs are compared bit by bit. A model that fails
is a row that says why.

``--quick`` takes tiny models, one round and few runs: it shows that all of it works.
``--memory-only`` leaves out what a busy machine spoils: stock IREE, and all but one round.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from smartmem.benchmarks.streaming import machine
from smartmem.benchmarks.streaming_verdict import tables

ELEVEN = (
    *("gptneo-s", "gptneo-1.3b", "gptneo-2.7b", "resnet50", "sam-2", "vit", "deepvit", "sd-unet"),
    *("whisper-m", "depth-anything-s", "depth-anything-l"),
)
_QUICK = ("vit", "gptneo-s", "resnet50")
_MIB = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, writes the file after each model, and prints the bars."""
    parser = argparse.ArgumentParser(prog="smartmem.benchmarks.streaming_bars", description=__doc__)
    parser.add_argument("file", type=Path, help="the results: read, added to, and written")
    parser.add_argument("names", nargs="*", help="models of the suite, NAME or NAME/SIZE")
    parser.add_argument("--target", default="llvmpipe")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--memory-only", action="store_true")
    parser.add_argument("--no-planner", action="store_true")
    options = parser.parse_args(argv)
    names = options.names or [f"{n}/tiny" if options.quick else n for n in _chosen(options.quick)]
    if options.quick or options.memory_only:
        options.rounds, options.runs = 1, 2
    held: dict[str, Any] = {}
    if options.file.exists():
        held = json.loads(options.file.read_text("utf-8"))
    data: dict[str, Any] = {**machine(), "rows": held.get("rows", [])}
    if "planner" in held:
        data["planner"] = held["planner"]
    if not (options.no_planner or options.quick):
        data["planner"] = planner_row()
    for name in names:
        try:
            row = measure(name, options.target, options.rounds, options.runs, options.memory_only)
        except Exception as error:  # told in the record: the other models go on
            row = {"model": name, "failed": " ".join(f"{type(error).__name__}: {error}".split())}
        data["rows"] = [r for r in data["rows"] if r["model"] != name] + [row]
        options.file.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    for line in tables(data):
        print(line)
    return 0


def _chosen(quick: bool) -> tuple[str, ...]:
    return _QUICK if quick else ELEVEN


def planner_row() -> dict[str, Any]:
    """A plan for a problem of GPTNeo-2.7B's size, in processor time: others do not count."""
    from smartmem.benchmarks.gpt_neo import gpt_neo
    from smartmem.passes.streaming import planner

    problem = gpt_neo()
    rows: list[dict[str, Any]] = []
    for budget_bytes in (1000 * _MIB, 5000 * _MIB):
        began_s, busy_s = time.perf_counter(), time.process_time()
        planned = planner.plan(problem, budget_bytes)
        rows.append(
            {
                "budget_bytes": budget_bytes,
                "seconds": time.perf_counter() - began_s,
                "cpu_s": time.process_time() - busy_s,
                "gap": planned.gap,
            }
        )
    return {"steps": len(problem.steps), "weights": len(problem.weights), "plans": rows}


def measure(name: str, target: str, rounds: int, runs: int, memory_only: bool) -> dict[str, Any]:
    """One model: facts of its schedule, and what each way of running it took."""
    from smartmem.benchmarks.models import suite
    from smartmem.compiler import compile_model

    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        where = Path(folder)
        path = where / "model.smartmem"
        source = suite.build(name)
        compile_model(*source, targets=(target, "cpu"), out=path)
        compile_model(*source, targets=("cpu",), out=where / "auto.smartmem", budget="auto")
        facts = facts_of(path, target)
        ways = _ways(path, target, facts)
        ways["iree cpu, all"] = {"bundle": str(path), "target": "cpu", "executor": "iree"}
        ways["iree cpu, auto"] = {
            **ways["iree cpu, all"],
            "bundle": str(where / "auto.smartmem"),
        }
        stock, why_no_stock = (None, "not wanted") if memory_only else _stock(source, where)
        if stock is not None:
            ways["stock iree cpu"] = {**ways["iree cpu, all"], "executor": "stock", "vmfb": stock}
        del source
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, spec in ways.items():
                found[way].append(_run({"budget": None, "runs": runs, **spec}))
    return {
        "model": name,
        "target": target,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "load_average": os.getloadavg()[0],
        **facts,
        "no_stock": why_no_stock,
        "ways": found,
    }


def _stock(source: Any, where: Path) -> tuple[str | None, str]:
    """Stock IREE's module for the CPU, with its default flags, or why there is none; weights are
    constants in it.
    """
    from smartmem.benchmarks.stock import compile_stock, write_stock_source
    from smartmem.errors import SmartmemError
    from smartmem.passes.target import resolve

    try:
        write_stock_source(*source, where / "stock.mlirbc")
        compile_stock(where / "stock.mlirbc", where / "stock.vmfb", resolve("cpu").device_flags)
    except SmartmemError as error:
        return None, " ".join(str(error).split())[:300]
    return str(where / "stock.vmfb"), ""


def facts_of(path: Path, target: str) -> dict[str, Any]:
    """Budgets on the device, and the most weights that one command reads; in bytes."""
    from smartmem.runtime import executor
    from smartmem.runtime.bundle import Bundle
    from smartmem.runtime.devices import select
    from smartmem.runtime.schedule import ResourceKind, decode

    bundle = Bundle.open(path)
    device, entry = select(bundle.manifest, target)
    schedule = decode(bundle.schedule(entry.name).read_bytes())
    constant = {
        number: r.size_bytes
        for number, r in enumerate(schedule.resources)
        if r.kind is ResourceKind.CONSTANT
    }
    reads = ({use.resource for use in c.uses} & constant.keys() for c in schedule.commands)
    largest = max((sum(constant[n] for n in numbers) for numbers in reads), default=0)
    smallest, whole = executor.budgets(device.uri, bundle, entry.name)
    return {
        "smallest_budget_bytes": smallest,
        "whole_budget_bytes": whole,
        "largest_command_bytes": largest,
    }


def _ways(path: Path, target: str, facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of our executor, by name."""
    base = {"bundle": str(path), "target": target, "executor": "smartmem"}
    half = max(facts["whole_budget_bytes"] // 2, facts["smallest_budget_bytes"])
    budgets = {"all": None, "100%": "100%", "auto": "auto", "half": str(half)}
    budgets["smallest"] = str(facts["smallest_budget_bytes"])
    return {
        **{way: {**base, "budget": budget} for way, budget in budgets.items()},
        "next layer": {**base, "bundle": str(next_layer(path, target))},
    }


def next_layer(path: Path, target: str) -> Path:
    """A copy of the bundle with another plan: each dispatch loads what the next one reads."""
    from smartmem.passes.iree.streaming import keys_of, problem_of
    from smartmem.passes.streaming import naive
    from smartmem.passes.streaming.coarsen import grouped
    from smartmem.passes.streaming.for_executor import told_with_plan
    from smartmem.passes.streaming.planner import Planned
    from smartmem.passes.streaming.record import Record
    from smartmem.passes.target import resolve
    from smartmem.runtime.bundle import Bundle
    from smartmem.runtime.manifest import MANIFEST_FILE, sha256_of, stream_path, write_json
    from smartmem.runtime.schedule import decode

    bundle = Bundle.open(path)
    stream_ir = bundle.dispatches(target)
    problem = problem_of(stream_ir, resolve(target).speeds)
    plan = naive.next_layer(problem)
    latency_us = plan.latency_us(problem)
    # Where the device needs more for the same, it plans itself: it is given room to spare.
    budget_bytes = plan.peak_bytes(problem) + problem.smallest_budget_bytes
    record = Record(
        problem,
        budget_bytes,
        grouped(problem, [1] * len(problem.steps)),
        Planned(plan, latency_us, latency_us, False, 0.0),
    )
    count = len(decode(bundle.schedule(target).read_bytes()).commands)
    said = told_with_plan(record, count, keys_of(stream_ir))
    if said is None:
        raise ValueError("the schedule is not of the problem's steps")
    out = path.with_name("next.smartmem")
    shutil.copytree(path, out, copy_function=os.link)
    file = out / stream_path(target)
    file.unlink()
    file.write_bytes(said.encode())
    entry = replace(
        bundle.manifest.targets[target], stream_sha256=sha256_of(file), budget_bytes=budget_bytes
    )
    targets = {**bundle.manifest.targets, target: entry}
    (out / MANIFEST_FILE).unlink()
    write_json(out / MANIFEST_FILE, asdict(replace(bundle.manifest, targets=targets)))
    return out


def _run(spec: dict[str, Any]) -> dict[str, Any]:
    started = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    command = [sys.executable, "-m", "smartmem.benchmarks.streaming_worker"]
    command.append(json.dumps({**spec, "started_ns": started}))
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"a run failed: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    raise SystemExit(main())
