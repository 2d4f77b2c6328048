"""Questions to an exported graph: what its nodes are called and given, which of them have known
values, which are needed, and whether all shapes are fixed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node

from smartmem.errors import UnsupportedError, UnsupportedOp
from smartmem.frontend.registry import Refusal
from smartmem.frontend.remedies import remedy_of
from smartmem.frontend.source import source_of


def arguments_of(node: Node) -> dict[str, Any]:
    """The node's arguments by schema name, defaults filled in."""
    schema = node.target._schema
    given = dict(node.kwargs)
    for argument, value in zip(schema.arguments, node.args, strict=False):
        given[argument.name] = value
    for argument in schema.arguments:
        if argument.name not in given:
            given[argument.name] = argument.default_value
    return given


def op_name(node: Node) -> str:
    """``relu.default`` for ``aten.relu.default``."""
    return str(node.target).removeprefix("aten.")


def live_nodes(program: ExportedProgram, known: Mapping[Node, Any]) -> list[Node]:
    """Call nodes that depend on an input and that an output needs, in graph order."""
    graph = program.graph
    needed: set[Node] = set()
    stack = list(graph.output_node().all_input_nodes)
    while stack:
        node = stack.pop()
        if node not in needed:
            needed.add(node)
            stack.extend(node.all_input_nodes)
    return [n for n in graph.nodes if n.op == "call_function" and n in needed and n not in known]


def known_inputs(
    program: ExportedProgram,
) -> tuple[dict[Node, torch.Tensor], list[Node], dict[Node, str]]:
    """Placeholders with known values, those without (the user's, in order), and the names of the
    known.
    """
    placeholders = {n.name: n for n in program.graph.nodes if n.op == "placeholder"}
    known: dict[Node, torch.Tensor] = {}
    names: dict[Node, str] = {}
    user: list[Node] = []
    for spec in program.graph_signature.input_specs:
        if spec.kind in (InputKind.TOKEN, InputKind.CUSTOM_OBJ):
            raise UnsupportedError(
                f"the model has an effect or a custom object ('{spec.arg.name}')",
                _effects(program),
                hint="smartmem compiles pure functions of tensors.",
            )
        node = placeholders[spec.arg.name]
        if spec.kind == InputKind.USER_INPUT:
            user.append(node)
            continue
        target = spec.target or spec.arg.name
        held = (
            program.constants
            if spec.kind == InputKind.CONSTANT_TENSOR or not spec.persistent
            else None
        )
        tensor = (held or {}).get(target)
        known[node] = program.state_dict[target] if tensor is None else tensor
        names[node] = target
    return known, user, names


def _effects(program: ExportedProgram) -> list[UnsupportedOp]:
    """The calls that do more than to compute their results."""
    return [
        UnsupportedOp(
            str(node.args[1]),
            str(source_of(node)),
            "it does something beside its results, such as a check that raises",
            remedy_of(str(node.args[1])),
        )
        for node in program.graph.nodes
        if node.target is torch.ops.higher_order.with_effects
    ]


_WRITTEN = {
    OutputKind.USER_INPUT_MUTATION: "input",
    OutputKind.BUFFER_MUTATION: "buffer",
    OutputKind.PARAMETER_MUTATION: "parameter",
}


def mutations(program: ExportedProgram) -> dict[Node, UnsupportedOp]:
    """The calls whose results the program writes to an input, a buffer or a parameter: an artefact
    is a function of its inputs.
    """
    by_name = {node.name: node for node in program.graph.nodes}
    rows: dict[Node, UnsupportedOp] = {}
    for spec in program.graph_signature.output_specs:
        if spec.kind in _WRITTEN:
            node = by_name[spec.arg.name]
            rows[node] = UnsupportedOp(
                str(node.target),
                str(source_of(node)),
                f"it writes to the {_WRITTEN[spec.kind]} '{spec.target}'",
                "return the new value and pass it in at the next call (torch.compile does so), or "
                "switch the cache off",
            )
    return rows


def refuse_dynamic(user: Sequence[Node]) -> None:
    """UnsupportedError where an input has no fixed shape."""
    for node in user:
        value = node.meta["val"]
        shape = value.shape if isinstance(value, torch.Tensor) else ()
        for dim, size in enumerate(shape):
            if not isinstance(size, int):
                raise UnsupportedError(
                    f"dimension {dim} of input '{node.name}' is dynamic",
                    hint="smartmem compiles for fixed shapes: export without dynamic_shapes, once "
                    "per size.",
                )


def results_of(node: Node) -> list[Any]:
    """What ``node`` makes, as fake values: one, or several."""
    value = node.meta["val"]
    return list(value) if isinstance(value, (tuple, list)) else [value]


def is_static(node: Node) -> bool:
    """Whether the shapes of all results are known."""
    sizes = [s for v in results_of(node) for s in (v.shape if isinstance(v, torch.Tensor) else [v])]
    return not any(isinstance(s, (torch.SymInt, torch.SymFloat, torch.SymBool)) for s in sizes)


def refuse_shape(node: Node) -> None:
    """Refusal where the shape of a result is not fixed."""
    if not is_static(node):
        raise Refusal(
            "its shape or index is known only at run time",
            "keep shapes fixed: torch.where or a mask for a selection, index_select for an index",
        )
