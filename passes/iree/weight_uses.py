"""Which weights a module loads, and which of its dispatches read them, from IREE's stream phase.

There a weight is a global that an initializer fills from the archive, and the function's work
stands in ``stream.cmd.execute`` regions, in order:

    util.initializer { %r, %t = stream.cmd.parameter.load { %scope::%key[%off] : ... } ... }
    util.func @main { %w = util.global.load @g
      stream.cmd.execute with(%w as %a, ...) { stream.cmd.dispatch ... { ro %a[...] } ... } }

A weight *must stay* where it is used in any other way, or loaded with anything else than a constant
place and size: then nothing here can say when it is needed.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.phase_ir import Op, Value

LOAD = "stream.cmd.parameter.load"
EXECUTE = "stream.cmd.execute"
CONCURRENT = "stream.cmd.concurrent"
_END = "stream.yield"


@dataclass(eq=False)
class Unit:
    """The smallest work that can be told apart: one dispatch, copy or fill of an execute region.

    ``group`` is the op that lets it run beside others, where there is one. ``weights`` are the
    names of those it reads.
    """

    op: Op
    group: Op | None
    execute: Op
    weights: tuple[str, ...]


@dataclass(eq=False)
class HeldWeight:
    """A weight as the initializer loads it; ``global_name`` is its global, ``reads`` what loads
    that in the function. Its ``name`` is its key, where no other weight has that.
    """

    name: str
    global_name: str
    key: str
    scope: str
    source_offset: int
    size_bytes: int
    load: Op
    position: int
    reads: list[Op] = field(default_factory=list[Op])
    must_stay: bool = False


@dataclass(eq=False)
class WeightUses:
    """A parsed module with its weights and the work of its entry function, in program order."""

    module: Op
    function: Op
    units: list[Unit]
    weights: dict[str, HeldWeight]

    @property
    def executes(self) -> list[Op]:
        """The regions that hold the work."""
        return list(dict.fromkeys(unit.execute for unit in self.units))


def weight_uses(stream_ir: str, entry: str = "main") -> WeightUses:
    """Reads a stream-phase module; raises ``ValueError`` on bad text or without the entry."""
    module = phase_ir.parse(stream_ir).operation
    function = next(
        (op for op in phase_ir.named(module, "util.func") if phase_ir.symbol(op) == entry), None
    )
    if function is None:
        raise ValueError(f"no function {entry!r} in the stream IR")
    held = {w.global_name: w for w in _held(module)}
    keys = Counter(w.key for w in held.values())
    for weight in held.values():
        weight.name = weight.key if keys[weight.key] == 1 else weight.global_name
    _find_reads(module, function, held)
    units = [unit for execute in _executes(function) for unit in _units(execute, held)]
    return WeightUses(module, function, units, {w.name: w for w in held.values()})


def _executes(function: Op) -> list[Op]:
    """The regions that run once per call, in order; none where the function branches."""
    if len(function.regions[0].blocks) != 1:
        return []
    return [op for op in phase_ir.body_ops(function) if op.name == EXECUTE]


def _held(module: Op) -> Iterator[HeldWeight]:
    """What initializers load from the archive into globals."""
    for initializer in phase_ir.body_ops(module):
        if initializer.name != "util.initializer":
            continue
        stores = [op for op in phase_ir.body_ops(initializer) if op.name == "util.global.store"]
        yield from filter(None, map(_stored, stores))


def _stored(store: Op) -> HeldWeight | None:
    """The weight that a store puts into its global; None where it is something else."""
    source = phase_ir.awaited(store.operands[0])
    load = phase_ir.defining_op(source)
    if load is None or load.name != LOAD:
        return None
    scopes, keys, offsets, sizes, _ = phase_ir.operand_groups(load)
    number = int(source.result_number)
    scope = _text(scopes[0]) if scopes else None
    key = _text(keys[number])
    offset, size = (phase_ir.constant_int(v) for v in (offsets[number], sizes[number]))
    if scope is None or key is None or offset is None or size is None:
        return None
    name = phase_ir.symbol_ref(store.attributes["global"])[-1]
    weight = HeldWeight(key, name, key, scope, offset, size, load, number)
    weight.must_stay = not _is_only_stored(source)
    return weight


def _is_only_stored(value: Value) -> bool:
    """Whether a loaded weight goes to its global and nowhere else: an initializer may also compute
    with it.
    """
    return all(
        use.owner.name == "util.global.store"
        or (
            use.owner.name == "stream.timepoint.await"
            and _is_only_stored(use.owner.results[use.operand_number])
        )
        for use in value.uses
    )


def _text(value: Value) -> str | None:
    """The bytes of a ``util.buffer.constant`` that is a name."""
    op = phase_ir.defining_op(value)
    if op is None or op.name != "util.buffer.constant":
        return None
    return phase_ir.string(op, "value")


def _find_reads(module: Op, function: Op, weights: dict[str, HeldWeight]) -> None:
    """Notes each read of a weight's global, and whether all of them are plain ones; ``weights`` by
    the names of their globals.
    """
    for op in phase_ir.walk(module):
        if op.name not in ("util.global.load", "util.global.store", "util.global.address"):
            continue
        weight = weights.get(phase_ir.symbol_ref(op.attributes["global"])[-1])
        if weight is None or op.name == "util.global.store":
            continue
        weight.reads.append(op)
        at_top = op.name == "util.global.load" and op.parent.operation == function.operation
        if not at_top or any(use.owner.name != EXECUTE for use in op.results[0].uses):
            weight.must_stay = True


def _units(execute: Op, weights: dict[str, HeldWeight]) -> Iterator[Unit]:
    resources = phase_ir.operand_groups(execute)[0]
    arguments = execute.regions[0].blocks[0].arguments
    name_of: dict[int, str] = {}
    for number, resource in enumerate(resources):
        source = phase_ir.defining_op(resource)
        if source is not None and source.name == "util.global.load":
            name_of[number] = phase_ir.symbol_ref(source.attributes["global"])[-1]
    for argument in arguments:
        name = name_of.get(argument.arg_number)
        if name in weights and any(not _is_read(use) for use in argument.uses):
            weights[name].must_stay = True
    for op in phase_ir.body_ops(execute):
        inner = phase_ir.body_ops(op) if op.name == CONCURRENT else [op]
        for work in inner:
            if work.name != _END:
                names = (name_of.get(n) for n in dict.fromkeys(_arguments_read(work, execute)))
                read = tuple(weights[name].name for name in names if name in weights)
                yield Unit(work, op if op.name == CONCURRENT else None, execute, read)


def _arguments_read(op: Op, execute: Op) -> Iterator[int]:
    """The numbers of the region's arguments that ``op`` and what is in it take."""
    block = execute.regions[0].blocks[0]
    for inner in phase_ir.walk(op):
        for operand in inner.operands:
            number = phase_ir.argument_number(operand, block)
            if number is not None:
                yield number


def _is_read(use: Any) -> bool:
    """Whether a weight is bound to a dispatch at a known place: only such reads can be moved."""
    op, number = use.owner, use.operand_number
    if op.name != "stream.cmd.dispatch":
        return False
    workload, uniform, resources, _, offsets, _ = phase_ir.operand_groups(op)
    position = number - len(workload) - len(uniform)
    return position < len(resources) and phase_ir.constant_int(offsets[position]) is not None
