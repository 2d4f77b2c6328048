"""Special functions on scalars: the error function's family, gamma's and Bessel's.

Each is made of exact arithmetic, exp and log (``polynomials.py`` says why).
"""

import math as pymath
from collections.abc import Callable
from typing import Any

from smartmem.dialects._mlir import math
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
from smartmem.passes.lower.trigonometry import cot_pi, sin_pi

Value = Any


# ---------------------------------------------------------------------------- error functions

# erfcx(x) / u at u = 2 / (2 + x), for x >= 0.
_ERFCX = (
    *(0.2820947915, 0.2820948946, 0.2468262236, 0.1764828737, 0.08140016631),
    *(0.01458673955, -0.155872409, 0.2931884555, -0.8255845638, 1.34693816),
    *(-1.221893854, 0.6431116698, -0.1867374252, 0.02336427745),
)
# erfinv(y) / y at w - 2.5 for w = -log(1 - y ** 2) < 5, and at sqrt(w) - 3 above, up to where
# 1 - y is the least that f32 tells from 0 (relative error 4e-7).
_ERFINV_SMALL = (
    *(1.501409351, 0.2466407663, -0.004177346517, -0.001253758885, 0.0002183129798),
    *(-4.380346714e-6, -3.454779514e-6, 3.42224709e-7, 2.260597774e-8),
)
_ERFINV_LARGE = (
    *(2.832977106, 1.001676539, 0.009431273894, -0.007655540084, 0.005793059851),
    *(-0.003564525762, 0.001216593558, -4.468848489e-7, -9.046616355e-5),
)


def _erfcx_positive(x: Value) -> Value:
    u = div(number(2), add(number(2), x))
    return mul(u, polynomial(u, _ERFCX))


@in_f32
def erfcx(a: Value) -> Value:
    """exp(a ** 2) * erfc(a)."""
    above = _erfcx_positive(absolute(a))
    below = sub(mul(number(2), exp(mul(a, a))), above)
    return select(compare("lt", a, number(0)), below, above)


@in_f32
def erfc(a: Value) -> Value:
    """1 - erf(a), with all its digits where erf(a) is near 1."""
    size = absolute(a)
    tail = mul(exp(neg(mul(a, a))), _erfcx_positive(size))
    far = select(compare("lt", a, number(0)), sub(number(2), tail), tail)
    near = sub(number(1), math.ErfOp(a).result)
    return select(compare("lt", size, number(0.5)), near, far)


def _erfinv(y: Value, complement: Value) -> Value:
    """erfinv(y), given ``complement``, which is 1 - y ** 2."""
    w = neg(log(complement))
    small = polynomial(sub(w, number(2.5)), _ERFINV_SMALL)
    large = polynomial(sub(math.SqrtOp(w).result, number(3)), _ERFINV_LARGE)
    result = mul(y, select(compare("lt", w, number(5)), small, large))
    edge = compare("eq", complement, number(0))
    return select(edge, mul(y, number(pymath.inf)), result)


@in_f32
def erfinv(a: Value) -> Value:
    """The inverse of erf; infinite at -1 and 1, NaN beyond."""
    one = number(1)
    return _erfinv(a, mul(sub(one, a), add(one, a)))


@in_f32
def ndtri(a: Value) -> Value:
    """The inverse of the normal distribution; infinite at 0 and 1, NaN beyond."""
    one, two = number(1), number(2)
    complement = mul(number(4), mul(a, sub(one, a)))
    return mul(number(pymath.sqrt(2)), _erfinv(sub(mul(two, a), one), complement))


# ---------------------------------------------------------------------------- gamma functions

# log(gamma(2 + t)) / t for |t| <= 0.5.
_LGAMMA = (
    *(0.4227843351, 0.3224670334, -0.06735230144, 0.02058080861, -0.007385533261),
    *(0.002890502082, -0.001193054705, 0.000509809158, -0.000220869826),
    *(9.839697643e-5, -5.278721858e-5, 2.415459538e-5),
)
# Of Stirling's series, in 1 / x ** 2: B(2n) / (2n (2n - 1)) and B(2n) / 2n.
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680)
_DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240)
_SHIFT = 6


def _stirling(x: Value) -> Value:
    """log(gamma(x)) for x of 6 and more."""
    inverse = div(number(1), x)
    series = mul(inverse, polynomial(mul(inverse, inverse), _STIRLING))
    main = sub(mul(sub(x, number(0.5)), log(x)), x)
    return add(add(main, number(0.5 * pymath.log(2 * pymath.pi))), series)


def _lgamma_above_half(x: Value) -> Value:
    """log|gamma(x)| for x >= 0.5: near its zeros 1 and 2 by a series, else by Stirling's."""
    one, low = number(1), compare("lt", x, number(1.5))
    t = select(low, sub(x, one), sub(x, number(2)))
    at_two = mul(t, polynomial(t, _LGAMMA))
    near = select(low, sub(at_two, log1p(t)), at_two)
    shifted, product = x, one
    for _ in range(4):
        again = compare("lt", shifted, number(_SHIFT))
        product = select(again, mul(product, shifted), product)
        shifted = select(again, add(shifted, one), shifted)
    far = sub(_stirling(shifted), log(product))
    return select(compare("lt", x, number(2.5)), near, far)


def _offset(x: Value) -> Value:
    """How far ``x`` is from the nearest whole number, exactly."""
    return sub(x, math.RoundEvenOp(x).result)


