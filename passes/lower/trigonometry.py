"""Trigonometric and hyperbolic functions and their inverses, on scalars."""

import math as pymath
from collections.abc import Callable
from typing import Any

from smartmem.dialects._mlir import arith, math
from smartmem.passes.lower.polynomials import in_f32, log, number, polynomial
from smartmem.passes.lower.scalars import (
    absolute,
    add,
    compare,
    div,
    exp,
    log1p,
    mul,
    neg,
    select,
    sub,
)

Value = Any

# (atan(x) / x - 1) / x ** 2 at x ** 2, for |x| up to tan(pi / 8).
_ATAN = (-0.3333333176, 0.1999954048, -0.142639556, 0.1074373149, -0.06451928208)
# (asin(x) / x - 1) / x ** 2 at x ** 2, for |x| up to 0.5.
_ASIN = (
    *(0.1666666634, 0.07500094544, 0.04459940153),
    *(0.03110066274, 0.01714923836, 0.0336908472),
)
# (tan(x) / x - 1) / x ** 2 at x ** 2, for |x| up to pi / 4.
_TAN = (
    *(0.3333332369, 0.1333444373, 0.05376408847),
    *(0.02321576505, 0.004985285726, 0.008331767612),
)
# (sin(x) / x - 1) / x ** 2 at x ** 2, for |x| up to pi / 2.
_SIN = (-0.1666666666, 0.008333332746, -0.0001984108106, 2.753604971e-6, -2.407065765e-8)
# cos(x) at x ** 2, for |x| up to pi / 4.
_COS = (1.0, -0.499999996, 0.04166661518, -0.001388657259, 2.437564599e-5)
# pi / 2 in three pieces; the first two have so few bits that their multiples are exact.
_QUARTER_TURN = (1.5703125, 0.0004837512969970703125, 7.54978995489188e-8)
# (sinh(x) / x - 1) / x ** 2 at x ** 2: Taylor's, for |x| up to 1.
_SINH = (1 / 6, 1 / 120, 1 / 5040, 1 / 362880)
# From here on 1 is nothing beside the square.
_LARGE = 1e8


def _odd(x: Value, coefficients: tuple[float, ...]) -> Value:
    """x + x ** 3 * polynomial(x ** 2)."""
    square = mul(x, x)
    return add(x, mul(mul(x, square), polynomial(square, coefficients)))


def _signed(size: Value, like: Value) -> Value:
    return math.CopySignOp(size, like).result


def _atan_positive(x: Value) -> Value:
    """Turned by a quarter or an eighth of the circle where that makes the argument small."""
    one = number(1)
    steep = compare("gt", x, number(pymath.tan(3 * pymath.pi / 8)))
    middle = compare("gt", x, number(pymath.tan(pymath.pi / 8)))
    turned = select(middle, div(sub(x, one), add(x, one)), x)
    turned = select(steep, div(number(-1), x), turned)
    offset = select(middle, number(pymath.pi / 4), number(0))
    offset = select(steep, number(pymath.pi / 2), offset)
    return add(offset, _odd(turned, _ATAN))


@in_f32
def atan(a: Value) -> Value:
    """Inverse tangent."""
    return _signed(_atan_positive(absolute(a)), a)


@in_f32
def atan2(a: Value, b: Value) -> Value:
    """The angle of the point (b, a)."""
    height, width = absolute(a), absolute(b)
    infinite = number(pymath.inf)
    diagonal = arith.AndIOp(compare("eq", height, infinite), compare("eq", width, infinite)).result
    origin = arith.AndIOp(compare("eq", height, number(0)), compare("eq", width, number(0))).result
    slope = select(diagonal, number(1), div(height, width))
    angle = _atan_positive(select(origin, number(0), slope))
    left = compare("lt", _signed(number(1), b), number(0))
    return _signed(select(left, sub(number(pymath.pi), angle), angle), a)


def _asin_tail(size: Value) -> Value:
    """acos(size) / 2 for 0.5 < size <= 1."""
    half = mul(sub(number(1), size), number(0.5))
    return _odd(math.SqrtOp(half).result, _ASIN)


@in_f32
def asin(a: Value) -> Value:
    """Inverse sine; NaN beyond 1."""
    size = absolute(a)
    far = sub(number(pymath.pi / 2), mul(number(2), _asin_tail(size)))
    near = _odd(size, _ASIN)
    return _signed(select(compare("gt", size, number(0.5)), far, near), a)


@in_f32
def acos(a: Value) -> Value:
    """Inverse cosine; NaN beyond 1."""
    size = absolute(a)
    twice = mul(number(2), _asin_tail(size))
    far = select(compare("lt", a, number(0)), sub(number(pymath.pi), twice), twice)
    near = sub(number(pymath.pi / 2), _odd(a, _ASIN))
    return select(compare("gt", size, number(0.5)), far, near)


