"""One compiled model on our Vulkan executor: numpy arrays in, numpy arrays out.

The same face as ``module.DeviceModule``, which runs the vmfb in IREE's runtime instead.
"""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from smartmem.errors import UserError
from smartmem.runtime import native_api
from smartmem.runtime.budget import Budget, TooSmall, parse_budget
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.dtypes import dtype_of
from smartmem.runtime.manifest import TensorSpec

Wait = Literal["block", "poll"]
_WAITS: dict[Wait, int] = {"block": 0, "poll": 1}
_URI_START = "vulkan://GPU-"
# A model's pipelines are some hundred KiB: this is room for all that anybody works on.
_CACHED_MODELS = 256


class ExecutorModule:
    """The schedule of a bundle's target with its weights, loaded on a device.

    ``wait`` says how a call waits for the GPU: "poll" answers soonest and keeps a core busy.
    ``budget`` bounds the device memory for weights: what does not fit is read in each call. At the
    budget that the model was compiled with its plan is followed, where the device can.
    Raises UserError where a file is damaged or the budget too small, DeviceError where the device
    cannot run it.
    """

    def __init__(
        self,
        uri: str,
        bundle: Bundle,
        target: str,
        *,
        wait: Wait = "block",
        budget: Budget | None = None,
    ) -> None:
        self.wait: Wait = wait
        self.has_budget = budget is not None
        outputs = [spec for spec in bundle.manifest.outputs if not spec.is_empty]
        self._outputs = outputs
        self._shapes = [spec.shape for spec in outputs]
        self._device = native_api.open_device(uuid_of(uri))
        self._model = _open_model(self._device, bundle, target, budget is not None)
        self._session = native_api.Handle(
            lambda out: self._create_session(budget, out), "sm_session_release"
        )
        self._check_signature(bundle)
        self._inputs = [spec for spec in bundle.manifest.inputs if not spec.is_empty]

    def _create_session(self, budget: Budget | None, out: Any) -> None:
        if budget is None:
            native_api.call("sm_session_create", self._model.value, out)
        else:
            size = self._bytes_of(budget)
            native_api.call("sm_session_create_within", self._model.value, size, out)

    def _bytes_of(self, budget: Budget) -> int:
        """Of what the weights take together on the device, where it is a share."""
        if budget.is_auto:
            return native_api.choose_budget(self._model)
        smallest, whole = native_api.budgets(self._model)
        wanted = budget.of(whole)
        if wanted < smallest:
            raise TooSmall(
                f"a budget of {wanted} bytes is too small: the smallest feasible one is "
                f"{smallest} bytes",
                hint=f"It is {100 * smallest / whole:.1f}% of the {whole} bytes of all weights.",
            )
        return wanted

    def set_budget(self, budget: str | float) -> None:
        """Another budget from the next call on, for a module that was given one: a size, a share of
        the weights, or "auto". The call that goes on ends before; memory is given back at once.
        """
        wanted = self._bytes_of(parse_budget(budget))
        native_api.call("sm_session_set_budget", self._session.value, wanted)

    def cancel(self) -> None:
        """Ends a call that streams weights, from another thread: it raises DeviceError."""
        native_api.library().sm_session_cancel(self._session.value)

    def stream_stats(self) -> dict[str, Any]:
        """How weights move under the budget: sm_stream_stats of smartmem.h."""
        return native_api.stream_stats(self._session)

    def intervals(self) -> list[native_api.Interval]:
        """When steps ran in the last call, and when weights were read and copied meanwhile."""
        return native_api.intervals(self._session)

    def device_memory(self) -> tuple[int, int]:
        """Bytes that this process holds of the device, all its models together: now, and the most
        that it ever held.
        """
        return native_api.device_memory(self._device)

    def close(self) -> None:
        """Lets go of the device's memory; the module cannot be called any more."""
        self._session.close()
        self._model.close()

    def __call__(
        self, arguments: Sequence[NDArray[Any]], result_dtypes: Sequence[np.dtype[Any]]
    ) -> list[NDArray[Any]]:
        """Runs the model; DeviceError where the device fails."""
        # Kept here until the call is over: the library reads them where they are.
        inputs = [np.asarray(a, order="C") for a in arguments]
        outputs = [
            np.empty(shape, dtype) for shape, dtype in zip(self._shapes, result_dtypes, strict=True)
        ]
        native_api.call(
            "sm_session_run",
            self._session.value,
            _pointers(inputs),
            _pointers(outputs),
            _WAITS[self.wait],
        )
        return outputs

    def input_memory(self) -> list[NDArray[Any]]:
        """Where the inputs are read, as arrays: a call that is given these copies nothing.

        They are the session's memory: after ``close`` they must not be touched. An input that the
        model does not read is an array of its own.
        """
        find = native_api.library().sm_session_input_memory
        return [
            _array_at(find(self._session.value, position), spec, self._session)
            for position, spec in enumerate(self._inputs)
        ]

    def run_in_place(self) -> list[NDArray[Any]]:
        """Runs the model on what lies in ``input_memory``, and copies nothing: the results are
        arrays where they lie, the session's memory, and hold until its next call. Others share all
        of these by DLPack (``torch.from_dlpack``).
        """
        library, session = native_api.library(), self._session.value
        given = [library.sm_session_input_memory(session, i) for i in range(len(self._inputs))]
        held = [library.sm_session_output_memory(session, i) for i in range(len(self._outputs))]
        arguments = ((ctypes.c_void_p * len(places))(*places) for places in (given, held))
        native_api.call("sm_session_run", session, *arguments, _WAITS[self.wait])
        return [
            _array_at(address, spec, self._session)
            for address, spec in zip(held, self._outputs, strict=True)
        ]

    def stats(self) -> dict[str, int | float]:
        """Memory, commands, barriers, and how loading went: sm_model_stats of smartmem.h."""
        return native_api.model_stats(self._model)

    def times(self) -> dict[str, float]:
        """Milliseconds of the last call: on the GPU, submitting, waiting."""
        return native_api.session_times(self._session)

    def profile(self) -> list[float]:
        """Nanoseconds of each command, one after another, on the inputs of the last call."""
        count = int(self.stats()["commands"])
        times = (ctypes.c_double * count)()
        native_api.call("sm_session_profile", self._session.value, times, count)
        return list(times)

    def _check_signature(self, bundle: Bundle) -> None:
        """The schedule's inputs and outputs are those of the manifest."""
        library, model = native_api.library(), self._model.value
        for what, specs in (("input", bundle.manifest.inputs), ("output", bundle.manifest.outputs)):
            present = [spec for spec in specs if not spec.is_empty]
            sizes = [
                getattr(library, f"sm_model_{what}_bytes")(model, position)
                for position in range(getattr(library, f"sm_model_{what}_count")(model))
            ]
            wanted = [dtype_of(s.dtype).itemsize * math.prod(s.shape) for s in present]
            # An input that the model does not read has no bytes.
            agree = len(sizes) == len(wanted) and all(
                size == need or (what == "input" and size == 0)
                for size, need in zip(sizes, wanted, strict=True)
            )
            if not agree:
                raise UserError(
                    f"{bundle.path}: the schedule's {what}s are not the manifest's",
                    hint="The folder is damaged: compile the model again.",
                )


