"""A chain over rows as one kernel: a reduction for each statistic, then the elements of the result.

Each of them computes what it reads of the chain anew, from the tensors outside and the statistics
before: a kernel that kept a tensor of the chain would need shared memory for whole rows.
"""

from collections.abc import Callable, Sequence
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.attributes import ints
from smartmem.dialects.layout.ops import ElementwiseOp, ReduceOp, element_type, shape
from smartmem.passes.analysis.joins import producer
from smartmem.passes.lower import scalars
from smartmem.passes.lower.builder import (
    Lowering,
    Operand,
    accumulator,
    constant,
    dims,
    pointwise,
    widened,
)
from smartmem.passes.lower.elementwise import on_elements
from smartmem.passes.lower.reduction import reduced_from


def is_row_chain(members: Sequence[Any]) -> bool:
    """Whether the ops of a block are a chain over rows: of statistics a tensor of rows is made."""
    made = shape(members[-1].operation.results[0])
    return any(isinstance(op, ReduceOp) and shape(op.input) == made for op in members)


def rows(low: Lowering, members: Sequence[Any]) -> Any:
    """The result of the last of ``members``, which are a chain over rows in program order."""
    chain = _Chain(low, members)
    for op in members:
        if isinstance(op, ReduceOp):
            chain.reduce(op)
    return chain.written(members[-1])


class _Chain:
    """The statistics made so far, of rows that lie as the chain's result."""

    def __init__(self, low: Lowering, members: Sequence[Any]) -> None:
        self._low = low
        self._inside = [op.operation.results[0] for op in members]
        result = self._inside[-1]
        self._full = shape(result)
        self._sizes = low.physical_shape(result)
        self._loops = {axis: place for place, axis in enumerate(low.layout(result).order)}
        self._statistics: dict[Any, Operand] = {}

    def reduce(self, op: ReduceOp) -> None:
        """The statistic ``op`` of each row, in the type of accumulators."""
        (axis,) = (self._loops[axis] for axis in ints(op.attributes["dims"]))
        kind = ir.StringAttr(op.attributes["kind"]).value
        sums = kind in ("sum", "mean", "prod")
        wide = accumulator(element_type(op.input)) if sums else element_type(op.input)
        operands, element = self._expression(op.input)

        def item(*values: Any) -> Any:
            return widened(element(*values), wide)

        total = reduced_from(operands, self._sizes, [axis], item, wide, kind)
        kept = [place for place in range(len(self._sizes)) if place != axis]
        self._statistics[op.result] = Operand(total, dims(kept))

    def written(self, op: ElementwiseOp) -> Any:
        """The tensor that ``op`` makes."""
        operands, element = self._expression(op.result)
        return pointwise(operands, self._sizes, element_type(op.result), element)

    def _expression(self, value: Any) -> tuple[list[Operand], Callable[..., Any]]:
        """What an element of ``value`` is computed from, and the function that does it."""
        leaves = self._leaves(value, [])

        def element(*values: Any) -> Any:
            known = [*zip(leaves, values, strict=False)]
            return self._computed(value, known)

        return [self._operand(leaf) for leaf in leaves], element

    def _leaves(self, value: Any, found: list[Any]) -> list[Any]:
        if value in self._statistics or value not in self._inside:
            return found if value in found else [*found, value]
        maker: Any = producer(value)
        for operand in maker.operation.operands:
            found = self._leaves(operand, found)
        return found

    def _operand(self, leaf: Any) -> Operand:
        if leaf in self._statistics:
            return self._statistics[leaf]
        return self._low.read_broadcast(leaf, self._loops, self._full)

    def _computed(self, value: Any, known: list[tuple[Any, Any]]) -> Any:
        """An element of ``value``; ``known`` are those computed already, and grows."""
        for other, item in known:
            if other == value:
                return self._finished(value, item)
        op: Any = producer(value)
        items = [self._computed(operand, known) for operand in op.operation.operands]
        item = on_elements(op, items) if isinstance(op, ElementwiseOp) else items[0]
        known.append((value, item))
        return item

    def _finished(self, value: Any, item: Any) -> Any:
        """A statistic as the model has it; anything else as it is."""
        if value not in self._statistics:
            return item
        op: Any = producer(value)
        if ir.StringAttr(op.attributes["kind"]).value == "mean":
            (axis,) = ints(op.attributes["dims"])
            item = scalars.div(item, constant(self._full[axis], item.type))
        return scalars.cast(item, element_type(value))
