"""The elementwise functions ``layout.elementwise`` knows: arity and result type, as data.

The lowering of each stands in ``ON_SCALARS`` of ``passes/lower/elementwise.py``; a test holds the
two tables equal.
"""

from dataclasses import dataclass
from typing import Literal

ResultRule = Literal["same", "bool", "any"]


@dataclass(frozen=True)
class Function:
    """``arity`` operands; the result has the operands' type (``same``), i1 (``bool``) or its own
    (``any``).
    """

    arity: int
    result: ResultRule = "same"


_UNARY = [
    "abs",
    "neg",
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "tanh",
    "sigmoid",
    "erf",
    "sin",
    "cos",
    "ceil",
    "floor",
    "round",
    "trunc",
    "sign",
    "relu",
    "gelu",
    "gelu_tanh",
    "silu",
    "mish",
    "softplus",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cosh",
    "sinh",
    "tan",
    "exp2",
    "erfc",
    "erfcx",
    "erfinv",
    "ndtri",
    "lgamma",
    "digamma",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "frexp_mantissa",
]
_BINARY = [
    "add",
    "sub",
    "mul",
    "div",
    "floor_div",
    "pow",
    "maximum",
    "minimum",
    "fmod",
    "remainder",
    "atan2",
    "bit_and",
    "bit_or",
    "bit_xor",
    "shift_left",
    "shift_right",
    "copysign",
    "hypot",
    "nextafter",
    "zeta",
]
_COMPARE = ["eq", "ne", "lt", "le", "gt", "ge"]

FUNCTIONS: dict[str, Function] = {
    **{name: Function(1) for name in _UNARY},
    **{name: Function(2) for name in _BINARY},
    **{name: Function(2, "bool") for name in _COMPARE},
    "logical_not": Function(1, "bool"),
    "isnan": Function(1, "bool"),
    "where": Function(3),
    "clamp": Function(3),
    "cast": Function(1, "any"),
    "frexp_exponent": Function(1, "any"),
    # An i8 read as a number from 0 to 255, in i32.
    "unsigned": Function(1, "any"),
}
