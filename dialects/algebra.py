"""Index maps as values: which source element each element of a view reads.

Chains of views compose into one map, simplified with strength reduction (SmartMem §3.2.1): reshape
``[2, 256, 4]`` to ``[16, 8, 4, 4]``, then transpose by ``(0, 2, 1, 3)``, is
``(d0 floordiv 8, (d0 mod 8) * 32 + d2 * 4 + d1, d3)``. Nothing here knows MLIR or torch; NumPy
evaluates. Expressions stand in ``expressions.py`` and ``simplifier.py``, the steps of ``factor`` in
``steps.py``, layouts in ``layouts.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from smartmem.dialects.expressions import (
    Add,
    Const,
    Dim,
    Expr,
    FloorDiv,
    Mod,
    Mul,
    dims_of,
    interval,
)
from smartmem.dialects.simplifier import Digit, DigitForm, Simplifier, digit_form
from smartmem.dialects.steps import Collapse, Expand, Slice, Step, Transpose, plan_steps

__all__ = [
    "Add",
    "Collapse",
    "Const",
    "Dim",
    "Expand",
    "Expr",
    "FloorDiv",
    "IndexMap",
    "Mod",
    "Mul",
    "Shape",
    "Slice",
    "Step",
    "Transpose",
    "apply",
    "compose",
    "evaluate",
    "factor",
    "inverse",
    "simplify",
]

Shape = tuple[int, ...]
_T = TypeVar("_T", bound=np.generic)

# Domains up to this size are evaluated where reasoning does not decide: it takes a few ms.
_SMALL_DOMAIN = 1 << 16


def _check_shape(shape: Shape, what: str) -> None:
    if any(size < 1 for size in shape):
        raise ValueError(f"{what} {list(shape)} has an empty dim; index maps need every size >= 1")


def _check_rank(values: Sequence[int], shape: Shape, what: str) -> None:
    if len(values) != len(shape):
        raise ValueError(f"{what} {list(values)} does not have one entry per dim of {list(shape)}")


def _dims(rank: int) -> tuple[Expr, ...]:
    return tuple(Dim(i) for i in range(rank))


@dataclass(frozen=True)
class IndexMap:
    """A view: result element ``d`` reads the source at ``results(d)``.

    ``domain`` is the shape of the result, ``codomain`` that of the source; ``results`` has one
    expression over the domain's dims per source dim. The constructors below and ``compose`` return
    simplified maps; a map built from expressions stays as written until ``simplify``. Raises
    ValueError where ranks do not fit, a dim is empty, or the map provably reads outside the source:
    by the bounds of its expressions where they are attained, and by evaluation for domains up to
    65536 elements.
    """

    domain: Shape
    codomain: Shape
    results: tuple[Expr, ...]

    def __post_init__(self) -> None:
        _check_shape(self.domain, "result shape")
        _check_shape(self.codomain, "source shape")
        if len(self.results) != len(self.codomain):
            raise ValueError(
                f"{len(self.results)} index expressions for a source of shape {list(self.codomain)}"
            )
        for position, (expr, size) in enumerate(zip(self.results, self.codomain, strict=True)):
            if any(dim >= len(self.domain) or dim < 0 for dim in dims_of(expr)):
                raise ValueError(f"{expr} names a dim outside the result shape {list(self.domain)}")
            bounds = _proven_outside(expr, self.domain, size)
            if bounds is not None:
                raise ValueError(
                    f"{expr} over {list(self.domain)} reads {bounds[0]}..{bounds[1]}, "
                    f"outside source dim {position} of size {size}"
                )

    def __str__(self) -> str:
        """MLIR's text of the map, without the shapes."""
        dims = ", ".join(str(dim) for dim in _dims(len(self.domain)))
        return f"({dims}) -> ({', '.join(str(expr) for expr in self.results)})"

    # -- constructors, each over the shape ``source`` of what is viewed

    @classmethod
    def identity(cls, source: Shape) -> "IndexMap":
        """Reads every element in place."""
        return _simplified(source, source, _dims(len(source)))

    @classmethod
    def reshape(cls, source: Shape, result: Shape) -> "IndexMap":
        """The same elements in row-major order. ValueError where the counts differ."""
        if prod(source) != prod(result):
            raise ValueError(
                f"cannot reshape {list(source)} to {list(result)}: element counts differ"
            )
        return _simplified(result, source, _delinearize(_linear_index(result), source))

    @classmethod
    def permute(cls, source: Shape, perm: Sequence[int]) -> "IndexMap":
        """Result dim i is source dim ``perm[i]``. ValueError for no permutation."""
        if sorted(perm) != list(range(len(source))):
            raise ValueError(f"{list(perm)} is no permutation of the dims of {list(source)}")
        results = [Dim(perm.index(dim)) for dim in range(len(source))]
        return _simplified(tuple(source[dim] for dim in perm), source, results)

    @classmethod
    def expand(cls, source: Shape, result: Shape) -> "IndexMap":
        """NumPy's broadcast of ``source`` to ``result``. ValueError where it does not broadcast."""
        lead = len(result) - len(source)
        if lead < 0 or any(n not in (1, m) for n, m in zip(source, result[lead:], strict=True)):
            raise ValueError(f"cannot broadcast {list(source)} to {list(result)}")
        results = [Dim(lead + dim) if size > 1 else Const(0) for dim, size in enumerate(source)]
        return _simplified(result, source, results)

    @classmethod
    def slice(
        cls, source: Shape, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]
    ) -> "IndexMap":
        """``sizes[i]`` elements of dim i from ``starts[i]``, ``steps[i]`` (or minus that) apart.

        ValueError where a slice leaves the source.
        """
        for values, what in (
            (starts, "slice starts"),
            (sizes, "slice sizes"),
            (steps, "slice steps"),
        ):
            _check_rank(values, source, what)
        results = [
            Dim(d) * step + start for d, (step, start) in enumerate(zip(steps, starts, strict=True))
        ]
        return _simplified(tuple(sizes), source, results)

    @classmethod
    def flip(cls, source: Shape, dims: Sequence[int]) -> "IndexMap":
        """The dims ``dims`` backwards. ValueError for a dim outside the source."""
        if any(not 0 <= dim < len(source) for dim in dims):
            raise ValueError(f"flip dims {list(dims)} are outside rank {len(source)}")
        results = [size - 1 - Dim(d) if d in dims else Dim(d) for d, size in enumerate(source)]
        return _simplified(source, source, results)

    @classmethod
    def roll(cls, source: Shape, shifts: Sequence[int]) -> "IndexMap":
        """Element i of dim k goes to ``(i + shifts[k]) mod size``; one shift per dim."""
        _check_rank(shifts, source, "roll shifts")
        moves = enumerate(zip(source, shifts, strict=True))
        return _simplified(source, source, [(Dim(d) - shift) % size for d, (size, shift) in moves])

    @classmethod
    def tile(cls, source: Shape, repeats: Sequence[int]) -> "IndexMap":
        """As ``torch.Tensor.repeat``: ``repeats[k]`` times along dim k; leading ones add dims."""
        lead = len(repeats) - len(source)
        if lead < 0:
            raise ValueError(
                f"tile repeats {list(repeats)} are fewer than the dims of {list(source)}"
            )
        aligned = (1,) * lead + source
        result = tuple(size * count for size, count in zip(aligned, repeats, strict=True))
        return _simplified(result, source, [Dim(lead + d) % size for d, size in enumerate(source)])

    # -- predicates

    def is_identity(self) -> bool:
        """Whether every element is read in place; decided as ``is_injective``."""
        identity = IndexMap.identity(self.domain)
        if self.domain != self.codomain or simplify(self) == identity:
            return self.domain == self.codomain
        if prod(self.domain) > _SMALL_DOMAIN or _blocks_of(self) is not None:
            return False
        return all(map(np.array_equal, evaluate(self), evaluate(identity)))

    def is_permutation_of_dims(self) -> bool:
        """Whether some ``permute`` gives this map; dims of size 1 fit wherever there is one."""
        if sorted(self.domain) != sorted(self.codomain):
            return False
        read = [e for e, n in zip(simplify(self).results, self.codomain, strict=True) if n > 1]
        sizes = [n for n in self.codomain if n > 1]
        return len(set(read)) == len(read) and all(
            isinstance(expr, Dim) and self.domain[expr.index] == size
            for expr, size in zip(read, sizes, strict=True)
        )

    def is_injective(self) -> bool:
        """Whether no source element is read twice.

        Decided from the digits, else by evaluation for domains up to 65536 elements. A larger map
        without a digit form (a roll cut by a reshape) is reported as not injective.
        """
        return self._injective

    def is_bijective(self) -> bool:
        """Whether every source element is read exactly once; decided as ``is_injective``."""
        return prod(self.domain) == prod(self.codomain) and self._injective

    @cached_property
    def _injective(self) -> bool:
        if prod(self.domain) > prod(self.codomain):
            return False
        if (decided := _injective_by_digits(self)) is not None:
            return decided
        if prod(self.domain) > _SMALL_DOMAIN:
            return False
        linear = np.ravel_multi_index(evaluate(self), self.codomain)
        return np.unique(linear).size == prod(self.domain)


