"""The elementwise functions on scalars that are a few operations each, by the names of
``dialects/layout/functions.py``.
"""

import math as pymath
from collections.abc import Callable
from typing import Any

from smartmem.dialects._mlir import arith, ir, math
from smartmem.passes.lower.builder import constant

Value = Any


def is_float(value: Value) -> bool:
    """Whether a scalar is a float."""
    return isinstance(value.type, (ir.F32Type, ir.F16Type, ir.BF16Type, ir.F64Type))


def add(a: Value, b: Value) -> Value:
    """a + b."""
    return (arith.AddFOp if is_float(a) else arith.AddIOp)(a, b).result


def sub(a: Value, b: Value) -> Value:
    """a - b."""
    return (arith.SubFOp if is_float(a) else arith.SubIOp)(a, b).result


def mul(a: Value, b: Value) -> Value:
    """a * b; a logical and on booleans."""
    if a.type == ir.IntegerType.get_signless(1):
        return arith.AndIOp(a, b).result
    return (arith.MulFOp if is_float(a) else arith.MulIOp)(a, b).result


def div(a: Value, b: Value) -> Value:
    """a / b; towards zero on integers."""
    return (arith.DivFOp if is_float(a) else arith.DivSIOp)(a, b).result


def maximum(a: Value, b: Value) -> Value:
    """Larger of the two; NaN wins."""
    if a.type == ir.IntegerType.get_signless(1):
        return arith.OrIOp(a, b).result
    return (arith.MaximumFOp if is_float(a) else arith.MaxSIOp)(a, b).result


def minimum(a: Value, b: Value) -> Value:
    """Smaller of the two; NaN wins."""
    if a.type == ir.IntegerType.get_signless(1):
        return arith.AndIOp(a, b).result
    return (arith.MinimumFOp if is_float(a) else arith.MinSIOp)(a, b).result


def exp(a: Value) -> Value:
    """e ** a."""
    return math.ExpOp(a).result


def _number(value: float, like: Value) -> Value:
    return constant(value, like.type)


def select(condition: Value, a: Value, b: Value) -> Value:
    """a where condition, else b."""
    return arith.SelectOp(condition, a, b).result


def compare(name: str, a: Value, b: Value) -> Value:
    """eq, ne, lt, le, gt, ge; as in IEEE, only ne holds for NaN."""
    if is_float(a):
        kind = getattr(arith.CmpFPredicate, "UNE" if name == "ne" else f"O{name.upper()}")
        return arith.CmpFOp(kind, a, b).result
    if a.type == ir.IntegerType.get_signless(1) and name not in ("eq", "ne"):
        kind = getattr(arith.CmpIPredicate, f"u{name}")
        return arith.CmpIOp(kind, a, b).result
    kind = getattr(arith.CmpIPredicate, name if name in ("eq", "ne") else f"s{name}")
    return arith.CmpIOp(kind, a, b).result


def _relu(a: Value) -> Value:
    return maximum(a, _number(0, a))


def _sigmoid(a: Value) -> Value:
    one = _number(1, a)
    return div(one, add(one, exp(neg(a))))


def neg(a: Value) -> Value:
    """-a."""
    return arith.NegFOp(a).result if is_float(a) else sub(_number(0, a), a)


def absolute(a: Value) -> Value:
    """|a|."""
    return math.AbsFOp(a).result if is_float(a) else math.AbsIOp(a).result


def _gelu(a: Value) -> Value:
    half = mul(a, _number(0.5, a))
    return mul(half, add(_number(1, a), math.ErfOp(mul(a, _number(pymath.sqrt(0.5), a))).result))


def _gelu_tanh(a: Value) -> Value:
    cube = mul(mul(a, a), a)
    inner = mul(add(a, mul(cube, _number(0.044715, a))), _number(pymath.sqrt(2 / pymath.pi), a))
    return mul(mul(a, _number(0.5, a)), add(_number(1, a), math.TanhOp(inner).result))


