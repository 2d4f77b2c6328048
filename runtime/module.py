"""One compiled module on one device: numpy arrays in, numpy arrays out.

The only place that calls IREE's runtime to load and run code.

Nothing that IREE allocates leaves this file: a device buffer that outlives its device at
interpreter exit crashes IREE's bindings, so results are always copied into numpy's own memory.
"""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from iree import runtime as iree
from iree.runtime.dtypes import map_dtype_to_hal_element_type
from numpy.typing import NDArray

from smartmem.errors import DeviceError, UserError

# What IREE names where an argument has not the shape or type that the function was compiled for.
_ARGUMENT_CHECK = "hal.buffer_view.assert"
_LOST = "VK_ERROR_DEVICE_LOST"

logger = logging.getLogger(__name__)


class _DeviceLost(DeviceError):
    """The driver gave up the device; one that is opened anew works."""


class DeviceModule:
    """A vmfb with its weights, loaded on a device.

    Where the driver loses the device, the module is loaded on one opened anew and goes on there,
    once per load or call: a call has no effect but its results. IREE 3.13 itself makes a driver
    that checks it (Mesa) give up its device, now and then: two of its threads may signal one
    semaphore at once, with values in the wrong order.

    Raises DeviceError where the device cannot be opened and UserError where it or the weights
    archive cannot be loaded.
    """

    def __init__(
        self, uri: str, vmfb: Path, weights: Path, *, entry: str, scope: str, streamed: bool = False
    ) -> None:
        self._uri = uri
        self._vmfb = vmfb
        self._weights = weights
        self._entry = entry
        self._scope = scope
        self._streamed = streamed
        self._device: Any = None
        self._context: Any = None
        self._function: Any = None
        try:
            self._open()
        except _DeviceLost as error:
            self._open_anew(error)
        _loaded.add(self)

    def _open(self) -> None:
        uri, vmfb = self._uri, self._vmfb
        self._device = _open_device(uri)
        instance = iree.VmInstance()
        hal = iree.create_hal_module(instance, self._device)
        index = iree.ParameterIndex()
        try:
            index.load(str(self._weights), mode=_weights_mode(uri, self._streamed))
            provider = index.create_provider(scope=self._scope)
            parameters = iree.create_io_parameters_module(instance, provider)
            module = iree.VmModule.mmap(instance, str(vmfb))
            self._context = iree.VmContext(instance, [hal, parameters, module])
            self._function = module.lookup_function(self._entry)
        except (RuntimeError, ValueError) as error:
            self._forget_if_lost(error)
            raise UserError(
                f"{vmfb}: cannot be loaded on {uri}: {error}",
                hint="It may be damaged, made for another kind of device, or by another version "
                "of IREE: compile the model again.",
            ) from error
        if self._function is None:
            raise UserError(
                f"{vmfb}: has no function {self._entry!r}", hint="Compile the model again."
            )

    def _open_anew(self, error: _DeviceLost) -> None:
        logger.warning("opened anew, since %s", error.message)
        self.close()
        self._open()

    def close(self) -> None:
        """Lets go of all that IREE holds; the module cannot be called any more."""
        self._function = self._context = self._device = None

    def __call__(
        self, arguments: Sequence[NDArray[Any]], result_dtypes: Sequence[np.dtype[Any]]
    ) -> list[NDArray[Any]]:
        """Runs the entry function.

        Raises DeviceError where the device fails, UserError where the function takes other
        arguments.
        """
        try:
            return self._invoke(arguments, result_dtypes)
        except _DeviceLost as error:
            self._open_anew(error)
            return self._invoke(arguments, result_dtypes)

    def _invoke(
        self, arguments: Sequence[NDArray[Any]], result_dtypes: Sequence[np.dtype[Any]]
    ) -> list[NDArray[Any]]:
        try:
            inputs = iree.VmVariantList(len(arguments))
            outputs = iree.VmVariantList(len(result_dtypes))
            for argument in arguments:
                inputs.push_ref(self._to_device(argument))
            self._context.invoke(self._function, inputs, outputs)
            if len(outputs) != len(result_dtypes):
                raise UserError(
                    f"the compiled function gives {len(outputs)} results, its manifest names "
                    f"{len(result_dtypes)}",
                    hint="The folder is damaged: compile the model again.",
                )
            return [
                self._to_host(outputs.get_as_object(position, iree.HalBufferView), dtype)
                for position, dtype in enumerate(result_dtypes)
            ]
        except (RuntimeError, ValueError, IndexError, OSError) as error:
            # An IndexError is IREE's word for a file that ends too early.
            if _ARGUMENT_CHECK in str(error):
                raise UserError(
                    "the bundle is damaged: its manifest and its module disagree on the arguments",
                    hint="Compile the model again.",
                ) from error
            self._forget_if_lost(error)
            raise DeviceError(f"the device failed while running the model: {error}") from error

    def _forget_if_lost(self, error: Exception) -> None:
        """Raises _DeviceLost where ``error`` says so; who opens the device next gets another."""
        if _LOST not in str(error):
            return
        with _devices_lock:
            if _devices.get(self._uri) is self._device:
                del _devices[self._uri]
        raise _DeviceLost(
            f"the device {self._uri} was lost: {error}",
            hint="The model was tried on a device opened anew, too: what it asks may be too much "
            "for this driver.",
        ) from error

    def _to_device(self, array: NDArray[Any]) -> Any:
        return self._device.allocator.allocate_buffer_copy(
            memory_type=iree.MemoryType.DEVICE_LOCAL,
            allowed_usage=iree.BufferUsage.DEFAULT,
            device=self._device,
            # Not ascontiguousarray, which makes one dimension out of none.
            buffer=np.asarray(array, order="C"),
            element_type=map_dtype_to_hal_element_type(array.dtype),
        )

    def _to_host(self, view: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Copies a result out, through a staging buffer where the device's memory is not mapped."""
        buffer = view.get_buffer()
        if not _is_mappable(buffer):
            buffer = self._staged(buffer, view.byte_length)
        mapped = buffer.map()
        data = np.array(mapped.asarray([view.byte_length], np.dtype(np.uint8)), copy=True)
        return data.view(dtype).reshape(view.shape)

    def _staged(self, source: Any, size_bytes: int) -> Any:
        staging = self._device.allocator.allocate_buffer(
            memory_type=int(iree.MemoryType.HOST_LOCAL | iree.MemoryType.DEVICE_VISIBLE),
            allowed_usage=int(iree.BufferUsage.TRANSFER_TARGET | iree.BufferUsage.MAPPING_SCOPED),
            allocation_size=size_bytes,
        )
        semaphore = self._device.create_semaphore(0)
        done = iree.HalFence.create_at(semaphore, 1)
        self._device.queue_copy(
            source,
            staging,
            wait_semaphores=iree.HalFence.create_at(semaphore, 0),
            signal_semaphores=done,
        )
        done.wait()
        return staging


_loaded: weakref.WeakSet[DeviceModule] = weakref.WeakSet()
# IREE's own cache would keep a lost device for good.
_devices: dict[str, Any] = {}
_devices_lock = threading.Lock()


@atexit.register
def _close_all() -> None:
    """What outlives the interpreter (TorchDynamo's caches do) IREE's bindings call leaked."""
    for module in tuple(_loaded):
        module.close()
    _devices.clear()


def _open_device(uri: str) -> Any:
    """IREE's device for a URI; one per process, shared by all sessions."""
    try:
        with _devices_lock:
            if uri not in _devices:
                _devices[uri] = iree.get_device(uri, cache=False)
            return _devices[uri]
    except (RuntimeError, ValueError) as error:
        raise DeviceError(
            f"cannot open the device {uri}: {error}",
            hint="`smartmem devices` lists what this machine has.",
        ) from error


def _weights_mode(uri: str, streamed: bool) -> str | None:
    """How to open the archive so that the weights are in memory once.

    Measured with 256 MiB: local-task computes on the mapped file itself (18 MiB of anonymous
    memory); Vulkan would map it and copy it too (608 MiB resident), with file_async 368 MiB. What
    streams is read into memory that its plan accounts for, so the file is not mapped besides.
    """
    return None if uri.startswith("local-") and not streamed else "file_async"


def _is_mappable(buffer: Any) -> bool:
    visible = int(iree.MemoryType.HOST_VISIBLE)
    mapping = int(iree.BufferUsage.MAPPING_SCOPED)
    return (
        int(buffer.memory_type()) & visible == visible
        and int(buffer.allowed_usage()) & mapping == mapping
    )
