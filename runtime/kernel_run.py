"""Kernels of our executor run by themselves, on any content: to compare them and to time them.

calls of kernels, what their bindings hold  ──►  a schedule of these calls only  ──►  results
"""

from __future__ import annotations

import ctypes
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smartmem.runtime import native_api
from smartmem.runtime.archive import write_archive
from smartmem.runtime.executor import uuid_of
from smartmem.runtime.schedule import (
    Access,
    BindingKind,
    Copy,
    Dispatch,
    Inline,
    Kernel,
    Port,
    Resource,
    ResourceKind,
    Schedule,
    Use,
)

Bytes = NDArray[np.uint8]
_BLOCK = 0
# What a kernel's time is: between timestamps of the device, or of all threads of this process on
# processors, which other load on the machine does not change; for devices that are software.
Clock = Literal["device", "processor"]


@dataclass(frozen=True)
class Call:
    """A kernel with its SPIR-V, and how it is called; ``writes`` says of each binding whether the
    kernel writes it.
    """

    kernel: Kernel
    code: bytes
    workgroups: tuple[int, int, int]
    writes: tuple[bool, ...]
    words: tuple[int, ...] = ()


class KernelRun:
    """Calls that share what their bindings hold at first, each with results of its own.

    ``contents`` are the bytes of each binding; each kernel runs ``repeats`` times. Raises
    DeviceError where the device cannot run them.
    """

    def __init__(
        self, uri: str, calls: Sequence[Call], contents: Sequence[Bytes], *, repeats: int = 1
    ) -> None:
        self._calls = calls
        self._repeats = repeats
        self._inputs, self._output_sizes, schedule = _schedule(calls, contents, repeats)
        files = {call.kernel.file: call.code for call in calls}
        self._model = _load(uri, schedule, files)
        self._session = native_api.Handle(
            lambda out: native_api.call("sm_session_create", self._model.value, out),
            "sm_session_release",
        )

    def close(self) -> None:
        """Lets go of the device's memory."""
        self._session.close()
        self._model.close()

    def run(self) -> list[list[Bytes]]:
        """Runs all calls; by call, the bytes of each binding that it writes."""
        outputs = [np.empty(size, np.uint8) for size in self._output_sizes]
        native_api.call(
            "sm_session_run",
            self._session.value,
            _pointers(self._inputs),
            _pointers(outputs),
            _BLOCK,
        )
        left = iter(outputs)
        return [[next(left) for written in call.writes if written] for call in self._calls]

    def time_us(self, clock: Clock) -> float:
        """Microseconds of one run of its kernels, the repeats' mean, on what ``run`` left."""
        find, session = native_api.library(), self._session.value
        inputs = [find.sm_session_input_memory(session, i) for i in range(len(self._inputs))]
        outputs = [
            find.sm_session_output_memory(session, i) for i in range(len(self._output_sizes))
        ]
        places = [(ctypes.c_void_p * len(held))(*held) for held in (inputs, outputs)]
        started = time.process_time_ns()
        native_api.call("sm_session_run", session, *places, _BLOCK)
        processor_us = (time.process_time_ns() - started) / 1e3
        gpu_us = native_api.session_times(self._session)["gpu_ms"] * 1e3
        return (processor_us if clock == "processor" else gpu_us) / self._repeats


def clock_of(uri: str) -> Clock:
    """The clock for kernels on a device: a software device computes on the host's processors."""
    uuid = uuid_of(uri)
    software = any(d.uuid == uuid and d.kind == "cpu" for d in native_api.devices())
    return "processor" if software else "device"


def _schedule(
    calls: Sequence[Call], contents: Sequence[Bytes], repeats: int
) -> tuple[list[Bytes], list[int], Schedule]:
    """The inputs, the sizes of the outputs, and what is done."""
    resources: list[Resource] = []
    ports: dict[ResourceKind, list[Port]] = {ResourceKind.INPUT: [], ResourceKind.OUTPUT: []}

    def resource(kind: ResourceKind, size: int) -> int:
        number = len(resources)
        resources.append(Resource(kind, size))
        if kind in ports:
            ports[kind].append(Port(number, 0, size))
        return number

    inputs: list[Bytes] = []
    inlines: list[Inline] = []
    given: dict[tuple[int, bool], int] = {}
    commands: list[Copy | Dispatch] = []
    outputs: list[int] = []
    for position, call in enumerate(calls):
        uses: list[Use] = []
        for number, (content, written) in enumerate(zip(contents, call.writes, strict=True)):
            size = len(content)
            is_buffer = call.kernel.bindings[number].kind is BindingKind.BUFFER
            held = given.get((number, is_buffer))
            if held is None and is_buffer:
                held = resource(ResourceKind.INPUT, size)
                inputs.append(content)
            elif held is None:
                held = resource(ResourceKind.CONSTANT, size)
                inlines.append(Inline(held, 0, content.tobytes()))
            given[number, is_buffer] = held
            if written:
                result = resource(ResourceKind.OUTPUT, size)
                outputs.append(size)
                source, target = (
                    Use(held, Access.READ, 0, size),
                    Use(result, Access.WRITE, 0, size),
                )
                commands.append(Copy(source, target))
                uses.append(Use(result, Access.BOTH, 0, size))
            else:
                uses.append(Use(held, Access.READ, 0, size))
        commands += [Dispatch(position, call.workgroups, tuple(uses), call.words)] * repeats
    schedule = Schedule(
        resources=tuple(resources),
        uploads=(),
        inputs=tuple(ports[ResourceKind.INPUT]),
        outputs=tuple(ports[ResourceKind.OUTPUT]),
        kernels=tuple(call.kernel for call in calls),
        commands=tuple(commands),
        inlines=tuple(inlines),
    )
    return inputs, outputs, schedule


def _load(uri: str, schedule: Schedule, code: Mapping[str, bytes]) -> native_api.Handle:
    """The model of a schedule without weights; nothing of it stays on disk."""
    device = native_api.open_device(uuid_of(uri))
    with tempfile.TemporaryDirectory(prefix="smartmem-kernels-") as name:
        folder = Path(name)
        (folder / "schedule").write_bytes(schedule.encode())
        write_archive(folder / "weights.irpa", {})
        for file, content in code.items():
            (folder / file).write_bytes(content)
        files = [os.fsencode(p) for p in (folder / "schedule", folder, folder / "weights.irpa")]
        return native_api.Handle(
            lambda out: native_api.call("sm_model_load", device.value, *files, None, out),
            "sm_model_release",
        )


def _pointers(arrays: Sequence[NDArray[Any]]) -> Any:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
