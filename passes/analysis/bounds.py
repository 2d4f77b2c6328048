"""Exponentials that cannot grow: how models write a softmax or an ELU by hand.

exp(x - amax(x))     where(x < 0, expm1(x), x)     exp(min(x, 0))     exp(-abs(x))
"""

from typing import Any

import numpy as np

from smartmem.dialects._mlir import arith, ir
from smartmem.dialects.layout import ops
from smartmem.passes.analysis.joins import producer
from smartmem.passes.rules.precision import EXPONENTIAL, SMALL

_POSITIVE = frozenset(["abs", "relu", "sigmoid", "softplus", "exp", "exp2", "sqrt"])
_BELOW, _ABOVE = ("lt", "le"), ("gt", "ge")


def function_of(value: Any) -> tuple[str, list[Any]]:
    """The elementwise function that makes ``value``, and its operands; "" where another op does."""
    op = producer(value)
    if not isinstance(op, ops.ElementwiseOp):
        return "", []
    return ir.StringAttr(op.attributes["fn"]).value, list(op.operands)


def _largest(value: Any) -> float:
    """The largest element of a constant; infinite for anything else."""
    op: Any = producer(value)
    if not isinstance(op, arith.ConstantOp):
        return float("inf")
    return float(np.array(op.attributes["value"]).max(initial=-np.inf))


def is_small(value: Any) -> bool:
    """Whether no element of ``value`` is above SMALL, by the ops that make it."""
    fn, operands = function_of(value)
    if fn == "minimum":
        return any(_largest(v) <= SMALL or is_small(v) for v in operands)
    if fn == "clamp":
        return _largest(operands[2]) <= SMALL
    if fn == "neg":
        return _is_positive(operands[0])
    return fn == "sub" and _is_row_maximum(operands[1], operands[0])


def _is_positive(value: Any) -> bool:
    fn, operands = function_of(value)
    return fn in _POSITIVE or (fn == "mul" and operands[0] == operands[1])


def _is_row_maximum(value: Any, of: Any) -> bool:
    """Whether ``value`` shows the largest elements of the rows of ``of``."""
    op = producer(value)
    while isinstance(op, ops.ViewOp):
        op = producer(op.input)
    if not isinstance(op, ops.ReduceOp) or op.input != of:
        return False
    return ir.StringAttr(op.attributes["kind"]).value == "max"


def taken(where: Any) -> list[Any]:
    """The branches of ``where``, less an exponential that is taken only of small elements."""
    condition, yes, no = where.operands
    name, compared = function_of(condition)
    if len(compared) != 2 or not abs(_largest(compared[1])) <= SMALL:
        return [yes, no]
    if name in _BELOW and _is_exponential(yes, compared[0]):
        return [no]
    if name in _ABOVE and _is_exponential(no, compared[0]):
        return [yes]
    return [yes, no]


def is_taken_small(value: Any) -> bool:
    """Whether all readers of ``value`` are choices that take it only of small elements."""
    readers = [use.owner.opview for use in value.uses]
    return bool(readers) and all(_takes_small(reader, value) for reader in readers)


def _takes_small(reader: Any, value: Any) -> bool:
    if not isinstance(reader, ops.ElementwiseOp):
        return False
    if ir.StringAttr(reader.attributes["fn"]).value == "where":
        return value not in taken(reader)
    return _is_scaled(reader, value) and is_taken_small(reader.result)


def _is_scaled(op: Any, value: Any) -> bool:
    """Whether ``op`` only scales or shifts ``value``, by constants."""
    others = [v for v in op.operands if not isinstance(producer(v), arith.ConstantOp)]
    fn = ir.StringAttr(op.attributes["fn"]).value
    return fn in ("mul", "add", "sub", "neg") and others == [value]


def _is_exponential(value: Any, of: Any) -> bool:
    """Whether ``value`` is an exponential of ``of``, either scaled or shifted by constants."""
    fn, operands = function_of(value)
    if fn in EXPONENTIAL:
        return _unscaled(operands[0]) == _unscaled(of)
    return any(_is_scaled(producer(value), v) and _is_exponential(v, of) for v in operands)


def _unscaled(value: Any) -> Any:
    """What ``value`` is a positive multiple of, up to SMALL."""
    fn, operands = function_of(value)
    for scale, other in ((0, 1), (1, 0)) if fn == "mul" else ():
        if 0 < _largest(operands[scale]) <= SMALL:
            return operands[other]
    return value
