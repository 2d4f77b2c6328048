"""Sessions: a compiled model on a device, called like the model it came from.

    session = smartmem.load("model.smartmem", device="auto")
    outputs = session(*args, **kwargs)

Tensors may be numpy's or torch's and results are of the same kind. Torch is used where the caller
has imported it, and never imported here.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from smartmem.errors import DeviceError, UserError
from smartmem.runtime.budget import Budget, TooSmall, parse_budget
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.devices import Device, select
from smartmem.runtime.dtypes import dtype_of
from smartmem.runtime.manifest import Manifest, TargetEntry, TensorSpec
from smartmem.runtime.narrowing import refuse_outside
from smartmem.runtime.tree import Tree, flatten, unflatten
from smartmem.spelling import did_you_mean

logger = logging.getLogger(__name__)

Executor = Literal["auto", "smartmem", "iree"]
EXECUTORS: tuple[Executor, ...] = ("auto", "smartmem", "iree")


class Module(Protocol):
    """A compiled function on a device, whatever runs it."""

    def __call__(
        self, arguments: Sequence[NDArray[Any]], result_dtypes: Sequence[np.dtype[Any]]
    ) -> list[NDArray[Any]]: ...

    def close(self) -> None: ...


def load(
    path: str | os.PathLike[str],
    device: str = "auto",
    *,
    executor: Executor = "auto",
    budget: str | float | None = None,
) -> Session:
    """Opens a bundle on a device ("auto", "cpu", "vulkan", a target's or device's name, a URI).

    ``executor`` says what runs it: "smartmem" is our own, on Vulkan only; "iree" is IREE's runtime;
    "auto" is our own where it can run this bundle on this device.

    ``budget`` bounds the device memory for weights, in our own executor: a size ("512MiB", or bytes
    as an integer), a share of all weights ("50%", 0.5), or "auto": the smallest under which calls
    are predicted to take at most 1.5 times as long as with all weights in memory. What does not fit
    is read from the archive in each call; outputs are the same to the last bit (docs/streaming.md).
    Without it, the budget is the one that the model was compiled with; without that, all weights
    are loaded.

    Raises UserError where the bundle is damaged, DeviceError where no device suits it. Of the
    weights only the size is checked: reading them all would make every start as slow as the first
    (`verify` compares their hash).
    """
    return Session(Bundle.open(path), device, executor=executor, budget=budget)


class Session:
    """A loaded model. Calls from several threads run one after another."""

    def __init__(
        self,
        bundle: Bundle,
        device: str = "auto",
        *,
        executor: Executor = "auto",
        budget: str | float | None = None,
    ) -> None:
        if executor not in EXECUTORS:
            raise UserError(
                f"unknown executor {executor!r}.{did_you_mean(executor, EXECUTORS)}",
                hint=f"Known: {', '.join(EXECUTORS)}.",
            )
        wanted = None if budget is None else parse_budget(budget)
        selected, entry = select(bundle.manifest, device)
        bundle.check_target(entry.name)
        bundle.check_weights()
        self._bundle = bundle
        self._device = selected
        self._target = entry.name
        self._lock = threading.Lock()
        self._executor: Executor
        self._executor, self._module = _open_module(bundle, selected, entry, executor, wanted)

    @property
    def path(self) -> Path:
        return self._bundle.path

    @property
    def bundle(self) -> Bundle:
        return self._bundle

    @property
    def manifest(self) -> Manifest:
        return self._bundle.manifest

    @property
    def device(self) -> Device:
        return self._device

    @property
    def target(self) -> str:
        """The name of the bundle's target in use."""
        return self._target

    @property
    def executor(self) -> Executor:
        """What runs it: "smartmem" or "iree"."""
        return self._executor

    @property
    def module(self) -> Module:
        """The compiled function; that of our own executor also tells times (executor.py)."""
        return self._module

    def set_budget(self, budget: str | float) -> None:
        """Gives a session that was loaded with a budget another, after the call that goes on.

        Raises UserError where it is too small, and then the old one stays.
        """
        from smartmem.runtime.executor import ExecutorModule

        if not isinstance(self._module, ExecutorModule):
            raise UserError(
                "only a session of our own executor can be given another budget",
                hint="Load the model with a budget, on a Vulkan device.",
            )
        with self._lock:
            self._module.set_budget(budget)

    def close(self) -> None:
        """Lets go of the model's memory; it cannot be called any more."""
        with self._lock:
            self._module.close()

    def _run(
        self, arguments: Sequence[NDArray[Any]], dtypes: Sequence[np.dtype[Any]]
    ) -> list[NDArray[Any]]:
        """Calls the compiled function. Where that fails and a run reads weights, a fault of their
        archive is told first: the device knows no more than that a read failed.
        """
        try:
            return self._module(arguments, dtypes)
        except DeviceError:
            if self.manifest.targets[self._target].is_streamed:
                self._bundle.check_weights(thorough=True)
            raise

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the model; raises UserError where the arguments do not fit its signature."""
        manifest = self.manifest
        leaves = bind(manifest, args, kwargs)
        torch: Any = sys.modules.get("torch")
        torch_in = torch is not None and any(isinstance(leaf, torch.Tensor) for leaf in leaves)
        results = self.run_flat(
            [as_numpy(leaf, spec.name) for leaf, spec in zip(leaves, manifest.inputs, strict=True)]
        )
        if torch_in:
            results = [as_torch(torch, result) for result in results]
        return unflatten(manifest.output_tree, results)

    def run_flat(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Runs the model on its flat inputs, in the manifest's order; gives its flat outputs."""
        manifest = self.manifest
        if len(arrays) != len(manifest.inputs):
            raise UserError(
                f"{self.path}: takes {len(manifest.inputs)} tensors ({_signature(manifest)}), "
                f"got {len(arrays)}"
            )
        pairs = list(zip(manifest.inputs, arrays, strict=True))
        arguments = [_narrow(spec, array) for spec, array in pairs]
        dtypes = [dtype_of(spec.dtype) for spec in manifest.outputs if not spec.is_empty]
        with self._lock:
            results = iter(self._run([a for a in arguments if a.size], dtypes))
        found = [
            np.empty(spec.shape, dtype_of(spec.dtype)) if spec.is_empty else next(results)
            for spec in manifest.outputs
        ]
        return [
            array if spec.dtype == spec.source_dtype else array.astype(dtype_of(spec.source_dtype))
            for spec, array in zip(manifest.outputs, found, strict=True)
        ]


