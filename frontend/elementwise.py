"""Import of elementwise ops: arithmetic, comparison, activations, casts, select; and inference-time
batch norm.
"""

import math
from typing import Any

import torch

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build
from smartmem.frontend import types
from smartmem.frontend.registry import Refusal, imports

Value = Any

_UNARY = {
    "abs": "abs",
    "neg": "neg",
    "exp": "exp",
    "expm1": "expm1",
    "log": "log",
    "log1p": "log1p",
    "log2": "log2",
    "sqrt": "sqrt",
    "rsqrt": "rsqrt",
    "reciprocal": "reciprocal",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "erf": "erf",
    "sin": "sin",
    "cos": "cos",
    "sign": "sign",
    "relu": "relu",
    "silu": "silu",
    "mish": "mish",
}
_BINARY = {
    "mul.Tensor": "mul",
    "mul.Scalar": "mul",
    "maximum.default": "maximum",
    "minimum.default": "minimum",
    "fmod.Tensor": "fmod",
    "fmod.Scalar": "fmod",
    "remainder.Tensor": "remainder",
    "remainder.Scalar": "remainder",
    "atan2.default": "atan2",
    "bitwise_and.Tensor": "bit_and",
    "bitwise_and.Scalar": "bit_and",
    "bitwise_or.Tensor": "bit_or",
    "bitwise_or.Scalar": "bit_or",
    "bitwise_xor.Tensor": "bit_xor",
    "bitwise_xor.Scalar": "bit_xor",
    "logical_and.default": "bit_and",
    "logical_or.default": "bit_or",
    "logical_xor.default": "bit_xor",
}
_ROUND = ("ceil", "floor", "round", "trunc")
_COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")


def value_of(operand: Any, element: Any) -> Value:
    """``operand``, a value or a number, as a value of ``element``."""
    if isinstance(operand, ir.Value):
        return build.cast(operand, element)
    return build.splat(operand, element)


def _register_unary(name: str, fn: str) -> None:
    @imports(f"{name}.default")
    def unary(ctx: Any, self: Value, **_: Any) -> Value:
        return build.elementwise(fn, build.cast(self, ctx.element()))


def _register_round(name: str) -> None:
    @imports(f"{name}.default")
    def rounded(ctx: Any, self: Value) -> Value:
        return self if isinstance(ctx.element(), ir.IntegerType) else build.elementwise(name, self)


def _register_binary(name: str, fn: str) -> None:
    @imports(name)
    def binary(ctx: Any, self: Any, other: Any) -> Value:
        element = ctx.element()
        return build.elementwise(fn, value_of(self, element), value_of(other, element))


def _register_compare(name: str) -> None:
    @imports(f"{name}.Tensor", f"{name}.Scalar")
    def compare(ctx: Any, self: Any, other: Any) -> Value:
        element = types.element(torch.result_type(*ctx.operand_dtypes()[:2]))
        return build.elementwise(name, value_of(self, element), value_of(other, element))


for _name, _fn in _UNARY.items():
    _register_unary(_name, _fn)
for _name in _ROUND:
    _register_round(_name)
for _name, _fn in _BINARY.items():
    _register_binary(_name, _fn)
for _name in _COMPARE:
    _register_compare(_name)


def _scaled(ctx: Any, fn: str, left: Any, right: Any, alpha: float) -> Value:
    element = ctx.element()
    right = value_of(right, element)
    if alpha != 1:
        right = build.elementwise("mul", right, build.splat(alpha, element))
    return build.elementwise(fn, value_of(left, element), right)


@imports("add.Tensor", "add.Scalar")
def add(ctx: Any, self: Value, other: Any, alpha: float) -> Value:
    """self + alpha * other; a logical or on booleans, as in PyTorch."""
    if ctx.result.dtype == torch.bool:
        return build.elementwise("bit_or", self, value_of(other, ctx.element()))
    return _scaled(ctx, "add", self, other, alpha)


@imports("sub.Tensor", "sub.Scalar")
def sub(ctx: Any, self: Value, other: Any, alpha: float) -> Value:
    """self - alpha * other."""
    return _scaled(ctx, "sub", self, other, alpha)


