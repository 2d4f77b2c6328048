"""Which weights are images, how they lie in them, and where limits send them."""

from dataclasses import replace

import pytest

from smartmem.dialects.layouts import Layout
from smartmem.passes.rules.textures import Packing, TextureLimits, packing_of
from smartmem.passes.target import known_targets, resolve, texture_limits

LIMITS = TextureLimits(image_texels=64, buffer_texels=1024)
MATRIX = Layout((1, 0))
KERNEL = Layout((2, 3, 1, 0))


def packed(sizes: tuple[int, ...], layout: Layout, *reductions: int) -> Packing:
    return packing_of(sizes, layout, frozenset(reductions), LIMITS)


def test_a_matrix_lies_with_its_sum_down_the_rows() -> None:
    # 32 results of 48 terms, stored [48, 32].
    assert packed((32, 48), MATRIX, 1) == Packing("image2d", 0, (0,), (1,), 8, 48)


def test_a_kernel_of_a_convolution() -> None:
    assert packed((16, 5, 3, 3), KERNEL, 1, 2, 3) == Packing("image2d", 0, (0,), (2, 3, 1), 4, 45)


def test_dims_move_to_the_columns_where_rows_are_too_many() -> None:
    assert packed((16, 8, 3, 3), KERNEL, 1, 2, 3) == Packing("image2d", 0, (1, 0), (2, 3), 32, 9)


TEXELS = {
    "its rows are no whole texels": ((10, 48), MATRIX, (1,)),
    "it has one dim only": ((1, 48), Layout((0, 1)), (1,)),
    "nothing is summed over it": ((16, 48), MATRIX, ()),
    "it is wider or higher than the device's images": ((16, 128), MATRIX, (1,)),
}


@pytest.mark.parametrize("reason", TEXELS)
def test_what_is_no_image_and_why(reason: str) -> None:
    sizes, layout, reductions = TEXELS[reason]
    assert packed(sizes, layout, *reductions) == Packing("texel_buffer", reason=reason)


def test_what_is_not_even_a_texel_buffer() -> None:
    large = packed((256, 256), MATRIX, 1)
    assert large.storage == "buffer"
    assert "has more texels than a texel buffer" in large.reason
    assert packed((16, 4), replace(MATRIX, packed=((0, 4),)), 1).storage == "buffer"


def test_targets_state_at_least_what_vulkan_demands() -> None:
    least = TextureLimits()
    for target in known_targets().values():
        assert target.textures.image_texels >= least.image_texels
        assert target.textures.buffer_texels >= least.buffer_texels
    assert texture_limits("llvmpipe").image_texels > least.image_texels
    assert texture_limits("rdna3") == least


def test_a_target_knows_what_it_prefers() -> None:
    assert resolve("adreno", "auto").storage == "image"
    assert resolve("nvidia", "auto").storage == resolve("rdna3", "auto").storage == "buffer"
    assert resolve("adreno").storage == "buffer"
    assert [resolve("adreno", s).chooses_storage for s in ("auto", "image")] == [True, False]


def test_loads_are_faster_where_texels_are_small() -> None:
    """Adreno fetches 32 texels in the time of 55 bytes: two bytes, and one is fewer."""
    speeds = texture_limits("adreno")
    assert [speeds.prefers_buffer(size) for size in (1, 2, 4, 16)] == [True, False, False, False]
    slow = replace(speeds, texels_per_ns=2.0)
    assert [slow.prefers_buffer(size) for size in (4, 16, 32)] == [True, True, False]
    # Of most targets nothing is known.
    assert not texture_limits("mali").prefers_buffer(1)
