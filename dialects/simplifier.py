"""Simplification of index expressions with the ranges of the dims, to one canonical form.

Strength reduction after SmartMem §3.2.1: instead of linearising and delinearising once per view, a
chain of views is kept as one expression per source dim. The canonical form is a sum of
``coef * ((d // div) mod m)`` terms (*digits*) and a constant; where none exists (a roll, a reshape
whose split does not align) the base of a digit is itself a sum. Two equal functions in digit form
have equal expressions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd
from typing import NamedTuple

from smartmem.dialects.expressions import (
    Add,
    Const,
    Dim,
    Expr,
    FloorDiv,
    Mod,
    Mul,
    addends,
    interval,
)


class _Linear(NamedTuple):
    """``sum(coef * atom) + const``; no atom is a sum, product or constant, no coef zero."""

    terms: dict[Expr, int]
    const: int

    def scale(self, factor: int) -> "_Linear":
        if factor == 0:
            return _Linear({}, 0)
        terms = {atom: coef * factor for atom, coef in self.terms.items()}
        return _Linear(terms, self.const * factor)

    def shift(self, offset: int) -> "_Linear":
        return _Linear(self.terms, self.const + offset)

    def expr(self) -> Expr:
        """The sum, largest coefficients first: one order, so that equal sums are equal values."""
        order = sorted(self.terms.items(), key=lambda term: (-abs(term[1]), str(term[0])))
        total: Expr = Const(0)
        for atom, coef in order:
            total = total + atom * coef
        return total + self.const


# Divisor, modulus (None where there is none) and coefficient of one digit of some base expression.
_RawDigit = tuple[int, int | None, int]


def _split_atom(atom: Expr) -> tuple[Expr, int, int | None]:
    """Base, divisor and modulus of ``(base // div) mod m``."""
    modulus = None
    if isinstance(atom, Mod):
        atom, modulus = atom.inner, atom.modulus
    if isinstance(atom, FloorDiv):
        return atom.inner, atom.divisor, modulus
    return atom, 1, modulus


def _merge_digits(digits: Sequence[_RawDigit]) -> list[_RawDigit]:
    """Digits of one base over a common divisor chain, neighbours joined.

    This holds ``(i/a)*a + i%a -> i``. Digits whose boundaries form no chain are returned as they
    are.
    """
    bounds = {div for div, _, _ in digits} | {div * m for div, m, _ in digits if m is not None}
    points = sorted(bounds)
    if any(high % low for low, high in pairwise(points)):
        return list(digits)
    merged: list[_RawDigit] = []
    for index, point in enumerate(points):
        coef = sum(
            c * (point // div)
            for div, m, c in digits
            if div <= point and (m is None or point < div * m)
        )
        if coef == 0:
            continue
        span = points[index + 1] // point if index + 1 < len(points) else None
        if merged:
            div, m, c = merged[-1]
            if m is not None and div * m == point and c * m == coef:
                merged[-1] = (div, None if span is None else m * span, c)
                continue
        merged.append((point, span, coef))
    return merged


def _weight(total: _Linear) -> int:
    """Terms of a sum, those with a modulus twice; rewrites that lower it come to an end."""
    return sum(2 if isinstance(atom, Mod) else 1 for atom in total.terms)


class Simplifier:
    """Brings expressions over dims of known ``extents`` (all > 0) to canonical form."""

    def __init__(self, extents: Sequence[int]) -> None:
        self.extents = tuple(extents)
        self._known: dict[Expr, _Linear] = {
            Dim(i): _Linear({Dim(i): 1} if extent > 1 else {}, 0)
            for i, extent in enumerate(self.extents)
        }
        self._ranges: dict[Expr, tuple[int, int]] = {}

    def simplify(self, expr: Expr) -> Expr:
        """``expr`` in canonical form."""
        return self._linear(expr).expr()

    def substitute(self, exprs: Sequence[Expr], dims: Sequence[Expr]) -> tuple[Expr, ...]:
        """Each of ``exprs`` with its dim i replaced by ``dims[i]``, in canonical form.

        ``dims`` are over our extents; ``exprs`` may rely on the ranges of what replaces their dims.
        """
        known: dict[Expr, _Linear] = {Dim(i): self._linear(dim) for i, dim in enumerate(dims)}
        return tuple(self._rewrite(expr, known).expr() for expr in exprs)

    def _linear(self, expr: Expr) -> _Linear:
        return self._rewrite(expr, self._known)

    def _rewrite(self, expr: Expr, known: dict[Expr, _Linear]) -> _Linear:
        """``expr`` as a canonical sum; its dims, and all that was met before, are in ``known``."""
        if (found := known.get(expr)) is not None:
            return found
        match expr:
            case Const(value):
                result = _Linear({}, value)
            case Add():
                result = self._sum([self._rewrite(term, known) for term in addends(expr)])
            case Mul(inner, factor):
                result = self._rewrite(inner, known).scale(factor)
            case FloorDiv(inner, divisor):
                result = self._divide(self._rewrite(inner, known), divisor)
            case Mod(inner, modulus):
                result = self._modulo(self._rewrite(inner, known), modulus)
            case _:
                raise TypeError(f"{expr!r} is no index expression over {len(self.extents)} dims")
        known[expr] = result
        return result

    def _sum(self, parts: Iterable[_Linear]) -> _Linear:
        terms: dict[Expr, int] = {}
        const = 0
        for part in parts:
            const += part.const
            for atom, coef in part.terms.items():
                terms[atom] = terms.get(atom, 0) + coef
        return self._merge(_Linear({a: c for a, c in terms.items() if c}, const))

    def _merge(self, total: _Linear) -> _Linear:
        by_base: dict[Expr, list[_RawDigit]] = {}
        for atom, coef in total.terms.items():
            base, div, modulus = _split_atom(atom)
            by_base.setdefault(base, []).append((div, modulus, coef))
        if all(len(digits) == 1 for digits in by_base.values()):
            return total
        parts = [_Linear({}, total.const)]
        changed = False
        for base, digits in by_base.items():
            merged = _merge_digits(digits) if len(digits) > 1 else digits
            joined = set(merged) != set(digits)
            changed |= joined
            for div, modulus, coef in merged:
                atom = base // div if modulus is None else base // div % modulus
                whole = self._linear(atom) if joined else _Linear({atom: 1}, 0)
                parts.append(whole.scale(coef))
        return self._sum(parts) if changed else total

    def _range(self, atom: Expr) -> tuple[int, int]:
        if atom not in self._ranges:
            self._ranges[atom] = interval(atom, self.extents)
        return self._ranges[atom]

    def _bounds(self, total: _Linear) -> tuple[int, int]:
        low = high = total.const
        for atom, coef in total.terms.items():
            a, b = self._range(atom)
            low, high = (
                (low + a * coef, high + b * coef) if coef > 0 else (low + b * coef, high + a * coef)
            )
        return low, high

    def _divide(self, total: _Linear, divisor: int) -> _Linear:
        """``total // divisor``: multiples leave the division, ranges reduce the rest."""
        whole = {a: c // divisor for a, c in total.terms.items() if c % divisor == 0}
        rest = _Linear({a: c for a, c in total.terms.items() if c % divisor}, total.const % divisor)
        quotient = _Linear(whole, total.const // divisor)
        low, high = self._bounds(rest)
        if low // divisor == high // divisor:
            return quotient.shift(low // divisor)
        if (near := self._near_multiples(rest, divisor)) is not None:
            return self._sum([quotient, near[0]])
        return self._sum([quotient, self._divide_rest(rest, divisor)])

    def _divide_rest(self, rest: _Linear, divisor: int) -> _Linear:
        if (parts := self._split_small(rest, divisor)) is not None:
            unit, large, _ = parts  # (i*a + j) / (a*b) -> i / b where 0 <= j < a
            return self._divide(large, divisor // unit)
        atom = rest.expr()
        if isinstance(atom, FloorDiv):  # (i / a) / b -> i / (a*b)
            return self._divide(self._linear(atom.inner), atom.divisor * divisor)
        if isinstance(atom, Mod) and atom.modulus % divisor == 0:  # (i % (a*b)) / a -> (i / a) % b
            inner = self._divide(self._linear(atom.inner), divisor)
            return self._modulo(inner, atom.modulus // divisor)
        inner, inner_divisor = self._unnested(rest)
        return _Linear({inner.expr() // (inner_divisor * divisor): 1}, 0)

    def _modulo(self, total: _Linear, modulus: int) -> _Linear:
        """``total mod modulus``: multiples vanish, ranges reduce the rest."""
        low, high = self._bounds(total)
        if low // modulus == high // modulus:
            return total.shift(-(low // modulus) * modulus)
        rest = _Linear({a: c for a, c in total.terms.items() if c % modulus}, total.const % modulus)
        low, high = self._bounds(rest)
        if low // modulus == high // modulus:
            return rest.shift(-(low // modulus) * modulus)
        if (near := self._near_multiples(rest, modulus)) is not None:
            return near[1]
        if (parts := self._split_small(rest, modulus)) is not None:
            unit, large, small = parts  # (i*a + j) % (a*b) -> (i % b)*a + j where 0 <= j < a
            return self._sum([self._modulo(large, modulus // unit).scale(unit), small])
        bare = self._without_inner_mods(rest, modulus)
        if _weight(bare) < _weight(rest):
            return self._modulo(bare, modulus)
        inner, inner_divisor = self._unnested(rest)
        return _Linear({inner.expr() // inner_divisor % modulus: 1}, 0)

    def _near_multiples(self, rest: _Linear, divisor: int) -> tuple[_Linear, _Linear] | None:
        """Quotient and remainder of ``rest``, by ``i*(a - b) + j = i*a + (j - i*b)``, where the
        last sum lies between two multiples of ``divisor``; None where it does not.

        Rows read one element further on each, as relative positions are: 9 i + j of a row of 10.
        """
        nearest = {a: (2 * c + divisor - 1) // (2 * divisor) for a, c in rest.terms.items()}
        if not any(nearest.values()):
            return None
        left = {a: c - nearest[a] * divisor for a, c in rest.terms.items()}
        remainder = _Linear(left, rest.const)
        low, high = self._bounds(remainder)
        if low // divisor != high // divisor:
            return None
        whole = _Linear({a: n for a, n in nearest.items() if n}, low // divisor)
        return whole, remainder.shift(-(low // divisor) * divisor)

    def _unnested(self, total: _Linear) -> tuple[_Linear, int]:
        """``total`` as ``inner // divisor``, by ``i + j/a -> (i*a + j) / a``.

        All digits of one index then have one base, so that they are found to belong together.
        """
        nested = [a for a, c in total.terms.items() if c == 1 and isinstance(a, FloorDiv)]
        if not nested:
            return total, 1
        atom = min(nested, key=str)
        assert isinstance(atom, FloorDiv)
        others = _Linear({a: c for a, c in total.terms.items() if a != atom}, total.const)
        inner = self._sum([others.scale(atom.divisor), self._linear(atom.inner)])
        deeper, divisor = self._unnested(inner)
        return deeper, divisor * atom.divisor

    def _without_inner_mods(self, rest: _Linear, modulus: int) -> _Linear:
        """``rest`` with ``c * (i % a)`` as ``c * i`` where ``modulus`` divides ``c * a``.

        Digits of a dim stay in a longer sum: the quotient of that sum needs them, and shares its
        base.
        """
        alone = len(rest.terms) == 1 and rest.const == 0
        parts: list[_Linear] = [_Linear({}, rest.const)]
        for atom, coef in rest.terms.items():
            inner = atom.inner if isinstance(atom, Mod) else atom
            divides = isinstance(atom, Mod) and coef * atom.modulus % modulus == 0
            if divides and (alone or isinstance(inner, Add)):
                parts.append(self._linear(inner).scale(coef))
            else:
                parts.append(_Linear({atom: coef}, 0))
        bare = self._sum(parts)
        return _Linear({a: c for a, c in bare.terms.items() if c % modulus}, bare.const)

    def _split_small(self, rest: _Linear, modulus: int) -> tuple[int, _Linear, _Linear] | None:
        """``rest`` as ``unit * large + small``: ``0 <= small < unit``, a divisor of ``modulus``."""
        units = sorted({gcd(coef, modulus) for coef in rest.terms.values()} - {1}, reverse=True)
        for unit in units:
            terms = {a: c for a, c in rest.terms.items() if c % unit}
            small = _Linear(terms, rest.const % unit)
            low, high = self._bounds(small)
            if low >= 0 and high < unit:
                large = {a: c // unit for a, c in rest.terms.items() if c % unit == 0}
                return unit, _Linear(large, rest.const // unit), small
        return None


# ------------------------------------------------------------------------------------------- digits


@dataclass(frozen=True)
class Digit:
    """``coef * ((d // div) mod extent)`` of result dim ``dim``, which has ``extent`` > 1 values."""

    dim: int
    div: int
    extent: int
    coef: int


class DigitForm(NamedTuple):
    """``sum of digits + const``."""

    digits: tuple[Digit, ...]
    const: int


def digit_form(expr: Expr, extents: Sequence[int]) -> DigitForm | None:
    """A canonical expression as digits of single dims; None where it has no such form."""
    digits: list[Digit] = []
    const = 0
    for term in addends(expr):
        if isinstance(term, Const):
            const += term.value
            continue
        atom, coef = (term.inner, term.factor) if isinstance(term, Mul) else (term, 1)
        base, div, modulus = _split_atom(atom)
        if not isinstance(base, Dim):
            return None
        extent = -(-extents[base.index] // div)
        digits.append(Digit(base.index, div, min(modulus or extent, extent), coef))
    return DigitForm(tuple(digits), const)
