"""Which dims an op hands through, so that they may be stored longer than they are.

A dim is handed through where each of its positions is computed from that position of the operands
alone, and what stands past its end stays finite: it starts as zeros, and is thrown away.
Attention also takes more keys than it has: it masks those past its attribute ``keys``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import ops
from smartmem.dialects.layout.attributes import ints
from smartmem.dialects.layout.maps import contraction_dims
from smartmem.dialects.layout.ops import shape
from smartmem.passes.rules.layouts import is_weight

# (operand, axis) pairs.
Places = Sequence[tuple[int, int]]

# Functions that are finite wherever their operands are, overflow aside.
_FINITE = frozenset(
    (
        *("abs", "neg", "sign", "ceil", "floor", "round", "trunc", "sin", "cos", "atan", "tanh"),
        *("sigmoid", "erf", "erfc", "relu", "gelu", "gelu_tanh", "silu", "mish", "softplus"),
        *("add", "sub", "mul", "maximum", "minimum", "where", "clamp", "cast"),
        *("eq", "ne", "lt", "le", "gt", "ge", "logical_not", "isnan"),
    )
)


@dataclass(frozen=True)
class Carried:
    """One dim that an op hands through: where its operands have it, and its axis in the result;
    None where the op takes it in. ``follows`` are operands that must be as long, but have no say.
    """

    operands: Places
    result: int | None
    follows: Places = ()


def carried(op: Any) -> list[Carried]:
    """The dims that ``op`` hands through; none for an op without a rule.

    Not those of weights: a weight's padding would be computed again in each call.
    """
    rule = _RULES.get(type(op))
    operands = op.operation.operands
    dims = [] if rule is None else rule(op)
    return [dim for dim in dims if not any(is_weight(operands[i]) for i, _ in dim.operands)]


def is_free_reader(op: Any) -> bool:
    """Whether ``op`` reads only what is there of an operand, however long that is stored."""
    return isinstance(op, ops.ViewOp)


def _elementwise(op: Any) -> list[Carried]:
    if ir.StringAttr(op.attributes["fn"]).value not in _FINITE:
        return []
    sizes = shape(op.result)
    shapes = [shape(v) for v in op.operation.operands]
    return [
        Carried(
            [
                (position, axis - len(sizes) + len(own))
                for position, own in enumerate(shapes)
                if axis >= len(sizes) - len(own) and own[axis - len(sizes) + len(own)] == size
            ],
            axis,
        )
        for axis, size in enumerate(sizes)
    ]


def _same_axis(op: Any, axes: Sequence[int]) -> list[Carried]:
    """Dims that keep their place, in the operands of the result's rank."""
    rank = len(shape(op.operation.results[0]))
    whole = [i for i, v in enumerate(op.operation.operands) if len(shape(v)) == rank]
    return [Carried([(i, axis) for i in whole], axis) for axis in axes]


def _layer_norm(op: Any) -> list[Carried]:
    # A row of zeros stays finite by its epsilon.
    if ir.FloatAttr(op.attributes["eps"]).value <= 0:
        return []
    outer = len(shape(op.input)) - ir.IntegerAttr(op.attributes["normalized_dims"]).value
    return [Carried([(0, axis)], axis) for axis in range(outer)]


def _softmax(op: Any) -> list[Carried]:
    dim = ir.IntegerAttr(op.attributes["dim"]).value
    return _same_axis(op, [a for a in range(len(shape(op.input))) if a != dim])


def _concat(op: Any) -> list[Carried]:
    dim = ir.IntegerAttr(op.attributes["dim"]).value
    return _same_axis(op, [a for a in range(len(shape(op.result))) if a != dim])


def _reduce(op: Any) -> list[Carried]:
    removed = ints(op.attributes["dims"])
    kept = [a for a in range(len(shape(op.input))) if a not in removed]
    return [Carried([(0, axis)], position) for position, axis in enumerate(kept)]


def _contract(op: Any) -> list[Carried]:
    (*sources, result), _ = contraction_dims(op.attributes["indexing_maps"])
    return [
        Carried(
            [
                (i, axis)
                for i, source in enumerate(sources)
                for axis, d in enumerate(source)
                if d == loop
            ],
            position,
        )
        for position, loop in enumerate(result)
    ]


def _view(op: Any) -> list[Carried]:
    """Dims that the map hands on whole, and uses nowhere else."""
    exprs = list(ir.AffineMapAttr(op.attributes["index_map"]).value.results)
    sizes, given = shape(op.result), shape(op.input)
    found: list[Carried] = []
    for axis, expr in enumerate(exprs):
        if not isinstance(expr, ir.AffineDimExpr) or sizes[expr.position] != given[axis]:
            continue
        if not any(_uses(e, expr.position) for i, e in enumerate(exprs) if i != axis):
            found.append(Carried([(0, axis)], expr.position))
    return found


def _uses(expr: Any, position: int) -> bool:
    if isinstance(expr, ir.AffineDimExpr):
        return expr.position == position
    return isinstance(expr, ir.AffineBinaryExpr) and (
        _uses(expr.lhs, position) or _uses(expr.rhs, position)
    )


def _attention(op: Any) -> list[Carried]:
    rank = len(shape(op.query))
    batch = [Carried([(i, axis) for i in range(3)], axis) for axis in range(rank - 2)]
    row, key = rank - 2, rank - 1
    rows = Carried([(0, row)], row, _mask(op, row))
    return [*batch, rows, Carried([(1, row), (2, row)], None, _mask(op, key))]


def _mask(op: Any, axis: int) -> Places:
    """The mask's place of an axis of the scores, if it has one of its own."""
    if op.mask is None:
        return ()
    sizes = shape(op.mask)
    own = axis - len(shape(op.query)) + len(sizes)
    return ((3, own),) if own >= 0 and sizes[own] > 1 else ()


_RULES: dict[type, Callable[[Any], list[Carried]]] = {
    ops.ViewOp: _view,
    ops.ElementwiseOp: _elementwise,
    ops.ConcatOp: _concat,
    ops.ContractOp: _contract,
    ops.ReduceOp: _reduce,
    ops.SoftmaxOp: _softmax,
    ops.LayerNormOp: _layer_norm,
    ops.AttentionOp: _attention,
}