@in_f32
def lgamma(a: Value) -> Value:
    """log|gamma(a)|; below 0.5 by reflection, infinite at whole numbers up to 0."""
    reflected = compare("lt", a, number(0.5))
    above = _lgamma_above_half(select(reflected, sub(number(1), a), a))
    sine = absolute(sin_pi(_offset(a)))
    below = sub(sub(number(pymath.log(pymath.pi)), log(sine)), above)
    result = select(reflected, below, above)
    infinite = compare("eq", absolute(a), number(pymath.inf))
    return select(infinite, number(pymath.inf), result)


@in_f32
def digamma(a: Value) -> Value:
    """The derivative of log(gamma); below 0 by reflection, NaN at negative whole numbers."""
    one, zero = number(1), number(0)
    reflected = compare("lt", a, zero)
    x = select(reflected, sub(one, a), a)
    total = zero
    for _ in range(_SHIFT):
        again = compare("lt", x, number(_SHIFT))
        total = select(again, add(total, div(one, x)), total)
        x = select(again, add(x, one), x)
    square = div(one, mul(x, x))
    series = mul(square, polynomial(square, _DIGAMMA))
    above = sub(sub(sub(log(x), div(number(0.5), x)), series), total)
    below = sub(above, mul(number(pymath.pi), cot_pi(_offset(a))))
    pole = compare("eq", _offset(a), zero)
    result = select(reflected, select(pole, number(pymath.nan), below), above)
    at_zero = math.CopySignOp(number(pymath.inf), neg(a)).result
    return select(compare("eq", a, zero), at_zero, result)


# Euler and Maclaurin's: B(2n) / (2n)!.
_MACLAURIN = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600)
_ZETA_TERMS = 9


@in_f32
def zeta(order: Value, x: Value) -> Value:
    """Hurwitz's: the sum of (x + k) ** -order over k >= 0, for x > 0 and order > 1."""

    def power(base: Value) -> Value:
        return math.PowFOp(base, neg(order)).result

    total = power(x)
    for k in range(1, _ZETA_TERMS):
        total = add(total, power(add(x, number(k))))
    end = add(x, number(_ZETA_TERMS))
    last, inverse = power(end), div(number(1), end)
    tail = add(div(end, sub(order, number(1))), number(0.5))
    total = add(total, mul(last, tail))
    rising, square = mul(last, mul(inverse, order)), mul(inverse, inverse)
    for n, factor in enumerate(_MACLAURIN):
        total = add(total, mul(rising, number(factor)))
        steps = mul(add(order, number(2 * n + 1)), add(order, number(2 * n + 2)))
        rising = mul(rising, mul(square, steps))
    return total


# ---------------------------------------------------------------------------- Bessel functions

# exp(-x) I0(x) and exp(-x) I1(x) / x at x / 4 - 1, for x up to 8; then the same times sqrt(x), for
# I1 without the division, at 16 / x - 1.
_I0_SMALL = (
    *(0.2070019237, -0.1130043278, 0.09451522841, -0.08904328936, 0.08735404008),
    *(-0.08496741818, 0.07916705743, -0.06950006318, 0.05732588823, -0.0431948777),
    *(0.02862528436, -0.01909066415, 0.01450777764, -0.007766332662, 0.001240379473),
    *(-0.0008991624062, 0.00197830876, -0.0008179725461),
)
_I0_LARGE = (
    *(0.4021765094, 0.003360552031, 0.0001362174078, 1.114154219e-5),
    *(1.475475636e-6, 3.038330909e-7, 1.091023294e-7, 3.363580224e-8),
)
_I1_SMALL = (
    *(0.04468771022, -0.06112433815, 0.06805754492, -0.06848258648, 0.06376886448),
    *(-0.05528056338, 0.04465968645, -0.03366601115, 0.02376165918, -0.0155984901),
    *(0.009369502835, -0.005457398639, 0.003358929887, -0.001666236555, 0.0004129778383),
    *(-0.000221153768, 0.0003070296457, -0.0001193158151),
)
_I1_LARGE = (
    *(0.3893984591, -0.009749577241, -0.0002192373854, -1.503704714e-5),
    *(-1.825006939e-6, -3.548195417e-7, -1.231841967e-7, -3.785602479e-8),
)


def _bessel(size: Value, small: Value, coefficients: tuple[float, ...]) -> Value:
    """``small`` for arguments up to 8, the expansion by ``coefficients`` above."""
    ratio = sub(div(number(16), size), number(1))
    large = div(polynomial(ratio, coefficients), math.SqrtOp(size).result)
    return select(compare("gt", size, number(8)), large, small)


def _near(size: Value) -> Value:
    return sub(mul(size, number(0.25)), number(1))


@in_f32
def i0e(a: Value) -> Value:
    """exp(-|a|) I0(a)."""
    size = absolute(a)
    return _bessel(size, polynomial(_near(size), _I0_SMALL), _I0_LARGE)


@in_f32
def i1e(a: Value) -> Value:
    """exp(-|a|) I1(a)."""
    size = absolute(a)
    result = _bessel(size, mul(size, polynomial(_near(size), _I1_SMALL)), _I1_LARGE)
    return select(compare("lt", a, number(0)), neg(result), result)


@in_f32
def i0(a: Value) -> Value:
    """The modified Bessel function of order 0."""
    return mul(exp(absolute(a)), i0e(a))


@in_f32
def i1(a: Value) -> Value:
    """The modified Bessel function of order 1."""
    return mul(exp(absolute(a)), i1e(a))


SPECIAL: dict[str, Callable[..., Value]] = {
    "digamma": digamma,
    "erfc": erfc,
    "erfcx": erfcx,
    "erfinv": erfinv,
    "i0": i0,
    "i0e": i0e,
    "i1": i1,
    "i1e": i1e,
    "lgamma": lgamma,
    "ndtri": ndtri,
    "zeta": zeta,
}
