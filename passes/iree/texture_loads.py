"""The loads of one binding of a kernel, and how they become fetches of texels.

A binding can be read as texels where every use of it is a plain load of one element:

    %p = spirv.AccessChain %weights[%c0, %i] : !spirv.ptr<...rtarray<vector<4xf32>>...>
    %v = spirv.Load "StorageBuffer" %p : vector<4xf32>

of a texel buffer, by the element's number (``to_texels``), or of an image, whose row and column
follow from how the number is computed (``to_image``, ``spirv_index.py``):

    %image = spirv.Load "UniformConstant" %weights : !spirv.image<f32, Dim2D, ...>
    %v = spirv.ImageFetch %image, %column_and_row : vector<4xf32>

Values are those of the buffer, bit for bit: formats are floats or integers of the stored width, and
floats that a kernel reads as other bits are fetched as integers.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.phase_ir import Op, Value, ir
from smartmem.passes.iree.spirv_index import DIVISIONS, Form, Indices, emit, row_and_column
from smartmem.runtime.schedule import Binding, BindingKind, Format

LANES = 4
LOAD, STORE = "spirv.Load", "spirv.Store"
# The format of a texel, by element type and lanes of what a kernel loads.
_FORMATS = {
    ("f32", 1): Format.R32_SFLOAT,
    ("f32", 2): Format.R32G32_SFLOAT,
    ("f32", 4): Format.R32G32B32A32_SFLOAT,
    ("f16", 1): Format.R16_SFLOAT,
    ("f16", 2): Format.R16G16_SFLOAT,
    ("f16", 4): Format.R16G16B16A16_SFLOAT,
    ("i32", 1): Format.R32_UINT,
    ("i32", 2): Format.R32G32_UINT,
    ("i32", 4): Format.R32G32B32A32_UINT,
    ("i16", 1): Format.R16_UINT,
    ("i16", 2): Format.R16G16_UINT,
    ("i16", 4): Format.R16G16B16A16_UINT,
    ("i8", 1): Format.R8_UINT,
    ("i8", 2): Format.R8G8_UINT,
    ("i8", 4): Format.R8G8B8A8_UINT,
}
_SCALAR_BYTES = {"f32": 4, "f16": 2, "i32": 4, "i16": 2, "i8": 1}
_NARROWING = {"f16": "spirv.FConvert", "i16": "spirv.UConvert", "i8": "spirv.UConvert"}
_IMAGE = "!spirv.image<{}, {}, NoDepth, NonArrayed, SingleSampled, NeedSampler, Unknown>"
_POINTER = "!spirv.ptr<{}, UniformConstant>"
_BUFFER_TYPE = re.compile(
    r"^!spirv\.ptr<!spirv\.struct<\(!spirv\.(?:rt)?array<(?:\d+ x )?(?:vector<(\d)x)?(\w+)>?, "
    r"stride=\d+> \[0\]\)(?:, Block)?>, StorageBuffer>$"
)
_CHAINS = ("spirv.AccessChain", "spirv.InBoundsAccessChain")
_INDEX_OPS = ("spirv.IAdd", "spirv.ISub", "spirv.IMul", "spirv.ShiftRightLogical", *DIVISIONS)


class Kept(Exception):
    """Why a binding stays as it is; a clause for the report."""


@dataclass(frozen=True)
class Converted:
    """What a binding has become, and how many divisions its fetches do inside a loop."""

    binding: Binding
    divisions: int


@dataclass
class Found:
    """A binding's variable, its loads (or stores) with the addresses of their elements, and what
    those are: ``lanes`` of ``scalar``, which are ``bits`` where a kernel has them as another type.
    """

    variable: Op
    scalar: str
    lanes: int
    accesses: list[tuple[Op, Op]] = field(default_factory=list[tuple[Op, Op]])
    bits: bool = False

    @property
    def texel_bytes(self) -> int:
        """What one load reads."""
        return _SCALAR_BYTES[self.scalar] * self.lanes

    @property
    def stored(self) -> str:
        """The scalar type that texels are stored as."""
        return self.scalar.replace("f", "i") if self.bits else self.scalar

    @property
    def format(self) -> Format:
        """The texels' format."""
        return _FORMATS[self.stored, self.lanes]

    @property
    def fetched(self) -> str:
        """The scalar type that a fetch gives."""
        return "f32" if self.stored.startswith("f") else "i32"


