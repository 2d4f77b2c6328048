"""Index expressions as arithmetic on the positions of loops."""

from collections.abc import Sequence
from typing import Any

from smartmem.dialects import algebra
from smartmem.dialects._mlir import arith
from smartmem.passes.lower import scalars
from smartmem.passes.lower.builder import index_constant


def computed(expr: Any, indices: Sequence[Any]) -> Any:
    """An index expression as arithmetic; every intermediate dividend is kept non-negative by the
    map's bounds.
    """
    match expr:
        case algebra.Dim(index):
            return indices[index]
        case algebra.Const(value):
            return index_constant(value)
        case algebra.Add(lhs, rhs):
            return arith.AddIOp(computed(lhs, indices), computed(rhs, indices)).result
        case algebra.Mul(inner, factor):
            return arith.MulIOp(computed(inner, indices), index_constant(factor)).result
        case algebra.FloorDiv(inner, divisor):
            return arith.FloorDivSIOp(computed(inner, indices), index_constant(divisor)).result
        case algebra.Mod(inner, modulus):
            rest = arith.RemSIOp(computed(inner, indices), index_constant(modulus)).result
            wrapped = arith.AddIOp(rest, index_constant(modulus)).result
            negative = scalars.compare("lt", rest, index_constant(0))
            return scalars.select(negative, wrapped, rest)
        case _:
            raise TypeError(f"{expr!r} is not an index expression")
