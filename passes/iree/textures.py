"""Let kernels read tensors as texels, in the SPIR-V of IREE's ``executable-targets`` phase.

Phones read textures through a cache of their own. A binding that is only ever read becomes an image
or a texel buffer (``texture_loads.py``). Legal is decided before anything is edited:

* An **image** where all weights that the binding holds were packed for one of the same width
  (``pack_textures.py``), it reads whole texels of four lanes, and row and column of each follow
  from its index. A weight lies in one kind of memory only: where one of its readers cannot, the
  others do not either.
* So are activations, of which all that their kernels touch are whole texels
  (``activation_images.py``): what makes them writes the image.
* Else a **texel buffer**, where the device's hold that many texels. What makes an activation then
  writes a buffer, and its readers see the same bytes as texels; nothing is copied.
* Else the binding stays a **buffer**. The reasons are told.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.activation_images import FASTER, Shapes, Slot, Touched, choose
from smartmem.passes.iree.phase_ir import Op, ir
from smartmem.passes.iree.spirv_index import Form, Indices
from smartmem.passes.iree.texture_loads import (
    LANES,
    Converted,
    Found,
    Kept,
    find,
    places,
    to_image,
    to_texels,
)
from smartmem.passes.iree.texture_stores import to_written_image
from smartmem.passes.rules.textures import Packing, TextureLimits
from smartmem.runtime.schedule import (
    Access,
    Binding,
    BindingKind,
    Dispatch,
    ResourceKind,
    Schedule,
    Use,
)

_CAPABILITIES = re.compile(r"^(#spirv\.vce<v[\d.]+, \[)")
# What may be read as texels, and of that what a call computes or is given.
_ACTIVATIONS = (ResourceKind.INPUT, ResourceKind.TRANSIENT)
_READABLE = (ResourceKind.CONSTANT, *_ACTIVATIONS)
_COUNTED = (
    *("image", "texel", "whole_texel", "of"),
    *("activation_image", "activation_texel", "activation_of"),
)


@dataclass(frozen=True)
class Textured:
    """The edited module, what each converted binding has become, and how many divisions its
    fetches do in loops; ``kept`` and ``no_images`` count why others stay buffers, or are no images,
    ``no_activation_images`` why tensors that a call computes are none.
    """

    targets_ir: str
    slots: Mapping[Slot, Converted]
    kept: Mapping[str, int]
    no_images: Mapping[str, int]
    no_activation_images: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def bindings(self) -> dict[str, dict[int, Binding]]:
        """The converted bindings by entry and number."""
        found: dict[str, dict[int, Binding]] = {}
        for (entry, number), converted in self.slots.items():
            found.setdefault(entry, {})[number] = converted.binding
        return found


@dataclass
class _Reader:
    """A slot with its kernel, and the tensors that it holds; ``activations`` where not all of them
    are weights.
    """

    shader: Op
    found: Found
    uses: list[Use]
    workgroups: tuple[int, int, int]
    activations: bool
    # Where each load's texel is in an image of ``width``; no image without.
    pairs: list[tuple[Form, Form]] | None = None
    width: int = 0


def bind_as_texels(
    targets_ir: str,
    schedule: Schedule,
    limits: TextureLimits,
    packings: Mapping[str, Packing] | None = None,
    shapes: Shapes | None = None,
) -> Textured:
    """Convert the bindings of an ``executable-targets`` module that ``schedule`` only ever lets
    read: to images of ``packings``, by the archive's entry, and to texel buffers. Its scratch
    memory must be taken apart into tensors (``tensors.py``). Where there are ``shapes`` of the
    bindings, tensors in scratch memory become images, too, with the bindings that write them.
    """
    module = phase_ir.parse(targets_ir)
    kept: Counter[str] = Counter()
    no_images: Counter[str] = Counter()
    no_activations: Counter[str] = Counter()
    readers = dict(_readers(module, schedule, kept, limits))
    if packings is not None:
        _choose_images(readers, schedule, packings, no_images)
    touched: dict[Slot, Touched] = {}
    if shapes is not None:
        touched, no_activations = choose(_shaders(module), schedule, limits, shapes)
    slots = {slot: _converted(image) for slot, image in touched.items()}
    for slot, reader in readers.items():
        if slot in touched:
            continue
        if reader.pairs is not None:
            slots[slot] = to_image(reader.found, reader.pairs, reader.width)
        elif _texels(reader) > limits.buffer_texels:
            kept["more texels than a texel buffer holds"] += 1
        elif any(use.length % reader.found.texel_bytes for use in reader.uses):
            kept["it ends with a part of a texel"] += 1
        else:
            slots[slot] = to_texels(reader.found)
            _declare_texels(reader.shader)
    module.operation.verify()
    text = module.operation.get_asm(enable_debug_info=True)
    return Textured(text, slots, dict(kept), dict(no_images), dict(no_activations))


def _converted(image: Touched) -> Converted:
    convert = to_written_image if image.is_written else to_image
    return convert(image.found, image.pairs, image.width)


def storage_facts(schedule: Schedule, textured: Textured) -> dict[str, Any]:
    """What the report says: bytes of weights by the kind of memory that they are read from, how
    many of them kernels fetch as whole texels without dividing in a loop, why others are not; and
    bytes of the activations that kernels read, with those that all of them read as images, and as
    texels of buffers.
    """
    readers: dict[int, list[tuple[Slot, Binding]]] = {}
    for dispatch in schedule.dispatches:
        kernel = schedule.kernels[dispatch.kernel]
        for number, use in enumerate(dispatch.uses):
            row = ((kernel.entry, number), kernel.bindings[number])
            if use.access is not Access.WRITE:
                readers.setdefault(use.resource, []).append(row)
    sizes: Counter[str] = Counter()
    for upload in schedule.uploads:
        rows = readers.get(upload.resource, [])
        kinds = {binding.kind for _, binding in rows}
        sizes["of"] += upload.length
        if kinds == {BindingKind.IMAGE}:
            sizes["image"] += upload.length
        elif kinds == {BindingKind.TEXELS}:
            sizes["texel"] += upload.length
        else:
            continue
        if all(binding.format.lanes == LANES for _, binding in rows) and not any(
            textured.slots[slot].divisions for slot, _ in rows
        ):
            sizes["whole_texel"] += upload.length
    for number, resource in enumerate(schedule.resources):
        if resource.kind not in _ACTIVATIONS or number not in readers:
            continue
        sizes["activation_of"] += resource.size_bytes
        kinds = {binding.kind for _, binding in readers[number]}
        if kinds == {BindingKind.IMAGE}:
            sizes["activation_image"] += resource.size_bytes
        elif kinds == {BindingKind.TEXELS}:
            sizes["activation_texel"] += resource.size_bytes
    return {
        **{f"{name}_bytes": sizes[name] for name in _COUNTED},
        "kept_as_buffers": textured.kept,
        "no_images": textured.no_images,
        "no_activation_images": textured.no_activation_images,
    }


def _readers(
    module: Any, schedule: Schedule, kept: Counter[str], limits: TextureLimits
) -> Iterable[tuple[Slot, _Reader]]:
    """The slots that could be texels, in the order of the module."""
    wanted = _read_slots(schedule)
    kinds = [resource.kind for resource in schedule.resources]
    shaders = _shaders(module)
    for entry, shader in shaders.items():
        for number, calls in wanted.get(entry, {}).items():
            try:
                if sum(other == shader for other in shaders.values()) != 1:
                    raise Kept("several entry points share it")
                found = find(shader, number)
                if limits.prefers_buffer(found.texel_bytes):
                    raise Kept(FASTER)
            except Kept as reason:
                kept[str(reason)] += 1
                continue
            uses = [call.uses[number] for call in calls]
            activations = any(kinds[use.resource] in _ACTIVATIONS for use in uses)
            held = _Reader(shader, found, uses, calls[0].workgroups, activations)
            yield (entry, number), held


def _shaders(module: Any) -> dict[str, Op]:
    """The ``spirv.module`` of each entry point."""
    return {
        phase_ir.symbol_ref(op.attributes["fn"])[0]: shader
        for shader in phase_ir.named(module.operation, "spirv.module")
        for op in phase_ir.body_ops(shader)
        if op.name == "spirv.EntryPoint"
    }


def _read_slots(schedule: Schedule) -> dict[str, dict[int, list[Dispatch]]]:
    """By entry and number, the calls of those bindings that read in every call."""
    calls: dict[int, list[Dispatch]] = {}
    for dispatch in schedule.dispatches:
        calls.setdefault(dispatch.kernel, []).append(dispatch)

    def is_read(call: Dispatch, use: Use) -> bool:
        kind = schedule.resources[use.resource].kind
        if use.access is not Access.READ or kind not in _READABLE:
            return False
        # Devices bind texels at coarser offsets than other bytes: an activation is read from its
        # first byte on. What is written meanwhile is no texel.
        if kind is ResourceKind.CONSTANT:
            return True
        others = (other for other in call.uses if other.resource == use.resource)
        return use.offset == 0 and all(other.access is Access.READ for other in others)

    return {
        schedule.kernels[kernel].entry: {
            number: mine
            for number in range(len(mine[0].uses))
            if all(is_read(call, call.uses[number]) for call in mine)
        }
        for kernel, mine in calls.items()
    }


def _choose_images(
    readers: Mapping[Slot, _Reader],
    schedule: Schedule,
    packings: Mapping[str, Packing],
    no_images: Counter[str],
) -> None:
    """Give readers the width of their weights' images, where those can be images."""
    packed = {upload.resource: packings.get(upload.key) for upload in schedule.uploads}
    written = {u.resource for c in schedule.setup for u in c.uses if u.access is not Access.READ}
    for reader in readers.values():
        if reader.activations:
            continue
        try:
            reader.width = _width(reader, schedule, packed, written)
            indices = Indices(reader.shader, reader.workgroups)
            reader.pairs = places(reader.found, indices, reader.width)
        except Kept as reason:
            no_images[str(reason)] += 1
    while spoilt := _spoilt(readers, schedule):
        for reader in spoilt:
            reader.pairs = None
        no_images["another kernel cannot read it as an image"] += len(spoilt)