def _softplus(a: Value) -> Value:
    """max(a, 0) + log1p(exp(-|a|)), which never overflows."""
    return add(_relu(a), log1p(exp(neg(absolute(a)))))


def _sign(a: Value) -> Value:
    zero = _number(0, a)
    positive = select(compare("gt", a, zero), _number(1, a), zero)
    return select(compare("lt", a, zero), _number(-1, a), positive)


def _fmod(a: Value, b: Value) -> Value:
    """Rest of a division towards zero: it has the sign of the dividend."""
    return (arith.RemFOp if is_float(a) else arith.RemSIOp)(a, b).result


def _rest_differs(rest: Value, b: Value) -> Value:
    """Whether the rest of a division towards zero is not that of one downwards."""
    zero = _number(0, b)
    opposite = compare("ne", compare("lt", rest, zero), compare("lt", b, zero))
    return arith.AndIOp(opposite, compare("ne", rest, zero)).result


def _remainder(a: Value, b: Value) -> Value:
    """PyTorch's remainder: it has the sign of the divisor."""
    rest = _fmod(a, b)
    return select(_rest_differs(rest, b), add(rest, b), rest)


def _floor_div(a: Value, b: Value) -> Value:
    """Division downwards. Floats as in PyTorch: by the exact rest, so that 1 // 0.1 is 9."""
    if not is_float(a):
        return arith.FloorDivSIOp(a, b).result
    rest = _fmod(a, b)
    quotient = div(sub(a, rest), b)
    return math.RoundEvenOp(
        select(_rest_differs(rest, b), sub(quotient, _number(1, a)), quotient)
    ).result


def _pow(a: Value, b: Value) -> Value:
    """a ** b by the magnitude of a: IREE expands it to exp(b log a), NaN for a < 0 and 0 ** 0."""
    size = math.PowFOp(absolute(a), b).result
    half = mul(b, _number(0.5, b))
    whole = compare("eq", math.FloorOp(b).result, b)
    odd = arith.AndIOp(whole, compare("ne", math.FloorOp(half).result, half)).result
    signed = select(odd, neg(size), size)
    below = select(whole, signed, _number(pymath.nan, a))
    power = select(compare("lt", a, _number(0, a)), below, size)
    return select(compare("eq", b, _number(0, b)), _number(1, a), power)


def log1p(a: Value) -> Value:
    """log(1 + a); near 0 by 2 atanh(a / (2 + a)), because Vulkan has no log1p and its log may be
    2^-21 off near 1.
    """
    ratio = div(a, add(_number(2, a), a))
    square = mul(ratio, ratio)
    series = _number(1 / 11, a)
    for power in (9, 7, 5, 3, 1):
        series = add(mul(series, square), _number(1 / power, a))
    near = compare("lt", absolute(a), _number(0.4, a))
    far = math.LogOp(add(_number(1, a), a)).result
    return select(near, mul(mul(_number(2, a), ratio), series), far)


def _log2(a: Value) -> Value:
    return math.Log2Op(a).result


def _where(condition: Value, a: Value, b: Value) -> Value:
    return select(condition, a, b)


def _clamp(a: Value, low: Value, high: Value) -> Value:
    return minimum(maximum(a, low), high)


def _shift_left(a: Value, b: Value) -> Value:
    """a * 2 ** b; 0 where no bit is left, or b is negative."""
    width = constant(ir.IntegerType(a.type).width, a.type)
    within = arith.CmpIOp(arith.CmpIPredicate.ult, b, width).result
    return select(within, arith.ShLIOp(a, b).result, _number(0, a))


def _shift_right(a: Value, b: Value) -> Value:
    """a / 2 ** b, downwards; the sign alone is left from the width on, and where b is negative."""
    last = constant(ir.IntegerType(a.type).width - 1, a.type)
    within = arith.CmpIOp(arith.CmpIPredicate.ult, b, last).result
    return arith.ShRSIOp(a, select(within, b, last)).result