@imports("div.Tensor", "div.Scalar", "div.Tensor_mode", "div.Scalar_mode")
def div(ctx: Any, self: Value, other: Any, rounding_mode: str | None = None) -> Value:
    """Division, then rounding where asked."""
    element = ctx.element()
    left, right = value_of(self, element), value_of(other, element)
    if rounding_mode == "floor":
        return build.elementwise("floor_div", left, right)
    quotient = build.elementwise("div", left, right)
    if rounding_mode is None or isinstance(element, ir.IntegerType):
        return quotient
    return build.elementwise("trunc", quotient)


def _power(base: Value, exponent: int) -> Value:
    """``base`` to an integer ``exponent`` of at least 1, by squaring."""
    if exponent == 1:
        return base
    half = _power(base, exponent // 2)
    square = build.elementwise("mul", half, half)
    return build.elementwise("mul", square, base) if exponent % 2 else square


_ROOTS = {0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}
# Up to this power, products differ from pow by no more than its own error.
_MAX_PRODUCT = 4


@imports("pow.Tensor_Scalar")
def pow_scalar(ctx: Any, self: Value, exponent: float) -> Value:
    """Integer powers and roots as products and square roots, which are exact where pow is not."""
    element = ctx.element()
    base = build.cast(self, element)
    whole = isinstance(element, ir.IntegerType)
    if exponent == 0:
        return build.splat(1, element, build.shape(base))
    if exponent == int(exponent) and exponent > 0 and (whole or exponent <= _MAX_PRODUCT):
        return _power(base, int(exponent))
    if exponent in _ROOTS:
        return build.elementwise(_ROOTS[exponent], base)
    return build.elementwise("pow", base, build.splat(exponent, element))


@imports("pow.Tensor_Tensor", "pow.Scalar")
def pow_tensor(ctx: Any, self: Any, exponent: Value) -> Value:
    """self to the power of a tensor."""
    element = ctx.element()
    if isinstance(element, ir.IntegerType):
        raise Refusal("integers to the power of a tensor are not supported", "cast to float first")
    return build.elementwise("pow", value_of(self, element), value_of(exponent, element))


@imports("log10.default")
def log10(ctx: Any, self: Value) -> Value:
    """Decimal logarithm."""
    element = ctx.element()
    natural = build.elementwise("log", build.cast(self, element))
    return build.elementwise("mul", natural, build.splat(1 / math.log(10), element))


@imports("logical_not.default", "bitwise_not.default")
def logical_not(ctx: Any, self: Value) -> Value:
    """Not: of truth values, or of an integer's bits."""
    element = build.element_type(self)
    if ctx.result.dtype != torch.bool:
        return build.elementwise("bit_xor", self, build.splat(-1, element))
    if element != ctx.element():
        return build.elementwise("eq", self, build.splat(0, element))
    return build.elementwise("logical_not", self)


@imports("isnan.default")
def isnan(ctx: Any, self: Value) -> Value:
    """True where not a number."""
    return build.elementwise("isnan", self)


@imports("isinf.default")
def isinf(ctx: Any, self: Value) -> Value:
    """True where infinite of either sign."""
    element = build.element_type(self)
    if isinstance(element, ir.IntegerType):
        return build.splat(0, ctx.element(), build.shape(self))
    return build.elementwise("eq", build.elementwise("abs", self), build.splat(math.inf, element))


@imports("full_like.default")
def full_like(ctx: Any, self: Value, fill_value: float, **_: Any) -> Value:
    """A constant of the other tensor's shape."""
    return build.splat(fill_value, ctx.element(), ctx.result.shape)


@imports("where.self")
def where(ctx: Any, condition: Value, self: Value, other: Value) -> Value:
    """self where condition, else other."""
    element = ctx.element()
    return build.elementwise(
        "where", condition, build.cast(self, element), build.cast(other, element)
    )


def _clamped(value: Value, low: Any, high: Any, element: Any) -> Value:
    value = build.cast(value, element)
    if low is not None and high is not None:
        return build.elementwise("clamp", value, value_of(low, element), value_of(high, element))
    if low is not None:
        return build.elementwise("maximum", value, value_of(low, element))
    return build.elementwise("minimum", value, value_of(high, element))


@imports("clamp.default", "clamp.Tensor")
def clamp(ctx: Any, self: Value, min: Any, max: Any) -> Value:
    """Limits on one or both sides."""
    return _clamped(self, min, max, ctx.element())


@imports("hardtanh.default")
def hardtanh(ctx: Any, self: Value, min_val: float, max_val: float) -> Value:
    """clamp by another name."""
    return _clamped(self, min_val, max_val, ctx.element())


def _relu6(value: Value, element: Any) -> Value:
    """clamp(value + 3, 0, 6) / 6."""
    shifted = build.elementwise("add", value, build.splat(3, element))
    return build.elementwise("mul", _clamped(shifted, 0, 6, element), build.splat(1 / 6, element))


@imports("hardsigmoid.default")
def hardsigmoid(ctx: Any, self: Value) -> Value:
    """relu6(x + 3) / 6."""
    return _relu6(self, ctx.element())


@imports("hardswish.default")
def hardswish(ctx: Any, self: Value) -> Value:
    """x * relu6(x + 3) / 6."""
    return build.elementwise("mul", self, _relu6(self, ctx.element()))


@imports("leaky_relu.default")
def leaky_relu(ctx: Any, self: Value, negative_slope: float) -> Value:
    """x, or slope * x below zero."""
    element = ctx.element()
    below = build.elementwise("lt", self, build.splat(0, element))
    return build.elementwise(
        "where", below, build.elementwise("mul", self, build.splat(negative_slope, element)), self
    )


@imports("elu.default")
def elu(ctx: Any, self: Value, alpha: float, scale: float, input_scale: float) -> Value:
    """scale * (x, or alpha * expm1(input_scale * x) below zero)."""
    element = ctx.element()
    inner = build.elementwise("mul", self, build.splat(input_scale, element))
    negative = build.elementwise(
        "mul", build.elementwise("expm1", inner), build.splat(alpha, element)
    )
    below = build.elementwise("lt", self, build.splat(0, element))
    chosen = build.elementwise("where", below, negative, self)
    return build.elementwise("mul", chosen, build.splat(scale, element)) if scale != 1 else chosen


@imports("softplus.default")
def softplus(ctx: Any, self: Value, beta: float, threshold: float) -> Value:
    """log1p(exp(beta * x)) / beta, and x itself above the threshold."""
    element = ctx.element()
    inner = build.elementwise("mul", self, build.splat(beta, element))
    soft = build.elementwise(
        "mul", build.elementwise("softplus", inner), build.splat(1 / beta, element)
    )
    above = build.elementwise("gt", inner, build.splat(threshold, element))
    return build.elementwise("where", above, self, soft)


@imports("gelu.default")
def gelu(ctx: Any, self: Value, approximate: str) -> Value:
    """GELU by the error function, or its tanh approximation."""
    return build.elementwise("gelu_tanh" if approximate == "tanh" else "gelu", self)


@imports("_to_copy.default")
def to_copy(ctx: Any, self: Value, **_: Any) -> Value:
    """Change of element type; devices and memory formats do not exist here."""
    return build.cast(self, ctx.element())


@imports("clone.default", "alias.default")
def clone(ctx: Any, self: Value, **_: Any) -> Value:
    """The value itself."""
    return self


def _per_channel(value: Value, rank: int) -> Value:
    return build.reshape(value, (build.shape(value)[0], *[1] * (rank - 2)))


@imports("_native_batch_norm_legit_no_training.default")
def batch_norm(
    ctx: Any,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value,
    running_var: Value,
    momentum: float,
    eps: float,
) -> tuple[Value, None, None]:
    """x * scale + shift with scale and shift computed at compile time from the four vectors."""
    held = {n: ctx.constant_of(n) for n in ("weight", "bias", "running_mean", "running_var")}
    if held["running_mean"] is None or held["running_var"] is None:
        raise Refusal("batch norm with statistics computed at run time", "call model.eval()")
    if (weight is not None and held["weight"] is None) or (
        bias is not None and held["bias"] is None
    ):
        raise Refusal("batch norm with an affine part computed at run time")
    mean, variance = held["running_mean"].double(), held["running_var"].double()
    scale = torch.rsqrt(variance + eps)
    if held["weight"] is not None:
        scale = scale * held["weight"].double()
    shift = -mean * scale
    if held["bias"] is not None:
        shift = shift + held["bias"].double()
    dtype, rank, name = ctx.result.dtype, len(build.shape(input)), ctx.node.name
    scaled = build.elementwise(
        "mul", input, _per_channel(ctx.constant(f"{name}.scale", scale.to(dtype)), rank)
    )
    shifted = build.elementwise(
        "add", scaled, _per_channel(ctx.constant(f"{name}.shift", shift.to(dtype)), rank)
    )
    return shifted, None, None
