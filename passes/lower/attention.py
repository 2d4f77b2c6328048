"""Attention as contraction, masked softmax, contraction: IREE cannot compile its own attention op
for Vulkan.
"""

from typing import Any

from smartmem.dialects._mlir import arith, ir, linalg
from smartmem.dialects.layout.build import tensor_of
from smartmem.dialects.layout.ops import AttentionOp, element_type, shape
from smartmem.passes.analysis.blocks import has_row_kernel
from smartmem.passes.lower import scalars
from smartmem.passes.lower.builder import (
    Lowering,
    Operand,
    accumulator,
    constant,
    dims,
    empty,
    generic,
    widened,
)
from smartmem.passes.lower.contraction import operand, plain, sum_of_reads
from smartmem.passes.lower.normalization import softmax_rows
from smartmem.passes.lower.regions import one_kernel
from smartmem.passes.lower.registry import lowers


@lowers(AttentionOp)
def attention(low: Lowering, op: Any) -> Any:
    """softmax(scale * q k^T + mask) v; scores are kept in f32 for 16-bit floats."""
    *batch, length, _ = shape(op.query)
    steps = shape(op.key)[-2]
    b = list(range(len(batch)))
    row, column, k = len(b), len(b) + 1, len(b) + 2
    element = element_type(op.result)
    wide = accumulator(element)
    reads = [operand(low, op.query, (*b, row, k)), operand(low, op.key, (*b, column, k))]
    # Scores of 16-bit operands are not rounded before the softmax.
    scores = sum_of_reads(reads, (*b, row, column), (*batch, length, steps), wide)
    scores = _scaled_and_masked(low, op, scores, wide)
    causal = ir.BoolAttr(op.attributes["causal"]).value
    masked = op.mask is not None or causal
    in_one = has_row_kernel(op)

    def weigh() -> Any:
        axis = len(batch) + 1
        return softmax_rows(low, scores, axis, element, masked=masked, in_one=in_one)

    weights = one_kernel(tensor_of(shape(scores), element), weigh) if in_one else weigh()
    reads = [plain(weights, (*b, row, k)), operand(low, op.value, (*b, k, column))]
    loops = low.write(op.result, (*b, row, column))
    return sum_of_reads(reads, loops, low.physical_shape(op.result), element)


def _scaled_and_masked(low: Lowering, op: Any, scores: Any, wide: Any) -> Any:
    """scale * scores, -inf where masked out or past the keys, plus the mask where it is a float."""
    own = shape(scores)
    rank = len(own)
    scale = ir.FloatAttr(op.attributes["scale"]).value
    causal = ir.BoolAttr(op.attributes["causal"]).value
    keys = ir.IntegerAttr(op.attributes["keys"]).value
    operands = [Operand(scores, dims(range(rank)))]
    if op.mask is not None:
        operands.append(low.read_broadcast(op.mask, {i: i for i in range(rank)}, own))

    def body(score: Any, *rest: Any) -> Any:
        item = scalars.mul(score, constant(scale, wide))
        lowest = constant(float("-inf"), wide)
        for mask in rest[:-1]:
            if isinstance(mask.type, ir.IntegerType):
                item = scalars.select(mask, item, lowest)
            else:
                item = scalars.add(item, widened(mask, wide))
        if causal:
            row, column = linalg.IndexOp(rank - 2).result, linalg.IndexOp(rank - 1).result
            past = arith.CmpIOp(arith.CmpIPredicate.sle, column, row).result
            item = scalars.select(past, item, lowest)
        if keys < own[-1]:
            column = linalg.IndexOp(rank - 1).result
            end = arith.ConstantOp(ir.IndexType.get(), keys).result
            counts = arith.CmpIOp(arith.CmpIPredicate.slt, column, end).result
            item = scalars.select(counts, item, lowest)
        return item

    init = empty(own, wide)
    return generic(operands, init, dims(range(rank)), ["parallel"] * rank, body)
