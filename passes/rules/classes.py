"""What kind of op each op is, in the two systems that layout work and fusion reason in.

**SmartMem's quadrants** (SmartMem, ASPLOS'24, tables 3 and 4): does the speed of an op depend on
the layout of its input (ILD) or not (ILI), and may it choose the layout of its output (Variable),
or does that follow from input and attributes (Fixed)?

**DNNFusion's mapping types** (PLDI'21, table 2): how elements of the result relate to elements of
the input, from One-to-One to Many-to-Many.

The class of an op can depend on its operands: a view on its index map, an elementwise op on whether
its operands lie alike and whether one is repeated.
"""

from dataclasses import dataclass
from typing import Any, Literal

from smartmem.dialects import algebra
from smartmem.dialects._mlir import ir
from smartmem.dialects.algebra import IndexMap, Slice, Transpose
from smartmem.dialects.layout import ops
from smartmem.dialects.layout.attributes import repr_of
from smartmem.dialects.layout.maps import to_index_map
from smartmem.dialects.layout.ops import shape

Dependence = Literal["ILD", "ILI"]
Output = Literal["Variable", "Fixed"]
Mapping = Literal["One-to-One", "One-to-Many", "Many-to-Many", "Reorganize", "Shuffle"]


@dataclass(frozen=True)
class OpClass:
    """An op's place in both systems."""

    dependence: Dependence
    output: Output
    mapping: Mapping

    def __str__(self) -> str:
        """``ILD-Variable, Many-to-Many``."""
        return f"{self.dependence}-{self.output}, {self.mapping}"


_COMPUTES = OpClass("ILD", "Variable", "Many-to-Many")
_LOOKS_UP = OpClass("ILI", "Fixed", "One-to-Many")
_PICKS = OpClass("ILI", "Fixed", "One-to-One")

_BY_NAME: dict[str, OpClass] = {
    **{
        op.OPERATION_NAME: _COMPUTES
        for op in (
            ops.ContractOp,
            ops.ConvOp,
            ops.PoolOp,
            ops.ReduceOp,
            ops.SoftmaxOp,
            ops.LayerNormOp,
            ops.AttentionOp,
            ops.ArgsortOp,
            ops.ArgReduceOp,
            ops.ScanOp,
            ops.ScatterOp,
        )
    },
    **{op.OPERATION_NAME: _LOOKS_UP for op in (ops.GatherOp, ops.GatherElementsOp)},
    **{op.OPERATION_NAME: _PICKS for op in (ops.ConcatOp, ops.PadOp)},
    ops.RelayoutOp.OPERATION_NAME: OpClass("ILD", "Fixed", "Shuffle"),
    ops.WeightOp.OPERATION_NAME: OpClass("ILI", "Variable", "One-to-One"),
}


def classify(op: Any) -> OpClass:
    """The class of a layout op, as its operands lie now."""
    if isinstance(op, ops.ViewOp):
        return _CLASSES[movement(op)]
    if isinstance(op, ops.ElementwiseOp):
        return _elementwise(op)
    return _BY_NAME[op.operation.name]


def _elementwise(op: Any) -> OpClass:
    full = [v for v in op.operands if shape(v) == shape(op.result)]
    alike = len({str(repr_of(ir.RankedTensorType(v.type)).layout) for v in full}) < 2
    repeats = len(full) < len(list(op.operands))
    return OpClass(
        "ILI" if alike else "ILD", "Variable", "One-to-Many" if repeats else "One-to-One"
    )


Movement = Literal["reshape", "transpose", "slice", "broadcast", "gather"]

_CLASSES: dict[Movement, OpClass] = {
    "reshape": OpClass("ILD", "Fixed", "Reorganize"),
    "transpose": OpClass("ILD", "Fixed", "Shuffle"),
    "slice": _PICKS,
    "broadcast": OpClass("ILD", "Fixed", "One-to-Many"),
    "gather": _LOOKS_UP,
}


def movement(view: Any) -> Movement:
    """What a view does with the elements, by the costliest of its steps."""
    affine = ir.AffineMapAttr(view.attributes["index_map"]).value
    return _movement(to_index_map(affine, shape(view.result), shape(view.input)))


def _movement(index_map: IndexMap) -> Movement:
    steps = algebra.factor(index_map)
    if steps is None:
        return "gather"
    transposes = [step for step in steps if isinstance(step, Transpose)]
    if any(
        source is None and size > 1
        for step in transposes
        for source, size in zip(step.sources, step.shape, strict=True)
    ):
        return "broadcast"
    if transposes:
        return "transpose"
    return "slice" if any(isinstance(step, Slice) for step in steps) else "reshape"
