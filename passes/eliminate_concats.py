"""A concatenation of views of one tensor that together are one index map becomes that view.

    %a = layout.view %x {(d0, d1) -> (2 * d0, d1)}        the even rows
    %b = layout.view %x {(d0, d1) -> (2 * d0 + 1, d1)}    the odd rows
    %y = layout.concat %a, %b {dim = 1}
    ==>  %y = layout.view %x {(d0, d1) -> (2 * d0 + d1 floordiv C, d1 mod C)}

That is how patch merging and space-to-depth are often written. Pieces must be equally long, and
their maps may differ by constants only; the constants must be linear in the digits of the piece's
number. On entry and exit: valid layout dialect.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from smartmem.dialects import algebra
from smartmem.dialects._mlir import ir
from smartmem.dialects.algebra import Dim, Expr, IndexMap
from smartmem.dialects.layout import build
from smartmem.dialects.layout.ops import ConcatOp, ViewOp, shape
from smartmem.passes.analysis.joins import pieces
from smartmem.passes.analysis.numbers import pass_on
from smartmem.passes.base import PassReport, block_ops, erase_unused, functions
from smartmem.passes.eliminate_views import index_map_of


def _as_view(value: Any) -> tuple[Any, IndexMap]:
    """``value`` as a view of something: of a view's input, else of itself."""
    owner = value.owner
    view = None if isinstance(owner, ir.Block) else owner.opview
    if isinstance(view, ViewOp):
        return view.input, index_map_of(view)
    return value, IndexMap.identity(shape(value))


def _factorisations(count: int) -> Iterator[tuple[int, ...]]:
    """Ordered ways to write ``count`` as a product of factors above 1, innermost first."""
    yield (count,)
    for first in range(2, count // 2 + 1):
        if count % first == 0:
            for rest in _factorisations(count // first):
                yield (first, *rest)


def _linear_in_digits(constants: Sequence[int], radices: Sequence[int]) -> tuple[int, ...] | None:
    """Coefficients c with ``constants[k] - constants[0] == sum(c[i] * digit_i(k))``; None where
    there are none.
    """
    coefficients: list[int] = []
    step = 1
    for radix in radices:
        coefficients.append(constants[step] - constants[0])
        step *= radix
    for number, constant in enumerate(constants):
        total, rest = constants[0], number
        for radix, coefficient in zip(radices, coefficients, strict=True):
            total += coefficient * (rest % radix)
            rest //= radix
        if total != constant:
            return None
    return tuple(coefficients)


def _constants(exprs: Sequence[Expr]) -> tuple[Expr, list[int]] | None:
    """The part the expressions share and the constant of each; None where they differ by more."""
    shared: Expr | None = None
    values: list[int] = []
    for expr in exprs:
        match expr:
            case algebra.Const(value):
                rest: Expr = algebra.Const(0)
            case algebra.Add(lhs, algebra.Const(value)):
                rest = lhs
            case _:
                rest, value = expr, 0
        if shared is not None and rest != shared:
            return None
        shared = rest
        values.append(value)
    return None if shared is None else (shared, values)


def _joined(maps: Sequence[IndexMap], dim: int) -> IndexMap | None:
    """One map whose k-th range along ``dim`` is ``maps[k]``; None where the pieces do not fit
    together.
    """
    first = maps[0]
    size, count = first.domain[dim], len(maps)
    if any(m.domain != first.domain or m.codomain != first.codomain for m in maps):
        return None
    split = [_constants([m.results[axis] for m in maps]) for axis in range(len(first.codomain))]
    parts = [part for part in split if part is not None]
    if len(parts) < len(split):
        return None
    domain = (*first.domain[:dim], size * count, *first.domain[dim + 1 :])
    within = tuple(Dim(i) % size if i == dim else Dim(i) for i in range(len(domain)))
    piece = Dim(dim) // size
    for radices in _factorisations(count):
        found = [_linear_in_digits(values, radices) for _, values in parts]
        slopes = [c for c in found if c is not None]
        if len(slopes) < len(found):
            continue
        digits = [piece // prod(radices[:i]) % radix for i, radix in enumerate(radices)]
        results: list[Expr] = []
        for (shared, values), slope in zip(parts, slopes, strict=True):
            result = _substituted(shared, within) + values[0]
            for coefficient, digit in zip(slope, digits, strict=True):
                result = result + digit * coefficient
            results.append(result)
        return algebra.simplify(IndexMap(domain, first.codomain, tuple(results)))
    return None


def _substituted(expr: Expr, dims: Sequence[Expr]) -> Expr:
    match expr:
        case algebra.Dim(index):
            return dims[index]
        case algebra.Add(lhs, rhs):
            return _substituted(lhs, dims) + _substituted(rhs, dims)
        case algebra.Mul(inner, factor):
            return _substituted(inner, dims) * factor
        case algebra.FloorDiv(inner, divisor):
            return _substituted(inner, dims) // divisor
        case algebra.Mod(inner, modulus):
            return _substituted(inner, dims) % modulus
        case _:
            return expr


def _rewrite(concat: Any) -> bool:
    views = [_as_view(piece) for piece in pieces(concat, shared=True)]
    source = views[0][0]
    if any(s != source for s, _ in views):
        return False
    joined = _joined([m for _, m in views], ir.IntegerAttr(concat.attributes["dim"]).value)
    if joined is None or algebra.factor(joined) is None:
        return False
    with ir.InsertionPoint(concat), concat.location:
        view = build.view(source, joined)
        concat.result.replace_all_uses_with(view)
    if view != source:
        pass_on(concat, view.owner)
    return True


@dataclass(frozen=True)
class EliminateConcatsPass:
    """Whole chains first: the last concat of a chain is tried before the links inside it."""

    name: ClassVar[str] = "smartmem-eliminate-concats"

    def run(self, module: Any) -> PassReport:
        """Replace what fits; links nobody reads any more are removed."""
        before = eliminated = 0
        for function in functions(module):
            concats = [op for op in block_ops(function) if isinstance(op, ConcatOp)]
            before += len(concats)
            for concat in reversed(concats):
                used = any(True for _ in concat.result.uses)
                eliminated += used and _rewrite(concat)
            erase_unused(function)
        return PassReport(self.name, {"concats_before": before, "chains_eliminated": eliminated})
