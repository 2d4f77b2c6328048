"""Random numbers are PyTorch's: its generator draws them, call by call in eager's order, and
compiled parts read what was drawn.

A call that draws into the shape of a tensor, whatever its values are, becomes one that reads no
tensor, so that nothing has to be computed before it:

    %h = aten.mm(%x, %w)                        %e = aten.empty_strided([2, 8], [8, 1])
    %r = aten.rand_like(%h)            ->       %r = aten.rand_like(%e)
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, Node

_ATEN = torch.ops.aten
# Of their first operand they read shape, strides and type: numbers fill it in the order of memory.
_FILLS = (
    _ATEN.cauchy.default,
    _ATEN.exponential.default,
    _ATEN.geometric.default,
    _ATEN.log_normal.default,
    _ATEN.normal_functional.default,
    _ATEN.rand_like.default,
    _ATEN.randint_like.default,
    _ATEN.randint_like.low_dtype,
    _ATEN.randn_like.default,
    _ATEN.uniform.default,
)
# Fills a contiguous tensor, whatever the operand is; but to fill a new tensor arrives as this too.
_BERNOULLI = _ATEN.bernoulli.p
_EMPTY = _ATEN.empty_strided.default
# It reads and makes nothing, and is left out of the parts.
_CHECK = _ATEN._assert_tensor_metadata.default
_NEW = (_ATEN.empty.memory_format, _ATEN.empty_permuted.default, _EMPTY)


def is_random(node: Node) -> bool:
    """Whether ``node`` draws random numbers, or may."""
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def draws(program: ExportedProgram, known: Mapping[Node, Any]) -> list[Node]:
    """Calls that draw and read nothing but what is ``known``."""
    return [
        n
        for n in program.graph.nodes
        if is_random(n) and all(i in known for i in n.all_input_nodes)
    ]


def retain(program: ExportedProgram) -> None:
    """Give a reader to each draw that has none: PyTorch's decompositions drop what nobody reads,
    and all later numbers would be others.
    """
    for node in list(program.graph.nodes):
        if is_random(node) and not node.users and isinstance(node.meta["val"], torch.Tensor):
            with program.graph.inserting_after(node):
                reader = program.graph.call_function(_CHECK, (node,))
            reader.meta = {**node.meta, "val": None}
    program.graph_module.recompile()


def detach(program: ExportedProgram) -> None:
    """Let calls that draw into the shape of a tensor read no tensor."""
    for node in list(program.graph.nodes):
        if node.target in _FILLS or node.target is _BERNOULLI:
            _detach(program.graph, node)


def _detach(graph: Graph, node: Node) -> None:
    source, *rest = node.args
    assert isinstance(source, Node)
    like = source.meta["val"]
    order = list(range(like.dim()))
    if node.target is _BERNOULLI and source.target in _NEW:
        order.sort(key=lambda dim: -like.stride(dim))
    lying = like.permute(order)
    strides = lying.contiguous().stride() if node.target is _BERNOULLI else lying.stride()
    with graph.inserting_before(node):
        options = {"dtype": like.dtype}
        places = _call(graph, node, _EMPTY, (list(lying.shape), list(strides)), options)
        drawn = _call(graph, node, node.target, (places, *rest), node.kwargs)
        if order != sorted(order):
            back = [order.index(dim) for dim in range(like.dim())]
            drawn = _call(graph, node, _ATEN.permute.default, (drawn, back), {})
    node.replace_all_uses_with(drawn)
    graph.erase_node(node)


def _call(
    graph: Graph, model: Node, target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Node:
    """A new call where ``model`` stands, with its source and with the shape of its result."""
    made = graph.call_function(target, tuple(args), dict(kwargs))
    made.meta = dict(model.meta)
    given, named = torch.fx.node.map_arg((tuple(args), dict(kwargs)), lambda n: n.meta["val"])
    with model.meta["val"].fake_mode:
        made.meta["val"] = target(*given, **named)
    return made
