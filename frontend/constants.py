"""Which nodes of a graph depend on no input, and their values.

Position ids, masks, relative-position tables and transposed parameters are computed once here, at
compile time. A pure broadcast is left in the graph: folding it would only make the archive larger.
A tensor without elements depends on nothing, whatever it is made from.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.fx import Node

from smartmem.frontend import empties

_BROADCASTS = frozenset({"expand"})


def _name(node: Node) -> str:
    schema = getattr(node.target, "_schema", None)
    return schema.name.split("::")[1] if schema else ""


def _is_random(node: Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def _grows(node: Node) -> bool:
    if _name(node) not in _BROADCASTS:
        return False
    source = node.all_input_nodes[0].meta["val"]
    return node.meta["val"].numel() > source.numel()


def fold(graph: torch.fx.Graph, known: Mapping[Node, torch.Tensor]) -> dict[Node, Any]:
    """Values of all nodes reached from ``known`` (parameters, buffers, constants) and from tensors
    without elements alone, these included.
    """
    values: dict[Node, Any] = dict(known)
    for node in graph.nodes:
        if node not in values and node.op != "output" and empties.is_empty(node):
            values[node] = empties.value(node)
        if node in values or node.op != "call_function" or _is_random(node):
            continue
        if any(source not in values for source in node.all_input_nodes):
            continue
        if _grows(node):
            continue
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: values[n])
        with torch.no_grad():
            values[node] = node.target(*args, **kwargs)
    return values