def _simplified(domain: Shape, codomain: Shape, results: Sequence[Expr]) -> IndexMap:
    _check_shape(domain, "result shape")
    simplifier = Simplifier(domain)
    simple = tuple(simplifier.simplify(expr) for expr in results)
    return IndexMap(domain, codomain, _resplit(simplifier, codomain, simple))


def _resplit(
    simplifier: Simplifier, codomain: Shape, results: tuple[Expr, ...]
) -> tuple[Expr, ...]:
    """Dims that have digits only together, written anew from their common index."""
    blocks = _blocks(simplifier, codomain, results)
    if blocks is None or len(blocks) == len(codomain):
        return results
    split: list[Expr] = []
    for block in blocks:
        sizes = codomain[len(split) : len(split) + block.rank]
        split += [simplifier.simplify(expr) for expr in _delinearize(block.address, sizes)]
    return tuple(split)


def _linear_index(shape: Shape) -> Expr:
    """Row-major position of the element at index d of ``shape``."""
    linear: Expr = Const(0)
    for dim, size in enumerate(shape):
        linear = linear * size + Dim(dim)
    return linear


def _delinearize(index: Expr, sizes: Shape) -> list[Expr]:
    """Index along each dim of ``sizes`` of the element at the row-major position ``index``."""
    results: list[Expr] = []
    for position, size in enumerate(sizes):
        along = index // prod(sizes[position + 1 :])
        results.append(along % size if position else along)
    return results


