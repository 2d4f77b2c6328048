"""The C API of our executor (native/include/smartmem.h) for Python, through ctypes.

Handles close themselves when the last reference goes, in any order, and at exit. Codes other than
SM_OK become the errors of smartmem. A call into the library releases Python's lock.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from smartmem.errors import DeviceError, SmartmemError, UserError

API_VERSION = 3
# SM_AUTO_SLOWDOWN
AUTO_SLOWDOWN = 1.5
LIBRARY = Path(__file__).parent / "native" / "build" / "libsmartmem.so"
_BUILD_HINT = (
    "Build it: `make setup` does where a C++ compiler and Vulkan's headers are (on Debian: "
    "apt-get install g++ cmake libvulkan-dev)."
)
_BAD_FILE, _NO_VULKAN, _UNSUPPORTED = 2, 3, 4
_INVALID_ARGUMENT, _TIMEOUT, _CANCELLED = 1, 8, 9


class _Error(ctypes.Structure):
    _fields_ = (("code", ctypes.c_int), ("message", ctypes.c_char * 500))


class _DeviceInfo(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char * 256),
        ("driver", ctypes.c_char * 256),
        ("driver_info", ctypes.c_char * 256),
        ("uuid", ctypes.c_ubyte * 16),
        ("api_version", ctypes.c_uint32),
        ("kind", ctypes.c_int),
    )


class _ModelStats(ctypes.Structure):
    _fields_ = (
        ("weights_bytes", ctypes.c_uint64),
        ("transient_bytes", ctypes.c_uint64),
        ("kernels", ctypes.c_uint32),
        ("commands", ctypes.c_uint32),
        ("barriers", ctypes.c_uint32),
        ("cache_hit", ctypes.c_uint32),
        ("weights_ms", ctypes.c_double),
        ("pipelines_ms", ctypes.c_double),
    )


class _Times(ctypes.Structure):
    _fields_ = (
        ("gpu_ms", ctypes.c_double),
        ("submit_ms", ctypes.c_double),
        ("wait_ms", ctypes.c_double),
    )


class _StreamStats(ctypes.Structure):
    _fields_ = (
        ("budget_bytes", ctypes.c_uint64),
        ("smallest_budget_bytes", ctypes.c_uint64),
        ("whole_budget_bytes", ctypes.c_uint64),
        ("fixed_bytes", ctypes.c_uint64),
        ("pinned_bytes", ctypes.c_uint64),
        ("arena_bytes", ctypes.c_uint64),
        ("staging_bytes", ctypes.c_uint64),
        ("streamed_bytes", ctypes.c_uint64),
        ("steps", ctypes.c_uint32),
        ("copies", ctypes.c_int),
        ("read_bytes", ctypes.c_uint64),
        ("reads", ctypes.c_uint64),
        ("read_ms", ctypes.c_double),
        ("stall_ms", ctypes.c_double),
    )


class _Interval(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int),
        ("number", ctypes.c_uint32),
        ("start_ns", ctypes.c_int64),
        ("end_ns", ctypes.c_int64),
    )


@dataclass(frozen=True)
class Interval:
    """When something of a call happened, in nanoseconds since it was submitted: a step of kernels,
    a copy of weights on the device, or a read of the file.
    """

    kind: str
    number: int
    start_ns: int
    end_ns: int


class UnsupportedDevice(DeviceError):
    """The device lacks what this model's kernels need; IREE's runtime may still run it."""


@dataclass(frozen=True)
class NativeDevice:
    """A Vulkan device; ``kind`` is "integrated", "discrete", "virtual", "cpu" or "other"."""

    name: str
    driver: str
    driver_info: str
    uuid: bytes
    api: str
    kind: str


_KINDS = ("other", "integrated", "discrete", "virtual", "cpu")


@cache
def library() -> ctypes.CDLL:
    """The shared library; DeviceError where it is not there or of another version."""
    path = os.environ.get("SMARTMEM_NATIVE") or str(LIBRARY)
    try:
        loaded = ctypes.CDLL(path)
    except OSError as error:
        raise DeviceError(f"our executor cannot be loaded: {error}", hint=_BUILD_HINT) from error
    for name, (result, arguments) in _signatures().items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    version = loaded.sm_api_version()
    if version != API_VERSION:
        raise DeviceError(
            f"{path}: has version {version} of our API, this smartmem uses {API_VERSION}",
            hint=_BUILD_HINT,
        )
    return loaded


def is_available() -> bool:
    """Whether the library can be loaded."""
    try:
        library()
    except DeviceError:
        return False
    return True


def _signatures() -> dict[str, tuple[Any, list[Any]]]:
    """Result and argument types of each function of smartmem.h that is used here."""
    code, handle, size = ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t
    text, error = ctypes.c_char_p, ctypes.POINTER(_Error)
    out = ctypes.POINTER(ctypes.c_void_p)
    arrays = ctypes.POINTER(ctypes.c_void_p)
    count = ctypes.POINTER(ctypes.c_uint64)
    return {
        "sm_api_version": (ctypes.c_uint32, []),
        "sm_devices": (
            code,
            [ctypes.POINTER(_DeviceInfo), size, ctypes.POINTER(size), error],
        ),
        "sm_device_open": (code, [text, out, error]),
        "sm_device_close": (None, [handle]),
        "sm_model_load": (code, [handle, text, text, text, text, out, error]),
        "sm_model_stream": (code, [handle, text, text, text, text, out, error]),
        "sm_model_release": (None, [handle]),
        "sm_model_get_budgets": (None, [handle, count, count]),
        "sm_model_choose_budget": (code, [handle, ctypes.c_double, count, error]),
        "sm_device_get_memory": (None, [handle, count, count]),
        "sm_model_input_count": (size, [handle]),
        "sm_model_output_count": (size, [handle]),
        "sm_model_input_bytes": (size, [handle, size]),
        "sm_model_output_bytes": (size, [handle, size]),
        "sm_model_get_stats": (None, [handle, ctypes.POINTER(_ModelStats)]),
        "sm_session_create": (code, [handle, out, error]),
        "sm_session_create_within": (code, [handle, ctypes.c_uint64, out, error]),
        "sm_session_set_budget": (code, [handle, ctypes.c_uint64, error]),
        "sm_session_set_read_limit": (code, [handle, ctypes.c_uint64, error]),
        "sm_session_cancel": (None, [handle]),
        "sm_session_get_stream": (code, [handle, ctypes.POINTER(_StreamStats), error]),
        "sm_session_get_intervals": (
            code,
            [handle, ctypes.POINTER(_Interval), size, ctypes.POINTER(size), error],
        ),
        "sm_session_release": (None, [handle]),
        "sm_session_run": (code, [handle, arrays, arrays, code, error]),
        "sm_session_input_memory": (ctypes.c_void_p, [handle, size]),
        "sm_session_output_memory": (ctypes.c_void_p, [handle, size]),
        "sm_session_get_times": (code, [handle, ctypes.POINTER(_Times), error]),
        "sm_session_profile": (code, [handle, ctypes.POINTER(ctypes.c_double), size, error]),
    }


def call(function: str, *arguments: Any) -> None:
    """Calls a function that returns a code; raises what the code means."""
    error = _Error()
    code = getattr(library(), function)(*arguments, ctypes.byref(error))
    if code != 0:
        raise _failure(code, error.message.decode(errors="replace"))


def _failure(code: int, message: str) -> SmartmemError:
    if code == _BAD_FILE:
        return UserError(message, hint="Compile the model again, or copy the folder again.")
    if code == _INVALID_ARGUMENT:
        return UserError(message)
    if code == _UNSUPPORTED:
        return UnsupportedDevice(message)
    if code == _NO_VULKAN:
        return DeviceError(message, hint="`smartmem devices` lists what this machine has.")
    if code in (_TIMEOUT, _CANCELLED):
        return DeviceError(message)
    return DeviceError(f"the device failed: {message}")


class Handle:
    """A handle of the library, released with its last reference."""

    def __init__(self, make: Callable[..., None], release: str) -> None:
        pointer = ctypes.c_void_p()
        make(ctypes.byref(pointer))
        self._pointer = pointer
        self._release = weakref.finalize(self, getattr(library(), release), pointer)

    @property
    def value(self) -> ctypes.c_void_p:
        """What the library's functions take; UserError after ``close``."""
        if not self._release.alive:
            raise UserError("the model was closed", hint="Load it again.")
        return self._pointer

    def close(self) -> None:
        """Releases it now; it must not be used afterwards."""
        self._release()


