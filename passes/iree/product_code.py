"""The code of one product's dispatch, in IREE's flow-phase IR: what it is, and its other forms.

A *plain* product multiplies rows that lie one after another in memory with a matrix that only they
see; each operand is the whole of a tensor that the dispatch is given. Its result may be stored in
another order, and have any functions of single elements behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.element_flow import LOAD, STORE
from smartmem.passes.iree.phase_ir import Op, Value, ir
from smartmem.passes.rules.kernels import Contraction

_TENSOR = "!iree_tensor_ext.dispatch.tensor"


class NotPlain(Exception):
    """Why a dispatch is no plain product; a clause."""


@dataclass(frozen=True)
class PlainProduct:
    """``root`` of ``function`` as a product: the numbers of the arguments that hold the rows and
    the matrix, the row loops in memory order, the column and the summed loop. ``columns_last``:
    whether the matrix is [depth, columns] in memory.
    """

    function: Op
    root: Op
    op: Contraction
    given: int
    matrix: int
    rows: tuple[int, ...]
    column: int
    deep: int
    columns_last: bool

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Rows, columns and depth."""
        extents = self.op.extents
        return prod(extents[d] for d in self.rows), extents[self.column], extents[self.deep]

    @property
    def rows_shape(self) -> tuple[int, ...]:
        """The result with its rows in the memory order of what is given."""
        return tuple(self.op.extents[d] for d in (*self.rows, self.column))


def plain_product(function: Op, root: Op, op: Contraction) -> PlainProduct:
    """``root`` as a plain product; raises NotPlain."""
    if op.element_bits != 32 or len(op.reductions) != 1 or not op.result:
        raise NotPlain("not f32, or several summed loops")
    (deep,), column = op.reductions, op.result[-1]
    inputs, outputs = phase_ir.structured_operands(root)
    # A product, its sum and the yield.
    if len(inputs) != 2 or len(list(phase_ir.body_ops(root))) != 3:
        raise NotPlain("factors that are computed first")
    pairs = ((op.lhs, op.rhs, inputs), (op.rhs, op.lhs, inputs[::-1]))
    for rows, matrix, (given, held) in pairs:
        if column not in rows and rows[-1] == deep and sorted(matrix) == sorted((deep, column)):
            if set(op.result) != {*rows[:-1], column} or len(op.result) != len(rows):
                raise NotPlain("a loop of its own")
            if not _is_zero(outputs[0]):
                raise NotPlain("a sum that does not start at zero")
            return PlainProduct(
                function,
                root,
                op,
                _whole_argument(given),
                _whole_argument(held),
                rows[:-1],
                column,
                deep,
                matrix[-1] == column,
            )
    raise NotPlain("a batch, or rows that are not contiguous")


def _is_zero(value: Value) -> bool:
    fill = phase_ir.defining_op(value)
    if fill is None or fill.name != "linalg.fill":
        return False
    constant = phase_ir.defining_op(fill.operands[0])
    if constant is None or constant.name != "arith.constant":
        return False
    number = constant.attributes["value"]
    return isinstance(number, ir.FloatAttr) and number.value == 0.0


def _whole_argument(value: Value) -> int:
    """The number of the argument all of which ``value`` is."""
    load = phase_ir.defining_op(value)
    if load is None or load.name != LOAD or not _is_whole(load, value):
        raise NotPlain("a part of a tensor, or one that is computed first")
    argument = load.operands[0]
    if not isinstance(argument, ir.BlockArgument) or "<readonly:" not in str(argument.type):
        raise NotPlain("a tensor that is written, too")
    return int(argument.arg_number)


def _is_whole(op: Op, value: Value) -> bool:
    """Whether a load moves all of its binding, or a store all but rows that follow; ``value`` is
    the tensor.
    """
    sizes = tuple(phase_ir.int_array(op, "static_sizes"))
    bound = phase_ir.shape_of(op.operands[0 if op.name == LOAD else 1].type)
    if bound is None or phase_ir.shape_of(value.type) != sizes:
        return False
    return bound == sizes if op.name == LOAD else bound[1:] == sizes[1:]


# ---------------------------------------------------------------------------------- longer rows


def row_places(plain: PlainProduct) -> list[Value]:
    """The tensors of the function that have the product's rows as their first axis; raises NotPlain
    where more rows would change anything else.
    """
    if len(plain.rows) != 1 or plain.op.result[0] != plain.rows[0]:
        raise NotPlain("rows in several loops, or not outermost")
    length = plain.sizes[0]
    known: list[Value] = []
    pending: list[Value] = [plain.root.results[0]]
    pending.append(plain.root.operands[0 if plain.op.lhs[0] == plain.rows[0] else 1])
    while pending:
        value = pending.pop()
        if value in known:
            continue
        known.append(value)
        shape = phase_ir.shape_of(value.type)
        if shape is None or (shape[0] != length and not isinstance(value, ir.BlockArgument)):
            raise NotPlain("rows of another length")
        ops = [use.owner.operation for use in value.uses]
        made = phase_ir.defining_op(value)
        for op in [*ops, *([made] if made is not None else [])]:
            pending += _alike(op, value)
    return known