def _proven_outside(expr: Expr, domain: Shape, size: int) -> tuple[int, int] | None:
    """Bounds of ``expr`` where it provably leaves ``[0, size)``, else None."""
    low, high = interval(expr, domain)
    if low >= 0 and high < size:
        return None
    expr = Simplifier(domain).simplify(expr)
    low, high = interval(expr, domain)
    if low >= 0 and high < size:
        return None
    dims = dims_of(expr)
    attained = len(set(dims)) == len(dims) and digit_form(expr, domain) is not None
    if attained or high < 0 or low >= size:
        return low, high
    if prod(domain) > _SMALL_DOMAIN:
        return None
    values = _evaluate(expr, _mesh(domain))
    low, high = int(values.min()), int(values.max())
    return None if low >= 0 and high < size else (low, high)


# -------------------------------------------------------------------------- functions on index maps


def simplify(index_map: IndexMap) -> IndexMap:
    """The same map in canonical form: in digit form, equal functions are equal values."""
    return _simplified(index_map.domain, index_map.codomain, index_map.results)


def compose(outer: IndexMap, inner: IndexMap) -> IndexMap:
    """The view ``inner`` of a source, then the view ``outer`` of its result, as one simplified map.

    ValueError where ``outer`` does not view the shape that ``inner`` makes.
    """
    if outer.codomain != inner.domain:
        raise ValueError(
            f"cannot compose: the outer map views {list(outer.codomain)}, "
            f"the inner one makes {list(inner.domain)}"
        )
    simplifier = Simplifier(outer.domain)
    results = simplifier.substitute(inner.results, outer.results)
    return IndexMap(outer.domain, inner.codomain, _resplit(simplifier, inner.codomain, results))


def evaluate(index_map: IndexMap) -> tuple[NDArray[np.int64], ...]:
    """Per source dim, the index each result element reads: read-only, of the domain's shape."""
    mesh = _mesh(index_map.domain)
    arrays = (_evaluate(expr, mesh) for expr in index_map.results)
    return tuple(np.broadcast_to(array, index_map.domain) for array in arrays)


def _mesh(shape: Shape) -> tuple[NDArray[np.int64], ...]:
    return np.meshgrid(*(np.arange(n, dtype=np.int64) for n in shape), indexing="ij", sparse=True)


