"""Shapes of products: chosen where tiles then fit, or fill the device, and else left alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartmem.passes.rules.kernels import Contraction, accepts, promoted_us, tile_contraction
from smartmem.passes.rules.product_shapes import Product, ProductShape, shape_product
from smartmem.passes.rules.product_times import product_us
from smartmem.passes.target import known_targets

LIMITS = known_targets()["nvidia"].kernels
assert LIMITS is not None
assert LIMITS.products is not None
SPEEDS = LIMITS.products


def shape(rows: int, columns: int, depth: int, *, whole: bool = True) -> ProductShape | None:
    return shape_product(Product(rows, columns, depth, columns_last=True, whole=whole), LIMITS)


def test_rows_without_a_factor_four_get_more() -> None:
    found = shape(196, 1536, 384)
    assert found is not None
    assert found == ProductShape(200, 1, whole=True)


@pytest.mark.parametrize("sizes", [(196, 384, 1536), (49, 768, 3072), (49, 2048, 1024)])
def test_few_tiles_and_a_long_sum_are_cut(sizes: tuple[int, int, int]) -> None:
    found = shape(*sizes)
    assert found is not None
    assert found.parts >= 4
    assert not found.whole


@pytest.mark.parametrize("sizes", [(3136, 384, 96), (224, 768, 192), (1, 1000, 768), (49, 6, 64)])
def test_what_gains_nothing_is_left(sizes: tuple[int, int, int]) -> None:
    assert shape(*sizes) is None


def test_rows_in_several_loops_are_worth_a_second_kernel_where_the_sum_is_long() -> None:
    found = shape(196, 512, 1024, whole=False)
    assert found is not None
    assert not found.whole
    assert shape(12544, 96, 16, whole=False) is None


def test_a_target_without_speeds_leaves_all_alone() -> None:
    product = Product(49, 768, 3072, columns_last=True, whole=True)
    assert shape_product(product, replace(LIMITS, products=None)) is None


@given(
    rows=st.integers(1, 800),
    columns=st.integers(1, 64).map(lambda n: 16 * n),
    depth=st.integers(1, 64).map(lambda n: 16 * n),
)
def test_every_shape_has_tiles_within_the_limits(rows: int, columns: int, depth: int) -> None:
    found = shape(rows, columns, depth)
    if found is None:
        return
    assert found.rows >= rows
    assert depth % found.parts == 0
    extents = (found.parts, found.rows, columns, depth // found.parts)
    op = Contraction(extents, (1, 0, 3), (0, 3, 2), (0, 1, 2))
    config = tile_contraction(op, LIMITS)
    assert config is not None
    assert config.pipeline == "MatmulPromoteVectorize"
    assert accepts(op, config, LIMITS)


def test_more_work_takes_longer() -> None:
    tile = (40, 32, 32)
    few = product_us(tile, 5, 100, 384, SPEEDS)
    assert few < product_us(tile, 5, 1000, 384, SPEEDS)
    assert few < product_us(tile, 5, 100, 768, SPEEDS)


def test_no_time_without_tiles() -> None:
    assert promoted_us(Contraction((49, 50, 51), (0, 2), (2, 1), (0, 1)), LIMITS) is None
