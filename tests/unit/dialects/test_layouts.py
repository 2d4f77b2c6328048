"""Layouts: their physical shapes, and that packing then unpacking gives back every element."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartmem.dialects.algebra import IndexMap, compose, inverse
from smartmem.dialects.layouts import Layout, Repr

PROPERTY = settings(derandomize=True, max_examples=60, deadline=None)


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Layout, tuple[int, ...]]:
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    dims = range(len(shape))
    order = tuple(draw(st.permutations(dims)))
    packed = draw(
        st.lists(st.tuples(st.sampled_from(dims), st.integers(1, 5)), unique_by=lambda p: p[0])
    )
    padded = draw(st.lists(st.sampled_from(dims), unique=True))
    padding = tuple((dim, shape[dim] + draw(st.integers(0, 3))) for dim in padded)
    return Layout(order, tuple(packed), padding), shape


@PROPERTY
@given(layouts())
def test_unpack_of_pack_is_the_identity(case: tuple[Layout, tuple[int, ...]]) -> None:
    layout, shape = case
    a = 1.0 + np.arange(np.prod(shape)).reshape(shape)
    physical = layout.pack(a)
    assert physical.shape == layout.physical_shape(shape)
    assert np.array_equal(layout.unpack(physical, shape), a)
    assert physical.sum() == a.sum()  # the pad holds zeros


@PROPERTY
@given(layouts())
def test_relayout_and_its_inverse_compose_to_the_identity(
    case: tuple[Layout, tuple[int, ...]],
) -> None:
    layout, shape = case
    there, back = layout.to_physical_map(shape), layout.to_logical_map(shape)
    stored, rank = layout.stored_shape(shape), layout.rank
    assert there.is_bijective() and back.is_injective()
    assert compose(back, there) == IndexMap.slice(stored, (0,) * rank, shape, (1,) * rank)
    logical = inverse(there)
    assert logical is not None
    assert compose(logical, there) == IndexMap.identity(stored)
    assert compose(there, logical) == IndexMap.identity(layout.physical_shape(shape))


def test_packed_channels() -> None:
    layout = Layout((0, 2, 3, 1), packed=((1, 4),))
    assert layout.physical_shape((1, 6, 5, 7)) == (1, 5, 7, 2, 4)
    assert str(layout.to_logical_map((1, 6, 5, 7))) == (
        "(d0, d1, d2, d3) -> (0, d2, d3, d1 floordiv 4, d1 mod 4)"
    )
    a = np.arange(6 * 35).reshape(1, 6, 5, 7)
    assert layout.pack(a)[0, 2, 3, 1].tolist() == [*a[0, 4:6, 2, 3], 0, 0]


def test_padding_comes_before_packing() -> None:
    layout = Layout((0, 1), packed=((0, 4), (1, 2)), padding=((0, 9),))
    assert layout.stored_shape((7, 3)) == (12, 4)
    assert layout.physical_shape((7, 3)) == (3, 2, 4, 2)


def test_names_and_text() -> None:
    assert Layout.row_major(3).is_default and not Layout.channels_last(4).is_default
    assert Layout.channels_last(4).order == (0, 2, 3, 1)
    assert Layout.channels_last(4).inverse_order == (0, 3, 1, 2)
    assert not Layout((0,), packed=((0, 1),)).is_default
    text = str(Repr(Layout((1, 0), ((1, 4),), ((0, 56),)), "image2d"))
    assert text == "[1, 0] pack(1:4) pad(0:56) in image2d"
    assert Layout.row_major(0).physical_shape(()) == ()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Layout((0, 2)), "no permutation"),
        (lambda: Layout((0, 1), packed=((2, 4),)), "repeat or do not exist"),
        (lambda: Layout((0, 1), packed=((0, 4), (0, 2))), "repeat or do not exist"),
        (lambda: Layout((0, 1), padding=((0, 0),)), "not all positive"),
        (lambda: Layout((0, 1), padding=((0, 4),)).physical_shape((5, 5)), "less than its size"),
        (lambda: Layout((0, 1)).physical_shape((5,)), "does not fit shape"),
        (lambda: Layout.channels_last(1), "channel dim 1"),
        (lambda: Layout((1, 0)).unpack(np.zeros((2, 3)), (2, 3)), "not \\[2, 3\\]"),
    ],
)
def test_errors_say_what_is_wrong(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