def _width(
    reader: _Reader,
    schedule: Schedule,
    packed: Mapping[int, Packing | None],
    written: set[int],
) -> int:
    """The one width of all that a reader holds; raises Kept where there is none."""
    if reader.found.lanes != LANES:
        raise Kept("its kernel reads no whole texels")
    widths: set[int] = set()
    for use in reader.uses:
        packing = packed.get(use.resource)
        if packing is None or use.resource in written:
            raise Kept("it is no weight of the archive")
        if packing.storage != "image2d":
            raise Kept(packing.reason)
        whole = schedule.resources[use.resource].size_bytes
        if (use.offset, use.length) != (0, whole):
            raise Kept("a part of it is read")
        if whole != packing.width_texels * packing.height_texels * reader.found.texel_bytes:
            raise Kept("its elements are stored as another type")
        widths.add(packing.width_texels)
    if len(widths) != 1:
        raise Kept("its kernel reads weights of several widths")
    return widths.pop()


def _spoilt(readers: Mapping[Slot, _Reader], schedule: Schedule) -> list[_Reader]:
    """Readers as images of a weight that something else reads as another kind of memory."""
    kinds: dict[int, set[Any]] = {}
    for dispatch in schedule.dispatches:
        entry = schedule.kernels[dispatch.kernel].entry
        for number, use in enumerate(dispatch.uses):
            reader = readers.get((entry, number))
            image = reader and reader.pairs and (reader.found.format, reader.width)
            kinds.setdefault(use.resource, set()).add(image)
    for port in schedule.outputs:
        kinds.setdefault(port.resource, set()).add(None)
    mixed = {resource for resource, held in kinds.items() if len(held) > 1}
    return [
        reader
        for reader in readers.values()
        if reader.pairs is not None and any(use.resource in mixed for use in reader.uses)
    ]


def _texels(reader: _Reader) -> int:
    return max(use.length // reader.found.texel_bytes for use in reader.uses)


def _declare_texels(shader: Op) -> None:
    """Declare the capability that texel buffers need."""
    stated = str(shader.attributes["vce_triple"])
    if "SampledBuffer" not in stated:
        edited = _CAPABILITIES.sub(r"\1SampledBuffer, ", stated, count=1)
        shader.attributes["vce_triple"] = ir.Attribute.parse(edited, shader.context)
