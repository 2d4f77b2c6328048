"""smartmem itself: compiled afresh, since the compiler's cache would hide how long that takes."""

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

from smartmem.benchmarks.bench.busy import CALLS
from smartmem.benchmarks.bench.task import Arrays, Candidate, Loaded, Task

if TYPE_CHECKING:
    from smartmem.runtime.executor import ExecutorModule
    from smartmem.runtime.manifest import Precision

FOLDER = "model.smartmem"
_COUNTS = (
    "dispatches",
    "layout_dispatches",
    "layout_bytes",
    "total_bytes",
    "peak_transient_bytes",
    "weights_bytes",
)


def counts_of(report: dict[str, Any]) -> dict[str, int]:
    """The numbers of a report that stand in a row; ``kernels`` are the distinct ones."""
    kernels = {work["name"] for work in report["table"] if work["kind"] in ("compute", "layout")}
    return {**{key: report[key] for key in _COUNTS if key in report}, "kernels": len(kernels)}


def folder_of(precision: "Precision") -> str:
    """The name of the folder that is compiled."""
    return FOLDER if precision == "fp32" else f"model-{precision}.smartmem"


def candidate(report: dict[str, Any], precision: "Precision") -> Candidate:
    """What was compiled, without its seconds, by its report."""
    from smartmem.verify import TOLERANCES

    rtol = TOLERANCES["float16"] if precision == "fp16" else None
    return Candidate("", folder_of(precision), counts=counts_of(report), rtol=rtol)


def build(task: Task) -> list[Candidate]:
    """The compiled folder."""
    return build_for(task, "fp32")


def build_for(task: Task, precision: "Precision") -> list[Candidate]:
    """The compiled folder, of this precision."""
    from smartmem.benchmarks.models import suite
    from smartmem.compiler import compile_model
    from smartmem.passes.iree.cache import Cache

    model, inputs = suite.build(task.spec)
    compiled = compile_model(
        model,
        inputs,
        targets=(task.target,),
        out=task.folder / folder_of(precision),
        cache=Cache(None),
        precision=precision,
    )
    (report,) = compiled.reports.values()
    seconds = sum(report["compile_seconds"].values())
    return [replace(candidate(report, precision), compile_s=seconds)]


def load(task: Task, candidate: Candidate) -> Loaded:
    """A session on the device."""
    from smartmem.benchmarks.bench.busy import busy_ms
    from smartmem.runtime.dtypes import dtype_of
    from smartmem.runtime.executor import ExecutorModule
    from smartmem.runtime.session import load as open_session

    session = open_session(
        task.folder / candidate.file,
        device=task.uri,
        executor=task.executor,
        budget=task.weights_budget,
    )
    bundle, manifest = session.bundle, session.manifest

    def run(arrays: Arrays) -> Arrays:
        return _leaves(session(*arrays))

    def busy(arrays: Arrays) -> float | None:
        if isinstance(session.module, ExecutorModule):
            return _gpu_ms(lambda: run(arrays), session.module)
        narrow = [
            array.astype(dtype_of(spec.dtype), copy=False)
            for array, spec in zip(arrays, manifest.inputs, strict=True)
        ]
        module = bundle.vmfb(session.target)
        return busy_ms(task, module, bundle.weights, narrow, manifest.parameter_scope)

    return Loaded(run, busy_ms=busy)


def _gpu_ms(call: Callable[[], object], module: "ExecutorModule") -> float:
    """The GPU's time of a call on our own executor: the median of some."""
    times: list[float] = []
    for _ in range(CALLS):
        call()
        times.append(module.times()["gpu_ms"])
    return median(times)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in _leaves(item)]
    return [] if value is None else [value]
