"""``torch.compile(model, backend="smartmem")``: inference through compiled artefacts, parameters
frozen.

TorchDynamo hands over a graph whose parameters arrive as arguments. They become constants of the
artefacts; each call compares them with what was compiled, and a change compiles anew: it is never
ignored. Every input signature gets artefacts of its own, made when it is first seen. What cannot be
compiled runs in eager and is reported (``islands.py``, docs/torch-compile.md). Training is refused:
outputs carry a gradient that only raises.
"""

import logging
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch._dynamo.convert_frame import compile_lock

from smartmem.compiler import check_precision
from smartmem.errors import UserError
from smartmem.frontend.fallback import publish
from smartmem.frontend.islands import build, storage
from smartmem.runtime import devices
from smartmem.runtime.manifest import Precision
from smartmem.spelling import did_you_mean

logger = logging.getLogger(__name__)

_CHECKS = ("content", "version")

# Else TorchDynamo leaves nn.LSTM, nn.GRU and nn.RNN to eager, and tells nobody.
torch._dynamo.config.allow_rnn = True


@dataclass(frozen=True)
class Options:
    """``torch.compile(..., options={...})``.

    device: where to run, as ``smartmem.load`` takes it ("auto": a real Vulkan GPU where there is
    one, else the CPU).
    check_parameters: "content" compares all parameters' bytes at each call (about 0.1 ms per MB);
    "version" trusts PyTorch's version counters, which edits through ``.data`` do not move.
    strict: an op that cannot be compiled is an error, with a table of all, and never runs in eager.
    fast_math: arithmetic may be rewritten in ways that change rounding (docs/rewriting.md).
    precision: "fp16" holds float32 tensors as halves inside (docs/precision.md).
    """

    device: str = "auto"
    check_parameters: str = "content"
    strict: bool = False
    fast_math: bool = False
    precision: Precision = "fp32"

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> "Options":
        """Options from a dict. Raises UserError for an unknown name or value."""
        known = tuple(field.name for field in fields(cls))
        for name in given or {}:
            if name not in known:
                raise UserError(
                    f"unknown option '{name}' of backend smartmem.{did_you_mean(name, known)}",
                    hint=f"Options: {', '.join(known)}.",
                )
        options = cls(**dict(given or {}))
        if options.check_parameters not in _CHECKS:
            raise UserError(
                f"check_parameters is 'content' or 'version', not '{options.check_parameters}'"
            )
        for name in ("strict", "fast_math"):
            if not isinstance(getattr(options, name), bool):
                raise UserError(f"{name} is True or False, not {getattr(options, name)!r}")
        check_precision(options.precision)
        return options


def smartmem_backend(
    graph: torch.fx.GraphModule,
    example_inputs: Sequence[Any],
    *,
    options: Mapping[str, Any] | None = None,
) -> Callable[..., Any]:
    """The backend TorchDynamo calls; compiling waits for the first call, when shapes are real.

    So do the options: what is raised here, TorchDynamo wraps in an error of its own.
    """
    compiled = _CompiledGraph(graph, options)
    return torch._dynamo.disable(compiled.__call__)


def _is_frozen(node: torch.fx.Node) -> bool:
    """Whether a placeholder is a parameter or buffer of the user's module."""
    held = node.meta.get("tensor_dict") or {}
    example = node.meta.get("example_value")
    return "_dynamo_static_input_type" in held or isinstance(example, torch.nn.Parameter)


@dataclass(frozen=True)
class _State:
    """What the parameters were: where they lie, how often they were written, and a sum of their
    bytes.
    """

    places: tuple[tuple[int, int], ...]
    contents: tuple[int, ...]


def _content(tensor: torch.Tensor) -> int:
    """A sum over the tensor's bytes that any change of one element moves."""
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    whole = flat.numel() // 8 * 8
    words = int(flat[:whole].view(torch.int64).sum()) if whole else 0
    return words + int(flat[whole:].sum())


def _state(tensors: Sequence[torch.Tensor], check: str) -> _State:
    places = tuple((t.data_ptr(), t._version) for t in tensors)
    return _State(places, tuple(map(_content, tensors)) if check == "content" else ())