def find(shader: Op, number: int, access: str = LOAD) -> Found:
    """The binding with all its loads (or stores); raises Kept where one of its uses is anything
    else.
    """
    variables = [
        op
        for op in phase_ir.body_ops(shader)
        if op.name == "spirv.GlobalVariable"
        and "binding" in op.attributes
        and int(op.attributes["binding"].value) == number
    ]
    if len(variables) != 1:
        raise Kept("it is read as elements of several types")
    match = _BUFFER_TYPE.match(str(variables[0].attributes["type"].value))
    scalar, lanes = (match[2], int(match[1] or 1)) if match else ("", 0)
    if (scalar, lanes) not in _FORMATS:
        raise Kept(f"no texel format for its elements ({lanes} x {scalar or 'unknown'})")
    found = Found(variables[0], scalar, lanes)
    name = phase_ir.symbol(variables[0])
    for address in phase_ir.named(shader, "spirv.mlir.addressof"):
        if phase_ir.symbol_ref(address.attributes["variable"]) == (name,):
            found.accesses += _accesses(address, access)
    # Uses come in any order; what is computed for one load shall stand before the next.
    order = {op: number for number, op in enumerate(phase_ir.named(shader, access))}
    found.accesses.sort(key=lambda pair: order[pair[1]])
    # A fetch of a float may change bits that are no number, such as two halves in one float.
    found.bits = any(_is_cast(op) for _, op in found.accesses)
    if found.bits and scalar == "f16":
        raise Kept("its halves are read as another type")
    return found


def _accesses(address: Op, access: str) -> Iterator[tuple[Op, Op]]:
    """Each element's address and the load or store of it."""
    for chain in _users(address.results[0]):
        if chain.name not in _CHAINS or len(chain.operands) != 3:
            raise Kept(f"its address is used by {chain.name}")
        for op in _users(chain.results[0]):
            if op.name != access:
                raise Kept(f"its elements are used by {op.name}")
            yield chain, op


def _is_cast(access: Op) -> bool:
    """Whether what is loaded or stored has another type, too."""
    if access.name == LOAD:
        return any(user.name == "spirv.Bitcast" for user in _users(access.results[0]))
    source = phase_ir.defining_op(access.operands[1])
    return source is not None and source.name == "spirv.Bitcast"


def _users(value: Value) -> list[Op]:
    return [use.owner.operation for use in value.uses]


def places(found: Found, indices: Indices, width: int) -> list[tuple[Form, Form]]:
    """Row and column of each load in an image of this width; raises Kept where one does not
    follow from its index.
    """
    pairs = [row_and_column(indices.form(chain.operands[2]), width) for chain, _ in found.accesses]
    if None in pairs:
        raise Kept("an index that does not split into row and column")
    return [pair for pair in pairs if pair is not None]


def to_image(found: Found, pairs: list[tuple[Form, Form]], width: int) -> Converted:
    """Make each load a fetch at its place in an image of this width."""
    binding = Binding(BindingKind.IMAGE, found.format, width)
    return _convert(found, "Dim2D", coordinates(found, pairs), binding)


def coordinates(found: Found, pairs: list[tuple[Form, Form]]) -> Callable[[Op, Op], Value]:
    """What makes, at the insertion point, column and row of an access: of its address and it."""
    by_access = dict(zip((op for _, op in found.accesses), pairs, strict=True))
    # What is computed for one access serves those after it in the same block.
    made: dict[Any, dict[Any, Value]] = {}

    def coordinate(chain: Op, access: Op) -> Value:
        row, column = by_access[access]
        known = made.setdefault(_place(access), {})
        parts = [emit(column, known), emit(row, known)]
        return make("spirv.CompositeConstruct", "vector<2xi32>", *parts)

    return coordinate


def to_texels(found: Found) -> Converted:
    """Make each load a fetch of the texel of its number."""
    binding = Binding(BindingKind.TEXELS, found.format)
    return _convert(found, "Buffer", lambda chain, load: chain.operands[2], binding)


