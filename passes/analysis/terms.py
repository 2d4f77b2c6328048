"""Terms of ``rules/algebra.py`` over IR: where one matches, what it costs, and how it is built."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from math import prod
from typing import Any

import numpy as np

from smartmem.dialects._mlir import arith, ir
from smartmem.dialects.layout import build, shapes
from smartmem.dialects.layout.attributes import ints
from smartmem.dialects.layout.maps import contraction_dims
from smartmem.dialects.layout.ops import (
    ContractOp,
    ElementwiseOp,
    ReduceOp,
    element_type,
    shape,
)
from smartmem.passes.analysis.flops import contraction_flops
from smartmem.passes.analysis.joins import producer
from smartmem.passes.rules.algebra import COMMUTATIVE, CONTRACTION, REDUCTIONS, Call, Term

Maps = tuple[tuple[int, ...], ...]

_FOLDED = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
}


@dataclass(frozen=True)
class Match:
    """A term found in the IR: the tensor of each letter, the ops of its functions (the outermost
    first), and the dims of its reductions or the maps of its contractions.
    """

    letters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ops: tuple[Any, ...] = ()
    dims: tuple[int, ...] | None = None
    maps: Maps | None = None


def head_of(op: Any) -> str | None:
    """The function of a term that ``op`` is; None for what no term has."""
    if isinstance(op, ElementwiseOp):
        return ir.StringAttr(op.attributes["fn"]).value
    if isinstance(op, ReduceOp):
        kind = ir.StringAttr(op.attributes["kind"]).value
        return next((head for head, of in REDUCTIONS.items() if of == kind), None)
    return CONTRACTION if isinstance(op, ContractOp) else None


def constant_of(value: Any) -> float | None:
    """The number that all elements of a constant are; None for any other tensor."""
    op = producer(value)
    if op is None or not isinstance(op, arith.ConstantOp):
        return None
    held = op.attributes["value"]
    if isinstance(held, ir.DenseFPElementsAttr) and held.is_splat:
        return ir.FloatAttr(held.get_splat_value()).value
    if isinstance(held, ir.DenseIntElementsAttr) and held.is_splat:
        return ir.IntegerAttr(held.get_splat_value()).value
    return None


def matches(term: Term, value: Any, found: Match | None = None) -> Iterator[Match]:
    """The ways in which ``value`` is ``term``, beside what is ``found`` already."""
    found = found or Match()
    if isinstance(term, Call):
        yield from _call(term, value, found)
    elif isinstance(term, str):
        yield from _letter(term, value, found)
    else:
        number = constant_of(value)
        if (
            number is not None
            and number == term
            and math.copysign(1, number) == math.copysign(1, term)
        ):
            yield found


def _letter(letter: str, value: Any, found: Match) -> Iterator[Match]:
    if letter in found.letters:
        if found.letters[letter] == value:
            yield found
        return
    if letter == "s" and prod(shape(value)) != 1:
        return
    if letter in ("k", "l") and (constant_of(value) is None or shape(value)):
        return
    yield Match({**found.letters, letter: value}, found.ops, found.dims, found.maps)


def _call(term: Call, value: Any, found: Match) -> Iterator[Match]:
    op = producer(value)
    if op is None or head_of(op) != term.head:
        return
    dims, maps = found.dims, found.maps
    if isinstance(op, ReduceOp):
        dims = ints(op.attributes["dims"])
    if isinstance(op, ContractOp):
        maps = tuple(contraction_dims(op.attributes["indexing_maps"])[0])
    if found.dims not in (None, dims) or found.maps not in (None, maps):
        return
    here = Match(found.letters, (*found.ops, op), dims, maps)
    for operands in _orders(term, list(op.operands)):
        yield from _operands(term.operands, operands, here)


def _orders(term: Call, operands: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The operands in the orders in which ``term`` may have them."""
    if term.head not in COMMUTATIVE or operands[0] == operands[1]:
        yield operands
    else:
        yield from permutations(operands)


def _operands(terms: Sequence[Term], values: Sequence[Any], found: Match) -> Iterator[Match]:
    if not terms:
        yield found
        return
    for first in matches(terms[0], values[0], found):
        yield from _operands(terms[1:], values[1:], first)


def _kind(element: Any) -> Any:
    """How numbers of a type are reckoned with; None for types that NumPy lacks."""
    return {
        ir.F16Type.get(): np.float16,
        ir.F32Type.get(): np.float32,
        ir.IntegerType.get_signless(32): np.int32,
    }.get(element)


