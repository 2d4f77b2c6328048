"""SPIR-V made valid: what goes, what stays, and what is no SPIR-V."""

import struct

import pytest

from smartmem.passes.iree import spirv_binary

INPUT, STORAGE_BUFFER = 1, 12


def op(number: int, *operands: int) -> list[int]:
    return [(len(operands) + 1) << 16 | number, *operands]


def module(version: int, *instructions: list[int]) -> bytes:
    words = [0x07230203, version, 0, 100, 0, *(w for one in instructions for w in one)]
    return struct.pack(f"<{len(words)}I", *words)


NAME = struct.unpack("<2I", b"main\0\0\0\0")
ADD, IN, BUFFER = 20, 21, 22
SHADER, ARITHMETIC = op(17, 1), op(17, 63)
VARIABLES = (op(59, 1, IN, INPUT), op(59, 2, BUFFER, STORAGE_BUFFER))
ENTRY = op(15, 5, 9, *NAME, IN, BUFFER)
RESTRICT, NO_WRAP = op(71, BUFFER, 19), op(71, ADD, 4469)


def test_only_what_the_version_forbids_goes() -> None:
    given = module(0x00010000, SHADER, ENTRY, RESTRICT, NO_WRAP, *VARIABLES)
    entry = op(15, 5, 9, *NAME, IN)
    assert spirv_binary.made_valid(given) == module(0x00010000, SHADER, entry, RESTRICT, *VARIABLES)


def test_newer_versions_stay() -> None:
    given = module(0x00010400, SHADER, ENTRY, NO_WRAP, *VARIABLES)
    assert spirv_binary.made_valid(given) == given


def test_capabilities() -> None:
    found = spirv_binary.capabilities(module(0x00010300, SHADER, ARITHMETIC))
    assert found == {1, 63}
    assert found & spirv_binary.SUBGROUP_CAPABILITIES == {63}


def test_versions() -> None:
    assert [spirv_binary.version(module(v)) for v in (0x00010000, 0x00010300)] == ["1.0", "1.3"]


@pytest.mark.parametrize(
    "code",
    [b"", b"abc", b"\0" * 20, module(0x00010000, [5 << 16 | 17, 1]), module(0x00010000, [17])],
)
def test_what_is_no_spirv(code: bytes) -> None:
    with pytest.raises(ValueError, match="not SPIR-V"):
        spirv_binary.made_valid(code)
