"""Products of one tensor with several weights are one product with all of them side by side.

    %q = layout.contract %x, %wq            %y = layout.contract %x, %w (wq, wk and wv stacked)
    %k = layout.contract %x, %wk      ==>   %q = layout.view %y (columns 0 to 63)
    %v = layout.contract %x, %wv            %k = layout.view %y (columns 64 to 127)
                                            %v = layout.view %y (columns 128 to 191)

Attention makes its queries, keys and values of one tensor: three kernels that read it three times.
The weights are stacked in the archive, ahead of time, as are those of elementwise ops that all
products have behind them; who reads a product reads its columns where they lie. Which ones,
``rules/products.py`` says. On entry and exit: valid layout dialect, row-major everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build, weights
from smartmem.dialects.layout.ops import ContractOp, ElementwiseOp, element_type, shape
from smartmem.passes.analysis.joins import producer
from smartmem.passes.base import PassReport, block_ops, erase_unused, functions
from smartmem.passes.rules.layouts import is_weight
from smartmem.passes.rules.products import Product, followers, groups


def _fuse(products: Sequence[Product]) -> None:
    """Put one product, and what follows them all, before the first of ``products``."""
    first, steps = products[0], followers(products)
    ends = [op.result for op in steps[-1]] if steps else [p.op.result for p in products]
    columns = [shape(end)[first.axis] for end in ends]
    with ir.InsertionPoint(first.op), first.op.location:
        value = _joined(products)
        for step in steps:
            value = _followed(value, step)
        for end, size, stop in zip(ends, columns, accumulate(columns), strict=True):
            starts, sizes = [0] * len(shape(value)), list(shape(value))
            starts[first.axis], sizes[first.axis] = stop - size, size
            shown = build.slice_(value, starts, sizes, [1] * len(sizes))
            end.replace_all_uses_with(shown)


def _joined(products: Sequence[Product]) -> Any:
    """The product with all weights."""
    first = products[0]
    operands = [first.op.lhs, first.op.rhs]
    operands[first.weight_position] = weights.stack([p.weight for p in products], first.weight_axis)
    sizes = list(shape(first.op.result))
    sizes[first.axis] = sum(shape(p.op.result)[first.axis] for p in products)
    kind = build.tensor_of(sizes, element_type(first.op.result))
    return ContractOp(*operands, kind, first.op.attributes["indexing_maps"]).result


def _followed(value: Any, step: Sequence[ElementwiseOp]) -> Any:
    """What each op of ``step`` does with its product, done with the joined ``value``."""
    operands: list[Any] = []
    for sides in zip(*[op.operands for op in step], strict=True):
        made = [producer(side) for side in sides]
        if is_weight(sides[0]):
            operands.append(weights.stack(made, 0))
        elif not shape(sides[0]):
            # It may stand behind this place.
            operands.append(sides[0].owner.clone().results[0])
        else:
            operands.append(value)
    fn, element = step[0].attributes["fn"], element_type(step[0].result)
    return build.elementwise(ir.StringAttr(fn).value, *operands, element=element)


@dataclass(frozen=True)
class FuseProductsPass:
    """Every run of products by itself, in program order."""

    name: ClassVar[str] = "smartmem-fuse-products"

    def run(self, module: Any) -> PassReport:
        """Join products, then remove what nobody reads."""
        before = after = 0
        for function in functions(module):
            for products in list(groups(block_ops(function))):
                _fuse(products)
                before += len(products)
                after += 1
            erase_unused(function)
        return PassReport(self.name, {"products_joined": before, "products_made": after})
