"""Index maps as a few array steps: slice, expand, permute or broadcast, collapse.

IREE runs a contraction whose indexing maps divide an order of magnitude slower, so a composed map
leaves the layout dialect in this form. ``[56, 96] -> [8, 96, 7]`` by ``(d0 * 7 + d2, d1)`` is::

    Expand(((8, 7), (96,)))  ->  Transpose((8, 96, 7), (0, 2, 1))

Each source dim is a sum of digits, so it is a mixed-radix number: sorted by coefficient, its digits
are the dims to expand to, with slices where a digit is only partly read. Each result dim is the
collapse of its own digits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from smartmem.dialects.simplifier import Digit, DigitForm

Shape = tuple[int, ...]
Groups = tuple[tuple[int, ...], ...]
_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True)
class Slice:
    """Result element ``i`` is source element ``offsets + i * strides``, ``sizes`` of them."""

    offsets: Shape
    sizes: Shape
    strides: Shape

    @property
    def shape(self) -> Shape:
        """Shape of the result."""
        return self.sizes

    def apply(self, array: NDArray[_T]) -> NDArray[_T]:
        """The step on ``array``; a view."""
        bounds = zip(self.offsets, self.sizes, self.strides, strict=True)
        return array[tuple(slice(o, o + (n - 1) * s + 1, s) for o, n, s in bounds)]


@dataclass(frozen=True)
class Expand:
    """Source dim i becomes the result dims of sizes ``groups[i]``, outermost first."""

    groups: Groups

    @property
    def shape(self) -> Shape:
        """Shape of the result."""
        return tuple(size for group in self.groups for size in group)

    @property
    def reassociation(self) -> Groups:
        """Result dims of each source dim, as ``tensor.expand_shape`` writes them."""
        return _positions(self.groups)

    def apply(self, array: NDArray[_T]) -> NDArray[_T]:
        """The step on ``array``; a view where NumPy can make one."""
        return array.reshape(self.shape)


@dataclass(frozen=True)
class Transpose:
    """Result dim k runs along source dim ``sources[k]``, or repeats the source where that is None.

    Every source dim stands exactly once in ``sources``, at its own size.
    """

    shape: Shape
    sources: tuple[int | None, ...]

    def apply(self, array: NDArray[_T]) -> NDArray[_T]:
        """The step on ``array``; a view, read-only where it repeats elements."""
        moved = array.transpose([s for s in self.sources if s is not None])
        if None not in self.sources:
            return moved
        aligned = moved[tuple(None if s is None else slice(None) for s in self.sources)]
        return np.broadcast_to(aligned, self.shape)


@dataclass(frozen=True)
class Collapse:
    """Source dims of sizes ``groups[k]`` become result dim k; the inverse of ``Expand``.

    A source of rank > 0 that becomes a scalar has no groups.
    """

    groups: Groups

    @property
    def shape(self) -> Shape:
        """Shape of the result."""
        return tuple(prod(group) for group in self.groups)

    @property
    def reassociation(self) -> Groups:
        """Source dims of each result dim, as ``tensor.collapse_shape`` writes them."""
        return _positions(self.groups)

    def apply(self, array: NDArray[_T]) -> NDArray[_T]:
        """The step on ``array``; a view where NumPy can make one."""
        return array.reshape(self.shape)


Step = Slice | Expand | Transpose | Collapse


def _positions(groups: Groups) -> Groups:
    starts = [0]
    for group in groups:
        starts.append(starts[-1] + len(group))
    return tuple(tuple(range(low, high)) for low, high in pairwise(starts))


def reshape_steps(source: Shape, target: Shape) -> tuple[Step, ...]:
    """The fewest steps, at most two, for a row-major reshape; the element counts agree."""
    if source == target:
        return ()
    if not source:
        return (Transpose(target, (None,) * len(target)),)
    if (groups := _grouped(source, target)) is not None:
        return (Collapse(groups),)
    if target and (groups := _grouped(target, source)) is not None:
        return (Expand(groups),)
    middle = _common_blocks(source, target)
    return (*reshape_steps(source, middle), *reshape_steps(middle, target))


def _grouped(fine: Shape, coarse: Shape) -> Groups | None:
    """``fine`` cut into runs whose products are ``coarse``; None where that is impossible."""
    groups: list[tuple[int, ...]] = []
    start = 0
    for size in coarse:
        stop = start + 1
        while stop < len(fine) and prod(fine[start:stop]) < size:
            stop += 1
        if prod(fine[start:stop]) != size or start >= len(fine):
            return None
        groups.append(fine[start:stop])
        start = stop
    if prod(fine[start:]) != 1:
        return None
    if groups:
        groups[-1] += fine[start:]
    return tuple(groups)


def _common_blocks(source: Shape, target: Shape) -> Shape:
    """The finest shape that both collapse to."""

    def boundaries(shape: Shape) -> set[int]:
        return {prod(shape[:stop]) for stop in range(len(shape) + 1)}

    common = sorted(boundaries(source) & boundaries(target))
    return tuple(high // low for low, high in pairwise(common))


# ----------------------------------------------------------------------------------------- planning


@dataclass(frozen=True)
class _Cut:
    """How one source dim is read: a strided slice, then one of each of its ``radices``."""

    offset: int
    size: int
    stride: int
    radices: Shape
    offsets: Shape
    digits: tuple[Digit | None, ...]  # None is a dim of size 1

    @property
    def extents(self) -> Shape:
        return tuple(digit.extent if digit else 1 for digit in self.digits)


@dataclass(frozen=True)
class _Axis:
    """A dim of the transposed array: where the source has it, and its result dim."""

    extent: int
    position: int | None  # among the expanded source dims; None repeats the source
    source: int | None
    target: int


def _split_target(size: int, digits: Iterable[Digit]) -> list[tuple[int, Digit | None]] | None:
    """A result dim as (extent, digit or None for a broadcast), outermost first; None on overlap."""
    parts: list[tuple[int, Digit | None]] = []
    covered = 1
    for digit in sorted(digits, key=lambda d: d.div):
        if digit.div % covered:
            return None
        if digit.div > covered:
            parts.append((digit.div // covered, None))
        parts.append((digit.extent, digit))
        covered = digit.div * digit.extent
    if covered < size:
        parts.append((-(-size // covered), None))
    return parts[::-1]


def _cut_source(size: int, form: DigitForm, late: bool) -> _Cut | None:
    """The slices that read ``form`` from a dim of ``size``; None for no mixed-radix number.

    ``late`` prefers to slice the expanded dims, so that one slice step may serve several reasons.
    """
    if form.const < 0 or any(digit.coef <= 0 for digit in form.digits):
        return None
    if not form.digits:
        if late:
            return _Cut(0, size, 1, (size,), (form.const,), (None,))
        return _Cut(form.const, 1, 1, (1,), (0,), (None,))
    digits = sorted(form.digits, key=lambda d: d.coef)
    stride = digits[0].coef
    first, const = form.const % stride, form.const // stride
    count = -((first - size) // stride)
    if any(
        high.coef % low.coef or high.coef < low.coef * low.extent for low, high in pairwise(digits)
    ):
        return None
    coefs = [digit.coef // stride for digit in digits]
    inner = [high // low for low, high in pairwise(coefs)]
    top = coefs[-1]
    choices = [(const // top * top, digits[-1].extent), (const, digits[-1].extent)]
    if late and count % top == 0:
        choices.insert(0, (0, count // top))
    for begin, radix in choices:
        radices = [*inner, radix]
        offsets = [(const - begin) // c % r for c, r in zip(coefs, radices, strict=True)]
        fits = all(o + d.extent <= r for o, d, r in zip(offsets, digits, radices, strict=True))
        if fits and begin + top * radix <= count:
            offset = first + begin * stride
            return _Cut(
                offset,
                top * radix,
                stride,
                tuple(radices[::-1]),
                tuple(offsets[::-1]),
                tuple(digits[::-1]),
            )
    return None


class _Builder:
    """Steps in order; a reshape is only written where the next step needs it."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.steps: list[Step] = []

    def reshape(self, shape: Shape) -> None:
        self._extend(reshape_steps(self.shape, shape))

    def slice(self, offsets: Shape, sizes: Shape, strides: Shape) -> None:
        """Slice the current array; nothing where all of it is read."""
        if sizes != self.shape:
            self._extend([Slice(offsets, sizes, strides)])

    def transpose(self, shape: Shape, sources: tuple[int | None, ...]) -> None:
        self._extend([Transpose(shape, sources)])

    def _extend(self, steps: Sequence[Step]) -> None:
        self.steps += steps
        if steps:
            self.shape = steps[-1].shape


