"""Functions that take a float apart into sign, exponent and mantissa, or put it together."""

import math as pymath
from collections.abc import Callable
from typing import Any

from smartmem.dialects._mlir import arith, ir, math
from smartmem.passes.lower.builder import constant
from smartmem.passes.lower.polynomials import in_f32, number, polynomial
from smartmem.passes.lower.scalars import absolute, add, compare, mul, neg, select, sub

Value = Any


def _bits(a: Value) -> Value:
    return arith.BitcastOp(ir.IntegerType.get_signless(32), a).result


def _from_bits(a: Value) -> Value:
    return arith.BitcastOp(ir.F32Type.get(), a).result


def _integer(value: int) -> Value:
    return constant(value, ir.IntegerType.get_signless(32))


_EXPONENT, _SIGN_AND_MANTISSA, _BIAS = 0x7F800000, -0x7F800001, 126


def _has_exponent(a: Value) -> Value:
    """Whether ``a`` is neither infinite nor NaN nor 0, as which denormal numbers count."""
    size = absolute(a)
    finite = compare("lt", size, number(pymath.inf))
    return arith.AndIOp(finite, compare("gt", size, number(0))).result


@in_f32
def frexp_mantissa(a: Value) -> Value:
    """The m of a = m * 2**e with 0.5 <= |m| < 1; ``a`` itself where it has none."""
    kept = arith.AndIOp(_bits(a), _integer(_SIGN_AND_MANTISSA)).result
    half = arith.OrIOp(kept, _integer(_BIAS << 23)).result
    return select(_has_exponent(a), _from_bits(half), a)


def frexp_exponent(a: Value) -> Value:
    """The e of a = m * 2**e, in i32; 0 where ``a`` has none."""
    if a.type != ir.F32Type.get():
        a = arith.ExtFOp(ir.F32Type.get(), a).result
    field = arith.AndIOp(_bits(a), _integer(_EXPONENT)).result
    exponent = sub(arith.ShRUIOp(field, _integer(23)).result, _integer(_BIAS))
    return select(_has_exponent(a), exponent, _integer(0))


def nextafter(a: Value, b: Value) -> Value:
    """The float next to ``a`` on the way to ``b``; f32 only."""
    zero = number(0)
    bits = _bits(a)
    away = compare("eq", compare("gt", b, a), compare("gt", a, zero))
    step = select(away, _integer(1), _integer(-1))
    from_zero = select(compare("gt", b, zero), _integer(1), _integer(-0x7FFFFFFF))
    moved = select(compare("eq", a, zero), from_zero, add(bits, step))
    result = select(compare("eq", a, b), b, _from_bits(moved))
    unordered = arith.OrIOp(compare("ne", a, a), compare("ne", b, b)).result
    return select(unordered, add(a, b), result)


_EXP2 = (
    *(1.0, 0.6931471806, 0.2402265121, 0.05550410906),
    *(0.009618025613, 0.001333347847, 0.0001546972921, 1.530370071e-5),
)


def _power_of_2(whole: Value) -> Value:
    """2 to a float that is a whole number from -126 to 127."""
    exponent = arith.FPToSIOp(ir.IntegerType.get_signless(32), whole).result
    return _from_bits(arith.ShLIOp(add(exponent, _integer(127)), _integer(23)).result)


@in_f32
def exp2(a: Value) -> Value:
    """2 ** a, exact for whole numbers."""
    limit = number(252)
    clamped = arith.MaximumFOp(arith.MinimumFOp(a, limit).result, neg(limit)).result
    whole = math.RoundEvenOp(clamped).result
    half = math.FloorOp(mul(whole, number(0.5))).result
    fraction = polynomial(sub(clamped, whole), _EXP2)
    scaled = mul(mul(fraction, _power_of_2(half)), _power_of_2(sub(whole, half)))
    return select(compare("ne", a, a), a, scaled)


FLOATS: dict[str, Callable[..., Value]] = {
    "copysign": lambda a, b: math.CopySignOp(a, b).result,
    "exp2": exp2,
    "frexp_exponent": frexp_exponent,
    "frexp_mantissa": frexp_mantissa,
    "nextafter": nextafter,
}
