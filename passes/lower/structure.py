"""Ops that only move elements: weights, views, relayouts, pad, concatenate.

A view is lowered by the cheapest form its index map allows: reshapes, slices and one transpose;
else (a roll, a flip) a gather, element by element, which IREE fuses with elementwise consumers.
"""

from collections.abc import Sequence
from typing import Any

from smartmem.dialects import algebra
from smartmem.dialects._mlir import ir, linalg, tensor
from smartmem.dialects.algebra import Collapse, Expand, IndexMap, Slice, Transpose
from smartmem.dialects.layout.attributes import DenseAttr, ints
from smartmem.dialects.layout.build import tensor_of
from smartmem.dialects.layout.maps import to_index_map
from smartmem.dialects.layout.ops import (
    ConcatOp,
    PadOp,
    RelayoutOp,
    ViewOp,
    WeightOp,
    element_type,
    shape,
)
from smartmem.dialects.steps import Step, reshape_steps
from smartmem.passes.analysis.blocks import block_of
from smartmem.passes.analysis.joins import is_assembled, is_link, joined_dim, pieces, producer
from smartmem.passes.analysis.reads import is_read_in_place
from smartmem.passes.lower.assembly import assemble, bordered, is_read_through, shown
from smartmem.passes.lower.builder import (
    Lowering,
    Operand,
    dim,
    dims,
    empty,
    expanded,
    generic,
    padded,
    pointwise,
    reassociated,
    sliced,
)
from smartmem.passes.lower.merging import transposed_merged
from smartmem.passes.lower.positions import computed
from smartmem.passes.lower.registry import lowers


@lowers(WeightOp)
def weight(low: Lowering, op: Any) -> Any:
    """A load of the global that the module's parameter of this key fills."""
    if not isinstance(op.attributes["encoding"], DenseAttr):
        raise ValueError(f"no lowering for weights encoded as {op.attributes['encoding']}")
    symbol = low.parameter(op)
    load = ir.Operation.create(
        "util.global.load",
        results=[tensor_of(low.physical_shape(op.result), element_type(op.result))],
        attributes={"global": ir.FlatSymbolRefAttr.get(symbol)},
    )
    return load.results[0]


@lowers(ViewOp)
def view(low: Lowering, op: Any) -> Any:
    """The index map between the two memories: out of the result's order, through the map, into the
    input's order. One that its readers read through is not made.
    """
    if is_read_in_place(op):
        return None
    if _is_read_through(low, producer(op.input)):
        return shown(low, op)
    return viewed(low.value(op.input), _memory_map(low, op))


def _is_read_through(low: Lowering, op: Any) -> bool:
    return low.device == "vulkan" and is_assembled(op) and is_read_through(op)


@lowers(RelayoutOp)
def relayout(low: Lowering, op: Any) -> Any:
    """A view between two orders of the same logical tensor."""
    if block_of(op) is not None:
        given = low.layout(op.input).order
        sources = [given.index(axis) for axis in low.layout(op.result).order]
        return transposed_merged(low.value(op.input), sources, low.physical_shape(op.result))
    return viewed(low.value(op.input), _memory_map(low, op))


def physical_map(index_map: IndexMap, low: Lowering, source: Any, result: Any) -> IndexMap:
    """``index_map`` between the memories of ``source`` and ``result``."""
    to_result = low.layout(result).to_physical_map(index_map.domain)
    to_source = low.layout(source).to_logical_map(index_map.codomain)
    return algebra.compose(to_result, algebra.compose(index_map, to_source))


def moves_innermost(low: Lowering, op: Any) -> bool:
    """Whether ``op`` is a view or relayout that puts another axis innermost in memory."""
    if not isinstance(op, (ViewOp, RelayoutOp)):
        return False
    steps = algebra.factor(_memory_map(low, op)) or ()
    return any(isinstance(step, Transpose) and _moves_last(step) for step in steps)


def _memory_map(low: Lowering, op: Any) -> IndexMap:
    """The index map of a view or relayout, between the two memories."""
    index_map = IndexMap.identity(shape(op.input))
    if isinstance(op, ViewOp):
        affine = ir.AffineMapAttr(op.attributes["index_map"]).value
        index_map = to_index_map(affine, shape(op.result), shape(op.input))
    return physical_map(index_map, low, op.input, op.result)


