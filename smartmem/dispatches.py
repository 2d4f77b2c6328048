"""Compares each dispatch of a compiled model with the CPU, alone and on random content.

A fault in a kernel may be too small to show in a model's outputs, or be hidden by what follows it.
Here each kernel that the bundle holds for a Vulkan target runs by itself, on random tensors of its
real shapes, and the linalg it was made from (kept in the bundle) is compiled for the CPU and run on
the same: two code generators with little in common have to agree.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smartmem.errors import MismatchError, UserError
from smartmem.passes.iree.isolate import Isolated, NotIsolated, Parameter, isolate
from smartmem.runtime.dtypes import dtype_of
from smartmem.runtime.kernel_run import Bytes, Call, KernelRun
from smartmem.runtime.schedule import Dispatch, Schedule, decode
from smartmem.verify import nonfinite_agree, relative_l2, tolerance_of

if TYPE_CHECKING:
    from smartmem.passes.iree.cache import Cache
    from smartmem.runtime.bundle import Bundle

# Integers that are no positions: small, and never 0, for something may be divided by them.
_INTEGERS = (1, 8)
# Positive floats near 1: what has a logarithm, a root and a power.
_POSITIVE = (0.5, 1.5)


@dataclass(frozen=True)
class DispatchComparison:
    """A dispatch against the CPU: the worst of the tensors it writes. ``calls``: how often one call
    of the model makes it; ``location`` is the Python line it comes from.
    """

    dispatch: str
    location: str | None
    calls: int
    shape: tuple[int, ...]
    dtype: str
    relative_l2: float
    tolerance: float
    ok: bool


@dataclass(frozen=True)
class Unchecked:
    """A dispatch that could not be compared, and why."""

    dispatch: str
    reason: str


@dataclass(frozen=True)
class DispatchReport:
    """All dispatches of one target on one device."""

    device: str
    target: str
    dispatches: tuple[DispatchComparison, ...]
    unchecked: tuple[Unchecked, ...]

    @property
    def wrong(self) -> tuple[DispatchComparison, ...]:
        """What differs from the CPU."""
        return tuple(row for row in self.dispatches if not row.ok)

    def as_json(self) -> dict[str, Any]:
        """Plain data; a distance that is not finite is null."""
        rows = [asdict(row) for row in self.dispatches]
        for row in rows:
            row["relative_l2"] = row["relative_l2"] if np.isfinite(row["relative_l2"]) else None
        held = {"device": self.device, "target": self.target, "dispatches": rows}
        return {**held, "unchecked": [asdict(row) for row in self.unchecked]}

    def raise_on_mismatch(self) -> None:
        """Raises MismatchError that names what differs."""
        if self.wrong:
            names = ", ".join(f"{row.dispatch} ({row.location})" for row in self.wrong)
            raise MismatchError(f"{self.target} on {self.device}: wrong dispatches: {names}")


def verify_dispatches(
    bundle: Bundle,
    *,
    device: str = "auto",
    rtol: float | None = None,
    seed: int = 0,
    cache: Cache | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> DispatchReport:
    """Compares the dispatches of the bundle's target for a Vulkan ``device``; ``rtol`` overrides
    the tolerances of ``smartmem.verify``.

    Raises UserError where the bundle has no kernels of our executor for it or is damaged, and
    DeviceError where the device is not there or fails.
    """
    from smartmem.runtime.devices import select

    found, entry = select(bundle.manifest, "vulkan" if device == "auto" else device)
    if entry.kind != "vulkan":
        raise UserError(
            f"{bundle.path}: target {entry.name} runs on the CPU, which kernels are compared with",
            hint="Compile it for a Vulkan target, and name its device by --device.",
        )
    if entry.schedule is None:
        reason = bundle.report(entry.name).get("unschedulable") or "it was compiled with a budget"
        raise UserError(
            f"{bundle.path}: target {entry.name} has no kernels that run alone: {reason}",
            hint="Compile it without --budget; what our executor cannot run cannot be compared.",
        )
    schedule = decode(bundle.schedule(entry.name).read_bytes())
    folder = bundle.kernels(entry.name)
    spirv = {kernel.file: (folder / kernel.file).read_bytes() for kernel in schedule.kernels}
    rows, unchecked = compare_dispatches(
        bundle.dispatches(entry.name),
        schedule,
        spirv,
        found.uri,
        rtol=rtol,
        seed=seed,
        cache=cache,
        progress=progress,
    )
    return DispatchReport(found.name, entry.name, rows, unchecked)


def compare_dispatches(
    stream_ir: str,
    schedule: Schedule,
    spirv: Mapping[str, bytes],
    uri: str,
    *,
    rtol: float | None = None,
    seed: int = 0,
    cache: Cache | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[tuple[DispatchComparison, ...], tuple[Unchecked, ...]]:
    """Each distinct dispatch of ``schedule`` on the device at ``uri`` against ``stream_ir``, which
    its kernels were made from, on the CPU.
    """
    distinct = distinct_dispatches(schedule)
    entries = [schedule.kernels[d.kernel].entry for d in distinct]
    isolation = isolate(stream_ir, [(e, d.words) for e, d in zip(entries, distinct, strict=True)])
    unchecked = [
        Unchecked(entry, str(made))
        for entry, made in zip(entries, isolation.calls, strict=True)
        if isinstance(made, NotIsolated)
    ]
    rows: list[DispatchComparison] = []
    progress(f"compiling {len(distinct) - len(unchecked)} dispatches for the CPU")
    with Reference(isolation.module, cache) as reference:
        for (dispatch, calls), made in zip(distinct.items(), isolation.calls, strict=True):
            if isinstance(made, NotIsolated):
                continue
            progress(f"comparing {made.entry}")
            sizes = [use.length for use in dispatch.uses]
            content, expected = content_and_result(made, sizes, reference, seed)
            run = KernelRun(uri, [kernel_call(dispatch, made, schedule, spirv)], content)
            actual = results_of(made, run.run()[0])
            run.close()
            rows.append(_compared(made, calls, expected, actual, rtol))
    return tuple(rows), tuple(unchecked)


def distinct_dispatches(schedule: Schedule) -> dict[Dispatch, int]:
    """The dispatches that differ in more than where their tensors lie, with how many are alike."""
    found: dict[tuple[object, ...], Dispatch] = {}
    counts: dict[Dispatch, int] = {}
    for dispatch in schedule.dispatches:
        sizes = tuple((use.access, use.length) for use in dispatch.uses)
        first = found.setdefault(
            (dispatch.kernel, dispatch.workgroups, dispatch.words, sizes), dispatch
        )
        counts[first] = counts.get(first, 0) + 1
    return counts


def kernel_call(
    dispatch: Dispatch, made: Isolated, schedule: Schedule, spirv: Mapping[str, bytes]
) -> Call:
    """A dispatch of ``schedule`` as a call that runs by itself."""
    kernel = schedule.kernels[dispatch.kernel]
    written = {p.binding for p in made.written}
    writes = tuple(binding in written for binding in range(len(dispatch.uses)))
    return Call(kernel, spirv[kernel.file], dispatch.workgroups, writes, dispatch.words)


def _compared(
    made: Isolated,
    calls: int,
    expected: Sequence[NDArray[Any]],
    actual: Sequence[NDArray[Any]],
    rtol: float | None,
) -> DispatchComparison:
    worst = max(zip(expected, actual, strict=True), key=lambda pair: distance(*pair))
    found, allowed = distance(*worst), tolerance_of(worst[0], rtol)
    return DispatchComparison(
        made.entry,
        made.location,
        calls,
        worst[0].shape,
        str(worst[0].dtype),
        found,
        allowed,
        found <= allowed,
    )


def distance(expected: NDArray[Any], actual: NDArray[Any]) -> float:
    """Relative L2; infinite where NaN and infinities do not stand in the same places."""
    agree = nonfinite_agree(expected, actual)
    return relative_l2(expected, actual) if agree else float("inf")


class Reference:
    """The functions of an isolated module on the CPU, for as long as the block lasts."""

    def __init__(self, module: str, cache: Cache | None = None) -> None:
        from smartmem.passes.iree.cache import Cache
        from smartmem.passes.iree.driver import compile_whole
        from smartmem.passes.target import resolve
        from smartmem.runtime.archive import write_archive

        vmfb = compile_whole(module, resolve("cpu"), Cache.default() if cache is None else cache)
        self._folder = tempfile.TemporaryDirectory(prefix="smartmem-reference-")
        self._file = Path(self._folder.name) / "reference.vmfb"
        self._file.write_bytes(vmfb)
        self._weights = Path(self._folder.name) / "none.irpa"
        write_archive(self._weights, {})

    def __enter__(self) -> Reference:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def run(self, made: Isolated, arguments: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """What the function of ``made`` gives."""
        from smartmem.runtime.devices import cpu_device
        from smartmem.runtime.module import DeviceModule

        module = DeviceModule(
            cpu_device().uri, self._file, self._weights, entry=made.name, scope="model"
        )
        results = module(arguments, [dtype_of(p.dtype) for p in made.written])
        module.close()
        return results


def content_and_result(
    made: Isolated, sizes: Sequence[int], reference: Reference, seed: int
) -> tuple[list[Bytes], list[NDArray[Any]]]:
    """Random bytes for each binding, of ``sizes``, and what the CPU makes of them.

    Floats are drawn from a normal distribution, or where that has no finite result (a logarithm,
    a root) near 1.
    """
    content, arguments = _draw(made, sizes, seed, positive=False)
    expected = reference.run(made, arguments)
    if not all(np.isfinite(array.astype(np.float64)).all() for array in expected):
        content, arguments = _draw(made, sizes, seed, positive=True)
        expected = reference.run(made, arguments)
    return content, expected


def random_content(made: Isolated, sizes: Sequence[int], seed: int) -> list[Bytes]:
    """Random bytes for each binding, of ``sizes``, that the dispatch can work on."""
    return _draw(made, sizes, seed, positive=False)[0]


def results_of(made: Isolated, outputs: Sequence[Bytes]) -> list[NDArray[Any]]:
    """The tensors that a dispatch writes, in the bytes of its written bindings."""
    bindings = sorted({p.binding for p in made.written})
    return [_view(outputs[bindings.index(p.binding)], p) for p in made.written]


def _draw(
    made: Isolated, sizes: Sequence[int], seed: int, *, positive: bool
) -> tuple[list[Bytes], list[NDArray[Any]]]:
    generator = np.random.default_rng(seed)
    content = [np.zeros(size, np.uint8) for size in sizes]
    for parameter in made.parameters:
        view = _view(content[parameter.binding], parameter)
        view[...] = _values(parameter, made, generator, positive).astype(view.dtype)
    # Read back only now: where two tensors share bytes, both are what the last one left.
    return content, [_view(content[p.binding], p).copy() for p in made.parameters]


def _values(
    parameter: Parameter, made: Isolated, generator: np.random.Generator, positive: bool
) -> NDArray[Any]:
    if "int" not in parameter.dtype:
        drawn = generator.standard_normal(parameter.shape)
        return generator.uniform(*_POSITIVE, parameter.shape) if positive else drawn
    if parameter.holds_bools:
        return generator.integers(0, 2, parameter.shape)
    low, high = _INTEGERS if made.index_bound is None else (0, made.index_bound)
    return generator.integers(low, max(high, low + 1), parameter.shape)


def _view(content: Bytes, parameter: Parameter) -> NDArray[Any]:
    dtype = dtype_of(parameter.dtype)
    size = int(np.prod(parameter.shape, dtype=np.int64)) * dtype.itemsize
    part = content[parameter.offset : parameter.offset + size]
    return part.view(dtype).reshape(parameter.shape)
