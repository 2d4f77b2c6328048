"""Tensors as texels: what a kernel's loads become, and which bindings stay buffers."""

from dataclasses import replace

import pytest

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.textures import Textured, bind_as_texels, storage_facts
from smartmem.passes.rules.textures import Packing, TextureLimits
from smartmem.runtime.schedule import (
    BUFFER,
    Access,
    Binding,
    BindingKind,
    Dispatch,
    Format,
    Kernel,
    Resource,
    ResourceKind,
    Schedule,
    Upload,
    Use,
)

_BUFFER = (
    "!spirv.ptr<!spirv.struct<(!spirv.rtarray<{element}, stride={stride}> [0])>, StorageBuffer>"
)
_ELEMENT = "!spirv.ptr<{element}, StorageBuffer>"


def module(body: str, element: str = "f32", stride: int = 4, variables: str = "") -> str:
    """A kernel whose binding 0 is ``%w``, of these elements; ``%i`` is an index."""
    buffer = _BUFFER.format(element=element, stride=stride)
    pointer = _ELEMENT.format(element=element)
    return f"""
      spirv.module Logical GLSL450 requires #spirv.vce<v1.0, [Shader], []> {{
        spirv.GlobalVariable @w bind(0, 0) : {buffer}
        {variables}
        spirv.func @main() "None" {{
          %c0 = spirv.Constant 0 : i32
          %i = spirv.Constant 5 : i32
          %w = spirv.mlir.addressof @w : {buffer}
          %p = spirv.AccessChain %w[%c0, %i] : {buffer}, i32, i32 -> {pointer}
          {body}
          spirv.Return
        }}
        spirv.EntryPoint "GLCompute" @main
      }}
    """


def schedule(kind: ResourceKind = ResourceKind.CONSTANT, other: Binding = BUFFER) -> Schedule:
    """One dispatch of it on a resource of 64 bytes."""
    return Schedule(
        resources=(Resource(kind, 64), Resource(ResourceKind.CONSTANT, 32)),
        uploads=(Upload(0, 0, 64, "w"), Upload(1, 0, 32, "b")),
        inputs=(),
        outputs=(),
        kernels=(Kernel("000.spv", "main", (other,), 0, 0, bytes(32)),),
        commands=(Dispatch(0, (1, 1, 1), (Use(0, Access.READ, 0, 64),)),),
    )


def texels(text: str, held: Schedule, limit: int = 16) -> Textured:
    return bind_as_texels(text, held, TextureLimits(16, limit))


def names(textured: Textured) -> list[str]:
    parsed = phase_ir.parse(textured.targets_ir)
    return [op.name.removeprefix("spirv.") for op in phase_ir.walk(parsed.operation)]