def _moves_last(step: Transpose) -> bool:
    read = [
        (s, n) for s, n in zip(step.sources, step.shape, strict=True) if s is not None and n > 1
    ]
    return bool(read) and read[-1][0] != max(source for source, _ in read)


def viewed(value: Any, index_map: IndexMap) -> Any:
    """``value`` re-indexed."""
    steps = algebra.factor(index_map)
    return _gathered(value, index_map) if steps is None else stepped(value, steps)


def stepped(value: Any, steps: Sequence[Step]) -> Any:
    """``value`` after ``steps``."""
    for step in steps:
        value = _applied(value, step)
    return value


def reshaped(value: Any, sizes: Sequence[int]) -> Any:
    """``value`` as ``sizes``, in the same order of elements."""
    return stepped(value, reshape_steps(tuple(shape(value)), tuple(sizes)))


def _applied(value: Any, step: Any) -> Any:
    match step:
        case Slice():
            return sliced(value, step.offsets, step.sizes, step.strides)
        case Expand():
            return expanded(value, step.groups)
        case Collapse():
            return _collapsed(value, step.groups)
        case Transpose():
            return _transposed(value, step)
        case _:
            raise TypeError(f"unknown step {step!r}")


def _collapsed(value: Any, groups: Sequence[Sequence[int]]) -> Any:
    axes: list[list[int]] = []
    first = 0
    for group in groups:
        axes.append(list(range(first, first + len(group))))
        first += len(group)
    if not axes:
        return tensor.CollapseShapeOp(
            tensor_of((), element_type(value)), value, ir.ArrayAttr.get([])
        ).result
    return reassociated(value, axes)


def _transposed(value: Any, step: Transpose) -> Any:
    exprs: list[Any] = [None] * len(shape(value))
    for loop, source in enumerate(step.sources):
        if source is not None:
            exprs[source] = dim(loop)
    return pointwise([Operand(value, tuple(exprs))], step.shape, element_type(value), lambda s: s)


def _gathered(value: Any, index_map: IndexMap) -> Any:
    """Element by element: an index computed per result element.

    Only ever in a kernel of its own.
    """

    def body(_: Any) -> Any:
        indices = [linalg.IndexOp(i).result for i in range(len(index_map.domain))]
        source = [computed(expr, indices) for expr in index_map.results]
        return tensor.ExtractOp(value, source).result

    init = empty(index_map.domain, element_type(value))
    rank = len(index_map.domain)
    return generic([], init, dims(range(rank)), ["parallel"] * rank, body)


@lowers(PadOp)
def pad(low: Lowering, op: Any) -> Any:
    """``tensor.pad`` in memory order; see ``windows.pad_physical`` for the fence. On a GPU, what no
    kernel can write into its place is read by the kernel that writes the border.
    """
    if low.device == "vulkan" and isinstance(producer(op.input), (ViewOp, RelayoutOp)):
        return bordered(low, op)
    order = low.layout(op.input).order
    if order != low.layout(op.result).order:
        raise ValueError("pad keeps the layout of its input")
    amounts = [[ints(op.attributes[n])[a] for a in order] for n in ("low", "high")]
    held = low.value(op.input)
    if amounts[0][-1]:
        held = low.fenced(held)
    return padded(held, amounts[0], amounts[1], op.attributes["value"])


@lowers(ConcatOp)
def concat(low: Lowering, op: Any) -> Any:
    """A whole chain at once: assembled by one kernel, or joined in memory, in one layout.

    A link inside the chain is never materialised.
    """
    if is_link(op) or _is_read_through(low, op):
        return None
    if is_assembled(op):
        return assemble(low, op)
    order = low.layout(op.result).order
    parts = pieces(op)
    if any(low.layout(v).order != order for v in parts):
        raise ValueError("concat keeps the layout of its inputs")
    return concatenated([low.value(v) for v in parts], order.index(joined_dim(op)))


def concatenated(values: Sequence[Any], axis: int) -> Any:
    """Physical tensors joined along an axis."""
    sizes = list(shape(values[0]))
    sizes[axis] = sum(shape(v)[axis] for v in values)
    result = tensor_of(sizes, element_type(values[0]))
    return tensor.ConcatOp(result, axis, list(values)).result
