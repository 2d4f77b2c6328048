"""Record how long each dispatch of a model takes on a device, for the latency table.

Each distinct kernel runs by itself, on random content of its real shapes, beside whole calls of the
model. On a software device both are times on processors (``kernel_run.Clock``).
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smartmem.dispatches import distinct_dispatches, kernel_call, random_content
from smartmem.errors import UserError
from smartmem.passes.iree.configure import configure
from smartmem.passes.iree.isolate import NotIsolated, isolate
from smartmem.passes.target import Target, resolve, with_tuning
from smartmem.passes.tuning.facts import Step, steps
from smartmem.passes.tuning.latency import Measured, Sample
from smartmem.runtime.executor import ExecutorModule
from smartmem.runtime.kernel_run import Bytes, Call, Clock, KernelRun, clock_of
from smartmem.runtime.schedule import decode
from smartmem.tuning.measure import REPEATS, least_us

if TYPE_CHECKING:
    from smartmem.passes.iree.cache import Cache
    from smartmem.runtime.bundle import Bundle
    from smartmem.runtime.devices import Device
    from smartmem.runtime.session import Session

# The least of all calls in this time is taken: other load comes and goes.
_CALL_SECONDS, _KERNEL_SECONDS = 2.0, 0.3
# Submitting takes as long as a short kernel: those are repeated more often.
_SHORT_US, _SHORT_REPEATS = 200.0, 64
_LEAST_CALLS = 5
_SEED = 0


def steps_of(stream_ir: str, target: Target) -> list[Step]:
    """What a call of a module does, with the tiles that a compile for ``target`` chooses."""
    if target.kernels is None:
        return steps(stream_ir, {})
    tuned = with_tuning(target, "auto").tuned
    return steps(
        stream_ir, configure(stream_ir, target.kernels, tuned, target.avoided_workgroups).kernels
    )


def measure_model(
    name: str,
    source: Any,
    example_inputs: Sequence[Any],
    example_kwargs: Mapping[str, Any] | None,
    device: Device,
    *,
    cache: Cache | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Measured:
    """Compiles a model for ``device`` and measures whole warm calls and each of its kernels.

    Raises UserError where our executor cannot run it, and what compiling and loading raise.
    """
    from smartmem.compiler import compile_model
    from smartmem.runtime.session import load
    from smartmem.verify import tensors

    with tempfile.TemporaryDirectory(prefix="smartmem-profile-") as folder:
        path = Path(folder) / "model.smartmem"
        compile_model(
            source,
            tuple(example_inputs),
            example_kwargs,
            targets=(device.target,),
            out=path,
            cache=cache,
            progress=progress,
        )
        session = load(path, device.uri, executor="smartmem")
        progress(f"{name}: measuring")
        clock = clock_of(device.uri)
        session.run_flat(tensors((tuple(example_inputs), dict(example_kwargs or {}))))
        least, started = math.inf, time.monotonic()
        calls = 0
        while calls < _LEAST_CALLS or time.monotonic() < started + _CALL_SECONDS:
            least = min(least, call_us(session, clock))
            calls += 1
        session.close()
        samples = _samples(session.bundle, session.target, device.uri, clock)
    if not samples:
        raise UserError(f"{name}: none of its kernels can be measured by itself")
    return Measured(name, least, samples)


def call_us(session: Session, clock: Clock) -> float:
    """Microseconds of one call on the inputs it has, in our executor."""
    module = session.module
    if not isinstance(module, ExecutorModule):
        raise UserError(f"{session.path}: calls are timed in our executor only")
    before = time.process_time_ns()
    module.run_in_place()
    processor_us = (time.process_time_ns() - before) / 1e3
    return processor_us if clock == "processor" else module.times()["gpu_ms"] * 1e3


def _kernel_us(uri: str, call: Call, content: Sequence[Bytes], clock: Clock, repeats: int) -> float:
    run = KernelRun(uri, [call], content, repeats=repeats)
    run.run()
    (us,) = least_us([run], clock, _KERNEL_SECONDS)
    run.close()
    return us


def _samples(bundle: Bundle, target: str, uri: str, clock: Clock) -> tuple[Sample, ...]:
    """The distinct kernels of a bundle, as far as they can be taken out."""
    stream_ir = bundle.dispatches(target)
    schedule = decode(bundle.schedule(target).read_bytes())
    folder = bundle.kernels(target)
    spirv = {kernel.file: (folder / kernel.file).read_bytes() for kernel in schedule.kernels}
    counts = distinct_dispatches(schedule)
    entries = [schedule.kernels[d.kernel].entry for d in counts]
    isolated = isolate(stream_ir, [(e, d.words) for e, d in zip(entries, counts, strict=True)])
    facts = {step.entry: step.facts for step in steps_of(stream_ir, resolve(target))}
    found: dict[str, Sample] = {}
    for (dispatch, calls), entry, made in zip(counts.items(), entries, isolated.calls, strict=True):
        if isinstance(made, NotIsolated) or entry not in facts:
            continue
        content = random_content(made, [use.length for use in dispatch.uses], _SEED)
        call = kernel_call(dispatch, made, schedule, spirv)
        us = _kernel_us(uri, call, content, clock, REPEATS)
        if us < _SHORT_US:
            us = _kernel_us(uri, call, content, clock, _SHORT_REPEATS)
        key = facts[entry].key
        calls += found[key].calls if key in found else 0
        found[key] = Sample(facts[entry], us, calls)
    return tuple(found.values())
