"""Write a streaming plan into IREE's stream phase, so that the unmodified runtime carries it out.

The one region of work becomes one per step of the plan; each load becomes a gather from the archive
into a place in an arena, ordered against the steps by timepoints:

    %e = stream.cmd.execute with(%w as %a, ...) { A(%a)  B(%b) }
    ==>
    %arena, %t = stream.resource.alloca : !stream.resource<transient>
    %g0 = stream.cmd.parameter.gather await(%t) => { %scope::%a_key[0] -> %arena[0 for n] }
    %g1 = stream.cmd.parameter.gather await(%g0) => { %scope::%b_key[0] -> %arena[n for m] }
    %e0 = stream.cmd.execute await(%g0) => with(%arena as %x, ...) { A(%x[0 for n]) }
    %e1 = stream.cmd.execute await(join(%e0, %g1)) => with(%arena as %x, ...) { B(%x[n for m]) }
    %f = stream.resource.dealloca await(join(%e1, %g1)) => %arena

What is loaded at a tick waits for the steps before it, and for the loads before it: places are free
when they are filled, and no later load takes bandwidth from an earlier one. Kernels do not change:
a dispatch is given another buffer and another offset. Pinned weights stay as they were.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.phase_ir import Op, Value, ir
from smartmem.passes.iree.weight_uses import EXECUTE, HeldWeight, Unit, WeightUses
from smartmem.passes.streaming.plan import Load, Plan, Residency

_TRANSIENT = "!stream.resource<transient>"
_TIMEPOINT = "!stream.timepoint"


def stream_weights(uses: WeightUses, steps: Sequence[Sequence[Unit]], plan: Plan) -> str:
    """The text of the module with a plan in it, by which something moves.

    ``steps`` are the units of each step of the planned problem; its weights are named as in
    ``uses``, whose module is used up.
    """
    _Writer(uses, steps, plan).write()
    moved = [uses.weights[name] for name in dict.fromkeys(s.weight for s in plan.residencies)]
    _unload(uses.module, moved)
    return str(uses.module.get_asm(enable_debug_info=True))


class _Writer:
    """Rewrites the entry function, step by step."""

    def __init__(self, uses: WeightUses, steps: Sequence[Sequence[Unit]], plan: Plan) -> None:
        self._uses, self._steps, self._plan = uses, steps, plan
        self._context = uses.module.context
        self._affinity = uses.executes[0].attributes["affinity"]
        self._entry = uses.function.regions[0].blocks[0]
        self._names = {w.global_name: w.name for w in uses.weights.values()}
        self._constants: dict[tuple[str, str], Value] = {}
        self._loads: dict[int, list[tuple[Residency, Load]]] = {}
        for stay in plan.residencies:
            for load in stay.loads:
                self._loads.setdefault(load.tick, []).append((stay, load))
        self._gathered: Value | None = None
        self._gathers: dict[int, Value] = {}

    def write(self) -> None:
        """Put arena, gathers and steps in the place of the regions."""
        first = self._uses.executes[0]
        self._size = self._index(self._plan.arena_bytes)
        self._arena, done = self._make(
            "stream.resource.alloca", [self._size], [_TRANSIENT, _TIMEPOINT], first
        ).results
        # The timepoint of the last step so far, of each region.
        ends: dict[Op, Value] = {}
        for number, units in enumerate(self._steps):
            region = units[0].execute
            self._gather(2 * number, done, region)
            self._gather(2 * number + 1, done, region)
            own = [] if region in ends else phase_ir.operand_groups(region)[2]
            wait = self._join([*own, done, *self._needed(number)], region)
            done = ends[region] = self._step(number, units, wait)
        last = self._steps[-1][0].execute
        ends[last] = self._join([done, self._freed(done, last)], last)
        for region, timepoint in ends.items():
            region.results[0].replace_all_uses_with(timepoint)
            region.erase()
        for stay in self._plan.residencies:
            for read in self._uses.weights[stay.weight].reads:
                read.erase()
            self._uses.weights[stay.weight].reads.clear()

    def _gather(self, tick: int, after: Value, before: Op) -> None:
        """The loads of one tick, after the steps and the loads before it."""
        loads = self._loads.get(tick)
        if not loads:
            return
        weights = [self._uses.weights[stay.weight] for stay, _ in loads]
        wait = self._join([after] if self._gathered is None else [after, self._gathered], before)
        for scope in dict.fromkeys(w.scope for w in weights):
            rows = [(w, *row) for w, row in zip(weights, loads, strict=True) if w.scope == scope]
            groups = [
                [self._text(scope)],
                [self._text(w.key) for w, _, _ in rows],
                [self._int("i64", w.source_offset + load.start) for w, _, load in rows],
                [self._arena],
                [self._size],
                [self._index(stay.offset + load.start) for _, stay, load in rows],
                [self._index(load.size_bytes) for _, _, load in rows],
                [wait],
            ]
            gather = self._make("stream.cmd.parameter.gather", groups, [_TIMEPOINT], before)
            wait = gather.results[0]
        self._gathered = self._gathers[tick] = wait

    def _needed(self, number: int) -> list[Value]:
        """The gather that ends what step ``number`` reads; those before it have ended by then."""
        ticks = [
            load.tick
            for stay in self._plan.residencies
            if self._is_read(stay, number)
            for load in stay.loads
        ]
        return [self._gathers[max(ticks)]] if ticks else []

    def _is_read(self, stay: Residency, number: int) -> bool:
        reads = any(stay.weight in unit.weights for unit in self._steps[number])
        return reads and stay.first_tick <= 2 * number < stay.last_tick

    def _step(self, number: int, units: Sequence[Unit], wait: Value) -> Value:
        """One region with the units of a step; gives its timepoint."""
        old = units[0].execute
        resources, sizes, _ = phase_ir.operand_groups(old)
        block = old.regions[0].blocks[0]
        places = {
            stay.weight: stay.offset
            for stay in self._plan.residencies
            if self._is_read(stay, number)
        }
        streamed = {
            position: name
            for position, resource in enumerate(resources)
            if (name := self._weight_of(resource)) in places
        }
        taken = sorted({n for unit in units for n in _arguments(unit.op, block)} - streamed.keys())
        operands = [resources[n] for n in taken]
        lengths = [sizes[n] for n in taken]
        if streamed:
            operands, lengths = [*operands, self._arena], [*lengths, self._size]
        new = self._make(EXECUTE, [operands, lengths, [wait]], [_TIMEPOINT], old, regions=1)
        types = [value.type for value in operands]
        body = new.regions[0].blocks.append(*types, arg_locs=[old.location] * len(types))
        renamed = {n: body.arguments[i] for i, n in enumerate(taken)}
        self._fill(body, units)
        for op in phase_ir.walk(new):
            if op.name == "stream.cmd.dispatch" and streamed:
                self._rebind(op, block, streamed, places, body.arguments[len(taken)])
            for position, operand in enumerate(op.operands):
                argument = phase_ir.argument_number(operand, block)
                if argument is not None:
                    op.operands[position] = renamed[argument]
        return new.results[0]

    def _fill(self, body: Any, units: Sequence[Unit]) -> None:
        """Move the units there, those of one group together in a new one."""
        group: Op | None = None
        target = body
        for unit in units:
            if unit.group is None:
                target = body
            elif group is None or unit.group != group:
                inner = ir.Operation.create(
                    unit.group.name, regions=1, loc=unit.group.location, ip=ir.InsertionPoint(body)
                )
                target = inner.regions[0].blocks.append()
            group = unit.group
            target.append(unit.op)
        ends = [body, *(op.regions[0].blocks[0] for op in body if len(op.operation.regions))]
        for block in ends:
            if not len(block.operations) or block.operations[-1].operation.name != "stream.yield":
                ir.Operation.create(
                    "stream.yield", loc=self._uses.function.location, ip=ir.InsertionPoint(block)
                )

    def _rebind(
        self, op: Op, block: Any, streamed: dict[int, str], places: dict[str, int], arena: Value
    ) -> None:
        """Give a dispatch the arena where it read a streamed weight."""
        groups = phase_ir.operand_groups(op)
        before = len(groups[0]) + len(groups[1])
        count = len(groups[2])
        for position, (resource, offset) in enumerate(zip(groups[2], groups[4], strict=True)):
            argument = phase_ir.argument_number(resource, block)
            if argument not in streamed:
                continue
            inside = phase_ir.constant_int(offset) or 0
            op.operands[before + position] = arena
            op.operands[before + count + position] = self._size
            place = self._index(places[streamed[argument]] + inside)
            op.operands[before + 2 * count + position] = place

    def _freed(self, done: Value, before: Op) -> Value:
        """The arena goes when the last step is done."""
        return self._make(
            "stream.resource.dealloca", [self._arena, self._size, done], [_TIMEPOINT], before
        ).results[0]

    def _join(self, timepoints: Iterable[Value], before: Op) -> Value:
        distinct: list[Value] = []
        for timepoint in timepoints:
            if timepoint not in distinct:
                distinct.append(timepoint)
        if len(distinct) == 1:
            return distinct[0]
        return self._make("stream.timepoint.join", distinct, [_TIMEPOINT], before).results[0]

    def _weight_of(self, resource: Value) -> str | None:
        source = phase_ir.defining_op(resource)
        if source is None or source.name != "util.global.load":
            return None
        return self._names.get(phase_ir.symbol_ref(source.attributes["global"])[-1])

    def _make(
        self,
        name: str,
        operands: Sequence[Any],
        results: Sequence[str],
        before: Op,
        regions: int = 0,
    ) -> Op:
        """A new op; operands in groups are an op's with operand segments."""
        grouped = bool(operands) and isinstance(operands[0], list)
        attributes: dict[str, Any] = {}
        if name != "stream.timepoint.join":
            attributes["affinity"] = self._affinity
        if grouped:
            sizes = [len(group) for group in operands]
            attributes["operandSegmentSizes"] = ir.DenseI32ArrayAttr.get(sizes, self._context)
        return ir.Operation.create(
            name,
            results=[ir.Type.parse(text, self._context) for text in results],
            operands=[v for group in operands for v in group] if grouped else list(operands),
            attributes=attributes,
            regions=regions,
            loc=before.location,
            ip=ir.InsertionPoint(before),
        )

    def _index(self, value: int) -> Value:
        return self._int("index", value)

    def _int(self, type_: str, value: int) -> Value:
        return self._constant("arith.constant", type_, f"{value} : {type_}")

    def _text(self, value: str) -> Value:
        quoted = ir.StringAttr.get(value, self._context)
        return self._constant("util.buffer.constant", "!util.buffer", str(quoted))

    def _constant(self, name: str, type_: str, value: str) -> Value:
        """One for each value, at the top of the function."""
        if (name, value) not in self._constants:
            op = ir.Operation.create(
                name,
                results=[ir.Type.parse(type_, self._context)],
                attributes={"value": ir.Attribute.parse(value, self._context)},
                loc=self._uses.function.location,
                ip=ir.InsertionPoint.at_block_begin(self._entry),
            )
            self._constants[name, value] = op.results[0]
        return self._constants[name, value]


