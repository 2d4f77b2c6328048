"""The memory that the values of a module are, in IREE's ``executable-targets`` phase.

Values name memory in many ways: an argument is imported, scratch memory allocated, a weight loaded
from the archive and stored in a global. Here each becomes a resource of the schedule, and a value
a part of one, from some byte on:

    %w = stream.cmd.parameter.load ...        ==>   Resource(CONSTANT), Upload of an entry
    util.global.store %w, @weight
    %x = util.global.load @weight             ==>   the same resource
    %y = stream.resource.subview %x[%c64]     ==>   the same, from byte 64 on
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.phase_ir import Op, Value, ir
from smartmem.runtime.schedule import (
    NO_RESOURCE,
    Access,
    Inline,
    Port,
    Resource,
    ResourceKind,
    Upload,
    Use,
)

# What allocations of a lifetime are: in the initialisers, which run once, and in a call.
SETUP_KINDS: Final = {
    "constant": ResourceKind.CONSTANT,
    "transient": ResourceKind.TRANSIENT,
}
CALL_KINDS: Final = {
    "external": ResourceKind.OUTPUT,
    "transient": ResourceKind.TRANSIENT,
}
_LIFETIME = re.compile(r"^!stream\.resource<(\w+)>$")
_COMPOSITE = re.compile(r"^#util\.composite<\d+xi8, \[(.*)\]>$", re.DOTALL)
_MAPPING = "stream.resource.try_map"


class Unschedulable(Exception):
    """Why our executor cannot run a module; a clause for the report."""


class Memory:
    """The resources met so far, and of which of them a value is a part, from which byte on."""

    def __init__(self) -> None:
        self.resources: list[Resource] = []
        self.uploads: list[Upload] = []
        self.inlines: list[Inline] = []
        self._of_value: dict[Value, tuple[int, int]] = {}
        self._of_global: dict[str, tuple[int, int]] = {}
        self._of_argument: dict[int, int] = {}

    def visit(self, op: Op, kinds: Mapping[str, ResourceKind]) -> bool:
        """Take in an op that makes or names memory; whether it is one."""
        if op.name == "stream.tensor.import":
            number = self._add(op.results[0], ResourceKind.INPUT, constant(op.operands[1]))
            self._of_argument[_argument_number(op.operands[0])] = number
        elif op.name == "stream.resource.alloca":
            kind = kinds.get(_lifetime(op.results[0]))
            if kind is None:
                raise Unschedulable(f"memory of lifetime {_lifetime(op.results[0])} is allocated")
            self._add(op.results[0], kind, constant(op.operands[0]))
        elif op.name == "stream.cmd.parameter.load":
            self._add_weights(op)
        elif op.name == _MAPPING:
            self._add_inline(op)
        elif op.name == "util.global.store":
            (name,) = phase_ir.symbol_ref(op.attributes["global"])
            self._of_global[name] = self._find(op.operands[0])
        elif op.name == "util.global.load":
            (name,) = phase_ir.symbol_ref(op.attributes["global"])
            if name not in self._of_global:
                raise Unschedulable(f"the global {name} is read before anything is stored in it")
            self._of_value[op.results[0]] = self._of_global[name]
        elif op.name == "stream.resource.subview":
            source, _, offset, _ = op.operands
            number, start = self._find(source)
            self._of_value[op.results[0]] = (number, start + constant(offset))
        elif op.name == "util.optimization_barrier":
            for held, value in zip(op.operands, op.results, strict=True):
                self.bind(value, held)
        elif op.name == "cf.cond_br":
            self._bind_mapped(op)
        else:
            return False
        return True

    def bind(self, inner: Value, outer: Value) -> None:
        """``inner`` is another name of ``outer``."""
        self._of_value[inner] = self._find(outer)

    def use(self, value: Value, access: Access, offset: Value, length: Value) -> Use:
        """A range of the memory that ``value`` is."""
        number, start = self._find(value)
        return Use(number, access, start + constant(offset), constant(length))

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
        return Port(*self._find(source), constant(size_bytes))

    def argument(self, value: Value) -> Port:
        """Where an argument of the function lies."""
        number = self._of_argument.get(_argument_number(value))
        if number is None:
            return Port(NO_RESOURCE, 0, 0)
        return Port(number, 0, self.resources[number].size_bytes)

    def _add(self, value: Value, kind: ResourceKind, size_bytes: int) -> int:
        self.resources.append(Resource(kind, size_bytes))
        number = len(self.resources) - 1
        self._of_value[value] = (number, 0)
        return number

    def _add_weights(self, op: Op) -> None:
        """Entries of the archive."""
        _, keys, offsets, sizes, _ = phase_ir.operand_groups(op)
        # The last result is when they are there.
        for value, key, offset, size in zip(op.results[:-1], keys, offsets, sizes, strict=True):
            size_bytes = constant(size)
            number = self._add(value, ResourceKind.CONSTANT, size_bytes)
            self.uploads.append(Upload(number, 0, size_bytes, _text(key), constant(offset)))

    def _add_inline(self, op: Op) -> None:
        """A constant whose bytes stand in the module."""
        buffer, offset, size = op.operands
        start, size_bytes = constant(offset), constant(size)
        content = _content(buffer)[start : start + size_bytes]
        number = self._add(op.results[1], ResourceKind.CONSTANT, size_bytes)
        self.inlines.append(Inline(number, 0, content))

    def _bind_mapped(self, op: Op) -> None:
        """Mapped memory or, where a device cannot map it, a copy: for us it is there already."""
        condition, *operands = op.operands
        mapping = phase_ir.defining_op(condition)
        if mapping is None or mapping.name != _MAPPING:
            raise Unschedulable("a branch")
        arguments = op.successors[0].arguments
        for argument, value in zip(arguments, operands, strict=False):
            if _LIFETIME.match(str(value.type)):
                self.bind(argument, value)

    def _find(self, value: Value) -> tuple[int, int]:
        awaited = phase_ir.awaited(value)
        if awaited not in self._of_value:
            op = phase_ir.defining_op(awaited)
            raise Unschedulable(f"memory made by {op.name if op else 'an unknown argument'}")
        return self._of_value[awaited]


def constant(value: Value) -> int:
    """The number that ``value`` is; raises Unschedulable where only a call knows it."""
    known = phase_ir.constant_int(value)
    if known is None:
        raise Unschedulable(f"a number that is not known before the call: {value}")
    return known


def _content(value: Value) -> bytes:
    """The bytes of a ``util.buffer.constant``: one dense value, or several one after another."""
    op = phase_ir.defining_op(value)
    if op is None or op.name != "util.buffer.constant":
        raise Unschedulable("a constant whose bytes stand nowhere")
    held = op.attributes["value"]
    # The text is read because IREE's bindings have no class for a composite.
    composite = _COMPOSITE.match(str(held))
    if composite is None:
        return _dense_bytes(held)
    parts = ir.ArrayAttr(ir.Attribute.parse(f"[{composite[1].strip().rstrip(',')}]", op.context))
    return b"".join(map(_dense_bytes, parts))


def _dense_bytes(held: Any) -> bytes:
    try:
        return memoryview(held).tobytes()
    except (TypeError, ValueError) as error:
        raise Unschedulable(f"a constant of {held.type}") from error


def _text(value: Value) -> str:
    """A ``util.buffer.constant`` that is a text."""
    op = phase_ir.defining_op(value)
    if op is None or op.name != "util.buffer.constant":
        raise Unschedulable("an archive key that is not known before the call")
    return str(op.attributes["value"].value)


def _argument_number(value: Value) -> int:
    return int(ir.BlockArgument(value).arg_number)


def _lifetime(value: Value) -> str:
    found = _LIFETIME.match(str(value.type))
    return found[1] if found else str(value.type)
