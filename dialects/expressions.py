"""Quasi-affine index expressions as frozen values, written with Python's operators.

Sums, products and divisions by constants over the dims of a view's result, as MLIR's affine
expressions mean them: ``floordiv`` rounds to minus infinity and ``mod`` is never negative.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class Expr:
    """An integer expression over the dims of a result. ``str`` gives MLIR's affine syntax.

    Operators fold constants and nested divisions; what needs the ranges of dims is left to
    ``Simplifier``.
    """

    def __add__(self, other: "Expr | int") -> "Expr":
        other = _wrap(other)
        if isinstance(other, Const):
            if isinstance(self, Const):
                return Const(self.value + other.value)
            return self if other.value == 0 else Add(self, other)
        return other if self == Const(0) else Add(self, other)

    def __radd__(self, other: int) -> "Expr":
        return self + other if other else self

    def __neg__(self) -> "Expr":
        return self * -1

    def __sub__(self, other: "Expr | int") -> "Expr":
        return self + -_wrap(other)

    def __rsub__(self, other: int) -> "Expr":
        return -self + other

    def __mul__(self, factor: int) -> "Expr":
        if isinstance(self, Const):
            return Const(self.value * factor)
        if isinstance(self, Mul):
            return self.inner * (self.factor * factor)
        if factor == 0:
            return Const(0)
        return self if factor == 1 else Mul(self, factor)

    __rmul__ = __mul__

    def __hash__(self) -> int:
        """Kept after the first use: expressions are trees, and keys all over the simplifier."""
        known = self.__dict__.get("_hash")
        if known is None:
            known = hash((type(self).__name__, *self.__dict__.values()))
            self.__dict__["_hash"] = known
        return known

    def __floordiv__(self, divisor: int) -> "Expr":
        if isinstance(self, Const) and divisor > 0:
            return Const(self.value // divisor)
        if isinstance(self, FloorDiv) and divisor > 0:
            return FloorDiv(self.inner, self.divisor * divisor)
        return self if divisor == 1 else FloorDiv(self, divisor)

    def __mod__(self, modulus: int) -> "Expr":
        if isinstance(self, Const) and modulus > 0:
            return Const(self.value % modulus)
        if isinstance(self, Mod) and modulus > 0 and self.modulus % modulus == 0:
            return self.inner % modulus
        return Const(0) if modulus == 1 else Mod(self, modulus)


@dataclass(frozen=True)
class Dim(Expr):
    """Index along result dim ``index``, never negative."""

    index: int

    __hash__ = Expr.__hash__

    def __str__(self) -> str:
        return f"d{self.index}"


@dataclass(frozen=True)
class Const(Expr):
    """An integer."""

    value: int

    __hash__ = Expr.__hash__

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Add(Expr):
    """``lhs + rhs``."""

    lhs: Expr
    rhs: Expr

    __hash__ = Expr.__hash__

    def __str__(self) -> str:
        right = str(self.rhs)
        if right.startswith("-"):
            return f"{self.lhs} - {right[1:]}"
        return f"{self.lhs} + {right}"


@dataclass(frozen=True)
class Mul(Expr):
    """``inner * factor``."""

    inner: Expr
    factor: int

    __hash__ = Expr.__hash__

    def __str__(self) -> str:
        sign = "-" if self.factor < 0 else ""
        scale = "" if abs(self.factor) == 1 else f" * {abs(self.factor)}"
        return f"{sign}{_operand(self.inner)}{scale}"


@dataclass(frozen=True)
class FloorDiv(Expr):
    """``inner floordiv divisor``. Raises ValueError unless ``divisor > 0``."""

    inner: Expr
    divisor: int

    __hash__ = Expr.__hash__

    def __post_init__(self) -> None:
        if self.divisor <= 0:
            raise ValueError(f"floordiv by {self.divisor}: a divisor is positive")

    def __str__(self) -> str:
        return f"{_operand(self.inner)} floordiv {self.divisor}"


@dataclass(frozen=True)
class Mod(Expr):
    """``inner mod modulus``, never negative. Raises ValueError unless ``modulus > 0``."""

    inner: Expr
    modulus: int

    __hash__ = Expr.__hash__

    def __post_init__(self) -> None:
        if self.modulus <= 0:
            raise ValueError(f"mod by {self.modulus}: a modulus is positive")

    def __str__(self) -> str:
        return f"{_operand(self.inner)} mod {self.modulus}"


def _wrap(value: Expr | int) -> Expr:
    return Const(value) if isinstance(value, int) else value


def _operand(expr: Expr) -> str:
    if isinstance(expr, Dim) or (isinstance(expr, Const) and expr.value >= 0):
        return str(expr)
    return f"({expr})"


def interval(expr: Expr, extents: Sequence[int]) -> tuple[int, int]:
    """Inclusive bounds of ``expr`` over dims of ``extents``; sound, not always attained."""
    match expr:
        case Dim(index):
            return 0, extents[index] - 1
        case Const(value):
            return value, value
        case Add(lhs, rhs):
            (a, b), (c, d) = interval(lhs, extents), interval(rhs, extents)
            return a + c, b + d
        case Mul(inner, factor):
            low, high = interval(inner, extents)
            return (low * factor, high * factor) if factor >= 0 else (high * factor, low * factor)
        case FloorDiv(inner, divisor):
            low, high = interval(inner, extents)
            return low // divisor, high // divisor
        case Mod(inner, modulus):
            low, high = interval(inner, extents)
            if low // modulus == high // modulus:
                return low % modulus, high % modulus
            return 0, modulus - 1
        case _:
            raise TypeError(f"{expr!r} is not an index expression")


def dims_of(expr: Expr) -> tuple[int, ...]:
    """Indices of the dims ``expr`` names, one entry for each time it does."""
    match expr:
        case Dim(index):
            return (index,)
        case Add(lhs, rhs):
            return dims_of(lhs) + dims_of(rhs)
        case Mul(inner, _) | FloorDiv(inner, _) | Mod(inner, _):
            return dims_of(inner)
        case _:
            return ()


def divides(expr: Expr) -> bool:
    """Whether a quotient or remainder is part of ``expr``."""
    match expr:
        case FloorDiv() | Mod():
            return True
        case Add(lhs, rhs):
            return divides(lhs) or divides(rhs)
        case Mul(inner, _):
            return divides(inner)
        case _:
            return False


def addends(expr: Expr) -> list[Expr]:
    """The terms of a sum, flattened."""
    terms: list[Expr] = []
    pending = [expr]
    while pending:
        head = pending.pop()
        if isinstance(head, Add):
            pending += [head.rhs, head.lhs]
        else:
            terms.append(head)
    return terms