CASES = {
    "f32": ("f32", 4, Format.R32_SFLOAT, ["ImageFetch", "CompositeExtract"]),
    "vec2": ("vector<2xf32>", 8, Format.R32G32_SFLOAT, ["ImageFetch", "VectorShuffle"]),
    "vec4": ("vector<4xf32>", 16, Format.R32G32B32A32_SFLOAT, ["ImageFetch"]),
    "f16": ("f16", 2, Format.R16_SFLOAT, ["ImageFetch", "CompositeExtract", "FConvert"]),
    "half4": ("vector<4xf16>", 8, Format.R16G16B16A16_SFLOAT, ["ImageFetch", "FConvert"]),
    "i32": ("vector<4xi32>", 16, Format.R32G32B32A32_UINT, ["ImageFetch"]),
    "i8": ("i8", 1, Format.R8_UINT, ["ImageFetch", "CompositeExtract", "UConvert"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_load_becomes_a_fetch(case: str) -> None:
    element, stride, format_, fetch = CASES[case]
    add = "FAdd" if "f" in element else "IAdd"
    load = f'%v = spirv.Load "StorageBuffer" %p : {element}\n %s = spirv.{add} %v, %v : {element}'
    textured = texels(module(load, element, stride), schedule(), limit=64)
    assert textured.bindings == {"main": {0: Binding(BindingKind.TEXELS, format_)}}
    assert textured.kept == {}
    found = names(textured)
    assert "AccessChain" not in found
    start = found.index("ImageFetch")
    assert found[start : found.index(add)] == fetch
    assert "[SampledBuffer, Shader]" in textured.targets_ir


def test_what_is_loaded_faster_stays_and_is_told() -> None:
    """Sixteen bytes a nanosecond, or two texels: one number is loaded faster, four are not."""
    speeds = TextureLimits(16, 64, buffer_bytes_per_ns=16, texels_per_ns=2)
    for element, stride, kept in (("f32", 4, 1), ("vector<4xf32>", 16, 0)):
        load = f'%v = spirv.Load "StorageBuffer" %p : {element}'
        textured = bind_as_texels(module(load, element, stride), schedule(), speeds)
        assert sum(textured.kept.values()) == kept
        assert len(textured.slots) == 1 - kept
    assert textured.kept == {}


def reading(*uses: Use, kind: ResourceKind = ResourceKind.TRANSIENT) -> Schedule:
    """One dispatch of a kernel on ``uses``, of which the first is read."""
    kernel = Kernel("000.spv", "main", (BUFFER,) * len(uses), 0, 0, bytes(32))
    return replace(
        schedule(kind), kernels=(kernel,), commands=(Dispatch(0, (1, 1, 1), uses),), uploads=()
    )


ALL = Use(0, Access.READ, 0, 64)
LOAD = '%v = spirv.Load "StorageBuffer" %p : f32'


@pytest.mark.parametrize("kind", [ResourceKind.TRANSIENT, ResourceKind.INPUT])
def test_activations_are_read_as_texels(kind: ResourceKind) -> None:
    held = reading(ALL, kind=kind)
    textured = texels(module(LOAD), held)
    texel = Binding(BindingKind.TEXELS, Format.R32_SFLOAT)
    assert textured.bindings == {"main": {0: texel}}
    facts = storage_facts(replace_bindings(held, textured), textured)
    assert (facts["activation_texel_bytes"], facts["activation_of_bytes"]) == (64, 64)
    assert (facts["texel_bytes"], facts["of_bytes"]) == (0, 0)


def test_an_activation_is_no_image() -> None:
    textured = bind_as_texels(module(LOAD), reading(ALL), TextureLimits(16, 16), {})
    assert textured.slots["main", 0].binding.kind is BindingKind.TEXELS
    assert textured.no_images == {}


BUFFERS = {
    "written": reading(replace(ALL, access=Access.BOTH)),
    "a result": reading(ALL, kind=ResourceKind.OUTPUT),
    "from another byte on": reading(replace(ALL, offset=16, length=48)),
    "written by the same kernel": reading(ALL, replace(ALL, access=Access.WRITE)),
}


@pytest.mark.parametrize("case", BUFFERS)
def test_what_is_not_only_read_stays(case: str) -> None:
    held = BUFFERS[case]
    textured = texels(module(LOAD), held)
    assert textured.bindings == textured.kept == {}
    assert "SampledBuffer" not in textured.targets_ir
    assert storage_facts(held, textured)["activation_texel_bytes"] == 0


def test_a_part_of_a_texel_stays() -> None:
    element = "vector<4xf32>"
    load = f'%v = spirv.Load "StorageBuffer" %p : {element}'
    textured = texels(module(load, element, 16), reading(replace(ALL, length=56)))
    assert (textured.bindings, textured.kept) == ({}, {"it ends with a part of a texel": 1})


def test_bits_of_another_type_are_fetched_as_integers() -> None:
    load = 'spirv.Load "StorageBuffer" %p : vector<4xf32>\n'
    halves = f"%v = {load} %b = spirv.Bitcast %v : vector<4xf32> to vector<8xf16>"
    textured = texels(module(halves, "vector<4xf32>", 16), schedule())
    assert textured.slots["main", 0].binding.format is Format.R32G32B32A32_UINT
    found = names(textured)
    start = found.index("ImageFetch")
    assert found[start : start + 3] == ["ImageFetch", "Bitcast", "Bitcast"]


KEPT = {
    "its halves are read as another type": (
        'spirv.Load "StorageBuffer" %p : f16\n %b = spirv.Bitcast %v : f16 to i16',
        "f16",
        "",
    ),
    "no texel format for its elements (1 x f64)": (
        'spirv.Load "StorageBuffer" %p : f64',
        "f64",
        "",
    ),
    "its elements are used by spirv.Store": (
        'spirv.Constant 1.0 : f32\n spirv.Store "StorageBuffer" %p, %v : f32',
        "f32",
        "",
    ),
    "it is read as elements of several types": (
        'spirv.Load "StorageBuffer" %p : f32',
        "f32",
        "spirv.GlobalVariable @w2 bind(0, 0) : "
        + _BUFFER.format(element="vector<4xf32>", stride=16),
    ),
    "more texels than a texel buffer holds": ('spirv.Load "StorageBuffer" %p : f32', "f32", ""),
}


@pytest.mark.parametrize("reason", KEPT)
def test_what_cannot_be_converted_stays_and_is_told(reason: str) -> None:
    value, element, variables = KEPT[reason]
    text = module(f"%v = {value}", element, 4, variables)
    textured = texels(text, schedule(), limit=15)
    assert (textured.bindings, textured.kept) == ({}, {reason: 1})
    assert "ImageFetch" not in names(textured)


def kernel(index: str, element: str = "vector<4xf32>", bindings: int = 1) -> str:
    """A loop over ``%k`` from 0 to 8 by 4 in which 6 threads of each of 2 workgroups read the
    ``%index``-th element of every binding.
    """
    buffer = _BUFFER.format(element=element, stride=16)
    pointer = _ELEMENT.format(element=element)
    variables = "\n".join(
        f"spirv.GlobalVariable @w{i} bind(0, {i}) : {buffer}" for i in range(bindings)
    )
    loads = "\n".join(
        f"""
        %w{i} = spirv.mlir.addressof @w{i} : {buffer}
        %p{i} = spirv.AccessChain %w{i}[%c0, %index] : {buffer}, i32, i32 -> {pointer}
        %v{i} = spirv.Load "StorageBuffer" %p{i} : {element}
        """
        for i in range(bindings)
    )
    built_in = "!spirv.ptr<vector<3xi32>, Input>"
    return f"""
      spirv.module Logical GLSL450 requires #spirv.vce<v1.0, [Shader], []> {{
        spirv.GlobalVariable @local built_in("LocalInvocationId") : {built_in}
        spirv.GlobalVariable @group built_in("WorkgroupId") : {built_in}
        {variables}
        spirv.func @main() "None" {{
          %c0 = spirv.Constant 0 : i32
          %c1 = spirv.Constant 1 : i32
          %c2 = spirv.Constant 2 : i32
          %c4 = spirv.Constant 4 : i32
          %c6 = spirv.Constant 6 : i32
          %c8 = spirv.Constant 8 : i32
          %c12 = spirv.Constant 12 : i32
          %local = spirv.mlir.addressof @local : {built_in}
          %group = spirv.mlir.addressof @group : {built_in}
          %l = spirv.Load "Input" %local : vector<3xi32>
          %thread = spirv.CompositeExtract %l[0 : i32] : vector<3xi32>
          %g = spirv.Load "Input" %group : vector<3xi32>
          %workgroup = spirv.CompositeExtract %g[0 : i32] : vector<3xi32>
          spirv.mlir.loop {{
            spirv.Branch ^header(%c0 : i32)
          ^header(%k: i32):
            %more = spirv.SLessThan %k, %c8 : i32
            spirv.BranchConditional %more, ^body, ^end
          ^body:
            %row = spirv.IMul %k, %c12 : i32
            %start = spirv.IMul %workgroup, %c6 : i32
            %column = spirv.IAdd %start, %thread : i32
            {index}
            {loads}
            %next = spirv.IAdd %k, %c4 : i32
            spirv.Branch ^header(%next : i32)
          ^end:
            spirv.mlir.merge
          }}
          spirv.Return
        }}
        spirv.EntryPoint "GLCompute" @main
        spirv.ExecutionMode @main "LocalSize", 6, 1, 1
      }}
    """


PLAIN = "%index = spirv.IAdd %row, %column : i32"
# The same column by way of a division: 2 * (c / 2) + c % 2.
DIVIDED = """
    %half = spirv.UDiv %thread, %c2 : i32
    %whole = spirv.IMul %half, %c2 : i32
    %odd = spirv.UMod %thread, %c2 : i32
    %both = spirv.IAdd %whole, %odd : i32
    %place = spirv.IAdd %both, %start : i32
    %index = spirv.IAdd %row, %place : i32
"""
# Three rows of four below one another in a wide row: the number says no more where it is.
UNKNOWN = "%index = spirv.IMul %thread, %row : i32"
# A multiple of four, so that nothing is left of the division.
EXACT = """
    %quarter = spirv.UDiv %k, %c4 : i32
    %index = spirv.IAdd %quarter, %column : i32
"""


def called(*uses: Use, resources: int = 1) -> Schedule:
    """One dispatch of two workgroups on these."""
    kernels = (Kernel("000.spv", "main", (BUFFER,) * len(uses), 0, 0, bytes(32)),)
    return Schedule(
        resources=(Resource(ResourceKind.CONSTANT, 8 * 12 * 16),) * resources,
        uploads=tuple(Upload(i, 0, 8 * 12 * 16, f"w{i}") for i in range(resources)),
        inputs=(),
        outputs=(),
        kernels=kernels,
        commands=(Dispatch(0, (2, 1, 1), uses),),
    )


WHOLE = Use(0, Access.READ, 0, 8 * 12 * 16)
IMAGE = Packing("image2d", 1, (1,), (0,), 12, 8)


def images(text: str, held: Schedule, **packings: Packing) -> Textured:
    return bind_as_texels(text, held, TextureLimits(16, 4096), packings)


def test_a_number_becomes_row_and_column() -> None:
    textured = images(kernel(PLAIN), called(WHOLE), w0=IMAGE)
    wanted = Binding(BindingKind.IMAGE, Format.R32G32B32A32_SFLOAT, 12)
    assert textured.bindings == {"main": {0: wanted}}
    assert (textured.slots["main", 0].divisions, textured.no_images) == (0, {})
    assert "Dim2D" in textured.targets_ir
    assert "SampledBuffer" not in textured.targets_ir
    facts = storage_facts(replace_bindings(called(WHOLE), textured), textured)
    assert (facts["image_bytes"], facts["whole_texel_bytes"], facts["of_bytes"]) == (1536,) * 3


def replace_bindings(held: Schedule, textured: Textured) -> Schedule:
    """The schedule that is read from the edited module."""
    (old,) = held.kernels
    bound = textured.bindings.get("main", {})
    new = tuple(bound.get(number, BUFFER) for number in range(len(old.bindings)))
    return replace(held, kernels=(replace(old, bindings=new),))


def test_divisions_that_texels_keep_are_counted() -> None:
    textured = images(kernel(DIVIDED), called(WHOLE), w0=IMAGE)
    # Their ranges fit, but they are the threads' own: the image divides as the buffer did.
    assert textured.slots["main", 0].binding.kind is BindingKind.IMAGE
    assert textured.slots["main", 0].divisions == 2
    facts = storage_facts(replace_bindings(called(WHOLE), textured), textured)
    assert (facts["image_bytes"], facts["whole_texel_bytes"]) == (1536, 0)


def test_a_division_without_remainder_is_resolved() -> None:
    textured = images(kernel(EXACT), called(WHOLE), w0=replace(IMAGE, width_texels=16))
    # Columns go up to 11 + 1: no 12 of them, but 16.
    assert textured.no_images == {"its elements are stored as another type": 1}
    narrow = replace(IMAGE, width_texels=24, height_texels=4)
    textured = images(kernel(EXACT), called(WHOLE), w0=narrow)
    assert textured.slots["main", 0].divisions == 0
    assert "UDiv" not in names(textured)


NO_IMAGES = {
    "an index that does not split into row and column": (kernel(UNKNOWN), called(WHOLE), IMAGE),
    "its kernel reads no whole texels": (kernel(PLAIN, "f32"), called(WHOLE), IMAGE),
    "nothing is summed over it": (
        kernel(PLAIN),
        called(WHOLE),
        Packing("texel_buffer", reason="nothing is summed over it"),
    ),
    "a part of it is read": (
        kernel(PLAIN),
        called(Use(0, Access.READ, 0, 8 * 12 * 8)),
        IMAGE,
    ),
}


@pytest.mark.parametrize("reason", NO_IMAGES)
def test_what_cannot_be_an_image_is_a_texel_buffer(reason: str) -> None:
    text, held, packing = NO_IMAGES[reason]
    textured = images(text, held, w0=packing)
    assert textured.no_images == {reason: 1}
    assert textured.slots["main", 0].binding.kind is BindingKind.TEXELS
    assert "SampledBuffer" in textured.targets_ir


def test_a_weight_lies_in_one_kind_of_memory() -> None:
    """The second binding holds another weight in a second call, which is no image."""
    second = replace(WHOLE, resource=1)
    held = called(WHOLE, WHOLE, resources=2)
    held = replace(held, commands=(*held.commands, Dispatch(0, (2, 1, 1), (WHOLE, second))))
    packings = {"w0": IMAGE, "w1": Packing("texel_buffer", reason="it has one dim only")}
    textured = images(kernel(PLAIN, bindings=2), held, **packings)
    kinds = [converted.binding.kind for converted in textured.slots.values()]
    assert kinds == [BindingKind.TEXELS] * 2
    assert textured.no_images == {
        "it has one dim only": 1,
        "another kernel cannot read it as an image": 1,
    }


def test_bytes_by_kind_of_memory() -> None:
    plain = texels(module('%v = spirv.Load "StorageBuffer" %p : f32'), schedule())
    facts = storage_facts(schedule(), plain)
    assert (facts["texel_bytes"], facts["of_bytes"]) == (0, 96)
    bound = schedule(other=plain.slots["main", 0].binding)
    facts = storage_facts(bound, plain)
    assert (facts["texel_bytes"], facts["whole_texel_bytes"]) == (64, 0)
