"""The stores of one binding of a kernel become writes of texels.

    %p = spirv.AccessChain %result[%c0, %i] : !spirv.ptr<...rtarray<vector<4xf32>>...>
    spirv.Store "StorageBuffer" %p, %v : vector<4xf32>
    ==>
    %image = spirv.Load "UniformConstant" %result : !spirv.image<f32, Dim2D, ... Rgba32f>
    spirv.ImageWrite %image, %column_and_row, %v

Column and row follow from how the number is computed, as where texels are fetched
(``texture_loads.py``). Formats are those of four lanes, which any device can write, and stand in
the type: so no capability is needed. Floats that are other bits are written as integers.
"""

from smartmem.passes.iree.phase_ir import Value, ir
from smartmem.passes.iree.spirv_index import Form
from smartmem.passes.iree.texture_loads import (
    LANES,
    Converted,
    Found,
    coordinates,
    divisions_in_loop,
    erase_unused,
    image_of,
    make,
    retype,
    vector,
)
from smartmem.runtime.schedule import Binding, BindingKind, Format

_IMAGE = "!spirv.image<{}, Dim2D, NoDepth, NonArrayed, SingleSampled, NoSampler, {}>"
# How SPIR-V names the formats.
_NAMES = {
    Format.R32G32B32A32_SFLOAT: "Rgba32f",
    Format.R16G16B16A16_SFLOAT: "Rgba16f",
    Format.R32G32B32A32_UINT: "Rgba32ui",
    Format.R16G16B16A16_UINT: "Rgba16ui",
    Format.R8G8B8A8_UINT: "Rgba8ui",
}
_WIDENING = {"f16": "spirv.FConvert", "i16": "spirv.UConvert", "i8": "spirv.UConvert"}


def to_written_image(found: Found, pairs: list[tuple[Form, Form]], width: int) -> Converted:
    """Make each store a write at its place in an image of this width."""
    image = _IMAGE.format(found.fetched, _NAMES[found.format])
    coordinate = coordinates(found, pairs)
    retype(found, image)
    divisions = 0
    for chain, store in found.accesses:
        with store.context, store.location, ir.InsertionPoint(store):
            place = coordinate(chain, store)
            texel = _texel(store.operands[1], found)
            operands = [image_of(chain, image), place, texel]
            ir.Operation.create("spirv.ImageWrite", operands=operands)
        divisions += divisions_in_loop(place, store)
        store.erase()
    erase_unused(found)
    return Converted(Binding(BindingKind.WRITTEN_IMAGE, found.format, width), divisions)


def _texel(value: Value, found: Found) -> Value:
    """What a kernel stores, in the type that images are written in."""
    if found.stored != found.scalar:
        value = make("spirv.Bitcast", vector(LANES, found.stored), value)
    if found.stored in _WIDENING:
        value = make(_WIDENING[found.stored], vector(LANES, found.fetched), value)
    return value
