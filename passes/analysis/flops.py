"""Operations on numbers that an op does: how rewriting tells which of two forms is cheaper.

Counted as in DNNFusion (PLDI'21, table 4): one for each element of an elementwise op's result,
whatever the function, and for each element that a reduction reads; two for each product that a
contraction sums. What only names, moves or compares positions of elements counts nothing, and of
the others (windows, norms, attention), which no rule changes, nothing is said here.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

from smartmem.dialects.layout.maps import contraction_dims
from smartmem.dialects.layout.ops import ContractOp, ElementwiseOp, ReduceOp, shape

PER_PRODUCT = 2


def flops(op: Any) -> int:
    """Operations of an elementwise op, reduction or contraction; 0 for others."""
    if isinstance(op, ElementwiseOp):
        return prod(shape(op.result))
    if isinstance(op, ReduceOp):
        return prod(shape(op.input))
    if isinstance(op, ContractOp):
        maps, _ = contraction_dims(op.attributes["indexing_maps"])
        return contraction_flops([shape(op.lhs), shape(op.rhs)], maps)
    return 0


def contraction_flops(operands: Sequence[Sequence[int]], maps: Sequence[Sequence[int]]) -> int:
    """Operations of a contraction of operands of these shapes, by the loop of each axis."""
    extents = {
        dim: size
        for sizes, dims in zip(operands, maps, strict=False)
        for dim, size in zip(dims, sizes, strict=True)
    }
    return PER_PRODUCT * prod(extents.values())
