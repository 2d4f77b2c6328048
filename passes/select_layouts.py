"""Every tensor gets its layout, once: ops say what they take and give (``rules/layouts.py``).

    %1 = layout.view %0 (NHWC -> NCHW)          %1 = layout.view %0 : tensor<.., #repr<[0,2,3,1]>>
    %2 = layout.conv %1, %w               ==>   %2 = layout.conv %1, %w : (.., #repr<[2,3,1,0]>)
    %3 = layout.elementwise %2, %b              %3 = layout.elementwise .. : .. #repr<[0,2,3,1]>

A need is met, in this order: by writing a view or packing a weight in that layout where all its
users take it (free), by loading the weight a second time in that layout (bytes in the archive), by
a relayout (a copy, counted). On entry: row-major everywhere. On exit: every result type carries its
layout; the function's arguments and results stay row-major.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build, weights
from smartmem.dialects.layout.attributes import repr_of, with_repr
from smartmem.dialects.layouts import Layout, Repr
from smartmem.passes.base import PassReport, block_ops, functions, result_bytes
from smartmem.passes.rules import layouts


def _layout(value: Any) -> Layout:
    return repr_of(ir.RankedTensorType(value.type)).layout


def _set_layout(value: Any, layout: Layout) -> None:
    value.set_type(with_repr(ir.RankedTensorType(value.type), Repr(layout, "buffer")))


def _wants(op: Any, value: Any) -> set[Layout]:
    """The layouts that ``op`` insists on for ``value``."""
    if op.operation.name == "func.return":
        return {layouts.row_major(value)}
    operands = list(op.operation.operands)
    choice = layouts.choose(op, [_layout(v) for v in operands])
    needs = zip(operands, choice.operands, strict=True)
    return {wanted for operand, wanted in needs if operand == value and wanted is not None}


def _all_take(value: Any, layout: Layout) -> bool:
    """Whether every user of ``value`` takes it in ``layout``."""
    return all(_wants(use.owner.opview, value) <= {layout} for use in value.uses)


class _Selection:
    """Needs met so far: one relayout or weight load per value and layout."""

    def __init__(self) -> None:
        self._copies: dict[tuple[Any, Layout], Any] = {}
        self.relayouts: list[Any] = []

    def meet(self, value: Any, wanted: Layout, before: Any) -> Any:
        """``value`` in the layout ``wanted``, for use by the op ``before``."""
        if _layout(value) == wanted:
            return value
        if (value, wanted) in self._copies:
            return self._copies[value, wanted]
        if self.offer(value, wanted):
            return value
        if layouts.is_weight(value):
            met = self._reloaded(value, wanted)
        else:
            met = self._relaid(value, wanted, before)
        self._copies[value, wanted] = met
        return met

    def offer(self, value: Any, wanted: Layout) -> bool:
        """Make ``value`` in the layout ``wanted`` where that is free and suits all its users;
        whether it was.
        """
        free = layouts.is_free_view(value) or layouts.is_weight(value)
        if not free or not _all_take(value, wanted):
            return False
        _set_layout(value, wanted)
        return True

    def _reloaded(self, value: Any, wanted: Layout) -> Any:
        op = value.owner.opview
        kind = with_repr(ir.RankedTensorType(value.type), Repr(wanted, "buffer"))
        with ir.InsertionPoint(op), op.location:
            return weights.again(op, kind)

    def _relaid(self, value: Any, wanted: Layout, before: Any) -> Any:
        kind = with_repr(ir.RankedTensorType(value.type), Repr(wanted, "buffer"))
        with ir.InsertionPoint(before), before.location:
            met = build.relayout(value, kind)
        self.relayouts.append(met)
        return met


def _select(selection: _Selection, op: Any) -> None:
    operands = list(op.operation.operands)
    choice = layouts.choose(op, [_layout(v) for v in operands])
    for index, wanted in enumerate(choice.operands):
        if wanted is not None:
            op.operation.operands[index] = selection.meet(operands[index], wanted, op)
    for value, wanted in zip(operands, choice.prefers, strict=False):
        if wanted is not None:
            selection.offer(value, wanted)
    _set_layout(op.operation.results[0], choice.result)


@dataclass(frozen=True)
class SelectLayoutsPass:
    """One sweep in program order: a value's layout is known before its first use."""

    name: ClassVar[str] = "smartmem-select-layouts"

    def run(self, module: Any) -> PassReport:
        """Assign layouts; what leaves the function is row-major."""
        selection = _Selection()
        for function in functions(module):
            for op in block_ops(function):
                if op.operation.name == "func.return":
                    for index, value in enumerate(list(op.operation.operands)):
                        row_major = layouts.row_major(value)
                        op.operation.operands[index] = selection.meet(value, row_major, op)
                elif op.operation.name.startswith("layout.") and op.operation.operands:
                    _select(selection, op)
        return PassReport(
            self.name,
            {
                "relayouts": len(selection.relayouts),
                "relayout_bytes": sum(result_bytes(v) for v in selection.relayouts),
            },
        )
