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
from smartmem.passes.iree.phase_ir import Op, Value
from smartmem.passes.iree.resources import (
    CALL_KINDS,
    SETUP_KINDS,
    Memory,
    Unschedulable,
    constant,
)
from smartmem.runtime.schedule import (
    BUFFER,
    Access,
    Binding,
    Command,
    Copy,
    Dispatch,
    Fill,
    Kernel,
    ResourceKind,
    Schedule,
    Use,
)

_GROUPS = ("stream.cmd.serial", "stream.cmd.concurrent")
# Ops that order or describe what others do.
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
    "util.buffer.constant",
    "util.return",
    # The other way to memory that cannot be mapped (resources.py).
    "cf.br",
    "stream.file.constant",
    "stream.file.read",
    "stream.resource.alloc",
)
_SUBGROUP_SIZE = re.compile(r"subgroup_size_choices = \[(\d+)\]")
_WORD_BYTES = 4


@dataclass(frozen=True)
class Program:
    """A schedule and its kernels' SPIR-V by file name."""

    schedule: Schedule
    kernels: Mapping[str, bytes]


def read_program(
    targets_ir: str,
    binary: Callable[[str, str], bytes],
    textures: Mapping[str, Mapping[int, Binding]] | None = None,
) -> Program:
    """The program of an ``executable-targets`` module.

    ``binary`` gives the SPIR-V of an executable's entry; ``textures`` its bindings that are no
    buffers there, by entry and number (``textures.py``). Raises Unschedulable, and
    ``ValueError`` on text that does not parse.
    """
    module = phase_ir.parse(targets_ir).operation
    kernels = _Kernels(module, binary, textures or {})
    memory = Memory()
    setup: list[Command] = []
    for initializer in phase_ir.named(module, "util.initializer"):
        setup += _run_through(initializer, memory, kernels, SETUP_KINDS)
    function = _entry(module)
    commands = tuple(_run_through(function, memory, kernels, CALL_KINDS))
    arguments = list(function.regions[0].blocks[0].arguments)
    returned = next(op for op in phase_ir.body_ops(function) if op.name == "util.return")
    schedule = Schedule(
        inputs=tuple(memory.argument(value) for value in arguments),
        outputs=tuple(memory.result(value) for value in returned.operands),
        resources=tuple(memory.resources),
        uploads=tuple(memory.uploads),
        inlines=tuple(memory.inlines),
        kernels=tuple(kernels.rows),
        commands=commands,
        setup=tuple(setup),
    )
    return Program(schedule, kernels.files)


def _run_through(
    function: Op, memory: Memory, kernels: "_Kernels", kinds: Mapping[str, ResourceKind]
) -> Iterator[Command]:
    """The commands of a function or an initialiser, whose memory is taken in on the way."""
    for op in phase_ir.body_ops(function):
        if op.name == "stream.cmd.execute":
            yield from _execute(op, memory, kernels)
        elif not memory.visit(op, kinds) and op.name not in _SILENT:
            raise Unschedulable(f"{function.name} has a {op.name}")


def read_kernels(
    targets_ir: str, binary: Callable[[str, str], bytes], bindings: int, words: int
) -> dict[str, tuple[Kernel, bytes, tuple[int, int, int]]]:
    """By executable, the one kernel of each executable of a module that nothing calls, its SPIR-V
    and its workgroups; all take ``bindings`` and ``words``. Raises what ``read_program`` does.
    """
    module = phase_ir.parse(targets_ir).operation
    kernels = _Kernels(module, binary, {})
    found: dict[str, tuple[Kernel, bytes, tuple[int, int, int]]] = {}
    for path, _ in _exports(module):
        number, export = kernels.call(path, bindings, words)
        row = kernels.rows[number]
        found[path[0]] = (row, kernels.files[row.file], export.workgroups)
    return found


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
        textures: Mapping[str, Mapping[int, Binding]],
    ) -> None:
        self.rows: list[Kernel] = []
        self.files: dict[str, bytes] = {}
        self._binary = binary
        self._textures = textures
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
        textures = self._textures.get(entry, {})
        bound = tuple(textures.get(number, BUFFER) for number in range(bindings))
        self.rows.append(Kernel(file, entry, bound, words, size, digest))
        self.files[file] = code


def _exports(module: Op) -> Iterator[tuple[tuple[str, ...], _Export]]:
    for executable in phase_ir.named(module, "hal.executable"):
        for variant in phase_ir.named(executable, "hal.executable.variant"):
            found = _SUBGROUP_SIZE.search(str(variant.attributes["target"]))
            for op in phase_ir.named(variant, "hal.executable.export"):
                path = tuple(phase_ir.symbol(part) for part in (executable, variant, op))
                (counts,) = (o for o in phase_ir.body_ops(op) if o.name == "hal.return")
                x, y, z = (constant(value) for value in counts.operands)
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


def _execute(op: Op, memory: Memory, kernels: _Kernels) -> Iterator[Command]:
    block = op.regions[0].blocks[0]
    for inner, outer in zip(block.arguments, phase_ir.operand_groups(op)[0], strict=True):
        memory.bind(inner, outer)
    yield from _commands(op, memory, kernels)


def _commands(parent: Op, memory: Memory, kernels: _Kernels) -> Iterator[Command]:
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


def _dispatch(op: Op, memory: Memory, kernels: _Kernels) -> Dispatch:
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


def _word(value: Value) -> int:
    """A push constant of 32 bits."""
    if phase_ir.element_bits(value.type) != 8 * _WORD_BYTES:
        raise Unschedulable(f"a push constant of type {value.type}")
    return constant(value) % (1 << 8 * _WORD_BYTES)


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
    held = (constant(value) % (1 << bits)).to_bytes(bits // 8, "little")
    return int.from_bytes((held * _WORD_BYTES)[:_WORD_BYTES], "little")
