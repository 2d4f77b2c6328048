"""Read the schedule of a compiled module from IREE's ``executable-targets`` phase.

There every kernel is a ``spirv.module`` and its workgroup count a constant, while the calls, copies
and fills of one inference still are ops on ranges of resources:

    stream.cmd.execute with(%weights as %w, %slab as %t) {
      stream.cmd.dispatch @kernel_0::@variant::@entry {
        ro %w[%c0 for %c864], wo %t[%c1216 for %c2048] } }
    ==>
    Dispatch(0, workgroups=(64, 1, 1), uses=(Use(w, READ, 0, 864), Use(t, WRITE, 1216, 2048)))

The vmfb is made from the same text, so both artefacts run the same kernels on the same ranges.
What is not static, or not known here, raises ``Unschedulable``: the vmfb runs all the same.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from smartmem.passes.iree import phase_ir, spirv_binary
from smartmem.passes.iree.phase_ir import Op, Value, ir
from smartmem.runtime.schedule import (
    NO_RESOURCE,
    Access,
    Command,
    Copy,
    Dispatch,
    Fill,
    Format,
    Kernel,
    Port,
    Resource,
    ResourceKind,
    Schedule,
    Upload,
    Use,
)

_KINDS = {"external": ResourceKind.OUTPUT, "transient": ResourceKind.TRANSIENT}
_GROUPS = ("stream.cmd.serial", "stream.cmd.concurrent")
# Ops of the entry function that order or describe what others do.
_SILENT = (
    "arith.constant",
    "hal.buffer_view.assert",
    "hal.element_type",
    "hal.encoding_type",
    "stream.resource.dealloca",
    "stream.tensor.export",
    "stream.timepoint.await",
    "stream.timepoint.immediate",
    "stream.timepoint.import",
    "stream.timepoint.join",
)
_LIFETIME = re.compile(r"^!stream\.resource<(\w+)>$")
_SUBGROUP_SIZE = re.compile(r"subgroup_size_choices = \[(\d+)\]")
_WORD_BYTES = 4


class Unschedulable(Exception):
    """Why our executor cannot run a module; a clause for the report."""


@dataclass(frozen=True)
class Program:
    """A schedule and its kernels' SPIR-V by file name."""

    schedule: Schedule
    kernels: Mapping[str, bytes]


def read_program(
    targets_ir: str,
    binary: Callable[[str, str], bytes],
    texels: Mapping[str, Mapping[int, Format]] | None = None,
) -> Program:
    """The program of an ``executable-targets`` module.

    ``binary`` gives the SPIR-V of an executable's entry; ``texels`` the format of its bindings that
    are texel buffers there, by entry and number (``textures.py``). Raises Unschedulable, and
    ``ValueError`` on text that does not parse.
    """
    module = phase_ir.parse(targets_ir).operation
    kernels = _Kernels(module, binary, texels or {})
    memory = _Memory()
    for op in phase_ir.named(module, "util.initializer"):
        _read_initializer(op, memory)
    function = _entry(module)
    arguments = list(function.regions[0].blocks[0].arguments)
    outputs: list[Port] = []
    commands: list[Command] = []
    for op in phase_ir.body_ops(function):
        if op.name == "stream.cmd.execute":
            commands += _execute(op, memory, kernels)
        elif op.name == "util.return":
            outputs += [memory.result(value) for value in op.operands]
        elif not memory.visit(op) and op.name not in _SILENT:
            raise Unschedulable(f"the entry function has a {op.name}")
    schedule = Schedule(
        resources=tuple(memory.resources),
        uploads=tuple(memory.uploads),
        inputs=tuple(memory.argument(value) for value in arguments),
        outputs=tuple(outputs),
        kernels=tuple(kernels.rows),
        commands=tuple(commands),
    )
    return Program(schedule, kernels.files)


