"""Let kernels write their results over what they read last, so that the two take memory once.

    softmax: reads scores, writes weights         softmax: reads scores, writes scores
    product: reads weights                  ==>   product: reads scores

IREE gives every result memory of its own, and the scores of an attention stand beside their softmax
just where a call needs the most. A kernel may overwrite what it reads where each element is touched
by one thread only, and loaded before it is stored. That follows from the indices of its loads and
stores (``spirv_index.py``), which are sums of thread, workgroup and loop numbers:

* all of them have the same terms of threads, workgroups, and loops that enclose them all: the
  *owner* of an element; and no two owners have the same element;
* for one owner, loads come before stores.

Whoever else reads the tensor must come before anyway, so that no order is added. The two bindings
are declared to be aliases: then no compiler moves a load behind a store.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import product
from math import prod
from typing import Any

from smartmem.passes.iree import phase_ir, spirv_binary
from smartmem.passes.iree.phase_ir import Op, ir
from smartmem.passes.iree.schedule import Program
from smartmem.passes.iree.spirv_index import DIVISIONS, LESS, QUOTIENTS, Atom, Indices
from smartmem.passes.iree.texture_loads import LOAD, STORE, Found, Kept, find
from smartmem.runtime.schedule import (
    BUFFER,
    Access,
    Command,
    Dispatch,
    ResourceKind,
    Schedule,
    Use,
)

# Sums of indices that are counted one by one, of one dispatch: a workgroup's have a thousand.
_MOST_SUMS = 1 << 16
# A thread's, a workgroup's or a loop's number: its factor in an index and how many values it has.
Digit = tuple[int, int]


@dataclass(frozen=True)
class _Step:
    """A load or a store: its place in the kernel, the loops around it, and the parts of its index:
    the owner's, and of ``inner`` loops the values that they add to ``constant``.
    """

    place: int
    is_load: bool
    loops: list[Op]
    owner: frozenset[tuple[object, Digit]]
    inner: Mapping[Op, tuple[int, ...]]
    constant: int

    def rest(self, without: Collection[Op] = ()) -> frozenset[int]:
        """What is added to the owner's part, some loops left out; raises Kept for too much."""
        parts = [values for loop, values in self.inner.items() if loop not in without]
        return _sums([*parts, (self.constant,)])


def share(targets_ir: str, program: Program) -> Program:
    """The program, whose scratch memory is taken apart (``tensors.py``), with results in the place
    of what was read last; ``targets_ir`` has its kernels as they read buffers.
    """
    schedule = program.schedule
    candidates = [found for found in enumerate(schedule.commands) if isinstance(found[1], Dispatch)]
    # Its ops live as long as the module does.
    module = phase_ir.parse(targets_ir)
    shaders = _shaders(module.operation)
    known: dict[tuple[int, int, int], bool] = {}
    renamed: dict[int, int] = {}
    aliases: dict[int, set[int]] = {}
    spans, before = _spans(schedule), _Before(schedule)
    for place, command in candidates:
        assert isinstance(command, Dispatch)
        taken: set[int] = set()
        for read, write in _pairs(schedule, command, place, spans):
            if {read, write} & taken or not before.all_readers(place, command.uses[read].resource):
                continue
            key = (command.kernel, read, write)
            if key not in known:
                shader = shaders.get(schedule.kernels[command.kernel].entry)
                known[key] = shader is not None and _overwrites(shader, command, read, write)
            if known[key]:
                taken |= {read, write}
                aliases.setdefault(command.kernel, set()).update((read, write))
                source = command.uses[read].resource
                renamed[command.uses[write].resource] = renamed.get(source, source)
    return _with_aliases(replace(program, schedule=_renamed(schedule, renamed)), aliases)


