"""Bytes that a dispatch loads and stores, from the static sizes in its body.

What is counted. A load counts the elements its users touch, once per full traversal: a slice, a
strided window or a gather of n elements counts those, never more than the loaded tensor, and an
operand that is broadcast or read again by a contraction counts its own size once. So does a tensor
of which overlapping boxes are loaded one by one (the taps of a window). An operand nobody
reads (the destination of a full overwrite) counts nothing, and so do constants compiled into the
kernel. A store counts the elements stored; one that only puts a slice or scattered rows
into a tensor loaded from the same binding counts these, since IREE makes it in place. Caches and
the re-reads of tiles are not modelled: this is the traffic an ideal kernel would have.
"""

from dataclasses import dataclass
from math import prod

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.element_flow import LOAD, STORE
from smartmem.passes.iree.phase_ir import AffineExpr, Op, Value, ir

_RESHAPES = (
    "tensor.expand_shape",
    "tensor.collapse_shape",
    "tensor.cast",
    "tensor.bitcast",
    "tensor.extract_slice",
)
_GATHERS = ("iree_linalg_ext.gather", "tensor.gather")
_UPDATES = {
    "tensor.insert_slice": (0, 1),
    "iree_linalg_ext.scatter": (0, 2),
}  # op -> operands: update, destination
_EVERYTHING = 1 << 62


@dataclass(frozen=True)
class Traffic:
    """Bytes one dispatch loads and stores; ``unsized`` names tensors without a static size."""

    read_bytes: int
    written_bytes: int
    unsized: tuple[str, ...]


def measure(function: Op) -> Traffic:
    """The traffic of one call of a dispatch function."""
    written = 0
    read: dict[Value, int] = {}
    unsized: list[str] = []
    for op in phase_ir.walk(function):
        if op.name not in (LOAD, STORE):
            continue
        whole = phase_ir.numel_of(op.operands[0 if op.name == LOAD else 1].type)
        if (
            whole is None
            or phase_ir.numel_of((op.results[0] if op.name == LOAD else op.operands[0]).type)
            is None
        ):
            unsized.append(str(op.operands[0].type))
        elif op.name == LOAD:
            source = op.operands[0]
            moved = read.get(source, 0) + _touched(op.results[0]) * _trips(op, function)
            read[source] = min(moved, whole)
        else:
            moved = min(_stored(op) * _trips(op, function), whole)
            written += phase_ir.size_bytes(moved, op.operands[0].type)
    loaded = sum(phase_ir.size_bytes(moved, source.type) for source, moved in read.items())
    return Traffic(loaded, written, tuple(unsized))


def _numel(value: Value) -> int:
    """Element count, where unknown more than any tensor has."""
    numel = phase_ir.numel_of(value.type)
    return _EVERYTHING if numel is None else numel


def _touched(value: Value) -> int:
    """How many elements of a tensor value its users read, at most all of them."""
    total = 0
    for use in value.uses:
        user = use.owner.operation
        total += _touched_by(user, use.operand_number, value) * _trips(user, _scope(value))
    return min(total, _numel(value))


def _touched_by(user: Op, number: int, value: Value) -> int:
    """How many elements of ``value``, its operand ``number``, one execution of ``user`` reads."""
    if user.name in ("tensor.dim", "tensor.rank"):
        return 0
    if user.name in _RESHAPES:
        return _touched(user.results[0])
    if user.name == "tensor.extract":
        return _iterations(user, value)
    if user.name in _GATHERS and number == 0:
        return _numel(user.results[0])
    if user.name in _UPDATES and number == _UPDATES[user.name][1] and _is_in_place(user):
        return 0
    if user.name.startswith("linalg.") and len(user.regions) == 1:
        return _touched_by_structured(user, number, value)
    return _numel(value)


def _touched_by_structured(op: Op, number: int, value: Value) -> int:
    """Elements a linalg op reads: none if its body ignores them, else what its map reaches."""
    arguments = op.regions[0].blocks[0].arguments
    if number < len(arguments) and not any(True for _ in arguments[number].uses):
        return 0
    maps = phase_ir.affine_maps(op)
    shape = phase_ir.shape_of(value.type)
    if number >= len(maps) or shape is None:
        return _numel(value)
    extents = phase_ir.loop_extents(op)
    return prod(
        min(_range(e, extents), size) for e, size in zip(maps[number].results, shape, strict=True)
    )


