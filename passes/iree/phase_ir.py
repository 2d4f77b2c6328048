"""Parse and walk the text of IREE's phase IR (stream phase, configured executables) with IREE's
own bindings.

IREE's dialects exist only in ``iree.compiler``'s bindings, and most of their ops, types and
attributes have no typed Python view. This is the one place that knows how to get at them, so that
readers (the dispatch counter, the miscompile scanner) walk real ops and never search the text of a
module. The few facts that the bindings can only print (the tensor inside a ``dispatch.tensor``
type, the frames of a location) are taken from the print of that one type or location.
"""

import importlib
import re
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

# The bindings have no type stubs.
ir: Any = importlib.import_module("iree.compiler.ir")
iree_codegen: Any = importlib.import_module("iree.compiler.dialects.iree_codegen")
Op = Any
Value = Any
AffineExpr = Any

_FRAME = re.compile(r'"([^"]+)":(\d+)(?::(\d+))?')
_TENSOR_IN_DISPATCH_TENSOR = re.compile(r"<\w+:(.*)>$", re.DOTALL)
_PIPELINE = re.compile(r"^#iree_gpu\.spirv_pipeline<(\w+)")
_TILE_SIZES = re.compile(r"\btile_sizes = (\[\[[^<>]*?\]\])")
_SUMS = ("arith.addf", "arith.addi")
_PRODUCTS = ("arith.mulf", "arith.muli")
_STORAGE_BITS = {"index": 64, "i1": 8}


def new_context() -> Any:
    """A context for phase IR. Making one costs more than parsing a dispatch in it."""
    context = ir.Context()
    context.allow_unregistered_dialects = True
    return context


def parse(text: str, context: Any = None) -> Any:
    """The module of one phase; raises ``ValueError`` with what the parser says of bad text."""
    context = context or new_context()
    try:
        return ir.Module.parse(text, context)
    except ir.MLIRError as error:
        raise ValueError(f"IREE phase IR does not parse: {error}") from error


def body_ops(op: Op) -> Iterator[Op]:
    """The ops directly inside the regions of ``op``, in program order."""
    for region in op.operation.regions:
        for block in region:
            for child in block:
                yield child.operation


def walk(op: Op) -> Iterator[Op]:
    """``op`` and every op nested in it, parents first, in program order."""
    yield op.operation
    for child in body_ops(op):
        yield from walk(child)


def named(op: Op, name: str) -> Iterator[Op]:
    """All ops called ``name`` in ``op``."""
    return (found for found in walk(op) if found.name == name)


def symbol(op: Op) -> str:
    """The symbol name of ``op``."""
    return str(op.attributes["sym_name"].value)


def symbol_ref(attribute: Any) -> tuple[str, ...]:
    """The path of a (nested) symbol reference, outermost first."""
    return (
        (attribute.value,)
        if isinstance(attribute, ir.FlatSymbolRefAttr)
        else tuple(attribute.value)
    )


def defining_op(value: Value) -> Op | None:
    """The op that makes ``value``; None for a block argument."""
    return None if isinstance(value, ir.BlockArgument) else value.owner.operation


def awaited(value: Value) -> Value:
    """The value behind the awaits of its timepoint."""
    op = defining_op(value)
    if op is None or op.name != "stream.timepoint.await":
        return value
    return awaited(op.operands[value.result_number])


def argument_number(value: Value, block: Any) -> int | None:
    """Which argument of ``block`` the value is; None where it is none of them."""
    if not isinstance(value, ir.BlockArgument) or value.owner != block:
        return None
    return int(value.arg_number)


def string(op: Op, name: str) -> str | None:
    """A string attribute of ``op``; None where it is absent, or no string."""
    attribute = op.attributes.get(name)
    return str(attribute.value) if isinstance(attribute, ir.StringAttr) else None


def operand_groups(op: Op) -> list[list[Value]]:
    """The operands of ``op`` by its ``operandSegmentSizes`` (all in one group without)."""
    operands = list(op.operands)
    if "operandSegmentSizes" not in op.attributes:
        return [operands]
    groups: list[list[Value]] = []
    start = 0
    for size in op.attributes["operandSegmentSizes"]:
        groups.append(operands[start : start + size])
        start += size
    return groups


def int_array(op: Op, name: str) -> list[int]:
    """A dense integer array attribute of ``op``; empty where absent."""
    return [int(v) for v in op.attributes[name]] if name in op.attributes else []


