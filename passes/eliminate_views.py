"""Chains of views become one view, and views that change nothing disappear.

    %0 = layout.view %x {(d0, d1) -> (d1, d0)}
    %1 = layout.view %0 {(d0, d1) -> (d1, d0)}    ==>    uses of %1 read %x

Two views that are each a few reshapes, slices and one transpose (``algebra.factor``) stay apart
where their composition would be a gather with divisions: two cheap copies are better. Without (rows
read one element further on each) it costs a sum per element. A view that is a gather already (a
roll) takes in its neighbours at no cost. On entry and exit: valid layout dialect; the
reprs of results do not change.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from smartmem.dialects import algebra
from smartmem.dialects._mlir import ir
from smartmem.dialects.algebra import IndexMap
from smartmem.dialects.expressions import divides
from smartmem.dialects.layout.maps import to_affine_map, to_index_map
from smartmem.dialects.layout.ops import ViewOp, shape
from smartmem.passes.base import PassReport, block_ops, erase_unused, functions, result_bytes


def index_map_of(view: Any) -> IndexMap:
    """The view's map as a value."""
    affine = ir.AffineMapAttr(view.attributes["index_map"]).value
    return to_index_map(affine, shape(view.result), shape(view.input))


def _producer_view(value: Any) -> Any | None:
    owner = value.owner
    if isinstance(owner, ir.Block):
        return None
    view = owner.opview
    return view if isinstance(view, ViewOp) else None


def _is_gather(index_map: IndexMap) -> bool:
    return algebra.factor(index_map) is None


def _divides(index_map: IndexMap) -> bool:
    return any(divides(expr) for expr in index_map.results)


def _compose_into(view: Any) -> None:
    """Let ``view`` read its producer's input for as long as the composed map stays cheap."""
    while (producer := _producer_view(view.operands[0])) is not None:
        outer, inner = index_map_of(view), index_map_of(producer)
        composed = algebra.compose(outer, inner)
        apart = not (_is_gather(outer) or _is_gather(inner))
        if apart and _is_gather(composed) and _divides(composed):
            return
        view.operation.operands[0] = producer.operands[0]
        view.operation.attributes["index_map"] = ir.AffineMapAttr.get(to_affine_map(composed))


def _drop_identity(view: Any) -> None:
    source, result = view.operands[0], view.results[0]
    if source.type == result.type and index_map_of(view).is_identity():
        result.replace_all_uses_with(source)


def _views(module: Any) -> list[Any]:
    return [op for f in functions(module) for op in block_ops(f) if isinstance(op, ViewOp)]


@dataclass(frozen=True)
class EliminateViewsPass:
    """Compose views along every chain, in program order, then remove what nobody reads."""

    name: ClassVar[str] = "smartmem-eliminate-views"

    def run(self, module: Any) -> PassReport:
        """One sweep reaches the fixpoint: a view's producers are done before it."""
        before = _views(module)
        bytes_before = sum(result_bytes(v.results[0]) for v in before)
        count_before = len(before)
        for view in before:
            _compose_into(view)
            _drop_identity(view)
        for function in functions(module):
            erase_unused(function)
        after = _views(module)
        return PassReport(
            self.name,
            {
                "views_before": count_before,
                "views_after": len(after),
                "view_bytes_before": bytes_before,
                "view_bytes_after": sum(result_bytes(v.results[0]) for v in after),
            },
        )
