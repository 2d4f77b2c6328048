"""What the elements that a dispatch stores are: moved, constant, or computed.

A dispatch whose every stored element is an input element or a constant only moves data: it is a
*layout* dispatch, however it is written (named transpose, permuted generic, ``x * 1``, dtype cast,
gather, pad by select). The answer comes from abstract interpretation of the body from loads to
stores. Each SSA value, scalar or tensor, has one ``Elements``: the op that first computed on an
element (None while elements are only moved), the loads whose elements reach it, and its number
where all elements are one known constant.

    %5 = linalg.generic ins(%a, %b) { yield addf(%in, %in_0) }      -> computed by arith.addf
    %5 = linalg.generic ins(%a) { yield mulf(%in, 1.0) }            -> moved
    %5 = linalg.generic ins(%idx) { yield extract %table[%in, d1] } -> moved (%in: an address)

Rules. Values made of constants, loop indices and push constants only are constants, whatever the
arithmetic. Casts (a comparison ``x != 0`` to i1 included) and arithmetic identities move.
``select`` moves unless its condition is computed from the very elements it chooses among: that is
a max, a relu or a clamp, not a mask. An op that is not known here counts as compute and its name
is reported.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.phase_ir import Op, Value, ir

LOAD = "iree_tensor_ext.dispatch.tensor.load"
STORE = "iree_tensor_ext.dispatch.tensor.store"

# Ops that hand on elements of the listed operands (None: of all of them); the other operands are
# addresses or destinations that are wholly overwritten.
_MOVES: Mapping[str, tuple[int, ...] | None] = {
    "tensor.extract": (0,),
    "tensor.insert": (0, 1),
    "tensor.extract_slice": (0,),
    "tensor.insert_slice": (0, 1),
    "tensor.expand_shape": (0,),
    "tensor.collapse_shape": (0,),
    "tensor.reshape": (0,),
    "tensor.cast": (0,),
    "tensor.bitcast": (0,),
    "tensor.splat": (0,),
    "tensor.from_elements": None,
    "tensor.concat": None,
    "tensor.gather": (0,),
    "tensor.scatter": (0, 1),
    "linalg.unpack": (0,),
    "iree_linalg_ext.unpack": (0,),
    "iree_linalg_ext.gather": (0,),
    "iree_encoding.set_encoding": (0,),
    "iree_encoding.unset_encoding": (0,),
    "iree_tensor_ext.bitcast": (0,),
    "util.optimization_barrier": (0,),
    "arith.extf": (0,),
    "arith.truncf": (0,),
    "arith.extsi": (0,),
    "arith.extui": (0,),
    "arith.trunci": (0,),
    "arith.sitofp": (0,),
    "arith.uitofp": (0,),
    "arith.fptosi": (0,),
    "arith.fptoui": (0,),
    "arith.index_cast": (0,),
    "arith.index_castui": (0,),
    "arith.bitcast": (0,),
    "complex.bitcast": (0,),
    "complex.create": None,
    "complex.re": (0,),
    "complex.im": (0,),
}
# linalg.pack and its twin: source, destination, optional padding value, tile sizes.
_PACKS = ("linalg.pack", "iree_linalg_ext.pack")
# Ops whose results hold no input element: made of nothing or of indices, or handles of bindings.
_ELEMENTLESS = (
    "tensor.empty",
    "tensor.dim",
    "tensor.rank",
    "linalg.index",
    "stream.binding.subspan",
    "iree_tensor_ext.dispatch.workload.ordinal",
    "util.assume.int",
)
_SILENT = (
    "linalg.yield",
    "tensor.yield",
    "iree_linalg_ext.yield",
    "scf.yield",
    "scf.forall.in_parallel",
    "func.return",
)
_ARITHMETIC_DIALECTS = ("arith", "math", "complex", "affine", "index")
_PARALLEL_LINALG = (
    "linalg.fill",
    "linalg.copy",
    "linalg.transpose",
    "linalg.broadcast",
    "linalg.map",
)
_COMPUTING_OPS = (
    "linalg.softmax",
    "linalg.winograd_filter_transform",
    "linalg.winograd_input_transform",
    "linalg.winograd_output_transform",
    "iree_linalg_ext.attention",
    "iree_linalg_ext.online_attention",
    "iree_linalg_ext.softmax",
    "iree_linalg_ext.topk",
    "iree_linalg_ext.sort",
    "iree_linalg_ext.scan",
    "iree_linalg_ext.fft",
    "iree_linalg_ext.arg_compare",
    "iree_linalg_ext.exp_reduction",
    "iree_linalg_ext.winograd.filter_transform",
    "iree_linalg_ext.winograd.input_transform",
    "iree_linalg_ext.winograd.output_transform",
)
# op -> (its neutral number, whether that number may also stand on the left)
_IDENTITIES: Mapping[str, tuple[float, bool]] = {
    "arith.addf": (0, True),
    "arith.addi": (0, True),
    "arith.subf": (0, False),
    "arith.subi": (0, False),
    "arith.mulf": (1, True),
    "arith.muli": (1, True),
    "arith.divf": (1, False),
    "arith.divsi": (1, False),
    "arith.divui": (1, False),
    "arith.ori": (0, True),
    "arith.xori": (0, True),
    "arith.shli": (0, False),
    "arith.shrsi": (0, False),
    "arith.shrui": (0, False),
    "arith.maximumf": (-math.inf, True),
    "arith.minimumf": (math.inf, True),
    "math.powf": (1, False),
}
_NOT_EQUAL = {"arith.cmpi": 1, "arith.cmpf": 13}
_LOOP_ROUNDS = 4


@dataclass(frozen=True)
class Elements:
    """What the elements of one value are (see the module's docstring)."""

    computed_by: str | None = None
    sources: frozenset[Any] = frozenset()
    number: float | None = None

    @property
    def is_constant(self) -> bool:
        """No input element reaches the value."""
        return self.computed_by is None and not self.sources


@dataclass
class BodyFlow:
    """Elements of every value of one dispatch function, and what is unknown about it."""

    values: dict[Any, Elements] = field(default_factory=dict[Any, Elements])
    stores: dict[Any, Elements] = field(default_factory=dict[Any, Elements])
    unknown: dict[str, None] = field(default_factory=dict[str, None])

    def of(self, value: Value) -> Elements:
        """Elements of ``value``; the function's arguments are push constants and bindings."""
        return self.values.get(value, Elements())


def analyse(function: Op) -> BodyFlow:
    """Follow the elements through the body of a dispatch function."""
    flow = BodyFlow()
    for op in phase_ir.body_ops(function):
        _visit(flow, op)
    return flow


def computed_by(flow: BodyFlow) -> str | None:
    """The op that makes a dispatch compute; None when it stores input elements and constants."""
    if not flow.stores:
        return "no store"
    return next((stored.computed_by for stored in flow.stores.values() if stored.computed_by), None)


def _join(parts: Iterable[Elements]) -> Elements:
    """Elements of a value each of whose elements comes from one of ``parts``."""
    parts = list(parts)
    numbers = {part.number for part in parts}
    return Elements(
        next((part.computed_by for part in parts if part.computed_by), None),
        frozenset[Any]().union(*(part.sources for part in parts)),
        numbers.pop() if len(numbers) == 1 else None,
    )


def _compute(name: str, parts: Iterable[Elements]) -> Elements:
    """Elements made by ``name`` out of ``parts``: constants stay constants."""
    joined = _join(parts)
    if joined.is_constant:
        return Elements()
    return Elements(joined.computed_by or name, joined.sources)


def _choose(name: str, condition: Elements, branches: Iterable[Elements]) -> Elements:
    """Elements chosen by a condition: moved, unless it is computed from those very elements."""
    joined = _join(branches)
    if condition.sources & joined.sources:
        return Elements(joined.computed_by or name, joined.sources | condition.sources)
    return joined


def _visit(flow: BodyFlow, op: Op) -> None:
    """Give the results of ``op`` their elements."""
    name = op.name
    operands = [flow.of(operand) for operand in op.operands]
    if name == STORE:
        flow.stores[op] = operands[0]
    elif name in _SILENT:
        return
    elif name == LOAD:
        flow.values[op.results[0]] = Elements(sources=frozenset((_binding(op),)))
    elif name == "arith.constant":
        flow.values[op.results[0]] = Elements(number=_number(op.attributes["value"]))
    elif name in _ELEMENTLESS or name.startswith(
        ("iree_tensor_ext.dispatch.workgroup", "flow.dispatch.workgroup")
    ):
        _set_results(flow, op, [Elements()] * len(op.results))
    elif name in _MOVES:
        chosen = _MOVES[name]
        _set_all(flow, op, _join(operands if chosen is None else [operands[i] for i in chosen]))
    elif name in _PACKS:
        padding = phase_ir.operand_groups(op)[2]
        _set_all(flow, op, _join([operands[0], *(flow.of(value) for value in padding)]))
    elif name == "arith.select":
        _set_all(flow, op, _choose(name, operands[0], operands[1:]))
    elif name in _COMPUTING_OPS:
        _set_all(flow, op, Elements(name, _join(operands).sources))
    elif name.split(".")[0] in _ARITHMETIC_DIALECTS and not len(op.regions):
        _set_all(flow, op, _arithmetic(op, operands))
    elif name in _REGION_RULES:
        _REGION_RULES[name](flow, op)
    elif name.startswith("linalg.") and len(op.regions) == 1:
        _visit_structured(flow, op)
    else:
        flow.unknown[name] = None
        _set_all(flow, op, Elements(name, _join(operands).sources))


def _set_results(flow: BodyFlow, op: Op, elements: Iterable[Elements]) -> None:
    flow.values.update(zip(op.results, elements, strict=True))


def _set_all(flow: BodyFlow, op: Op, elements: Elements) -> None:
    _set_results(flow, op, [elements] * len(op.results))


def _binding(load: Op) -> Value:
    """The binding view a load reads: two loads of one view give elements of one source."""
    return load.operands[0]


def _number(attribute: Any) -> float | None:
    """The one number a constant is made of, if it is."""
    if isinstance(attribute, ir.IntegerAttr | ir.FloatAttr):
        return attribute.value
    if isinstance(attribute, ir.DenseElementsAttr) and attribute.is_splat:
        return getattr(attribute.get_splat_value(), "value", None)
    return None


def _arithmetic(op: Op, operands: list[Elements]) -> Elements:
    """Scalar or elementwise arithmetic: constant, identity of one operand, or computed."""
    if _NOT_EQUAL.get(op.name) == _predicate(op) and operands[1].number == 0:
        return Elements(operands[0].computed_by, operands[0].sources)
    if op.name in _IDENTITIES and len(operands) == 2:
        neutral, either_side = _IDENTITIES[op.name]
        left, right = operands
        if right.is_constant and right.number == neutral:
            return left
        if either_side and left.is_constant and left.number == neutral:
            return right
    return _compute(op.name, operands)


def _predicate(op: Op) -> int:
    return int(op.attributes["predicate"].value) if "predicate" in op.attributes else -1


def _visit_block(flow: BodyFlow, block: Any, arguments: Iterable[Elements]) -> list[Elements]:
    """Run a block on these arguments; returns the elements its terminator yields."""
    flow.values.update(zip(block.arguments, arguments, strict=False))
    operations = [child.operation for child in block]
    for op in operations:
        _visit(flow, op)
    return [flow.of(operand) for operand in operations[-1].operands]


def _visit_structured(flow: BodyFlow, op: Op) -> None:
    """A linalg op: its region tells what it does to one element.

    Where a loop reduces, the destination's element is an accumulator: a source of its own, of
    unknown number. A result that has no other source is made of constants.
    """
    inputs, inits = ([flow.of(v) for v in values] for values in phase_ir.structured_operands(op))
    if _reduces(op):
        inits = [Elements(init.computed_by, init.sources | {op}) for init in inits]
    block = op.regions[0].blocks[0]
    own = frozenset[Any]((op,))
    yielded = _visit_block(flow, block, [*inputs, *inits])[: len(op.results)]
    _set_results(flow, op, (Elements() if result.sources == own else result for result in yielded))


def _reduces(op: Op) -> bool:
    """Whether a loop longer than 1 combines elements; other named ops are taken to reduce."""
    if op.name in _PARALLEL_LINALG:
        return False
    kinds = phase_ir.iterator_types(op)
    if not kinds:
        return True
    extents = phase_ir.loop_extents(op)
    return any(kind == "reduction" and extents.get(i) != 1 for i, kind in enumerate(kinds))


def _visit_pad(flow: BodyFlow, op: Op) -> None:
    yielded = _visit_block(flow, op.regions[0].blocks[0], [])
    _set_all(flow, op, _join([flow.of(op.operands[0]), *yielded]))


def _visit_generate(flow: BodyFlow, op: Op) -> None:
    _set_all(flow, op, _join(_visit_block(flow, op.regions[0].blocks[0], [])))


def _visit_scatter(flow: BodyFlow, op: Op) -> None:
    """Updates, indices, destination: the region combines an update with what it replaces."""
    updates, _, destination = (flow.of(operand) for operand in list(op.operands)[:3])
    combined = _visit_block(flow, op.regions[0].blocks[0], [updates, destination])
    _set_all(flow, op, _join([*combined, destination]))


def _visit_for(flow: BodyFlow, op: Op) -> None:
    """A loop: what an iteration yields is what the next one starts from, until nothing changes."""
    carried = [flow.of(operand) for operand in list(op.operands)[3:]]
    for _ in range(_LOOP_ROUNDS):
        yielded = _visit_block(flow, op.regions[0].blocks[0], [Elements(), *carried])
        joined = [_join(pair) for pair in zip(carried, yielded, strict=True)]
        if joined == carried:
            break
        carried = joined
    _set_results(flow, op, carried)


def _visit_forall(flow: BodyFlow, op: Op) -> None:
    """A parallel loop: each iteration inserts slices into the shared destinations."""
    block = op.regions[0].blocks[0]
    shared = [flow.of(value) for value in phase_ir.structured_operands(op)[1]]
    indices = len(block.arguments) - len(shared)
    _visit_block(flow, block, [*[Elements()] * indices, *shared])
    results = list(shared)
    for insert in phase_ir.named(list(block)[-1].operation, "tensor.parallel_insert_slice"):
        position = int(insert.operands[1].arg_number) - indices
        results[position] = _join((results[position], flow.of(insert.operands[0])))
    _set_results(flow, op, results)


def _visit_if(flow: BodyFlow, op: Op) -> None:
    branches = [
        _visit_block(flow, region.blocks[0], []) for region in op.regions if len(region.blocks)
    ]
    condition = flow.of(op.operands[0])
    _set_results(
        flow,
        op,
        [_choose(op.name, condition, parts) for parts in zip(*branches, strict=True)][
            : len(op.results)
        ],
    )


_REGION_RULES = {
    "tensor.pad": _visit_pad,
    "tensor.generate": _visit_generate,
    "iree_linalg_ext.scatter": _visit_scatter,
    "scf.for": _visit_for,
    "scf.forall": _visit_forall,
    "scf.if": _visit_if,
}