def affine_maps(op: Op) -> list[Any]:
    """The ``indexing_maps`` of a structured op; empty where it prints none."""
    if "indexing_maps" not in op.attributes:
        return []
    return [attribute.value for attribute in op.attributes["indexing_maps"]]


def iterator_types(op: Op) -> list[str]:
    """``parallel`` or ``reduction`` for each loop of a ``linalg.generic``; else empty."""
    if "iterator_types" not in op.attributes:
        return []
    return [
        "reduction" if "reduction" in str(a) else "parallel"
        for a in op.attributes["iterator_types"]
    ]


def reorder_loops(op: Op, order: Sequence[int]) -> None:
    """Put loop ``order[i]`` of a ``linalg.generic``, whose body asks for no position, at place
    ``i``.
    """
    context = op.context
    places = [ir.AffineExpr.get_dim(order.index(d), context) for d in range(len(order))]
    moved = ir.AffineMap.get(len(order), 0, places, context)
    maps = [
        ir.AffineMap.get(len(order), 0, [e.compose(moved) for e in m.results], context)
        for m in affine_maps(op)
    ]
    kinds = list(op.attributes["iterator_types"])
    with context:
        op.attributes["indexing_maps"] = ir.ArrayAttr.get([ir.AffineMapAttr.get(m) for m in maps])
        op.attributes["iterator_types"] = ir.ArrayAttr.get([kinds[d] for d in order])


def is_sum_of_products(op: Op) -> bool:
    """Whether the body of a structured op is ``sum + f(a, ...) * g(b, ...)``."""
    return factors(op) is not None


def factors(op: Op) -> tuple[frozenset[int], frozenset[int]] | None:
    """The numbers of the inputs that either factor of a sum of products is computed from; None for
    any other structured op, and where the two share an input.
    """
    body = list(body_ops(op))
    if not body or body[-1].name != "linalg.yield":
        return None
    last, block = body[-1], op.regions[0].blocks[0]
    total = len(block.arguments) - 1
    added = defining_op(last.operands[0]) if len(last.operands) == 1 else None
    if added is None or added.name not in _SUMS:
        return None
    terms = [v for v in added.operands if argument_number(v, block) != total]
    product = defining_op(terms[0]) if len(terms) == 1 else None
    if product is None or product.name not in _PRODUCTS:
        return None
    lhs, rhs = (_inputs_of(v, block) for v in product.operands)
    known = bool(lhs and rhs) and not lhs & rhs and total not in lhs | rhs
    return (lhs, rhs) if known else None


def _inputs_of(value: Value, block: Any) -> frozenset[int]:
    """The arguments of ``block`` that ``value``, made in it, is computed from."""
    number = argument_number(value, block)
    if number is not None:
        return frozenset([number])
    op = defining_op(value)
    if op is None or op.block != block:
        return frozenset()
    return frozenset[int]().union(*(_inputs_of(v, block) for v in op.operands))


def structured_operands(op: Op) -> tuple[list[Value], list[Value]]:
    """The inputs and the destinations (the last operands, one per result) of a structured op."""
    operands = list(op.operands)
    split = len(operands) - len(op.results)
    return operands[:split], operands[split:]


def loop_extents(op: Op) -> dict[int, int]:
    """Loop number -> trip count of a structured op, where the shape of an operand tells it."""
    extents: dict[int, int] = {}
    for affine_map, operand in zip(affine_maps(op), op.operands, strict=False):
        shape = shape_of(operand.type)
        if shape is None:
            continue
        for expression, size in zip(affine_map.results, shape, strict=False):
            if isinstance(expression, ir.AffineDimExpr):
                extents[expression.position] = size
    return extents


def spirv_pipeline(function: Op) -> str | None:
    """The SPIR-V pipeline IREE chose for a dispatch function; None where it chose none."""
    if "translation_info" not in function.attributes:
        return None
    match = _PIPELINE.search(str(function.attributes["translation_info"].pass_pipeline))
    return match.group(1) if match else None


def workgroup_size(function: Op) -> tuple[int, ...]:
    """Threads in x, y, z of a configured dispatch function; empty where none are chosen."""
    if "translation_info" not in function.attributes:
        return ()
    return tuple(function.attributes["translation_info"].workgroup_size)


def set_workgroup_size(function: Op, size: Sequence[int]) -> None:
    """Give a configured dispatch function other threads in x, y, z."""
    info = function.attributes["translation_info"]
    function.attributes["translation_info"] = iree_codegen.TranslationInfoAttr.get(
        info.pass_pipeline,
        info.codegen_spec,
        list(size),
        info.subgroup_size,
        info.configuration,
        ctx=function.context,
    )