_Merge = Literal["none", "source", "target", "either", "all"]
_MERGES: tuple[_Merge, ...] = ("none", "source", "target", "either", "all")


def _may_merge(left: _Axis, right: _Axis, merge: _Merge) -> bool:
    same_target = left.target == right.target
    same_source = left.source is not None and left.source == right.source
    return {
        "none": False,
        "source": same_source,
        "target": same_target,
        "either": same_source or same_target,
        "all": True,
    }[merge]


def _merged(axes: Sequence[_Axis], order: Sequence[int], merge: _Merge) -> list[list[_Axis]]:
    """``axes`` in runs that stay together in the source, whose dims lie in ``order``."""
    rank = {position: index for index, position in enumerate(order)}
    runs: list[list[_Axis]] = []
    for axis in axes:
        last = runs[-1][-1] if runs else None
        if last is not None and _may_merge(last, axis, merge):
            if axis.position is None or last.position is None:
                follows = axis.position == last.position
            else:
                follows = rank[axis.position] == rank[last.position] + 1
            if follows:
                runs[-1].append(axis)
                continue
        runs.append([axis])
    return runs


def _with_units(axes: list[_Axis], units: Sequence[int], domain: Shape) -> list[_Axis]:
    """``axes`` with the size-1 dims of the source (at ``units``) and of the result.

    A unit of the result takes one of the source where there is one left; what is over goes before
    its successor.
    """
    left = list(units)
    placed: list[_Axis] = []
    for target, size in enumerate(domain):
        if size == 1:
            placed.append(_Axis(1, left.pop(0) if left else None, None, target))
        else:
            placed += [axis for axis in axes if axis.target == target]
    for unit in left:
        after = [a.position for a in placed if a.position is not None and a.position > unit]
        index = next(
            (i for i, a in enumerate(placed) if after and a.position == min(after)), len(placed)
        )
        target = placed[min(index, len(placed) - 1)].target if placed else 0
        placed.insert(index, _Axis(1, unit, None, target))
    return placed


