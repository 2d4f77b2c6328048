"""Functions of single elements made of the dialect's own: activations, and what is seldom used.

Arguments have the names of the op's schema; tensors are values of the result's type.
"""

import math
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build
from smartmem.frontend.registry import Refusal

Value = Any


def value_of(operand: Any, element: Any) -> Value:
    """``operand``, a value or a number, as a value of ``element``."""
    if isinstance(operand, ir.Value):
        return build.cast(operand, element)
    return build.splat(operand, element)


def number(value: float, like: Value) -> Value:
    """``value`` as a constant of rank 0 with the element type of ``like``."""
    return build.splat(value, build.element_type(like))


def clamped(value: Value, low: Any, high: Any) -> Value:
    """``value`` within limits, of which one may be None."""
    element = build.element_type(value)
    if low is not None and high is not None:
        return build.elementwise("clamp", value, value_of(low, element), value_of(high, element))
    if low is not None:
        return build.elementwise("maximum", value, value_of(low, element))
    return build.elementwise("minimum", value, value_of(high, element))


def scaled(value: Value, factor: float) -> Value:
    """``value`` times a number."""
    return value if factor == 1 else build.elementwise("mul", value, number(factor, value))


def _below(value: Value, limit: float) -> Value:
    return build.elementwise("lt", value, number(limit, value))


def log10(self: Value) -> Value:
    """Decimal logarithm."""
    return scaled(build.elementwise("log", self), 1 / math.log(10))


def hardtanh(self: Value, min_val: float, max_val: float) -> Value:
    """clamp by another name."""
    return clamped(self, min_val, max_val)


def hardsigmoid(self: Value) -> Value:
    """relu6(x + 3) / 6."""
    shifted = build.elementwise("add", self, number(3, self))
    return scaled(clamped(shifted, 0, 6), 1 / 6)


def hardswish(self: Value) -> Value:
    """x * relu6(x + 3) / 6."""
    return build.elementwise("mul", self, hardsigmoid(self))


def leaky_relu(self: Value, negative_slope: float) -> Value:
    """x, or slope * x below zero."""
    return build.elementwise("where", _below(self, 0), scaled(self, negative_slope), self)


def rrelu(
    self: Value, noise: Value, lower: float, upper: float, training: bool, generator: Any
) -> tuple[Value, None]:
    """Without training a leaky relu with the slope's mean."""
    if training:
        raise Refusal("a random slope, as in training", "call model.eval() first")
    return leaky_relu(self, (lower + upper) / 2), None


def elu(self: Value, alpha: float, scale: float, input_scale: float) -> Value:
    """scale * (x, or alpha * expm1(input_scale * x) below zero)."""
    negative = scaled(build.elementwise("expm1", scaled(self, input_scale)), alpha)
    return scaled(build.elementwise("where", _below(self, 0), negative, self), scale)


def softplus(self: Value, beta: float, threshold: float) -> Value:
    """log1p(exp(beta * x)) / beta, and x itself above the threshold."""
    inner = scaled(self, beta)
    soft = scaled(build.elementwise("softplus", inner), 1 / beta)
    above = build.elementwise("gt", inner, number(threshold, inner))
    return build.elementwise("where", above, self, soft)


def gelu(self: Value, approximate: str) -> Value:
    """GELU by the error function, or its tanh approximation."""
    return build.elementwise("gelu_tanh" if approximate == "tanh" else "gelu", self)


def fmax(self: Value, other: Value) -> Value:
    """The larger; a number wins over NaN."""
    return _of_numbers("maximum", self, other)


def fmin(self: Value, other: Value) -> Value:
    """The smaller; a number wins over NaN."""
    return _of_numbers("minimum", self, other)


def _of_numbers(fn: str, left: Value, right: Value) -> Value:
    chosen = build.elementwise(fn, left, right)
    if isinstance(build.element_type(left), ir.IntegerType):
        return chosen
    chosen = build.elementwise("where", build.elementwise("isnan", right), left, chosen)
    return build.elementwise("where", build.elementwise("isnan", left), right, chosen)


def ldexp(self: Value, other: Value) -> Value:
    """self * 2 ** other."""
    return build.elementwise("mul", self, build.elementwise("exp2", other))


def angle(self: Value) -> Value:
    """Of a real number: 0, or pi below zero; NaN of NaN."""
    turned = build.elementwise("where", _below(self, 0), number(math.pi, self), number(0, self))
    return build.elementwise("where", build.elementwise("isnan", self), self, turned)


def rounded(self: Value, decimals: int) -> Value:
    """To so many decimals, halves to even; negative ones round before the point."""
    ten = number(10.0 ** abs(decimals), self)
    before, after = ("mul", "div") if decimals >= 0 else ("div", "mul")
    return build.elementwise(
        after, build.elementwise("round", build.elementwise(before, self, ten)), ten
    )


def _cotangent_derivative(order: int) -> list[int]:
    """Coefficients, the constant first, of the polynomial in cot(y) that is its derivative."""
    coefficients = [0, 1]
    for _ in range(order):
        slope = [power * c for power, c in enumerate(coefficients)][1:]
        rising = [*slope, 0, 0]
        for power, c in enumerate(slope):
            rising[power + 2] += c
        coefficients = [-c for c in rising]
    return coefficients


def _polynomial(x: Value, coefficients: list[int]) -> Value:
    total = number(coefficients[-1], x)
    for coefficient in reversed(coefficients[:-1]):
        total = build.elementwise("mul", total, x)
        total = build.elementwise("add", total, number(coefficient, x))
    return total


def polygamma(n: int, self: Value) -> Value:
    """The n-th derivative of digamma: by Hurwitz's zeta; below zero by reflection, infinite at
    whole numbers.
    """
    if n == 0:
        return build.elementwise("digamma", self)
    below, sign = _below(self, 0), 1 if n % 2 else -1
    reflected = build.elementwise("sub", number(1, self), self)
    inner = build.elementwise("where", below, reflected, self)
    zeta = build.elementwise("zeta", number(n + 1, self), inner)
    above = scaled(zeta, sign * math.factorial(n))
    offset = build.elementwise("sub", self, build.elementwise("round", self))
    turned = scaled(offset, math.pi)
    cotangent = build.elementwise(
        "div", build.elementwise("cos", turned), build.elementwise("sin", turned)
    )
    derivative = scaled(_polynomial(cotangent, _cotangent_derivative(n)), math.pi ** (n + 1))
    negative = build.elementwise("sub", scaled(above, -sign), derivative)
    pole = build.elementwise("eq", offset, number(0, self))
    negative = build.elementwise("where", pole, number(sign * math.inf, self), negative)
    return build.elementwise("where", below, negative, above)


# By ATen overload. The result's type is the one they are computed in.
FORMULAS = {
    "angle.default": angle,
    "elu.default": elu,
    "fmax.default": fmax,
    "fmin.default": fmin,
    "gelu.default": gelu,
    "hardsigmoid.default": hardsigmoid,
    "hardswish.default": hardswish,
    "hardtanh.default": hardtanh,
    "ldexp.Tensor": ldexp,
    "leaky_relu.default": leaky_relu,
    "log10.default": log10,
    "polygamma.default": polygamma,
    "round.decimals": rounded,
    "rrelu_with_noise_functional.default": rrelu,
    "softplus.default": softplus,
}
