"""Every tensor gets its layout, once: ops say what they take and give (``rules/layouts.py``), the rest follows.

    %1 = layout.view %0 (NHWC -> NCHW)                   %1 = layout.view %0 : tensor<1x96x56x56, #layout.repr<[0,2,3,1]>>
    %2 = layout.conv %1, %w                        ==>   %2 = layout.conv %1, %w : (..., #layout.repr<[2,3,1,0]>) -> ...
    %3 = layout.elementwise %2, %b                       %3 = layout.elementwise ... : ... #layout.repr<[0,2,3,1]>

A need is met, in this order: by loading a weight in that layout (packed ahead of time, free), by writing a view in it
(free), by a relayout (a copy, counted). On entry: row-major everywhere. On exit: every result type carries its layout;
the function's arguments and results stay row-major.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from smartmem.dialects._mlir import ir
from smartmem.dialects.layouts import Layout, Repr
from smartmem.dialects.layout import build, ops
from smartmem.dialects.layout.attributes import repr_of, with_repr
from smartmem.passes.base import PassReport, block_ops, functions, result_bytes
from smartmem.passes.rules import layouts


def _layout(value: Any) -> Layout:
    return repr_of(ir.RankedTensorType(value.type)).layout


def _set_layout(value: Any, layout: Layout) -> None:
    value.set_type(with_repr(ir.RankedTensorType(value.type), Repr(layout, "buffer")))


def _only_user(value: Any) -> bool:
    return sum(1 for _ in value.uses) == 1


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
        if layouts.is_free_view(value) and _only_user(value):
            _set_layout(value, wanted)
            return value
        if layouts.is_weight(value):
            met = self._reloaded(value, wanted)
        else:
            met = self._relaid(value, wanted, before)
        self._copies[value, wanted] = met
        return met

    def _reloaded(self, value: Any, wanted: Layout) -> Any:
        op = value.owner.opview
        if _only_user(value):
            _set_layout(value, wanted)
            return value
        kind = with_repr(ir.RankedTensorType(value.type), Repr(wanted, "buffer"))
        with ir.InsertionPoint(op), op.location:
            return ops.WeightOp(kind, op.attributes["key"], op.attributes["encoding"]).result

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