class _Memory:
    """The resources met so far, and of which of them a value is a part, from which byte on."""

    def __init__(self) -> None:
        self.resources: list[Resource] = []
        self.uploads: list[Upload] = []
        self._of_value: dict[Value, tuple[int, int]] = {}
        self._of_global: dict[str, int] = {}
        self._of_argument: dict[int, int] = {}

    def visit(self, op: Op) -> bool:
        """Take in an op that makes or names memory; whether it is one."""
        if op.name == "stream.tensor.import":
            number = self._add(ResourceKind.INPUT, _constant(op.operands[1]))
            self._of_argument[_argument_number(op.operands[0])] = number
            self._of_value[op.results[0]] = (number, 0)
        elif op.name == "stream.resource.alloca":
            kind = _KINDS[_lifetime(op.results[0])]
            number = self._add(kind, _constant(op.operands[0]))
            self._of_value[op.results[0]] = (number, 0)
        elif op.name == "util.global.load":
            (name,) = phase_ir.symbol_ref(op.attributes["global"])
            if name not in self._of_global:
                raise Unschedulable(f"the global {name} is read, and is no weight")
            self._of_value[op.results[0]] = (self._of_global[name], 0)
        elif op.name == "stream.resource.subview":
            source, _, offset, _ = op.operands
            number, start = self._find(source)
            self._of_value[op.results[0]] = (number, start + _constant(offset))
        elif op.name == "util.optimization_barrier":
            for held, value in zip(op.operands, op.results, strict=True):
                self.bind(value, held)
        else:
            return False
        return True

    def add_weight(self, name: str, size_bytes: int, key: str, key_offset: int) -> None:
        """A global that an entry of the archive is loaded into."""
        number = self._add(ResourceKind.CONSTANT, size_bytes)
        self._of_global[name] = number
        self.uploads.append(Upload(number, 0, size_bytes, key, key_offset))

    def _add(self, kind: ResourceKind, size_bytes: int) -> int:
        self.resources.append(Resource(kind, size_bytes))
        return len(self.resources) - 1

    def bind(self, inner: Value, outer: Value) -> None:
        """``inner`` is another name of ``outer``."""
        self._of_value[inner] = self._find(outer)

    def use(self, value: Value, access: Access, offset: Value, length: Value) -> Use:
        """A range of the memory that ``value`` is."""
        number, start = self._find(value)
        return Use(number, access, start + _constant(offset), _constant(length))

    def result(self, value: Value) -> Port:
        """Where a result of the function lies; it may be an argument."""
        if isinstance(value, ir.BlockArgument):
            port = self.argument(value)
            if port.resource == NO_RESOURCE:
                raise Unschedulable("an argument that nothing reads is a result")
            return port
        export = phase_ir.defining_op(value)
        if export is None or export.name != "stream.tensor.export":
            raise Unschedulable("a result that is no exported tensor")
        source, size_bytes = export.operands
        return Port(*self._find(source), _constant(size_bytes))

    def argument(self, value: Value) -> Port:
        """Where an argument of the function lies."""
        number = self._of_argument.get(_argument_number(value))
        if number is None:
            return Port(NO_RESOURCE, 0, 0)
        return Port(number, 0, self.resources[number].size_bytes)

    def _find(self, value: Value) -> tuple[int, int]:
        if value in self._of_value:
            return self._of_value[value]
        op = phase_ir.defining_op(value)
        if op is None or op.name != "stream.timepoint.await":
            raise Unschedulable(f"memory made by {op.name if op else 'an unknown argument'}")
        return self._find(_awaited(op, value))


@dataclass(frozen=True)
class _Export:
    """``workgroups`` of each call; the size of subgroup that the code was made for."""

    workgroups: tuple[int, int, int]
    subgroup_size: int


class _Kernels:
    """The kernels in the order of their first call."""

    def __init__(
        self,
        module: Op,
        binary: Callable[[str, str], bytes],
        texels: Mapping[str, Mapping[int, Format]],
    ) -> None:
        self.rows: list[Kernel] = []
        self.files: dict[str, bytes] = {}
        self._binary = binary
        self._texels = texels
        self._exports = dict(_exports(module))
        self._numbers: dict[tuple[str, ...], int] = {}

    def call(self, path: tuple[str, ...], bindings: int, words: int) -> tuple[int, _Export]:
        """The number of the kernel at a symbol's path, and what its executable says of it."""
        export = self._exports.get(path)
        if export is None:
            raise Unschedulable(f"no executable for {'::'.join(path)}")
        if path not in self._numbers:
            self._numbers[path] = len(self.rows)
            self._add(path, export, bindings, words)
        return self._numbers[path], export

    def _add(self, path: tuple[str, ...], export: _Export, bindings: int, words: int) -> None:
        entry = path[-1]
        code = spirv_binary.made_valid(self._binary(path[0], entry))
        uses_subgroups = spirv_binary.capabilities(code) & spirv_binary.SUBGROUP_CAPABILITIES
        size = export.subgroup_size if uses_subgroups else 0
        file = f"{len(self.rows):03}.spv"
        digest = hashlib.sha256(code).digest()
        texels = self._texels.get(entry, {})
        formats = tuple(texels.get(number, Format.BUFFER) for number in range(bindings))
        self.rows.append(Kernel(file, entry, formats, words, size, digest))
        self.files[file] = code


def _exports(module: Op) -> Iterator[tuple[tuple[str, ...], _Export]]:
    for executable in phase_ir.named(module, "hal.executable"):
        for variant in phase_ir.named(executable, "hal.executable.variant"):
            found = _SUBGROUP_SIZE.search(str(variant.attributes["target"]))
            for op in phase_ir.named(variant, "hal.executable.export"):
                path = tuple(phase_ir.symbol(part) for part in (executable, variant, op))
                (counts,) = (o for o in phase_ir.body_ops(op) if o.name == "hal.return")
                x, y, z = (_constant(value) for value in counts.operands)
                yield path, _Export((x, y, z), int(found[1]) if found else 0)


def _entry(module: Op) -> Op:
    functions = [
        op
        for op in phase_ir.named(module, "util.func")
        if str(op.attributes["sym_visibility"].value) == "public"
    ]
    if len(functions) != 1 or len(functions[0].regions[0].blocks) != 1:
        raise Unschedulable("the module is not one function without branches")
    return functions[0]


