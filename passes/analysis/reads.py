"""How a sum of products reads an operand: as it lies in memory, or through the view that makes it.

Loops are split where a view splits a dim. A window of 7 x 7 in an image of 14 x 14 reads rows
``7 * i + a``: what was one loop over the 49 elements of a window is two, over ``a`` and its column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

from smartmem.dialects import algebra
from smartmem.dialects._mlir import ir
from smartmem.dialects.algebra import Expand, IndexMap, Slice, Transpose
from smartmem.dialects.layout.attributes import repr_of
from smartmem.dialects.layout.maps import to_index_map
from smartmem.dialects.layout.ops import ViewOp, shape
from smartmem.dialects.layouts import Layout
from smartmem.dialects.steps import Step

_READ = "read_in_place"


def is_read_in_place(op: Any) -> bool:
    """Whether ``op`` is a view that its readers read through, a function of elements that its
    reader computes, or a convolution that reads windows where they lie (``fuse_reads``).
    """
    return _READ in op.operation.attributes


def mark_read_in_place(op: Any) -> None:
    """Let the readers of the view ``op`` read through it; the convolution ``op`` read its windows
    where they lie.
    """
    op.operation.attributes[_READ] = ir.UnitAttr.get()


@dataclass(frozen=True)
class Reading:
    """An operand's memory, after ``steps`` that cost nothing: the parts of loops along which it
    runs, outermost first, and per loop the extents of all its parts.
    """

    steps: tuple[Step, ...]
    axes: tuple[tuple[int, int], ...]
    parts: Mapping[int, tuple[int, ...]]

    @classmethod
    def plain(cls, loops: Sequence[int], sizes: Sequence[int]) -> "Reading":
        """A tensor in memory whose axes are whole loops."""
        long = [(loop, size) for loop, size in zip(loops, sizes, strict=True) if size > 1]
        parts = {loop: (size,) if size > 1 else () for loop, size in zip(loops, sizes, strict=True)}
        return cls((), tuple((loop, 0) for loop, _ in long), parts)


def memory_map(view: Any) -> IndexMap:
    """The index map of a view, between the memories of its result and of its input."""
    affine = ir.AffineMapAttr(view.attributes["index_map"]).value
    index_map = to_index_map(affine, shape(view.result), shape(view.input))
    to_result = _layout(view.result).to_physical_map(index_map.domain)
    to_source = _layout(view.input).to_logical_map(index_map.codomain)
    return algebra.compose(to_result, algebra.compose(index_map, to_source))


def _layout(value: Any) -> Layout:
    return repr_of(ir.RankedTensorType(value.type)).layout


def through(view: ViewOp, loops: Sequence[int]) -> Reading | None:
    """The input of ``view``, read in place of its result, whose physical axes are ``loops``.

    None for what is more than reshapes, slices, one transpose, and reshapes.
    """
    index_map = memory_map(view)
    steps = algebra.factor(index_map) or ()
    at = next((i for i, step in enumerate(steps) if isinstance(step, Transpose)), None)
    if at is None or len(set(loops)) < len(loops):
        return None
    moved = steps[at]
    if not isinstance(moved, Transpose) or any(isinstance(s, Slice) for s in steps[at:]):
        return None
    if any(s is None and n > 1 for s, n in zip(moved.sources, moved.shape, strict=True)):
        return None
    parts = _common([moved.shape, index_map.domain])
    if parts is None:
        return None
    spans = _spans(index_map.domain, parts)
    places = [(loop, i) for loop, span in zip(loops, spans, strict=True) for i in range(len(span))]
    in_memory = dict(zip(moved.sources, _spans(moved.shape, parts), strict=True))
    order = sorted(source for source in in_memory if source is not None)
    cut = [tuple(parts[i] for i in in_memory[source]) for source in order]
    return Reading(
        _split_before_cut(tuple(steps[:at]), index_map.codomain, cut),
        tuple(places[i] for source in order for i in in_memory[source]),
        {loop: tuple(parts[i] for i in span) for loop, span in zip(loops, spans, strict=True)},
    )


def _split_before_cut(
    steps: tuple[Step, ...], sizes: Sequence[int], parts: Sequence[tuple[int, ...]]
) -> tuple[Step, ...]:
    """``steps``; a single slice of a tensor of ``sizes`` is cut out of the tensor with its dims
    split into ``parts``, as far as that is possible: IREE copies a slice before it splits its dims.
    """
    if len(steps) != 1 or not isinstance(steps[0], Slice):
        return steps
    groups: list[tuple[int, ...]] = []
    offsets, lengths, strides = list[int](), list[int](), list[int]()
    for size, part, offset, length, stride in zip(
        sizes, parts, steps[0].offsets, steps[0].sizes, steps[0].strides, strict=True
    ):
        inner = prod(part[1:])
        if stride == 1 and size % inner == 0 and offset % inner == 0:
            groups.append((size // inner, *part[1:]))
            offsets += [offset // inner, *(0 for _ in part[1:])]
            lengths += [length // inner, *part[1:]]
            strides += [1 for _ in groups[-1]]
        else:
            groups.append((size,))
            offsets, lengths, strides = [*offsets, offset], [*lengths, length], [*strides, stride]
    return Expand(tuple(groups)), Slice(tuple(offsets), tuple(lengths), tuple(strides))


def common_parts(readings: Sequence[Reading]) -> dict[int, tuple[int, ...]] | None:
    """Per loop the extents of its parts, fine enough for all ``readings``; None where two of them
    cut a loop at places that do not nest.
    """
    common: dict[int, tuple[int, ...]] = {}
    for loop in dict.fromkeys(loop for reading in readings for loop in reading.parts):
        parts = _common([r.parts[loop] for r in readings if loop in r.parts])
        if parts is None:
            return None
        common[loop] = parts
    return common


def _common(shapes: Sequence[Sequence[int]]) -> tuple[int, ...] | None:
    """The coarsest shape that collapses to each of ``shapes``, without dims of one element; None
    where there is none.
    """
    cuts = sorted({size for one in shapes for size in _inner_sizes(one)})
    if any(outer % inner for inner, outer in pairwise(cuts)):
        return None
    return tuple(reversed([outer // inner for inner, outer in pairwise(cuts)]))


def _inner_sizes(sizes: Sequence[int]) -> list[int]:
    """The number of elements behind each cut between dims, both ends included."""
    return [prod(sizes[i:]) for i in range(len(sizes) + 1)]


def _spans(sizes: Sequence[int], parts: Sequence[int]) -> list[range]:
    """Per dim of ``sizes`` the numbers of the ``parts`` that it collapses."""
    places = [_inner_sizes(parts).index(size) for size in _inner_sizes(sizes)]
    return [range(start, stop) for start, stop in pairwise(places)]


def split(reading: Reading, common: Mapping[int, tuple[int, ...]]) -> list[tuple[int, int]]:
    """The (loop, part) of the ``common`` parts along which the memory of ``reading`` runs."""
    spans = {loop: _spans(parts, common[loop]) for loop, parts in reading.parts.items()}
    return [(loop, i) for loop, part in reading.axes for i in spans[loop][part]]
