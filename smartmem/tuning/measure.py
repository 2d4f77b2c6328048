"""Time configurations of one dispatch on a device, each compared with the CPU first."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from smartmem.dispatches import Reference, content_and_result, distance, results_of
from smartmem.errors import CompileError, DeviceError
from smartmem.passes.iree.driver import compile_kernels
from smartmem.passes.iree.isolate import Isolated
from smartmem.passes.iree.variants import variants
from smartmem.passes.rules.kernels import KernelConfig
from smartmem.runtime.dtypes import dtype_of
from smartmem.runtime.kernel_run import Bytes, Call, Clock, KernelRun, clock_of
from smartmem.runtime.schedule import Kernel
from smartmem.verify import tolerance_of

if TYPE_CHECKING:
    from smartmem.passes.target import Target

logger = logging.getLogger(__name__)

_SEED = 0
_LEAST_ROUNDS = 5
# A kernel runs so often between two looks at the clock, so that what comes before and after is
# small beside it.
REPEATS = 8
# Of kernels that take this long by themselves it is.
_LONG_US = 1000.0


class Bench:
    """One dispatch with its content and what the CPU makes of it."""

    def __init__(
        self, stream_ir: str, made: Isolated, reference: Reference, target: Target, uri: str
    ) -> None:
        self._stream_ir, self._made, self._target, self._uri = stream_ir, made, target, uri
        self._clock: Clock = clock_of(uri)
        self._content: list[Bytes]
        self._expected: list[NDArray[Any]]
        self._content, self._expected = content_and_result(made, sizes_of(made), reference, _SEED)

    def times_us(self, configs: Sequence[KernelConfig | None], seconds: float) -> list[float]:
        """The least of all rounds in about ``seconds`` for each configuration, which are measured
        one after another in each round; infinite for what cannot be built or run, or computes
        something else.
        """
        try:
            return self._times(configs, seconds)
        except (CompileError, DeviceError) as error:
            if len(configs) == 1:
                logger.info("%s: %s cannot be measured: %s", self._made.entry, configs[0], error)
                return [math.inf]
        # One of them is to blame: each by itself.
        return [self.times_us([config], seconds)[0] for config in configs]

    def _times(self, configs: Sequence[KernelConfig | None], seconds: float) -> list[float]:
        text = variants(self._stream_ir, self._made.entry, configs)
        built = compile_kernels(text, self._target, len(self._content), 0)
        numbers = [n for n in range(len(configs)) if f"v{n}" in built]
        times = [math.inf] * len(configs)
        if not numbers:
            return times
        calls = [self._call(*built[f"v{n}"]) for n in numbers]
        runs = [KernelRun(self._uri, [call], self._content) for call in calls]
        right = [self._is_right(run.run()[0]) for run in runs]
        if min(run.time_us(self._clock) for run in runs) < _LONG_US:
            for run in runs:
                run.close()
            runs = [KernelRun(self._uri, [call], self._content, repeats=REPEATS) for call in calls]
            for run in runs:
                run.run()
        found = least_us(runs, self._clock, seconds)
        for number, call, ok, us in zip(numbers, calls, right, found, strict=True):
            if ok:
                times[number] = us * idle_share(call.workgroups, self._clock)
        for run in runs:
            run.close()
        return times

    def _call(self, kernel: Kernel, code: bytes, workgroups: tuple[int, int, int]) -> Call:
        written = {p.binding for p in self._made.written}
        writes = tuple(binding in written for binding in range(len(self._content)))
        return Call(kernel, code, workgroups, writes)

    def _is_right(self, outputs: Sequence[Bytes]) -> bool:
        pairs = zip(self._expected, results_of(self._made, outputs), strict=True)
        return all(distance(*pair) <= tolerance_of(pair[0], None) for pair in pairs)


def least_us(runs: Sequence[KernelRun], clock: Clock, seconds: float) -> list[float]:
    """The least time of each run in about ``seconds``, all in turn in each round."""
    times = [math.inf] * len(runs)
    started, rounds = time.monotonic(), 0
    while rounds < _LEAST_ROUNDS or time.monotonic() < started + seconds:
        rounds += 1
        times = [min(held, run.time_us(clock)) for held, run in zip(times, runs, strict=True)]
    return times


def idle_share(workgroups: tuple[int, int, int], clock: Clock) -> float:
    """How much longer a kernel takes for processors that have no workgroup of the last ones: 4/3
    for three workgroups on two.
    """
    if clock == "device":
        return 1.0
    cores, count = os.cpu_count() or 1, math.prod(workgroups)
    return math.ceil(count / cores) * cores / count


def sizes_of(made: Isolated) -> list[int]:
    """The bytes of each binding, as far as its tensors reach."""
    ends: dict[int, int] = {}
    for p in made.parameters:
        size = p.offset + math.prod(p.shape) * dtype_of(p.dtype).itemsize
        ends[p.binding] = max(ends.get(p.binding, 0), size)
    return [ends[binding] for binding in range(max(ends) + 1)]
