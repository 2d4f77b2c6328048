"""Values between the ops of an exported graph: eager's, and as outputs of a graph of their own."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.export import ExportedProgram, ModuleCallEntry, ModuleCallSignature
from torch.export import graph_signature as signature
from torch.fx import Node
from torch.utils import _pytree as pytree

from smartmem.frontend import types

Case = tuple[tuple[Any, ...], dict[str, Any]]


def operands(node: Node) -> set[Node]:
    """What a node reads; of a multiple result's item, what the op behind it reads."""
    direct = set(node.all_input_nodes)
    multiple = [n for n in direct if isinstance(n.meta.get("val"), (tuple, list))]
    return direct | {n for source in multiple for n in source.all_input_nodes}


class _Recorder(torch.fx.Interpreter):
    """Keeps a copy of each tensor that depends on a user's input."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__(program.graph_module)
        specs = program.graph_signature.input_specs
        self.users = {s.arg.name for s in specs if s.kind == signature.InputKind.USER_INPUT}
        self.depends: set[Node] = set()
        self.values: dict[Node, torch.Tensor] = {}

    def run_node(self, n: Node) -> Any:
        """Runs the node; later ops may write into its value, so a copy is kept."""
        value = super().run_node(n)
        if n.op == "placeholder" and n.name in self.users:
            self.depends.add(n)
        if n.op == "call_function" and not self.depends.isdisjoint(n.all_input_nodes):
            self.depends.add(n)
            if isinstance(value, torch.Tensor) and types.is_stored(value.dtype) and value.numel():
                self.values[n] = value.clone()
        return value


def eager_values(program: ExportedProgram, case: Case) -> dict[Node, torch.Tensor]:
    """Each tensor that an op makes from the inputs, by its node, in graph order."""
    with torch.no_grad():
        recorder = _Recorder(program)
        flat = program._graph_module_flat_inputs(*case)
        recorder.run(*flat, enable_io_processing=False)
    return recorder.values


def with_outputs(program: ExportedProgram, nodes: Sequence[Node]) -> ExportedProgram:
    """The program with these nodes' values as its outputs, a tuple."""
    graph = torch.fx.Graph()
    copies: dict[Node, Node] = {}
    graph.graph_copy(program.graph, copies)
    outputs = [copies[n] for n in nodes]
    graph.output(tuple(outputs)).meta["val"] = tuple(n.meta["val"] for n in nodes)
    graph.eliminate_dead_code()
    call = program.module_call_graph[0].signature
    returned = pytree.tree_structure(tuple(range(len(outputs))))
    entry = ModuleCallSignature([], [], call.in_spec, returned, call.forward_arg_names)
    kept = signature.OutputKind.USER_OUTPUT
    return ExportedProgram(
        root=torch.fx.GraphModule(program.graph_module, graph),
        graph=graph,
        graph_signature=signature.ExportGraphSignature(
            program.graph_signature.input_specs,
            [signature.OutputSpec(kept, signature.TensorArgument(n.name), None) for n in outputs],
        ),
        state_dict=program.state_dict,
        range_constraints=program.range_constraints,
        module_call_graph=[ModuleCallEntry("", entry)],
        example_inputs=program.example_inputs,
        constants=program.constants,
    )