def tile_levels(op: Op) -> list[list[int]]:
    """The tile sizes in an op's ``lowering_config``, by level (0: not tiled); empty without."""
    if "lowering_config" not in op.attributes:
        return []
    match = _TILE_SIZES.search(str(op.attributes["lowering_config"]))
    if match is None:
        return []
    levels = ir.ArrayAttr(ir.Attribute.parse(match.group(1), op.context))
    return [[int(size.value) for size in level] for level in levels]


def set_tile_levels(op: Op, levels: Sequence[Sequence[int]]) -> None:
    """Put other tile sizes in an op's ``lowering_config``, and keep all else of it."""
    tiles = ", ".join(str(list(level)) for level in levels)
    text = str(op.attributes["lowering_config"])
    match = _TILE_SIZES.search(text)
    if match is None:
        raise ValueError(f"no tile sizes in {text}")
    edited = f"{text[: match.start(1)]}[{tiles}]{text[match.end(1) :]}"
    op.attributes["lowering_config"] = ir.Attribute.parse(edited, op.context)


def workgroup_tile(op: Op) -> list[int] | None:
    """The outermost tile sizes in an op's ``lowering_config`` (0: not tiled), or None."""
    levels = tile_levels(op)
    return levels[0] if levels else None


def constant_int(value: Value) -> int | None:
    """The integer ``value`` is known to be (constants, their sums and products), else None."""
    op = defining_op(value)
    if op is None:
        return None
    if op.name == "arith.constant":
        attribute = op.attributes["value"]
        return int(attribute.value) if isinstance(attribute, ir.IntegerAttr) else None
    if op.name in ("arith.index_cast", "arith.extsi", "arith.trunci"):
        return constant_int(op.operands[0])
    fold = {"arith.addi": int.__add__, "arith.subi": int.__sub__, "arith.muli": int.__mul__}.get(
        op.name
    )
    if fold is None:
        return None
    left, right = (constant_int(operand) for operand in op.operands)
    return None if left is None or right is None else fold(left, right)


def tensor_type(type_: Any) -> Any | None:
    """The ranked tensor of a tensor or ``dispatch.tensor`` type, else None."""
    if isinstance(type_, ir.RankedTensorType):
        return type_
    text = str(type_)
    if not text.startswith("!iree_tensor_ext.dispatch.tensor<"):
        return None
    match = _TENSOR_IN_DISPATCH_TENSOR.search(text)
    if match is None:
        return None
    inner = ir.Type.parse(match.group(1), type_.context)
    return inner if isinstance(inner, ir.RankedTensorType) else None


def shape_of(type_: Any) -> tuple[int, ...] | None:
    """The static shape of a tensor or ``dispatch.tensor`` type; None where any dim is dynamic."""
    tensor = tensor_type(type_)
    if tensor is None or any(tensor.is_dynamic_dim(i) for i in range(tensor.rank)):
        return None
    return tuple(tensor.shape)


def numel_of(type_: Any) -> int | None:
    """The element count of a statically shaped tensor or ``dispatch.tensor`` type."""
    shape = shape_of(type_)
    return None if shape is None else prod(shape)


def element_bits(type_: Any) -> int:
    """Bits one element takes in a buffer (i1: a byte); raises ``ValueError`` where unknown."""
    tensor = tensor_type(type_)
    element = tensor.element_type if tensor is not None else type_
    name = str(element)
    if name in _STORAGE_BITS:
        return _STORAGE_BITS[name]
    if isinstance(element, ir.ComplexType):
        return 2 * element_bits(element.element_type)
    width = re.search(r"\d+", name)
    if width is None:
        raise ValueError(f"size of element type {name} is unknown")
    return int(width.group(0))


def size_bytes(numel: int, type_: Any) -> int:
    """Bytes of ``numel`` elements of ``type_``'s element type as stored in a buffer."""
    return (numel * element_bits(type_) + 7) // 8


def source_location(op: Op) -> str | None:
    """``file.py:line`` of the model an op comes from: the innermost frame outside torch itself.

    None where the IR carries no location: the parser then makes one up, in a file named "-".
    """
    frames = [(file, line) for file, line, _ in _FRAME.findall(str(op.location)) if file != "-"]
    if not frames:
        return None
    outside = [frame for frame in frames if "/torch/" not in frame[0]]
    file, line = (outside or frames)[0]
    return f"{file}:{line}"
