"""Weights as texels: what a kernel's loads become, and which bindings stay buffers."""

import pytest

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.textures import Textured, bind_weights_as_texels, texel_bytes
from smartmem.runtime.schedule import (
    Access,
    Dispatch,
    Format,
    Kernel,
    Resource,
    ResourceKind,
    Schedule,
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


def schedule(kind: ResourceKind = ResourceKind.CONSTANT, other: Format = Format.BUFFER) -> Schedule:
    """One dispatch of it on a resource of 64 bytes."""
    return Schedule(
        resources=(Resource(kind, 64), Resource(ResourceKind.CONSTANT, 32)),
        uploads=(),
        inputs=(),
        outputs=(),
        kernels=(Kernel("000.spv", "main", (other,), 0, 0, bytes(32)),),
        commands=(Dispatch(0, (1, 1, 1), (Use(0, Access.READ, 0, 64),)),),
    )


def names(textured: Textured) -> list[str]:
    parsed = phase_ir.parse(textured.targets_ir)
    return [op.name.removeprefix("spirv.") for op in phase_ir.walk(parsed.operation)]


CASES = {
    "f32": ("f32", 4, Format.R32_SFLOAT, ["ImageFetch", "CompositeExtract"]),
    "vec2": ("vector<2xf32>", 8, Format.R32G32_SFLOAT, ["ImageFetch", "VectorShuffle"]),
    "vec4": ("vector<4xf32>", 16, Format.R32G32B32A32_SFLOAT, ["ImageFetch"]),
    "f16": ("f16", 2, Format.R16_SFLOAT, ["ImageFetch", "CompositeExtract", "FConvert"]),
    "half4": ("vector<4xf16>", 8, Format.R16G16B16A16_SFLOAT, ["ImageFetch", "FConvert"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_load_becomes_a_fetch(case: str) -> None:
    element, stride, format_, fetch = CASES[case]
    load = f'%v = spirv.Load "StorageBuffer" %p : {element}\n %s = spirv.FAdd %v, %v : {element}'
    textured = bind_weights_as_texels(module(load, element, stride), schedule())
    assert textured.formats == {"main": {0: format_}}
    assert textured.kept == {}
    found = names(textured)
    assert "AccessChain" not in found
    start = found.index("ImageFetch")
    assert found[start : found.index("FAdd")] == fetch
    assert "[SampledBuffer, Shader]" in textured.targets_ir


def test_what_is_no_weight_stays() -> None:
    load = '%v = spirv.Load "StorageBuffer" %p : f32'
    textured = bind_weights_as_texels(module(load), schedule(ResourceKind.TRANSIENT))
    assert textured.formats == textured.kept == {}
    assert "SampledBuffer" not in textured.targets_ir


KEPT = {
    "its bits are read as another type": (
        'spirv.Load "StorageBuffer" %p : f32\n %b = spirv.Bitcast %v : f32 to i32',
        "f32",
        "",
    ),
    "no texel format for its elements (1 x i32)": (
        'spirv.Load "StorageBuffer" %p : i32',
        "i32",
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
}


@pytest.mark.parametrize("reason", KEPT)
def test_what_cannot_be_converted_stays_and_is_told(reason: str) -> None:
    value, element, variables = KEPT[reason]
    text = module(f"%v = {value}", element, 4, variables)
    textured = bind_weights_as_texels(text, schedule())
    assert (textured.formats, textured.kept) == ({}, {reason: 1})
    assert "ImageFetch" not in names(textured)


def test_bytes_read_as_texels() -> None:
    assert texel_bytes(schedule()) == (0, 96)
    assert texel_bytes(schedule(other=Format.R32_SFLOAT)) == (64, 96)
