"""Take dispatches out of a stream-phase module, each as a function that runs alone on any device.

What a dispatch computes stands in its body as linalg on tensors; around it are bindings, offsets
and the loads and stores of slices. Those become arguments and results:

    %0 = stream.binding.subspan %arg0[%c0] : ... readonly:tensor<4x8xf32>
    %1 = stream.binding.subspan %arg1[%c0] : ... writeonly:tensor<8x8xf32>
    %2 = dispatch.tensor.load %0, offsets = [0, 0], sizes = [4, 8] ...
    %3 = linalg.generic ins(%2) ...
    dispatch.tensor.store %3, %1, offsets = [2, 0], sizes = [4, 8] ...
    ==>
    func.func @call_0(%a: tensor<4x8xf32>, %b: tensor<8x8xf32>) -> tensor<8x8xf32> {
      %3 = linalg.generic ins(%a) ...
      %4 = tensor.insert_slice %3 into %b[2, 0] [4, 8] [1, 1]
      return %4 }

A tensor that is written is an argument, too: what was there before, for a dispatch may write a part
of it. Configurations of kernels are left behind: they are of one device.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.element_flow import LOAD, STORE
from smartmem.passes.iree.phase_ir import Op, Value, ir

_SUBSPAN = "stream.binding.subspan"
_BINDING = "!stream.binding"
_CONFIGURATIONS = ("compilation_info", "lowering_config", "translation_info")
# What has a meaning inside a dispatch only.
_OF_DISPATCHES = ("stream.", "flow.", "hal.", "iree_tensor_ext.dispatch.")
_NUMPY = {
    "f16": "float16",
    "bf16": "bfloat16",
    "f32": "float32",
    "f64": "float64",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
}


class NotIsolated(Exception):
    """Why a dispatch cannot be taken out; a clause for the report."""


@dataclass(frozen=True)
class Parameter:
    """A tensor of a dispatch: the number of its binding, its first byte there, its shape and numpy
    dtype. ``holds_bools``: bytes that are read as truth values.
    """

    binding: int
    offset: int
    shape: tuple[int, ...]
    dtype: str
    is_written: bool
    is_read: bool
    holds_bools: bool = False


@dataclass(frozen=True)
class Isolated:
    """A dispatch as the function ``name`` of ``Isolation.module``: it takes all ``parameters`` in
    their order, and gives those that are written.
    """

    name: str
    entry: str
    parameters: tuple[Parameter, ...]
    location: str | None
    # Integers below this are positions in all that is read at computed positions; None: no matter.
    index_bound: int | None = None

    @property
    def written(self) -> tuple[Parameter, ...]:
        """What it gives."""
        return tuple(p for p in self.parameters if p.is_written)


@dataclass(frozen=True)
class Isolation:
    """One module with a function for each call that could be taken out, and, by the call's place,
    the function or why there is none.
    """

    module: str
    calls: tuple[Isolated | NotIsolated, ...]


def isolate(stream_ir: str, calls: Sequence[tuple[str, tuple[int, ...]]]) -> Isolation:
    """The dispatches of a stream-phase module that ``calls`` name, by entry point and push
    constants; raises ``ValueError`` on bad text.
    """
    module = phase_ir.parse(stream_ir)
    functions = entry_functions(module.operation)
    texts: list[str] = []
    rows: list[Isolated | NotIsolated] = []
    with module.context, ir.Location.unknown(module.context):
        for entry, words in calls:
            name = f"call_{len(rows)}"
            try:
                if entry not in functions:
                    raise NotIsolated("its code is not in the module")
                function = functions[entry].clone()
                parameters = _Edit(function, words).run(name)
                location = phase_ir.source_location(functions[entry])
                bound = _index_bound(function)
                rows.append(Isolated(name, entry, parameters, location, bound))
                texts.append(function.get_asm(use_local_scope=True))
                function.erase()
            except NotIsolated as reason:
                rows.append(reason)
    return Isolation("\n".join(["module {", *texts, "}"]), tuple(rows))


def entry_functions(module: Op) -> Mapping[str, Op]:
    """The functions of a stream-phase module's dispatches, by the entry point that calls name."""
    found: dict[str, Op] = {}
    for executable in phase_ir.named(module, "stream.executable"):
        bodies = {phase_ir.symbol(f): f for f in phase_ir.named(executable, "func.func")}
        for export in phase_ir.named(executable, "stream.executable.export"):
            name = phase_ir.symbol_ref(export.attributes["function_ref"])[-1]
            if name in bodies:
                found[phase_ir.symbol(export)] = bodies[name]
    return found