def _arguments(op: Op, block: Any) -> Iterable[int]:
    """The arguments of ``block`` that ``op`` takes."""
    for inner in phase_ir.walk(op):
        for operand in inner.operands:
            number = phase_ir.argument_number(operand, block)
            if number is not None:
                yield number


def _unload(module: Op, moved: Sequence[HeldWeight]) -> None:
    """Take the weights out of what the initializers load, and their globals away."""
    names = {w.global_name for w in moved}
    for load in dict.fromkeys(w.load for w in moved):
        gone = {w.position for w in moved if w.load == load}
        _drop_stores(load, names)
        _shrink(load, gone)
    for op in list(phase_ir.body_ops(module)):
        if op.name == "util.global" and phase_ir.symbol(op) in names:
            op.erase()


def _drop_stores(load: Op, names: set[str]) -> None:
    for op in list(phase_ir.body_ops(load.parent)):
        is_store = op.name == "util.global.store"
        if is_store and phase_ir.symbol_ref(op.attributes["global"])[-1] in names:
            op.erase()


def _shrink(load: Op, gone: set[int]) -> None:
    """A load, and the awaits of it, without some of its results, which nothing else uses."""
    groups = phase_ir.operand_groups(load)
    *results, timepoint = list(load.results)
    kept = [n for n in range(len(results)) if n not in gone]
    dropped = [results[n] for n in sorted(gone)]
    awaits = [use.owner.operation for result in dropped for use in result.uses]
    for op in dict.fromkeys(awaits):
        _shrink_await(op, dropped)
    if kept:
        entries = [[group[n] for n in kept] for group in groups[1:4]]
        new = _like(load, [groups[0], *entries, groups[4]], [results[n].type for n in kept])
        for position, number in enumerate(kept):
            results[number].replace_all_uses_with(new.results[position])
        timepoint.replace_all_uses_with(new.results[len(kept)])
    else:
        # What waited for the load and for other things still waits for those.
        done = ir.Operation.create(
            "stream.timepoint.immediate",
            results=[timepoint.type],
            loc=load.location,
            ip=ir.InsertionPoint(load),
        )
        timepoint.replace_all_uses_with(done.results[0])
    load.erase()


def _shrink_await(op: Op, gone: Sequence[Value]) -> None:
    resources, sizes, timepoint = phase_ir.operand_groups(op)
    kept = [n for n, resource in enumerate(resources) if resource not in gone]
    if kept:
        groups = [[resources[n] for n in kept], [sizes[n] for n in kept], timepoint]
        new = _like(op, groups, [op.results[n].type for n in kept], timepoint=False)
        for position, number in enumerate(kept):
            op.results[number].replace_all_uses_with(new.results[position])
    op.erase()


def _like(op: Op, groups: list[list[Value]], types: list[Any], timepoint: bool = True) -> Op:
    """The op with other operands and results, in its place."""
    attributes = {name: op.attributes[name] for name in op.attributes}
    sizes = [len(group) for group in groups]
    attributes["operandSegmentSizes"] = ir.DenseI32ArrayAttr.get(sizes, op.context)
    results = [*types, ir.Type.parse(_TIMEPOINT, op.context)] if timepoint else types
    return ir.Operation.create(
        op.name,
        results=results,
        operands=[value for group in groups for value in group],
        attributes=attributes,
        loc=op.location,
        ip=ir.InsertionPoint(op),
    )
