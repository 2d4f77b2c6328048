"""Shapes that depend on constants alone become fixed.

``x[:, mask]`` has as many columns as a mask of the model has true elements. ``torch.export`` looks
at no values, so its graph has an unknown size there. Here masks become lists of positions, and
other constants of unknown size their values; then the graph is traced again, and all that follows
has a size.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch._guards import detect_fake_mode
from torch.export import ExportedProgram
from torch.export import graph_signature as signature
from torch.export.graph_signature import InputKind, InputSpec
from torch.fx import Graph, Node

from smartmem.frontend import constants
from smartmem.frontend.graph import is_static, known_inputs

_INDEX = torch.ops.aten.index.Tensor
_OPAQUE = (InputKind.TOKEN, InputKind.CUSTOM_OBJ)


def settled(program: ExportedProgram) -> ExportedProgram | None:
    """The program with positions and values in place of constants that decide a size; None where
    there are none. It is to be traced again: what follows still has its old shapes.
    """
    calls = [n for n in program.graph.nodes if n.op == "call_function" and "val" in n.meta]
    if all(is_static(n) and not _masks(n) for n in calls):
        return None
    if any(s.kind in _OPAQUE for s in program.graph_signature.input_specs):
        return None
    known = constants.fold(program.graph, known_inputs(program)[0])
    return _Settler(program, known).run(calls)


def _masks(node: Node) -> list[Node]:
    """The boolean tensors among the indices of ``node``."""
    if node.target is not _INDEX:
        return []
    return [i for i in node.args[1] if i is not None and i.meta["val"].dtype == torch.bool]


class _Settler:
    """A copy of the graph, with constants added to it."""

    def __init__(self, program: ExportedProgram, known: Mapping[Node, Any]) -> None:
        self.program = program
        self.known = known
        self.graph = Graph()
        self.copies: dict[Node, Node] = {}
        self.graph.output(self.graph.graph_copy(program.graph, self.copies))
        self.specs = list(program.graph_signature.input_specs)
        self.added: dict[str, torch.Tensor] = {}

    def run(self, calls: Sequence[Node]) -> ExportedProgram | None:
        """The program, if anything in it was replaced."""
        for node in calls:
            value = self.known.get(node)
            if isinstance(value, torch.Tensor) and not is_static(node):
                self.copies[node].replace_all_uses_with(self._constant(node.name, value))
            elif any(mask in self.known for mask in _masks(node)):
                self.copies[node].update_arg(1, self._positions(node))
        return self._program() if self.added else None

    def _positions(self, node: Node) -> list[Node | None]:
        """The indices of ``node``, a known mask as positions along each of its dims."""
        positions: list[Node | None] = []
        for index in node.args[1]:
            if index not in self.known or index not in _masks(node):
                positions.append(None if index is None else self.copies[index])
                continue
            for dim, places in enumerate(self.known[index].nonzero(as_tuple=True)):
                positions.append(self._constant(f"{index.name}_{node.name}_{dim}", places))
        return positions

    def _constant(self, name: str, value: torch.Tensor) -> Node:
        """A placeholder for ``value``, before those of the user's inputs."""
        name = f"settled_{name}"
        placeholders = self.graph.find_nodes(op="placeholder")
        kinds = [spec.kind for spec in self.specs]
        at = kinds.index(InputKind.USER_INPUT) if InputKind.USER_INPUT in kinds else len(kinds)
        # Without inputs from the user, before the first call.
        nodes = list(self.graph.nodes)
        with self.graph.inserting_before(nodes[len(placeholders[:at])]):
            made = self.graph.placeholder(name)
        made.meta["val"] = _fake_mode(placeholders).from_tensor(value, static_shapes=True)
        argument = signature.TensorArgument(made.name)
        self.specs.insert(at, InputSpec(InputKind.CONSTANT_TENSOR, argument, name, None))
        self.added[name] = value
        return made

    def _program(self) -> ExportedProgram:
        program = self.program
        self.graph.eliminate_dead_code()
        return ExportedProgram(
            root=torch.fx.GraphModule(program.graph_module, self.graph),
            graph=self.graph,
            graph_signature=signature.ExportGraphSignature(
                self.specs, program.graph_signature.output_specs
            ),
            state_dict=program.state_dict,
            range_constraints=program.range_constraints,
            module_call_graph=program.module_call_graph,
            example_inputs=program.example_inputs,
            constants={**program.constants, **self.added},
        )


def _fake_mode(placeholders: Sequence[Node]) -> Any:
    return detect_fake_mode([node.meta["val"] for node in placeholders])