def _pairs(
    schedule: Schedule, command: Dispatch, place: int, spans: Mapping[int, tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Bindings of a call: one whose tensor is read for the last time, and one whose is new."""
    uses, bindings = command.uses, schedule.kernels[command.kernel].bindings
    resources = [use.resource for use in uses]

    def is_free(number: int, access: Access) -> bool:
        use = uses[number]
        resource = schedule.resources[use.resource]
        return (
            use.access is access
            and bindings[number] == BUFFER
            and resource.kind is ResourceKind.TRANSIENT
            and use.resource in spans
            and (use.offset, use.length) == (0, resource.size_bytes)
            and resources.count(use.resource) == 1
        )

    for read in range(len(uses)):
        for write in range(len(uses)):
            if (
                is_free(read, Access.READ)
                and is_free(write, Access.WRITE)
                and uses[read].length == uses[write].length
                and spans[uses[read].resource][1] == place == spans[uses[write].resource][0]
            ):
                yield read, write


def _spans(schedule: Schedule) -> dict[int, tuple[int, int]]:
    """The first and the last command of what only a call's commands use."""
    kept = {port.resource for port in schedule.outputs}
    kept |= {use.resource for command in schedule.setup for use in command.uses}
    spans: dict[int, tuple[int, int]] = {}
    for place, command in enumerate(schedule.commands):
        for use in command.uses:
            first, _ = spans.get(use.resource, (place, place))
            spans[use.resource] = (first, place)
    return {resource: span for resource, span in spans.items() if resource not in kept}


class _Before:
    """What comes before what, whatever lies where: by the tensors that commands read."""

    def __init__(self, schedule: Schedule) -> None:
        self._makers: dict[int, list[int]] = {}
        self._readers: dict[int, list[int]] = {}
        self._commands = schedule.commands
        for place, command in enumerate(schedule.commands):
            for use in command.uses:
                if use.access is not Access.READ:
                    self._makers.setdefault(use.resource, []).append(place)
                if use.access is not Access.WRITE:
                    self._readers.setdefault(use.resource, []).append(place)

    def all_readers(self, place: int, resource: int) -> bool:
        """Whether all other readers of ``resource`` come before the command at ``place``."""
        others = {other for other in self._readers[resource] if other != place}
        waiting, seen = [place], {place}
        while waiting and not others <= seen:
            command = self._commands[waiting.pop()]
            reads = [use.resource for use in command.uses if use.access is not Access.WRITE]
            makers = {m for r in reads for m in self._makers.get(r, ()) if m < place}
            waiting += sorted(makers - seen)
            seen |= makers
        return others <= seen


def _renamed(schedule: Schedule, names: Mapping[int, int]) -> Schedule:
    def moved(use: Use) -> Use:
        return replace(use, resource=names.get(use.resource, use.resource))

    def renamed(command: Command) -> Command:
        if isinstance(command, Dispatch):
            return replace(command, uses=tuple(map(moved, command.uses)))
        places = {
            name: moved(getattr(command, name))
            for name in ("source", "target")
            if hasattr(command, name)
        }
        return replace(command, **places)

    return replace(schedule, commands=tuple(map(renamed, schedule.commands)))


def _with_aliases(program: Program, aliases: Mapping[int, set[int]]) -> Program:
    """The program with kernels whose bindings are declared to be aliases."""
    rows, files = list(program.schedule.kernels), dict(program.kernels)
    for number, bindings in aliases.items():
        file = rows[number].file
        files[file] = spirv_binary.with_aliases(files[file], bindings)
        rows[number] = replace(rows[number], sha256=sha256(files[file]).digest())
    return replace(program, schedule=replace(program.schedule, kernels=tuple(rows)), kernels=files)


def _shaders(module: Op) -> dict[str, Op]:
    """The ``spirv.module`` of each entry point that has one of its own."""
    found: dict[str, Op] = {}
    for shader in phase_ir.named(module, "spirv.module"):
        points = [op for op in phase_ir.body_ops(shader) if op.name == "spirv.EntryPoint"]
        if len(points) == 1:
            found[phase_ir.symbol_ref(points[0].attributes["fn"])[0]] = shader
    return found


def _overwrites(shader: Op, call: Dispatch, read: int, write: int) -> bool:
    """Whether a kernel may write one binding over another that it reads."""
    try:
        loads, stores = find(shader, read, LOAD), find(shader, write, STORE)
        if loads.texel_bytes != stores.texel_bytes:
            return False
        steps = _steps(shader, call, loads, stores)
        rest = frozenset[int]().union(*(step.rest() for step in steps))
        return _are_apart(steps[0], rest) and all(
            _is_in_order(load, store)
            for load in steps
            for store in steps
            if load.is_load and not store.is_load
        )
    except Kept:
        return False


def _steps(shader: Op, call: Dispatch, loads: Found, stores: Found) -> list[_Step]:
    """Both bindings' accesses, of one owner; raises Kept where an index is not understood."""
    indices = Indices(shader, call.workgroups)
    places = {op: place for place, op in enumerate(phase_ir.walk(shader))}
    accesses = [*loads.accesses, *stores.accesses]
    around = [_loops(op) for _, op in accesses]
    common = [loop for loop in around[0] if all(loop in loops for loops in around)]
    steps: list[_Step] = []
    for (chain, op), loops in zip(accesses, around, strict=True):
        form = indices.form(chain.operands[2])
        guards = _guards(op, indices)
        owner: dict[object, Digit] = {}
        inner: dict[Op, tuple[int, ...]] = {}
        for atom, factor in form.terms.items():
            name = _thread_of(indices, atom) or _loop_of(atom)
            if name is None or atom.range is None or name in owner or name in inner:
                raise Kept("an index of something else")
            low, high = atom.range
            if isinstance(name, tuple) or name in common:
                if low != 0 or factor.denominator != 1 or factor <= 0:
                    raise Kept("an index that counts otherwise")
                owner[name] = (factor.numerator, min(high + 1, guards.get(name, high + 1)))
            else:
                values = range(low, high + 1, atom.multiple)
                inner[name] = tuple(int(factor * value) for value in values)
        numbers = all(_is_told(number, owner) for number in indices.threads())
        if not numbers or not all(loop in owner for loop in common):
            raise Kept("several threads, or iterations, have one element")
        owned = frozenset(owner.items())
        steps.append(_Step(places[op], op.name == LOAD, loops, owned, inner, form.constant))
    if len({step.owner for step in steps}) != 1:
        raise Kept("what one thread reads another writes")
    return steps


def _thread_of(indices: Indices, atom: Atom) -> tuple[object, ...] | None:
    """The thread's or workgroup's number that an atom is, or is divided from."""
    found = indices.thread(atom.value)
    if found is not None:
        return found
    op = phase_ir.defining_op(atom.value)
    if op is None or op.name not in DIVISIONS:
        return None
    found, divisor = indices.thread(op.operands[0]), indices.form(op.operands[1])
    if found is None or divisor.terms:
        return None
    return (*found, op.name in QUOTIENTS, divisor.constant)


def _is_told(number: tuple[str, int], owner: Mapping[Any, Digit]) -> bool:
    """Whether an owner says a thread's or a workgroup's number: itself, or quotient and remainder
    by one divisor.
    """
    parts: list[tuple[Any, ...]] = [
        name for name in owner if isinstance(name, tuple) and name[:2] == number
    ]
    if number in parts:
        return len(parts) == 1
    return (
        len(parts) == 2
        and {part[2] for part in parts} == {True, False}
        and (parts[0][3] == parts[1][3])
    )


def _guards(op: Op, indices: Indices) -> dict[object, int]:
    """The numbers of threads that get to an op only where they are less than a constant."""
    found: dict[object, int] = {}
    child, parent = op.operation, op.operation.parent
    while parent is not None and parent.operation.name != "spirv.func":
        if parent.operation.name == "spirv.mlir.selection":
            blocks = list(parent.operation.regions[0])
            branch = list(blocks[0].operations)[-1].operation
            is_inside = child.block not in (blocks[0], blocks[-1])
            if branch.name == "spirv.BranchConditional" and is_inside:
                # Whoever does not pass goes to the end.
                test = phase_ir.defining_op(branch.operands[0])
                if branch.successors[1] == blocks[-1] and test is not None and test.name in LESS:
                    number, most = indices.thread(test.operands[0]), indices.form(test.operands[1])
                    if number is not None and not most.terms:
                        found[number] = min(most.constant, found.get(number, most.constant))
        child, parent = parent.operation, parent.operation.parent
    return found


def _sums(parts: list[tuple[int, ...]]) -> frozenset[int]:
    """The sums of one value of each part; raises Kept where they are too many to count."""
    if prod(map(len, parts)) > _MOST_SUMS:
        raise Kept("too many indices")
    return frozenset(map(sum, product(*parts)))


def _are_distinct(parts: list[tuple[int, ...]]) -> bool:
    """Whether all sums of one value of each part differ."""
    return len(_sums(parts)) == prod(map(len, parts))


def _loops(op: Op) -> list[Op]:
    """The loops around an op, the innermost first."""
    found: list[Op] = []
    parent = op.operation.parent
    while parent is not None and parent.operation.name != "spirv.func":
        if parent.operation.name == "spirv.mlir.loop":
            found.append(parent.operation)
        parent = parent.operation.parent
    return found


def _loop_of(atom: Atom) -> Op | None:
    """The loop whose number an atom is."""
    if not isinstance(atom.value, ir.BlockArgument):
        return None
    parent = atom.value.owner.owner.operation
    return parent if parent.name == "spirv.mlir.loop" else None


def _is_in_order(load: _Step, store: _Step) -> bool:
    """Whether one owner loads no element after it was stored."""
    owned = {name for name, _ in load.owner}
    shared = [loop for loop in load.loops if loop in store.loops and loop not in owned]
    if any(loop not in load.inner or load.inner[loop] != store.inner.get(loop) for loop in shared):
        return False
    # What one iteration of the loops around both loads and stores.
    loaded, stored = load.rest(shared), store.rest(shared)
    iterations = [load.inner[loop] for loop in shared]
    if shared and not _are_distinct([*iterations, tuple(loaded | stored)]):
        return False
    return load.place < store.place or loaded.isdisjoint(stored)


def _are_apart(step: _Step, rest: frozenset[int]) -> bool:
    """Whether no two owners have the same element, of the ``rest`` that is added to their parts."""
    digits = sorted(digit for _, digit in step.owner)
    span = max(rest) - min(rest)
    while digits:
        factor, _ = digits[-1]
        if factor <= span + sum(other * (count - 1) for other, count in digits[:-1]):
            break
        # No sum of the others gets from one value of this to the next.
        digits.pop()
    parts = [tuple(factor * value for value in range(count)) for factor, count in digits]
    return _are_distinct([*parts, tuple(rest)])
