"""``#layout.repr`` as a value and back, also through text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.attributes import (
    STORAGES,
    DenseAttr,
    from_repr,
    i64_array,
    ints,
    repr_of,
    to_repr,
    with_repr,
)
from smartmem.dialects.layouts import Layout, Repr

PROPERTY = settings(derandomize=True, max_examples=100, deadline=None)
SHAPE = (2, 3, 4, 5)


@st.composite
def reprs(draw: st.DrawFn) -> Repr:
    dims = st.lists(st.integers(0, 3), unique=True, max_size=2)
    return Repr(
        Layout(
            tuple(draw(st.permutations(range(4)))),
            tuple((dim, draw(st.sampled_from([2, 4]))) for dim in draw(dims)),
            tuple((dim, draw(st.sampled_from([5, 8]))) for dim in draw(dims)),
        ),
        draw(st.sampled_from(STORAGES)),
    )


@PROPERTY
@given(reprs())
def test_round_trip(value: Repr) -> None:
    with layout.context():
        plain = ir.RankedTensorType.get(SHAPE, ir.F32Type.get())
        held = with_repr(plain, value)
        assert repr_of(held) == value
        assert repr_of(ir.Type.parse(str(held))) == value
        assert with_repr(held, repr_of(plain)) == plain


def test_row_major_in_a_buffer_is_no_encoding() -> None:
    with layout.context():
        plain = ir.RankedTensorType.get(SHAPE, ir.F32Type.get())
        assert from_repr(repr_of(plain)) is None
        assert from_repr(Repr(Layout.row_major(4), "image2d")) is not None


def test_only_reprs_are_encodings() -> None:
    with layout.context():
        held = ir.RankedTensorType.get((4,), ir.F32Type.get(), DenseAttr.get())
        with pytest.raises(ValueError, match=r"is not #layout\.repr"):
            repr_of(held)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('array<i64: 0>, [], [], "texture"', "unknown storage 'texture'"),
        ('array<i32: 0>, [], [], "buffer"', "expected array<i64"),
        ('array<i64: 0>, [array<i64: 0>], [], "buffer"', "expected pairs"),
        ('array<i64: 0, 0>, [], [], "buffer"', "no permutation"),
    ],
)
def test_malformed(text: str, message: str) -> None:
    with layout.context(), pytest.raises(ValueError, match=message):
        to_repr(ir.Attribute.parse(f"#layout.repr<{text}>"))


def test_ints() -> None:
    with layout.context():
        assert ints(i64_array([])) == ()
        assert ints(i64_array([3, -1])) == (3, -1)
        with pytest.raises(ValueError, match="expected array<i64"):
            ints(ir.StringAttr.get("3"))