def _evaluate(expr: Expr, mesh: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    match expr:
        case Dim(index):
            return mesh[index]
        case Const(value):
            return np.array(value, np.int64)
        case Add(lhs, rhs):
            return _evaluate(lhs, mesh) + _evaluate(rhs, mesh)
        case Mul(inner, factor):
            return _evaluate(inner, mesh) * factor
        case FloorDiv(inner, divisor):
            return _evaluate(inner, mesh) // divisor
        case Mod(inner, modulus):
            return _evaluate(inner, mesh) % modulus
        case _:
            raise TypeError(f"{expr!r} is not an index expression")


def apply(index_map: IndexMap, array: NDArray[_T]) -> NDArray[_T]:
    """The view of ``array`` (shape ``codomain``) that ``index_map`` describes, of shape ``domain``.

    It may share memory with ``array`` and may be read-only. ValueError for another shape.
    """
    if array.shape != index_map.codomain:
        raise ValueError(f"the map views {list(index_map.codomain)}, not {list(array.shape)}")
    steps = factor(index_map)
    if steps is None:
        mesh = _mesh(index_map.domain)
        indices = tuple(_evaluate(expr, mesh) for expr in index_map.results)
        return np.broadcast_to(array[indices], index_map.domain)
    for step in steps:
        array = step.apply(array)
    return array


def factor(index_map: IndexMap) -> tuple[Step, ...] | None:
    """The fewest steps that make the view: slice, expand, transpose or broadcast, collapse.

    Steps that change nothing are left out: a reshape has only expands and collapses, a permutation
    one transpose, an identity no step. None where no such steps exist: a flip, a roll, a diagonal,
    a sliding window.
    """
    blocks = _blocks_of(index_map)
    if blocks is None:
        return None
    shape, forms = blocks
    return plan_steps(index_map.codomain, shape, forms, index_map.domain)


class _Block(NamedTuple):
    """``rank`` neighbouring source dims as one of ``size``, read at ``address`` = ``form``."""

    rank: int
    size: int
    address: Expr
    form: DigitForm


def _blocks(
    simplifier: Simplifier, codomain: Shape, results: Sequence[Expr]
) -> list[_Block] | None:
    """The source with as few dims collapsed as give all of them digits; None where none do.

    Reading ``[4, 6]`` as ``[6, 4]`` needs ``(d0 * 4 + d1) floordiv 6``, but of the source collapsed
    to ``[24]`` it is ``d0 * 4 + d1``.
    """
    blocks: list[_Block] = []
    rank, total = 0, 1
    address: Expr = Const(0)
    for expr, size in zip(results, codomain, strict=True):
        address = simplifier.simplify(address * size + expr) if rank else expr
        rank, total = rank + 1, total * size
        form = digit_form(address, simplifier.extents)
        if form is not None:
            blocks.append(_Block(rank, total, address, form))
            rank, total = 0, 1
    return None if rank else blocks


def _blocks_of(index_map: IndexMap) -> tuple[Shape, tuple[DigitForm, ...]] | None:
    """Sizes and digits of the blocks of a map that need not be simplified."""
    domain, codomain = index_map.domain, index_map.codomain
    results = simplify(index_map).results
    simplifier = Simplifier(domain)
    blocks = _blocks(simplifier, codomain, results)
    if blocks is None:
        size = prod(domain)
        if size != prod(codomain) or results != IndexMap.reshape(codomain, domain).results:
            return None
        form = digit_form(simplifier.simplify(_linear_index(domain)), domain)
        return None if form is None else ((size,), (form,))
    return tuple(block.size for block in blocks), tuple(block.form for block in blocks)


def _injective_by_digits(index_map: IndexMap) -> bool | None:
    """Whether no element is read twice; None where the digits do not decide."""
    blocks = _blocks_of(index_map)
    if blocks is None:
        return None
    digits = [digit for form in blocks[1] for digit in form.digits]
    for dim, size in enumerate(index_map.domain):
        spans = sorted((d.div, d.div * d.extent) for d in digits if d.dim == dim)
        edges = [(0, 1), *spans, (size, size)]
        if any(low < high for (_, low), (high, _) in pairwise(edges)):
            return False  # a digit that nothing reads repeats every element
    apart = all(_digits_apart(form.digits) for form in blocks[1])
    return True if apart else None


def _digits_apart(digits: Sequence[Digit]) -> bool:
    """Whether different digits always give different sums."""
    reach = 0
    for digit in sorted(digits, key=lambda d: abs(d.coef)):
        if abs(digit.coef) <= reach:
            return False
        reach += abs(digit.coef) * (digit.extent - 1)
    return True


def inverse(index_map: IndexMap) -> IndexMap | None:
    """The map that views the result back as the source: ``compose(inverse(m), m)`` is the identity.

    None where ``index_map`` is no bijection or its digits do not give an inverse (a roll).
    """
    blocks = _blocks_of(index_map)
    if blocks is None or not index_map.is_bijective():
        return None
    shape, forms = blocks
    results: list[Expr] = [Const(0)] * len(index_map.domain)
    for position, form in enumerate(forms):
        for digit in form.digits:
            value = Dim(position) // abs(digit.coef) % digit.extent
            if digit.coef < 0:
                value = digit.extent - 1 - value
            results[digit.dim] = results[digit.dim] + value * digit.div
    back = _simplified(shape, index_map.domain, results)
    return compose(IndexMap.reshape(shape, index_map.codomain), back)
