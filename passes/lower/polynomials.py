"""What approximations of functions are made of: f32, polynomials, logarithms.

A device's own functions may be coarse on Vulkan, so functions are built from exact arithmetic, exp
and log: then they are as good there as on the CPU. Polynomials were fitted (Chebyshev, 40 digits)
to a relative error of the function below 1e-7, unless said otherwise beside them.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from smartmem.dialects._mlir import arith, ir, math
from smartmem.passes.lower.builder import constant
from smartmem.passes.lower.scalars import add, mul

Value = Any


def in_f32(function: Callable[..., Value]) -> Callable[..., Value]:
    """``function`` computed in f32, whatever float its operands are."""

    @wraps(function)
    def computed(*operands: Value) -> Value:
        element, wide = operands[0].type, ir.F32Type.get()
        if element == wide:
            return function(*operands)
        result = function(*(arith.ExtFOp(wide, v).result for v in operands))
        return arith.TruncFOp(element, result).result

    return computed


def number(value: float) -> Value:
    """An f32 constant."""
    return constant(value, ir.F32Type.get())


def polynomial(x: Value, coefficients: tuple[float, ...]) -> Value:
    """The sum of ``coefficients[i] * x ** i``, the constant first."""
    total = number(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = add(mul(total, x), number(coefficient))
    return total


def log(a: Value) -> Value:
    """Natural logarithm."""
    return math.LogOp(a).result
