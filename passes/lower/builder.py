"""What every lowering rule needs: physical operands, one way to write a ``linalg.generic``, and
slices of tensors.

A logical tensor with a layout is lowered to a plain tensor of its physical shape. Rules speak in
logical dims; the translation of their index maps into the physical order happens here, so no rule
knows a layout it does not care about.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from smartmem.dialects._mlir import arith, ir, linalg, tensor
from smartmem.dialects.layout.attributes import repr_of
from smartmem.dialects.layout.build import number, tensor_of
from smartmem.dialects.layout.ops import element_type, shape
from smartmem.dialects.layouts import Layout
from smartmem.passes.target import DeviceKind

Value = Any
Scalars = Sequence[Value]
Body = Callable[..., Value]

_RESHAPES = ("tensor.expand_shape", "tensor.collapse_shape")


@dataclass(frozen=True)
class Operand:
    """A physical tensor and, per physical axis, the affine expression over the loop dims that reads
    it.
    """

    value: Value
    exprs: tuple[Any, ...]


def dim(index: int) -> Any:
    """Loop dim ``index`` as an affine expression."""
    return ir.AffineExpr.get_dim(index)


def dims(indices: Sequence[int]) -> tuple[Any, ...]:
    """Several loop dims."""
    return tuple(dim(i) for i in indices)


def empty(sizes: Sequence[int], element: Any) -> Value:
    """A tensor without contents."""
    return tensor.EmptyOp(list(sizes), element).result


def constant(value: float, element: Any) -> Value:
    """A scalar constant."""
    return arith.ConstantOp(element, number(value, element)).result


def index_constant(value: int) -> Value:
    """A constant of index type."""
    return arith.ConstantOp(ir.IndexType.get(), value).result


def loop_number(index: int) -> Value:
    """The position in loop ``index`` of the generic around, as int32."""
    integer = ir.IntegerType.get_signless(32)
    return arith.IndexCastOp(integer, linalg.IndexOp(index).result).result


def filled(value: float, sizes: Sequence[int], element: Any) -> Value:
    """A tensor of one value, as a fill (so that reductions fuse it)."""
    out = empty(sizes, element)
    return linalg.fill(constant(value, element), outs=[out])


def _iterator(kind: str) -> Any:
    return ir.Attribute.parse(f"#linalg.iterator_type<{kind}>")


def reduces(op: Any) -> bool:
    """Whether a ``linalg.generic`` has a reduction loop."""
    return any(kind == _iterator("reduction") for kind in op.attributes["iterator_types"])


def generic(
    inputs: Sequence[Operand], init: Value, out: Sequence[Any], loops: Sequence[str], body: Body
) -> Value:
    """``linalg.generic`` over ``loops`` ('parallel' | 'reduction'), writing ``init`` through
    ``out``.

    ``body`` takes one scalar per input, then the accumulator, and returns the scalar to yield.
    """
    rank = len(loops)
    maps = [ir.AffineMap.get(rank, 0, list(e)) for e in (*[o.exprs for o in inputs], out)]
    op = linalg.GenericOp(
        [init.type],
        [o.value for o in inputs],
        [init],
        ir.ArrayAttr.get([ir.AffineMapAttr.get(m) for m in maps]),
        ir.ArrayAttr.get([_iterator(k) for k in loops]),
    )
    scalars = [element_type(v) for v in (*[o.value for o in inputs], init)]
    block = op.regions[0].blocks.append(*scalars)
    with ir.InsertionPoint(block):
        linalg.YieldOp([body(*block.arguments)])
    return op.results[0]


def pointwise(inputs: Sequence[Operand], sizes: Sequence[int], element: Any, body: Body) -> Value:
    """A generic without reduction whose result has the loops' own order; ``body`` takes one scalar
    per input.
    """
    rank = len(sizes)
    init = empty(sizes, element)
    return generic(
        inputs, init, dims(range(rank)), ["parallel"] * rank, lambda *s: body(*s[: len(inputs)])
    )


@dataclass(frozen=True)
class _Box:
    """A part of ``source``, without gaps. Reshaped before it is cut out it is part of a larger
    tensor still, and read in place by IREE's kernels; cut out first, it is copied.
    """

    source: Value
    starts: Sequence[int]
    sizes: Sequence[int]

    def is_whole(self, axis: int) -> bool:
        """Whether all of ``axis`` is in the box."""
        return self.sizes[axis] == shape(self.source)[axis]

    def span(self, group: Sequence[int]) -> tuple[int, int] | None:
        """Where the box begins, and how long it is, along the axes of ``group`` as one; None where
        it would have gaps.
        """
        cut = [axis for axis in group if not self.is_whole(axis)]
        if any(self.sizes[axis] != 1 for axis in group if cut and axis < cut[-1]):
            return None
        start = 0
        for axis in group:
            start = start * shape(self.source)[axis] + self.starts[axis]
        return start, prod(self.sizes[axis] for axis in group)

    def parts(self, axis: int, sizes: Sequence[int]) -> tuple[list[int], list[int]] | None:
        """The sizes into which ``axis`` of the source is split, and where the box begins in each,
        for the box to have ``sizes`` there; None where it would be no box.
        """
        inner, whole_size = prod(sizes[1:]), shape(self.source)[axis]
        if self.starts[axis] % inner or whole_size % inner:
            return None
        rest = list(sizes[1:])
        return [whole_size // inner, *rest], [self.starts[axis] // inner, *[0] * len(rest)]


def _box_of(value: Value) -> _Box | None:
    """The box that ``value`` is, if it was just cut out."""
    op = value.owner
    if isinstance(op, ir.Block) or op.name != "tensor.extract_slice" or len(op.operands) > 1:
        return None
    starts, sizes, steps = (
        list(ir.DenseI64ArrayAttr(op.attributes[f"static_{name}"]))
        for name in ("offsets", "sizes", "strides")
    )
    same_rank = len(sizes) == len(shape(value))
    return _Box(op.operands[0], starts, sizes) if same_rank and set(steps) == {1} else None


def reassociated(value: Value, groups: Sequence[Sequence[int]]) -> Value:
    """``value`` with each group of axes collapsed into one."""
    own = shape(value)
    if all(len(g) == 1 for g in groups):
        return value
    box = _box_of(value)
    if box is not None and (spans := [box.span(group) for group in groups]).count(None) == 0:
        starts, sizes = zip(*(span for span in spans if span is not None), strict=True)
        return sliced(reassociated(box.source, groups), starts, sizes, [1] * len(groups))
    sizes = [prod(own[axis] for axis in group) for group in groups]
    result = tensor_of(sizes, element_type(value))
    return tensor.CollapseShapeOp(result, value, _nested(groups)).result


def expanded(value: Value, groups: Sequence[Sequence[int]]) -> Value:
    """``value`` with axis ``i`` expanded into sizes ``groups[i]``."""
    sizes = [s for group in groups for s in group]
    if all(len(g) == 1 for g in groups):
        return value
    collapsed = _collapsed_from(value)
    if collapsed is not None and shape(collapsed) == tuple(sizes):
        return collapsed
    box = _box_of(value)
    if box is not None and None not in (parts := [box.parts(a, g) for a, g in enumerate(groups)]):
        split, starts = zip(*(part for part in parts if part is not None), strict=True)
        cut = [start for group in starts for start in group]
        return sliced(expanded(box.source, split), cut, sizes, [1] * len(sizes))
    axes: list[list[int]] = []
    for group in groups:
        first = axes[-1][-1] + 1 if axes else 0
        axes.append(list(range(first, first + len(group))))
    result = tensor_of(sizes, element_type(value))
    return tensor.ExpandShapeOp(result, value, _nested(axes), [], sizes).result


def _collapsed_from(value: Value) -> Value | None:
    """What ``value`` collapses, if it does."""
    op = value.owner
    is_collapse = not isinstance(op, ir.Block) and op.name == "tensor.collapse_shape"
    return op.operands[0] if is_collapse else None


def _nested(groups: Sequence[Sequence[int]]) -> Any:
    i64 = ir.IntegerType.get_signless(64)
    return ir.ArrayAttr.get(
        [ir.ArrayAttr.get([ir.IntegerAttr.get(i64, a) for a in group]) for group in groups]
    )


def without_units(value: Value, keep: Sequence[int]) -> Value:
    """``value`` with only the axes ``keep``; the others have size 1."""
    rank = len(shape(value))
    if len(keep) == rank:
        return value
    if not keep:
        return tensor.CollapseShapeOp(
            tensor_of((), element_type(value)), value, ir.ArrayAttr.get([])
        ).result
    groups: list[list[int]] = [[] for _ in keep]
    for axis in range(rank):
        position = max((i for i, k in enumerate(keep) if k <= axis), default=0)
        groups[position].append(axis)
    return reassociated(value, groups)


def sliced(
    value: Value, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]
) -> Value:
    """A strided box of ``value``."""
    result = tensor_of(sizes, element_type(value))
    return tensor.ExtractSliceOp(
        result, value, [], [], [], list(starts), list(sizes), list(steps)
    ).result


def cut_out(
    value: Value, starts: Sequence[int], sizes: Sequence[int], kept: Sequence[int]
) -> Value:
    """A box of ``value``, of whose axes only ``kept`` are left; the others have size 1."""
    result = tensor_of([sizes[axis] for axis in kept], element_type(value))
    steps = [1] * len(starts)
    return tensor.ExtractSliceOp(result, value, [], [], [], list(starts), list(sizes), steps).result


def padded(value: Value, low: Sequence[int], high: Sequence[int], fill: Any) -> Value:
    """``value`` with a border; ``fill`` is an attribute of the element type."""
    if not any((*low, *high)):
        return value
    element = element_type(value)
    sizes = [a + s + b for a, s, b in zip(low, shape(value), high, strict=True)]
    op = tensor.PadOp(tensor_of(sizes, element), value, [], [], list(low), list(high))
    block = op.regions[0].blocks.append(*[ir.IndexType.get()] * len(sizes))
    with ir.InsertionPoint(block):
        tensor.YieldOp(arith.ConstantOp(element, fill).result)
    return op.result


def barrier(value: Value) -> Value:
    """``value`` in a tensor of its own, whatever reads it."""
    op = ir.Operation.create("util.optimization_barrier", results=[value.type], operands=[value])
    return op.results[0]


def whole(value: Any) -> Any:
    """``value``, copied if it is part of another tensor: IREE fuses the cut into the kernel, but
    cannot compile ``tensor.extract`` from rows that lie apart (LLVM translation fails).
    """
    source = value
    while not isinstance(source.owner, ir.Block) and source.owner.name in _RESHAPES:
        source = source.owner.operands[0]
    cut = not isinstance(source.owner, ir.Block) and source.owner.name == "tensor.extract_slice"
    return barrier(value) if cut else value


class Lowering(ABC):
    """State of lowering one function: physical values of logical ones, and the kind of device it is
    for.
    """

    def __init__(self, device: DeviceKind) -> None:
        self.device = device
        self._physical: dict[Value, Value] = {}

    @abstractmethod
    def parameter(self, op: Any) -> str:
        """Symbol of the global that a ``layout.weight`` loads."""

    def bind(self, logical: Value, physical: Value) -> None:
        """Record that ``logical`` is held by ``physical``."""
        self._physical[logical] = physical

    def value(self, logical: Value) -> Value:
        """The physical tensor of ``logical``."""
        return self._physical.get(logical, logical)

    def layout(self, logical: Value) -> Layout:
        """The layout of ``logical``; ValueError for one that is more than an order of dims."""
        layout = repr_of(ir.RankedTensorType(logical.type)).layout
        if layout.packed or layout.padding:
            raise ValueError(f"no lowering for packed or padded layout {layout}: relayout it first")
        return layout

    def physical_shape(self, logical: Value) -> tuple[int, ...]:
        """Shape in memory."""
        return tuple(shape(logical)[axis] for axis in self.layout(logical).order)

    def physical_type(self, logical: Value) -> Any:
        """Type of the physical tensor of ``logical``."""
        return tensor_of(self.physical_shape(logical), element_type(logical))

    def read(self, logical: Value, exprs: Sequence[Any]) -> Operand:
        """``logical`` read at ``exprs``, given per logical axis."""
        order = self.layout(logical).order
        return Operand(self.value(logical), tuple(exprs[axis] for axis in order))

    def read_broadcast(
        self, logical: Value, loops: Mapping[int, int], target: Sequence[int]
    ) -> Operand:
        """``logical`` broadcast to the shape ``target`` as in NumPy: axes of size 1 that repeat are
        dropped.

        ``loops`` gives the loop dim of each target axis.
        """
        own, order = shape(logical), self.layout(logical).order
        lead = len(target) - len(own)
        kept = [p for p, axis in enumerate(order) if own[axis] == target[lead + axis]]
        value = without_units(self.value(logical), kept)
        return Operand(value, tuple(dim(loops[lead + order[p]]) for p in kept))

    def write(self, logical: Value, exprs: Sequence[Any]) -> tuple[Any, ...]:
        """``exprs``, given per logical axis, in the order of the physical axes of ``logical``."""
        return tuple(exprs[axis] for axis in self.layout(logical).order)

    def fenced(self, value: Value) -> Value:
        """``value`` behind a barrier that keeps its producer out of the consumer's kernel (Vulkan
        only).
        """
        return barrier(value) if self.device == "vulkan" else value


# Up to this length a range is a constant of the module (16 KiB).
_INLINE_RANGE = 4096


def numbers(low: Lowering, size: int) -> Value:
    """The int32 tensor 0, 1, ... ``size`` - 1, for reductions that ask for their loops' positions.

    Read from memory, because IREE's subgroup reductions for Vulkan cannot share vectors of index
    type, which ``linalg.index`` becomes.
    """
    integer = ir.IntegerType.get_signless(32)
    if size > _INLINE_RANGE:
        return low.fenced(pointwise([], [size], integer, lambda: loop_number(0)))
    items = [ir.IntegerAttr.get(integer, i) for i in range(size)]
    held = tensor_of([size], integer)
    return arith.ConstantOp(held, ir.DenseElementsAttr.get(items, type=held)).result


def accumulator(element: Any) -> Any:
    """Type in which sums over ``element`` are kept: f32 for the 16-bit floats."""
    return ir.F32Type.get() if isinstance(element, (ir.F16Type, ir.BF16Type)) else element


def widened(value: Value, element: Any) -> Value:
    """Scalar ``value`` extended to the wider float ``element``."""
    return value if value.type == element else arith.ExtFOp(element, value).result


def narrowed(value: Value, element: Any) -> Value:
    """Tensor ``value`` truncated to the float ``element``."""
    if element_type(value) == element:
        return value
    rank = len(shape(value))
    read = Operand(value, dims(range(rank)))
    return pointwise([read], shape(value), element, lambda s: arith.TruncFOp(element, s).result)
