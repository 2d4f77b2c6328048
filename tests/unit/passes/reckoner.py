"""Layout IR without layouts, reckoned with NumPy: what a rewriting has to leave as it was."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartmem.dialects import algebra
from smartmem.dialects._mlir import arith, ir
from smartmem.dialects.layout.attributes import ints
from smartmem.dialects.layout.maps import contraction_dims
from smartmem.dialects.layout.ops import (
    ContractOp,
    ElementwiseOp,
    ReduceOp,
    ViewOp,
    element_type,
    shape,
)
from smartmem.passes.base import block_ops, functions
from smartmem.passes.eliminate_views import index_map_of

Array = NDArray[Any]

FUNCTIONS: dict[str, Any] = {
    "abs": np.abs,
    "neg": np.negative,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "trunc": np.trunc,
    "gt": np.greater,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "where": lambda c, a, b: np.where(c, a, b),
    "rsqrt": lambda a: 1 / np.sqrt(a),
    "reciprocal": lambda a: 1 / a,
    "relu": lambda a: np.maximum(a, a.dtype.type(0)),
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "shift_left": lambda a, b: np.where((b >= 0) & (b < 32), a << np.clip(b, 0, 31), 0),
}
REDUCTIONS: dict[str, Any] = {"sum": np.add, "prod": np.multiply}


def reckon(module: Any, inputs: list[Array]) -> tuple[list[Array], list[Array]]:
    """The results of the module's function, and all values on the way."""
    (function,) = functions(module)
    values: dict[Any, Array] = dict(zip(function.arguments, inputs, strict=True))
    results: list[Array] = []
    with np.errstate(all="ignore"):
        for op in block_ops(function):
            operands = [values[v] for v in op.operation.operands]
            if op.operation.name == "func.return":
                results = operands
            else:
                values[op.operation.results[0]] = np.asarray(_value(op, operands))
    return results, list(values.values())


def _value(op: Any, operands: list[Array]) -> Any:
    if isinstance(op, arith.ConstantOp):
        held = op.attributes["value"]
        if isinstance(element_type(op.result), ir.IntegerType):
            number = ir.IntegerAttr(held.get_splat_value()).value
            return np.full(shape(op.result), number, np.int32)
        return np.full(shape(op.result), ir.FloatAttr(held.get_splat_value()).value, np.float32)
    if isinstance(op, ElementwiseOp):
        return FUNCTIONS[ir.StringAttr(op.attributes["fn"]).value](*operands)
    if isinstance(op, ViewOp):
        return operands[0][tuple(algebra.evaluate(index_map_of(op)))]
    if isinstance(op, ReduceOp):
        ufunc = REDUCTIONS[ir.StringAttr(op.attributes["kind"]).value]
        return ufunc.reduce(operands[0], axis=ints(op.attributes["dims"]), dtype=operands[0].dtype)
    assert isinstance(op, ContractOp)
    (lhs, rhs, result), _ = contraction_dims(op.attributes["indexing_maps"])
    return np.einsum(operands[0], list(lhs), operands[1], list(rhs), list(result))
