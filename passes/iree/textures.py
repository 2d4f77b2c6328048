"""Let kernels read weights as texels, in the SPIR-V of IREE's ``executable-targets`` phase.

Phones read textures through a cache of their own, and convert on the way. A binding that only ever
holds weights becomes a texel buffer, where every read of it is a plain load of one element:

    %p = spirv.AccessChain %weights[%c0, %i] : !spirv.ptr<...rtarray<vector<4xf32>>...>
    %v = spirv.Load "StorageBuffer" %p : vector<4xf32>
    ==>
    %image = spirv.Load "UniformConstant" %weights : !spirv.image<f32, Buffer, ...>
    %v = spirv.ImageFetch %image, %i : vector<4xf32>

Legal is decided before anything is edited. A binding that cannot be converted stays a buffer, and
the reason is told. Values are those of the buffer, bit for bit: the formats are floats of the
stored width.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.phase_ir import Op, Value, ir
from smartmem.runtime.schedule import Access, Dispatch, Format, ResourceKind, Schedule

# The fetched component type and the format, by element type and lanes of what a kernel loads.
_FORMATS = {
    ("f32", 1): Format.R32_SFLOAT,
    ("f32", 2): Format.R32G32_SFLOAT,
    ("f32", 4): Format.R32G32B32A32_SFLOAT,
    ("f16", 1): Format.R16_SFLOAT,
    ("f16", 2): Format.R16G16_SFLOAT,
    ("f16", 4): Format.R16G16B16A16_SFLOAT,
}
_LANES = 4
_IMAGE = "!spirv.image<f32, Buffer, NoDepth, NonArrayed, SingleSampled, NeedSampler, Unknown>"
_POINTER = f"!spirv.ptr<{_IMAGE}, UniformConstant>"
_BUFFER_TYPE = re.compile(
    r"^!spirv\.ptr<!spirv\.struct<\(!spirv\.rtarray<(?:vector<(\d)x)?(\w+)>?, stride=\d+> \[0\]\)"
    r"(?:, Block)?>, StorageBuffer>$"
)
_CAPABILITIES = re.compile(r"^(#spirv\.vce<v[\d.]+, \[)")


@dataclass(frozen=True)
class Textured:
    """The edited module, the format of each converted binding by entry and number, and how many
    bytes of weights are read through them; ``kept`` counts why others stay buffers.
    """

    targets_ir: str
    formats: Mapping[str, Mapping[int, Format]]
    kept: Mapping[str, int]


@dataclass
class _Found:
    """A binding's variable, its loads, and what they load."""

    variable: Op
    scalar: str
    lanes: int
    loads: list[tuple[Op, Op]] = field(default_factory=list[tuple[Op, Op]])

    @property
    def format(self) -> Format:
        return _FORMATS[self.scalar, self.lanes]


class _Kept(Exception):
    """Why a binding stays a buffer."""


def bind_weights_as_texels(targets_ir: str, schedule: Schedule) -> Textured:
    """Convert the bindings of an ``executable-targets`` module that ``schedule`` only ever gives
    weights.
    """
    module = phase_ir.parse(targets_ir)
    formats: dict[str, dict[int, Format]] = {}
    kept: Counter[str] = Counter()
    wanted = _weight_bindings(schedule)
    for shader in list(phase_ir.named(module.operation, "spirv.module")):
        points = [op for op in phase_ir.body_ops(shader) if op.name == "spirv.EntryPoint"]
        for entry in map(_entry_name, points):
            for number in wanted.get(entry, ()):
                try:
                    if len(points) != 1:
                        raise _Kept("several entry points share it")
                    found = _find(shader, number)
                except _Kept as reason:
                    kept[str(reason)] += 1
                    continue
                _convert(found)
                formats.setdefault(entry, {})[number] = found.format
        if any(entry in formats for entry in map(_entry_name, points)):
            _declare_texels(shader)
    module.operation.verify()
    return Textured(module.operation.get_asm(enable_debug_info=True), formats, dict(kept))


def texel_bytes(schedule: Schedule) -> tuple[int, int]:
    """Bytes of constants that are read as texels only, and of all constants."""
    readers: dict[int, set[bool]] = {}
    for command in schedule.commands:
        if isinstance(command, Dispatch):
            bindings = schedule.kernels[command.kernel].bindings
            for use, binding in zip(command.uses, bindings, strict=True):
                readers.setdefault(use.resource, set()).add(binding is not Format.BUFFER)
    constants = {
        number: resource.size_bytes
        for number, resource in enumerate(schedule.resources)
        if resource.kind is ResourceKind.CONSTANT
    }
    texels = sum(size for number, size in constants.items() if readers.get(number) == {True})
    return texels, sum(constants.values())


def _entry_name(op: Op) -> str:
    return phase_ir.symbol_ref(op.attributes["fn"])[0]


