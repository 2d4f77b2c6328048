"""``torch.compile(model, backend="smartmem")``: inference through a compiled artefact, parameters
frozen.

TorchDynamo hands over a graph whose parameters arrive as arguments. They become constants of the
artefact; each call compares them with what was compiled, and a change compiles anew: it is never
ignored. Every input shape gets an artefact of its own, made when the shape is first seen. Training
is refused: outputs carry a gradient that only raises.
"""

import logging
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from smartmem.errors import UserError
from smartmem.spelling import did_you_mean

logger = logging.getLogger(__name__)

_CHECKS = ("content", "version")


@dataclass(frozen=True)
class Options:
    """``torch.compile(..., options={...})``.

    device: where to run, as ``smartmem.load`` takes it ("auto": a real Vulkan GPU where there is
    one, else the CPU).
    check_parameters: "content" compares all parameters' bytes at each call (about 0.1 ms per MB);
    "version" trusts PyTorch's version counters, which edits through ``.data`` do not move.
    """

    device: str = "auto"
    check_parameters: str = "content"

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> "Options":
        """Options from a dict. Raises UserError for an unknown name or value."""
        known = ("device", "check_parameters")
        for name in given or {}:
            if name not in known:
                raise UserError(
                    f"unknown option '{name}' of backend smartmem.{did_you_mean(name, known)}"
                )
        options = cls(**dict(given or {}))
        if options.check_parameters not in _CHECKS:
            raise UserError(
                f"check_parameters is 'content' or 'version', not '{options.check_parameters}'"
            )
        return options


def smartmem_backend(
    graph: torch.fx.GraphModule,
    example_inputs: Sequence[Any],
    *,
    options: Mapping[str, Any] | None = None,
) -> Callable[..., Any]:
    """The backend TorchDynamo calls; compiling waits for the first call, when shapes are real."""
    compiled = _CompiledGraph(graph, Options.of(options))
    return torch._dynamo.disable(compiled.__call__)


def _is_frozen(node: torch.fx.Node) -> bool:
    """Whether a placeholder is a parameter or buffer of the user's module."""
    held = node.meta.get("tensor_dict") or {}
    example = node.meta.get("example_value")
    return "_dynamo_static_input_type" in held or isinstance(example, torch.nn.Parameter)


class _Frozen(torch.nn.Module):
    """The graph with its parameters bound: a module of the user's inputs alone."""

    def __init__(
        self, graph: torch.fx.GraphModule, bound: Mapping[int, torch.Tensor], names: Sequence[str]
    ) -> None:
        super().__init__()
        self.graph_module = graph
        self.positions = tuple(bound)
        for position, tensor in bound.items():
            self.register_buffer(names[position], tensor.detach())
        self.names = {position: names[position] for position in bound}

    def forward(self, *inputs: Any) -> Any:
        """Interleave inputs and bound tensors as the graph expects them."""
        rest = iter(inputs)
        total = len(inputs) + len(self.positions)
        arguments = [
            getattr(self, self.names[i]) if i in self.names else next(rest) for i in range(total)
        ]
        return self.graph_module(*arguments)


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


class _CompiledGraph:
    """One graph, one artefact per input signature."""

    def __init__(self, graph: torch.fx.GraphModule, options: Options) -> None:
        self.graph = graph
        self.options = options
        placeholders = [n for n in graph.graph.nodes if n.op == "placeholder"]
        self.frozen = [i for i, n in enumerate(placeholders) if _is_frozen(n)]
        self.names = [f"{n.name}_{i}" for i, n in enumerate(placeholders)]
        self.sessions: dict[Any, tuple[_State, Any]] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="smartmem-compile-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def __call__(self, *arguments: Any) -> Any:
        """Run on the artefact for these shapes, compiling where there is none or where a parameter
        changed.
        """
        bound = {i: arguments[i] for i in self.frozen}
        inputs = [a for i, a in enumerate(arguments) if i not in bound]
        signature = tuple(
            (tuple(a.shape), a.dtype) if isinstance(a, torch.Tensor) else a for a in inputs
        )
        state = _state(list(bound.values()), self.options.check_parameters)
        held = self.sessions.get(signature)
        if held is not None and held[0] != state:
            logger.warning("parameters changed since compiling; compiling again")
            held = None
        if held is None:
            held = (state, self._compile(bound, inputs))
            self.sessions[signature] = held
        with torch.no_grad():
            outputs = held[1](*inputs)
        return self._without_gradient(outputs, arguments)

    def _compile(self, bound: Mapping[int, torch.Tensor], inputs: Sequence[Any]) -> Any:
        from smartmem.compiler import compile_model
        from smartmem.runtime import devices
        from smartmem.runtime.session import load

        device = devices.find(self.options.device)
        module = _Frozen(self.graph, bound, self.names).eval()
        out = self.folder / f"{len(list(self.folder.iterdir()))}.smartmem"
        compile_model(module, tuple(inputs), targets=(device.target,), out=out)
        return load(out, device=device.uri)

    def _without_gradient(self, outputs: Any, arguments: Sequence[Any]) -> Any:
        wanting = [a for a in arguments if isinstance(a, torch.Tensor) and a.requires_grad]
        if not wanting or not torch.is_grad_enabled():
            return outputs

        def refuse(value: Any) -> Any:
            floating = isinstance(value, torch.Tensor) and value.is_floating_point()
            return _RefuseBackward.apply(value, *wanting) if floating else value

        return tuple(map(refuse, outputs))
