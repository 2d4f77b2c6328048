"""Which nodes of a graph depend on no input, and their values.

Position ids, masks, relative-position tables and transposed parameters are computed once here, at
compile time. A pure broadcast is left in the graph: folding it would only make the archive larger.
A tensor without elements depends on nothing, whatever it is made from. One whose contents nobody
wrote holds zeros, and takes the memory of one.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.fx import Node

from smartmem.frontend import empties
from smartmem.frontend.draws import is_random

_BROADCASTS = frozenset({"expand"})
# Their contents are not defined, and would differ from run to run.
_UNWRITTEN = frozenset({"empty", "empty_permuted", "empty_strided"})


def _name(node: Node) -> str:
    schema = getattr(node.target, "_schema", None)
    return schema.name.split("::")[1] if schema else ""


def _grows(node: Node) -> bool:
    if _name(node) not in _BROADCASTS:
        return False
    source = node.all_input_nodes[0].meta["val"]
    return node.meta["val"].numel() > source.numel()


def _zeros(like: torch.Tensor) -> torch.Tensor:
    """Zeros with the shape of ``like``, and with its strides where it does not lie in order."""
    if like.is_contiguous():
        return torch.zeros((), dtype=like.dtype).expand(like.shape)
    return torch.empty_strided(like.shape, like.stride(), dtype=like.dtype).zero_()


def fold(graph: torch.fx.Graph, known: Mapping[Node, torch.Tensor]) -> dict[Node, Any]:
    """Values of all nodes reached from ``known`` (parameters, buffers, constants) and from tensors
    without elements alone, these included.
    """
    values: dict[Node, Any] = dict(known)
    for node in graph.nodes:
        if node not in values and node.op != "output" and empties.is_empty(node):
            values[node] = empties.value(node)
        if node in values or node.op != "call_function" or is_random(node):
            continue
        if any(source not in values for source in node.all_input_nodes):
            continue
        if _grows(node):
            continue
        if _name(node) in _UNWRITTEN:
            values[node] = _zeros(node.meta["val"])
            continue
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: values[n])
        with torch.no_grad():
            values[node] = node.target(*args, **kwargs)
    return values
