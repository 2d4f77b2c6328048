"""TorchInductor: ``torch.compile`` as PyTorch recommends it, with CUDA graphs where there is CUDA.

Building fills its cache of compiled kernels, from which loading takes them: so compile time and
cold start are apart, as for the other contenders.
"""

import os
import time
from typing import Any

from smartmem.benchmarks.bench.arrays import load_cases
from smartmem.benchmarks.bench.contenders import eager
from smartmem.benchmarks.bench.task import INPUTS, Candidate, Loaded, Task

_CACHE = "inductor"


def _compiled(task: Task) -> Loaded:
    # Read by torch when it is imported.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(task.folder / _CACHE)
    import torch

    where = eager.place(task)
    mode: Any = "reduce-overhead" if where == "cuda" else None
    return eager.loaded(torch.compile(eager.placed_model(task), mode=mode), where)


def build(task: Task) -> list[Candidate]:
    """Compile once; the first call is what compiles."""
    loaded = _compiled(task)
    inputs = load_cases(task.folder / INPUTS)[0]
    started = time.perf_counter()
    loaded.run(inputs)
    seconds = time.perf_counter() - started
    return [Candidate("", compile_s=seconds, runs_on=f"torch {eager.place(task)}")]


def load(task: Task, candidate: Candidate) -> Loaded:
    """The compiled model; its first call fetches the kernels from the cache."""
    return _compiled(task)
