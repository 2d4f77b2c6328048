"""Contractions: loop dims that stay neighbours everywhere are merged, so that IREE meets plain
(batch) matmuls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from smartmem.dialects.layout.maps import contraction_dims
from smartmem.dialects.layout.ops import ContractOp, ElementwiseOp, ViewOp, element_type, shape
from smartmem.passes.analysis.joins import producer
from smartmem.passes.analysis.products import Map, merge_groups
from smartmem.passes.analysis.reads import Reading, common_parts, is_read_in_place, split, through
from smartmem.passes.lower import scalars
from smartmem.passes.lower.builder import (
    Lowering,
    Operand,
    accumulator,
    dims,
    expanded,
    filled,
    generic,
    narrowed,
    reassociated,
    widened,
)
from smartmem.passes.lower.factors import Function, broadcast, function_of, itself
from smartmem.passes.lower.registry import lowers
from smartmem.passes.lower.structure import reshaped, stepped


@lowers(ContractOp)
def contract(low: Lowering, op: Any) -> Any:
    """Sum of products in the physical orders of operands and result."""
    logical, _ = contraction_dims(op.attributes["indexing_maps"])
    factors = [operand(low, v, m) for v, m in zip((op.lhs, op.rhs), logical[:2], strict=True)]
    sizes = [shape(op.result)[axis] for axis in low.layout(op.result).order]
    return sum_of_reads(factors, low.write(op.result, logical[-1]), sizes, element_type(op.result))


@dataclass(frozen=True)
class Read:
    """A tensor in memory, and how a sum of products reads it."""

    value: Any
    reading: Reading


@dataclass(frozen=True)
class Factor:
    """An operand of a sum of products: a function of one element of each of ``reads``."""

    reads: tuple[Read, ...]
    function: Function = itself


def operand(low: Lowering, logical: Any, loops: Sequence[int]) -> Factor:
    """``logical``, whose logical axes are ``loops``: through its view, or as a function of what it
    is made of, where it is not made.
    """
    op = producer(logical)
    if not isinstance(op, ElementwiseOp) or not is_read_in_place(op):
        return Factor((_read(low, logical, loops),))
    reads = tuple(
        _read(low, v, loops)
        if shape(v) == shape(logical)
        else Read(held, Reading.plain([loops[axis] for axis in axes], shape(held)))
        for v, held, axes in broadcast(low, op)
    )
    return Factor(reads, function_of(op))


def _read(low: Lowering, logical: Any, loops: Sequence[int]) -> Read:
    physical = low.write(logical, loops)
    view = producer(logical)
    if not isinstance(view, ViewOp) or not is_read_in_place(view):
        return _plain(low.value(logical), physical)
    reading = through(view, physical)
    if reading is None:
        raise ValueError("marked to be read in place, but no reshapes, slices and one transpose")
    return Read(stepped(low.value(view.input), reading.steps), reading)


def plain(value: Any, loops: Sequence[int]) -> Factor:
    """A physical tensor whose axes are ``loops``."""
    return Factor((_plain(value, loops),))


def _plain(value: Any, loops: Sequence[int]) -> Read:
    return Read(value, Reading.plain(loops, shape(value)))


def sum_of_reads(
    factors: Sequence[Factor], loops: Sequence[int], sizes: Sequence[int], element: Any
) -> Any:
    """Contract two operands; the result's axes are ``loops``, of ``sizes``.

    A loop that a view splits is several; one of a single step is none.
    """
    reads = [read for factor in factors for read in factor.reads]
    common = common_parts([read.reading for read in reads])
    if common is None:
        raise ValueError("two operands split a loop at places that do not nest")
    places = [(loop, part) for loop, parts in common.items() for part in range(len(parts))]
    extents = [common[loop][part] for loop, part in places]
    maps = [tuple(places.index(p) for p in split(read.reading, common)) for read in reads]
    values = [
        reshaped(read.value, [extents[n] for n in axes])
        for read, axes in zip(reads, maps, strict=True)
    ]
    own = [places.index((loop, part)) for loop in loops for part in range(len(common[loop]))]
    functions = [(factor.function, len(factor.reads)) for factor in factors]
    result = sum_of_products(values, [*maps, tuple(own)], extents, element, functions)
    return reshaped(result, sizes)


def sum_of_products(
    values: Sequence[Any],
    maps: Sequence[Map],
    extents: Sequence[int],
    element: Any,
    functions: Sequence[tuple[Function, int]] = ((itself, 1), (itself, 1)),
) -> Any:
    """Contract physical tensors; ``maps`` give the loop dim of each physical axis, the result's
    last. ``functions`` say what either factor is, and of how many of the tensors.
    """
    groups = merge_groups(maps, len(extents))
    merged = [[i for i, g in enumerate(groups) if g[0] in m] for m in maps]
    merged = [
        sorted(ms, key=lambda i, m=m: m.index(groups[i][0]))
        for ms, m in zip(merged, maps, strict=True)
    ]
    sizes = [_product([extents[d] for d in g]) for g in groups]
    operands = [
        Operand(_collapsed(v, m, groups), dims(ms))
        for v, m, ms in zip(values, maps, merged, strict=False)
    ]
    wide = accumulator(element)
    kinds = ["parallel" if i in merged[-1] else "reduction" for i in range(len(groups))]

    def body(*items: Any) -> Any:
        given, total = iter(items[:-1]), items[-1]
        made = [function(*islice(given, count)) for function, count in functions]
        return scalars.add(total, scalars.mul(*(widened(item, wide) for item in made)))

    init = filled(0, [sizes[i] for i in merged[-1]], wide)
    result = narrowed(generic(operands, init, dims(merged[-1]), kinds, body), element)
    return expanded(result, [[extents[d] for d in groups[i]] for i in merged[-1]])


def _collapsed(value: Any, loop_dims: Map, groups: Sequence[Sequence[int]]) -> Any:
    axes: list[list[int]] = []
    leaders = {g[0] for g in groups}
    for axis, d in enumerate(loop_dims):
        if d in leaders:
            axes.append([axis])
        else:
            axes[-1].append(axis)
    return reassociated(value, axes)


def _product(sizes: Sequence[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total