def _range(expression: AffineExpr, extents: dict[int, int]) -> int:
    """An upper bound of how many different numbers an index expression takes."""
    combinations = prod(extents.get(d, _EVERYTHING) for d in _dims(expression))
    span = _span(expression, extents)
    return combinations if span is None else min(combinations, span + 1)


def _dims(expression: AffineExpr) -> frozenset[int]:
    """The loops an index expression depends on."""
    if isinstance(expression, ir.AffineDimExpr):
        return frozenset((expression.position,))
    if isinstance(expression, ir.AffineBinaryExpr):
        return _dims(expression.lhs) | _dims(expression.rhs)
    return frozenset()


def _span(expression: AffineExpr, extents: dict[int, int]) -> int | None:
    """Largest minus smallest number of a linear index expression; None for other ones."""
    if isinstance(expression, ir.AffineConstantExpr):
        return 0
    if isinstance(expression, ir.AffineDimExpr):
        return extents.get(expression.position, _EVERYTHING) - 1
    if isinstance(expression, ir.AffineAddExpr):
        left, right = _span(expression.lhs, extents), _span(expression.rhs, extents)
        return None if left is None or right is None else left + right
    if isinstance(expression, ir.AffineMulExpr) and isinstance(
        expression.rhs, ir.AffineConstantExpr
    ):
        left = _span(expression.lhs, extents)
        return None if left is None else left * abs(expression.rhs.value)
    return None


def _iterations(op: Op, value: Value) -> int:
    """How often the structured ops between ``op`` and where ``value`` is defined run it."""
    count = 1
    parent = op.parent.operation
    while parent != _scope(value):
        if parent.name == "tensor.generate":
            count *= _numel(parent.results[0])
        elif parent.name.startswith("linalg."):
            loops = len(phase_ir.iterator_types(parent))
            extents = phase_ir.loop_extents(parent)
            count *= (
                prod(extents.get(i, _EVERYTHING) for i in range(loops)) if loops else _EVERYTHING
            )
        parent = parent.parent.operation
    return count


def _scope(value: Value) -> Op:
    """The op in whose region ``value`` is defined."""
    if isinstance(value, ir.BlockArgument):
        return value.owner.owner.operation
    return value.owner.operation.parent.operation


def _trips(op: Op, scope: Op) -> int:
    """How often the scf loops between ``op`` and ``scope`` run it."""
    count = 1
    parent = op.parent.operation
    while parent != scope:
        if parent.name.startswith("scf.") and parent.name != "scf.if":
            count *= trip_count(parent) or _EVERYTHING
        parent = parent.parent.operation
    return count


def trip_count(loop: Op) -> int | None:
    """Iterations of an ``scf.for`` or ``scf.forall`` with constant bounds, else None."""
    if loop.name == "scf.for":
        low, high, step = (phase_ir.constant_int(operand) for operand in list(loop.operands)[:3])
        return None if low is None or high is None or not step else max(0, -(-(high - low) // step))
    if loop.name != "scf.forall" or len(loop.operands) > len(loop.results):
        return None
    bounds = (
        phase_ir.int_array(loop, f"static{part}") for part in ("LowerBound", "UpperBound", "Step")
    )
    return prod(-(-(high - low) // step) for low, high, step in zip(*bounds, strict=True))


def _stored(store: Op) -> int:
    """Elements a store writes: of an in-place update only the update."""
    producer = phase_ir.defining_op(store.operands[0])
    if producer is not None and producer.name in _UPDATES and _is_in_place(producer):
        return _numel(producer.operands[_UPDATES[producer.name][0]])
    return _numel(store.operands[0])


def _is_in_place(update: Op) -> bool:
    """Whether an update's destination is loaded from where its only user stores the result."""
    load = phase_ir.defining_op(update.operands[_UPDATES[update.name][1]])
    users = [use.owner.operation for use in update.results[0].uses]
    if load is None or load.name != LOAD or len(users) != 1 or users[0].name != STORE:
        return False
    return users[0].operands[1] == load.operands[0] and all(
        phase_ir.int_array(load, f"static_{part}") == phase_ir.int_array(users[0], f"static_{part}")
        for part in ("offsets", "sizes", "strides")
    )
