"""Which layouts each op takes and gives: facts about ops, no change of IR.

A rule looks at one op and the layouts its operands have now, and answers with a ``Choice``: the
layout every operand must have and the one the result gets. An op without a rule is a barrier:
row-major in, row-major out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import ops
from smartmem.dialects.layout.maps import contraction_dims
from smartmem.dialects.layout.ops import shape
from smartmem.dialects.layouts import Layout
from smartmem.passes.analysis.joins import is_assembled, producer
from smartmem.passes.analysis.windows import Window


@dataclass(frozen=True)
class Choice:
    """``operands``: the layout needed of each, ``None`` where any order will do; ``result``: the
    layout given.

    ``prefers``: per operand, the layout taken where it costs nothing.
    """

    operands: tuple[Layout | None, ...]
    result: Layout
    prefers: tuple[Layout | None, ...] = ()


Rule = Callable[[Any, Sequence[Layout]], Choice]

RULES: dict[str, Rule] = {}


def _rule(op_class: Any) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES[op_class.OPERATION_NAME] = rule
        return rule

    return register


def row_major(value: Any) -> Layout:
    """The layout of a tensor without an encoding."""
    return Layout.row_major(len(shape(value)))


def choose(op: Any, given: Sequence[Layout]) -> Choice:
    """What ``op`` does with operands in the layouts ``given``."""
    rule = RULES.get(op.operation.name)
    if rule is not None:
        return rule(op, given)
    return Choice(tuple(row_major(v) for v in op.operands), row_major(op.results[0]))


@_rule(ops.ConvOp)
def conv(op: Any, given: Sequence[Layout]) -> Choice:
    """Channels innermost: the reduction dim lies contiguous and the padded dims are never
    innermost.

    The kernel is [window, C, O] so that its reads run along the output channels, as the result's
    writes do. Windows side by side are a contraction, which reads its input in any order: a patch
    embedding takes the image as it comes, channels last where that is free.
    """
    rank = len(shape(op.input))
    last = Layout.channels_last(rank)
    kernel = Layout((*range(2, rank), 1, 0))
    contraction = (
        Window.of(op, shape(op.weight)[2:]).side_by_side()
        and ir.IntegerAttr(op.attributes["groups"]).value == 1
    )
    prefers = (last, None) if contraction else ()
    return Choice((None if contraction else last, kernel), last, prefers)


@_rule(ops.PoolOp)
def pool(op: Any, given: Sequence[Layout]) -> Choice:
    """Windows do not care: the layout of the input goes through."""
    return Choice((None,), given[0])


@_rule(ops.PadOp)
def pad(op: Any, given: Sequence[Layout]) -> Choice:
    """Tied: the layout of the input goes through."""
    return Choice((given[0],), given[0])


@_rule(ops.ElementwiseOp)
def elementwise(op: Any, given: Sequence[Layout]) -> Choice:
    """The layout of the largest operand of full rank that has one of its own; the others are
    indexed for free.
    """
    rank = len(shape(op.result))
    full = [
        (v, layout)
        for v, layout in zip(op.operands, given, strict=True)
        if shape(v) == shape(op.result) and not layout.is_default
    ]
    result = full[0][1] if full else Layout.row_major(rank)
    prefers = tuple(result if shape(v) == shape(op.result) else None for v in op.operands)
    return Choice((None,) * len(given), result, prefers)


@_rule(ops.ReduceOp)
def reduce(op: Any, given: Sequence[Layout]) -> Choice:
    """Any order in; what is left of it is row-major when only batch and channel are left."""
    return Choice((None,), row_major(op.result))


@_rule(ops.ConcatOp)
def concat(op: Any, given: Sequence[Layout]) -> Choice:
    """All in one layout: the one most inputs have, the first of them where there are several. What
    one kernel assembles reads its pieces in any.
    """
    common = max(given, key=lambda layout: sum(g == layout for g in given))
    return Choice((None if is_assembled(op) else common,) * len(given), common)


@_rule(ops.ContractOp)
def contract(op: Any, given: Sequence[Layout]) -> Choice:
    """A weight lies K x N, its columns contiguous as the result's are; other operands are read in
    any order.
    """
    wanted: list[Layout | None] = [None, None]
    for position, value in enumerate((op.lhs, op.rhs)):
        if is_weight(value):
            wanted[position] = _columns_innermost(op, position)
    return Choice(tuple(wanted), row_major(op.result))


def _columns_innermost(op: Any, position: int) -> Layout:
    maps, _ = contraction_dims(op.attributes["indexing_maps"])
    mine, result = maps[position], maps[-1]
    order = sorted(range(len(mine)), key=lambda axis: (mine[axis] in result, axis))
    return Layout(tuple(order))


@_rule(ops.ViewOp)
def view(op: Any, given: Sequence[Layout]) -> Choice:
    """An index map reads any order at no cost; the result is row-major unless its consumers ask
    otherwise.
    """
    return Choice((None,), row_major(op.result))


@_rule(ops.AttentionOp)
def attention(op: Any, given: Sequence[Layout]) -> Choice:
    """Any order in, row-major out."""
    return Choice((None,) * len(given), row_major(op.result))


@_rule(ops.GatherOp)
def gather(op: Any, given: Sequence[Layout]) -> Choice:
    """Positions along one dim leave the order as it is; else any order in, row-major out."""
    kept = given[0] if len(shape(op.indices)) == 1 else row_major(op.result)
    return Choice((None, None), kept)


def _row_major_throughout(op: Any, given: Sequence[Layout]) -> Choice:
    """Row-major in and out: each element is looked up by a computed position in any case."""
    return Choice(tuple(row_major(v) for v in op.operands), row_major(op.results[0]))


for _op in (ops.GatherElementsOp, ops.ScatterOp, ops.ArgsortOp, ops.ArgReduceOp):
    _rule(_op)(_row_major_throughout)


@_rule(ops.ScanOp)
def scan(op: Any, given: Sequence[Layout]) -> Choice:
    """Tied: keeps its input's layout."""
    return Choice((given[0],), given[0])


@_rule(ops.SoftmaxOp)
def softmax(op: Any, given: Sequence[Layout]) -> Choice:
    """Tied: keeps its input's layout."""
    return Choice((given[0],), given[0])


@_rule(ops.LayerNormOp)
def layer_norm(op: Any, given: Sequence[Layout]) -> Choice:
    """Tied: keeps its input's layout."""
    return Choice((given[0], *(row_major(v) for v in list(op.operands)[1:])), given[0])


def is_weight(value: Any) -> bool:
    """Whether a value comes straight from the archive, where any layout is free."""
    owner = value.owner
    return not isinstance(owner, ir.Block) and owner.name == ops.WeightOp.OPERATION_NAME


def is_free_view(value: Any) -> bool:
    """Whether a value is a view, a relayout or an assembled join: what it is written as costs
    nothing extra.
    """
    op = producer(value)
    return isinstance(op, (ops.ViewOp, ops.RelayoutOp)) or is_assembled(op)
