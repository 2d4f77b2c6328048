"""What a call on our executor costs beside the GPU's own time: ``run.py --overhead FILE``.

In one process, without the harness: each model is compared with eager's answers, then called again
and again, waiting both ways, with the GPU's time of each call beside its wall time. The inputs of
``in_place`` calls already lie where the executor reads them.
"""

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartmem.benchmarks.bench.arrays import load_cases
from smartmem.benchmarks.bench.task import EXPECTED, INPUTS, Task
from smartmem.runtime.executor import ExecutorModule, Wait
from smartmem.runtime.session import Session, load

FORMAT = "smartmem overhead 1"
_WAITS: tuple[Wait, ...] = ("poll", "block")


def measure(task: Task, file: str, runs: int) -> dict[str, Any]:
    """One model's numbers, in milliseconds; DeviceError where our executor cannot run it."""
    started = time.perf_counter()
    session = load(task.folder / file, device=task.uri, executor="smartmem")
    load_ms = 1e3 * (time.perf_counter() - started)
    module = session.module
    assert isinstance(module, ExecutorModule)
    inputs, expected = load_cases(task.folder / INPUTS)[0], load_cases(task.folder / EXPECTED)[0]
    started = time.perf_counter()
    found = session.run_flat(inputs)
    first_ms = 1e3 * (time.perf_counter() - started)
    times = {wait: _times(session, module, wait, inputs, runs) for wait in _WAITS}
    in_place = module.input_memory()
    for target, source in zip(in_place, (a for a in inputs if a.size), strict=True):
        target[...] = source
    times |= {f"{wait}_in_place": _times(session, module, wait, in_place, runs) for wait in _WAITS}
    return {
        "model": task.model,
        "size": task.size,
        "device": session.device.name,
        "driver": session.device.driver,
        "relative_l2": max(map(_distance, found, expected)),
        "load_ms": load_ms,
        "first_ms": first_ms,
        "stats": module.stats(),
        **times,
        # One after another, with a barrier after each: more than a call takes.
        "commands_ns": module.profile(),
    }


def _times(
    session: Session,
    module: ExecutorModule,
    wait: Wait,
    inputs: Sequence[NDArray[Any]],
    runs: int,
) -> dict[str, float]:
    module.wait = wait
    wall_ms: list[float] = []
    gpu_ms: list[float] = []
    for _ in range(runs):
        started = time.perf_counter()
        session.run_flat(inputs)
        wall_ms.append(1e3 * (time.perf_counter() - started))
        gpu_ms.append(module.times()["gpu_ms"])
    host_ms = [wall - gpu for wall, gpu in zip(wall_ms, gpu_ms, strict=True)]
    return {
        "runs": runs,
        "wall_ms": median(wall_ms),
        "wall_min_ms": min(wall_ms),
        "gpu_ms": median(gpu_ms),
        "host_ms": median(host_ms),
        "host_min_ms": min(host_ms),
    }


def _distance(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Relative L2."""
    difference = found.astype(np.float64) - wanted.astype(np.float64)
    norm = float(np.linalg.norm(wanted.astype(np.float64)))
    return float(np.linalg.norm(difference)) / (norm or 1.0)


def line(row: dict[str, Any]) -> str:
    """One model's numbers for a terminal."""
    parts = [
        f"{wait} wall {row[wait]['wall_ms']:.3f} ms, GPU {row[wait]['gpu_ms']:.3f}, "
        f"beside it {row[wait]['host_ms']:.3f}"
        for wait in (*_WAITS, *(f"{wait}_in_place" for wait in _WAITS))
    ]
    return (
        f"{row['model']}/{row['size']} on {row['device']}: {'; '.join(parts)}; "
        f"load {row['load_ms']:.0f} ms, pipelines {row['stats']['pipelines_ms']:.0f} ms, "
        f"relative L2 {row['relative_l2']:.1e}"
    )
