"""One process of ``streaming_bars``: loads a model, runs it, and prints what that took as JSON.

``python -m smartmem.benchmarks.streaming_worker SPEC``, where SPEC is a JSON object: ``bundle``,
``target``, ``executor`` ("smartmem", "iree" or "stock"), ``budget`` (None: all weights loaded),
``vmfb`` (stock IREE's module), ``runs``, and ``started_ns``, when the process was started by the
monotonic clock, which all processes share.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, median
from typing import Any

# Of device memory, while the model is loaded and runs for the first time.
_SAMPLE_S = 0.002


def main() -> int:
    """Prints one JSON object."""
    print(json.dumps(work(json.loads(sys.argv[1]))))
    return 0


def work(spec: dict[str, Any]) -> dict[str, Any]:
    """Times in seconds, memory in bytes. ``cold_s`` is from the start of the process to the first
    output, the archive thrown out of the file cache before; ``startup_s`` the part of it before
    anything of the model is opened.
    """
    from smartmem.arrays import random_inputs
    from smartmem.runtime.bundle import Bundle

    bundle = Bundle.open(spec["bundle"])
    inputs = random_inputs(bundle.manifest.inputs, seed=0)
    for file in (bundle.weights, *([Path(spec["vmfb"])] if spec.get("vmfb") else [])):
        _forget(file)
    startup_s = _since(spec["started_ns"])
    begun = time.perf_counter()
    with _sampled() as samples:
        run, tell = _open(spec, bundle, samples)
        load_s = time.perf_counter() - begun
        outputs = run(inputs)
        cold_s = _since(spec["started_ns"])
    times_s: list[float] = []
    busy_s = time.process_time()
    for _ in range(spec["runs"]):
        start = time.perf_counter()
        outputs = run(inputs)
        times_s.append(time.perf_counter() - start)
    return {
        "startup_s": startup_s,
        "load_s": load_s,
        "cold_s": cold_s,
        "warm_s": median(times_s),
        "cpu_s": (time.process_time() - busy_s) / spec["runs"],
        "process_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "read_bytes_per_s": _read_rate(bundle.weights),
        "outputs": hashlib.sha256(b"".join(o.tobytes() for o in outputs)).hexdigest(),
        **tell(),
        **({"average_device_bytes": mean(samples.values)} if samples.values else {}),
    }


class _Samples:
    def __init__(self) -> None:
        self.values: list[int] = []
        self.device: Any = None


@contextmanager
def _sampled() -> Generator[_Samples]:
    """Device memory every two milliseconds, from when there is a device."""
    from smartmem.runtime import native_api

    samples, ended = _Samples(), threading.Event()

    def sample() -> None:
        while not ended.wait(_SAMPLE_S):
            if samples.device is not None:
                samples.values.append(native_api.device_memory(samples.device)[0])

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def _open(
    spec: dict[str, Any], bundle: Any, samples: _Samples
) -> tuple[Callable[[Sequence[Any]], list[Any]], Callable[[], dict[str, Any]]]:
    """What runs the model, and what tells of its memory afterwards."""
    from smartmem.runtime.devices import select
    from smartmem.runtime.dtypes import dtype_of
    from smartmem.runtime.session import Session

    device, _ = select(bundle.manifest, spec["target"])
    if spec["executor"] == "stock":
        from smartmem.runtime.archive import write_archive
        from smartmem.runtime.module import DeviceModule

        vmfb = Path(spec["vmfb"])
        empty = vmfb.with_suffix(".irpa")
        write_archive(empty, {})
        module = DeviceModule(device.uri, vmfb, empty, entry="main", scope="model")
        dtypes = [dtype_of(s.source_dtype) for s in bundle.manifest.outputs if not s.is_empty]
        return lambda arrays: module(arrays, dtypes), dict
    if spec["executor"] == "smartmem":
        from smartmem.runtime import executor, native_api

        samples.device = native_api.open_device(executor.uuid_of(device.uri))
    session = Session(bundle, spec["target"], executor=spec["executor"], budget=spec["budget"])
    return session.run_flat, lambda: _memory(session.module)


def _memory(module: Any) -> dict[str, Any]:
    """Of our executor: weights and staging at most, apart from inputs, outputs and scratch."""
    from smartmem.runtime import streaming
    from smartmem.runtime.executor import ExecutorModule

    if not isinstance(module, ExecutorModule):
        return {}
    now_bytes, peak_bytes = module.device_memory()
    moved = streaming.summary(module) if module.has_budget else None
    parts = ("fixed_bytes", "pinned_bytes", "arena_bytes", "staging_bytes")
    held = sum(moved[p] for p in parts) if moved else int(module.stats()["weights_bytes"])
    rest_bytes = now_bytes - held
    return {
        "device_peak_bytes": peak_bytes,
        "weights_peak_bytes": max(held, peak_bytes - rest_bytes),
        "streaming": moved,
    }


def _read_rate(file: Path) -> float:
    """Bytes that a copy of the cached file gives in a second: the fastest of three."""
    part = bytearray(4 << 20)
    fastest = 0.0
    with file.open("rb", buffering=0) as source:
        for _ in range(3):
            source.seek(0)
            size, start = 0, time.perf_counter()
            while count := source.readinto(part):
                size += count
            fastest = max(fastest, size / (time.perf_counter() - start))
    return fastest


def _forget(file: Path) -> None:
    """Throws a file out of the cache of the system."""
    with file.open("rb") as held:
        os.fsync(held.fileno())
        os.posix_fadvise(held.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _since(started_ns: int) -> float:
    return (time.clock_gettime_ns(time.CLOCK_MONOTONIC) - started_ns) / 1e9


if __name__ == "__main__":
    raise SystemExit(main())