def _alike(op: Op, value: Value) -> list[Value]:
    """The values of ``op`` whose first axis is that of ``value``."""
    if op.name == "tensor.empty":
        return []
    if op.name == "linalg.fill":
        return [op.operands[1], op.results[0]]
    if op.name in (LOAD, STORE):
        if not _is_whole(op, op.results[0] if op.name == LOAD else op.operands[0]):
            raise NotPlain("a part of a tensor")
        return [op.operands[0]] if op.name == LOAD else [op.operands[0], op.operands[1]]
    maps = phase_ir.affine_maps(op)
    tensors = [*op.operands, *op.results]
    if not maps or len(op.results) != 1 or _uses_positions(op):
        raise NotPlain(f"a {op.name}")
    maps = [*maps, maps[-1]]
    loops = {
        m.results[0].position
        for m, v in zip(maps, tensors, strict=True)
        if v == value and m.results and isinstance(m.results[0], ir.AffineDimExpr)
    }
    if len(loops) != 1:
        raise NotPlain("rows read in two ways")
    (loop,) = loops
    found: list[Value] = []
    for m, v in zip(maps, tensors, strict=True):
        for axis, expr in enumerate(m.results):
            if not isinstance(expr, ir.AffineDimExpr):
                raise NotPlain("an index that is computed")
            if expr.position == loop and axis:
                raise NotPlain("rows that are not outermost")
            if expr.position == loop:
                found.append(v)
    return found


def _uses_positions(op: Op) -> bool:
    return any(inner.name in ("linalg.index", "tensor.extract") for inner in phase_ir.walk(op))


def lengthen(function: Op, values: Sequence[Value], rows: int) -> None:
    """Give all ``values`` (``row_places``) of ``function`` that many rows."""
    for value in values:
        shape = phase_ir.shape_of(value.type)
        assert shape is not None
        # What it gives may have been made longer before, for a reader of it.
        if shape[0] < rows:
            value.set_type(_with_rows(value.type, (rows, *shape[1:])))
        made = phase_ir.defining_op(value)
        ops = [made] if made is not None else [use.owner.operation for use in value.uses]
        for op in ops:
            if op.name in (LOAD, STORE):
                sizes = [rows, *phase_ir.int_array(op, "static_sizes")[1:]]
                op.attributes["static_sizes"] = ir.DenseI64ArrayAttr.get(sizes)
    set_function_type(function)


def lengthen_result(function: Op, rows: int) -> None:
    """Let what a dispatch gives, its last argument, be the start of a tensor of so many rows."""
    argument = list(function.regions[0].blocks[0].arguments)[-1]
    shape = phase_ir.shape_of(argument.type)
    assert shape is not None
    argument.set_type(_with_rows(argument.type, (rows, *shape[1:])))
    set_function_type(function)


def _with_rows(type_: object, shape: Sequence[int]) -> object:
    tensor = phase_ir.tensor_type(type_)
    assert tensor is not None
    longer = ir.RankedTensorType.get(list(shape), tensor.element_type)
    text = str(type_)
    return ir.Type.parse(text.replace(str(tensor), str(longer))) if text.startswith("!") else longer


# ---------------------------------------------------------------------------------------- parts


def parts_code(name: str, plain: PlainProduct, rows: int, slices: int) -> Op:
    """A flow.executable that gives [slices, rows, columns], the sums of parts of the depth, of the
    rows as [rows, slices, depth / slices] and the matrix likewise.
    """
    _, columns, depth = plain.sizes
    part = depth // slices
    # A sum in one piece is a product of three loops, as IREE knows them.
    s, of_s = ("s, ", f"{slices}x") if slices > 1 else ("", "")
    given, result = f"tensor<{rows}x{of_s}{part}xf32>", f"tensor<{of_s}{rows}x{columns}xf32>"
    matrix = f"{of_s}{part}x{columns}" if plain.columns_last else f"{columns}x{of_s}{part}"
    matrix, at = f"tensor<{matrix}xf32>", f"{s}k, n" if plain.columns_last else f"n, {s}k"
    loops = f"({s}m, n, k)"
    maps = ", ".join(f"affine_map<{loops} -> ({m})>" for m in (f"m, {s}k", at, f"{s}m, n"))
    kinds = ", ".join([*['"parallel"'] * (3 if s else 2), '"reduction"'])

    def moved(type_: str) -> str:
        sizes = type_[len("tensor<") : -len("xf32>")].split("x")
        places = (["0"] * len(sizes), sizes, ["1"] * len(sizes))
        named = zip(("offsets", "sizes", "strides"), places, strict=True)
        return ", ".join(f"{what} = [{', '.join(held)}]" for what, held in named)

    text = f"""
flow.executable private @{name} {{
  flow.executable.export public @{name} workgroups() -> (index, index, index) {{
    %x, %y, %z = iree_tensor_ext.dispatch.workgroup_count_from_slice()
    flow.return %x, %y, %z : index, index, index
  }}
  builtin.module {{
    func.func @{name}(%a0: {_TENSOR}<readonly:{given}>, %a1: {_TENSOR}<readonly:{matrix}>,
                      %a2: {_TENSOR}<writeonly:{result}>) {{
      %zero = arith.constant 0.0 : f32
      %l = {LOAD} %a0, {moved(given)} : {_TENSOR}<readonly:{given}> -> {given}
      %r = {LOAD} %a1, {moved(matrix)} : {_TENSOR}<readonly:{matrix}> -> {matrix}
      %e = tensor.empty() : {result}
      %f = linalg.fill ins(%zero : f32) outs(%e : {result}) -> {result}
      %p = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}}
          ins(%l, %r : {given}, {matrix}) outs(%f : {result}) {{
      ^bb0(%x: f32, %y: f32, %t: f32):
        %m = arith.mulf %x, %y : f32
        %n = arith.addf %t, %m : f32
        linalg.yield %n : f32
      }} -> {result}
      {STORE} %p, %a2, {moved(result)} : {result} -> {_TENSOR}<writeonly:{result}>
      return
    }}
  }}
}}"""
    module = phase_ir.parse(text, plain.function.context)
    (made,) = (op for op in phase_ir.body_ops(module.operation) if op.name == "flow.executable")
    for op in phase_ir.walk(made):
        if op.name == "linalg.generic":
            op.location = plain.root.location
    return made.detach_from_parent()