class _Edit:
    """Turns one dispatch function, in place, into one on tensors."""

    def __init__(self, function: Op, words: tuple[int, ...]) -> None:
        self.function = function
        self.block = function.regions[0].blocks[0]
        self.words = words
        # What each subspan's tensor is now: as given, or after the stores so far.
        self.current: dict[Value, Value] = {}
        self.parameters: dict[Value, Parameter] = {}

    def run(self, name: str) -> tuple[Parameter, ...]:
        if len(self.function.regions[0].blocks) != 1:
            raise NotIsolated("it branches")
        arguments = list(self.block.arguments)
        bindings = [a for a in arguments if str(a.type) == _BINDING]
        self._set_words([a for a in arguments if str(a.type) != _BINDING])
        for op in list(phase_ir.body_ops(self.function)):
            self._visit(op, bindings)
        self._finish(name, len(arguments))
        return tuple(self.parameters.values())

    def _set_words(self, scalars: Sequence[Value]) -> None:
        if len(scalars) != len(self.words):
            raise NotIsolated(f"it takes {len(scalars)} push constants, not {len(self.words)}")
        for scalar, word in zip(scalars, self.words, strict=True):
            if phase_ir.element_bits(scalar.type) != 32:
                raise NotIsolated(f"a push constant of type {scalar.type}")
            signed = word - (1 << 32) if word >= 1 << 31 else word
            with ir.InsertionPoint.at_block_begin(self.block):
                value = ir.IntegerAttr.get(scalar.type, signed)
                constant = ir.Operation.create(
                    "arith.constant", results=[scalar.type], attributes={"value": value}
                )
            scalar.replace_all_uses_with(constant.result)

    def _visit(self, op: Op, bindings: Sequence[Value]) -> None:
        if op.name == _SUBSPAN:
            self._take_subspan(op, bindings)
        elif op.name == STORE and op.operands[1] in self.current:
            self._store(op)
        else:
            for inner in list(phase_ir.walk(op)):
                if inner.name == LOAD and inner.operands[0] in self.current:
                    self._load(inner)
        # Nothing reads a subspan any more once all loads and stores are replaced.

    def _take_subspan(self, op: Op, bindings: Sequence[Value]) -> None:
        tensor = phase_ir.tensor_type(op.result.type)
        offset = phase_ir.constant_int(op.operands[1])
        if tensor is None or not tensor.has_static_shape or offset is None:
            raise NotIsolated("a binding without a static shape and offset")
        dtype = _NUMPY.get(str(tensor.element_type))
        if dtype is None:
            raise NotIsolated(f"elements of type {tensor.element_type}")
        binding = bindings.index(op.operands[0])
        written = "<readonly:" not in str(op.result.type)
        read = "<writeonly:" not in str(op.result.type)
        shared = any(
            p.binding == binding and (p.is_written or written) for p in self.parameters.values()
        )
        if shared:
            raise NotIsolated("a binding that is written is seen as several tensors")
        argument = self.block.add_argument(tensor, op.location)
        shape = tuple(tensor.shape)
        bools = dtype == "int8" and _is_truncated(op.result)
        self.parameters[op.result] = Parameter(binding, offset, shape, dtype, written, read, bools)
        self.current[op.result] = argument

    def _load(self, op: Op) -> None:
        source, _, *places = phase_ir.operand_groups(op)
        if op.parent != self.function and self.parameters[source[0]].is_written:
            raise NotIsolated("a load of what it writes, inside another op")
        sizes = [1, *(len(group) for group in places)]
        operands = [self.current[source[0]], *(v for group in places for v in group)]
        with ir.InsertionPoint(op):
            made = _slice_op("tensor.extract_slice", op, operands, sizes, op.result.type)
        op.result.replace_all_uses_with(made.result)
        op.erase()

    def _store(self, op: Op) -> None:
        value, target, _, *places = phase_ir.operand_groups(op)
        sizes = [1, 1, *(len(group) for group in places)]
        before = self.current[target[0]]
        operands = [value[0], before, *(v for group in places for v in group)]
        with ir.InsertionPoint(op):
            made = _slice_op("tensor.insert_slice", op, operands, sizes, before.type)
        self.current[target[0]] = made.result
        op.erase()

    def _finish(self, name: str, old_arguments: int) -> None:
        (end,) = (op for op in phase_ir.body_ops(self.function) if op.name == "func.return")
        results = [self.current[key] for key, p in self.parameters.items() if p.is_written]
        with ir.InsertionPoint(end):
            ir.Operation.create("func.return", operands=results)
        end.erase()
        for subspan in reversed(self.parameters):
            if any(True for _ in subspan.uses):
                raise NotIsolated("a tensor that is neither loaded nor stored")
            subspan.owner.erase()
        for _ in range(old_arguments):
            self.block.erase_argument(0)
        for op in phase_ir.walk(self.function):
            if op.name.startswith(_OF_DISPATCHES):
                raise NotIsolated(f"it has a {op.name}")
            for attribute in _CONFIGURATIONS:
                if attribute in op.attributes:
                    del op.attributes[attribute]
        takes = [argument.type for argument in self.block.arguments]
        function_type = ir.FunctionType.get(takes, [value.type for value in results])
        for attribute in list(self.function.attributes):
            del self.function.attributes[attribute]
        self.function.attributes["function_type"] = ir.TypeAttr.get(function_type)
        self.function.attributes["sym_name"] = ir.StringAttr.get(name)


def _slice_op(
    name: str, op: Op, operands: Sequence[Value], sizes: Sequence[int], result: Any
) -> Op:
    """A slice of a tensor where ``op`` takes or gives the same slice of a binding."""
    kept = ("static_offsets", "static_sizes", "static_strides")
    attributes = {key: op.attributes[key] for key in kept}
    attributes["operandSegmentSizes"] = ir.DenseI32ArrayAttr.get(list(sizes))
    return ir.Operation.create(
        name, results=[result], operands=list(operands), attributes=attributes, loc=op.location
    )


def _index_bound(function: Op) -> int | None:
    """The least extent of what ``function`` reads or writes at positions that it computes."""
    extents = [
        extent
        for op in phase_ir.walk(function)
        if op.name == "tensor.extract" or op.name.startswith("iree_linalg_ext.")
        for operand in op.operands
        for extent in phase_ir.shape_of(operand.type) or ()
    ]
    return min(extents, default=None)


def _is_truncated(subspan: Value) -> bool:
    """Whether bytes that are loaded become truth values."""
    function = subspan.owner.parent
    return any(
        op.name == "arith.trunci" and str(op.results[0].type) == "i1"
        for op in phase_ir.walk(function)
    )
