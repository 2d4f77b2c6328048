"""ONNX Runtime on a GPU through WebGPU, which is on Vulkan here.

Its wheel, ``onnxruntime-webgpu``, takes the place of ``onnxruntime``: both are one module. It
chooses the device itself, and computes on the CPU where it finds none: that is refused.
"""

from smartmem.benchmarks.bench.contenders import ort
from smartmem.benchmarks.bench.task import Candidate, Loaded, Task

_PROVIDER = "WebGpuExecutionProvider"


def build(task: Task) -> list[Candidate]:
    """The same file as for the CPU. Raises RuntimeError where there is no WebGPU."""
    import onnxruntime

    if task.kind == "cpu":
        raise RuntimeError("WebGPU is for GPUs; `ort` runs on the CPU")
    if _PROVIDER not in onnxruntime.get_available_providers():
        raise RuntimeError(
            "this onnxruntime has no WebGPU; "
            "`pip uninstall onnxruntime`, then `pip install onnxruntime-webgpu`"
        )
    return ort.build_for(task, runs_on="onnxruntime webgpu")


def load(task: Task, candidate: Candidate) -> Loaded:
    """A session; what WebGPU cannot compute, the runtime itself leaves on the CPU."""
    session = ort.session_of(task, candidate, _PROVIDER)
    if _PROVIDER not in session.get_providers():
        raise RuntimeError("ONNX Runtime finds no device that WebGPU can use")
    return ort.loaded(session)
