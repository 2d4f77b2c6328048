"""ncnn, by way of TorchScript and pnnx; on the CPU, or on Vulkan where a GPU is asked for.

ncnn knows no batch dimension, and no more than four dims: what pnnx makes of some transformers it
cannot load, which is then its result. ``ncnn-fp16`` is the same with 16-bit arithmetic allowed.
"""

import math
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from smartmem.benchmarks.bench.arrays import load_cases
from smartmem.benchmarks.bench.contenders.model import model_of
from smartmem.benchmarks.bench.task import EXPECTED, Arrays, Candidate, Loaded, Task

_STEM = "ncnn"
_LOG_LINES = 4


def build(task: Task) -> list[Candidate]:
    """The model in ncnn's own two files, in full precision."""
    return build_for(task, half=False)


def build_for(task: Task, *, half: bool) -> list[Candidate]:
    """The model in ncnn's own two files; ``half`` allows storage and arithmetic in 16 bits."""
    import torch

    from smartmem.verify import TOLERANCES

    model, inputs = model_of(task)
    folder = task.folder / f"{_STEM}-{16 if half else 32}"
    folder.mkdir(exist_ok=True)
    started = time.perf_counter()
    with torch.no_grad():
        traced: Any = torch.jit.trace(model, inputs, strict=False)
    traced.save(str(folder / f"{_STEM}.pt"))
    _convert(folder, inputs, half)
    seconds = time.perf_counter() - started
    return [Candidate("", folder.name, seconds, rtol=TOLERANCES["float16"] if half else None)]


def _convert(folder: Path, inputs: Any, half: bool) -> None:
    """Run pnnx in ``folder``. Raises RuntimeError with its last words where it fails."""
    import pnnx

    types = {"float32": "f32", "int64": "i64", "int32": "i32"}
    shapes = ",".join(
        f"{list(t.shape)}{types[str(t.dtype).removeprefix('torch.')]}".replace(" ", "")
        for t in inputs
    )
    command = [pnnx.EXEC_PATH, f"{_STEM}.pt", f"inputshape={shapes}", f"fp16={int(half)}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode or not (folder / f"{_STEM}.ncnn.param").is_file():
        said = (done.stdout + done.stderr).strip().splitlines()
        raise RuntimeError(f"pnnx failed ({done.returncode}): {'; '.join(said[-_LOG_LINES:])}")


def load(task: Task, candidate: Candidate) -> Loaded:
    """The network, with the shapes of outputs as eager has them."""
    import ncnn

    shapes = [array.shape for array in load_cases(task.folder / EXPECTED)[0]]
    half = candidate.rtol is not None
    net = ncnn.Net()
    net.opt.use_vulkan_compute = task.kind != "cpu"
    net.opt.use_fp16_packed = half
    net.opt.use_fp16_storage = half
    net.opt.use_fp16_arithmetic = half
    net.opt.use_bf16_storage = False
    if net.opt.use_vulkan_compute:
        net.set_vulkan_device(_gpu(task))
    files = task.folder / candidate.file
    for name, read in (("param", net.load_param), ("bin", net.load_model)):
        if read(str(files / f"{_STEM}.ncnn.{name}")):
            raise RuntimeError(f"ncnn cannot load what pnnx made of this model (its .{name} file)")

    def run(arrays: Arrays) -> Arrays:
        with net.create_extractor() as extractor:
            for name, array in zip(net.input_names(), arrays, strict=True):
                extractor.input(name, _matrix(ncnn, array))
            return [
                _extracted(extractor, name, shape)
                for name, shape in zip(net.output_names(), shapes, strict=True)
            ]

    return Loaded(run)


def _matrix(ncnn: Any, array: Any) -> Any:
    """Without the batch; integers are read as int32."""
    data = array[0] if array.ndim > 1 else array
    wide = data.astype(np.int32) if data.dtype.kind in "iu" else data
    return ncnn.Mat(np.ascontiguousarray(wide)).clone()


def _extracted(extractor: Any, name: str, shape: tuple[int, ...]) -> Any:
    code, value = extractor.extract(name)
    if code:
        raise RuntimeError(f"ncnn cannot compute {name} (code {code})")
    array = np.array(value)
    if array.size != math.prod(shape):
        raise RuntimeError(f"{name} has the shape {list(array.shape)}, eager's {list(shape)}")
    return array.reshape(shape)


def _gpu(task: Task) -> int:
    """ncnn's number of a device of the kind that is asked for."""
    import ncnn

    # Types of VkPhysicalDeviceType in ncnn's order: discrete, integrated, virtual, cpu.
    software = 3
    for number in range(ncnn.get_gpu_count()):
        is_software = ncnn.get_gpu_info(number).type() == software
        if is_software == (task.kind == "software-vulkan"):
            return number
    raise RuntimeError(f"ncnn finds no Vulkan device like {task.uri}")
