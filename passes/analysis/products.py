"""Sums of products as loops: which loop runs along each axis of the operands and of the result."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.attributes import repr_of
from smartmem.dialects.layout.ops import ConvOp, shape
from smartmem.dialects.layouts import Layout

Map = tuple[int, ...]


@dataclass(frozen=True)
class Patches:
    """A convolution whose windows lie side by side, as a sum of products: the ``extents`` of its
    loops (batch, channels in, channels out, position, place in the window), and those along which
    each tensor's memory runs; an image's dim is two of them, grouped in ``image_axes``.
    """

    extents: tuple[int, ...]
    image_axes: tuple[Map, ...]
    weight: Map
    result: Map

    @classmethod
    def of(cls, op: ConvOp) -> "Patches":
        """The loops of ``op``, in the layouts that its tensors have."""
        out, window = shape(op.result), shape(op.weight)[2:]
        n, c, f = 0, 1, 2
        position = [3 + i for i in range(len(window))]
        offset = [3 + len(window) + i for i in range(len(window))]
        image = [(n,), (c,), *zip(position, offset, strict=True)]
        weight, result = (f, c, *offset), (n, f, *position)
        return cls(
            (out[0], shape(op.input)[1], out[1], *out[2:], *window),
            tuple(image[axis] for axis in _layout(op.input).order),
            tuple(weight[axis] for axis in _layout(op.weight).order),
            tuple(result[axis] for axis in _layout(op.result).order),
        )

    @property
    def image(self) -> Map:
        """The loops along which the input's memory runs."""
        return tuple(loop for axis in self.image_axes for loop in axis)

    @property
    def written_out(self) -> Map:
        """The loops along which the input runs once each window is a row of its own."""
        summed = [loop for loop in self.weight if loop not in self.result]
        return (*(loop for loop in self.result if loop in self.image), *summed)


def _layout(value: Any) -> Layout:
    return repr_of(ir.RankedTensorType(value.type)).layout


def merge_groups(maps: Sequence[Map], rank: int) -> list[list[int]]:
    """Runs of loop dims that are adjacent and in the same order in every map they occur in, longest
    first found.

    Parallel dims come before reduction dims, each in the result's or the first operand's order.
    """
    order = [*maps[-1], *(d for m in maps[:-1] for d in m if d not in maps[-1])]
    groups: list[list[int]] = []
    for d in dict.fromkeys(order):
        if groups and _follows(maps, groups[-1][-1], d):
            groups[-1].append(d)
        else:
            groups.append([d])
    if sum(map(len, groups)) != rank:
        raise ValueError("a loop dim occurs in no map")
    return groups


def _follows(maps: Sequence[Map], a: int, b: int) -> bool:
    """Whether ``b`` stands right after ``a`` in every map that has either."""
    return all(a in m and b in m and m.index(b) == m.index(a) + 1 for m in maps if a in m or b in m)
