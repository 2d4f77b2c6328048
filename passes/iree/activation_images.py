"""Choose the activations that are images: written by the kernels that make them, fetched by those
that read them, with no copy in between.

    kernel a writes t: 17x192,  kernels b and c read it
    ==>
    t is an image of 48 x 17 texels: a stores texels into it, b and c fetch them

A tensor can be one where every kernel that touches it touches whole texels of four lanes, and row
and column of each follow from the index (``spirv_index.py``). A kernel's binding is one kind of
memory in all its calls: so tensors that share a binding are images of one width and format, or
none of them is. They are a *group*, and each group that cannot be images says why.

Rows are those of the tensor's innermost dim; more dims lie along a row where the image would be
higher than the device allows, or where a kernel's index splits in no other way.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.phase_ir import Op
from smartmem.passes.iree.spirv_index import Form, Indices
from smartmem.passes.iree.texture_loads import LANES, LOAD, STORE, Found, Kept, find, places
from smartmem.passes.rules.textures import TextureLimits
from smartmem.runtime.schedule import Access, Dispatch, Resource, ResourceKind, Schedule

# A kernel's binding: entry point and number.
Slot = tuple[str, int]
# The shapes that kernels see their bindings as.
Shapes = Mapping[Slot, tuple[int, ...]]

# The target's speeds say so.
FASTER = "loads from a buffer are faster than fetches of texels"
_SUBSPAN = "stream.binding.subspan"
_ALIENS = {
    ResourceKind.CONSTANT: "its kernels read weights through the same binding",
    ResourceKind.INPUT: "its kernels read arguments through the same binding",
    ResourceKind.OUTPUT: "its kernels write results through the same binding",
}


@dataclass
class Touched:
    """A binding as an image: its loads or stores, and the row and column of each."""

    found: Found
    pairs: list[tuple[Form, Form]]
    width: int
    is_written: bool


@dataclass
class _Group:
    """Tensors that are images together, and the bindings that hold them, with a call of each."""

    resources: set[int] = field(default_factory=set[int])
    slots: dict[Slot, list[Dispatch]] = field(default_factory=dict[Slot, list[Dispatch]])


def binding_shapes(stream_ir: str) -> dict[Slot, tuple[int, ...]]:
    """The static shapes of the tensors that each dispatch function of a stream-phase module binds,
    by function and argument.
    """
    module = phase_ir.parse(stream_ir)
    found: dict[Slot, tuple[int, ...]] = {}
    for function in phase_ir.named(module.operation, "func.func"):
        block = function.regions[0].blocks[0]
        for op in phase_ir.named(function, _SUBSPAN):
            number = phase_ir.argument_number(op.operands[0], block)
            shape = phase_ir.shape_of(op.results[0].type)
            if number is not None and shape is not None:
                found[phase_ir.symbol(function), number] = shape
    return found


def choose(
    shaders: Mapping[str, Op], schedule: Schedule, limits: TextureLimits, shapes: Shapes
) -> tuple[dict[Slot, Touched], Counter[str]]:
    """The bindings that are images, by entry point and number, and how many tensors are none, by
    reason. ``shaders`` has the module of each entry point.
    """
    touched: dict[Slot, Touched] = {}
    reasons: Counter[str] = Counter()
    barred = _barred(schedule)
    for group in _groups(schedule):
        tensors = sum(schedule.resources[r].kind is ResourceKind.TRANSIENT for r in group.resources)
        try:
            for resource in sorted(group.resources):
                if resource in barred:
                    raise Kept(barred[resource])
            touched |= _images(group, shaders, schedule.resources, limits, shapes)
        except Kept as reason:
            reasons[str(reason)] += tensors
    return touched, +reasons


def _barred(schedule: Schedule) -> dict[int, str]:
    """Resources that are no images, whatever kernels do with them."""
    found = {port.resource: "it is a result" for port in schedule.outputs}
    for command in (*schedule.setup, *schedule.commands):
        if not isinstance(command, Dispatch):
            found |= {use.resource: "it is filled or copied" for use in command.uses}
    for command in schedule.setup:
        found |= {use.resource: "it is computed when the model is loaded" for use in command.uses}
    return found | {
        number: _ALIENS[resource.kind]
        for number, resource in enumerate(schedule.resources)
        if resource.kind in _ALIENS
    }


def _groups(schedule: Schedule) -> Iterable[_Group]:
    """Tensors by what they share bindings with, in the order of the commands."""
    of_slot: dict[Slot, _Group] = {}
    of_resource: dict[int, _Group] = {}
    for dispatch in schedule.dispatches:
        entry = schedule.kernels[dispatch.kernel].entry
        for number, use in enumerate(dispatch.uses):
            slot = (entry, number)
            group = of_slot.get(slot) or of_resource.get(use.resource) or _Group()
            other = of_resource.get(use.resource, group)
            if other is not group:
                group.resources |= other.resources
                group.slots |= other.slots
                of_slot |= dict.fromkeys(other.slots, group)
                of_resource |= dict.fromkeys(other.resources, group)
            group.resources.add(use.resource)
            group.slots.setdefault(slot, []).append(dispatch)
            of_slot[slot] = of_resource[use.resource] = group
    return list({id(group): group for group in of_slot.values()}.values())


def _images(
    group: _Group,
    shaders: Mapping[str, Op],
    resources: tuple[Resource, ...],
    limits: TextureLimits,
    shapes: Shapes,
) -> dict[Slot, Touched]:
    """What a group's bindings become; raises Kept where they cannot be images."""
    accesses = {
        (entry, number): _access(number, calls, resources)
        for (entry, number), calls in group.slots.items()
    }
    found = {slot: _found(shaders, slot, access) for slot, access in accesses.items()}
    if len({held.scalar for held in found.values()}) != 1:
        raise Kept("its kernels take its elements for different types")
    bits = any(held.bits for held in found.values())
    for held in found.values():
        held.bits = bits
    (texel_bytes,) = {held.texel_bytes for held in found.values()}
    if limits.prefers_buffer(texel_bytes):
        raise Kept(FASTER)
    texels = {resources[number].size_bytes // texel_bytes for number in group.resources}
    widths = widths_of(texels, (shapes.get(slot, ()) for slot in group.slots), limits)
    if not widths:
        raise Kept("it has no rows of whole texels that fit the device's images")
    indices = {
        slot: Indices(shaders[slot[0]], calls[0].workgroups) for slot, calls in group.slots.items()
    }
    for width in widths:
        try:
            pairs = {slot: places(held, indices[slot], width) for slot, held in found.items()}
        except Kept:
            continue
        return {
            slot: Touched(found[slot], pairs[slot], width, accesses[slot] is Access.WRITE)
            for slot in found
        }
    raise Kept("an index that does not split into row and column")


def _found(shaders: Mapping[str, Op], slot: Slot, access: Access) -> Found:
    """A binding's loads or stores of whole texels."""
    entry, number = slot
    if sum(other == shaders[entry] for other in shaders.values()) != 1:
        raise Kept("several entry points share a kernel")
    is_written = access is Access.WRITE
    held = find(shaders[entry], number, STORE if is_written else LOAD)
    if held.lanes != LANES:
        raise Kept(f"a kernel {'writes' if is_written else 'reads'} no whole texels")
    return held


def _access(number: int, calls: Iterable[Dispatch], resources: tuple[Resource, ...]) -> Access:
    """What calls do with a binding; raises Kept unless it is one thing, with whole tensors."""
    accesses: set[Access] = set()
    for call in calls:
        use = call.uses[number]
        if (use.offset, use.length) != (0, resources[use.resource].size_bytes):
            raise Kept("a part of it is read or written")
        same = [other.access for other in call.uses if other.resource == use.resource]
        accesses |= {Access.BOTH} if Access.WRITE in same and len(same) > 1 else set(same)
    if Access.BOTH in accesses or len(accesses) != 1:
        raise Kept("it is written in place")
    return accesses.pop()


def widths_of(
    texels: Iterable[int], shapes: Iterable[tuple[int, ...]], limits: TextureLimits
) -> list[int]:
    """The widths that images of so many texels could have, the innermost dim's first: those of
    several rows, where neither rows nor columns are more than the device's.
    """
    counts, most = set(texels), limits.image_texels
    elements = {prod(shape[dim:]) for shape in shapes for dim in range(1, len(shape))}
    widths = sorted({count // LANES for count in elements if count % LANES == 0})
    return [
        width
        for width in widths
        if width <= most
        and all(count % width == 0 and width < count <= width * most for count in counts)
    ]