def _logical_not(a: Value) -> Value:
    return arith.XOrIOp(a, constant(1, a.type)).result


def cast(a: Value, element: Any) -> Value:
    """``a`` converted to ``element``: to bool by comparing with zero, to int towards zero."""
    if a.type == element:
        return a
    source_float = is_float(a)
    target_float = not isinstance(element, ir.IntegerType)
    if not target_float and ir.IntegerType(element).width == 1:
        return compare("ne", a, _number(0, a))
    if source_float and target_float:
        wider = ir.FloatType(element).width > ir.FloatType(a.type).width
        if ir.FloatType(element).width == ir.FloatType(a.type).width:
            return cast(cast(a, ir.F32Type.get()), element)
        return (arith.ExtFOp if wider else arith.TruncFOp)(element, a).result
    if source_float:
        # By way of i32, so that what a narrower type cannot hold wraps as in PyTorch.
        wide = arith.FPToSIOp(ir.IntegerType.get_signless(32), a).result
        return cast(wide, element)
    width = ir.IntegerType(a.type).width
    if target_float and width == 1:
        # Not a conversion: to bf16 LLVM makes it a call to a library that IREE does not link.
        return select(a, constant(1, element), constant(0, element))
    if target_float:
        return arith.SIToFPOp(element, a).result
    if ir.IntegerType(element).width < width:
        return arith.TruncIOp(element, a).result
    return (arith.ExtUIOp if width == 1 else arith.ExtSIOp)(element, a).result


SCALARS: dict[str, Callable[..., Value]] = {
    "abs": absolute,
    "neg": neg,
    "exp": exp,
    "expm1": lambda a: math.ExpM1Op(a).result,
    "log": lambda a: math.LogOp(a).result,
    "log1p": log1p,
    "log2": _log2,
    "sqrt": lambda a: math.SqrtOp(a).result,
    "rsqrt": lambda a: math.RsqrtOp(a).result,
    "reciprocal": lambda a: div(_number(1, a), a),
    "tanh": lambda a: math.TanhOp(a).result,
    "sigmoid": _sigmoid,
    "erf": lambda a: math.ErfOp(a).result,
    "ceil": lambda a: math.CeilOp(a).result,
    "floor": lambda a: math.FloorOp(a).result,
    "round": lambda a: math.RoundEvenOp(a).result,
    "trunc": lambda a: math.TruncOp(a).result,
    "sign": _sign,
    "relu": _relu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": lambda a: mul(a, _sigmoid(a)),
    "mish": lambda a: mul(a, math.TanhOp(_softplus(a)).result),
    "softplus": _softplus,
    "add": add,
    "sub": sub,
    "mul": mul,
    "div": div,
    "floor_div": _floor_div,
    "pow": _pow,
    "maximum": maximum,
    "minimum": minimum,
    "fmod": _fmod,
    "remainder": _remainder,
    "bit_and": lambda a, b: arith.AndIOp(a, b).result,
    "bit_or": lambda a, b: arith.OrIOp(a, b).result,
    "bit_xor": lambda a, b: arith.XOrIOp(a, b).result,
    "shift_left": _shift_left,
    "shift_right": _shift_right,
    "eq": lambda a, b: compare("eq", a, b),
    "ne": lambda a, b: compare("ne", a, b),
    "lt": lambda a, b: compare("lt", a, b),
    "le": lambda a, b: compare("le", a, b),
    "gt": lambda a, b: compare("gt", a, b),
    "ge": lambda a, b: compare("ge", a, b),
    "logical_not": _logical_not,
    "isnan": lambda a: compare("ne", a, a),
    "where": _where,
    "clamp": _clamp,
    "unsigned": lambda a: arith.ExtUIOp(ir.IntegerType.get_signless(32), a).result,
}