@dataclass(eq=False)
class Made:
    """A value of a term that is still to be built: ``value`` where it is there already, a
    ``number`` for a constant.
    """

    shape: tuple[int, ...]
    element: Any
    head: str = ""
    operands: tuple["Made", ...] = ()
    flops: int = 0
    value: Any = None
    number: float | None = None


class Plan:
    """A term over what a match found: its price first, then, if it is wanted, its ops.

    Raises ValueError for a term that has no shape there.
    """

    def __init__(self, term: Term, found: Match, element: Any) -> None:
        self._found = found
        self._element = element
        self._known: dict[Any, Made] = {}
        self.root = self._plan(term, inside=False)

    @property
    def made(self) -> list[Made]:
        """The ops to be built, operands first."""
        return [made for made in self._known.values() if made.head and made.number is None]

    def build(self) -> Any:
        """Build the ops at the insertion point; the value of the whole."""
        return self._built(self.root)

    def _plan(self, term: Term, *, inside: bool) -> Made:
        key = (term, inside if term == "r" else False)
        if key not in self._known:
            self._known[key] = self._new(term, inside=inside)
        return self._known[key]

    def _new(self, term: Term, *, inside: bool) -> Made:
        """``inside``: within the sum of the term."""
        if isinstance(term, str):
            value = self._found.letters[term]
            number = constant_of(value)
            if term == "r" and not inside:
                return self._reduced(value, number)
            return Made(shape(value), element_type(value), value=value, number=number)
        if not isinstance(term, Call):
            return Made((), self._element, number=term)
        summed = term.head in REDUCTIONS
        operands = tuple(self._plan(t, inside=inside or summed) for t in term.operands)
        if summed:
            size = shapes.reduce(self._same_rows(operands[0].shape), self._found.dims or ())
            return Made(size, self._element, term.head, operands, prod(operands[0].shape))
        if term.head == CONTRACTION:
            assert self._found.maps is not None
            sizes, maps = [o.shape for o in operands], self._found.maps
            rank = 1 + max(dim for dims in maps for dim in dims)
            size = shapes.contract(sizes, maps, rank)
            return Made(
                size, self._element, term.head, operands, contraction_flops(sizes, maps[:-1])
            )
        size = shapes.broadcast([o.shape for o in operands])
        number = self._folded(term.head, operands)
        return Made(size, self._element, term.head, operands, prod(size), number=number)

    def _reduced(self, value: Any, number: float | None) -> Made:
        """``value``, which does not vary along the summed dims, without them."""
        missing = len(_summed(self._found)[0]) - len(shape(value))
        axes = [dim - missing for dim in self._found.dims or () if dim >= missing]
        if any(shape(value)[axis] != 1 for axis in axes):
            raise ValueError("a factor varies along the summed dims")
        kept = tuple(size for axis, size in enumerate(shape(value)) if axis not in axes)
        inner = Made(shape(value), element_type(value), value=value)
        return Made(kept, element_type(value), "reshape", (inner,), 0, number=number)

    def _same_rows(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """``sizes``, of which the summed dims have to be those that were summed before."""
        dims = self._found.dims or ()
        for before in _summed(self._found):
            if len(before) != len(sizes) or any(before[d] != sizes[d] for d in dims):
                raise ValueError("another number of elements would be summed")
        return sizes

    def _folded(self, head: str, operands: Sequence[Made]) -> float | None:
        """The number that a function of numbers is, where it is finite."""
        kind = _kind(self._element)
        numbers = [o.number for o in operands if o.number is not None and not o.shape]
        if kind is None or head not in _FOLDED or len(numbers) < len(operands):
            return None
        with np.errstate(all="ignore"):
            result = _FOLDED[head](*map(kind, numbers))
        return result.item() if np.isfinite(result) else None

    def _build(self, made: Made) -> Any:
        if made.number is not None:
            return build.splat(made.number, made.element, made.shape)
        values = [self._built(operand) for operand in made.operands]
        if made.head == "reshape":
            return build.reshape(values[0], made.shape)
        if made.head in REDUCTIONS:
            return build.reduce(values[0], REDUCTIONS[made.head], self._found.dims or ())
        if made.head == CONTRACTION:
            return build.contract(values[0], values[1], self._found.maps or ())
        return build.elementwise(made.head, *values)

    def _built(self, made: Made) -> Any:
        if made.value is None:
            made.value = self._build(made)
        return made.value


def _summed(found: Match) -> list[tuple[int, ...]]:
    """The shapes of what the reductions of a match sum."""
    return [shape(op.input) for op in found.ops if isinstance(op, ReduceOp)]
