"""Which floats may be halves (float16, at most 65504 and three digits): facts, no change of IR.

Three questions, answered per op and never per model. *What span can its values have?* Sums, powers
and exponentials leave a half's range from ordinary activations; what a norm or a sigmoid makes does
not. *Does a reader ask for more digits than a half has?* A rounded logit changes who is largest, a
rounded angle of some thousands its sine. *Do the values of a weight fit?* Asked of its data.

The tables follow PyTorch's autocast lists ("Ops that autocast to float32", torch.amp), with what
those leave to the author of a model: constants, integers made floats, positions, products whose
weights add up.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# What ``fits`` a half; may be too ``wide`` for it; is the ``inverse`` of something unknown, with
# which a product fits again (a norm's last step).
Span = Literal["fits", "wide", "inverse"]

# The largest finite half.
LARGEST = 65504.0
# How much larger than activations a product's values may get by its weights: of activations up to
# 64 halves hold 1024 times as much.
GROWTH = 1024.0
# Weights with fewer elements, which no product reads, are no bytes worth rounding.
FEW = 4096
# Rounding to halves changes a row by 2.8e-4 of itself; where it is ten times that, digits were lost
# below the normal halves.
_LOST = 2.8e-3


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Functions whose half result is the rounded float32 result, bit by bit: those without rounding, and
# +, -, * of halves (float32 has more than 2 * 11 + 2 bits; Figueroa, "When is double rounding
# innocuous?", 1995). Computed in half where all operands are.
ROUNDS_ALIKE = _words(
    """add sub mul abs neg relu maximum minimum clamp where sign ceil floor round trunc copysign
    eq ne lt le gt ge isnan nextafter"""
)
# Results of at most some hundreds, whatever the operands.
BOUNDED = _words(
    """sigmoid tanh erf erfc sin cos atan atan2 asin acos sign isnan frexp_mantissa
    log log1p log2 asinh acosh"""
)
# Results that ordinary operands take out of range.
GROWING = _words(
    """exp exp2 expm1 pow cosh sinh tan lgamma digamma zeta i0 i1 erfcx hypot ndtri erfinv"""
)
# Of these, those that fit where their operand is small: e ** 10 is 22026.
EXPONENTIAL = _words("exp exp2 expm1")
SMALL = 10.0
INVERTING = _words("reciprocal rsqrt")

Need = Literal["digits", "terms", "angles"]
# What readers ask of operands, where they make more of a rounding than another rounding: ``digits``
# (not rounded, but what they are products of may be), ``terms`` (nor weights they are computed from
# element by element), ``angles`` (nor what products are of: positions times frequencies).
NEEDS: dict[Need, frozenset[str]] = {
    "digits": _words("ceil floor round trunc floor_div fmod remainder frexp_exponent"),
    "terms": _words(
        """exp exp2 expm1 pow log log1p log2 cosh sinh tan acos asin acosh atanh lgamma digamma
        zeta i0 i1 erfcx erfinv ndtri nextafter"""
    ),
    "angles": _words("sin cos"),
}
STRENGTH: dict[Need, int] = {"digits": 0, "terms": 1, "angles": 2}


def need_of(fn: str) -> Need | None:
    """What an elementwise function asks of its operands."""
    return next((need for need, functions in NEEDS.items() if fn in functions), None)


@dataclass(frozen=True)
class Values:
    """What is known of a weight or constant: its array, row-major, as the model has it."""

    array: NDArray[Any]

    def overflows(self) -> bool:
        """Whether a finite value is none as a half. Infinities and NaN are halves, too."""
        return self.largest() > LARGEST

    def loses_digits(self) -> bool:
        """Whether values lie so far below the normal halves that rounding loses what they say: a
        row along the first or the last dim, as products read weights, is no longer what it was.
        """
        if not self.array.size:
            return False
        array = np.where(np.isfinite(self.array), self.array, np.float32(0))
        array = array.reshape(1) if not array.ndim else array
        error = array.astype(np.float16).astype(np.float32) - array
        return any(
            bool((_norms(error, axis) > _LOST * _norms(array, axis)).any())
            for axis in {0, array.ndim - 1}
        )

    def largest(self) -> float:
        """The largest finite magnitude."""
        finite = self.array[np.isfinite(self.array)]
        return float(np.abs(finite).max()) if finite.size else 0.0

    def smallest(self) -> float:
        """The smallest magnitude."""
        return float(np.abs(self.array).min()) if self.array.size else 0.0

    def growth(self, dims: frozenset[int]) -> float:
        """How many times larger than an operand a sum over ``dims`` of its products may be."""
        return float(np.abs(self.array).sum(axis=tuple(dims), dtype=np.float64).max(initial=0.0))

    def is_exact(self) -> bool:
        """Whether each value is a half as it is."""
        with np.errstate(over="ignore"):
            halves = self.array.astype(np.float16)
        return bool(np.array_equal(halves.astype(np.float32), self.array, equal_nan=True))


def _norms(array: NDArray[Any], axis: int) -> NDArray[Any]:
    """The L2 norm of each row along ``axis``."""
    rows = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    return np.linalg.norm(rows, axis=1)