def finish_from_parts(plain: PlainProduct, inputs: int, slices: int) -> list[int]:
    """Turn the function of a product into one that adds ``slices`` parts, with their rows in memory
    order. It takes the parts, then those of its ``inputs`` that it still reads, which are returned.
    """
    function, root = plain.function, plain.root
    (block,) = function.regions[0].blocks
    old = list(block.arguments)
    sources = [op for op in map(phase_ir.defining_op, root.operands) if op is not None]
    type_ = f"tensor<{'x'.join(map(str, plain.rows_shape))}xf32>"
    given = ir.Type.parse(f"{_TENSOR}<readonly:{type_}>")
    parts = [block.add_argument(given, root.location) for _ in range(slices)]
    with ir.InsertionPoint(root), root.location:
        total = _sum(plain, [_load(part, plain.rows_shape) for part in parts])
    root.results[0].replace_all_uses_with(total)
    root.erase()
    for op in sources:
        if not any(True for _ in op.results[0].uses):
            op.erase()
    kept = [n for n in range(inputs) if any(True for _ in old[n].uses)]
    for number in (*kept, *range(inputs, len(old))):
        moved = block.add_argument(old[number].type, function.location)
        old[number].replace_all_uses_with(moved)
    for _ in old:
        block.erase_argument(0)
    set_function_type(function)
    return kept


def set_function_type(function: Op) -> None:
    """Let a function's type say what its arguments are."""
    takes = [argument.type for argument in function.regions[0].blocks[0].arguments]
    function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(takes, []))


def _load(argument: Value, shape: Sequence[int]) -> Value:
    rank = len(shape)
    places = {"offsets": [0] * rank, "sizes": list(shape), "strides": [1] * rank}
    attributes = {f"static_{n}": ir.DenseI64ArrayAttr.get(held) for n, held in places.items()}
    attributes["operandSegmentSizes"] = ir.DenseI32ArrayAttr.get([1, 0, 0, 0, 0])
    tensor = ir.RankedTensorType.get(list(shape), ir.F32Type.get())
    op = ir.Operation.create(LOAD, results=[tensor], operands=[argument], attributes=attributes)
    return op.result


def _sum(plain: PlainProduct, parts: Sequence[Value]) -> Value:
    """The parts, added up, in the order of the product's result."""
    type_ = plain.root.results[0].type
    loops = [*plain.rows, plain.column]
    dims = [ir.AffineDimExpr.get(plain.op.result.index(d)) for d in loops]
    rank = len(dims)
    read = ir.AffineMapAttr.get(ir.AffineMap.get(rank, 0, dims))
    made = ir.AffineMapAttr.get(ir.AffineMap.get_identity(rank))
    kind = ir.Attribute.parse("#linalg.iterator_type<parallel>")
    empty = ir.Operation.create("tensor.empty", results=[type_]).result
    op = ir.Operation.create(
        "linalg.generic",
        results=[type_],
        operands=[*parts, empty],
        attributes={
            "indexing_maps": ir.ArrayAttr.get([*[read] * len(parts), made]),
            "iterator_types": ir.ArrayAttr.get([kind] * rank),
            "operandSegmentSizes": ir.DenseI32ArrayAttr.get([len(parts), 1]),
        },
        regions=1,
    )
    number = ir.F32Type.get()
    body = ir.Block.create_at_start(op.regions[0], [number] * (len(parts) + 1))
    with ir.InsertionPoint(body):
        total, *others = list(body.arguments)[:-1]
        for other in others:
            pair = [total, other]
            total = ir.Operation.create("arith.addf", results=[number], operands=pair).result
        ir.Operation.create("linalg.yield", operands=[total])
    return op.result
