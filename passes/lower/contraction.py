"""Contractions: loop dims that stay neighbours everywhere are merged, so that IREE meets plain
(batch) matmuls.
"""

from collections.abc import Sequence
from typing import Any

from smartmem.dialects.layout.maps import contraction_dims
from smartmem.dialects.layout.ops import ContractOp, element_type, shape
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
from smartmem.passes.lower.registry import lowers

Map = tuple[int, ...]


@lowers(ContractOp)
def contract(low: Lowering, op: Any) -> Any:
    """Sum of products in the physical orders of operands and result."""
    logical, rank = contraction_dims(op.attributes["indexing_maps"])
    values = [op.lhs, op.rhs, op.result]
    maps = [low.write(v, m) for v, m in zip(values, logical, strict=True)]
    extents = {
        d: s for v, m in zip(values, logical, strict=True) for d, s in zip(m, shape(v), strict=True)
    }
    return sum_of_products(
        [low.value(op.lhs), low.value(op.rhs)],
        maps,
        [extents[d] for d in range(rank)],
        element_type(op.result),
    )


def sum_of_products(
    values: Sequence[Any], maps: Sequence[Map], extents: Sequence[int], element: Any
) -> Any:
    """Contract two physical tensors; ``maps`` give the loop dim of each physical axis, the result's
    last.
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

    def body(a: Any, b: Any, total: Any) -> Any:
        return scalars.add(total, scalars.mul(widened(a, wide), widened(b, wide)))

    init = filled(0, [sizes[i] for i in merged[-1]], wide)
    result = narrowed(generic(operands, init, dims(merged[-1]), kinds, body), element)
    return expanded(result, [[extents[d] for d in groups[i]] for i in merged[-1]])


def merge_groups(maps: Sequence[Map], rank: int) -> list[list[int]]:
    """Runs of loop dims that are adjacent and in the same order in every map they occur in, longest
    first found.

    Parallel dims come before reduction dims, each in the result's or the first operand's order.
    """
    order = [*maps[-1], *(d for m in maps[:-1] for d in m if d not in maps[-1])]
    groups: list[list[int]] = []
    for d in dict.fromkeys(order):
        if groups and _follows(maps, groups[-1][-1], d):
            groups[-1].append(d)
        else:
            groups.append([d])
    if sum(map(len, groups)) != rank:
        raise ValueError("a loop dim occurs in no map")
    return groups


def _follows(maps: Sequence[Map], a: int, b: int) -> bool:
    """Whether ``b`` stands right after ``a`` in every map that has either."""
    return all(a in m and b in m and m.index(b) == m.index(a) + 1 for m in maps if a in m or b in m)


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
