"""How long a device computes per call, by its own clock: what the host adds is not in it.

Measured apart from the timed runs, with IREE's own tools, because profiling slows calls down.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartmem.benchmarks.bench.task import Failure, Task

CALLS = 12


def busy_ms(
    task: Task, module: Path, weights: Path, inputs: Sequence[NDArray[Any]], scope: str
) -> float | None:
    """Milliseconds in kernels per call of ``main`` in ``module``; None on a CPU, which has no such
    clock.

    Raises Failure where the tools fail.
    """
    if task.kind == "cpu":
        return None
    with tempfile.TemporaryDirectory(prefix="smartmem-busy-") as folder:
        files = [Path(folder) / f"{position}.npy" for position in range(len(inputs))]
        for file, array in zip(files, inputs, strict=True):
            np.save(file, array)
        profile = Path(folder) / "run.ireeprof"
        command = [
            *("--device=" + task.uri, f"--module={module}", f"--parameters={scope}={weights}"),
            *("--function=main", *(f"--input=@{file}" for file in files)),
            *("--device_profiling_mode=dispatch-events", f"--device_profiling_output={profile}"),
            f"--benchmark_min_time={CALLS}x",
        ]
        _tool("iree-benchmark-module", *command)
        report = _tool("iree-profile", "dispatch", "--format=jsonl", str(profile))
    return per_call_ms(map(json.loads, report.splitlines()), CALLS)


def _tool(name: str, *arguments: str) -> str:
    """What a tool of the package iree-base-runtime prints."""
    package = find_spec("iree.runtime")
    assert package is not None and package.origin is not None
    command = [Path(package.origin).parents[1] / "_runtime_libs" / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure("failed", f"{name}: {done.stderr.strip()[-300:]}")
    return done.stdout


def per_call_ms(rows: Iterable[dict[str, Any]], calls: int) -> float:
    """The kernels' times of one call, of a profile of ``calls`` calls.

    Of each kernel the slowest run is left out: some drivers compile at the first one.
    """
    total_ns = 0.0
    for row in rows:
        if row["type"] != "dispatch_group":
            continue
        count, sum_ns = row["count"], row["total_ns"]
        each_ns = (sum_ns - row["max_ns"]) / (count - 1) if count > 1 else sum_ns
        total_ns += each_ns * count / calls
    return total_ns / 1e6
