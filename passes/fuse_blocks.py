"""Ops that become one kernel are marked with one number: a window, and what follows it.

    %1 = layout.conv %0, %w             %1 = layout.conv %0, %w {block = 0}
    %2 = layout.elementwise %1, %b ==>  %2 = layout.elementwise %1, %b {block = 0, fn = "add"}
    %3 = layout.elementwise %2          %3 = layout.elementwise %2 {block = 0, fn = "relu"}

A block starts at a window that ``rules/windows.py`` gives a kernel of its own, and grows by
elementwise readers in the same order of memory, whatever dims are called there, and by the relayout
of what they make. A chain over rows, reductions with what makes the rows and what is made of both,
is a block, too. Only its last op is read from outside, and nothing outside stands between two of
its ops, so it can be lowered where that last op stands. Everything else is left to IREE, which
fuses elementwise chains the same way.

This is DNNFusion's plan (PLDI'21, listing 1), its seeds being the ops that are worth a kernel of
their own instead of One-to-One ops, which IREE fuses by itself: a block grows by what the table of
combinations allows (``rules/fusion.py``), stays convex, and ends where a thread has no registers
for another tile. Beyond the table are sums over the same rows, which one group of lanes holds.

On entry: every tensor has its layout. On exit: valid layout dialect, with ``block`` on the ops of
blocks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, ClassVar

from smartmem.dialects import algebra
from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.build import tensor_of
from smartmem.dialects.layout.ops import (
    AttentionOp,
    ContractOp,
    ConvOp,
    ElementwiseOp,
    LayerNormOp,
    PoolOp,
    ReduceOp,
    RelayoutOp,
    SoftmaxOp,
    ViewOp,
    element_type,
    shape,
)
from smartmem.passes.analysis.blocks import block_of, mark, mark_row_kernel, most_live
from smartmem.passes.analysis.reads import is_read_in_place
from smartmem.passes.analysis.row_chains import Rows, with_producers
from smartmem.passes.base import PassReport, block_ops, check_device, functions
from smartmem.passes.eliminate_views import index_map_of
from smartmem.passes.rules.classes import classify, movement
from smartmem.passes.rules.fusion import combine
from smartmem.passes.rules.rows import attention_row_kernel, column_kernel, row_kernel
from smartmem.passes.rules.windows import is_pointwise, layout_of, own_kernel, taps_of
from smartmem.passes.target import DeviceKind


def _is_seed(op: Any, device: DeviceKind, lanes: int) -> bool:
    """Whether a block grows from ``op``."""
    if isinstance(op, (ConvOp, PoolOp)):
        return own_kernel(op, device).taken
    return isinstance(op, (LayerNormOp, SoftmaxOp)) and row_kernel(op, device, lanes).taken


def _is_turned_product(op: Any, device: DeviceKind) -> bool:
    """Whether ``op`` is a product that IREE would fuse with what follows, but not write turned.

    Patches of larger windows are written out before their product, which one kernel cannot do.
    """
    product = isinstance(op, ContractOp) or (isinstance(op, ConvOp) and is_pointwise(op))
    return device == "vulkan" and product


def _readers(op: Any) -> list[Any]:
    return [use.owner.opview for result in op.operation.results for use in result.uses]


Fits = Callable[[Any, set[Any]], bool]


def _follows(op: Any, inside: set[Any]) -> bool:
    """Whether ``op`` works on the elements of what is ``inside`` one by one, in their order in
    memory, or only calls them something else.
    """
    if combine("Many-to-Many", classify(op).mapping).colour == "red":
        return False
    if isinstance(op, ViewOp):
        return _is_relabelled(op)
    if not isinstance(op, ElementwiseOp):
        return False
    own = [v for v in op.operands if v in inside]
    return all(shape(v) == shape(op.result) and layout_of(v) == layout_of(op.result) for v in own)


def _computes_alike(op: Any, inside: set[Any]) -> bool:
    """Whether ``op`` follows and has the dims of what is ``inside``, which a chain of sums makes in
    finer loops than its result has dims: a view would stand between them.
    """
    return isinstance(op, ElementwiseOp) and _follows(op, inside)


def _is_relabelled(view: ViewOp) -> bool:
    """Whether ``view`` shows a tensor as it lies in memory, dim by dim."""
    given, made = layout_of(view.input), layout_of(view.result)
    sizes = [
        [shape(v)[a] for a in own.order] for v, own in ((view.input, given), (view.result, made))
    ]
    if sizes[0] != sizes[1]:
        return False
    shown = algebra.compose(index_map_of(view), given.to_logical_map(shape(view.input)))
    return algebra.compose(made.to_physical_map(shape(view.result)), shown).is_identity()


def _grown(anchor: Any, fits: Fits, places: Mapping[Any, float], tiles: int) -> list[Any]:
    """``anchor`` and the ops that follow from it and fit with what is inside, in program order; a
    thread holds ``tiles`` at most.

    ``tainted``: results outside the block that depend on it; an op that reads one would have to
    run both after the block and in it.
    """
    members, inside, tainted = [anchor], {anchor.operation.results[0]}, set[Any]()
    # Readers of what is inside or tainted, by their places, the first of which is next. Once no
    # reader of what is inside is left (``direct``), nothing can join any more.
    waiting = _by_place(_readers(anchor), places)
    order, direct = sorted(waiting), set(waiting)
    while direct:
        place = heappop(order)
        direct.discard(place)
        op = waiting[place]
        clean = not any(v in tainted for v in op.operation.operands)
        free = clean and bool(op.operation.results) and not is_read_in_place(op)
        joins = free and block_of(op) is None and fits(op, inside)
        joins = joins and most_live([*members, op]) <= tiles
        (inside if joins else tainted).update(op.operation.results)
        if joins:
            members.append(op)
        following = _by_place(_readers(op), places)
        for new in following.keys() - waiting.keys():
            heappush(order, new)
        waiting |= following
        direct |= following.keys() if joins else set()
    return members


def _by_place(readers: Sequence[Any], places: Mapping[Any, float]) -> dict[float, Any]:
    """``readers`` that have results, by their places."""
    made = [(reader.operation.results, reader) for reader in readers]
    return {places[results[0]]: reader for results, reader in made if len(results)}


def _with_one_result(members: Sequence[Any]) -> list[Any]:
    """The longest beginning of ``members`` whose last op computes and alone is read outside."""
    for length in range(len(members), 1, -1):
        kept = list(members[:length])
        names = [m.operation for m in kept]
        escaping = [m for m in kept if any(r.operation not in names for r in _readers(m))]
        if escaping == [kept[-1]] and not isinstance(kept[-1], ViewOp):
            return kept
    return [members[0]]


def _written_row_major(last: Any) -> list[Any]:
    """The relayout with which a block ends, if its only reader wants another layout: one that is
    there, or one put before a row-major view that is a mere reshape in the logical order of dims.
    """
    result = last.operation.results[0]
    readers = [use.owner.opview for use in result.uses]
    if len(readers) != 1 or layout_of(result).is_default:
        return []
    if isinstance(readers[0], RelayoutOp):
        return readers
    view = readers[0]
    if not isinstance(view, ViewOp) or not layout_of(view.result).is_default:
        return []
    if movement(view) != "reshape":
        return []
    with ir.InsertionPoint(view), last.location:
        plain = tensor_of(shape(result), element_type(result))
        relayout = RelayoutOp(result, plain)
    view.operation.operands[0] = relayout.result
    return [relayout]


@dataclass(frozen=True)
class FuseBlocksPass:
    """``device``: 'cpu' or 'vulkan'; which windows get a kernel of their own depends on it.

    ``lanes``: how many must share a row equally if it is to have a kernel of its own; ``tiles``:
    how many a thread of a kernel can hold.
    """

    device: DeviceKind = "vulkan"
    lanes: int = 1
    tiles: int = 16
    name: ClassVar[str] = "smartmem-fuse-blocks"

    def __post_init__(self) -> None:
        check_device(self.name, self.device)

    def run(self, module: Any) -> PassReport:
        """One sweep in program order: an op belongs to the first block that reaches it."""
        blocks = fused = 0
        for function in functions(module):
            ops = block_ops(function)
            # By result: marks change what an operation is to a dictionary.
            places = {
                result: float(place)
                for place, op in enumerate(ops)
                for result in op.operation.results
            }
            for op in ops:
                if isinstance(op, AttentionOp):
                    if attention_row_kernel(op, self.device, self.lanes).taken:
                        mark_row_kernel(op)
                    continue
                members = self._members(op, places)
                for member in members:
                    mark(member, blocks)
                blocks += bool(members)
                fused += max(len(members) - 1, 0)
        return PassReport(self.name, {"blocks": blocks, "ops_fused": fused})

    def _members(self, op: Any, places: dict[Any, float]) -> list[Any]:
        """The block that ``op`` begins or, a reduction, is part of."""
        if isinstance(op, ReduceOp):
            return self._row_chain(op, places) or self._columns(op, places)
        product = _is_turned_product(op, self.device)
        if not product and not _is_seed(op, self.device, self.lanes):
            return []
        if taps_of(op) is not None:
            return _with_one_result(_grown(op, _computes_alike, places, self.tiles))
        members = _with_one_result(_grown(op, _follows, places, self.tiles))
        relayouts = _written_row_major(members[-1])
        if product and not relayouts:
            return []
        for relayout in relayouts:
            places.setdefault(relayout.result, places[members[-1].operation.results[0]] + 0.5)
        return members + relayouts

    def _row_chain(self, op: ReduceOp, places: dict[Any, float]) -> list[Any]:
        """``op`` with what makes its rows, up to a tensor of rows made of its statistics; empty
        where there is none.
        """
        rows = Rows.of(op)
        if rows is None or block_of(op) is not None:
            return []
        if not row_kernel(op, self.device, self.lanes).taken:
            return []
        members = _grown(op, rows.takes, places, self.tiles)
        while len(members := _with_one_result(members)) > 1:
            if rows.form(members[-1].operation.results[0]) == "full":
                return with_producers(members, rows, places)
            members = members[:-1]
        return []

    def _columns(self, op: ReduceOp, places: dict[Any, float]) -> list[Any]:
        """``op`` along rows that do not lie innermost, with the functions of its result: left
        alone, it would be fenced off from all that reads it. Empty where there are none.
        """
        if block_of(op) is not None or not column_kernel(op, self.device).taken:
            return []
        members = _with_one_result(_grown(op, _follows, places, self.tiles))
        return members if len(members) > 1 else []