def budgets(uri: str, bundle: Bundle, target: str) -> tuple[int, int]:
    """The smallest budget that the model can be loaded with on a device, and the one from which on
    nothing moves; in bytes. Loads no weights. Raises as ``ExecutorModule`` does.
    """
    model = _open_model(native_api.open_device(uuid_of(uri)), bundle, target, streams=True)
    try:
        return native_api.budgets(model)
    finally:
        model.close()


def _open_model(
    device: native_api.Handle, bundle: Bundle, target: str, streams: bool
) -> native_api.Handle:
    """The schedule with its weights, or without them where its sessions stream them."""
    parts = bundle.schedule(target), bundle.kernels(target), bundle.weights
    files = [os.fsencode(path) for path in parts]
    cache = _cache_folder()
    load = "sm_model_stream" if streams else "sm_model_load"
    return native_api.Handle(
        lambda out: native_api.call(load, device.value, *files, cache and os.fsencode(cache), out),
        "sm_model_release",
    )


def _array_at(address: int | None, spec: TensorSpec, owner: native_api.Handle) -> NDArray[Any]:
    """The session's memory as an array, which keeps the session."""
    dtype = dtype_of(spec.dtype)
    if address is None:
        return np.empty(spec.shape, dtype)
    memory: Any = ctypes.c_ubyte * (dtype.itemsize * math.prod(spec.shape))
    held = memory.from_address(address)
    held.owner = owner
    return np.frombuffer(held, np.uint8).view(dtype).reshape(spec.shape)


def _pointers(arrays: Sequence[NDArray[Any]]) -> Any:
    return (ctypes.c_void_p * len(arrays))(*map(_address, arrays))


def _address(array: NDArray[Any]) -> int:
    """Where an array's elements lie. A call of a small model takes as long as a few of numpy's own
    ways to tell (0.9 us each; this takes a third).
    """
    try:
        # Its stubs do not know that an array is a buffer.
        return ctypes.addressof(ctypes.c_char.from_buffer(cast(Any, array)))
    except (TypeError, ValueError, BufferError):
        # It cannot be written, or has a dtype that buffers know nothing of.
        return array.ctypes.data


def uuid_of(uri: str) -> bytes:
    """The identity in a device's URI, as IREE writes it."""
    if not uri.startswith(_URI_START):
        raise UserError(f"{uri}: our executor runs on Vulkan devices only")
    return bytes.fromhex(uri.removeprefix(_URI_START).replace("-", ""))


def _cache_folder() -> Path | None:
    """Where pipelines are kept: beside the compiler's cache; None where SMARTMEM_CACHE is off."""
    setting = os.environ.get("SMARTMEM_CACHE", "")
    if setting == "off":
        return None
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(setting or Path(base) / "smartmem") / "pipelines"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _prune(folder)
    except OSError:
        # A slower start, and no error.
        return None
    return folder


def _prune(folder: Path) -> None:
    """Drops the oldest files beyond those that are kept."""
    files = sorted((file.stat().st_mtime, file) for file in folder.glob("*.pipelines"))
    for _, file in files[:-_CACHED_MODELS]:
        file.unlink(missing_ok=True)
