"""Activations as images: which are, what loads and stores become, and why others stay buffers."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.activation_images import binding_shapes, widths_of
from smartmem.passes.iree.textures import Textured, bind_as_texels, storage_facts
from smartmem.passes.rules.textures import TextureLimits
from smartmem.runtime.schedule import (
    BUFFER,
    Access,
    Binding,
    BindingKind,
    Dispatch,
    Fill,
    Format,
    Kernel,
    Port,
    Resource,
    ResourceKind,
    Schedule,
    Use,
)

READ, WRITE = Access.READ, Access.WRITE
INPUT, MIDDLE, OUTPUT, OTHER = range(4)
SIZE = 8 * 12 * 16
LIMITS = TextureLimits(64, 4096)
# Both kernels see 8 rows of 48 numbers: 12 texels.
SHAPES = {(entry, number): (8, 48) for entry in ("first", "second") for number in (0, 1)}
VEC4, VEC2 = "vector<4xf32>", "vector<2xf32>"
HALVES = "vector<4xf16>"


def kernel(name: str, reads: str = VEC4, writes: str = VEC4, index: str = "IAdd") -> str:
    """Six threads of each of two workgroups copy a column of an 8x12 matrix of elements."""
    built_in = "!spirv.ptr<vector<3xi32>, Input>"
    types = [
        f"!spirv.ptr<!spirv.struct<(!spirv.rtarray<{element}, stride=16> [0])>, StorageBuffer>"
        for element in (reads, writes)
    ]
    source, target = types
    cast = "%x" if reads == writes else f"%y = spirv.Bitcast %x : {reads} to {writes}"
    value, cast = ("%x", "") if cast == "%x" else ("%y", cast)
    return f"""
      spirv.module Logical GLSL450 requires #spirv.vce<v1.0, [Shader, Float16], []> {{
        spirv.GlobalVariable @local built_in("LocalInvocationId") : {built_in}
        spirv.GlobalVariable @group built_in("WorkgroupId") : {built_in}
        spirv.GlobalVariable @a bind(0, 0) : {source}
        spirv.GlobalVariable @b bind(0, 1) : {target}
        spirv.func @{name}() "None" {{
          %c0 = spirv.Constant 0 : i32
          %c1 = spirv.Constant 1 : i32
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
            %i = spirv.{index} %row, %column : i32
            %a = spirv.mlir.addressof @a : {source}
            %p = spirv.AccessChain %a[%c0, %i] :
              {source}, i32, i32 -> !spirv.ptr<{reads}, StorageBuffer>
            %x = spirv.Load "StorageBuffer" %p : {reads}
            {cast}
            %b = spirv.mlir.addressof @b : {target}
            %q = spirv.AccessChain %b[%c0, %i] :
              {target}, i32, i32 -> !spirv.ptr<{writes}, StorageBuffer>
            spirv.Store "StorageBuffer" %q, {value} : {writes}
            %next = spirv.IAdd %k, %c1 : i32
            spirv.Branch ^header(%next : i32)
          ^end:
            spirv.mlir.merge
          }}
          spirv.Return
        }}
        spirv.EntryPoint "GLCompute" @{name}
        spirv.ExecutionMode @{name} "LocalSize", 6, 1, 1
      }}
    """


def use(resource: int, access: Access, length: int = SIZE) -> Use:
    return Use(resource, access, 0, length)


def schedule(
    second: Sequence[Use] = (use(MIDDLE, READ), use(OUTPUT, WRITE)), size: int = SIZE
) -> Schedule:
    """The first kernel makes a tensor of the argument, the second the result of it."""
    kinds = (
        ResourceKind.INPUT,
        ResourceKind.TRANSIENT,
        ResourceKind.OUTPUT,
        ResourceKind.TRANSIENT,
    )
    bound = (BUFFER, BUFFER)
    return Schedule(
        resources=tuple(Resource(kind, size) for kind in kinds),
        uploads=(),
        inputs=(Port(INPUT, 0, size),),
        outputs=(Port(OUTPUT, 0, size),),
        kernels=tuple(
            Kernel(f"{name}.spv", name, bound, 0, 0, bytes(32)) for name in ("first", "second")
        ),
        commands=(
            Dispatch(0, (2, 1, 1), (use(INPUT, READ, size), use(MIDDLE, WRITE, size))),
            Dispatch(1, (2, 1, 1), tuple(second)),
        ),
    )


def converted(
    first: str = "", second: str = "", held: Schedule | None = None, limits: TextureLimits = LIMITS
) -> Textured:
    text = (first or kernel("first")) + (second or kernel("second"))
    return bind_as_texels(text, held or schedule(), limits, {}, SHAPES)


def names(textured: Textured) -> list[str]:
    parsed = phase_ir.parse(textured.targets_ir)
    return [op.name.removeprefix("spirv.") for op in phase_ir.walk(parsed.operation)]


FLOATS = Format.R32G32B32A32_SFLOAT
WRITTEN = Binding(BindingKind.WRITTEN_IMAGE, FLOATS, 12)
FETCHED = Binding(BindingKind.IMAGE, FLOATS, 12)


def test_what_one_kernel_writes_and_another_fetches_is_an_image() -> None:
    textured = converted()
    texels = Binding(BindingKind.TEXELS, FLOATS)
    assert textured.bindings == {"first": {0: texels, 1: WRITTEN}, "second": {0: FETCHED}}
    # The argument and the result are none, and no tensors of a call's own.
    assert textured.no_activation_images == {}
    found = names(textured)
    assert (found.count("ImageWrite"), found.count("ImageFetch")) == (1, 2)
    assert (found.count("Store"), found.count("AccessChain")) == (1, 1)
    assert "NoSampler, Rgba32f" in textured.targets_ir


def test_the_report_has_its_bytes() -> None:
    textured, held = converted(), schedule()
    bound = textured.bindings
    kernels = [
        replace(k, bindings=tuple(bound[k.entry].get(number, BUFFER) for number in (0, 1)))
        for k in held.kernels
    ]
    facts = storage_facts(replace(held, kernels=tuple(kernels)), textured)
    found = [facts[f"activation_{kind}_bytes"] for kind in ("image", "texel", "of")]
    assert found == [SIZE, SIZE, 2 * SIZE]


def test_without_shapes_there_are_none() -> None:
    textured = bind_as_texels(kernel("first") + kernel("second"), schedule(), LIMITS, {})
    kinds = {converted.binding.kind for converted in textured.slots.values()}
    assert kinds == {BindingKind.TEXELS}


def test_bits_are_written_and_fetched_as_integers() -> None:
    """The second kernel takes the floats for other bits: so the first writes no floats, either."""
    integers = "vector<4xi32>"
    textured = converted(second=kernel("second", writes=integers))
    bits = Format.R32G32B32A32_UINT
    assert textured.bindings["first"][1] == replace(WRITTEN, format=bits)
    assert textured.bindings["second"][0] == replace(FETCHED, format=bits)
    found = names(textured)
    start = found.index("ImageWrite") - 6
    assert "Bitcast" in found[start : found.index("ImageWrite")]
    assert "NoSampler, Rgba32ui" in textured.targets_ir


def test_halves_are_widened() -> None:
    held = schedule((use(MIDDLE, READ, SIZE // 2), use(OUTPUT, WRITE, SIZE // 2)), SIZE // 2)
    textured = converted(kernel("first", HALVES, HALVES), kernel("second", HALVES, HALVES), held)
    assert textured.bindings["first"][1].format is Format.R16G16B16A16_SFLOAT
    assert "NoSampler, Rgba16f" in textured.targets_ir
    found = names(textured)
    assert found.count("FConvert") == 3


def test_widths() -> None:
    """64 rows of 64 columns of four numbers: rows of one texel are too many for small images."""
    shapes = [(64, 64, 4), (4096, 4)]
    assert widths_of([4096], shapes, TextureLimits(4096, 1)) == [1, 64]
    assert widths_of([4096], shapes, TextureLimits(64, 1)) == [64]
    assert widths_of([4096], [(4096, 3)], TextureLimits(4096, 1)) == []
    # One row alone is no image.
    assert widths_of([4], [(1, 16)], TextureLimits(4096, 1)) == []


def test_rows_are_those_that_every_index_splits_by() -> None:
    """Of 8x3 rows of 4 texels threads walk along three at once."""
    shapes = dict.fromkeys(SHAPES, (8, 3, 16))
    text = kernel("first") + kernel("second")
    textured = bind_as_texels(text, schedule(), LIMITS, {}, shapes)
    assert textured.bindings["second"][0] == FETCHED


NONE = {
    "loads from a buffer are faster than fetches of texels": {
        "limits": replace(LIMITS, buffer_bytes_per_ns=100.0, texels_per_ns=1.0)
    },
    "a kernel writes no whole texels": {"first": kernel("first", VEC2, VEC2)},
    "a kernel reads no whole texels": {"second": kernel("second", VEC2, VEC2)},
    "an index that does not split into row and column": {
        "first": kernel("first", index="IMul"),
    },
    "it has no rows of whole texels that fit the device's images": {
        "limits": TextureLimits(7, 4096)
    },
    "it is filled or copied": {
        "held": replace(schedule(), commands=(*schedule().commands, Fill(use(MIDDLE, WRITE, 4), 0)))
    },
    "a part of it is read or written": {
        "held": schedule((use(MIDDLE, READ, SIZE // 2), use(OUTPUT, WRITE)))
    },
    "it is written in place": {
        "held": schedule((use(MIDDLE, Access.BOTH), use(OUTPUT, WRITE))),
    },
    "it is a result": {"held": replace(schedule(), outputs=(Port(MIDDLE, 0, SIZE),))},
}


@pytest.mark.parametrize("reason", NONE)
def test_what_is_no_image_says_why(reason: str) -> None:
    textured = converted(**NONE[reason])
    assert textured.no_activation_images == {reason: 1}
    kinds = {converted.binding.kind for converted in textured.slots.values()}
    assert BindingKind.IMAGE not in kinds
    assert BindingKind.WRITTEN_IMAGE not in kinds


def test_tensors_that_share_a_binding_are_images_together_or_not_at_all() -> None:
    """The second kernel is called twice; what the first call reads would do as an image."""
    held = schedule((use(MIDDLE, READ), use(OTHER, WRITE)))
    held = replace(
        held,
        commands=(*held.commands, Dispatch(1, (2, 1, 1), (use(OTHER, READ), use(OUTPUT, WRITE)))),
    )
    textured = converted(held=held)
    assert textured.no_activation_images == {
        "its kernels write results through the same binding": 2
    }


def test_shapes_of_bindings() -> None:
    text = """
      stream.executable private @e {
        stream.executable.export public @first
        builtin.module {
          func.func @first(%a: !stream.binding, %b: !stream.binding) {
            %c0 = arith.constant 0 : index
            %0 = stream.binding.subspan %b[%c0] :
              !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<8x48xf32>>
            return
          }
        }
      }
    """
    assert binding_shapes(text) == {("first", 1): (8, 48)}
