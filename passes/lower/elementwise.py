"""Elementwise functions: one ``linalg.generic`` in the physical order of the result.

Halves are computed with in f32 and rounded once, as PyTorch does, but for the functions that give
the same either way (``rules/precision.py``). The same holds where operands and result are held in
different floats.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from smartmem.dialects._mlir import arith, ir, linalg
from smartmem.dialects.layout.ops import ElementwiseOp, element_type, shape
from smartmem.passes.analysis.blocks import block_of
from smartmem.passes.analysis.joins import producer
from smartmem.passes.analysis.reads import is_read_in_place
from smartmem.passes.lower.builder import (
    Lowering,
    Operand,
    constant,
    dims,
    expanded,
    index_constant,
    pointwise,
    reassociated,
    reduces,
)
from smartmem.passes.lower.floats import FLOATS
from smartmem.passes.lower.merging import pointwise_merged
from smartmem.passes.lower.registry import lowers
from smartmem.passes.lower.scalars import SCALARS, cast, compare, is_float, select
from smartmem.passes.lower.special import SPECIAL
from smartmem.passes.lower.trigonometry import TRIGONOMETRY
from smartmem.passes.rules.precision import ROUNDS_ALIKE

# A constant of few runs is chosen by position: constants in memory would be one more thing to bind,
# which our executor knows for weights alone.
_MOST_RUNS = 16

ON_SCALARS = {**SCALARS, **FLOATS, **TRIGONOMETRY, **SPECIAL}


@lowers(ElementwiseOp)
def elementwise(low: Lowering, op: Any) -> Any:
    """Loops follow the result's memory; broadcast operands drop the axes they repeat along. What
    its reader computes is not made.
    """
    if is_read_in_place(op):
        return None
    target, element = shape(op.result), element_type(op.result)
    order = low.layout(op.result).order
    loops = {axis: position for position, axis in enumerate(order)}
    runs = [_runs(v, target) for v in op.operands]
    read = [v for v, own in zip(op.operands, runs, strict=True) if own is None]
    operands = [low.read_broadcast(v, loops, target) for v in read]
    if block_of(op) is not None and read == list(op.operands):
        own = low.physical_shape(op.result)
        made = pointwise_merged(operands, own, element, lambda *v: on_elements(op, v))
        if made is not None:
            return made
    groups = _parts(low, operands, low.physical_shape(op.result))
    fine = [_in_parts(operand, groups) for operand in operands]
    sizes = [size for group in groups for size in group]

    def body(*values: Any) -> Any:
        given = iter(values)
        last = loops.get(len(target) - 1, 0)
        items = [next(given) if own is None else _item(own, groups, last) for own in runs]
        return on_elements(op, items)

    return reassociated(pointwise(fine, sizes, element, body), _axes(groups))


def _runs(value: Any, target: Sequence[int]) -> list[tuple[int, float]] | None:
    """A constant along the last dim of ``target`` as the end and the value of each run of equal
    elements; None for what is read from memory: a tensor of the model, a constant of many runs.
    """
    made = producer(value)
    if made is None or not isinstance(made, arith.ConstantOp):
        return None
    if not target or shape(value) != tuple(target[-1:]):
        return None
    held = made.attributes["value"]
    # Of other floats the bindings read no elements.
    if not isinstance(held, ir.DenseFPElementsAttr) or element_type(value) != ir.F32Type.get():
        return None
    items = [float(item) for item in held]
    ends = [i + 1 for i in range(len(items)) if items[i : i + 1] != items[i + 1 : i + 2]]
    return [(end, items[end - 1]) for end in ends] if len(ends) <= _MOST_RUNS else None


def _item(runs: Sequence[tuple[int, float]], groups: Sequence[Sequence[int]], dim: int) -> Any:
    """The element of an f32 constant of ``runs`` at the position in dim ``dim``, computed in the
    loops of its group.
    """
    element = ir.F32Type.get()
    *before, (_, chosen) = runs
    item = constant(chosen, element)
    place = index_constant(0)
    for loop, size in zip(_axes(groups)[dim], groups[dim], strict=True):
        scaled = arith.MulIOp(place, index_constant(size)).result
        place = arith.AddIOp(scaled, linalg.IndexOp(loop).result).result
    for end, value in reversed(before):
        inside = compare("lt", place, index_constant(end))
        item = select(inside, constant(value, element), item)
    return item


def _parts(low: Lowering, operands: Sequence[Operand], sizes: Sequence[int]) -> list[list[int]]:
    """Per dim the loops to compute in: on Vulkan those of an operand's kernel that has more loops
    than the operand has dims, so that nothing stands between that kernel and this op.
    """
    for operand in operands if low.device == "vulkan" else ():
        made = operand.value.owner
        if isinstance(made, ir.Block) or made.name != "tensor.collapse_shape":
            continue
        source = made.operands[0]
        if shape(operand.value) == tuple(sizes) and _is_made_of_sums(source):
            nested = [ir.ArrayAttr(group) for group in made.attributes["reassociation"]]
            axes = [[ir.IntegerAttr(axis).value for axis in group] for group in nested]
            return [[shape(source)[axis] for axis in group] for group in axes]
    return [[size] for size in sizes]


def _is_made_of_sums(value: Any) -> bool:
    """Whether a sum of products makes ``value``, elementwise ops between."""
    op = value.owner
    if isinstance(op, ir.Block) or op.name != "linalg.generic":
        return False
    inputs = list(op.operands)[:-1]
    return reduces(op) or any(shape(v) == shape(value) and _is_made_of_sums(v) for v in inputs)


def _in_parts(operand: Operand, groups: Sequence[Sequence[int]]) -> Operand:
    """``operand``, whose axes are read along dims, with each dim split as ``groups`` say."""
    read: list[int] = [ir.AffineDimExpr(expr).position for expr in operand.exprs]
    axes = _axes(groups)
    loops = [loop for dim in read for loop in axes[dim]]
    return Operand(expanded(operand.value, [groups[axis] for axis in read]), dims(loops))


def _axes(groups: Sequence[Sequence[int]]) -> list[list[int]]:
    """The numbers of the parts, group by group."""
    ends = list(accumulate(len(group) for group in groups))
    return [list(range(end - len(g), end)) for end, g in zip(ends, groups, strict=True)]


def on_elements(op: Any, values: Sequence[Any]) -> Any:
    """The function of an elementwise op on one element of each operand."""
    fn = ir.StringAttr(op.attributes["fn"]).value
    element = element_type(op.result)
    if fn == "cast":
        return cast(values[0], element)
    kind = _computed_in(fn, element, values)
    if kind is None:
        return ON_SCALARS[fn](*values)
    made = ON_SCALARS[fn](*(cast(v, kind) if is_float(v) else v for v in values))
    return cast(made, element) if made.type == kind else made


def _computed_in(fn: str, element: Any, values: Sequence[Any]) -> Any | None:
    """The float type that ``fn`` is computed in; None where operands and result are of one type and
    it is that.
    """
    floats = [v.type for v in values if is_float(v)]
    held = [*floats, element] if not isinstance(element, ir.IntegerType) else floats
    if not floats:
        return None
    alike = all(kind == held[0] for kind in held)
    half = ir.FloatType(held[0]).width < 32
    if alike and (not half or fn in ROUNDS_ALIKE):
        return None
    wide = ir.F64Type.get() if ir.F64Type.get() in held else ir.F32Type.get()
    return None if alike and held[0] == wide else wide
