"""ONNX Runtime on the CPU, by way of PyTorch's exporter to ONNX."""

import time
from typing import Any

from smartmem.benchmarks.bench.contenders.model import model_of
from smartmem.benchmarks.bench.task import Arrays, Candidate, Loaded, Task

_FILE = "model.onnx"


def build(task: Task) -> list[Candidate]:
    """The ONNX file; the session optimises it when it is loaded."""
    return build_for(task, runs_on="onnxruntime cpu")


def build_for(task: Task, runs_on: str) -> list[Candidate]:
    """The ONNX file, for any provider."""
    import torch

    model, inputs = model_of(task)
    started = time.perf_counter()
    program = torch.onnx.export(model, inputs, dynamo=True, verbose=False)
    assert program is not None
    program.save(str(task.folder / _FILE))
    seconds = time.perf_counter() - started
    return [Candidate("", _FILE, seconds, runs_on=runs_on)]


def load(task: Task, candidate: Candidate) -> Loaded:
    """A session with all optimisations, which are the default."""
    return loaded(session_of(task, candidate, "CPUExecutionProvider"))


def session_of(task: Task, candidate: Candidate, provider: str) -> Any:
    """A session on ``provider``."""
    import onnxruntime

    return onnxruntime.InferenceSession(str(task.folder / candidate.file), providers=[provider])


def loaded(session: Any) -> Loaded:
    """``session`` as a function of host arrays."""
    names = [given.name for given in session.get_inputs()]

    def run(arrays: Arrays) -> Arrays:
        return session.run(None, dict(zip(names, arrays, strict=True)))

    return Loaded(run)
