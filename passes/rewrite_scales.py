"""A constant that scales columns of a tensor is multiplied where the tensor is made.

    %q = layout.view %x (columns 0 to 31)        %y = layout.elementwise %x, [0.25, ..., 1.0, ...]
    %s = layout.elementwise %q, 0.25 {"mul"}     %s = layout.view %y (columns 0 to 31)
    %k = layout.view %x (columns 32 to 63)  ==>  %k = layout.view %y (columns 32 to 63)

Attention scales its queries, which are cut out of one product with the keys and values: a kernel
that reads and writes them all, only to multiply by a constant, and it keeps the product behind it
from reading them where they lie. In the kernel that makes the tensor the multiplication costs
nothing. Every element is multiplied by what it was, the others by 1, so no result changes.

On entry and exit: valid layout dialect, row-major everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from smartmem.dialects import algebra
from smartmem.dialects._mlir import arith, ir
from smartmem.dialects.layout import build
from smartmem.dialects.layout.ops import (
    ContractOp,
    ElementwiseOp,
    ViewOp,
    element_type,
    shape,
)
from smartmem.passes.analysis.joins import producer, uses
from smartmem.passes.base import PassReport, block_ops, erase_unused, functions
from smartmem.passes.eliminate_views import index_map_of

# The factors are a constant of the module, as text.
_MOST_COLUMNS = 16384


@dataclass(frozen=True)
class _Scale:
    """``op`` multiplies all that ``view`` shows by ``factor``."""

    op: ElementwiseOp
    view: ViewOp
    factor: float


def _scale(view: Any) -> _Scale | None:
    """The multiplication by a constant that alone reads ``view``."""
    if uses(view.result) != 1:
        return None
    op = next(iter(view.result.uses)).owner.opview
    if not isinstance(op, ElementwiseOp) or ir.StringAttr(op.attributes["fn"]).value != "mul":
        return None
    others = [value for value in op.operands if value != view.result]
    factor = _scalar(others[0]) if len(others) == 1 else None
    return None if factor is None else _Scale(op, view, factor)


def _scalar(value: Any) -> float | None:
    """A float constant without dims."""
    op = producer(value)
    if op is None or not isinstance(op, arith.ConstantOp) or shape(value):
        return None
    held = op.attributes["value"]
    if not isinstance(held, ir.DenseFPElementsAttr):
        return None
    return ir.FloatAttr(held.get_splat_value()).value


def _columns(view: ViewOp) -> frozenset[int]:
    """The positions along the last dim of its input that ``view`` reads."""
    read = algebra.evaluate(index_map_of(view))[-1]
    once = read[tuple(slice(1) if stride == 0 else slice(None) for stride in read.strides)]
    return frozenset(np.unique(once).tolist())


def _is_run(columns: frozenset[int]) -> bool:
    """Whether ``columns`` lie side by side, so that a kernel can tell them by their position."""
    return max(columns) - min(columns) + 1 == len(columns)


def _scales(value: Any) -> list[_Scale]:
    """The multiplications behind views of ``value`` that can move before all of them."""
    views = [use.owner.opview for use in value.uses]
    maker = producer(value)
    if not isinstance(maker, (ContractOp, ElementwiseOp)) or len(views) < 2:
        return []
    if not all(isinstance(view, ViewOp) for view in views):
        return []
    if not shape(value) or shape(value)[-1] > _MOST_COLUMNS:
        return []
    found = [s for v in views if (s := _scale(v)) is not None and _is_run(_columns(s.view))]
    if not found:
        return []
    columns = {view: _columns(view) for view in views}
    return [
        scale
        for scale in found
        if all(
            not columns[view] & columns[scale.view]
            for view in views
            if view.operation != scale.view.operation
        )
    ]


def _multiplied(value: Any, scales: Sequence[_Scale]) -> Any:
    """``value`` with the columns of each scale multiplied, after the op that makes it."""
    kind, count = element_type(value), shape(value)[-1]
    factors = [1.0] * count
    for scale in scales:
        for column in _columns(scale.view):
            factors[column] = scale.factor
    held = build.tensor_of((count,), kind)
    items = [ir.FloatAttr.get(kind, factor) for factor in factors]
    constant = arith.ConstantOp(held, ir.DenseElementsAttr.get(items, type=held)).result
    return build.elementwise("mul", value, constant)


def _rewrite(value: Any, scales: Sequence[_Scale]) -> None:
    readers = [use.owner for use in value.uses]
    with ir.InsertionPoint.after(value.owner), scales[0].op.location:
        scaled = _multiplied(value, scales)
    for reader in readers:
        reader.operation.operands[0] = scaled
    for scale in scales:
        scale.op.result.replace_all_uses_with(scale.view.result)


@dataclass(frozen=True)
class RewriteScalesPass:
    """Every tensor by itself, in program order."""

    name: ClassVar[str] = "smartmem-rewrite-scales"

    def run(self, module: Any) -> PassReport:
        """Move multiplications, then remove what nobody reads."""
        moved = 0
        for function in functions(module):
            for op in block_ops(function):
                if isinstance(op, (ContractOp, ElementwiseOp)) and (scales := _scales(op.result)):
                    _rewrite(op.result, scales)
                    moved += len(scales)
            erase_unused(function)
        return PassReport(self.name, {"multiplications_moved": moved})
