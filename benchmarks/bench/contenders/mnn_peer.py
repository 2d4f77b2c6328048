"""MNN on the CPU, by way of PyTorch's exporter to ONNX and MNN's own converter.

The wheel has no Vulkan backend.
"""

import math
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np

from smartmem.benchmarks.bench.arrays import load_cases
from smartmem.benchmarks.bench.contenders.model import model_of
from smartmem.benchmarks.bench.task import EXPECTED, INPUTS, Arrays, Candidate, Loaded, Task

_ONNX = "mnn.onnx"
_FILE = "model.mnn"
# Not by `MNN.tools`: that installs packages and reports to a server when it is imported.
_CONVERT = "import sys, _tools; _tools.mnnconvert(sys.argv)"
_LOG_LINES = 4


def build(task: Task) -> list[Candidate]:
    """The model in MNN's own file, in full precision."""
    import torch

    model, inputs = model_of(task)
    started = time.perf_counter()
    program = torch.onnx.export(
        model,
        inputs,
        input_names=[_input(position) for position in range(len(inputs))],
        output_names=[_output(position) for position in range(len(_shapes(task)))],
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    drop_guards(program.model.graph)
    program.save(str(task.folder / _ONNX))
    _convert(task)
    seconds = time.perf_counter() - started
    return [Candidate("", _FILE, seconds, runs_on="MNN cpu")]


def drop_guards(graph: Any) -> None:
    """Take ``Where(IsNaN(x), 0, x)`` out of an ONNX graph.

    The exporter writes it after each softmax, for rows where all is masked. MNN has no IsNaN; were
    there such a row, its NaN would be told wrong.
    """
    for node in list(graph):
        if node.op_type != "Where":
            continue
        guard = node.inputs[0].producer()
        if guard is None or guard.op_type != "IsNaN" or guard.inputs[0] is not node.inputs[2]:
            continue
        node.outputs[0].replace_all_uses_with(node.inputs[2])
        graph.remove([node], safe=True)
        if not guard.outputs[0].uses():
            graph.remove([guard], safe=True)


def _input(position: int) -> str:
    return f"input{position}"


def _output(position: int) -> str:
    return f"output{position}"


def _shapes(task: Task) -> list[tuple[int, ...]]:
    """Those of the outputs, as eager has them."""
    return [array.shape for array in load_cases(task.folder / EXPECTED)[0]]


def _convert(task: Task) -> None:
    """Run the converter. Raises RuntimeError with its last words where it fails."""
    command = [sys.executable, "-P", "-c", _CONVERT]
    command += ["-f", "ONNX", "--modelFile", _ONNX, "--MNNModel", _FILE]
    done = subprocess.run(command, cwd=task.folder, capture_output=True, text=True, check=False)
    if done.returncode or not (task.folder / _FILE).is_file():
        said = (done.stdout + done.stderr).strip().splitlines()
        raise RuntimeError(f"mnnconvert failed: {'; '.join(said[-_LOG_LINES:])}")


def load(task: Task, candidate: Candidate) -> Loaded:
    """The module, on all cores."""
    import MNN

    shapes = _shapes(task)
    count = len(load_cases(task.folder / INPUTS)[0])
    settings = {"backend": "CPU", "precision": "high", "numThread": os.cpu_count() or 1}
    module = MNN.nn.load_module_from_file(
        str(task.folder / candidate.file),
        [_input(position) for position in range(count)],
        [_output(position) for position in range(len(shapes))],
        runtime_manager=MNN.nn.create_runtime_manager((settings,)),
    )

    def run(arrays: Arrays) -> Arrays:
        outputs = module.forward([_variable(MNN, array) for array in arrays])
        return [_array(MNN, *pair) for pair in zip(outputs, shapes, strict=True)]

    return Loaded(run)


def _variable(mnn: Any, array: Any) -> Any:
    """Integers are read as int32."""
    wide = array.astype(np.int32) if array.dtype.kind in "iub" else array
    kind = mnn.expr.int if wide.dtype == np.int32 else mnn.expr.float
    return mnn.expr.const(np.ascontiguousarray(wide), list(wide.shape), mnn.expr.NCHW, kind)


def _array(mnn: Any, value: Any, shape: tuple[int, ...]) -> Any:
    array = np.array(mnn.expr.convert(value, mnn.expr.NCHW).read())
    if array.size != math.prod(shape):
        raise RuntimeError(f"an output has the shape {list(array.shape)}, eager's {list(shape)}")
    return array.reshape(shape)