def _open_module(
    bundle: Bundle, device: Device, entry: TargetEntry, wish: Executor, budget: Budget | None
) -> tuple[Executor, Module]:
    """The module in the executor that ``wish`` means, and that executor's name."""
    if budget is not None:
        if wish == "iree" or device.kind == "cpu":
            raise UserError(
                "a budget when a model is loaded is for our own executor, on Vulkan",
                hint="IREE's runtime follows the budget that the model was compiled with: "
                "`smartmem plan PATH --budget SIZE -o OUT` gives it another.",
            )
        return "smartmem", _open_ours(bundle, device, entry, budget)
    if wish == "smartmem" or (wish == "auto" and suits_ours(device, entry)):
        compiled = entry.budget_bytes
        budget = None if compiled is None else Budget(size_bytes=compiled)
        try:
            return "smartmem", _open_ours(bundle, device, entry, budget)
        except (DeviceError, TooSmall) as error:
            if wish == "smartmem":
                raise
            logger.warning("IREE's runtime runs %s instead of ours: %s", bundle.path, error.message)
    return "iree", _open_iree(bundle, device, entry)


def suits_ours(device: Device, entry: TargetEntry) -> bool:
    """Whether our own executor can run the target on the device."""
    from smartmem.runtime import native_api

    return device.kind != "cpu" and entry.schedule is not None and native_api.is_available()