@in_f32
def sinh(a: Value) -> Value:
    """Hyperbolic sine; by the root of exp, which does not overflow before the result does."""
    size = absolute(a)
    root = exp(mul(size, number(0.5)))
    far = sub(mul(mul(root, number(0.5)), root), div(number(0.5), mul(root, root)))
    near = _odd(size, _SINH)
    return _signed(select(compare("lt", size, number(1)), near, far), a)


@in_f32
def cosh(a: Value) -> Value:
    """Hyperbolic cosine; by the root of exp, as sinh is."""
    root = exp(mul(absolute(a), number(0.5)))
    return add(mul(mul(root, number(0.5)), root), div(number(0.5), mul(root, root)))


def _log_twice(x: Value) -> Value:
    return add(log(x), number(pymath.log(2)))


@in_f32
def asinh(a: Value) -> Value:
    """Inverse hyperbolic sine."""
    one, size = number(1), absolute(a)
    square = mul(size, size)
    root = math.SqrtOp(add(square, one)).result
    near = log1p(add(size, div(square, add(one, root))))
    far = _log_twice(size)
    return _signed(select(compare("gt", size, number(_LARGE)), far, near), a)


@in_f32
def acosh(a: Value) -> Value:
    """Inverse hyperbolic cosine; NaN below 1."""
    above = sub(a, number(1))
    root = math.SqrtOp(add(mul(above, above), mul(number(2), above))).result
    near = log1p(add(above, root))
    result = select(compare("gt", a, number(_LARGE)), _log_twice(a), near)
    return select(compare("lt", a, number(1)), number(pymath.nan), result)


@in_f32
def atanh(a: Value) -> Value:
    """Inverse hyperbolic tangent; infinite at 1, NaN beyond."""
    size = absolute(a)
    doubled = log1p(div(mul(number(2), size), sub(number(1), size)))
    return _signed(mul(number(0.5), doubled), a)


def _reduced(a: Value) -> tuple[Value, Value]:
    """The rest of ``a`` by quarter turns, and how many they are; good up to 1e5 and more."""
    turns = math.RoundEvenOp(mul(a, number(2 / pymath.pi))).result
    rest = a
    for piece in _QUARTER_TURN:
        rest = sub(rest, mul(turns, number(piece)))
    return rest, turns


def _is_odd(whole: Value) -> Value:
    half = mul(whole, number(0.5))
    return compare("ne", math.FloorOp(half).result, half)


def _sine(a: Value, ahead: float) -> Value:
    """The sine of ``a`` and ``ahead`` quarter turns."""
    rest, turns = _reduced(a)
    turns = add(turns, number(ahead))
    cosine = polynomial(mul(rest, rest), _COS)
    value = select(_is_odd(turns), cosine, _odd(rest, _SIN))
    half_turns = math.FloorOp(mul(turns, number(0.5))).result
    return select(_is_odd(half_turns), neg(value), value)


@in_f32
def sin(a: Value) -> Value:
    """Sine."""
    return _sine(a, 0)


@in_f32
def cos(a: Value) -> Value:
    """Cosine."""
    return _sine(a, 1)


@in_f32
def tan(a: Value) -> Value:
    """Tangent."""
    rest, turns = _reduced(a)
    near = _odd(rest, _TAN)
    return select(_is_odd(turns), div(number(-1), near), near)


def sin_pi(x: Value) -> Value:
    """sin(pi * x) for |x| up to 0.5."""
    return _odd(mul(x, number(pymath.pi)), _SIN)


def cot_pi(x: Value) -> Value:
    """cot(pi * x) for |x| up to 0.5."""
    size = absolute(x)
    small = compare("lt", size, number(0.25))
    angle = select(small, size, sub(number(0.5), size))
    tangent = _odd(mul(angle, number(pymath.pi)), _TAN)
    return _signed(select(small, div(number(1), tangent), tangent), x)


@in_f32
def hypot(a: Value, b: Value) -> Value:
    """sqrt(a ** 2 + b ** 2), which does not overflow before the result does."""
    first, second = absolute(a), absolute(b)
    large = arith.MaximumFOp(first, second).result
    small = arith.MinimumFOp(first, second).result
    ratio = div(small, large)
    length = mul(large, math.SqrtOp(add(number(1), mul(ratio, ratio))).result)
    infinite = number(pymath.inf)
    nothing = compare("eq", large, number(0))
    unbounded = arith.OrIOp(compare("eq", first, infinite), compare("eq", second, infinite)).result
    return select(unbounded, infinite, select(nothing, large, length))


TRIGONOMETRY: dict[str, Callable[..., Value]] = {
    "acos": acos,
    "acosh": acosh,
    "asin": asin,
    "asinh": asinh,
    "atan": atan,
    "atan2": atan2,
    "atanh": atanh,
    "cos": cos,
    "cosh": cosh,
    "hypot": hypot,
    "sin": sin,
    "sinh": sinh,
    "tan": tan,
}