def _assemble(
    source: Shape,
    blocks: Shape,
    cuts: Sequence[_Cut],
    axes: Sequence[_Axis],
    padded: Shape,
    domain: Shape,
    keep_units: bool,
    merge: _Merge,
) -> tuple[Step, ...]:
    """One way of writing the plan; ``axes`` in result order make the shape ``padded``."""
    builder = _Builder(source)
    if any(cut.size != size for cut, size in zip(cuts, blocks, strict=True)):
        builder.reshape(blocks)
        offsets, sizes, strides = zip(*((c.offset, c.size, c.stride) for c in cuts), strict=True)
        builder.slice(offsets, sizes, strides)
    radices = tuple(radix for cut in cuts for radix in cut.radices)
    extents = tuple(extent for cut in cuts for extent in cut.extents)
    if radices != extents:
        builder.reshape(radices)
        offsets = tuple(offset for cut in cuts for offset in cut.offsets)
        builder.slice(offsets, extents, (1,) * len(extents))
    positions = [axis.position for axis in axes]
    if positions != [i for i, extent in enumerate(extents) if extent > 1]:
        placed = list(axes)
        if keep_units:
            units = [i for i, extent in enumerate(extents) if extent == 1]
            placed = _with_units(placed, units, domain)
        order = sorted(axis.position for axis in placed if axis.position is not None)
        runs = _merged(placed, order, merge)
        kept = sorted(run[0].position for run in runs if run[0].position is not None)
        sizes = {run[0].position: prod(axis.extent for axis in run) for run in runs}
        builder.reshape(tuple(sizes[position] for position in kept))
        builder.transpose(
            tuple(prod(axis.extent for axis in run) for run in runs),
            tuple(None if (p := run[0].position) is None else kept.index(p) for run in runs),
        )
    builder.reshape(padded)
    builder.slice((0,) * len(domain), domain, (1,) * len(domain))
    return tuple(builder.steps)


def _scattered_reshapes(source: Shape, steps: tuple[Step, ...]) -> int:
    """Reshapes of slices that are no run of memory: a compiler has to copy those, where a slice
    that is read as it is costs an offset.
    """
    count, shape = 0, source
    for step, after in pairwise(steps):
        if isinstance(step, Slice) and isinstance(after, (Expand, Collapse)):
            cut = [i for i, (a, b) in enumerate(zip(step.sizes, shape, strict=True)) if a != b]
            count += any(size > 1 for size in step.sizes[: max(cut, default=0)])
        shape = step.shape
    return count


def _cost(source: Shape, steps: tuple[Step, ...]) -> tuple[int, int, int]:
    """Fewest steps first, then the fewest reshapes of scattered slices, then the lowest rank of the
    transposition.
    """
    ranks = [len(step.shape) for step in steps if isinstance(step, Transpose)]
    return len(steps), _scattered_reshapes(source, steps), sum(ranks)


def plan_steps(
    source: Shape, blocks: Shape, forms: Sequence[DigitForm], domain: Shape
) -> tuple[Step, ...] | None:
    """The fewest steps from an array of shape ``source`` to one of shape ``domain``.

    ``blocks`` is ``source`` with neighbouring dims collapsed, and ``forms`` says, for each of its
    dims, which index result element d reads. None where no such steps exist: digits used twice (a
    diagonal), negative coefficients (a flip), digits that overlap (a sliding window).
    """
    read = [digit for form in forms for digit in form.digits]
    targets = [
        _split_target(size, (d for d in read if d.dim == dim)) for dim, size in enumerate(domain)
    ]
    if any(parts is None for parts in targets):
        return None
    padded = tuple(prod(extent for extent, _ in parts or ()) for parts in targets)
    plans: list[tuple[Step, ...]] = []
    for late in (False, True):
        maybe = [_cut_source(n, f, late) for n, f in zip(blocks, forms, strict=True)]
        cuts = [cut for cut in maybe if cut is not None]
        if len(cuts) < len(maybe):
            return None
        places = [
            (source_dim, digit) for source_dim, cut in enumerate(cuts) for digit in cut.digits
        ]
        by_digit = {digit: (i, dim) for i, (dim, digit) in enumerate(places) if digit is not None}
        axes: list[_Axis] = []
        for target, parts in enumerate(targets):
            for extent, digit in parts or ():
                position, source_dim = by_digit[digit] if digit else (None, None)
                axes.append(_Axis(extent, position, source_dim, target))
        plans += [
            _assemble(source, blocks, cuts, axes, padded, domain, keep_units, merge)
            for keep_units, merge in product((True, False), _MERGES)
        ]
    return min(plans, key=lambda steps: _cost(source, steps))
