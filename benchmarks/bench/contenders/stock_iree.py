"""Stock IREE: its own torch importer, compiler and runtime, in the best of the ways it has.

Which flags are best differs by model and device, so each variant is a candidate: compiled,
compared with eager and timed. A model with attention is compiled with it decomposed and with it
whole.
"""

from collections.abc import Iterator
from pathlib import Path

from smartmem.benchmarks.bench.contenders.model import model_of
from smartmem.benchmarks.bench.contenders.ours import counts_of
from smartmem.benchmarks.bench.task import EXPECTED, Arrays, Candidate, Loaded, Task

VARIANTS: dict[str, tuple[str, ...]] = {
    "default": (),
    "O3": ("--iree-opt-level=O3",),
    "data-tiling": ("--iree-opt-data-tiling",),
    "im2col": ("--iree-global-opt-use-im2col-for-convs",),
    "channels-last": (
        "--iree-preprocessing-pass-pipeline="
        "builtin.module(util.func(iree-preprocessing-convert-conv-to-channels-last))",
    ),
    "aggressive fusion": ("--iree-dispatch-creation-enable-aggressive-fusion",),
}
# The weights are constants of the module; this archive has no entries.
_NO_WEIGHTS = "no-weights.irpa"
_REASON_LENGTH = 300


def build(task: Task) -> list[Candidate]:
    """Every variant; those that do not compile say why."""
    from smartmem.runtime.archive import write_archive

    write_archive(task.folder / _NO_WEIGHTS, {})
    return [*_variants(task, whole=False), *_variants(task, whole=True)]


def _variants(task: Task, *, whole: bool) -> Iterator[Candidate]:
    """All flags, with attention ``whole`` or decomposed; none with it whole where there is none."""
    from smartmem.benchmarks.stock import write_stock_source
    from smartmem.errors import SmartmemError

    suffix = ", attention whole" if whole else ""
    source = task.folder / f"stock{'.whole' * whole}.mlirbc"
    try:
        has_attention = write_stock_source(*model_of(task), source, whole_attention=whole)
    except SmartmemError as error:
        yield Candidate(f"default{suffix}", failure=_short(error))
        return
    if whole and not has_attention:
        return
    for name, flags in VARIANTS.items():
        yield _variant(task, source, f"{name}{suffix}", flags)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:_REASON_LENGTH]


def _variant(task: Task, source: Path, name: str, flags: tuple[str, ...]) -> Candidate:
    from smartmem.benchmarks.stock import compile_stock
    from smartmem.errors import SmartmemError
    from smartmem.passes.iree.count import count
    from smartmem.passes.target import resolve

    file = f"stock.{name.replace(',', '').replace(' ', '-')}.vmfb"
    device = resolve(task.target).device_flags
    try:
        built = compile_stock(source, task.folder / file, [*device, *flags], task.limit_s)
    except SmartmemError as error:
        return Candidate(name, failure=_short(error))
    counts = counts_of(count(built.stream_ir).to_json())
    return Candidate(name, file, compile_s=built.seconds, counts=counts)


def load(task: Task, candidate: Candidate) -> Loaded:
    """The module on the device, called just as smartmem's own are."""
    from smartmem.benchmarks.bench.arrays import load_cases
    from smartmem.benchmarks.bench.busy import busy_ms
    from smartmem.runtime.module import DeviceModule

    dtypes = [array.dtype for array in load_cases(task.folder / EXPECTED)[0]]
    vmfb, weights = task.folder / candidate.file, task.folder / _NO_WEIGHTS
    module = DeviceModule(task.uri, vmfb, weights, entry="main", scope="model")

    def run(arrays: Arrays) -> Arrays:
        return module(arrays, dtypes)

    def busy(arrays: Arrays) -> float | None:
        return busy_ms(task, vmfb, weights, arrays, "model")

    return Loaded(run, busy_ms=busy)