def _open_ours(bundle: Bundle, device: Device, entry: TargetEntry, budget: Budget | None) -> Module:
    from smartmem.runtime.executor import ExecutorModule

    if entry.schedule is None:
        reason = bundle.report(entry.name).get("unschedulable") or "it was compiled for a CPU"
        raise DeviceError(
            f"{bundle.path}: our executor cannot run target {entry.name!r}: {reason}",
            hint='IREE\'s runtime runs it: executor="iree".',
        )
    return ExecutorModule(device.uri, bundle, entry.name, budget=budget)


def _open_iree(bundle: Bundle, device: Device, entry: TargetEntry) -> Module:
    # Here, since our executor also runs where IREE is not installed.
    from smartmem.runtime.module import DeviceModule

    return DeviceModule(
        device.uri,
        bundle.vmfb(entry.name),
        bundle.weights,
        entry=bundle.manifest.entry,
        scope=bundle.manifest.parameter_scope,
        streamed=entry.is_streamed,
    )


def bind(manifest: Manifest, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """The call's tensors in the manifest's order.

    A positional argument that is one tensor may also be given by its name.
    """
    positional, keyword = cast(tuple[Tree, Tree], tuple(manifest.input_tree["items"]))
    rest = dict(kwargs)
    names = _positional_names(manifest, positional)[len(args) :]
    named: list[Any] = [rest.pop(name) for name in names if name is not None and name in rest]
    given = (*args, *named)
    if len(given) != len(positional["items"]):
        raise UserError(
            f"the model takes {len(positional['items'])} positional arguments "
            f"({_signature(manifest)}), got {len(given)}"
        )
    flat = flatten(positional, given, "args") | flatten(keyword, rest, "kwargs")
    return [flat[index] for index in range(len(flat))]


def _positional_names(manifest: Manifest, positional: Tree) -> list[str | None]:
    """The name of each positional argument, None for one that is not a single tensor."""
    names: list[str | None] = []
    for item in positional["items"]:
        position: int | None = item["index"] if item["kind"] == "tensor" else None
        names.append(None if position is None else manifest.inputs[position].name)
    return names


def _signature(manifest: Manifest) -> str:
    return ", ".join(
        f"{spec.name}: {spec.source_dtype}{list(spec.shape)}" for spec in manifest.inputs
    )


def as_numpy(value: Any, name: str = "") -> NDArray[Any]:
    """The tensor's data as a numpy array, without a copy where it is in host memory.

    Raises UserError, naming the input ``name``, for what is no dense tensor with data.
    """
    what = f"input {name!r}: " if name else ""
    torch: Any = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        if not isinstance(value, (np.ndarray, np.generic)):
            kind = type(cast(object, value)).__name__
            raise UserError(f"{what}expected a numpy array or a torch tensor, got {kind}")
        return np.asarray(cast(Any, value))
    try:
        host = value.detach().cpu()
        if host.dtype == torch.bfloat16:
            return host.view(torch.int16).numpy().view(dtype_of("bfloat16"))
        return host.numpy()
    except (TypeError, RuntimeError) as error:
        raise UserError(
            f"{what}a {value.layout} tensor on '{value.device}' has no plain data to read",
            hint="Give a dense tensor with values, such as tensor.to_dense() or tensor.cpu().",
        ) from error


def as_torch(torch: Any, array: NDArray[Any]) -> Any:
    if array.dtype == dtype_of("bfloat16"):
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _narrow(spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    """Checks an input against its spec and converts it to the compiled function's dtype."""
    if array.shape != spec.shape:
        raise UserError(
            f"input {spec.name!r}: expected shape {list(spec.shape)}, got {list(array.shape)}",
            hint="Shapes are fixed when a model is compiled.",
        )
    dtype = dtype_of(spec.dtype)
    if array.dtype == dtype:
        return array
    if array.dtype != dtype_of(spec.source_dtype):
        raise UserError(
            f"input {spec.name!r}: expected dtype {spec.source_dtype}, got {array.dtype}"
        )
    if dtype.kind in "iu":
        refuse_outside(spec.name, array, dtype)
    return array.astype(dtype)
