"""Result shapes against NumPy and PyTorch, which work them out on real arrays."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smartmem.dialects.layout import shapes

PROPERTY = settings(derandomize=True, max_examples=100, deadline=None)

SIZES = st.integers(1, 4)
SHAPES = st.lists(SIZES, min_size=0, max_size=4).map(tuple)


@PROPERTY
@given(st.lists(SHAPES, min_size=1, max_size=3))
def test_broadcast_is_numpys(given_shapes: list[tuple[int, ...]]) -> None:
    try:
        expected = np.broadcast_shapes(*given_shapes)
    except ValueError:
        with pytest.raises(ValueError, match="do not broadcast"):
            shapes.broadcast(given_shapes)
    else:
        assert shapes.broadcast(given_shapes) == expected


@PROPERTY
@given(st.data())
def test_pad_is_numpys(data: st.DataObject) -> None:
    shape = data.draw(SHAPES.filter(len))
    amounts = data.draw(st.lists(st.tuples(SIZES, SIZES), min_size=len(shape), max_size=len(shape)))
    low, high = (tuple(side) for side in zip(*amounts, strict=True))
    assert shapes.pad(shape, low, high) == np.pad(np.zeros(shape), amounts).shape


def test_pad_never_crops() -> None:
    with pytest.raises(ValueError, match=r"crop with layout\.view"):
        shapes.pad((4,), (-1,), (0,))
    with pytest.raises(ValueError, match="do not match rank 2"):
        shapes.pad((4, 6), (0,), (0,))


@PROPERTY
@given(SHAPES.filter(len), st.lists(SIZES, min_size=1, max_size=3), st.data())
def test_concat_is_numpys(shape: tuple[int, ...], sizes: list[int], data: st.DataObject) -> None:
    dim = data.draw(st.integers(0, len(shape) - 1))
    parts = [(*shape[:dim], size, *shape[dim + 1 :]) for size in sizes]
    expected = np.concatenate([np.zeros(p) for p in parts], dim).shape
    assert shapes.concat(parts, dim) == expected


@pytest.mark.parametrize(
    ("parts", "dim", "message"),
    [
        ([], 0, "nothing to concatenate"),
        ([(2,)], 1, "outside rank 1"),
        ([(2, 3), (2, 4)], 0, "differ outside dim 0"),
        ([(2, 3), (2,)], 0, "differ outside dim 0"),
    ],
)
def test_concat_refuses(parts: list[tuple[int, ...]], dim: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shapes.concat(parts, dim)


@PROPERTY
@given(
    st.integers(1, 3),
    st.tuples(SIZES, SIZES, SIZES),
    st.data(),
)
def test_conv_is_torchs(spatial: int, channels: tuple[int, int, int], data: st.DataObject) -> None:
    def per_dim(low: int, high: int) -> tuple[int, ...]:
        size = st.integers(low, high)
        return tuple(data.draw(st.lists(size, min_size=spatial, max_size=spatial)))

    batch, per_group, per_group_out = channels
    groups = data.draw(st.integers(1, 3))
    x = (batch, per_group * groups, *per_dim(1, 9))
    weight = (per_group_out * groups, per_group, *per_dim(1, 3))
    strides, dilations, padding = per_dim(1, 3), per_dim(1, 2), per_dim(0, 2)
    function = (torch.conv1d, torch.conv2d, torch.conv3d)[spatial - 1]
    arguments = (strides, dilations, padding, padding, groups)
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, weight[2:], strict=True)]
    if any(s + 2 * p < r for s, p, r in zip(x[2:], padding, reach, strict=True)):
        with pytest.raises(ValueError, match="is larger than"):
            shapes.conv(x, weight, *arguments)
        return
    made = function(torch.zeros(x), torch.zeros(weight), None, strides, padding, dilations, groups)
    assert shapes.conv(x, weight, *arguments) == tuple(made.shape)


def test_pool_is_torchs() -> None:
    made = torch.nn.functional.max_pool2d(torch.zeros(2, 3, 9, 7), (3, 2), (2, 1), (1, 0))
    assert shapes.pool((2, 3, 9, 7), (3, 2), (2, 1), (1, 1), (1, 0), (1, 0)) == tuple(made.shape)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"strides": (0, 1)}, "at least 1"),
        ({"dilations": (1, -1)}, "at least 1"),
        ({"low": (0, -1)}, "padding is never negative"),
        ({"strides": (1,)}, "one entry per spatial dim"),
        ({"kernel": (9, 1)}, "is larger than"),
    ],
)
def test_windows_refuse(changed: dict[str, Any], message: str) -> None:
    arguments = {
        "kernel": (2, 2),
        "strides": (1, 1),
        "dilations": (1, 1),
        "low": (0, 0),
        "high": (0, 0),
    }
    with pytest.raises(ValueError, match=message):
        shapes.windows((4, 4), **(arguments | changed))


@PROPERTY
@given(SHAPES, st.data())
def test_reduce_is_numpys(shape: tuple[int, ...], data: st.DataObject) -> None:
    dims = tuple(
        data.draw(st.lists(st.sampled_from(range(len(shape))), unique=True)) if shape else ()
    )
    assert shapes.reduce(shape, dims) == np.zeros(shape).sum(axis=dims).shape


def test_reduce_refuses_what_is_not_there() -> None:
    for dims in [(2,), (0, 0), (-1,)]:
        with pytest.raises(ValueError, match="do not fit rank 2"):
            shapes.reduce((4, 6), dims)


@PROPERTY
@given(SHAPES.filter(len), SHAPES, st.data())
def test_gather_is_numpys(
    table: tuple[int, ...], indices: tuple[int, ...], data: st.DataObject
) -> None:
    dim = data.draw(st.integers(0, len(table) - 1))
    expected = np.take(np.zeros(table), np.zeros(indices, int), dim).shape
    assert shapes.gather(table, indices, dim) == expected


@PROPERTY
@given(st.data())
def test_contract_is_einsum(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 4))
    extents = data.draw(st.lists(SIZES, min_size=rank, max_size=rank))
    dims = st.lists(st.sampled_from(range(rank)), unique=True)
    lhs, rhs, out = (tuple(data.draw(dims)) for _ in range(3))
    if set(lhs) | set(rhs) != set(range(rank)):
        with pytest.raises(ValueError, match="do not give the extent"):
            shapes.contract(
                [tuple(extents[d] for d in m) for m in (lhs, rhs)], [lhs, rhs, out], rank
            )
        return
    operands = [tuple(extents[d] for d in m) for m in (lhs, rhs)]
    arrays = [np.zeros(operand) for operand in operands]
    made = np.einsum(arrays[0], list(lhs), arrays[1], list(rhs), list(out))
    assert shapes.contract(operands, [lhs, rhs, out], rank) == made.shape


@pytest.mark.parametrize(
    ("operands", "maps", "message"),
    [
        ([(2, 3), (3, 4)], [(0, 2), (2, 1)], "need 3 maps"),
        ([(2, 3), (4, 5)], [(0, 2), (2, 1), (0, 1)], "both 3 and 4 long"),
        ([(2, 2), (2, 2)], [(0, 0), (0, 1), (0, 1)], "no projected permutation"),
        ([(2, 3), (3, 4)], [(0, 2), (2, 1), (0, 0)], "no projected permutation"),
    ],
)
def test_contract_refuses(operands: Any, maps: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shapes.contract(operands, maps, 3)


def test_attention_is_torchs() -> None:
    q, k, v = torch.zeros(2, 3, 4, 6), torch.zeros(2, 3, 5, 6), torch.zeros(2, 3, 5, 8)
    made = torch.nn.functional.scaled_dot_product_attention(q, k, v, torch.zeros(1, 1, 4, 5))
    operands = [tuple(t.shape) for t in (q, k, v)]
    assert shapes.attention(*operands, mask=(1, 1, 4, 5)) == tuple(made.shape)


@pytest.mark.parametrize(
    ("query", "key", "value", "mask", "message"),
    [
        ((4, 6), (5, 6), (5,), None, "one rank of at least 2"),
        ((2, 4, 6), (3, 5, 6), (3, 5, 6), None, "batch dims"),
        ((4, 6), (5, 7), (5, 7), None, "do not contract"),
        ((4, 6), (5, 6), (4, 6), None, "do not contract"),
        ((4, 6), (5, 6), (5, 6), (2, 4, 5), "does not broadcast to scores"),
        ((4, 6), (5, 6), (5, 6), (3, 5), "do not broadcast"),
    ],
)
def test_attention_refuses(query: Any, key: Any, value: Any, mask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shapes.attention(query, key, value, mask)
