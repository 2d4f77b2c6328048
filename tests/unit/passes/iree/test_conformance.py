"""Kernels that use more than their target offers are told by what."""

import struct

import pytest

from smartmem.errors import CompileError
from smartmem.passes.iree.conformance import breaches, check_kernels
from smartmem.passes.iree.environment import CAPABILITY_NAMES, FEATURES, Requirements

PHONE = Requirements(
    vulkan="1.1",
    spirv="1.3",
    capabilities=("Shader", "Float16", "GroupNonUniformShuffle"),
    features=("shaderFloat16",),
    extensions=("SPV_KHR_16bit_storage",),
    limits={"shared_memory_bytes": 4096, "workgroup_threads": 256},
)


def op(number: int, *operands: int) -> list[int]:
    return [(len(operands) + 1) << 16 | number, *operands]


def text(content: str) -> tuple[int, ...]:
    data = content.encode() + b"\0"
    return struct.unpack(f"<{-(-len(data) // 4)}I", data.ljust(-(-len(data) // 4) * 4, b"\0"))


def module(*instructions: list[int], version: int = 0x00010300) -> bytes:
    words = [0x07230203, version, 0, 100, 0, *(w for one in instructions for w in one)]
    return struct.pack(f"<{len(words)}I", *words)


def shared(elements: int) -> bytes:
    """A workgroup variable: a struct of an array of so many vec4<f32>."""
    return module(
        op(22, 1, 32),  # 1: f32
        op(23, 2, 1, 4),  # 2: vec4
        op(21, 3, 32, 0),  # 3: u32
        op(43, 3, 4, elements),  # 4: the constant
        op(28, 5, 2, 4),  # 5: array
        op(30, 6, 5),  # 6: struct
        op(32, 7, 4, 6),  # 7: pointer into workgroup memory
        op(32, 8, 12, 6),  # 8: pointer into a buffer
        op(59, 7, 9, 4),
        op(59, 8, 10, 12),
    )


# What every device of Vulkan 1.1 takes is free; a subgroup operation brings the basics.
ALLOWED = {
    "basics": module(op(17, 0), op(17, 1), op(17, 46), op(17, 61), op(17, 65)),
    "float16": module(op(17, 9), op(10, *text("SPV_KHR_16bit_storage"))),
    "classes": module(op(10, *text("SPV_KHR_storage_buffer_storage_class"))),
    "workgroup": module(op(16, 1, 17, 16, 16, 1)),
    "shared": shared(256),
}
FOREIGN = {
    "SPIR-V 1.4, but the target has 1.3": module(version=0x00010400),
    "capability Int64": module(op(17, 11)),
    "capability GroupNonUniformArithmetic": module(op(17, 63)),
    "capability number 4": module(op(17, 4)),
    "extension SPV_KHR_8bit_storage": module(op(10, *text("SPV_KHR_8bit_storage"))),
    "512 threads in a workgroup, but the target has 256": module(op(16, 1, 17, 16, 16, 2)),
    "4112 bytes of shared memory, but the target has 4096": shared(257),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_a_target_offers(name: str) -> None:
    assert list(breaches(ALLOWED[name], PHONE)) == []


@pytest.mark.parametrize("reason", FOREIGN)
def test_what_a_target_does_not_offer(reason: str) -> None:
    assert list(breaches(FOREIGN[reason], PHONE)) == [reason]


def test_unstated_limits_are_the_least_that_vulkan_allows() -> None:
    least = Requirements("1.1", "1.3", (), (), (), {})
    assert list(breaches(module(op(16, 1, 17, 129, 1, 1)), least)) == [
        "129 threads in a workgroup, but the target has 128"
    ]
    assert list(breaches(shared(1024), least)) == []
    assert len(list(breaches(shared(1025), least))) == 1


def test_the_error_names_kernel_and_target() -> None:
    kernels = {"000": module(), "001": FOREIGN["capability Int64"]}
    with pytest.raises(CompileError, match=r"target adreno .*\n  001: capability Int64"):
        check_kernels(kernels, PHONE, "adreno")


def test_every_feature_has_its_capability() -> None:
    assert set(FEATURES) <= set(CAPABILITY_NAMES.values())
