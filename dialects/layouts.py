"""Layouts as values: how a tensor's logical dims lie in memory.

A *layout* is an order of dims with packing and padding, a *storage* a kind of memory, a *repr* the
pair. Packing and unpacking are index maps, so that a relayout composes with the views around it.
"""

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from smartmem.dialects.algebra import Dim, Expr, IndexMap, Shape, apply, simplify

_T = TypeVar("_T", bound=np.generic)

Storage = Literal["buffer", "texel_buffer", "image2d"]


@dataclass(frozen=True)
class Layout:
    """How a tensor's logical dims lie in memory, outermost physical dim first.

    ``order[p]`` is the logical dim at physical position p. ``padding`` holds (dim, stored size):
    the dim is stored that long. ``packed`` holds (dim, lanes): the stored dim is cut into groups of
    ``lanes``, rounded up, and the lanes become the innermost physical dims, in the order given.
    Elements past the logical size are zeros, written by whoever writes the tensor, so readers need
    no mask. Raises ValueError for an order that is no permutation, or a dim that is absent, packed
    or padded twice, or packed by less than one lane.
    """

    order: tuple[int, ...]
    packed: tuple[tuple[int, int], ...] = ()
    padding: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if sorted(self.order) != list(range(self.rank)):
            raise ValueError(f"layout order {list(self.order)} is no permutation of its dims")
        for pairs, what in ((self.packed, "packed"), (self.padding, "padded")):
            dims = [dim for dim, _ in pairs]
            if len(set(dims)) != len(dims) or any(not 0 <= dim < self.rank for dim in dims):
                raise ValueError(
                    f"{what} dims {dims} of a layout of rank {self.rank} repeat or do not exist"
                )
            if any(size < 1 for _, size in pairs):
                raise ValueError(f"{what} sizes {list(pairs)} of a layout are not all positive")

    def __str__(self) -> str:
        parts = [str(list(self.order))]
        parts += [f"pack({dim}:{lanes})" for dim, lanes in self.packed]
        parts += [f"pad({dim}:{size})" for dim, size in self.padding]
        return " ".join(parts)

    @classmethod
    def row_major(cls, rank: int) -> "Layout":
        """Logical order, nothing packed or padded."""
        return cls(tuple(range(rank)))

    @classmethod
    def channels_last(cls, rank: int) -> "Layout":
        """Dim 1 innermost, as NHWC for logical NCHW. ValueError for rank < 2."""
        if rank < 2:
            raise ValueError(f"channels_last needs a channel dim 1; rank {rank} has none")
        return cls((0, *range(2, rank), 1))

    @property
    def rank(self) -> int:
        """Number of logical dims."""
        return len(self.order)

    @property
    def is_default(self) -> bool:
        """Whether this is ``row_major``."""
        return self == Layout.row_major(self.rank)

    @property
    def inverse_order(self) -> tuple[int, ...]:
        """Physical position of each logical dim, lanes not counted."""
        return tuple(self.order.index(dim) for dim in range(self.rank))

    def stored_shape(self, shape: Shape) -> Shape:
        """Sizes as stored: padded, then whole groups of lanes. ValueError where padding crops."""
        if len(shape) != self.rank:
            raise ValueError(f"layout {self} of rank {self.rank} does not fit shape {list(shape)}")
        sizes = list(shape)
        for dim, size in self.padding:
            if size < shape[dim]:
                raise ValueError(
                    f"dim {dim} of {list(shape)} is padded to {size}, less than its size"
                )
            sizes[dim] = size
        for dim, lanes in self.packed:
            sizes[dim] = -(-sizes[dim] // lanes) * lanes
        return tuple(sizes)

    def physical_shape(self, shape: Shape) -> Shape:
        """Shape of the array in memory that holds a tensor of logical ``shape``."""
        lanes = dict(self.packed)
        stored = self.stored_shape(shape)
        outer = tuple(stored[dim] // lanes.get(dim, 1) for dim in self.order)
        return outer + tuple(lanes.values())

    def to_physical_map(self, shape: Shape) -> IndexMap:
        """The physical array as a view of the logical tensor as stored (``stored_shape``)."""
        results: list[Expr] = [Dim(position) for position in self.inverse_order]
        for index, (dim, lanes) in enumerate(self.packed):
            results[dim] = results[dim] * lanes + Dim(self.rank + index)
        return simplify(
            IndexMap(self.physical_shape(shape), self.stored_shape(shape), tuple(results))
        )

    def to_logical_map(self, shape: Shape) -> IndexMap:
        """The logical tensor (``shape``) as a view of the physical array; injective."""
        lanes = dict(self.packed)
        results = [Dim(dim) // lanes.get(dim, 1) for dim in self.order]
        results += [Dim(dim) % count for dim, count in self.packed]
        return simplify(IndexMap(shape, self.physical_shape(shape), tuple(results)))

    def pack(self, array: NDArray[_T]) -> NDArray[_T]:
        """The physical array of a logical one, padded with zeros."""
        index_map = self.to_physical_map(array.shape)
        if index_map.codomain != array.shape:
            padded = np.zeros(index_map.codomain, array.dtype)
            padded[tuple(slice(size) for size in array.shape)] = array
            array = padded
        return apply(index_map, array)

    def unpack(self, array: NDArray[_T], shape: Shape) -> NDArray[_T]:
        """The logical array of ``shape`` in a physical one. ValueError where they do not fit."""
        return apply(self.to_logical_map(shape), array)


@dataclass(frozen=True)
class Repr:
    """A layout in a kind of memory."""

    layout: Layout
    storage: Storage

    def __str__(self) -> str:
        return f"{self.layout} in {self.storage}"