def _weight_bindings(schedule: Schedule) -> dict[str, list[int]]:
    """By entry, the bindings that read weights in every dispatch."""
    holds: dict[tuple[int, int], bool] = {}
    for command in schedule.commands:
        if not isinstance(command, Dispatch):
            continue
        for number, use in enumerate(command.uses):
            kind = schedule.resources[use.resource].kind
            is_weight = kind is ResourceKind.CONSTANT and use.access is Access.READ
            key = (command.kernel, number)
            holds[key] = holds.get(key, True) and is_weight
    found: dict[str, list[int]] = {}
    for (kernel, number), is_weight in sorted(holds.items()):
        if is_weight:
            found.setdefault(schedule.kernels[kernel].entry, []).append(number)
    return found


def _find(shader: Op, number: int) -> _Found:
    """The binding with all its loads; raises _Kept where one of its uses is anything else."""
    variables = [
        op
        for op in phase_ir.body_ops(shader)
        if op.name == "spirv.GlobalVariable"
        and "binding" in op.attributes
        and int(op.attributes["binding"].value) == number
    ]
    if len(variables) != 1:
        raise _Kept("it is read as elements of several types")
    match = _BUFFER_TYPE.match(str(variables[0].attributes["type"].value))
    scalar, lanes = (match[2], int(match[1] or 1)) if match else ("", 0)
    if (scalar, lanes) not in _FORMATS:
        raise _Kept(f"no texel format for its elements ({lanes} x {scalar or 'unknown'})")
    found = _Found(variables[0], scalar, lanes)
    name = phase_ir.symbol(variables[0])
    for address in phase_ir.named(shader, "spirv.mlir.addressof"):
        if phase_ir.symbol_ref(address.attributes["variable"]) == (name,):
            found.loads += _loads(address)
    return found


def _loads(address: Op) -> Iterator[tuple[Op, Op]]:
    """Each element's address and the load of it."""
    for chain in _users(address.results[0]):
        if chain.name != "spirv.AccessChain" or len(chain.operands) != 3:
            raise _Kept(f"its address is used by {chain.name}")
        for load in _users(chain.results[0]):
            if load.name != "spirv.Load":
                raise _Kept(f"its elements are used by {load.name}")
            # A fetch may change bits that are no number, such as two halves in one float.
            if any(user.name == "spirv.Bitcast" for user in _users(load.results[0])):
                raise _Kept("its bits are read as another type")
            yield chain, load


def _users(value: Value) -> list[Op]:
    return [use.owner.operation for use in value.uses]


def _convert(found: _Found) -> None:
    """Retype the variable and make each load a fetch."""
    context = found.variable.context
    with context:
        found.variable.attributes["type"] = ir.TypeAttr.get(ir.Type.parse(_POINTER))
        if "aliased" in found.variable.attributes:
            del found.variable.attributes["aliased"]
    for chain, load in found.loads:
        address = phase_ir.defining_op(chain.operands[0])
        assert address is not None
        with context, load.location, ir.InsertionPoint(load):
            pointer = _make(
                "spirv.mlir.addressof", _POINTER, variable=address.attributes["variable"]
            )
            image = _make("spirv.Load", _IMAGE, pointer)
            texel = _make("spirv.ImageFetch", f"vector<{_LANES}xf32>", image, chain.operands[2])
            load.results[0].replace_all_uses_with(_lanes_of(texel, found))
        load.erase()
    _erase_unused(found)


def _lanes_of(texel: Value, found: _Found) -> Value:
    """Of a texel's four components those that the kernel loads, in its type."""
    if found.lanes == 1:
        index = ir.ArrayAttr.get([ir.IntegerAttr.get(ir.IntegerType.get_signless(32), 0)])
        value = _make("spirv.CompositeExtract", "f32", texel, indices=index)
    elif found.lanes == _LANES:
        value = texel
    else:
        i32 = ir.IntegerType.get_signless(32)
        chosen = ir.ArrayAttr.get([ir.IntegerAttr.get(i32, i) for i in range(found.lanes)])
        type_ = f"vector<{found.lanes}xf32>"
        value = _make("spirv.VectorShuffle", type_, texel, texel, components=chosen)
    if found.scalar == "f16":
        type_ = "f16" if found.lanes == 1 else f"vector<{found.lanes}xf16>"
        value = _make("spirv.FConvert", type_, value)
    return value


def _make(name: str, type_: str, *operands: Value, **attributes: Any) -> Value:
    """One op at the insertion point; its result."""
    result = ir.Type.parse(type_)
    return ir.Operation.create(
        name, results=[result], operands=list(operands), attributes=attributes
    ).result


def _erase_unused(found: _Found) -> None:
    """The addresses of elements, and of the buffer, that nothing uses any more."""
    chains: Sequence[Op] = list({chain: None for chain, _ in found.loads})
    for chain in chains:
        address = phase_ir.defining_op(chain.operands[0])
        chain.erase()
        if address is not None and not list(address.results[0].uses):
            address.erase()


def _declare_texels(shader: Op) -> None:
    """Declare the capability that texel buffers need."""
    stated = str(shader.attributes["vce_triple"])
    edited = _CAPABILITIES.sub(r"\1SampledBuffer, ", stated, count=1)
    shader.attributes["vce_triple"] = ir.Attribute.parse(edited, shader.context)
