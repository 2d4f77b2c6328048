"""The schedule as a file: the same after a round trip, and refused when damaged."""

import pytest

from smartmem.errors import UserError
from smartmem.runtime.schedule import (
    BUFFER,
    NO_RESOURCE,
    Access,
    Binding,
    BindingKind,
    Copy,
    Dispatch,
    Fill,
    Format,
    Inline,
    Kernel,
    Port,
    Resource,
    ResourceKind,
    Schedule,
    Upload,
    Use,
    decode,
)

SCHEDULE = Schedule(
    resources=(
        Resource(ResourceKind.CONSTANT, 64),
        Resource(ResourceKind.INPUT, 32),
        Resource(ResourceKind.OUTPUT, 32),
        Resource(ResourceKind.TRANSIENT, 128),
    ),
    uploads=(Upload(0, 0, 32, "w@[1, 0]"), Upload(0, 32, 32, "b", 16)),
    inputs=(Port(1, 0, 32), Port(NO_RESOURCE, 0, 0)),
    outputs=(Port(2, 0, 32),),
    kernels=(
        Kernel(
            "000.spv",
            "main",
            (
                BUFFER,
                Binding(BindingKind.TEXELS, Format.R32_SFLOAT),
                Binding(BindingKind.IMAGE, Format.R32G32B32A32_SFLOAT, 12),
            ),
            1,
            32,
            bytes(range(32)),
        ),
    ),
    commands=(
        Fill(Use(3, Access.WRITE, 0, 64), 0x01010101),
        Dispatch(0, (4, 2, 1), (Use(1, Access.READ, 0, 32), Use(3, Access.BOTH, 0, 32)), (7,)),
        Copy(Use(3, Access.READ, 0, 32), Use(2, Access.WRITE, 0, 32)),
    ),
    setup=(Fill(Use(0, Access.WRITE, 48, 16), 9),),
    inlines=(Inline(0, 32, b"four"), Inline(0, 40, b"and more")),
)


def test_a_file_holds_the_schedule() -> None:
    assert decode(SCHEDULE.encode()) == SCHEDULE
    assert SCHEDULE.encode() == SCHEDULE.encode()


@pytest.mark.parametrize("place", [0, 8, 20, 70, 300, -1])
def test_a_changed_byte_is_found(place: int) -> None:
    data = bytearray(SCHEDULE.encode())
    data[place] ^= 0x40
    with pytest.raises(UserError, match="damaged schedule"):
        decode(bytes(data))


@pytest.mark.parametrize("size", [0, 63, 64, 400])
def test_a_file_cut_short_is_found(size: int) -> None:
    with pytest.raises(UserError, match="damaged schedule"):
        decode(SCHEDULE.encode()[:size])


def test_formats_know_their_lanes() -> None:
    assert [f.lanes for f in (Format.R32_SFLOAT, Format.R16G16_UINT, Format.NONE)] == [1, 2, 0]
    assert {f.lanes for f in Format if "A" in f.name.partition("_")[0]} == {4}
