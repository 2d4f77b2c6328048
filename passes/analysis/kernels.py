"""Which ops stand in one kernel, and why two that follow each other do or do not.

Blocks are ours (``fuse_blocks``); of what is left to IREE the grouping is that of ``estimate.py``.
An edge leads from an op that computes to one that reads it, through the views between them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from smartmem.dialects.layout import ops
from smartmem.dialects.layout.ops import shape
from smartmem.passes.analysis.blocks import block_of
from smartmem.passes.analysis.estimate import grouping, is_gather
from smartmem.passes.analysis.joins import producer
from smartmem.passes.analysis.reads import is_read_in_place
from smartmem.passes.base import block_ops, functions, place
from smartmem.passes.rules.classes import Mapping, classify
from smartmem.passes.rules.fusion import Combination, combine
from smartmem.passes.target import DeviceKind

_MOVING = (ops.ViewOp, ops.ConcatOp, ops.PadOp, ops.RelayoutOp)
_NAMES_ONLY = ("layout.weight", "layout.view", "arith.constant", "func.return")


@dataclass(frozen=True)
class Edge:
    """``reader`` reads what ``maker`` makes; ``types`` are their mapping types and those of views
    between them, ``cell`` what the table says of the chain.
    """

    maker: Any
    reader: Any
    types: tuple[Mapping, ...]
    cell: Combination
    together: bool
    reason: str

    def as_row(self) -> dict[str, Any]:
        """Plain data, for ``plan.json``."""
        return {
            "from": _name(self.maker),
            "from_at": place(self.maker.location),
            "to": _name(self.reader),
            "to_at": place(self.reader.location),
            "types": list(self.types),
            "colour": self.cell.colour,
            "one_kernel": self.together,
            "reason": self.reason,
        }


def edges(module: Any, device: DeviceKind, lanes: int = 1) -> Iterator[Edge]:
    """The edges of a module after ``fuse_blocks``, in the order of their readers."""
    for function in functions(module):
        kernels = grouping(function, device, lanes)
        for op in block_ops(function):
            if _computes(op):
                for value in dict.fromkeys(op.operation.operands):
                    yield from _edge(op, value, kernels)


def _name(op: Any) -> str:
    return op.operation.name.removeprefix("layout.")


def _computes(op: Any) -> bool:
    if isinstance(op, ops.ViewOp):
        return is_gather(op)
    return op.operation.name not in _NAMES_ONLY


def _edge(reader: Any, value: Any, kernels: dict[Any, int | None]) -> Iterator[Edge]:
    types: list[Mapping] = [classify(reader).mapping]
    maker, seen = producer(value), value
    while isinstance(maker, ops.ViewOp) and not is_gather(maker):
        types.insert(0, classify(maker).mapping)
        seen = maker.input
        maker = producer(seen)
    if maker is None or not _computes(maker):
        return
    types.insert(0, classify(maker).mapping)
    cell = Combination("green", types[0])
    for mapping in types[1:]:
        cell = combine(cell.mapping, mapping)
    together, reason = _verdict(maker, reader, value, seen, cell, kernels)
    yield Edge(maker, reader, tuple(types), cell, together, reason)


def _verdict(
    maker: Any,
    reader: Any,
    value: Any,
    made: Any,
    cell: Combination,
    kernels: dict[Any, int | None],
) -> tuple[bool, str]:
    """Whether the two are in one kernel, and why; ``made`` is the maker's result, of which
    ``value`` is a view.
    """
    block = block_of(maker)
    if block is not None and block == block_of(reader):
        beyond = "; beyond the table, since lanes that share a row hold it"
        return True, f"one dispatch region, imposed on IREE{beyond if cell.colour == 'red' else ''}"
    if isinstance(maker, ops.ElementwiseOp) and is_read_in_place(maker):
        return True, "computed by the sum of products as it reads"
    if cell.colour == "red":
        return False, "never: what the first makes would be computed again for every reading"
    result = reader.operation.results[0]
    if kernels.get(made) is not None and kernels.get(made) == kernels.get(result):
        return True, "left to IREE, which goes on in the kernel that makes an op's operand"
    readers = len({use.owner for use in made.uses})
    if readers > 1:
        return False, f"{readers} ops read it: it lies in memory anyway"
    if isinstance(reader, _MOVING):
        return False, "its reader moves elements: see what became of that transformation"
    if not isinstance(reader, ops.ElementwiseOp):
        return False, "its reader would compute it again for every element that it sums or looks up"
    if shape(value) != shape(result):
        return False, "its elements are repeated: they would be computed as often"
    return False, "its reader goes on in the kernel that makes another operand"