def _read_initializer(initializer: Op, memory: _Memory) -> None:
    """Which archive entry each global is loaded from."""
    for op in phase_ir.body_ops(initializer):
        if op.name != "util.global.store":
            continue
        (name,) = phase_ir.symbol_ref(op.attributes["global"])
        value = op.operands[0]
        source = phase_ir.defining_op(value)
        while source is not None and source.name == "stream.timepoint.await":
            value = _awaited(source, value)
            source = phase_ir.defining_op(value)
        if source is None or source.name != "stream.cmd.parameter.load":
            raise Unschedulable(f"the global {name} is not loaded from the archive")
        _, keys, offsets, sizes, _ = phase_ir.operand_groups(source)
        position = list(source.results).index(value)
        key = _text(keys[position])
        size_bytes, key_offset = _constant(sizes[position]), _constant(offsets[position])
        memory.add_weight(name, size_bytes, key, key_offset)


def _execute(op: Op, memory: _Memory, kernels: _Kernels) -> Iterator[Command]:
    block = op.regions[0].blocks[0]
    for inner, outer in zip(block.arguments, phase_ir.operand_groups(op)[0], strict=True):
        memory.bind(inner, outer)
    yield from _commands(op, memory, kernels)


def _commands(parent: Op, memory: _Memory, kernels: _Kernels) -> Iterator[Command]:
    """Groups are left: what may run at once follows from the ranges."""
    for op in phase_ir.body_ops(parent):
        if op.name in _GROUPS:
            yield from _commands(op, memory, kernels)
        elif op.name == "stream.cmd.dispatch":
            yield _dispatch(op, memory, kernels)
        elif op.name == "stream.cmd.fill":
            target, _, offset, length, pattern = op.operands
            yield _fill(memory.use(target, Access.WRITE, offset, length), pattern)
        elif op.name == "stream.cmd.copy":
            source, _, source_offset, target, _, target_offset, length = op.operands
            yield Copy(
                memory.use(source, Access.READ, source_offset, length),
                memory.use(target, Access.WRITE, target_offset, length),
            )
        elif op.name != "stream.yield":
            raise Unschedulable(f"a command {op.name}")


def _dispatch(op: Op, memory: _Memory, kernels: _Kernels) -> Dispatch:
    _, operands, resources, _, offsets, lengths = phase_ir.operand_groups(op)
    paths = [phase_ir.symbol_ref(path) for path in op.attributes["entry_points"]]
    if len(paths) != 1:
        raise Unschedulable("a dispatch with several variants")
    words = tuple(_word(value) for value in operands)
    number, export = kernels.call(paths[0], len(resources), len(words))
    accesses = phase_ir.int_array(op, "resource_accesses")
    uses = tuple(
        memory.use(resource, Access(access), offset, length)
        for resource, access, offset, length in zip(
            resources, accesses, offsets, lengths, strict=True
        )
    )
    return Dispatch(number, export.workgroups, uses, words)


def _awaited(op: Op, value: Value) -> Value:
    """What a result of ``stream.timepoint.await`` was before; results are in operands' order."""
    return phase_ir.operand_groups(op)[0][list(op.results).index(value)]


def _constant(value: Value) -> int:
    known = phase_ir.constant_int(value)
    if known is None:
        raise Unschedulable(f"a number that is not known before the call: {value}")
    return known


def _text(value: Value) -> str:
    """A ``util.buffer.constant`` that is a text."""
    op = phase_ir.defining_op(value)
    if op is None or op.name != "util.buffer.constant":
        raise Unschedulable("an archive key that is not known before the call")
    return str(op.attributes["value"].value)


def _word(value: Value) -> int:
    """A push constant of 32 bits."""
    if phase_ir.element_bits(value.type) != 8 * _WORD_BYTES:
        raise Unschedulable(f"a push constant of type {value.type}")
    return _constant(value) % (1 << 8 * _WORD_BYTES)


def _fill(use: Use, pattern: Value) -> Fill:
    """Vulkan fills whole words only."""
    if use.offset % _WORD_BYTES or use.length % _WORD_BYTES:
        raise Unschedulable(f"a fill of {use.length} bytes, no whole words")
    return Fill(use, _pattern(pattern))


def _pattern(value: Value) -> int:
    """What a fill repeats, as four bytes; floats have been turned into their bits before."""
    bits = phase_ir.element_bits(value.type)
    if bits not in (8, 16, 32):
        raise Unschedulable(f"a fill with a {value.type}")
    held = (_constant(value) % (1 << bits)).to_bytes(bits // 8, "little")
    return int.from_bytes((held * _WORD_BYTES)[:_WORD_BYTES], "little")


def _argument_number(value: Value) -> int:
    return int(ir.BlockArgument(value).arg_number)


def _lifetime(value: Value) -> str:
    found = _LIFETIME.match(str(value.type))
    return found[1] if found else str(value.type)
