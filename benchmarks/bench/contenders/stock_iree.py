"""Stock IREE: its own torch importer, compiler and runtime, in the best of the ways it has.

Which flags are best differs by model and device, so each variant is a candidate: compiled,
compared with eager and timed. Attention is decomposed, as IREE does not compile its own for Vulkan.
"""

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
    from smartmem.benchmarks.stock import write_stock_source
    from smartmem.runtime.archive import write_archive

    source = task.folder / "stock.mlirbc"
    write_stock_source(*model_of(task), source)
    write_archive(task.folder / _NO_WEIGHTS, {})
    return [_variant(task, name, flags) for name, flags in VARIANTS.items()]


def _variant(task: Task, name: str, flags: tuple[str, ...]) -> Candidate:
    from smartmem.benchmarks.stock import compile_stock
    from smartmem.errors import CompileError
    from smartmem.passes.iree.count import count
    from smartmem.passes.target import resolve

    file = f"stock.{name.replace(' ', '-')}.vmfb"
    device = resolve(task.target).device_flags
    try:
        built = compile_stock(
            task.folder / "stock.mlirbc", task.folder / file, [*device, *flags], task.limit_s
        )
    except CompileError as error:
        return Candidate(name, failure=" ".join(str(error).split())[:_REASON_LENGTH])
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
