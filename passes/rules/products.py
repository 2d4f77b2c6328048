"""Which products of one tensor are made by one kernel: facts about contractions, no change of IR.

Products that differ in a constant weight only, and stand side by side in the program, can be one
with the weights side by side. It pays where no product takes a function along that the others do
not have: that would be a kernel of its own behind the joined one (a gate and what it gates, say).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from smartmem.dialects._mlir import arith, ir
from smartmem.dialects.layout.maps import contraction_dims
from smartmem.dialects.layout.ops import (
    AttentionOp,
    ContractOp,
    ConvOp,
    ElementwiseOp,
    ViewOp,
    WeightOp,
    element_type,
    shape,
)
from smartmem.passes.analysis.joins import producer, uses
from smartmem.passes.base import result_bytes
from smartmem.passes.rules.classes import movement

_SUMS = (AttentionOp, ContractOp, ConvOp)
# Columns are read where they lie in whole vec4.
_LANES = 4
# What every Vulkan device lets a kernel see of one buffer (maxStorageBufferRange).
_MOST_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Product:
    """A contraction with a weight that only it reads, ``weight_axis`` of which is ``axis`` of the
    result.
    """

    op: ContractOp
    weight: WeightOp
    weight_position: int
    weight_axis: int
    axis: int

    @property
    def given(self) -> Any:
        """The other operand."""
        return self.op.rhs if self.weight_position == 0 else self.op.lhs

    def alike(self, other: "Product") -> bool:
        """Whether both read one tensor, in the same way."""
        return (
            self.given == other.given
            and self.op.attributes["indexing_maps"] == other.op.attributes["indexing_maps"]
            and self.weight_position == other.weight_position
            and element_type(self.weight.result) == element_type(other.weight.result)
            and element_type(self.op.result) == element_type(other.op.result)
            and _less(shape(self.weight.result), self.weight_axis)
            == _less(shape(other.weight.result), other.weight_axis)
        )


def _less(sizes: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*sizes[:axis], *sizes[axis + 1 :])


def _product(op: Any) -> Product | None:
    if not isinstance(op, ContractOp):
        return None
    (lhs, rhs, result), _ = contraction_dims(op.attributes["indexing_maps"])
    for position, (value, own, other) in enumerate(((op.lhs, lhs, rhs), (op.rhs, rhs, lhs))):
        weight = producer(value)
        if not isinstance(weight, WeightOp) or uses(value) > 1:
            continue
        loops = [loop for loop in own if loop in result and loop not in other]
        if len(loops) == 1 and loops[0] == result[-1] and shape(op.result)[-1] % _LANES == 0:
            return Product(op, weight, position, own.index(loops[0]), len(result) - 1)
    return None


def groups(ops: Sequence[Any]) -> Iterator[list[Product]]:
    """The products among ``ops`` that one kernel can make, two or more each, in program order."""
    run: list[Product] = []
    for op in (op for op in ops if isinstance(op, _SUMS)):
        product = _product(op)
        if product is not None and run and run[-1].alike(product):
            run.append(product)
            continue
        if _pays(run):
            yield run
        run = [product] if product is not None else []
    if _pays(run):
        yield run


def _pays(products: Sequence[Product]) -> bool:
    if len(products) < 2 or sum(result_bytes(p.weight.result) for p in products) > _MOST_BYTES:
        return False
    steps = followers(products)
    ends = [op.result for op in steps[-1]] if steps else [p.op.result for p in products]
    readers = [reader for end in ends for reader in _readers(end)]
    if any(not reader.operation.name.startswith("layout.") for reader in readers):
        return False
    apart = {
        reader.operation
        for reader in readers
        if isinstance(reader, ElementwiseOp) and reader.result.type == reader.operands[0].type
    }
    return 1 + len(apart) < len(products)


def _readers(value: Any) -> list[Any]:
    """The ops that read ``value``, be it in another shape."""
    found: list[Any] = []
    for use in value.uses:
        reader = use.owner.opview
        reshapes = isinstance(reader, ViewOp) and movement(reader) == "reshape"
        found += _readers(reader.result) if reshapes else [reader]
    return found


def followers(products: Sequence[Product]) -> list[list[ElementwiseOp]]:
    """The elementwise ops that follow all ``products`` alike, step by step, each with one op per
    product.
    """
    steps: list[list[ElementwiseOp]] = []
    ends = [p.op.result for p in products]
    while True:
        step = [next(iter(end.uses)).owner.opview for end in ends if uses(end) > 0]
        read_once = len(step) == len(ends) and all(
            isinstance(op, ElementwiseOp)
            and all(use.owner == op.operation for use in end.uses)
            and shape(op.result) == shape(end)
            for op, end in zip(step, ends, strict=True)
        )
        if not read_once:
            return steps
        forms = [_form(op, end) for op, end in zip(step, ends, strict=True)]
        if None in forms or any(form != forms[0] for form in forms):
            return steps
        steps.append(step)
        ends = [op.result for op in step]


def _form(op: ElementwiseOp, given: Any) -> tuple[Any, ...] | None:
    """What ``op`` does with ``given``: its function, and what each operand is; None where one is
    neither ``given``, nor a scalar constant, nor a weight along the last dim.
    """
    operands: list[Any] = []
    for value in op.operands:
        made: Any = producer(value)
        if value == given:
            operands.append("given")
        elif isinstance(made, arith.ConstantOp) and not shape(value):
            operands.append(made.attributes["value"])
        elif isinstance(made, WeightOp) and shape(value) == shape(given)[-1:]:
            operands.append(element_type(value))
        else:
            return None
    return (ir.StringAttr(op.attributes["fn"]).value, element_type(op.result), *operands)