def devices() -> list[NativeDevice]:
    """The Vulkan devices of this machine, in the loader's order."""
    count = ctypes.c_size_t()
    call("sm_devices", None, 0, ctypes.byref(count))
    infos = (_DeviceInfo * count.value)()
    call("sm_devices", infos, len(infos), ctypes.byref(count))
    return [_described(info) for info in infos[: count.value]]


def _described(info: _DeviceInfo) -> NativeDevice:
    version: int = info.api_version
    return NativeDevice(
        name=info.name.decode(errors="replace"),
        driver=info.driver.decode(errors="replace"),
        driver_info=info.driver_info.decode(errors="replace"),
        uuid=bytes(info.uuid),
        api=f"{version >> 22 & 0x7F}.{version >> 12 & 0x3FF}.{version & 0xFFF}",
        kind=_KINDS[info.kind],
    )


_open_devices: weakref.WeakValueDictionary[bytes, Handle] = weakref.WeakValueDictionary()
_open_lock = threading.Lock()


def open_device(uuid: bytes) -> Handle:
    """The device of this identity; one per process while anybody uses it."""
    with _open_lock:
        held = _open_devices.get(uuid)
        if held is None:
            held = Handle(lambda out: call("sm_device_open", uuid, out), "sm_device_close")
            _open_devices[uuid] = held
        return held


