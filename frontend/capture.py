"""The graph TorchDynamo hands over becomes a functional ATen program for one set of arguments.

Parameters are bound as buffers, so that the export sees them as constants. A buffer that the graph
writes to is no constant: it becomes an input again, as the graph's other inputs are. Ops of
training mode are taken too: what they draw, PyTorch draws (``draws.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.amp.autocast_mode import _enter_autocast, _exit_autocast
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import GraphModule, Interpreter, Node

from smartmem.frontend.draws import detach, retain
from smartmem.frontend.export import export
from smartmem.frontend.tracing import traced


@dataclass(frozen=True)
class Captured:
    """``positions``: the argument of the graph that each of the program's placeholders stands for.

    Placeholders of constants that the graph itself holds have none. ``arguments`` is how many
    arguments the graph has, ``frozen`` which of them are constants.
    """

    program: ExportedProgram
    arguments: int
    frozen: tuple[int, ...]
    positions: Mapping[Node, int]


class _Replay(Interpreter):
    """Runs a graph so that what is traced keeps its Python lines, and autocast is applied.

    Export records calls that switch autocast or gradients instead of making them; here autocast is
    entered for real, and gradients are off throughout.
    """

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """The call, but for switches of modes."""
        if target is _enter_autocast:
            mode = torch.autocast(*args, **kwargs)
            mode.__enter__()
            return mode
        if target is _exit_autocast:
            args[0].__exit__(None, None, None)
            return None
        if target is torch._C._set_grad_enabled:
            return None
        return super().call_function(target, args, kwargs)


class BoundGraph(torch.nn.Module):
    """A graph with some of its arguments bound: a module of the others alone."""

    def __init__(self, graph: GraphModule, bound: Mapping[int, torch.Tensor]) -> None:
        super().__init__()
        names = [n.name for n in graph.graph.nodes if n.op == "placeholder"]
        self.total = len(names)
        self.graph = graph
        self.names = {position: f"{names[position]}_{position}" for position in bound}
        for position, tensor in bound.items():
            self.register_buffer(self.names[position], tensor.detach())

    def forward(self, *inputs: Any) -> Any:
        """For export: every op keeps its Python line."""
        with torch.fx.traceback.preserve_node_meta():
            return _Replay(self.graph).run(*self._arguments(inputs))

    def eager(self, *inputs: Any) -> Any:
        """The graph as it is."""
        return self.graph(*self._arguments(inputs))

    def _arguments(self, inputs: Sequence[Any]) -> list[Any]:
        """Interleave inputs and bound tensors as the graph expects them."""
        rest = iter(inputs)
        return [
            getattr(self, self.names[i]) if i in self.names else next(rest)
            for i in range(self.total)
        ]


def capture(graph: GraphModule, arguments: Sequence[Any], frozen: Sequence[int]) -> Captured:
    """``graph`` for arguments of these shapes and values, those at ``frozen`` as constants.

    Raises whatever torch.export raises for what it cannot trace.
    """
    module = BoundGraph(graph, {i: arguments[i] for i in frozen}).eval()
    inputs = tuple(
        a.detach() if isinstance(a, torch.Tensor) else a
        for i, a in enumerate(arguments)
        if i not in module.names
    )
    program = traced(module, inputs)
    retain(program)
    program = export(program, (), training=True)
    detach(program)
    written = set(program.graph_signature.buffers_to_mutate.values())
    constant = [i for i in frozen if module.names[i] not in written]
    if len(constant) < len(frozen):
        return capture(graph, arguments, constant)
    return Captured(program, len(arguments), tuple(frozen), _positions(program, module))


def _positions(program: ExportedProgram, module: BoundGraph) -> dict[Node, int]:
    by_name = {n.name: n for n in program.graph.nodes if n.op == "placeholder"}
    inputs = iter(i for i in range(module.total) if i not in module.names)
    bound = {name: i for i, name in module.names.items()}
    positions: dict[Node, int] = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            positions[by_name[spec.arg.name]] = next(inputs)
        elif spec.target in bound:
            positions[by_name[spec.arg.name]] = bound[spec.target]
    return positions
