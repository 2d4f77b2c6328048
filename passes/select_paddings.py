"""Lengths that no tile divides are stored longer, from the first op that can to the last.

    %1 = layout.attention %q, %k, %v : (3x197x64, 3x197x64, 3x197x64)
    ==>
    %p = layout.pad %x : 197x192 -> 224x192              once, before the first block
    ...
    %1 = layout.attention %q, %k, %v {keys = 197} : (3x224x64, 3x224x64, 3x224x64)
    ...
    %y = layout.view %z : 224x192 -> 197x192              once, after the last

197 tokens can be dealt to threads in no other way than one by one; 224 by fours, and whole
subgroups reduce a row of as many scores. Chosen are lengths of attention, with every op they reach
(``rules/paddings.py``). On entry: no layouts yet. On exit: what leaves the function is as it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build, ops
from smartmem.dialects.layout.ops import element_type, shape
from smartmem.passes.base import PassReport, block_ops, functions, result_bytes
from smartmem.passes.rules.paddings import Carried, carried, is_free_reader

# A vec4, and the lanes of a subgroup.
_LANES = 4
_MULTIPLE = 32
# Shorter rows are left as they are: padding them is more work by a larger share. Not measured.
_LEAST = 64

Place = tuple[Any, int]


def padded_length(length: int) -> int:
    """What ``length`` is stored as: itself where tiles divide it, or where it is short."""
    if length < _LEAST or length % _LANES == 0:
        return length
    return -(-length // _MULTIPLE) * _MULTIPLE


@dataclass
class _Classes:
    """Dims of values that must be stored alike: those an op hands through are of one class."""

    parents: dict[Place, Place] = field(default_factory=dict[Place, Place])

    def find(self, place: Place) -> Place:
        while (parent := self.parents.get(place, place)) != place:
            place = parent
        return place

    def join(self, places: list[Place]) -> None:
        first, *others = (self.find(place) for place in places)
        for other in others:
            if other != first:
                self.parents[other] = first


def _places(op: Any, dim: Carried) -> list[Place]:
    """A dim's places in operands and result."""
    operands, results = op.operation.operands, op.operation.results
    found = [(operands[i], axis) for i, axis in dim.operands]
    return found if dim.result is None else [*found, (results[0], dim.result)]


def _lengths(op: Any) -> Iterator[Place]:
    """The rows and the keys of an attention."""
    if isinstance(op, ops.AttentionOp):
        for value in (op.query, op.key):
            yield value, len(shape(value)) - 2


class _Padding:
    """The dims of one function that are stored longer, and the values made so far."""

    def __init__(self, function: Any) -> None:
        # All of it is asked before anything changes: shapes will.
        self._ops = [(op, carried(op)) for op in block_ops(function)]
        self._classes = _Classes()
        self._shapes: dict[Any, list[int]] = {}
        for op, dims in self._ops:
            for value in (*op.operation.operands, *op.operation.results):
                self._shapes.setdefault(value, list(shape(value)))
            for dim in dims:
                if places := _places(op, dim):
                    self._classes.join(places)
        self._chosen = {
            self._classes.find(place): padded
            for op, _ in self._ops
            for place in _lengths(op)
            if (padded := padded_length(shape(place[0])[place[1]])) != shape(place[0])[place[1]]
        }
        self._made: dict[tuple[Any, tuple[int, ...]], Any] = {}

    def run(self) -> None:
        for op, dims in self._ops if self._chosen else ():
            self._lengthen(op, [(dim, n) for dim in dims if (n := self._length(op, dim))])

    def _lengthen(self, op: Any, dims: list[tuple[Carried, int]]) -> None:
        """Give ``op`` operands of the lengths it needs, and its result the length that follows."""
        wanted = [list(self._shapes[v]) for v in op.operation.operands]
        for dim, padded in dims:
            for position, axis in (*dim.operands, *dim.follows):
                wanted[position][axis] = padded
        for position, sizes in enumerate(wanted):
            value = op.operation.operands[position]
            if is_free_reader(op):
                sizes = [max(own, size) for own, size in zip(shape(value), sizes, strict=True)]
            op.operation.operands[position] = self._as_long(value, tuple(sizes), op)
        if any(dim.result is not None for dim, _ in dims):
            result = op.operation.results[0]
            sizes = list(self._shapes[result])
            for dim, padded in dims:
                if dim.result is not None:
                    sizes[dim.result] = padded
            result.set_type(build.tensor_of(sizes, element_type(result)))

    def _length(self, op: Any, dim: Carried) -> int | None:
        places = _places(op, dim)
        return self._chosen.get(self._classes.find(places[0])) if places else None

    def _as_long(self, value: Any, sizes: tuple[int, ...], before: Any) -> Any:
        """``value`` cut and padded to ``sizes``, once."""
        own = shape(value)
        if own == sizes:
            return value
        if (value, sizes) not in self._made:
            least = tuple(map(min, own, sizes))
            zeros, ones = (0,) * len(own), (1,) * len(own)
            more = [size - short for size, short in zip(sizes, least, strict=True)]
            with ir.InsertionPoint(before), before.location:
                cut = build.slice_(value, zeros, least, ones)
                self._made[value, sizes] = build.pad(cut, zeros, more, 0)
        return self._made[value, sizes]

    @property
    def made(self) -> list[Any]:
        """The values that were cut or padded, which are copies."""
        return list(self._made.values())


@dataclass(frozen=True)
class SelectPaddingsPass:
    """One sweep in program order over the dims that all ops of a class hand through."""

    name: ClassVar[str] = "smartmem-select-paddings"

    def run(self, module: Any) -> PassReport:
        """Store awkward lengths of attention longer."""
        copies: list[Any] = []
        for function in functions(module):
            padding = _Padding(function)
            padding.run()
            copies += padding.made
        return PassReport(
            self.name,
            {"copies": len(copies), "copied_bytes": sum(result_bytes(v) for v in copies)},
        )