def model_stats(model: Handle) -> dict[str, int | float]:
    """What ``sm_model_stats`` says, by field."""
    stats = _ModelStats()
    library().sm_model_get_stats(model.value, ctypes.byref(stats))
    return {name: getattr(stats, name) for name, *_ in _ModelStats._fields_}


def session_times(session: Handle) -> dict[str, float]:
    """What ``sm_times`` says of the last call, by field, in milliseconds."""
    times = _Times()
    call("sm_session_get_times", session.value, ctypes.byref(times))
    return {name: getattr(times, name) for name, *_ in _Times._fields_}


def budgets(model: Handle) -> tuple[int, int]:
    """The smallest budget of a model that streams, and the one from which on nothing moves."""
    smallest, whole = ctypes.c_uint64(), ctypes.c_uint64()
    library().sm_model_get_budgets(model.value, ctypes.byref(smallest), ctypes.byref(whole))
    return smallest.value, whole.value


def choose_budget(model: Handle) -> int:
    """What "auto" is for a model that streams; UserError where it does not tell its times."""
    size = ctypes.c_uint64()
    call("sm_model_choose_budget", model.value, AUTO_SLOWDOWN, ctypes.byref(size))
    return size.value


def device_memory(device: Handle) -> tuple[int, int]:
    """Device memory that this process holds through the library, and the most that it ever held."""
    now, peak = ctypes.c_uint64(), ctypes.c_uint64()
    library().sm_device_get_memory(device.value, ctypes.byref(now), ctypes.byref(peak))
    return now.value, peak.value


_COPIES = ("by the host", "on a queue of their own", "between kernels")
_INTERVALS = ("step", "copy", "read")


def stream_stats(session: Handle) -> dict[str, Any]:
    """What ``sm_stream_stats`` says, by field; ``copies`` in words."""
    stats = _StreamStats()
    call("sm_session_get_stream", session.value, ctypes.byref(stats))
    found = {name: getattr(stats, name) for name, *_ in _StreamStats._fields_}
    return found | {"copies": _COPIES[stats.copies]}


def intervals(session: Handle) -> list[Interval]:
    """What happened in the last call of a session with a budget."""
    count = ctypes.c_size_t()
    call("sm_session_get_intervals", session.value, None, 0, ctypes.byref(count))
    rows = (_Interval * count.value)()
    call("sm_session_get_intervals", session.value, rows, len(rows), ctypes.byref(count))
    # Their number may differ by those at the edge of the call: reading goes on, and clocks drift.
    there = rows[: count.value]
    return [Interval(_INTERVALS[r.kind], r.number, r.start_ns, r.end_ns) for r in there]