def _convert(
    found: Found, dim: str, coordinate: Callable[[Op, Op], Value], binding: Binding
) -> Converted:
    image = _IMAGE.format(found.fetched, dim)
    retype(found, image)
    divisions = 0
    for chain, load in found.accesses:
        with load.context, load.location, ir.InsertionPoint(load):
            place = coordinate(chain, load)
            held = image_of(chain, image)
            texel = make("spirv.ImageFetch", f"vector<{LANES}x{found.fetched}>", held, place)
            load.results[0].replace_all_uses_with(_lanes_of(texel, found))
        divisions += divisions_in_loop(place, load)
        load.erase()
    erase_unused(found)
    return Converted(binding, divisions)


def retype(found: Found, image: str) -> None:
    """Make the binding's variable one of this type of image."""
    with found.variable.context:
        pointer = ir.Type.parse(_POINTER.format(image))
        found.variable.attributes["type"] = ir.TypeAttr.get(pointer)
        if "aliased" in found.variable.attributes:
            del found.variable.attributes["aliased"]


def image_of(chain: Op, image: str) -> Value:
    """The image that a binding has become, loaded at the insertion point."""
    address = phase_ir.defining_op(chain.operands[0])
    assert address is not None
    name = address.attributes["variable"]
    pointer = _POINTER.format(image)
    return make(LOAD, image, make("spirv.mlir.addressof", pointer, variable=name))


def _lanes_of(texel: Value, found: Found) -> Value:
    """Of a texel's four components those that the kernel loads, in its type."""
    value = texel
    if found.lanes == 1:
        value = make("spirv.CompositeExtract", found.fetched, texel, indices=_numbers(0))
    elif found.lanes < LANES:
        chosen = _numbers(*range(found.lanes))
        type_ = vector(found.lanes, found.fetched)
        value = make("spirv.VectorShuffle", type_, texel, texel, components=chosen)
    if found.stored in _NARROWING:
        value = make(_NARROWING[found.stored], vector(found.lanes, found.stored), value)
    if found.bits and found.stored != found.scalar:
        value = make("spirv.Bitcast", vector(found.lanes, found.scalar), value)
    return value


def vector(lanes: int, scalar: str) -> str:
    """The type of so many scalars."""
    return scalar if lanes == 1 else f"vector<{lanes}x{scalar}>"


def _numbers(*values: int) -> Any:
    i32 = ir.IntegerType.get_signless(32)
    return ir.ArrayAttr.get([ir.IntegerAttr.get(i32, value) for value in values])


def make(name: str, type_: str, *operands: Value, **attributes: Any) -> Value:
    """One op at the insertion point; its result."""
    result = ir.Type.parse(type_)
    return ir.Operation.create(
        name, results=[result], operands=list(operands), attributes=attributes
    ).result


def _place(op: Op) -> tuple[Op, int]:
    """The block of an op: the op around it, and its number there."""
    parent = op.parent.operation
    blocks = [block for region in parent.regions for block in region]
    return parent, blocks.index(op.operation.block)


def _loop(op: Op) -> Op | None:
    """The innermost loop around an op."""
    parent = op.operation.parent
    while parent is not None and parent.operation.name not in ("spirv.mlir.loop", "spirv.func"):
        parent = parent.operation.parent
    return parent.operation if parent and parent.operation.name == "spirv.mlir.loop" else None


def divisions_in_loop(value: Value, access: Op) -> int:
    """Divisions and remainders that ``value`` takes inside the loop around ``access``."""
    loop = _loop(access)
    count, waiting, seen = 0, [value], set[Value]()
    while loop is not None and waiting:
        current = waiting.pop()
        op = phase_ir.defining_op(current)
        around = None if op is None else _loop(op)
        if current in seen or op is None or around is None or around != loop:
            continue
        seen.add(current)
        count += op.name in DIVISIONS
        if op.name in _INDEX_OPS or op.name == "spirv.CompositeConstruct":
            waiting += list(op.operands)
    return count


def erase_unused(found: Found) -> None:
    """Erase what only computed the addresses of elements."""
    waiting: list[Op] = list({chain: None for chain, _ in found.accesses})
    while waiting:
        op = waiting.pop()
        if any(list(result.uses) for result in op.results):
            continue
        sources = [phase_ir.defining_op(operand) for operand in op.operands]
        op.erase()
        for source in dict.fromkeys(s for s in sources if s is not None):
            if source.name in (*_INDEX_OPS, "spirv.mlir.addressof") and source not in waiting:
                waiting.append(source)
