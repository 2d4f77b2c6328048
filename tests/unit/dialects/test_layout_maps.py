"""Affine maps to index maps and back: same text, same values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir
from smartmem.dialects.algebra import IndexMap, compose, evaluate
from smartmem.dialects.layout.maps import (
    contraction_dims,
    dims_to_affine_map,
    to_affine_map,
    to_index_map,
)

PROPERTY = settings(derandomize=True, max_examples=100, deadline=None)


@st.composite
def views(draw: st.DrawFn) -> IndexMap:
    """A chain of a reshape, a permutation, a roll and a slice."""
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=4)))
    perm = draw(st.permutations(range(len(shape))))
    chain = IndexMap.permute(shape, perm)
    if draw(st.booleans()):
        chain = compose(IndexMap.roll(chain.domain, [1] * len(shape)), chain)
    if draw(st.booleans()):
        chain = compose(IndexMap.reshape(chain.domain, (int(np.prod(shape)),)), chain)
    sizes = tuple(draw(st.integers(1, size)) for size in chain.domain)
    starts = [size - kept for size, kept in zip(chain.domain, sizes, strict=True)]
    return compose(IndexMap.slice(chain.domain, starts, sizes, [1] * len(sizes)), chain)


def parse(text: str) -> object:
    return ir.AffineMapAttr.parse(f"affine_map<{text}>").value


@pytest.mark.slow
@PROPERTY
@given(views())
def test_round_trip(view: IndexMap) -> None:
    with layout.context():
        back = to_index_map(to_affine_map(view), view.domain, view.codomain)
    for ours, theirs in zip(evaluate(back), evaluate(view), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.slow
@PROPERTY
@given(views())
def test_the_text_is_mlirs(view: IndexMap) -> None:
    """What the algebra prints is what MLIR reads."""
    with layout.context():
        assert parse(str(view)) == to_affine_map(view)


@pytest.mark.parametrize(
    ("text", "shapes", "message"),
    [
        ("(d0)[s0] -> (d0 + s0)", ((4,), (8,)), "no symbols"),
        ("(d0, d1) -> (d0)", ((4,), (4,)), "takes 2 dims to 1"),
        ("(d0) -> (d0 ceildiv 2)", ((4,), (4,)), "not quasi-affine"),
        ("(d0) -> (d0 + 1)", ((4,), (4,)), "outside source dim 0"),
    ],
)
def test_refused(text: str, shapes: tuple[tuple[int, ...], tuple[int, ...]], message: str) -> None:
    with layout.context(), pytest.raises(ValueError, match=message):
        to_index_map(parse(text), *shapes)


def test_a_constant_factor_may_stand_left() -> None:
    with layout.context():
        assert to_index_map(parse("(d0) -> (3 * d0)"), (4,), (12,)) == IndexMap.slice(
            (12,), (0,), (4,), (3,)
        )


def test_contraction_dims_round_trip() -> None:
    maps = [(0, 2), (1, 2), (0, 1)]
    with layout.context():
        attribute = ir.ArrayAttr.get([ir.AffineMapAttr.get(dims_to_affine_map(m, 3)) for m in maps])
        assert contraction_dims(attribute) == (maps, 3)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["(d0, d1) -> (d0)", "(d0) -> (d0)"], "share their loop dims"),
        (["(d0, d1) -> (d0 + d1)", "(d0, d1) -> (d0)"], "projected permutations"),
    ],
)
def test_contraction_dims_refuse(texts: list[str], message: str) -> None:
    with layout.context():
        attribute = ir.ArrayAttr.get([ir.AffineMapAttr.get(parse(t)) for t in texts])
        with pytest.raises(ValueError, match=message):
            contraction_dims(attribute)
