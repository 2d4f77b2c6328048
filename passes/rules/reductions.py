"""Along which dims an op sums: what decides where a tensor wants its neighbours."""

from typing import Any

from smartmem.dialects.layout import ops
from smartmem.dialects.layout.maps import contraction_dims
from smartmem.dialects.layout.ops import shape


def reduction_dims(op: Any, position: int) -> frozenset[int]:
    """The dims of an operand along which ``op`` sums."""
    if isinstance(op, ops.ContractOp):
        (*operands, result), _ = contraction_dims(op.attributes["indexing_maps"])
        loops = operands[position]
        return frozenset(axis for axis, loop in enumerate(loops) if loop not in result)
    if isinstance(op, ops.ConvOp) and position == 1:
        return frozenset(range(1, len(shape(op.weight))))
    return frozenset()
