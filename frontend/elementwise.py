"""Import of elementwise ops: arithmetic, comparison, activations, casts, select; and inference-time
batch norm. ``formulas.py`` holds what is made of several.
"""

import math
from collections.abc import Callable
from typing import Any

import torch

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build
from smartmem.frontend import types
from smartmem.frontend.formulas import FORMULAS, clamped, value_of
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
    "acos": "acos",
    "acosh": "acosh",
    "asin": "asin",
    "asinh": "asinh",
    "atan": "atan",
    "atanh": "atanh",
    "cosh": "cosh",
    "sinh": "sinh",
    "tan": "tan",
    "exp2": "exp2",
    "erfc": "erfc",
    "erfinv": "erfinv",
    "lgamma": "lgamma",
    "digamma": "digamma",
    "i0": "i0",
    "special_erfcx": "erfcx",
    "special_i0e": "i0e",
    "special_i1": "i1",
    "special_i1e": "i1e",
    "special_ndtri": "ndtri",
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
    "copysign.Tensor": "copysign",
    "copysign.Scalar": "copysign",
    "hypot.default": "hypot",
    "bitwise_left_shift.Tensor": "shift_left",
    "bitwise_left_shift.Tensor_Scalar": "shift_left",
    "bitwise_left_shift.Scalar_Tensor": "shift_left",
    "bitwise_right_shift.Tensor": "shift_right",
    "bitwise_right_shift.Scalar_Tensor": "shift_right",
    "bitwise_right_shift.Tensor_Scalar": "shift_right",
    "__lshift__.Tensor": "shift_left",
    "__lshift__.Scalar": "shift_left",
    "__rshift__.Tensor": "shift_right",
    "__rshift__.Scalar": "shift_right",
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
        dtype = torch.result_type(*ctx.operand_dtypes()[:2])
        if dtype == torch.int64 and not _is_value(other) and types.beyond(other):
            # Larger or smaller than all that an int32 can be.
            answer = name in (("ne", "lt", "le") if other > 0 else ("ne", "gt", "ge"))
            return build.splat(answer, ctx.element(), build.shape(self))
        element = types.element(dtype)
        return build.elementwise(name, value_of(self, element), value_of(other, element))


def _register_formula(name: str, formula: Callable[..., Any]) -> None:
    @imports(name)
    def composed(ctx: Any, **arguments: Any) -> Any:
        element = ctx.element()
        return formula(
            **{k: value_of(v, element) if _is_value(v) else v for k, v in arguments.items()}
        )


def _is_value(argument: Any) -> bool:
    return isinstance(argument, ir.Value)


for _name, _fn in _UNARY.items():
    _register_unary(_name, _fn)
for _name in _ROUND:
    _register_round(_name)
for _name, _fn in _BINARY.items():
    _register_binary(_name, _fn)
for _name in _COMPARE:
    _register_compare(_name)
for _name, _formula in FORMULAS.items():
    _register_formula(_name, _formula)


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


@imports("signbit.default")
def signbit(ctx: Any, self: Value) -> Value:
    """Whether the sign is negative, that of a zero included."""
    element = build.element_type(self)
    if not isinstance(element, ir.IntegerType):
        self = build.elementwise("copysign", build.splat(1, element), self)
    return build.elementwise("lt", self, build.splat(0, element))


@imports("nextafter.default")
def nextafter(ctx: Any, self: Value, other: Value) -> Value:
    """The next float on the way to other."""
    if ctx.result.dtype != torch.float32:
        raise Refusal("nextafter of 16-bit floats is not supported", "cast to float32 first")
    return build.elementwise("nextafter", self, other)


@imports("frexp.Tensor")
def frexp(ctx: Any, self: Value) -> tuple[Value, Value]:
    """Mantissa and exponent."""
    integer = ir.IntegerType.get_signless(32)
    exponent = build.elementwise("frexp_exponent", self, element=integer)
    return build.elementwise("frexp_mantissa", self), exponent


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


@imports("clamp.default", "clamp.Tensor")
def clamp(ctx: Any, self: Value, min: Any, max: Any) -> Value:
    """Limits on one or both sides."""
    if ctx.result.dtype == torch.int64:
        # Beyond what an int32 can be, a limit on that side is none.
        held = torch.iinfo(torch.int32)
        min = held.min if isinstance(min, int) and min < held.min else min
        max = held.max if isinstance(max, int) and max > held.max else max
    return clamped(build.cast(self, ctx.element()), min, max)


@imports("_to_copy.default")
def to_copy(ctx: Any, self: Value, **_: Any) -> Value:
    """Change of element type; devices and memory formats do not exist here."""
    element, held = ctx.element(), build.element_type(self)
    made = build.cast(self, element)
    if ctx.result.dtype != torch.int64 or isinstance(held, ir.IntegerType):
        return made
    # An int64 holds most of what int32 does not. Devices differ in what they make of those: here
    # they all take the nearest.
    limits = torch.iinfo(torch.int32)
    for compare, bound, limit in (("ge", 2.0**31, limits.max), ("le", -(2.0**31), limits.min)):
        beyond = build.elementwise(compare, self, build.splat(bound, held))
        made = build.elementwise("where", beyond, build.splat(limit, element), made)
    return made


@imports("clone.default", "alias.default")
def clone(ctx: Any, self: Value, **_: Any) -> Value:
    """The value itself."""
    return self
