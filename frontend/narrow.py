"""int64 results of a model that may need more than the 32 bits they are held in.

Only sums, products and the like make numbers so much larger than their operands, and only what
reaches an output is a number to somebody: positions of a look-up are below a size.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from smartmem.frontend.graph import op_name
from smartmem.frontend.source import source_of

_SUMS = ("sum", "cumsum")
_PRODUCTS = (
    "bitwise_left_shift",
    "bmm",
    "cumprod",
    "matmul",
    "mm",
    "mul",
    "pow",
    "prod",
    "__lshift__",
)
# Of these only the first operand's numbers are passed on.
_LOOK_UPS = ("embedding", "gather", "index", "index_select", "take")


@dataclass(frozen=True)
class NarrowOp:
    """A call whose int64 result wraps where it needs more than 32 bits."""

    op: str
    location: str


def narrow_ops(program: ExportedProgram) -> tuple[NarrowOp, ...]:
    """The calls on the way from an input to an int64 output that may need more than 32 bits."""
    users = set(program.graph_signature.user_inputs)
    depends = {n for n in program.graph.nodes if n.op == "placeholder" and n.name in users}
    for node in program.graph.nodes:
        if not depends.isdisjoint(node.all_input_nodes):
            depends.add(node)
    reached = set(_numbers(program.graph.output_node()))
    return tuple(
        NarrowOp(str(node.target), str(source_of(node)))
        for node in program.graph.nodes
        if node in depends and node in reached and _may_be_wide(node)
    )


def _numbers(output: Node) -> Iterator[Node]:
    """The int64 calls whose numbers ``output`` is made of."""
    stack, seen = [output], {output}
    while stack:
        node = stack.pop()
        name = op_name(node).split(".")[0]
        sources = node.all_input_nodes[:1] if name in _LOOK_UPS else node.all_input_nodes
        for source in sources:
            if source not in seen and _is_int64(source):
                seen.add(source)
                stack.append(source)
                yield source


def _is_int64(node: Node) -> bool:
    value = node.meta.get("val")
    values = value if isinstance(value, (tuple, list)) else [value]
    return any(isinstance(v, torch.Tensor) and v.dtype == torch.int64 for v in values)


def _may_be_wide(node: Node) -> bool:
    name = op_name(node).split(".")[0]
    if name in _PRODUCTS:
        return True
    if name not in _SUMS:
        return False
    operand = node.all_input_nodes[0].meta["val"]
    if operand.is_floating_point():
        return True
    # A count, or a sum of small numbers: how large it can be is known.
    most = 1 if operand.dtype == torch.bool else torch.iinfo(operand.dtype).max
    return most * operand.numel() > torch.iinfo(torch.int32).max