class _RefuseBackward(torch.autograd.Function):
    """Passes values through; asked for a gradient, it raises."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return tensor

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        raise UserError(
            "backend smartmem compiles inference only: this output has no gradient. "
            "Train with another backend, or call the model under torch.no_grad()."
        )


class _Plan:
    """A built graph, and what the parameters in it were."""

    def __init__(
        self,
        graph: torch.fx.GraphModule,
        arguments: Sequence[Any],
        frozen: Sequence[int],
        options: Options,
    ) -> None:
        folder = Path(tempfile.mkdtemp(prefix="smartmem-compile-"))
        # Removes the artefacts with the plan, or at exit.
        self.close = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        try:
            self.built = build(
                graph,
                arguments,
                frozen,
                device=devices.find(options.device),
                folder=folder,
                strict=options.strict,
                fast_math=options.fast_math,
                precision=options.precision,
            )
        except BaseException:
            self.close()
            raise
        self.check = options.check_parameters
        self.state = self._state_of(arguments)

    def fits(self, arguments: Sequence[Any]) -> bool:
        """Whether the parameters are what was compiled."""
        return self._state_of(arguments) == self.state

    def _state_of(self, arguments: Sequence[Any]) -> _State:
        return _state([arguments[i] for i in self.built.frozen], self.check)


def _signature(arguments: Sequence[Any], frozen: frozenset[int]) -> tuple[Any, ...]:
    """What an artefact is made for: shapes, strides and types of the inputs, the values of those
    that are no tensors, and which arguments share memory.
    """
    owners: dict[int, tuple[int, int]] = {}
    parts: list[Any] = []
    for i, argument in enumerate(arguments):
        if not isinstance(argument, torch.Tensor):
            # 1, 1.0 and True are equal; NaN is not even equal to itself.
            parts.append((type(argument), repr(argument)))
            continue
        if argument.layout != torch.strided:
            parts.append((i, argument.layout, tuple(argument.shape), argument.dtype))
            continue
        owner, start = owners.setdefault(storage(argument), (i, argument.storage_offset()))
        if owner != i or i not in frozen:
            where = (i, owner, argument.storage_offset() - start)
            kind = (tuple(argument.shape), argument.stride(), argument.dtype, argument.device)
            parts.append((where, kind))
    return tuple(parts)


class _CompiledGraph:
    """One graph, one plan per input signature."""

    def __init__(self, graph: torch.fx.GraphModule, options: Mapping[str, Any] | None) -> None:
        self.graph = graph
        self.options = options
        placeholders = [n for n in graph.graph.nodes if n.op == "placeholder"]
        self.frozen = frozenset(i for i, n in enumerate(placeholders) if _is_frozen(n))
        self.plans: dict[Any, _Plan] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Run on the artefacts for these shapes, compiling where there are none or where a
        parameter changed.
        """
        exporting = torch.compiler.is_exporting()
        try:
            with torch.no_grad():
                outputs = self._plan(arguments).built.run(*arguments)
            return _without_gradient(outputs, arguments)
        finally:
            if exporting:
                # Another thread exports. PyTorch's wrapper of this call put a note among that
                # export's, and will take it out: it must be there, though they were replaced.
                torch.fx.traceback.current_meta.setdefault("custom", {})

    def _plan(self, arguments: Sequence[Any]) -> _Plan:
        signature = _signature(arguments, self.frozen)
        held = self.plans.get(signature)
        if held is not None and held.fits(arguments):
            return held
        # Export and TorchDynamo keep state in globals: one graph is traced at a time.
        with compile_lock:
            # Another thread may have been faster.
            held = self.plans.get(signature)
            if held is not None and held.fits(arguments):
                return held
            if held is not None:
                logger.warning("parameters changed since compiling; compiling again")
                held.close()
            options = Options.of(self.options)
            made = _Plan(self.graph, arguments, sorted(self.frozen), options)
            publish(made.built.report)
            self.plans[signature] = made
            return made


def _without_gradient(outputs: Any, arguments: Sequence[Any]) -> Any:
    """``outputs``, those made here refusing a gradient where eager's would have one."""
    wanting = [a for a in arguments if isinstance(a, torch.Tensor) and a.requires_grad]
    if not wanting or not torch.is_grad_enabled():
        return outputs

    def refuse(value: Any) -> Any:
        floating = isinstance(value, torch.Tensor) and value.is_floating_point()
        if not floating or any(value is a for a in arguments):
            return value
        return _RefuseBackward.apply(value, *wanting)

    return tuple(map(refuse, outputs))
