"""Give products the shapes that promoted tiles divide, in IREE's flow-phase IR.

There all fusion is done, and no buffer has a size yet. A product of 49 rows gets 64: what makes the
tensor that it reads writes the start of a longer one, and who reads its result reads the start of
that. Rows do not mix, so what the further ones hold is no matter, and nothing is copied.

    %x = flow.dispatch @norm(...) -> tensor<49x768xf32>
    %y = flow.dispatch @d(%x, %w, %b) : (tensor<49x768xf32>, ...) -> tensor<49x3072xf32>
    ==>
    %p = flow.dispatch @norm(...) -> tensor<64x768xf32>                       stores 49 rows of it
    %q = flow.dispatch @d(%p, %w, %b) : (tensor<64x768xf32>, ...) -> tensor<64x3072xf32>
    %y = flow.tensor.slice %q[0, 0 for 49, 3072]                              where it is read

A product whose sum is long and whose tiles are few, or whose rows are no single loop (windows, the
rows of an image that is written with a border), becomes two dispatches: partial sums as plain
products, and what adds them, with all that was fused into the old one.

    %q = flow.dispatch @d_parts(%p, %w) : (tensor<64x8x384xf32>, ...) -> tensor<8x64x768xf32>
    %y = flow.dispatch @d(%q0, ..., %q7, %b) : (tensor<49x768xf32>, ...) -> tensor<49x768xf32>

On entry: a module whose dispatches are formed. On exit: the same. A tensor that no dispatch makes
stays as it is, and one that leaves the model. What is worth it says ``rules/product_shapes.py``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.configure import contractions
from smartmem.passes.iree.phase_ir import Op, Value, ir
from smartmem.passes.iree.product_code import (
    NotPlain,
    PlainProduct,
    finish_from_parts,
    lengthen,
    lengthen_result,
    parts_code,
    plain_product,
    row_places,
)
from smartmem.passes.rules.kernels import KernelLimits
from smartmem.passes.rules.product_shapes import Product, ProductShape, shape_product

_DISPATCH, _SLICE, _RESHAPE = "flow.dispatch", "flow.tensor.slice", "flow.tensor.reshape"
_EXECUTABLE = "flow.executable"
_UNTIED = -1
Choose = Callable[[Product, KernelLimits], ProductShape | None]


@dataclass(frozen=True)
class Shaped:
    """The edited IR, how many dispatches have longer rows, and how many are in parts now."""

    flow_ir: str
    lengthened: int
    split: int


def shape_products(flow_ir: str, limits: KernelLimits, choose: Choose = shape_product) -> Shaped:
    """Shape the products of a flow-phase module; raises ``ValueError`` on bad text."""
    module = phase_ir.parse(flow_ir)
    with module.context, ir.Location.unknown():
        editor = _Editor(module.operation)
        for executable, calls in editor.executables():
            for function, root, op in contractions(executable):
                try:
                    plain = plain_product(function, root, op)
                except NotPlain:
                    continue
                if any(phase_ir.operand_groups(call)[n] for call in calls for n in (0, 2, 3)):
                    # Sizes that are only known in a call.
                    continue
                shape = choose(editor.product(plain, calls), limits)
                if shape is not None:
                    editor.apply(executable, plain, calls, shape)
        if not editor.lengthened and not editor.split:
            return Shaped(flow_ir, 0, 0)
        return Shaped(
            module.operation.get_asm(enable_debug_info=True), editor.lengthened, editor.split
        )


class _Editor:
    """The calls of a module's dispatches, and the tensors that are stored longer so far."""

    def __init__(self, module: Op) -> None:
        self.lengthened = self.split = 0
        self._executables = {phase_ir.symbol(e): e for e in phase_ir.named(module, _EXECUTABLE)}
        self._calls: dict[str, list[Op]] = {}
        for call in phase_ir.named(module, _DISPATCH):
            self._calls.setdefault(_executable_of(call), []).append(call)
        # What a tensor is the start of. Only tensors of dispatches are, and none that is exported.
        self._longer: dict[Value, Value] = {}

    def executables(self) -> list[tuple[Op, list[Op]]]:
        """All executables with their calls, in the order of the first call."""
        return [(self._executables[name], calls) for name, calls in list(self._calls.items())]

    def product(self, plain: PlainProduct, calls: Sequence[Op]) -> Product:
        """What the rule is asked."""
        rows, columns, depth = plain.sizes
        try:
            row_places(plain)
            whole = all(_ties(call) == [_UNTIED] for call in calls)
        except NotPlain:
            whole = False
        return Product(rows, columns, depth, plain.columns_last, whole)

    def apply(
        self, executable: Op, plain: PlainProduct, calls: Sequence[Op], shape: ProductShape
    ) -> None:
        """Give a product its shape, where what it is given can have it in all calls."""
        if shape.parts == 1 and shape.whole:
            self._lengthen(plain, calls, shape.rows)
        else:
            self._split(executable, plain, calls, shape)

    def _lengthen(self, plain: PlainProduct, calls: Sequence[Op], rows: int) -> None:
        values = row_places(plain)
        arguments = list(plain.function.regions[0].blocks[0].arguments)
        numbers = [n for n, argument in enumerate(arguments) if argument in values]
        given = numbers[:-1]
        _, columns, _ = plain.sizes
        for call in calls:
            if not self._may_be_longer(call.results[0], rows * columns):
                return
            operands = [call.operands[n] for n in given]
            if not all(self._may_be_longer(v, rows * _row_numel(v)) for v in operands):
                return
        lengthen(plain.function, values, rows)
        for call in calls:
            for n in given:
                call.operands[n] = self._as_long(call.operands[n], rows)
            self._give_start(call.results[0], rows)
        self.lengthened += 1

    def _split(
        self, executable: Op, plain: PlainProduct, calls: Sequence[Op], shape: ProductShape
    ) -> None:
        rows, columns, depth = plain.sizes
        longer = shape.rows != rows
        for call in calls:
            given = call.operands[plain.given]
            if longer and not self._may_be_longer(given, shape.rows * depth):
                return
        name = f"{phase_ir.symbol(executable)}_parts_{shape.parts}x{shape.rows}x{columns}x{depth}"
        parts = parts_code(name, plain, shape.rows, shape.parts)
        ir.InsertionPoint(executable).insert(parts)
        sizes, last = plain.rows_shape, plain.columns_last
        given, matrix = plain.given, plain.matrix
        kept = finish_from_parts(plain, len(calls[0].operands), shape.parts)
        replaced: list[Op] = []
        for call in calls:
            with ir.InsertionPoint(call), call.location:
                held = _reshape(call.operands[given], (rows, depth))
            if longer:
                held = self._as_long(held, shape.rows)
            with ir.InsertionPoint(call), call.location:
                operands = _sliced_operands(held, call.operands[matrix], shape, last)
                of_s = (shape.parts,) if shape.parts > 1 else ()
                made = _dispatch(name, operands, (*of_s, shape.rows, columns))
                found = [_part(made, n, (rows, columns), sizes) for n in range(shape.parts)]
                operands = [*found, *(call.operands[n] for n in kept)]
                replaced.append(self._replaced(call, operands, kept, shape.parts))
        self._calls[phase_ir.symbol(executable)] = replaced
        self.split += 1

    def _replaced(
        self, call: Op, operands: Sequence[Value], kept: Sequence[int], before: int
    ) -> Op:
        """Another call of the same entry, with its operands behind ``before`` others."""
        ties = [t if t == _UNTIED else before + kept.index(t) for t in _ties(call)]
        index = ir.IndexType.get()
        attributes = {name: call.attributes[name] for name in call.attributes.keys()}  # noqa: SIM118
        attributes["operandSegmentSizes"] = ir.DenseI32ArrayAttr.get([0, len(operands), 0, 0])
        attributes["tied_operands"] = ir.ArrayAttr.get([ir.IntegerAttr.get(index, t) for t in ties])
        made = ir.Operation.create(
            _DISPATCH,
            results=[r.type for r in call.results],
            operands=list(operands),
            attributes=attributes,
        )
        for old, new in zip(call.results, made.results, strict=True):
            if old in self._longer:
                self._longer[new] = new
                starts = [start for start, longer in self._longer.items() if longer == old]
                self._longer |= dict.fromkeys(starts, new)
                del self._longer[old]
            old.replace_all_uses_with(new)
        call.erase()
        return made

    def _may_be_longer(self, value: Value, numel: int) -> bool:
        """Whether ``value`` is, or can be made, the start of a tensor of so many elements."""
        base = _behind_reshapes(value)
        if base in self._longer:
            return (phase_ir.numel_of(self._longer[base].type) or 0) >= numel
        made = phase_ir.defining_op(base)
        return (
            made is not None
            and made.name == _DISPATCH
            and not _is_exported(base)
            and all(_ties(c) == [_UNTIED] for c in self._calls.get(_executable_of(made), []))
        )

    def _as_long(self, value: Value, rows: int) -> Value:
        """The tensor of so many rows that ``value``, [fewer rows, ...], is the start of."""
        shape = phase_ir.shape_of(value.type)
        assert shape is not None
        base = _behind_reshapes(value)
        numel = rows * prod(shape[1:])
        if base not in self._longer:
            self._store_longer(base, numel)
            base = _behind_reshapes(value) if base not in self._longer else base
        longer = self._longer[base]
        with _behind(longer):
            flat = _reshape(longer, (phase_ir.numel_of(longer.type) or 0,))
            part = flat if phase_ir.shape_of(flat.type) == (numel,) else _slice(flat, [0], [numel])
            return _reshape(part, (rows, *shape[1:]))

    def _store_longer(self, base: Value, numel: int) -> None:
        """Let the dispatch that makes ``base`` write it, in all calls, at the start of a tensor of
        so many elements or a few more.
        """
        name = _executable_of(base.owner)
        shape = phase_ir.shape_of(base.type)
        assert shape is not None
        rows = -(-numel // prod(shape[1:]))
        for function in phase_ir.named(self._executables[name], "func.func"):
            lengthen_result(function, rows)
        for call in self._calls[name]:
            self._give_start(call.results[0], rows)

    def _give_start(self, result: Value, rows: int) -> None:
        """Let a dispatch give so many rows, of which its readers see the first."""
        if result in self._longer:
            return
        shape = phase_ir.shape_of(result.type)
        assert shape is not None
        readers = [(use.owner.operation, use.operand_number) for use in result.uses]
        result.set_type(ir.RankedTensorType.get([rows, *shape[1:]], result.type.element_type))
        with _behind(result):
            start = _slice(result, [0] * len(shape), shape)
        for reader, number in readers:
            reader.operands[number] = start
        self._longer[start] = self._longer[result] = result


def _executable_of(call: Op) -> str:
    (entry,) = call.attributes["entry_points"]
    return phase_ir.symbol_ref(entry)[0]


def _ties(call: Op) -> list[int]:
    if "tied_operands" not in call.attributes:
        return [_UNTIED] * len(call.results)
    return [int(tie.value) for tie in call.attributes["tied_operands"]]


def _row_numel(value: Value) -> int:
    return prod((phase_ir.shape_of(value.type) or ())[1:])


def _behind_reshapes(value: Value) -> Value:
    made = phase_ir.defining_op(value)
    while made is not None and made.name == _RESHAPE:
        value = made.operands[0]
        made = phase_ir.defining_op(value)
    return value


def _is_exported(value: Value) -> bool:
    """Whether a tensor leaves the model, be it in another shape."""
    for use in value.uses:
        reader = use.owner.operation
        if not reader.name.startswith("flow."):
            return True
        if reader.name == _RESHAPE and _is_exported(reader.results[0]):
            return True
    return False


def _behind(value: Value) -> Any:
    """The place behind the op that makes ``value``."""
    return ir.InsertionPoint.after(value.owner)


def _segments(*sizes: int) -> dict[str, Any]:
    return {"operandSegmentSizes": ir.DenseI32ArrayAttr.get(list(sizes))}


def _index(number: int) -> Value:
    index = ir.IndexType.get()
    value = {"value": ir.IntegerAttr.get(index, number)}
    return ir.Operation.create("arith.constant", results=[index], attributes=value).result


def _reshape(value: Value, shape: Sequence[int]) -> Value:
    if phase_ir.shape_of(value.type) == tuple(shape):
        return value
    type_ = ir.RankedTensorType.get(list(shape), value.type.element_type)
    attributes = _segments(1, 0, 0)
    return ir.Operation.create(
        _RESHAPE, results=[type_], operands=[value], attributes=attributes
    ).result


def _slice(value: Value, offsets: Sequence[int], sizes: Sequence[int]) -> Value:
    places = [*(_index(n) for n in offsets), *(_index(n) for n in sizes)]
    return ir.Operation.create(
        _SLICE,
        results=[ir.RankedTensorType.get(list(sizes), value.type.element_type)],
        operands=[value, *places],
        attributes=_segments(1, 0, len(offsets), len(sizes), 0),
    ).result


def _sliced_operands(
    given: Value, matrix: Value, shape: ProductShape, columns_last: bool
) -> list[Value]:
    """Rows and matrix as the code of the parts takes them."""
    if shape.parts == 1:
        return [given, matrix]
    depth = _row_numel(given)
    part = depth // shape.parts
    columns = (phase_ir.numel_of(matrix.type) or 0) // depth
    sizes = (shape.parts, part, columns) if columns_last else (columns, shape.parts, part)
    return [_reshape(given, (shape.rows, shape.parts, part)), _reshape(matrix, sizes)]


def _dispatch(name: str, operands: Sequence[Value], shape: Sequence[int]) -> Value:
    entry = ir.Attribute.parse(f"[@{name}::@{name}]")
    return ir.Operation.create(
        _DISPATCH,
        results=[ir.RankedTensorType.get(list(shape), ir.F32Type.get())],
        operands=list(operands),
        attributes={
            "entry_points": entry,
            "tied_operands": ir.Attribute.parse(f"[{_UNTIED} : index]"),
            **_segments(0, len(operands), 0, 0),
        },
    ).result


def _part(made: Value, number: int, kept: tuple[int, int], shape: Sequence[int]) -> Value:
    """A part's first rows, as ``shape``."""
    sizes = phase_ir.shape_of(made.type) or ()
    lead = len(sizes) - 2
    if tuple(sizes) != kept:
        made = _slice(made, [*[number] * lead, 0, 0], [*[1] * lead, *kept])
    return _reshape(made, shape)
