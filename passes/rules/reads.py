"""Which views a contraction or attention reads through, and which windows a convolution, instead of
a copy: facts, no change of IR.

A view that moves elements (a window cut out of an image, a head split off) costs nothing where the
loops of its reader can be split as it splits dims: the operand is then read where it lies. IREE
makes good code for such loops only with tiles of ours (``rules/kernels.py``), so this is for
Vulkan; its CPU code packs operands itself. A look-up of single elements (``gather_elements``) reads
through any view: a table that is repeated for each of its readers is never written out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from smartmem.dialects.layout.maps import contraction_dims
from smartmem.dialects.layout.ops import (
    AttentionOp,
    ContractOp,
    ConvOp,
    GatherElementsOp,
    ViewOp,
    shape,
)
from smartmem.passes.analysis.joins import producer
from smartmem.passes.analysis.products import Map, Patches, merge_groups
from smartmem.passes.analysis.reads import Reading, common_parts, through
from smartmem.passes.rules.classes import movement
from smartmem.passes.rules.kernels import Contraction, KernelLimits, tile_contraction
from smartmem.passes.rules.layouts import is_weight
from smartmem.passes.rules.windows import Verdict, is_product, layout_of, window_of
from smartmem.passes.target import DeviceKind

Loops = tuple[int, ...]
_LANES = 4


@dataclass(frozen=True)
class _Product:
    """A sum of products within an op: its operands with the loop of each logical axis, and the
    loops of its result. An operand that is no tensor of the graph is None.
    """

    operands: tuple[tuple[Any | None, Loops], ...]
    result: Loops

    def has(self, value: Any) -> bool:
        """Whether ``value`` is an operand."""
        return any(v is not None and v == value for v, _ in self.operands)


def _products(op: Any) -> list[_Product]:
    if isinstance(op, ContractOp):
        (lhs, rhs, result), _ = contraction_dims(op.attributes["indexing_maps"])
        return [_Product(((op.lhs, lhs), (op.rhs, rhs)), result)]
    if not isinstance(op, AttentionOp):
        return []
    b = tuple(range(len(shape(op.query)) - 2))
    row, column, k = len(b), len(b) + 1, len(b) + 2
    scores, sums = (*b, row, column), (*b, row, k)
    return [
        _Product(((op.query, (*b, row, k)), (op.key, (*b, column, k))), scores),
        _Product(((None, sums), (op.value, (*b, k, column))), scores),
    ]


def read_in_place(view: ViewOp, device: DeviceKind, promotes: bool) -> Verdict:
    """Whether all readers of ``view`` read through it, each operand of theirs judged by itself.

    ``promotes``: whether the target's kernels have tiles in shared memory.
    """
    readers = [use.owner.opview for use in view.result.uses]
    if readers and all(isinstance(reader, GatherElementsOp) for reader in readers):
        return Verdict(True, "looked up element by element, wherever they lie")
    if device != "vulkan":
        return Verdict(False, "packed by IREE's CPU code, in any order")
    if movement(view) != "transpose":
        return Verdict(False, "repeated or picked where its reader cannot do so")
    for reader in readers:
        taking = [p for p in _products(reader) if p.has(view.result)]
        if not taking or _masks(reader, view.result):
            return Verdict(False, "its reader wants another order than its producer gives")
        for product in taking:
            verdict = _suits(product, view, promotes)
            if not verdict.taken:
                return verdict
    return Verdict(bool(readers), "read in place by the sum of products")


def _masks(op: Any, value: Any) -> bool:
    """Whether ``value`` is the mask of an attention."""
    return isinstance(op, AttentionOp) and op.mask is not None and op.mask == value


def _suits(product: _Product, view: ViewOp, promotes: bool) -> Verdict:
    if promotes and any(v is not None and is_weight(v) for v, _ in product.operands):
        return Verdict(False, "tiles in shared memory want the rows of a linear layer in one loop")
    readings: list[Reading] = []
    for value, loops in product.operands:
        if value is None:
            continue
        physical = tuple(loops[axis] for axis in layout_of(value).order)
        plain = Reading.plain(physical, [shape(value)[a] for a in layout_of(value).order])
        maker = producer(value)
        reading = through(maker, physical) if isinstance(maker, ViewOp) else plain
        if value == view.result:
            if reading is None:
                return Verdict(False, "more than reshapes, slices and one transpose")
            if not _is_contiguous(reading, product.result):
                return Verdict(False, "its reader would read it in steps, not vec4")
        readings.append(reading or plain)
    if common_parts(readings) is None:
        return Verdict(False, "two operands would split a loop at places that do not nest")
    return Verdict(True, "")


def _is_contiguous(reading: Reading, result: Sequence[int]) -> bool:
    """Whether memory is read along the columns or along the sum, innermost part of that loop."""
    if not reading.axes:
        return True
    loop, part = reading.axes[-1]
    return part == len(reading.parts[loop]) - 1 and (loop == result[-1] or loop not in result)


def patches_in_place(op: ConvOp, device: DeviceKind, limits: KernelLimits | None) -> Verdict:
    """Whether the convolution ``op`` reads windows that lie side by side from the image, summing
    over rows, columns and channels as loops of their own. ``limits`` are the target's.

    IREE builds a sum over several loops wrong in one of its pipelines
    (docs/iree-miscompiles.md), so this is for sizes that we have tiles for.
    """
    if not is_product(op):
        return Verdict(False, "no windows side by side")
    if all(size == 1 for size in window_of(op).kernel):
        return Verdict(False, "windows of one element are rows already")
    if device != "vulkan":
        return Verdict(False, "packed by IREE's CPU code, in any order")
    if limits is None:
        return Verdict(False, "no tiles of ours for the target")
    if limits.shared_bytes:
        return Verdict(False, "tiles in shared memory want the sum in one loop")
    patches = Patches.of(op)
    maps = (patches.image, patches.weight, patches.result)
    product = merged_product(maps, patches.extents)
    if product.extents[product.reductions[-1]] % _LANES:
        return Verdict(False, "its reader would read it in steps, not vec4")
    if tile_contraction(product, limits) is None:
        return Verdict(False, "no tiles for its sizes")
    return Verdict(True, "read in place by the sum of products")


def merged_product(maps: Sequence[Map], extents: Sequence[int]) -> Contraction:
    """The loops that IREE meets: neighbours merged, and none of a single step. ``maps`` are the
    loops along which the two operands and the result lie.
    """
    groups = merge_groups(maps, len(extents))
    sizes = [prod(extents[loop] for loop in group) for group in groups]
    long = [i for i, size in enumerate(sizes) if size > 1]
    leaders = {groups[i][0]: number for number, i in enumerate(long)}

    def merged(loops: Map) -> Map:
        return tuple(leaders[loop] for loop in loops if loop in leaders)

    lhs, rhs, result = map(merged, maps)
    return Contraction(tuple(sizes[i] for i in long), lhs, rhs, result)
